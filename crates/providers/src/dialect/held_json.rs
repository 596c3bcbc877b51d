//! JSON whose long strings stay where they are: in the frames that the network delivered.
//!
//! An answer with a picture is one small JSON document around a few megabytes of base64.
//! [`Skeleton::scan`] passes over the frames once, copies everything short into one contiguous text and
//! lifts each string of more than [`LIFTED_BYTES_MIN`] bytes out of it as a slice of the frames; a short
//! placeholder stands in its place. Serde then reads the small text, and a [`HeldText`] field is resolved
//! to the slice with [`Skeleton::held`]. What a lifted string holds is not validated here, and only a
//! lifted string with escapes (`\/`) is copied. The depth limit is serde_json's own.

use bytes::Bytes;
use gallerist_domain::held::Delimiter;
use gallerist_domain::{Chunks, Fault, FaultKind};
use serde::Deserialize;
use std::borrow::Cow;

/// Strings with more bytes than this (escapes not resolved) are lifted out.
pub const LIFTED_BYTES_MIN: usize = 4096;
/// Largest text that may remain.
pub const SKELETON_BYTES_MAX: usize = 8 << 20;

/// A placeholder is this character and the index of the lifted string. JSON must escape it, and there is
/// one way to write that ([`MARK_ESCAPED`]), so that a provider's own string is known by its beginning.
const MARK: char = '\u{1}';
const MARK_ESCAPED: &[u8] = b"\\u0001";

/// Why an answer could not be read.
#[derive(Debug, thiserror::Error)]
pub enum HeldJsonError {
    #[error("the answer ends inside a string")]
    Truncated,
    #[error("the answer has more than {SKELETON_BYTES_MAX} bytes besides its long strings")]
    TooLarge,
    #[error("the answer has a string that begins with a control character")]
    Forged,
    #[error("the answer has a long string that is not valid JSON text")]
    BadString,
    #[error("the answer is not the expected JSON ({0})")]
    Json(#[from] serde_json::Error),
}

impl From<HeldJsonError> for Fault {
    fn from(error: HeldJsonError) -> Fault {
        Fault::new(FaultKind::Malformed, error.to_string())
    }
}

/// A document without its long strings.
#[derive(Debug)]
pub struct Skeleton {
    text: Vec<u8>,
    lifted: Vec<Lifted>,
}

#[derive(Debug)]
struct Lifted {
    content: Chunks,
    /// As it stood in the document, and so without a quote or a backslash.
    verbatim: bool,
}

/// A string of the document that may have been lifted out; resolve it with the skeleton it came from.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
pub struct HeldText<'a>(#[serde(borrow)] Cow<'a, str>);

impl Skeleton {
    /// Separates the long strings from the rest in one pass.
    ///
    /// # Errors
    /// When the body ends inside a string, leaves too much text, or has a string that begins like a
    /// placeholder.
    pub fn scan(body: &Chunks) -> Result<Skeleton, HeldJsonError> {
        let mut scan = Scan::new(body);
        for index in 0..body.parts().len() {
            scan.part(index)?;
        }
        if !matches!(scan.place, Place::Outside) {
            return Err(HeldJsonError::Truncated);
        }
        Ok(Skeleton { text: scan.text, lifted: scan.lifted })
    }

    /// Reads the document; texts that were not lifted can be borrowed from the skeleton.
    ///
    /// # Errors
    /// When the text is not JSON of this type.
    pub fn read<'a, T: Deserialize<'a>>(&'a self) -> Result<T, HeldJsonError> {
        Ok(serde_json::from_slice(&self.text)?)
    }

    /// Bytes that remain besides the long strings.
    pub fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether nothing remains: the body was empty.
    pub fn is_empty(&self) -> bool {
        self.text.is_empty()
    }

    /// The string's bytes: shared frames if it was lifted, else an owned copy.
    pub fn held(&self, text: &HeldText<'_>) -> Chunks {
        match self.lifted_by(text) {
            Some(lifted) => lifted.content.clone(),
            None => Chunks::from(Bytes::copy_from_slice(text.0.as_bytes())),
        }
    }

    /// The string's bytes as base64 text that will stand inside other JSON as it is: nothing when it holds what
    /// JSON must escape, so that no answer can write into ours.
    pub fn base64(&self, text: &HeldText<'_>) -> Chunks {
        let held = self.held(text);
        let verbatim = self.lifted_by(text).is_some_and(|lifted| lifted.verbatim);
        let plain = |byte: u8| (b'!'..=b'~').contains(&byte) & (byte != b'"') & (byte != b'\\');
        // To the end without a branch, so that the compiler looks at many bytes at once.
        let all_plain = |part: &Bytes| part.iter().fold(true, |so_far, byte| so_far & plain(*byte));
        if verbatim || held.parts().iter().all(all_plain) { held } else { Chunks::new() }
    }

    /// The string as text; copies it if it was lifted. Bytes that are not UTF-8 are replaced.
    pub fn text<'a>(&self, text: &HeldText<'a>) -> Cow<'a, str> {
        match self.lifted_by(text) {
            Some(lifted) => Cow::Owned(String::from_utf8_lossy(&lifted.content.to_vec()).into_owned()),
            None => text.0.clone(),
        }
    }

    /// The first `count` bytes of the string as text; for messages to people.
    pub fn text_head(&self, text: &HeldText<'_>, count: usize) -> String {
        match self.lifted_by(text) {
            Some(lifted) => String::from_utf8_lossy(&lifted.content.head(count)).into_owned(),
            None => text.0.chars().take(count).collect(),
        }
    }

    fn lifted_by(&self, text: &HeldText<'_>) -> Option<&Lifted> {
        self.lifted.get(text.0.strip_prefix(MARK)?.parse::<usize>().ok()?)
    }
}

impl<'a> From<&'a str> for HeldText<'a> {
    /// For texts that were read as part of an untyped value.
    fn from(text: &'a str) -> Self {
        HeldText(Cow::Borrowed(text))
    }
}

impl HeldText<'_> {
    /// Whether the string has no bytes.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the string is this short word, in any case.
    pub fn is_word(&self, word: &str) -> bool {
        self.0.eq_ignore_ascii_case(word)
    }
}

/// Where a byte of the body stands.
#[derive(Clone, Copy)]
struct Position {
    part: usize,
    byte: usize,
}

/// What the next byte is part of.
enum Place {
    Outside,
    String(StringSoFar),
    /// The byte after a backslash.
    Escaped(StringSoFar),
}

struct StringSoFar {
    /// The first byte after the opening quote.
    start: Position,
    /// Length of the text before the string's content.
    mark: usize,
    /// Bytes of content, escapes not resolved.
    length: usize,
    escapes: bool,
}

impl StringSoFar {
    fn is_lifted(&self) -> bool {
        self.length > LIFTED_BYTES_MIN
    }
}

struct Scan<'a> {
    parts: &'a [Bytes],
    /// What was noted while the frames came in, from the last byte looked at on.
    delimiters: Option<&'a [Delimiter]>,
    place: Place,
    text: Vec<u8>,
    lifted: Vec<Lifted>,
}

impl<'a> Scan<'a> {
    fn new(body: &'a Chunks) -> Self {
        Scan {
            parts: body.parts(),
            delimiters: body.delimiters(),
            place: Place::Outside,
            text: Vec::with_capacity(1024),
            lifted: Vec::new(),
        }
    }

    /// The next quote or backslash of a part, from `at` on.
    fn delimiter(&mut self, part: usize, at: usize) -> Option<usize> {
        let Some(noted) = self.delimiters else {
            return memchr::memchr2(b'"', b'\\', &self.parts[part][at..]).map(|offset| at + offset);
        };
        let passed = noted.iter().take_while(|noted| **noted < Delimiter { part, byte: at }).count();
        self.delimiters = Some(&noted[passed..]);
        noted.get(passed).filter(|next| next.part == part).map(|next| next.byte)
    }

    fn part(&mut self, index: usize) -> Result<(), HeldJsonError> {
        let bytes: &'a [u8] = &self.parts[index];
        let mut at = 0;
        while at < bytes.len() {
            match std::mem::replace(&mut self.place, Place::Outside) {
                Place::Outside => {
                    let quote = memchr::memchr(b'"', &bytes[at..]).map(|offset| at + offset);
                    let end = quote.map_or(bytes.len(), |quote| quote + 1);
                    self.copy(&bytes[at..end])?;
                    at = end;
                    if quote.is_some() {
                        let start = Position { part: index, byte: at };
                        let mark = self.text.len();
                        self.place = Place::String(StringSoFar { start, mark, length: 0, escapes: false });
                    }
                }
                Place::Escaped(mut string) => {
                    self.content(&mut string, &bytes[at..=at])?;
                    at += 1;
                    self.place = Place::String(string);
                }
                Place::String(mut string) => {
                    let Some(end) = self.delimiter(index, at) else {
                        self.content(&mut string, &bytes[at..])?;
                        self.place = Place::String(string);
                        return Ok(());
                    };
                    self.content(&mut string, &bytes[at..end])?;
                    at = end + 1;
                    if bytes[end] == b'\\' {
                        string.escapes = true;
                        self.content(&mut string, &bytes[end..at])?;
                        self.place = Place::Escaped(string);
                    } else {
                        self.end_string(&string, Position { part: index, byte: end })?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Takes more of a string's content: copied while the string is short, only counted from then on.
    fn content(&mut self, string: &mut StringSoFar, bytes: &[u8]) -> Result<(), HeldJsonError> {
        string.length += bytes.len();
        if string.is_lifted() {
            self.text.truncate(string.mark);
            return Ok(());
        }
        self.copy(bytes)
    }

    fn end_string(&mut self, string: &StringSoFar, end: Position) -> Result<(), HeldJsonError> {
        if string.is_lifted() {
            let mut content = self.between(string.start, end);
            if string.escapes {
                content = unescaped(&content)?;
            }
            let placeholder = format!("\\u0001{}", self.lifted.len());
            self.lifted.push(Lifted { content, verbatim: !string.escapes });
            self.copy(placeholder.as_bytes())?;
        } else if self.text[string.mark..].starts_with(MARK_ESCAPED) {
            return Err(HeldJsonError::Forged);
        }
        self.copy(b"\"")
    }

    /// The frames from `start` up to `end`, which lies in a later or the same part.
    fn between(&self, start: Position, end: Position) -> Chunks {
        let parts = &self.parts[start.part..=end.part];
        let last = parts.len() - 1;
        let slice = |(index, part): (usize, &Bytes)| {
            let from = if index == 0 { start.byte } else { 0 };
            let to = if index == last { end.byte } else { part.len() };
            part.slice(from..to)
        };
        parts.iter().enumerate().map(slice).collect()
    }

    fn copy(&mut self, bytes: &[u8]) -> Result<(), HeldJsonError> {
        if self.text.len() + bytes.len() > SKELETON_BYTES_MAX {
            return Err(HeldJsonError::TooLarge);
        }
        self.text.extend_from_slice(bytes);
        Ok(())
    }
}

/// An owned copy with all escapes resolved.
fn unescaped(content: &Chunks) -> Result<Chunks, HeldJsonError> {
    let mut quoted = Vec::with_capacity(content.len() + 2);
    quoted.push(b'"');
    for part in content.parts() {
        quoted.extend_from_slice(part);
    }
    quoted.push(b'"');
    let text: String = serde_json::from_slice(&quoted).map_err(|_| HeldJsonError::BadString)?;
    Ok(Chunks::from(text.into_bytes()))
}

#[cfg(test)]
mod tests;
