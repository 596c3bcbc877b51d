//! What comes in: an authenticated, parsed request with what identifies it.

use gallerist_domain::{Allowance, ImageRequest, Payer};
use jiff::Timestamp;
use std::sync::Arc;

/// A request at the door.
#[derive(Clone, Debug)]
pub struct Incoming {
    pub payer: Arc<Payer>,
    /// What the payer may use, and how much at a time.
    pub allowance: Arc<Allowance>,
    pub request: ImageRequest,
    /// SHA-256 of the body as it came (or another digest of everything that makes two requests the same).
    pub fingerprint: [u8; 32],
    /// The client's `Idempotency-Key`, 1 to 255 visible characters.
    pub idempotency_key: Option<String>,
    /// `x-stainless-retry-count`; 0 when absent.
    pub retry_count: u32,
    /// The acceptance of the request: the price instant.
    pub accepted_at: Timestamp,
}
