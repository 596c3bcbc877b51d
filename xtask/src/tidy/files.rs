//! Sizes of files: at most 500 lines of Rust outside tests. Functions are clippy's business.

use super::{files, shown};
use anyhow::Result;
use std::fs;
use std::path::Path;

const LINES_MAX: usize = 500;

pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for path in files(root, &[".rs"])? {
        let lines = lines_outside_tests(&fs::read_to_string(&path)?);
        if lines > LINES_MAX && !is_test(root, &path) {
            complaints
                .push(format!("{}: {lines} lines, more than {LINES_MAX}: split it", shown(root, &path)));
        }
    }
    Ok(complaints)
}

/// Files of tests and benches may be long.
fn is_test(root: &Path, path: &Path) -> bool {
    let path = path.strip_prefix(root).unwrap_or(path);
    path.iter().any(|part| part == "tests" || part == "tests.rs" || part == "benches")
}

/// Lines before a trailing test module.
fn lines_outside_tests(text: &str) -> usize {
    let mut lines = text.lines().peekable();
    let mut count = 0;
    while let Some(line) = lines.next() {
        if line == "#[cfg(test)]" && lines.peek().is_some_and(|next| next.starts_with("mod tests {")) {
            break;
        }
        count += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trailing_test_module_does_not_count() {
        assert_eq!(lines_outside_tests("a\nb\n#[cfg(test)]\nmod tests {\n}\n"), 2);
        assert_eq!(lines_outside_tests("a\n#[cfg(test)]\nmod tests;\nb\n"), 4);
    }
}
