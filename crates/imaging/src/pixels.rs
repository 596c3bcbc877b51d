//! Looking at the pixels: the decoder behind limits, and what blank means.
//!
//! The decoder is given a picture whose header was read by us: its pixels are counted and its frames
//! are one. It gets a bound on its own allocations besides, and a panic inside it (the library names
//! them as a known weakness) becomes a fault of this one picture.

use crate::verdict::{CheckFault, CheckFaultKind, CheckPolicy, Checked};
use bytes::Bytes;
use gallerist_domain::OutputFormat;
use image::{DynamicImage, ImageFormat, ImageReader, Limits};
use std::io::Cursor;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Greatest difference in a channel (0 to 255) that the eye takes for one colour.
const SPREAD_MAX: u8 = 4;

/// Memory that a decoder may use beyond the pixels themselves, for tables and rows.
const WORKING_BYTES: u64 = 32 << 20;

/// Decodes `file` and refuses it when it is blank or another size than its header said.
pub(crate) fn examine(file: &Bytes, checked: &Checked, policy: &CheckPolicy) -> Result<(), CheckFault> {
    let undecodable = |detail: String| CheckFault::new(CheckFaultKind::Undecodable, detail);
    let pixels = u64::from(checked.size.width) * u64::from(checked.size.height);
    if pixels > policy.pixels_max {
        return Err(CheckFault::new(
            CheckFaultKind::TooLarge,
            format!("{} is beyond the limit", checked.size),
        ));
    }
    let decoded = catch_unwind(AssertUnwindSafe(|| decode(file, checked)))
        .map_err(|_| undecodable("the decoder gave up on the file".to_owned()))?
        .map_err(|error| undecodable(format!("the pixels cannot be decoded: {error}")))?;
    if (decoded.width(), decoded.height()) != (checked.size.width, checked.size.height) {
        let detail = format!(
            "the header says {}, the pixels are {}x{}",
            checked.size,
            decoded.width(),
            decoded.height()
        );
        return Err(undecodable(detail));
    }
    if is_blank(&decoded) {
        return Err(CheckFault::new(CheckFaultKind::Blank, "the picture is blank: all its pixels are alike"));
    }
    Ok(())
}

fn decode(file: &Bytes, checked: &Checked) -> image::ImageResult<DynamicImage> {
    let format = match checked.format {
        OutputFormat::Png => ImageFormat::Png,
        OutputFormat::Jpeg => ImageFormat::Jpeg,
        OutputFormat::Webp => ImageFormat::WebP,
        // It has no pixels before it is drawn, and drawing what strangers wrote is a risk of its own.
        OutputFormat::Svg => {
            let hint = image::error::ImageFormatHint::Name("svg".to_owned());
            return Err(image::ImageError::Unsupported(hint.into()));
        }
    };
    let mut limits = Limits::default();
    limits.max_image_width = Some(checked.size.width);
    limits.max_image_height = Some(checked.size.height);
    let pixels = u64::from(checked.size.width) * u64::from(checked.size.height);
    limits.max_alloc = Some(pixels * 16 + WORKING_BYTES);
    let mut reader = ImageReader::with_format(Cursor::new(file), format);
    reader.limits(limits);
    reader.decode()
}

/// All pixels almost equal, or none visible.
fn is_blank(picture: &DynamicImage) -> bool {
    match picture {
        DynamicImage::ImageRgb8(pixels) => spread_is_small::<3>(pixels.as_raw()),
        DynamicImage::ImageLuma8(pixels) => spread_is_small::<1>(pixels.as_raw()),
        DynamicImage::ImageRgba8(pixels) => visible_spread_is_small(pixels.as_raw()),
        other => visible_spread_is_small(other.to_rgba8().as_raw()),
    }
}

/// Stops at the first pixel that differs, so that a real picture is decided in its first rows.
fn spread_is_small<const CHANNELS: usize>(samples: &[u8]) -> bool {
    let mut range = [(u8::MAX, u8::MIN); CHANNELS];
    samples.as_chunks::<CHANNELS>().0.iter().all(|pixel| widen(&mut range, pixel))
}

/// As above, but pixels of no opacity have no colour.
fn visible_spread_is_small(samples: &[u8]) -> bool {
    let mut range = [(u8::MAX, u8::MIN); 4];
    samples.as_chunks::<4>().0.iter().all(|[red, green, blue, alpha]| match alpha {
        0 => widen(&mut range, &[0, 0, 0, 0]),
        _ => widen(&mut range, &[*red, *green, *blue, *alpha]),
    })
}

fn widen<const CHANNELS: usize>(range: &mut [(u8, u8); CHANNELS], pixel: &[u8; CHANNELS]) -> bool {
    range.iter_mut().zip(pixel).all(|((least, most), value)| {
        (*least, *most) = ((*least).min(*value), (*most).max(*value));
        *most - *least <= SPREAD_MAX
    })
}

#[cfg(test)]
mod tests;
