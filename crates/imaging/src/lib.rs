//! Pixels: the gate that a made picture passes before it counts as delivered, and base64.
//!
//! This room owns what can be learned from a picture's bytes. It refuses files, network, async and
//! prices. Everything that it reads comes from outside: nothing here panics on any input, nothing is
//! decoded before its pixels are counted, and a decoder that panics is caught.
//!
//! [`check`] is the gate. Its usual depth reads a head and a tail of some hundred bytes, also out of
//! base64 text that lies in un-joined frames; only what looks blank is decoded. [`inspect`] is its cheap
//! half, for callers that decode on another thread. Next: `header.rs` for the formats, `source.rs` for
//! reading through base64, `pixels.rs` for the decoder behind limits.

mod base64;
mod gate;
mod header;
mod pixels;
mod source;
mod verdict;

pub use base64::{Base64Fault, decode_base64, encode_base64};
pub use gallerist_domain::Depth;
pub use gate::{check, check_pixels, inspect};
pub use verdict::{CheckFault, CheckFaultKind, CheckPolicy, Checked, Inspected};
