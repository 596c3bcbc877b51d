//! The five places of a provider: adapter, registry line, catalogue file, golden cases, stand-in.
//!
//! Whatever has one of the places must have all of them; the kind is the name everywhere. A catalogue file that
//! names another kind's adapter needs only that adapter.

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
    let mut complaints = Vec::new();
    for kind in names(&root.join("catalog"), "toml")? {
        let file = format!("catalog/{kind}.toml");
        if !root.join(&file).is_file() {
            // A folder: what articles describe and nobody sells.
            continue;
        }
        let text = fs::read_to_string(root.join(&file)).with_context(|| file.clone())?;
        let serves = read_head(&text, "serves").is_some();
        match read_head(&text, "adapter") {
            // Priced, but not ordered from yet: the prices are all that there is.
            None if !serves => {}
            Some(adapter) if adapter != kind => {
                if !registered.contains(&adapter) {
                    complaints.push(format!("{file}: no adapter {adapter} is in PROVIDERS"));
                }
            }
            _ => {
                kinds.insert(kind);
            }
        }
    }
    kinds.extend(names(&root.join("crates/providers/golden"), "")?);
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
    let families = fs::read_to_string(root.join("crates/fakes/src/fakes.rs")).unwrap_or_default();
    let listed = is_in_families(&families, kind);
    need(listed, "the line of its stand-in in FAMILIES (crates/fakes/src/fakes.rs)".to_owned());
    missing
}

/// What a catalogue file says under a key; it stands above the first table.
fn read_head(text: &str, key: &str) -> Option<String> {
    let head = text.lines().take_while(|line| !line.starts_with('['));
    let (_, value) = head.filter_map(|line| line.split_once('=')).find(|(name, _)| name.trim() == key)?;
    Some(value.split('"').nth(1)?.to_owned())
}

/// Whether a stand-in is one of those that are started: its line is `kind: bfl::KIND,`.
fn is_in_families(text: &str, kind: &str) -> bool {
    let list = text.split_once("pub const FAMILIES").map_or("", |(_, rest)| rest);
    let list = list.split("\n];").next().unwrap_or_default();
    list.contains(&format!(" {kind}::KIND"))
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
        assert_eq!(missing.len(), 6, "{missing:?}");
    }

    #[test]
    fn a_stand_in_counts_when_it_is_started() {
        let text = "pub const FAMILIES: &[Family] = &[\n    Family { kind: bfl::KIND, },\n];\nfal::KIND";
        assert!(is_in_families(text, "bfl"));
        assert!(!is_in_families(text, "fal") && !is_in_families(text, "fl") && !is_in_families("", "bfl"));
    }

    #[test]
    fn a_file_that_borrows_an_adapter_needs_no_other_place() {
        assert_eq!(
            read_head("kind = \"vllm\"\nadapter = \"openai\"\n[x]", "adapter"),
            Some("openai".to_owned())
        );
        assert_eq!(read_head("kind = \"vllm\"\n[x]\nadapter = \"openai\"", "adapter"), None);
        let root = tempfile::tempdir().expect("a folder");
        let write = |name: &str, text: &str| {
            let path = root.path().join(name);
            fs::create_dir_all(path.parent().expect("it has one")).expect("a folder");
            fs::write(path, text).expect("it is written");
        };
        write("crates/providers/src/lib.rs", "pub const PROVIDERS: &[&dyn Provider] = &[&openai::OpenAi];");
        write("catalog/vllm.toml", "kind = \"vllm\"\nadapter = \"openai\"\n");
        write("catalog/other.toml", "kind = \"other\"\nadapter = \"nobody\"\n");
        let complaints = check(root.path()).expect("it can be read");
        assert!(complaints.iter().all(|complaint| !complaint.contains("vllm")), "{complaints:?}");
        assert!(complaints.iter().any(|complaint| complaint.contains("no adapter nobody")), "{complaints:?}");
    }

    /// The guide shows a part of a real file, so that copying it works.
    #[test]
    fn the_file_in_the_guide_to_prices_is_a_part_of_the_real_one() {
        let root = crate::shell::root();
        let guide = fs::read_to_string(root.join("docs/pricing.md")).expect("the guide");
        let real = fs::read_to_string(root.join("catalog/bfl.toml")).expect("the file");
        let shown =
            guide.split("```toml\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a file");
        for line in shown.lines().map(|line| line.split("   #").next().unwrap_or_default().trim_end()) {
            let is_there = line.starts_with('#') || real.lines().any(|known| known.trim_end() == line);
            assert!(is_there, "catalog/bfl.toml has no line {line:?}");
        }
    }
}
