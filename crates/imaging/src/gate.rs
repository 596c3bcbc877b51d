//! The gate: what must be true of a picture before it counts as delivered.
//!
//! The order is from cheap to dear: length, first bytes, header, pixel count, end marker, size, bytes
//! per pixel. A picture that compressed to almost nothing is only suspected, because a legitimate flat
//! drawing does so too: it is decoded, and blank when all its pixels are almost equal.
//!
//! The thresholds were measured on pictures of one colour and on soft gradients, by format; the figures
//! stand at [`suspicious`]. The formats themselves are read in `header.rs`.

use crate::base64::Base64Fault;
use crate::header::{Header, read_header};
use crate::pixels::examine;
use crate::source::Source;
use gallerist_domain::{Depth, ImageData, OutputFormat, Size};
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
    /// The pixels must be looked at by [`check_pixels`] before the picture passes.
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

/// Decides whether `data` counts as a delivered picture. Costs microseconds unless it must decode,
/// which takes some 10 ms per million pixels: a caller that minds uses [`inspect`] first.
pub fn check(data: &ImageData, policy: &CheckPolicy) -> Result<Checked, CheckFault> {
    let inspected = inspect(data, policy)?;
    if inspected.undecided {
        check_pixels(data, policy, &inspected.checked)?;
    }
    Ok(inspected.checked)
}

/// The cheap half of [`check`]: never decodes pixels, allocates at most some kilobytes.
pub fn inspect(data: &ImageData, policy: &CheckPolicy) -> Result<Inspected, CheckFault> {
    let source = open(data)?;
    if source.len() > policy.bytes_max {
        let detail =
            format!("the file has {} bytes, more than the {} allowed", source.len(), policy.bytes_max);
        return Err(CheckFault::new(CheckFaultKind::TooLarge, detail));
    }
    let header = read_header(&source)?;
    let (format, size) = (header.format, header.size);
    let pixels = u64::from(size.width) * u64::from(size.height);
    if pixels > policy.pixels_max {
        let detail = format!("the picture has {size} pixels, more than the {} allowed", policy.pixels_max);
        return Err(CheckFault::new(CheckFaultKind::TooLarge, detail));
    }
    if let Some(expected) = policy.expected_size.filter(|expected| *expected != size) {
        let detail = format!("the picture is {size}, not {expected} as asked");
        return Err(CheckFault::new(CheckFaultKind::WrongSize, detail));
    }
    let undecided = policy.depth == Depth::Pixels || suspicious(&header, pixels);
    Ok(Inspected { checked: Checked { format, size, bytes: source.len() }, undecided })
}

/// The dear half of [`check`]: decodes behind limits and refuses a blank picture. CPU-bound; belongs
/// on a thread that may block. Needs up to eight bytes per pixel, 16-bit PNG being the worst.
pub fn check_pixels(data: &ImageData, policy: &CheckPolicy, checked: &Checked) -> Result<(), CheckFault> {
    examine(&open(data)?.whole()?, checked, policy)
}

fn open(data: &ImageData) -> Result<Source<'_>, CheckFault> {
    match data {
        ImageData::Base64(text) => Ok(Source::of_base64(text)?),
        ImageData::Bytes(bytes) => Ok(Source::of_bytes(bytes)),
        ImageData::Url(_) => Err(CheckFault::new(
            CheckFaultKind::NotAPicture,
            "the picture has not been fetched from its address",
        )),
    }
}

/// Whether the coded pixels take less room than those of most pictures with content do, so that they
/// may all be alike.
///
/// Measured on one colour at edges from 16 to 2048: PNG takes at most 0.0200 bytes per pixel and 500
/// bytes when small (three samples a pixel, fastest compression; up to eight thirds of that with 16-bit
/// alpha), JPEG 0.0274 and 320 bytes (baseline without subsampling; progressive), WebP 0.0018 and 60
/// bytes (lossy). Photographic pictures start at 0.3, 0.08 and 0.02; plain drawings lie between.
fn suspicious(header: &Header, pixels: u64) -> bool {
    let (bytes_fixed, bytes_per_million_pixels) = match header.format {
        OutputFormat::Png => (600, 54_000),
        OutputFormat::Jpeg => (450, 40_000),
        OutputFormat::Webp => (100, 6_000),
        // The gate reads no drawing of lines, so none has a header; one would be small by nature.
        OutputFormat::Svg => return false,
    };
    (header.coded_bytes as u64) < bytes_fixed + pixels * bytes_per_million_pixels / 1_000_000
}

#[cfg(test)]
mod tests;
