//! Which room imports which: the manifests against the table in `ARCHITECTURE.md`.
//!
//! The table's columns are crate, owns, refuses, may import; the last lists rooms by name, `nothing`, or
//! `all`. Imports for tests alone do not reach the product and are free.

use anyhow::{Context, Result};
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// Rooms by name with the rooms that they may import; `None` for all.
type Permissions = BTreeMap<String, Option<BTreeSet<String>>>;

const TABLE: &str = "ARCHITECTURE.md";

pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let text = fs::read_to_string(root.join(TABLE)).context(TABLE)?;
    let permissions = read_table(&text);
    let mut edges = BTreeMap::new();
    for entry in fs::read_dir(root.join("crates"))? {
        let folder = entry?.path();
        let manifest = folder.join("Cargo.toml");
        if manifest.exists() {
            let room = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
            edges.insert(room, read_manifest(&fs::read_to_string(manifest)?)?);
        }
    }
    edges.insert("xtask".to_owned(), read_manifest(&fs::read_to_string(root.join("xtask/Cargo.toml"))?)?);
    Ok(compare(&permissions, &edges))
}

fn compare(permissions: &Permissions, edges: &BTreeMap<String, BTreeSet<String>>) -> Vec<String> {
    let mut complaints = Vec::new();
    for (room, imports) in edges {
        let Some(allowed) = permissions.get(room) else {
            complaints.push(format!("{TABLE}: the table has no row for the crate {room}"));
            continue;
        };
        let Some(allowed) = allowed else { continue };
        for import in imports.difference(allowed) {
            complaints.push(format!(
                "crates/{room}/Cargo.toml: imports {import}, which {TABLE} does not allow (a new edge needs a decision record)"
            ));
        }
    }
    for room in permissions.keys().filter(|room| !edges.contains_key(*room)) {
        complaints.push(format!("{TABLE}: the table has a row for {room}, which is no crate"));
    }
    complaints
}

/// The table whose header has a column `may import`; crates may stand in backticks.
fn read_table(text: &str) -> Permissions {
    let mut lines = text.lines().skip_while(|line| !is_header(line));
    lines.next();
    lines
        .skip(1)
        .take_while(|line| line.trim_start().starts_with('|'))
        .filter_map(|line| {
            let cells: Vec<String> =
                line.trim().trim_matches('|').split('|').map(|cell| cell.replace('`', "")).collect();
            let room = cells.first()?.trim().to_owned();
            Some((room, read_imports(cells.last()?)))
        })
        .collect()
}

fn is_header(line: &str) -> bool {
    let line = line.to_lowercase();
    line.trim_start().starts_with('|') && line.contains("crate") && line.contains("may import")
}

fn read_imports(cell: &str) -> Option<BTreeSet<String>> {
    let names: BTreeSet<String> = cell.split(',').map(|name| name.trim().to_lowercase()).collect();
    if names.contains("all") {
        return None;
    }
    Some(
        names.into_iter().filter(|name| !matches!(name.as_str(), "" | "-" | "–" | "—" | "nothing")).collect(),
    )
}

/// The rooms that a manifest imports for the product.
fn read_manifest(text: &str) -> Result<BTreeSet<String>> {
    let manifest: toml::Table = text.parse()?;
    let tables = ["dependencies", "build-dependencies"].into_iter().filter_map(|name| manifest.get(name));
    let names = tables.filter_map(|table| table.as_table()).flat_map(|table| table.keys());
    Ok(names.filter_map(|name| name.strip_prefix("gallerist-")).map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "\
| other | table |
| --- | --- |

| Crate | Owns | Refuses | May import |
| --- | --- | --- | --- |
| `domain` | words | I/O | nothing |
| `store` | books | HTTP | `domain` |
| `app` | main | logic | all |

text";

    fn edges(pairs: &[(&str, &[&str])]) -> BTreeMap<String, BTreeSet<String>> {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
        pairs.iter().map(|(room, imports)| ((*room).to_owned(), set(imports))).collect()
    }

    #[test]
    fn allowed_edges_pass() {
        let real = edges(&[("domain", &[]), ("store", &["domain"]), ("app", &["store", "domain"])]);
        assert_eq!(compare(&read_table(TEXT), &real), Vec::<String>::new());
    }

    #[test]
    fn new_edges_and_missing_rows_are_named() {
        let real = edges(&[("domain", &["store"]), ("store", &[]), ("fakes", &[])]);
        let complaints = compare(&read_table(TEXT), &real);
        assert_eq!(complaints.len(), 3, "{complaints:?}");
        assert!(complaints[0].contains("crates/domain/Cargo.toml: imports store"));
    }

    #[test]
    fn imports_of_tests_are_free() {
        let manifest = "[dependencies]\ngallerist-domain.workspace = true\nserde = '1'\n\
                        [dev-dependencies]\ngallerist-fakes.workspace = true\n";
        assert_eq!(read_manifest(manifest).expect("a manifest"), ["domain".to_owned()].into());
    }
}
