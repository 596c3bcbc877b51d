//! PNG: IHDR, the chunks before the pixels, IEND (PNG specification, third edition, sections 5 and 11).

use super::{Header, STEPS_MAX, animated, not_a_picture, truncated};
use crate::source::Source;
use crate::verdict::CheckFault;
use gallerist_domain::{OutputFormat, Size};

pub(super) const SIGNATURE: &[u8] = b"\x89PNG\r\n\x1a\n";

/// A chunk's length (4), type (4) and checksum (4), without its data.
const FRAME: usize = 12;

/// The last chunk is the same in every file.
const END: [u8; FRAME] = [0, 0, 0, 0, b'I', b'E', b'N', b'D', 0xae, 0x42, 0x60, 0x82];

pub(super) fn read(source: &Source<'_>) -> Result<Header, CheckFault> {
    let size = read_ihdr(source)?;
    let pixels_at = find_pixels(source)?;
    if source.tail(FRAME)? != END {
        find_end(source, pixels_at)?;
    }
    Ok(Header { format: OutputFormat::Png, size, coded_bytes: source.len() - pixels_at })
}

fn read_ihdr(source: &Source<'_>) -> Result<Size, CheckFault> {
    let Some((fields, checksum)) = source.head().get(12..33).map(|chunk| chunk.split_at(17)) else {
        return Err(truncated("the PNG file ends inside its header"));
    };
    let length = source.head().get(8..12).unwrap_or_default();
    if length != [0, 0, 0, 13] || &fields[..4] != b"IHDR" || checksum != crc32(fields).to_be_bytes() {
        return Err(not_a_picture("the PNG header is damaged"));
    }
    let (depth, colour, compression, filter, interlace) =
        (fields[12], fields[13], fields[14], fields[15], fields[16]);
    let depth_fits = match colour {
        0 => matches!(depth, 1 | 2 | 4 | 8 | 16),
        3 => matches!(depth, 1 | 2 | 4 | 8),
        2 | 4 | 6 => matches!(depth, 8 | 16),
        _ => false,
    };
    if !depth_fits || compression != 0 || filter != 0 || interlace > 1 {
        return Err(not_a_picture("the PNG header names a form that does not exist"));
    }
    Ok(Size::new(big_endian(&fields[4..8]), big_endian(&fields[8..12])))
}

/// The offset of the first IDAT chunk. Refuses animation, whose control chunk must come before.
fn find_pixels(source: &Source<'_>) -> Result<usize, CheckFault> {
    let mut at = SIGNATURE.len();
    for _ in 0..STEPS_MAX {
        let chunk = source.read(at, 8)?;
        match chunk.get(4..8) {
            Some(b"IDAT") => return Ok(at),
            Some(b"acTL") => return Err(animated("the PNG file is an animation")),
            Some(b"IEND") => return Err(not_a_picture("the PNG file has no pixels")),
            Some(_) => at = after(at, &chunk),
            None => return Err(truncated("the PNG file ends before its pixels")),
        }
    }
    Err(not_a_picture("the PNG file has too many chunks before its pixels"))
}

/// Walks the rest of a file that does not end with IEND: bytes after the end are harmless, a missing
/// end is not.
fn find_end(source: &Source<'_>, pixels_at: usize) -> Result<(), CheckFault> {
    let mut at = pixels_at;
    for _ in 0..STEPS_MAX {
        let chunk = source.read(at, FRAME)?;
        if chunk == END {
            return Ok(());
        }
        if chunk.len() < FRAME {
            break;
        }
        at = after(at, &chunk);
    }
    Err(truncated("the PNG file has no end marker"))
}

fn after(at: usize, chunk: &[u8]) -> usize {
    at.saturating_add(FRAME).saturating_add(big_endian(&chunk[..4]) as usize)
}

fn big_endian(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

/// The checksum of a chunk (PNG specification, annex D); bit by bit, for seventeen bytes.
fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, byte| {
        (0..8).fold(
            crc ^ u32::from(*byte),
            |crc, _| if crc & 1 == 1 { 0xedb8_8320 ^ (crc >> 1) } else { crc >> 1 },
        )
    })
}
