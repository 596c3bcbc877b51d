//! Reading what stands around a picture: headers, words for formats, data addresses.
//!
//! This module owns the small readings that every adapter needs and that say nothing about success or
//! failure (that is [`super::faults`]): which format a word names, which header is an id, how seconds become
//! microseconds. All functions are total: what cannot be read is absent, and nothing longer than its
//! bound is kept.

use crate::HttpReply;
use bytes::Bytes;
use gallerist_domain::{Chunks, Decimal, Meter, Metered, OutputFormat};

/// Longest header value that is kept as an id.
const ID_BYTES_MAX: usize = 200;

/// The format that a media type or a word names (`image/jpeg; q=1`, `jpg`, `PNG`).
pub fn format(word: &str) -> Option<OutputFormat> {
    let word = word.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match word.strip_prefix("image/").unwrap_or(&word) {
        "jpg" | "jpeg" => Some(OutputFormat::Jpeg),
        "png" => Some(OutputFormat::Png),
        "webp" => Some(OutputFormat::Webp),
        _ => None,
    }
}

/// The first of these headers that has a usable value, as the provider's id of the call.
pub fn request_id(reply: &HttpReply, names: &[&str]) -> Option<String> {
    names.iter().find_map(|name| id(reply.header(name)?))
}

/// A text as an id: not empty and of bounded length.
pub fn id(text: &str) -> Option<String> {
    (!text.is_empty() && text.len() <= ID_BYTES_MAX).then(|| text.to_owned())
}

/// Base64 text without a `data:image/png;base64,` in front, and the format that it named.
pub fn without_data_prefix(text: Chunks) -> (Chunks, Option<OutputFormat>) {
    // Media type and parameters of a picture fit well within this.
    let head = text.head(128);
    if !head.starts_with(b"data:") {
        return (text, None);
    }
    let Some(comma) = memchr::memchr(b',', &head) else { return (text, None) };
    let named = std::str::from_utf8(&head[5..comma]).ok().and_then(format);
    (text.slice(comma + 1..text.len()), named)
}

/// The counts that are known, as usage. A known zero is listed: it settles its meter.
pub fn usage<const N: usize>(counts: [(Meter, Option<i64>); N]) -> Vec<Metered> {
    let known =
        counts.into_iter().filter_map(|(meter, quantity)| Some(Metered { meter, quantity: quantity? }));
    known.filter(|metered| metered.quantity >= 0).collect()
}

/// Seconds in digits (`2.31`) as whole microseconds, rounded up; nothing for what is no such number.
pub fn microseconds(seconds: Decimal) -> Option<i64> {
    let micros = match seconds.to_units_exact(6) {
        Some(micros) => micros,
        // More than six digits after the point: the scale is above 6.
        None => seconds.mantissa() / 10i128.checked_pow(seconds.scale().checked_sub(6)?)? + 1,
    };
    (!seconds.mantissa().is_negative()).then(|| i64::try_from(micros).ok())?
}

/// Text as held bytes.
pub fn chunks(text: &str) -> Chunks {
    Chunks::from(Bytes::copy_from_slice(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_read_from_media_types_and_words() {
        assert_eq!(format("image/jpeg; charset=x"), Some(OutputFormat::Jpeg));
        assert_eq!(format("JPG"), Some(OutputFormat::Jpeg));
        assert_eq!(format("image/svg+xml"), None);
    }

    #[test]
    fn seconds_become_microseconds_rounded_up() {
        let micros = |text: &str| microseconds(text.parse().expect("a number"));
        assert_eq!(micros("2.31"), Some(2_310_000));
        assert_eq!(micros("2.3100001"), Some(2_310_001));
        assert_eq!(micros("1e-9"), Some(1));
        assert_eq!(micros("0"), Some(0));
        assert_eq!(micros("-1"), None);
        assert_eq!(micros("-0.00000001"), None);
        assert_eq!(micros("999999999999999999999999"), None);
    }

    #[test]
    fn a_data_prefix_is_cut_and_nothing_else() {
        let cut = |text: &str| {
            let (rest, format) = without_data_prefix(chunks(text));
            (rest.to_vec(), format)
        };
        assert_eq!(cut("data:image/webp;base64,UklG"), (b"UklG".to_vec(), Some(OutputFormat::Webp)));
        assert_eq!(cut("iVBO,data:"), (b"iVBO,data:".to_vec(), None));
        assert_eq!(cut("data:"), (b"data:".to_vec(), None));
    }
}
