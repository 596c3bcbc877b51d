//! The first keys of a store: those that the environment names, or fresh ones that are shown once.
//!
//! A store without an admin key gets one, and an empty store a key of project `default` too. Fresh keys go
//! to a terminal or into a file that only its owner reads, never into a log. The file is written before the
//! store knows the keys, so that a crash between the two locks nobody out.

use crate::config::Environment;
use crate::failure::{Failure, Result};
use gallerist_domain::{ProjectId, Scope, Scopes};
use gallerist_server::{FreshKey, key_digest, new_key};
use gallerist_store::{NewKey, Store, StoreError};
use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

pub const ADMIN_KEY: &str = "GALLERIST_ADMIN_KEY";
pub const API_KEY: &str = "GALLERIST_API_KEY";

/// Shortest key that is taken from the environment.
const KEY_CHARACTERS_MIN: usize = 8;
/// Longest key that the gateway looks at.
const KEY_CHARACTERS_MAX: usize = 512;

/// The file in the data directory that holds fresh keys, in the form of an environment file.
pub fn file(data_dir: &Path) -> PathBuf {
    data_dir.join("gallerist.keys")
}

/// The value of `variable` in that file, if there is one.
pub fn from_file(data_dir: &Path, variable: &str) -> Option<SecretString> {
    let text = std::fs::read_to_string(file(data_dir)).ok()?;
    let value = text.lines().find_map(|line| line.strip_prefix(variable)?.strip_prefix('='))?;
    Some(SecretString::from(value.trim()))
}

/// What was made, to be shown.
#[derive(Debug, Default)]
pub struct FirstKeys {
    /// Variable and key, for each fresh one.
    pub fresh: Vec<(&'static str, SecretString)>,
    /// Where they were written, when there is no terminal to show them on.
    pub file: Option<PathBuf>,
    pub remarks: Vec<String>,
}

/// Makes what is missing.
///
/// # Errors
/// When a key of the environment cannot be one, or the store or the file fails.
pub async fn ensure(
    store: &Store,
    environment: &Environment,
    on_terminal: bool,
    now: Timestamp,
) -> Result<FirstKeys> {
    let empty = !store.has_keys();
    let admin_missing = empty || !has_admin(store, now).await?;
    let wanted = [(ADMIN_KEY, Scopes::ADMIN, admin_missing), (API_KEY, Scopes::USUAL, empty)];
    let mut keys = FirstKeys::default();
    let mut records = Vec::new();
    for (variable, role, missing) in wanted {
        let named = environment.get(variable);
        match (named, missing) {
            (Some(key), true) => records.push(named_key(variable, &key, role)?),
            (Some(key), false) if store.key_by_digest(&key_digest(&key), now).is_none() => {
                let advice = "only an empty store takes it; `gallerist keys create` makes another";
                keys.remarks
                    .push(format!("{variable} is set, but this store does not know that key: {advice}"));
            }
            (None, true) => {
                let fresh = new_key();
                records.push(record(&fresh, variable, role));
                keys.fresh.push((variable, fresh.secret));
            }
            _ => {}
        }
    }
    if let [first, second] = &records[..]
        && first.sha256 == second.sha256
    {
        return Err(Failure::usage(format!("{ADMIN_KEY} and {API_KEY} are the same: give each its own key")));
    }
    if !keys.fresh.is_empty() && !on_terminal {
        keys.file = Some(write(store.data_dir(), &keys.fresh)?);
    }
    // Started together, they share a commit.
    let create = async |record: NewKey| match store.create_key(record, now).await {
        // Another replica that starts at the same moment has been given the same key.
        Err(StoreError::Exists(_)) if store.is_shared() => Ok(()),
        outcome => outcome,
    };
    let mut pending = records.into_iter().map(create);
    match (pending.next(), pending.next()) {
        (Some(first), Some(second)) => {
            tokio::try_join!(first, second)?;
        }
        (Some(only), None) => only.await?,
        _ => {}
    }
    Ok(keys)
}

async fn has_admin(store: &Store, now: Timestamp) -> Result<bool> {
    let keys = store.list_keys().await?;
    Ok(keys.iter().any(|key| key.scopes.allow(Scope::Admin) && key.is_good(now)))
}

fn record(fresh: &FreshKey, variable: &str, scopes: Scopes) -> NewKey {
    fresh.record(ProjectId::default_project(), name(variable), scopes, None)
}

fn name(variable: &str) -> &'static str {
    if variable == ADMIN_KEY { "first admin key" } else { "first key" }
}

/// A key that somebody else made. Little of it may be displayed, since it may be short.
fn named_key(variable: &str, key: &str, scopes: Scopes) -> Result<NewKey> {
    let plain = key.bytes().all(|byte| byte.is_ascii_graphic());
    if !plain || !(KEY_CHARACTERS_MIN..=KEY_CHARACTERS_MAX).contains(&key.len()) {
        let range = format!("{KEY_CHARACTERS_MIN} to {KEY_CHARACTERS_MAX}");
        return Err(Failure::usage(format!("{variable} must have {range} visible ASCII characters")));
    }
    let mut record = record(&new_key(), variable, scopes);
    record.sha256 = key_digest(key);
    record.prefix = key[..(key.len() / 4).min(8)].to_owned();
    Ok(record)
}

/// Writes these keys into the file of the data directory, which only its owner reads. What it holds of other
/// variables stays: it may be the only copy.
///
/// # Errors
/// When it cannot be written.
pub fn write(data_dir: &Path, keys: &[(&'static str, SecretString)]) -> Result<PathBuf> {
    let path = file(data_dir);
    let ours = |line: &&str| keys.iter().any(|(name, _)| line.split('=').next() == Some(*name));
    let before = std::fs::read_to_string(&path).unwrap_or_default();
    let mut text: String =
        before.lines().filter(|line| !ours(line)).map(|line| format!("{line}\n")).collect();
    for (variable, key) in keys {
        text.push_str(&format!("{variable}={}\n", key.expose_secret()));
    }
    let written = match std::fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => create_private(&path, text.as_bytes()),
    };
    written.map_err(|error| Failure::because(format!("{} cannot be written", path.display()), &error))?;
    Ok(path)
}

fn create_private(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut file = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn block_on<T>(work: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
    }

    #[test]
    fn an_empty_store_takes_the_keys_of_the_environment() {
        block_on(async {
            let now = Timestamp::now();
            let store = Store::open_temporary(now).unwrap();
            let environment = Environment::from([(API_KEY, "sk-bench-client")]);
            let made = ensure(&store, &environment, true, now).await.unwrap();
            assert_eq!(made.fresh.len(), 1, "the admin key is fresh");
            let key = store.key_by_digest(&key_digest("sk-bench-client"), now).unwrap();
            assert_eq!((key.scopes, key.prefix.as_str()), (Scopes::USUAL, "sk-"));
            let again =
                ensure(&store, &Environment::from([(API_KEY, "sk-another")]), true, now).await.unwrap();
            assert!(again.fresh.is_empty());
            assert!(again.remarks[0].starts_with("GALLERIST_API_KEY is set, but"));
            assert!(!again.remarks[0].contains("sk-another"));
        });
    }

    #[test]
    fn fresh_keys_go_into_a_private_file_without_a_terminal() {
        block_on(async {
            let now = Timestamp::now();
            let store = Store::open_temporary(now).unwrap();
            let made = ensure(&store, &Environment::default(), false, now).await.unwrap();
            let path = made.file.unwrap();
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
            let admin = from_file(store.data_dir(), ADMIN_KEY).unwrap();
            let digest = key_digest(admin.expose_secret());
            assert_eq!(store.key_by_digest(&digest, now).unwrap().scopes, Scopes::ADMIN);
            assert!(!format!("{:?}", made.fresh).contains(admin.expose_secret()));
        });
    }

    #[test]
    fn a_store_without_an_admin_key_gets_one() {
        block_on(async {
            let now = Timestamp::now();
            let store = Store::open_temporary(now).unwrap();
            let key = new_key();
            store.create_key(record(&key, API_KEY, Scopes::USUAL), now).await.unwrap();
            let made = ensure(&store, &Environment::default(), true, now).await.unwrap();
            assert_eq!(made.fresh.len(), 1);
            assert_eq!(made.fresh[0].0, ADMIN_KEY);
        });
    }

    #[test]
    fn two_names_for_one_key_and_keys_that_cannot_be_sent_are_refused() {
        block_on(async {
            let now = Timestamp::now();
            let store = Store::open_temporary(now).unwrap();
            let same = Environment::from([(API_KEY, "sk-the-same"), (ADMIN_KEY, "sk-the-same")]);
            assert_eq!(ensure(&store, &same, true, now).await.unwrap_err().exit, 2);
            let short = Environment::from([(API_KEY, "short")]);
            let failure = ensure(&store, &short, true, now).await.unwrap_err();
            assert!(failure.message.contains("8 to 512") && !failure.message.contains("short"));
            assert!(!store.has_keys());
        });
    }
}
