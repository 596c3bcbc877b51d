//! WebP: the RIFF length, and the size from VP8X, VP8L or VP8 (RFC 9649, sections 2 and 3; RFC 6386,
//! section 9.1).

use super::{Header, STEPS_MAX, animated, not_a_picture, truncated};
use crate::source::Source;
use crate::verdict::CheckFault;
use gallerist_domain::{OutputFormat, Size};

/// Animation flag of the VP8X chunk.
const ANIMATION: u8 = 0x02;

pub(super) fn read(source: &Source<'_>) -> Result<Header, CheckFault> {
    let Some(riff) = source.head().get(4..8) else { return Err(ends_early()) };
    // The RIFF length counts what follows it: the file without its first eight bytes.
    let stated = (little_endian(riff) as usize).saturating_add(8);
    if stated > source.len() {
        return Err(truncated(format!("the WebP file has {} of its {stated} bytes", source.len())));
    }
    let mut canvas = None;
    let mut at = 12;
    for _ in 0..STEPS_MAX {
        let chunk = source.read(at, 18)?;
        let (Some(kind), Some(length)) = (chunk.get(0..4), chunk.get(4..8)) else { return Err(ends_early()) };
        let (length, data) = (little_endian(length) as usize, &chunk[8..]);
        match kind {
            b"VP8X" => canvas = Some(extended_size(data)?),
            b"ANIM" | b"ANMF" => return Err(animated("the WebP file is an animation")),
            b"VP8L" | b"VP8 " => {
                let size = if kind == b"VP8L" { lossless_size(data) } else { lossy_size(data) }?;
                if at.saturating_add(8).saturating_add(length) > stated {
                    return Err(truncated("the WebP file ends inside its pixels"));
                }
                if canvas.is_some_and(|canvas| canvas != size) {
                    return Err(not_a_picture("the WebP file gives two sizes"));
                }
                return Ok(Header { format: OutputFormat::Webp, size, coded_bytes: length });
            }
            _ => {}
        }
        // Chunks of odd length are padded by one byte.
        at = at.saturating_add(8).saturating_add(length).saturating_add(length % 2);
    }
    Err(not_a_picture("the WebP file has too many chunks before its pixels"))
}

fn extended_size(data: &[u8]) -> Result<Size, CheckFault> {
    let &[flags, _, _, _, w0, w1, w2, h0, h1, h2] = data.first_chunk::<10>().ok_or_else(ends_early)?;
    if flags & ANIMATION != 0 {
        return Err(animated("the WebP file is an animation"));
    }
    Ok(Size::new(little_endian(&[w0, w1, w2]) + 1, little_endian(&[h0, h1, h2]) + 1))
}

/// One signature byte, then fourteen bits each for width and height less one.
fn lossless_size(data: &[u8]) -> Result<Size, CheckFault> {
    let [signature, bits @ ..] = data.first_chunk::<5>().ok_or_else(ends_early)?;
    if *signature != 0x2f {
        return Err(not_a_picture("the WebP pixels have no signature"));
    }
    let bits = little_endian(bits);
    Ok(Size::new((bits & 0x3fff) + 1, (bits >> 14 & 0x3fff) + 1))
}

/// Three bytes of frame tag, a start code, then fourteen bits each with two of scaling above them.
fn lossy_size(data: &[u8]) -> Result<Size, CheckFault> {
    let &[tag, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1] = data.first_chunk::<10>().ok_or_else(ends_early)?
    else {
        return Err(not_a_picture("the WebP pixels have no start code"));
    };
    if tag & 1 != 0 {
        return Err(not_a_picture("the WebP file begins with a frame that needs another"));
    }
    Ok(Size::new(little_endian(&[w0, w1]) & 0x3fff, little_endian(&[h0, h1]) & 0x3fff))
}

fn little_endian(bytes: &[u8]) -> u32 {
    bytes.iter().rev().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

fn ends_early() -> CheckFault {
    truncated("the WebP file ends before its pixels")
}
