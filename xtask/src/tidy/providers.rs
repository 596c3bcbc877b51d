//! The five places of a provider: adapter, registry line, catalogue file, golden cases, stand-in.
//!
//! Whatever has one of the places must have all of them; the kind is the name everywhere.

use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// Golden cases that a provider has at least.
const CASES_MIN: usize = 3;

/// What lies beside the adapters without being one.
const NO_ADAPTERS: &[&str] = &["lib", "dialect", "tests"];

pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let adapters = root.join("crates/providers/src");
    let registry = fs::read_to_string(adapters.join("lib.rs")).context("crates/providers/src/lib.rs")?;
    let registered = read_registry(&registry);
    let mut kinds = names(&adapters, "rs")?;
    kinds.retain(|kind| !NO_ADAPTERS.contains(&kind.as_str()));
    kinds.extend(registered.iter().cloned());
    kinds.extend(names(&root.join("catalog"), "toml")?);
    kinds.extend(names(&root.join("crates/providers/golden"), "")?);
    let mut complaints = Vec::new();
    for kind in kinds {
        complaints.extend(missing_places(root, &kind, registered.contains(&kind)));
    }
    Ok(complaints)
}

fn missing_places(root: &Path, kind: &str, registered: bool) -> Vec<String> {
    let mut missing = Vec::new();
    let mut need = |there: bool, place: String| {
        if !there {
            missing.push(format!("provider {kind}: missing {place}"));
        }
    };
    let module = |folder: &str| {
        let folder = root.join(folder);
        folder.join(format!("{kind}.rs")).is_file() || folder.join(kind).join("mod.rs").is_file()
    };
    need(
        module("crates/providers/src"),
        format!("its adapter crates/providers/src/{kind}.rs or {kind}/mod.rs"),
    );
    need(registered, "its line in PROVIDERS (crates/providers/src/lib.rs)".to_owned());
    need(root.join(format!("catalog/{kind}.toml")).is_file(), format!("its prices catalog/{kind}.toml"));
    let cases = fs::read_dir(root.join("crates/providers/golden").join(kind)).map_or(0, |entries| {
        let json = |path: &Path| path.extension().is_some_and(|extension| extension == "json");
        entries.filter_map(|entry| entry.ok()).filter(|entry| json(&entry.path())).count()
    });
    let golden = format!("golden cases: {cases} of {CASES_MIN} in crates/providers/golden/{kind}/");
    need(cases >= CASES_MIN, golden);
    need(module("crates/fakes/src"), format!("its stand-in crates/fakes/src/{kind}.rs or {kind}/mod.rs"));
    missing
}

/// The modules named in `PROVIDERS`: `&openai::OpenAi,` is `openai`.
fn read_registry(text: &str) -> BTreeSet<String> {
    let list = text.split_once("pub const PROVIDERS").map_or("", |(_, rest)| rest);
    let list = list.split_once("= &[").map_or("", |(_, rest)| rest);
    let list = list.split("];").next().unwrap_or_default();
    let modules = list.split(',').filter_map(|entry| entry.trim().strip_prefix('&')?.split("::").next());
    modules.map(str::to_owned).collect()
}

/// Names of files with `extension`, without it, and of folders; none when there is no such folder.
fn names(folder: &Path, extension: &str) -> Result<BTreeSet<String>> {
    if !folder.is_dir() {
        return Ok(BTreeSet::new());
    }
    let mut found = BTreeSet::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let fits = path.extension().is_some_and(|actual| actual == extension);
        if path.is_dir() || fits {
            found.insert(path.file_stem().unwrap_or_default().to_string_lossy().into_owned());
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_the_registry() {
        let text = "pub const PROVIDERS: &[&dyn Provider] = &[\n    &openai::OpenAi,\n    &bfl::Bfl,\n];\nx";
        assert_eq!(read_registry(text), ["bfl".to_owned(), "openai".to_owned()].into());
        assert_eq!(read_registry("nothing"), BTreeSet::new());
    }

    #[test]
    fn names_every_missing_place() {
        let empty = tempfile::tempdir().expect("a folder");
        let missing = missing_places(empty.path(), "bfl", false);
        assert_eq!(missing.len(), 5, "{missing:?}");
    }
}
