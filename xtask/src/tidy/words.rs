//! Words that do not belong into the tree: paths of one machine, notes to oneself, download addresses.

use super::{files, shown};
use anyhow::Result;
use std::fs;
use std::path::Path;

/// Each word with what to do. Written in two parts, so that this file passes its own check.
const WORDS: &[(&str, &str, &str)] = &[
    ("TO", "DO", "do it, or describe it as an issue"),
    ("FIX", "ME", "mend it, or describe it as an issue"),
    ("/home", "/", "a path of one machine: make it relative"),
    ("/root", "/", "a path of one machine: make it relative"),
    ("/Users", "/", "a path of one machine: make it relative"),
    ("/work", "/", "a path of one machine: make it relative"),
];

const ENDINGS: &[&str] = &[".rs", ".md", ".toml", ".py", ".mjs", ".json", ".sql", "run"];

pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for path in files(root, ENDINGS)? {
        // What is no text has no words.
        let Ok(text) = fs::read_to_string(&path) else { continue };
        for (number, line) in (1..).zip(text.lines()) {
            for word in found(line) {
                complaints.push(format!("{}:{number}: {word}", shown(root, &path)));
            }
        }
    }
    let lock = root.join("tests/sdk/package-lock.json");
    if fs::read_to_string(&lock).is_ok_and(|text| text.contains("\"resolved\"")) {
        complaints.push(format!(
            "{}: has download addresses; write it with omit-lockfile-registry-resolved",
            shown(root, &lock)
        ));
    }
    Ok(complaints)
}

fn found(line: &str) -> impl Iterator<Item = String> {
    WORDS.iter().filter_map(move |(start, end, advice)| {
        let word = format!("{start}{end}");
        let mut places = line.match_indices(&word);
        places.any(|(at, _)| stands_alone(line, at, word.len())).then(|| format!("{word}: {advice}"))
    })
}

/// A word has no letters around it, a path none and no dot before it: `docs/home/` and `./work/` are
/// fine.
fn stands_alone(line: &str, at: usize, length: usize) -> bool {
    let before = line[..at].chars().next_back();
    let after = line[at + length..].chars().next();
    let part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '.' | '-');
    !before.is_some_and(part) && (line[at..].starts_with('/') || !after.is_some_and(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_words_and_leaves_parts_of_words() {
        let path = format!("see {}/x", "/work");
        assert_eq!(found(&path).count(), 1);
        assert_eq!(found(&format!("// {}{}: later", "TO", "DO")).count(), 1);
        let parts = format!("docs/home/index.md ./work/x MAS{}{}N", "TO", "DO");
        assert_eq!(found(&parts).count(), 0);
    }
}
