//! Client keys: how they are made and by what they are known.
//!
//! A key is `gal-<id>-<secret>`: the id is public and names the key in lists, the secret is 32 bytes of the
//! system's randomness. Only the SHA-256 of the whole text is ever kept; a fast digest is enough because the
//! secret cannot be guessed.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use gallerist_domain::{Grants, ProjectId, RateLimits, Scopes};
use gallerist_store::NewKey;
use jiff::Timestamp;
use secrecy::SecretString;
use sha2::{Digest, Sha256};

const SECRET_BYTES: usize = 32;
const ID_BYTES: usize = 6;

/// A key that was just made. The secret is shown once and never stored.
#[derive(Debug)]
pub struct FreshKey {
    /// Twelve hexadecimal digits.
    pub id: String,
    /// The whole key, as the client sends it.
    pub secret: SecretString,
    /// SHA-256 of the whole key.
    pub sha256: [u8; 32],
    /// `gal-<id>`: what may be displayed.
    pub prefix: String,
}

/// Makes a key.
///
/// # Panics
/// When the system has no randomness to give; no key may be made then.
pub fn new_key() -> FreshKey {
    let mut random = [0u8; ID_BYTES];
    getrandom::fill(&mut random).expect("the system gives random bytes");
    let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
    new_secret(&id)
}

/// Makes a secret for the key of this id.
///
/// # Panics
/// As [`new_key`].
pub fn new_secret(id: &str) -> FreshKey {
    let mut random = [0u8; SECRET_BYTES];
    getrandom::fill(&mut random).expect("the system gives random bytes");
    let prefix = format!("gal-{id}");
    let text = format!("{prefix}-{}", URL_SAFE_NO_PAD.encode(random));
    FreshKey { id: id.to_owned(), sha256: key_digest(&text), secret: SecretString::from(text), prefix }
}

/// By what a key is known to the store.
pub fn key_digest(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

impl FreshKey {
    /// The record to store, of a key that may use everything without limits; `expires_at` absent means never.
    pub fn record(
        &self,
        project: ProjectId,
        name: &str,
        scopes: Scopes,
        expires_at: Option<Timestamp>,
    ) -> NewKey {
        NewKey {
            id: self.id.clone(),
            project,
            name: name.to_owned(),
            scopes,
            sha256: self.sha256,
            prefix: self.prefix.clone(),
            expires_at,
            grants: Grants::default(),
            limits: RateLimits::NONE,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use secrecy::ExposeSecret;

    #[test]
    fn keys_differ_and_are_known_by_their_digest() {
        let (one, other) = (new_key(), new_key());
        assert_ne!(one.secret.expose_secret(), other.secret.expose_secret());
        assert_eq!(key_digest(one.secret.expose_secret()), one.sha256);
        assert!(one.secret.expose_secret().starts_with(&format!("gal-{}-", one.id)));
        assert_eq!(one.secret.expose_secret().len(), "gal-".len() + 12 + 1 + 43);
        assert!(!format!("{one:?}").contains(&one.secret.expose_secret()[17..]));
    }
}
