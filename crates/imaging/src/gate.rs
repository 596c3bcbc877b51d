//! The gate: what must be true of a picture before it counts as delivered.
//!
//! The order is from cheap to dear: length, first bytes, header, pixel count, end marker, size, bytes
//! per pixel. A picture that compressed to almost nothing is only suspected, because a legitimate flat
//! drawing does so too: it is decoded, and blank when all its pixels are almost equal.
//!
//! The thresholds were measured on pictures of one colour and on soft gradients, by format; the figures
//! stand at [`suspicious`]. The formats themselves are read in `header.rs`.

use crate::header::{Header, read_header};
use crate::pixels::examine;
use crate::source::Source;
use crate::verdict::{CheckFault, CheckFaultKind, CheckPolicy, Checked, Inspected};
use gallerist_domain::{Depth, ImageData, OutputFormat};

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
