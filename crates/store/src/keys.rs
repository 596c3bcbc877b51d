//! Client keys: kept as SHA-256 digests, looked up in memory, written through the writer.
//!
//! The map in memory holds the keys that are not revoked; the writer reads it again after each commit that
//! changed a key and before that change is answered; what other replicas change is read within a second. No key itself is ever seen here.

use gallerist_domain::ProjectId;
use jiff::Timestamp;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use crate::sql::{Row, Sql, params};
use crate::words::{self, KeyRole, micros, statements};
use crate::{Store, StoreError};

/// A key as it is made. The caller makes the secret, its digest and its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    pub id: String,
    pub project: ProjectId,
    /// For people.
    pub name: String,
    pub role: KeyRole,
    /// SHA-256 of the whole key.
    pub sha256: [u8; 32],
    /// The first characters, for display.
    pub prefix: String,
    pub expires_at: Option<Timestamp>,
}

/// A key without its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    pub id: String,
    pub project: ProjectId,
    pub name: String,
    pub role: KeyRole,
    pub prefix: String,
    pub created_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
}

statements! {
    KEY_TAKEN = "SELECT 1 FROM keys WHERE id = ?1 OR sha256 = ?2";
    KEY_INSERT = "INSERT INTO keys (id, project, name, role, sha256, prefix, created_at, expires_at)
        SELECT ?1, number, ?3, ?4, ?5, ?6, ?7, ?8 FROM projects WHERE name = ?2";
    KEY_REVOKE = "UPDATE keys SET revoked_at = coalesce(revoked_at, ?2) WHERE id = ?1";
    KEYS = "SELECT k.id, p.name, k.name, k.role, k.prefix, k.created_at, k.revoked_at, k.expires_at, k.sha256
        FROM keys k JOIN projects p ON p.number = k.project ORDER BY k.created_at, k.id";
}

/// Pause between two readings of all keys because one was not known.
const KEYS_READ_PAUSE: Duration = Duration::from_millis(100);

/// The keys that are not revoked, by digest.
#[derive(Default)]
pub(crate) struct LiveKeys {
    /// Held while the keys are read, so that what was read last is also kept last.
    loading: Mutex<()>,
    by_digest: RwLock<HashMap<[u8; 32], Arc<KeyRecord>>>,
}

impl LiveKeys {
    pub(crate) fn load(&self, connection: &dyn Sql) -> Result<(), StoreError> {
        let _loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fresh = HashMap::new();
        let all: Vec<_> =
            connection.query_all(KEYS, params![], |row| Ok((row.get::<[u8; 32]>(8)?, record(row)?)))?;
        for (digest, key) in all {
            if key.revoked_at.is_none() {
                fresh.insert(digest, Arc::new(key));
            }
        }
        *self.by_digest.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }
}

impl Store {
    /// The key with this SHA-256 if it is neither revoked nor expired at `now`. From memory, without
    /// waiting.
    pub fn key_by_digest(&self, sha256: &[u8; 32], now: Timestamp) -> Option<Arc<KeyRecord>> {
        let keys = self.inner.keys.by_digest.read().unwrap_or_else(PoisonError::into_inner);
        let key = keys.get(sha256)?;
        let live = key.expires_at.is_none_or(|at| now < at);
        live.then(|| Arc::clone(key))
    }

    /// As [`Store::key_by_digest`], but a key that is not known is looked for in a database that others write
    /// to, too. However many ask at once, it is read by one of them.
    pub async fn find_key(&self, sha256: &[u8; 32], now: Timestamp) -> Option<Arc<KeyRecord>> {
        if let Some(found) = self.key_by_digest(sha256, now) {
            return Some(found);
        }
        self.inner.replica.as_ref()?;
        let asked = Instant::now();
        let mut read = self.inner.keys_read.lock().await;
        if read.is_none_or(|read| read < asked) {
            // Whoever guesses keys must not keep the database busy.
            let since = read.map_or(KEYS_READ_PAUSE, |read| read.elapsed());
            tokio::time::sleep(KEYS_READ_PAUSE.saturating_sub(since)).await;
            *read = Some(Instant::now());
            let keys = Arc::clone(&self.inner.keys);
            let loaded = self.inner.readers.read(move |connection| keys.load(connection)).await;
            if let Err(error) = loaded {
                tracing::warn!(%error, "the keys could not be read again");
            }
        }
        drop(read);
        self.key_by_digest(sha256, now)
    }

    /// Whether any key that is not revoked exists; false on a new store.
    pub fn has_keys(&self) -> bool {
        !self.inner.keys.by_digest.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Refused with [`StoreError::Exists`] if the id or the digest is taken.
    pub async fn create_key(&self, key: NewKey, now: Timestamp) -> Result<(), StoreError> {
        self.write(move |writing| {
            let connection = writing.connection;
            if connection.exists(KEY_TAKEN, params![key.id, key.sha256])? {
                return Err(StoreError::Exists(format!("key {}", key.id)));
            }
            let inserted = connection.execute(
                KEY_INSERT,
                params![
                    key.id,
                    key.project.as_str(),
                    key.name,
                    key.role.as_str(),
                    key.sha256,
                    key.prefix,
                    micros(now),
                    key.expires_at.map(micros)
                ],
            )?;
            if inserted == 0 {
                return Err(StoreError::UnknownProject(key.project.clone()));
            }
            writing.changed.keys = true;
            Ok(())
        })
        .await
    }

    /// Ends a key at once. Revoking it again changes nothing.
    pub async fn revoke_key(&self, id: &str, now: Timestamp) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.write(move |writing| {
            let changed = writing.connection.execute(KEY_REVOKE, params![id, micros(now)])?;
            if changed == 0 {
                return Err(StoreError::UnknownKey(id.clone()));
            }
            writing.changed.keys = true;
            Ok(())
        })
        .await
    }

    /// All keys, oldest first, with the revoked and expired ones.
    pub async fn list_keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        self.read(|connection| connection.query_all(KEYS, params![], record)).await
    }
}

fn record(row: &Row<'_>) -> Result<KeyRecord, StoreError> {
    Ok(KeyRecord {
        id: row.get(0)?,
        project: words::project(row, 1)?,
        name: row.get(2)?,
        role: words::word(row, 3, KeyRole::from_word)?,
        prefix: row.get(4)?,
        created_at: words::timestamp(row, 5)?,
        revoked_at: words::timestamp_opt(row, 6)?,
        expires_at: words::timestamp_opt(row, 7)?,
    })
}
