//! Bytes that are held as they came: a list of network frames that is sliced but never joined.
//!
//! A provider's answer of several megabytes stays in the buffers it arrived in. Slicing shares them,
//! so the client's body can be made of small new parts and slices of the provider's frames.

use bytes::Bytes;
use std::ops::Range;

/// A sequence of byte buffers that reads as one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Chunks {
    parts: Vec<Bytes>,
    length: usize,
}

impl Chunks {
    pub fn new() -> Self {
        Self::default()
    }

    pub fn push(&mut self, part: Bytes) {
        if !part.is_empty() {
            self.length += part.len();
            self.parts.push(part);
        }
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
