//! No float where money is reckoned: not its type, not a literal, not a conversion by name.
//!
//! clippy refuses the types `f32` and `f64` wherever they are written out (`disallowed_types`, denied in these rooms),
//! and arithmetic with them. It sees no float that nobody names: `let share = 0.5;`, `elapsed.as_secs_f64() > limit`.
//! So the text is looked at too, without its comments and strings.

use super::{files, shown};
use anyhow::Result;
use std::fs;
use std::path::Path;

/// The rooms, and what each of them has to say at its top so that clippy looks as well.
const ROOMS: &[&str] = &["crates/domain/src", "crates/pricing/src"];
const DENIED: &str = "#![deny(clippy::float_arithmetic, clippy::disallowed_types)]";

pub(super) fn check(root: &Path) -> Result<Vec<String>> {
    let mut complaints = Vec::new();
    for room in ROOMS {
        let top = root.join(room).join("lib.rs");
        if !fs::read_to_string(&top)?.lines().any(|line| line == DENIED) {
            complaints.push(format!("{}: does not say {DENIED}", shown(root, &top)));
        }
        for path in files(&root.join(room), &[".rs"])? {
            for (line, word) in floats(&fs::read_to_string(&path)?) {
                complaints.push(format!(
                    "{}:{line}: {word}: no float where money is reckoned; use ticks, decimals or whole quotients",
                    shown(root, &path)
                ));
            }
        }
    }
    Ok(complaints)
}

/// Words of the text that are floats, with their lines.
fn floats(text: &str) -> Vec<(usize, String)> {
    let bare = without_comments_and_strings(text);
    let mut found = Vec::new();
    for (number, line) in (1..).zip(bare.lines()) {
        // A range is no point, and the sign of an exponent ends no number.
        let line = line.replace("..", " ");
        let words = line.split(|c: char| !c.is_alphanumeric() && !matches!(c, '_' | '.'));
        found.extend(words.filter(|word| is_float(word)).map(|word| (number, word.to_owned())));
    }
    found
}

/// `f64`, `as_secs_f64`, `2f32`, `0.5`, `1.`, `1e3`; but `pair.0`, `0..5`, `1.day()` and `0xf64` are none.
fn is_float(word: &str) -> bool {
    let named = word.split('.').any(|part| {
        let before = part.strip_suffix("f32").or_else(|| part.strip_suffix("f64"));
        before.is_some_and(|text| text.is_empty() || text.ends_with(|c: char| c == '_' || c.is_ascii_digit()))
    });
    !word.starts_with("0x") && (named || is_literal(word))
}

/// Digits, then a point and nothing but digits, or an exponent, whose sign and digits may stand apart.
fn is_literal(word: &str) -> bool {
    let digits = |text: &str| text.chars().all(|c| c.is_ascii_digit() || c == '_');
    let (mantissa, exponent) = word.split_once(['e', 'E']).unwrap_or((word, ""));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let has_more = mantissa.contains('.') || word.contains(['e', 'E']);
    let starts = whole.starts_with(|c: char| c.is_ascii_digit());
    has_more && starts && digits(whole) && digits(fraction) && digits(exponent)
}

/// The text with blanks in the place of comments, strings and characters; lines stay where they are.
fn without_comments_and_strings(text: &str) -> String {
    let mut bare = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let length = skipped(rest, bare.chars().next_back());
        if length == 0 {
            bare.push(first);
            rest = &rest[first.len_utf8()..];
            continue;
        }
        bare.extend(rest[..length].chars().map(|c| if c == '\n' { '\n' } else { ' ' }));
        rest = &rest[length..];
    }
    bare
}

/// Bytes of the comment, string or character that begins here; 0 where none does.
fn skipped(rest: &str, before: Option<char>) -> usize {
    let up_to =
        |end: &str, from: usize| rest[from..].find(end).map_or(rest.len(), |at| from + at + end.len());
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    if rest.starts_with("//") {
        return rest.find('\n').unwrap_or(rest.len());
    }
    if rest.starts_with("/*") {
        return up_to("*/", 2);
    }
    if rest.starts_with('"') {
        return quoted(rest, '"');
    }
    let raw = rest.strip_prefix('r').map(|text| text.len() - text.trim_start_matches('#').len());
    if let Some(hashes) = raw.filter(|_| !in_word)
        && rest[1 + hashes..].starts_with('"')
    {
        return up_to(&format!("\"{}", "#".repeat(hashes)), 2 + hashes);
    }
    // A character, and no lifetime: it ends after one letter, or began with a backslash.
    let mut after = rest.chars().skip(1);
    let (inner, end) = (after.next(), after.next());
    if rest.starts_with('\'') && (inner == Some('\\') || end == Some('\'')) {
        return quoted(rest, '\'');
    }
    0
}

/// Bytes up to and with the closing mark that no backslash precedes.
fn quoted(rest: &str, mark: char) -> usize {
    let mut escaped = false;
    for (at, c) in rest.char_indices().skip(1) {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            _ if c == mark => return at + c.len_utf8(),
            _ => {}
        }
    }
    rest.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        floats(text).into_iter().map(|(_, word)| word).collect()
    }

    #[test]
    fn a_float_is_found_however_it_is_written() {
        assert_eq!(words("struct Price { usd: f64 }"), ["f64"]);
        assert_eq!(words("let usd = text.parse::<f32>()?;"), ["f32"]);
        assert_eq!(words("let usd = ticks as f64;"), ["f64"]);
        assert_eq!(words("if elapsed.as_secs_f64() > limit {}"), ["elapsed.as_secs_f64"]);
        assert_eq!(words("let share = 0.5;"), ["0.5"]);
        assert_eq!(
            words("call(1_000.25, 2f64, 3_f32, 1., 1e3, 1.5e3)"),
            ["1_000.25", "2f64", "3_f32", "1.", "1e3", "1.5e3"]
        );
        assert_eq!(words("let share = 1e-3; 0.5..1.0"), ["1e", "0.5", "1.0"]);
        assert_eq!(words("Vec<f64>; f64::from(1); [f32; 3]"), ["f64", "f64", "f32"]);
    }

    #[test]
    fn words_that_look_like_floats_are_none() {
        assert!(words("let first = pair.0; for step in 0..5 {} 1..=9; x[..2]; row.0.1").is_empty());
        assert!(
            words("let mask = 0xf64; self.half64; of32; 0x1e3; 5i64; 10i128.pow(2); 1u64.max(2)").is_empty()
        );
        assert!(
            words("// 0.5 of an f64\n/* f32\n0.25 */ let a = \"0.04 f64\"; let c = '\"'; // f64").is_empty()
        );
        assert!(
            words("r#\"a \" 0.5 \"#; \"\\\" f64\"; fn at<'a>(text: &'a str) {} '\\''; \"f32\"").is_empty()
        );
    }

    #[test]
    fn lines_are_those_of_the_file() {
        assert_eq!(floats("/* one\ntwo */\n\"three\n\"; let four = 1.5;"), [(4, "1.5".to_owned())]);
    }
}
