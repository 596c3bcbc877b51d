//! Picture files: where they are put, and what they are called.

use crate::failure::{Failure, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use std::fs::File;
use std::io::Write;
use std::path::Path;

/// Longest name made of a prompt, in characters.
const SLUG_CHARACTERS_MAX: usize = 40;

/// The file in base64 text.
///
/// # Errors
/// When it is none.
pub fn from_base64(text: &str) -> Result<Vec<u8>> {
    match STANDARD.decode(text) {
        Ok(bytes) if !bytes.is_empty() => Ok(bytes),
        _ => Err(Failure::failed("the answer holds no picture")),
    }
}

/// Writes a file that is not there yet.
///
/// # Errors
/// When it is, or cannot be written.
pub fn save_new(path: &Path, file: &[u8]) -> Result<()> {
    let written = File::create_new(path).and_then(|mut out| out.write_all(file));
    written.map_err(|error| {
        Failure::because(format!("{} cannot be written", path.display()), &error)
            .advise("name another file with --output")
    })
}

/// The customary ending for a file, by its first bytes.
pub fn extension(bytes: &[u8]) -> &'static str {
    match bytes {
        [0x89, b'P', b'N', b'G', ..] => "png",
        [0xff, 0xd8, ..] => "jpg",
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => "webp",
        _ => "bin",
    }
}

/// A file name made of a prompt: `a-red-kite`.
pub fn slug(prompt: &str) -> String {
    let mut slug = String::new();
    for word in prompt.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()) {
        if slug.len() + word.len() >= SLUG_CHARACTERS_MAX {
            break;
        }
        if !slug.is_empty() {
            slug.push('-');
        }
        slug.push_str(&word.to_ascii_lowercase());
    }
    if slug.is_empty() { "picture".to_owned() } else { slug }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_files_after_prompts() {
        assert_eq!(slug("A red kite, over a hill!"), "a-red-kite-over-a-hill");
        assert_eq!(slug("../../etc/passwd"), "etc-passwd");
        assert_eq!(slug("日本"), "picture");
        assert!(slug(&"word ".repeat(50)).len() <= SLUG_CHARACTERS_MAX);
    }

    #[test]
    fn knows_formats_by_their_first_bytes() {
        assert_eq!(extension(b"\x89PNG\r\n"), "png");
        assert_eq!(extension(b"RIFF\0\0\0\0WEBPVP8 "), "webp");
        assert_eq!(extension(b"\xff\xd8\xff"), "jpg");
    }
}
