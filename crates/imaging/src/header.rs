//! Headers: format by first bytes, dimensions, end marker, and where the coded pixels begin.
//!
//! One file per format below. Each reads what its specification demands of every file and tolerates
//! what real encoders do: metadata of any usual length before the pixels, padding after the end. It
//! refuses files of several frames, because a client that asked for a picture would be given a film.
//! Nothing is decompressed here.

mod jpeg;
mod png;
mod webp;

use crate::source::Source;
use crate::verdict::{CheckFault, CheckFaultKind};
use gallerist_domain::{OutputFormat, Size};

/// What a file says about itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Header {
    pub format: OutputFormat,
    pub size: Size,
    /// Bytes from the first coded pixel to the end of the file: what is left without the metadata
    /// in front, which would hide how little a blank picture takes.
    pub coded_bytes: usize,
}

/// Most segments or chunks that are walked before a file is refused.
const STEPS_MAX: usize = 4_096;

/// Reads the header of `source` and looks for its end marker.
pub(crate) fn read_header(source: &Source<'_>) -> Result<Header, CheckFault> {
    let head = source.head();
    let header = if head.starts_with(png::SIGNATURE) {
        png::read(source)?
    } else if head.starts_with(&[0xff, 0xd8, 0xff]) {
        jpeg::read(source)?
    } else if head.starts_with(b"RIFF") && head.get(8..12) == Some(b"WEBP") {
        webp::read(source)?
    } else {
        return Err(not_a_picture(unknown(head)));
    };
    if header.size.width == 0 || header.size.height == 0 {
        return Err(not_a_picture("the header gives a size of zero"));
    }
    Ok(header)
}

/// Names what was sent instead, from a closed list: the bytes themselves are not repeated.
fn unknown(head: &[u8]) -> &'static str {
    let text = head.trim_ascii_start();
    match head {
        [] => "the picture is empty",
        _ if head.starts_with(b"GIF8") => "the file is a GIF, not PNG, JPEG or WebP",
        _ if head.get(4..8) == Some(b"ftyp") => "the file is AVIF, HEIF or a film, not PNG, JPEG or WebP",
        _ if head.starts_with(b"BM") => "the file is a BMP, not PNG, JPEG or WebP",
        _ if text.starts_with(b"<") => "the file is HTML, XML or SVG, not PNG, JPEG or WebP",
        _ if text.starts_with(b"{") || text.starts_with(b"[") => "the file is JSON, not PNG, JPEG or WebP",
        _ => "the first bytes belong to no PNG, JPEG or WebP file",
    }
}

fn not_a_picture(detail: impl Into<String>) -> CheckFault {
    CheckFault::new(CheckFaultKind::NotAPicture, detail)
}

fn truncated(detail: impl Into<String>) -> CheckFault {
    CheckFault::new(CheckFaultKind::Truncated, detail)
}

fn animated(detail: impl Into<String>) -> CheckFault {
    CheckFault::new(CheckFaultKind::Animated, detail)
}
