//! The rules of the house that a machine can check.
//!
//! Each rule is a module that returns complaints: where, what, and what to do. They read files only, so
//! they run as an ordinary test within a second. What clippy and rustfmt check is not repeated here.

mod edges;
mod files;
mod floats;
mod providers;
mod words;

use crate::shell::root;
use anyhow::Result;
use std::path::{Path, PathBuf};

/// Prints all complaints; whether there are none.
///
/// # Errors
/// When the tree cannot be read.
pub fn run() -> Result<bool> {
    let complaints = complaints(&root())?;
    for complaint in &complaints {
        println!("{complaint}");
    }
    println!("tidy: {} complaints", complaints.len());
    Ok(complaints.is_empty())
}

fn complaints(root: &Path) -> Result<Vec<String>> {
    let mut complaints = edges::check(root)?;
    complaints.extend(files::check(root)?);
    complaints.extend(floats::check(root)?);
    complaints.extend(providers::check(root)?);
    complaints.extend(words::check(root)?);
    Ok(complaints)
}

/// Files below `folder` whose names end in one of `endings`, without what builds and tools leave.
fn files(folder: &Path, endings: &[&str]) -> Result<Vec<PathBuf>> {
    const LEFT: &[&str] = &["target", "node_modules", "__pycache__"];
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !LEFT.contains(&name.as_str()) && (!name.starts_with('.') || name == ".ci") {
            found.extend(files(&path, endings)?);
        } else if path.is_file() && endings.iter().any(|ending| name.ends_with(ending)) {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// `path` as people write it: from the root.
fn shown(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).display().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_is_tidy() {
        let complaints = complaints(&root()).expect("the tree can be read");
        assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
    }
}
