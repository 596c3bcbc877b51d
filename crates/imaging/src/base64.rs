//! Base64 of held bytes: standard alphabet, padded (RFC 4648 section 4), from frames that are not joined.
//!
//! The text of a picture crosses frame borders at any character, so groups of four that straddle a
//! border are put together on the stack and everything else is handed to the engine in place. It
//! refuses text without padding and text with line breaks: such text would reach the client unchanged
//! and fail there.

use base64::Engine;
use base64::engine::GeneralPurposeConfig;
use base64::engine::general_purpose::{NO_PAD, PAD};
use bytes::Bytes;
use gallerist_domain::Chunks;
use thiserror::Error;

/// Why a text is not base64.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("not base64: {0}")]
pub struct Base64Fault(pub(crate) String);

/// The bytes that `text` stands for, in one buffer.
pub fn decode_base64(text: &Chunks) -> Result<Vec<u8>, Base64Fault> {
    let mut out = vec![0; decoded_length(text)?];
    if text.is_empty() {
        return Ok(out);
    }
    // All but the last group: the only one that may be padded.
    let body = text.slice(0..text.len() - 4);
    let engine = inner_engine();
    let mut straddling = [0; 4];
    let (mut held, mut written) = (0, 0);
    for part in body.parts() {
        let mut rest = &part[..];
        if held > 0 {
            let taken = rest.len().min(4 - held);
            straddling[held..held + taken].copy_from_slice(&rest[..taken]);
            held += taken;
            rest = &rest[taken..];
            if held < 4 {
                continue;
            }
            written += decode_into(&engine, &straddling, &mut out[written..])?;
        }
        let (whole, left) = rest.split_at(rest.len() / 4 * 4);
        written += decode_into(&engine, whole, &mut out[written..])?;
        straddling[..left.len()].copy_from_slice(left);
        held = left.len();
    }
    decode_into(&last_engine(), &text.tail(4), &mut out[written..])?;
    Ok(out)
}

/// The base64 text of `bytes`, written once into one buffer.
pub fn encode_base64(bytes: &Chunks) -> Bytes {
    let mut out = vec![0; bytes.len().div_ceil(3) * 4];
    let engine = last_engine();
    let mut straddling = [0; 3];
    let (mut held, mut written) = (0, 0);
    for part in bytes.parts() {
        let mut rest = &part[..];
        if held > 0 {
            let taken = rest.len().min(3 - held);
            straddling[held..held + taken].copy_from_slice(&rest[..taken]);
            held += taken;
            rest = &rest[taken..];
            if held < 3 {
                continue;
            }
            written += encode_into(&engine, &straddling, &mut out[written..]);
        }
        let (whole, left) = rest.split_at(rest.len() / 3 * 3);
        written += encode_into(&engine, whole, &mut out[written..]);
        straddling[..left.len()].copy_from_slice(left);
        held = left.len();
    }
    written += encode_into(&engine, &straddling[..held], &mut out[written..]);
    debug_assert_eq!(written, out.len());
    Bytes::from(out)
}

/// How many bytes `text` stands for, by its length and padding alone.
pub(crate) fn decoded_length(text: &Chunks) -> Result<usize, Base64Fault> {
    if !text.len().is_multiple_of(4) {
        return Err(Base64Fault(format!("{} characters are no whole number of groups of four", text.len())));
    }
    let padding = text.tail(2).iter().filter(|byte| **byte == b'=').count();
    Ok(text.len() / 4 * 3 - padding)
}

/// The bytes from `offset` on, at most `count`, without decoding what lies before or after. The
/// caller has checked the text's length by [`decoded_length`].
pub(crate) fn decode_range(text: &Chunks, offset: usize, count: usize) -> Result<Vec<u8>, Base64Fault> {
    let start = offset / 3 * 4;
    let end = offset.saturating_add(count).div_ceil(3).saturating_mul(4).min(text.len());
    if start >= end {
        return Ok(Vec::new());
    }
    let part = text.slice(start..end).to_vec();
    let decoded = if end == text.len() { last_engine().decode(&part) } else { inner_engine().decode(&part) };
    let mut bytes = decoded.map_err(|error| Base64Fault(error.to_string()))?;
    bytes.drain(..(offset % 3).min(bytes.len()));
    bytes.truncate(count);
    Ok(bytes)
}

fn decode_into(engine: &impl Engine, text: &[u8], out: &mut [u8]) -> Result<usize, Base64Fault> {
    engine.decode_slice(text, out).map_err(|error| Base64Fault(error.to_string()))
}

fn encode_into(engine: &impl Engine, bytes: &[u8], out: &mut [u8]) -> usize {
    engine.encode_slice(bytes, out).expect("the buffer has room for four characters per three bytes")
}

/// For groups in the middle of a text, where padding is a mistake.
fn inner_engine() -> FastEngine {
    fast_engine(NO_PAD)
}

fn last_engine() -> FastEngine {
    fast_engine(PAD)
}

/// Chooses its instructions at run time; the plain engine where the library has no fast one.
#[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon")))]
type FastEngine = base64::engine::Simd;

#[cfg(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon")))]
fn fast_engine(config: GeneralPurposeConfig) -> FastEngine {
    FastEngine::standard(config)
}

#[cfg(not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon"))))]
type FastEngine = base64::engine::GeneralPurpose;

#[cfg(not(any(target_arch = "x86_64", all(target_arch = "aarch64", target_feature = "neon"))))]
fn fast_engine(config: GeneralPurposeConfig) -> FastEngine {
    FastEngine::new(&base64::alphabet::STANDARD, config)
}

#[cfg(test)]
mod tests;
