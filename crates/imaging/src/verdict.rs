//! What is demanded of a picture, and what came of looking at it: the words of the gate, its formats and its decoder.

use crate::base64::Base64Fault;
use gallerist_domain::{Depth, OutputFormat, Size};
use thiserror::Error;

/// What is demanded of a picture.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckPolicy {
    /// The size that the client named; `None` where it named none.
    pub expected_size: Option<Size>,
    pub depth: Depth,
    /// Most pixels that a picture may have, decoded or not.
    pub pixels_max: u64,
    /// Most bytes that the file may have.
    pub bytes_max: usize,
}

impl Default for CheckPolicy {
    /// No size demanded, header only, 50 million pixels, 64 MiB.
    fn default() -> CheckPolicy {
        CheckPolicy { expected_size: None, depth: Depth::Header, pixels_max: 50_000_000, bytes_max: 64 << 20 }
    }
}

/// A picture that passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Checked {
    /// The format that the bytes have, whatever the provider calls it.
    pub format: OutputFormat,
    pub size: Size,
    /// Length of the file (not of its base64 text).
    pub bytes: usize,
}

/// What the cheap half found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inspected {
    pub checked: Checked,
    /// The pixels must be looked at by [`check_pixels`](crate::check_pixels) before the picture passes.
    pub undecided: bool,
}

/// Why a picture does not count as delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CheckFaultKind {
    /// Another size than the client named.
    WrongSize,
    /// All pixels are almost equal.
    Blank,
    /// The end of the file is missing.
    Truncated,
    /// Not base64, not a PNG, JPEG or WebP file, or a header that makes no sense.
    NotAPicture,
    /// Header and end are there, but the decoder cannot read what lies between.
    Undecodable,
    /// More bytes or pixels than allowed.
    TooLarge,
    /// More than one frame.
    Animated,
}

impl CheckFaultKind {
    /// The stable word for logs and answers.
    pub const fn as_str(self) -> &'static str {
        match self {
            CheckFaultKind::WrongSize => "wrong_size",
            CheckFaultKind::Blank => "blank",
            CheckFaultKind::Truncated => "truncated",
            CheckFaultKind::NotAPicture => "not_a_picture",
            CheckFaultKind::Undecodable => "undecodable",
            CheckFaultKind::TooLarge => "too_large",
            CheckFaultKind::Animated => "animated",
        }
    }
}

/// A picture that did not pass, with a sentence for people that quotes none of its bytes.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("{detail}")]
pub struct CheckFault {
    pub kind: CheckFaultKind,
    pub detail: String,
}

impl CheckFault {
    pub(crate) fn new(kind: CheckFaultKind, detail: impl Into<String>) -> CheckFault {
        CheckFault { kind, detail: detail.into() }
    }
}

impl From<Base64Fault> for CheckFault {
    fn from(fault: Base64Fault) -> CheckFault {
        CheckFault::new(CheckFaultKind::NotAPicture, fault.to_string())
    }
}
