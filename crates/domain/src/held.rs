//! Bytes that are held as they came: a list of network frames that is sliced but never joined.
//!
//! A provider's answer of several megabytes stays in the buffers it arrived in. Slicing shares them,
//! so the client's body can be made of small new parts and slices of the provider's frames.
//!
//! What must be searched is searched while a frame is still warm from the network: [`Chunks::push_searched`]
//! notes where quotes and backslashes stand, so that reading JSON later does not touch megabytes again.

use bytes::Bytes;
use std::ops::Range;

/// A sequence of byte buffers that reads as one.
#[derive(Clone, Debug, Default)]
pub struct Chunks {
    parts: Vec<Bytes>,
    length: usize,
    delimiters: Option<Vec<Delimiter>>,
}

/// Where a quote or a backslash stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Delimiter {
    pub part: usize,
    pub byte: usize,
}

/// Delimiters that are noted at most; a body with more is searched when it is read.
const DELIMITERS_MAX: usize = 4_096;

/// Equal parts; how they were searched does not matter.
impl PartialEq for Chunks {
    fn eq(&self, other: &Chunks) -> bool {
        self.parts == other.parts
    }
}

impl Eq for Chunks {}

impl Chunks {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn push(&mut self, part: Bytes) {
        if !part.is_empty() {
            self.delimiters = None;
            self.length += part.len();
            self.parts.push(part);
        }
    }

    /// As [`Chunks::push`], noting the delimiters of JSON strings on the way. Every part must be pushed so.
    pub fn push_searched(&mut self, part: Bytes) {
        if part.is_empty() {
            return;
        }
        let noted = match self.parts.is_empty() {
            true => Some(Vec::new()),
            false => self.delimiters.take(),
        };
        let index = self.parts.len();
        self.delimiters = noted.and_then(|mut noted| {
            for byte in memchr::memchr2_iter(b'"', b'\\', &part) {
                noted.push(Delimiter { part: index, byte });
                if noted.len() > DELIMITERS_MAX {
                    return None;
                }
            }
            Some(noted)
        });
        self.length += part.len();
        self.parts.push(part);
    }

    /// Every quote and backslash in order, when all parts were pushed with [`Chunks::push_searched`] and
    /// there are not too many.
    pub fn delimiters(&self) -> Option<&[Delimiter]> {
        self.delimiters.as_deref()
    }

    pub fn len(&self) -> usize {
        self.length
    }

    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    pub fn parts(&self) -> &[Bytes] {
        &self.parts
    }

    pub fn into_parts(self) -> Vec<Bytes> {
        self.parts
    }

    /// The bytes of `range`, sharing the buffers. A range beyond the end is cut to it.
    pub fn slice(&self, range: Range<usize>) -> Chunks {
        let mut out = Chunks::new();
        let mut start = 0;
        for part in &self.parts {
            let end = start + part.len();
            let from = range.start.max(start);
            let to = range.end.min(end);
            if from < to {
                out.push(part.slice(from - start..to - start));
            }
            start = end;
            if start >= range.end {
                break;
            }
        }
        out
    }

    /// Copies at most `count` bytes from the start.
    pub fn head(&self, count: usize) -> Vec<u8> {
        self.slice(0..count).to_vec()
    }

    /// Copies at most `count` bytes from the end.
    pub fn tail(&self, count: usize) -> Vec<u8> {
        self.slice(self.length.saturating_sub(count)..self.length).to_vec()
    }

    /// One contiguous copy; for small bodies and for the few pictures that must be decoded.
    pub fn to_vec(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(self.length);
        for part in &self.parts {
            out.extend_from_slice(part);
        }
        out
    }
}

impl From<Bytes> for Chunks {
    fn from(part: Bytes) -> Self {
        let mut out = Chunks::new();
        out.push(part);
        out
    }
}

impl From<Vec<u8>> for Chunks {
    fn from(part: Vec<u8>) -> Self {
        Chunks::from(Bytes::from(part))
    }
}

impl FromIterator<Bytes> for Chunks {
    fn from_iter<I: IntoIterator<Item = Bytes>>(parts: I) -> Self {
        let mut out = Chunks::new();
        for part in parts {
            out.push(part);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn delimiters_are_noted_while_the_parts_come_in() {
        let mut held = Chunks::new();
        held.push_searched(Bytes::from_static(b"a\"b"));
        held.push_searched(Bytes::from_static(b"\\\""));
        let at = |part, byte| Delimiter { part, byte };
        assert_eq!(held.delimiters(), Some([at(0, 1), at(1, 0), at(1, 1)].as_slice()));
        held.push(Bytes::from_static(b"\""));
        assert_eq!(held.delimiters(), None, "a part that was not searched spoils the list");
        let mut many = Chunks::new();
        many.push_searched(Bytes::from(vec![b'"'; DELIMITERS_MAX + 1]));
        assert_eq!((many.delimiters(), many.len()), (None, DELIMITERS_MAX + 1));
    }

    #[test]
    fn slices_across_frames_without_joining() {
        let held: Chunks = ["abc", "", "defg", "h"].into_iter().map(Bytes::from).collect();
        assert_eq!(held.len(), 8);
        assert_eq!(held.parts().len(), 3);
        assert_eq!(held.slice(2..6).to_vec(), b"cdef");
        assert_eq!(held.slice(7..99).to_vec(), b"h");
        assert_eq!(held.head(2), b"ab");
        assert_eq!(held.tail(3), b"fgh");
        assert!(held.slice(5..5).is_empty());
    }
}
