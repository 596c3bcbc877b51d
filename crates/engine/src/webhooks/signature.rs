//! Signatures after the Standard Webhooks specification (version 1.0.0, symmetric): HMAC-SHA256 over
//! `id.timestamp.body`, in base64 behind `v1,`; secrets in base64 behind `whsec_`.

use crate::shared::random_bytes;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use gallerist_store::SigningSecret;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const SECRET_PREFIX: &str = "whsec_";

/// A secret that nobody knows yet: 32 bytes, of which 244 bits are the system's randomness.
pub fn new_secret() -> SigningSecret {
    SigningSecret::new(blake3::hash(&random_bytes()).as_bytes().to_vec())
}

/// The secret as receivers' libraries take it: `whsec_…`. For its owner's eyes.
pub fn secret_text(secret: &SigningSecret) -> String {
    format!("{SECRET_PREFIX}{}", STANDARD.encode(secret.expose()))
}

/// The signature of a body that is sent under this id at this second.
pub(super) fn sign(secret: &SigningSecret, id: &str, timestamp_seconds: i64, body: &[u8]) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.expose()).expect("HMAC takes keys of every length");
    mac.update(format!("{id}.{timestamp_seconds}.").as_bytes());
    mac.update(body);
    format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_published_vector_and_with_openssl() {
        // Of the specification's reference libraries.
        let published = SigningSecret::new(STANDARD.decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap());
        assert_eq!(secret_text(&published), "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw");
        assert_eq!(
            sign(&published, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
        // printf '%s' 'msg_1.1780000000.{"type":"x"}' | openssl dgst -sha256 -mac HMAC -macopt hexkey:0707… -binary
        let own = SigningSecret::new(vec![7; 32]);
        assert_eq!(
            sign(&own, "msg_1", 1_780_000_000, br#"{"type":"x"}"#),
            "v1,hHRacAD1IJZQ6ruHUKKTRcLRCEqrAVe7FfQ99bhcA7o="
        );
    }

    #[test]
    fn secrets_differ_and_have_the_length_that_the_specification_asks_for() {
        let (one, other) = (new_secret(), new_secret());
        assert_ne!(one, other);
        assert!((24..=64).contains(&one.expose().len()));
        assert_eq!(secret_text(&one).len(), SECRET_PREFIX.len() + 44);
    }
}
