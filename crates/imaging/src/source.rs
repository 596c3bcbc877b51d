//! Reading a picture's bytes at any place, whether it lies as a file or as base64 text in frames.
//!
//! Header readers ask for small ranges; a range of base64 text costs the decoding of its own groups
//! and nothing else. Reads beyond the end give fewer bytes, never a fault, so that the readers decide
//! what a missing byte means.

use crate::base64::{Base64Fault, decode_base64, decode_range, decoded_length};
use bytes::Bytes;
use gallerist_domain::Chunks;

/// A picture file that can be read in ranges.
pub(crate) struct Source<'a> {
    data: &'a Chunks,
    base64: bool,
    length: usize,
    /// The first bytes, read once: nearly every header lies in them.
    head: Vec<u8>,
}

/// Bytes of the file that are read at once from its start.
const HEAD: usize = 768;

impl<'a> Source<'a> {
    pub(crate) fn of_bytes(data: &'a Chunks) -> Source<'a> {
        Source { data, base64: false, length: data.len(), head: data.head(HEAD) }
    }

    pub(crate) fn of_base64(data: &'a Chunks) -> Result<Source<'a>, Base64Fault> {
        Ok(Source { data, base64: true, length: decoded_length(data)?, head: decode_range(data, 0, HEAD)? })
    }

    /// Length of the file in bytes.
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    pub(crate) fn head(&self) -> &[u8] {
        &self.head
    }

    /// At most `count` bytes from `offset` on.
    pub(crate) fn read(&self, offset: usize, count: usize) -> Result<Vec<u8>, Base64Fault> {
        let end = offset.saturating_add(count).min(self.length);
        if end <= self.head.len() {
            return Ok(self.head.get(offset..end).unwrap_or_default().to_vec());
        }
        if self.base64 {
            decode_range(self.data, offset, count)
        } else {
            Ok(self.data.slice(offset..end).to_vec())
        }
    }

    /// At most `count` bytes from the end.
    pub(crate) fn tail(&self, count: usize) -> Result<Vec<u8>, Base64Fault> {
        self.read(self.length.saturating_sub(count), count)
    }

    /// The whole file in one buffer, for the decoder.
    pub(crate) fn whole(&self) -> Result<Bytes, Base64Fault> {
        if self.base64 {
            return decode_base64(self.data).map(Bytes::from);
        }
        Ok(match self.data.parts() {
            [one] => one.clone(),
            _ => Bytes::from(self.data.to_vec()),
        })
    }
}
