//! JPEG: the segments up to the first scan, EOI (ITU-T T.81, annex B).
//!
//! The frame header may lie behind many kilobytes of EXIF, ICC profile or provenance manifest, so the
//! segments are walked by their lengths; each step reads four bytes.

use super::{Header, STEPS_MAX, not_a_picture, truncated};
use crate::source::Source;
use crate::verdict::CheckFault;
use gallerist_domain::{OutputFormat, Size};

/// Padding after the end marker that is tolerated, in bytes.
const PADDING_MAX: usize = 1_024;

pub(super) fn read(source: &Source<'_>) -> Result<Header, CheckFault> {
    let (size, scan_at) = walk_segments(source)?;
    find_end(source, scan_at)?;
    Ok(Header { format: OutputFormat::Jpeg, size, coded_bytes: source.len() - scan_at })
}

/// The size from the frame header, and the offset of the first scan.
fn walk_segments(source: &Source<'_>) -> Result<(Size, usize), CheckFault> {
    let mut at = 2;
    let mut size = None;
    for _ in 0..STEPS_MAX {
        let segment = source.read(at, 9)?;
        let (&[0xff, marker], rest) = segment.split_first_chunk::<2>().ok_or_else(ends_early)? else {
            return Err(not_a_picture("the JPEG file has bytes between its segments"));
        };
        match marker {
            // Fill bytes before a marker.
            0xff => {
                at += 1;
                continue;
            }
            // Markers without a length: restarts and TEM.
            0x01 | 0xd0..=0xd7 => {
                at += 2;
                continue;
            }
            0x00 | 0xd8 | 0xd9 => return Err(not_a_picture("the JPEG file ends before its pixels")),
            _ => {}
        }
        let length = usize::from(u16::from_be_bytes(*rest.first_chunk().ok_or_else(ends_early)?));
        if length < 2 {
            return Err(not_a_picture("a JPEG segment has no length"));
        }
        match marker {
            // Start of frame, all codings; C4, C8 and CC are tables and a reserved word.
            0xc0..=0xcf if !matches!(marker, 0xc4 | 0xc8 | 0xcc) => {
                let &[_, _, _, high, low, wide, narrow] = rest.first_chunk().ok_or_else(ends_early)?;
                let (height, width) = (u16::from_be_bytes([high, low]), u16::from_be_bytes([wide, narrow]));
                size = Some(Size::new(width.into(), height.into()));
            }
            0xda => {
                let size = size.ok_or_else(|| not_a_picture("the JPEG file has pixels before its size"))?;
                return Ok((size, at));
            }
            _ => {}
        }
        at += 2 + length;
    }
    Err(not_a_picture("the JPEG file has too many segments before its pixels"))
}

/// Looks for EOI at the end, behind whatever an encoder padded the file with.
fn find_end(source: &Source<'_>, scan_at: usize) -> Result<(), CheckFault> {
    if source.tail(2)? == [0xff, 0xd9] {
        return Ok(());
    }
    let after_scan = source.len().saturating_sub(scan_at);
    let tail = source.tail(PADDING_MAX.min(after_scan))?;
    // Within coded pixels FF is always followed by 00 or a restart, so this pair is no accident.
    if tail.windows(2).any(|pair| pair == [0xff, 0xd9]) {
        return Ok(());
    }
    Err(truncated("the JPEG file has no end marker"))
}

fn ends_early() -> CheckFault {
    truncated("the JPEG file ends before its pixels")
}
