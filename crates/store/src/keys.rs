//! Client keys: kept as SHA-256 digests, looked up in memory, written through the writer.
//!
//! The map in memory holds the keys that are not revoked, and the limits of their projects; the writer reads
//! it again after each commit that changed one and before that change is answered; what other replicas change
//! is read within a second. No key itself is ever seen here. A key that was rotated is known by two digests
//! until the time of the old one is over.

use gallerist_domain::{Allowance, Grants, ProjectId, RateLimits, Scopes};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};
use subtle::ConstantTimeEq;

use crate::audit::{self, Act, Actor};
use crate::sql::{Row, Sql, params};
use crate::words::{self, micros, statements};
use crate::{Store, StoreError};

/// A key as it is made. The caller makes the secret, its digest and its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    pub id: String,
    pub project: ProjectId,
    /// For people.
    pub name: String,
    pub scopes: Scopes,
    /// SHA-256 of the whole key.
    pub sha256: [u8; 32],
    /// The first characters, for display.
    pub prefix: String,
    pub expires_at: Option<Timestamp>,
    pub grants: Grants,
    pub limits: RateLimits,
}

/// A key without its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRecord {
    pub id: String,
    pub project: ProjectId,
    pub name: String,
    pub scopes: Scopes,
    pub prefix: String,
    pub created_at: Timestamp,
    pub revoked_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    /// When its secret was last replaced.
    pub rotated_at: Option<Timestamp>,
    /// Until when the secret before is good too.
    pub previous_until: Option<Timestamp>,
    /// What it may use, its limits, and those of its project.
    pub allowance: Arc<Allowance>,
}

impl KeyRecord {
    /// Whether it is neither revoked nor expired.
    pub fn is_good(&self, now: Timestamp) -> bool {
        self.revoked_at.is_none() && self.expires_at.is_none_or(|at| now < at)
    }
}

/// What may be changed of a key; what is absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyChange {
    pub name: Option<String>,
    pub scopes: Option<Scopes>,
    /// `Some(None)`: it never expires.
    pub expires_at: Option<Option<Timestamp>>,
    pub grants: GrantsChange,
    pub limits: LimitsChange,
}

/// Which lists of a key's grants become other ones; what is absent stays as it is when the change is made, so that
/// two changes of different lists do not undo each other.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GrantsChange {
    pub routes: Option<Vec<String>>,
    pub providers: Option<Vec<String>>,
    pub models: Option<Vec<String>>,
}

impl GrantsChange {
    /// The grants that were, with what changes.
    pub fn over(self, before: &Grants) -> Grants {
        let list =
            |changed: Option<Vec<String>>, before: &Vec<String>| changed.unwrap_or_else(|| before.clone());
        Grants {
            routes: list(self.routes, &before.routes),
            providers: list(self.providers, &before.providers),
            models: list(self.models, &before.models),
        }
    }
}

/// Which limits become other ones: `Some(None)` removes one, what is absent stays as it is when the change is made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitsChange {
    pub requests_per_minute: Option<Option<u32>>,
    pub images_per_minute: Option<Option<u32>>,
    pub images_at_once: Option<Option<u32>>,
}

impl LimitsChange {
    /// Every limit becomes one of these.
    pub const fn to(limits: RateLimits) -> LimitsChange {
        LimitsChange {
            requests_per_minute: Some(limits.requests_per_minute),
            images_per_minute: Some(limits.images_per_minute),
            images_at_once: Some(limits.images_at_once),
        }
    }

    /// The limits that were, with what changes.
    pub fn over(self, before: RateLimits) -> RateLimits {
        RateLimits {
            requests_per_minute: self.requests_per_minute.unwrap_or(before.requests_per_minute),
            images_per_minute: self.images_per_minute.unwrap_or(before.images_per_minute),
            images_at_once: self.images_at_once.unwrap_or(before.images_at_once),
        }
    }
}

/// The new secret of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewSecret {
    /// SHA-256 of the whole key.
    pub sha256: [u8; 32],
    pub prefix: String,
    /// Until when the old secret is good too; one that was rotated before ends at once.
    pub previous_until: Timestamp,
}

macro_rules! key_columns {
    () => {
        "SELECT k.id, p.name, k.name, k.role, k.prefix, k.created_at, k.revoked_at, k.expires_at, k.sha256,
            k.scopes, k.grants_json, k.requests_per_minute, k.images_per_minute, k.images_at_once, k.rotated_at,
            k.previous_sha256, k.previous_until,
            p.requests_per_minute, p.images_per_minute, p.images_at_once
        FROM keys k JOIN projects p ON p.number = k.project "
    };
}

statements! {
    KEY_TAKEN = "SELECT 1 FROM keys WHERE id = ?1 OR sha256 = ?2 OR previous_sha256 = ?2";
    KEY_INSERT = "INSERT INTO keys (id, project, name, role, sha256, prefix, created_at, expires_at, scopes,
            grants_json, requests_per_minute, images_per_minute, images_at_once)
        SELECT ?1, number, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13 FROM projects WHERE name = ?2";
    KEY_CHANGE = "UPDATE keys SET name = ?2, role = ?3, expires_at = ?4, scopes = ?5, grants_json = ?6,
        requests_per_minute = ?7, images_per_minute = ?8, images_at_once = ?9 WHERE id = ?1";
    KEY_ROTATE = "UPDATE keys SET previous_sha256 = sha256, previous_until = ?2, sha256 = ?3, prefix = ?4,
        rotated_at = ?5 WHERE id = ?1";
    KEY_REVOKE = "UPDATE keys SET revoked_at = coalesce(revoked_at, ?2) WHERE id = ?1";
    KEYS = concat!(key_columns!(), "ORDER BY k.created_at, k.id");
    KEY = concat!(key_columns!(), "WHERE k.id = ?1");
}

/// Pause between two readings of all keys because one was not known.
const KEYS_READ_PAUSE: Duration = Duration::from_millis(100);

/// The keys that are not revoked, by digest.
///
/// A bucket is found by the first bytes of the digest; which key of the bucket it is, is decided by comparing
/// the whole digests in constant time. How long that takes says nothing that could be turned into a key.
#[derive(Default)]
pub(crate) struct LiveKeys {
    /// Held while the keys are read, so that what was read last is also kept last.
    loading: Mutex<()>,
    by_digest: RwLock<HashMap<[u8; 8], Vec<LiveKey>>>,
}

struct LiveKey {
    sha256: [u8; 32],
    /// Of a secret that was replaced.
    until: Option<Timestamp>,
    key: Arc<KeyRecord>,
}

fn bucket(sha256: &[u8; 32]) -> [u8; 8] {
    *sha256.first_chunk().expect("a digest has 32 bytes")
}

impl LiveKeys {
    pub(crate) fn load(&self, connection: &dyn Sql) -> Result<(), StoreError> {
        let _loading = self.loading.lock().unwrap_or_else(PoisonError::into_inner);
        let mut fresh: HashMap<[u8; 8], Vec<LiveKey>> = HashMap::new();
        let all: Vec<([u8; 32], Option<[u8; 32]>, KeyRecord)> =
            connection.query_all(KEYS, params![], |row| Ok((row.get(8)?, row.get(15)?, record(row)?)))?;
        for (sha256, previous, key) in all {
            if key.revoked_at.is_some() {
                continue;
            }
            let key = Arc::new(key);
            let mut add = |sha256: [u8; 32], until| {
                let live = LiveKey { sha256, until, key: Arc::clone(&key) };
                fresh.entry(bucket(&sha256)).or_default().push(live);
            };
            add(sha256, None);
            if let (Some(previous), Some(until)) = (previous, key.previous_until) {
                add(previous, Some(until));
            }
        }
        *self.by_digest.write().unwrap_or_else(PoisonError::into_inner) = fresh;
        Ok(())
    }

    fn find(&self, sha256: &[u8; 32], now: Timestamp) -> Option<Arc<KeyRecord>> {
        let keys = self.by_digest.read().unwrap_or_else(PoisonError::into_inner);
        let same = |live: &&LiveKey| bool::from(live.sha256.ct_eq(sha256));
        let live = keys.get(&bucket(sha256))?.iter().find(same)?;
        let good = live.until.is_none_or(|at| now < at) && live.key.is_good(now);
        good.then(|| Arc::clone(&live.key))
    }
}

impl Store {
    /// The key with this SHA-256 if it is neither revoked nor expired at `now`. From memory, without
    /// waiting.
    pub fn key_by_digest(&self, sha256: &[u8; 32], now: Timestamp) -> Option<Arc<KeyRecord>> {
        self.inner.keys.find(sha256, now)
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
        check(&key.grants, &key.limits)?;
        let actor = self.actor.clone();
        self.write(move |writing| {
            let connection = writing.connection;
            if connection.exists(KEY_TAKEN, params![key.id, key.sha256])? {
                return Err(StoreError::Exists(format!("key {}", key.id)));
            }
            let (scopes, limits) = (key.scopes.words().join(","), key.limits);
            let inserted = connection.execute(
                KEY_INSERT,
                params![
                    key.id,
                    key.project.as_str(),
                    key.name,
                    role(key.scopes),
                    key.sha256,
                    key.prefix,
                    micros(now),
                    key.expires_at.map(micros),
                    scopes,
                    grants_text(&key.grants),
                    limits.requests_per_minute,
                    limits.images_per_minute,
                    limits.images_at_once
                ],
            )?;
            if inserted == 0 {
                return Err(StoreError::UnknownProject(key.project.clone()));
            }
            writing.changed.keys = true;
            let made = found(connection, &key.id)?;
            write_down(connection, &actor, "key.create", now, (None, Some(&made)))
        })
        .await
    }

    /// Changes a key; its next request feels it.
    ///
    /// # Errors
    /// [`StoreError::UnknownKey`], or [`StoreError::Invalid`] with the field.
    pub async fn change_key(&self, id: &str, change: KeyChange, now: Timestamp) -> Result<(), StoreError> {
        // Lists and limits are good or bad one by one, whatever the others are.
        check(&change.grants.clone().over(Grants::ALL), &change.limits.over(RateLimits::NONE))?;
        let (id, actor) = (id.to_owned(), self.actor.clone());
        self.write(move |writing| {
            let connection = writing.connection;
            let before = found(connection, &id)?;
            let KeyChange { name, scopes, expires_at, grants, limits } = change.clone();
            let scopes = scopes.unwrap_or(before.scopes);
            let grants = grants.over(&before.allowance.grants);
            let limits = limits.over(before.allowance.key_limits);
            connection.change_one(
                KEY_CHANGE,
                params![
                    id,
                    name.unwrap_or_else(|| before.name.clone()),
                    role(scopes),
                    expires_at.unwrap_or(before.expires_at).map(micros),
                    scopes.words().join(","),
                    grants_text(&grants),
                    limits.requests_per_minute,
                    limits.images_per_minute,
                    limits.images_at_once
                ],
            )?;
            writing.changed.keys = true;
            let after = found(connection, &id)?;
            write_down(connection, &actor, "key.change", now, (Some(&before), Some(&after)))
        })
        .await
    }

    /// Gives a key a new secret; the old one stays good until its time is over.
    ///
    /// # Errors
    /// [`StoreError::UnknownKey`]; [`StoreError::Invalid`] for one that is revoked or has expired.
    pub async fn rotate_key(&self, id: &str, secret: NewSecret, now: Timestamp) -> Result<(), StoreError> {
        let (id, actor) = (id.to_owned(), self.actor.clone());
        self.write(move |writing| {
            let connection = writing.connection;
            let before = found(connection, &id)?;
            if !before.is_good(now) {
                let message = format!("key {id} is revoked or has expired; make another");
                return Err(StoreError::Invalid(message));
            }
            connection.change_one(
                KEY_ROTATE,
                params![id, micros(secret.previous_until), secret.sha256, secret.prefix, micros(now)],
            )?;
            writing.changed.keys = true;
            let after = found(connection, &id)?;
            write_down(connection, &actor, "key.rotate", now, (Some(&before), Some(&after)))
        })
        .await
    }

    /// Ends a key at once, with its old secret. Revoking it again changes nothing.
    pub async fn revoke_key(&self, id: &str, now: Timestamp) -> Result<(), StoreError> {
        let (id, actor) = (id.to_owned(), self.actor.clone());
        self.write(move |writing| {
            let connection = writing.connection;
            let before = found(connection, &id)?;
            if before.revoked_at.is_some() {
                return Ok(());
            }
            connection.change_one(KEY_REVOKE, params![id, micros(now)])?;
            writing.changed.keys = true;
            let after = found(connection, &id)?;
            write_down(connection, &actor, "key.revoke", now, (Some(&before), Some(&after)))
        })
        .await
    }

    /// All keys, oldest first, with the revoked and expired ones.
    pub async fn list_keys(&self) -> Result<Vec<KeyRecord>, StoreError> {
        self.read(|connection| connection.query_all(KEYS, params![], record)).await
    }

    pub async fn key(&self, id: &str) -> Result<Option<KeyRecord>, StoreError> {
        let id = id.to_owned();
        self.read(move |connection| connection.query_opt(KEY, params![id], record)).await
    }
}

fn check(grants: &Grants, limits: &RateLimits) -> Result<(), StoreError> {
    let fault = |(_, message): (&str, String)| StoreError::Invalid(message);
    grants.check().map_err(fault)?;
    limits.check().map_err(fault)
}

/// The word of the column that versions before scopes read: they know no key that only reads.
fn role(scopes: Scopes) -> &'static str {
    if scopes.role() == "admin" { "admin" } else { "generate" }
}

fn grants_text(grants: &Grants) -> Option<String> {
    (grants != Grants::ALL).then(|| serde_json::to_string(grants).expect("names are plain data"))
}

fn found(connection: &dyn Sql, id: &str) -> Result<KeyRecord, StoreError> {
    let key = connection.query_opt(KEY, params![id], record)?;
    key.ok_or_else(|| StoreError::UnknownKey(id.to_owned()))
}

fn write_down(
    connection: &dyn Sql,
    actor: &Actor,
    action: &'static str,
    at: Timestamp,
    (before, after): (Option<&KeyRecord>, Option<&KeyRecord>),
) -> Result<(), StoreError> {
    let key = after.or(before).expect("a change has an outcome");
    let (subject, project) = (key.id.as_str(), Some(key.project.as_str()));
    let (before, after) = (before.map(shown), after.map(shown));
    audit::write(connection, &Act { actor, action, subject, project, before, after, at })
}

/// What of a key may change, without anything that opens a door.
fn shown(key: &KeyRecord) -> Value {
    json!({
        "name": key.name,
        "scopes": key.scopes.words(),
        "expires_at": key.expires_at,
        "revoked_at": key.revoked_at,
        "rotated_at": key.rotated_at,
        "previous_until": key.previous_until,
        "grants": key.allowance.grants,
        "limits": key.allowance.key_limits,
    })
}

fn record(row: &Row<'_>) -> Result<KeyRecord, StoreError> {
    let scopes = match row.get::<Option<&str>>(9)? {
        Some(words) => Scopes::of_words(words.split(',')).ok(),
        None => Scopes::of_role(row.get(3)?),
    };
    let grants = match row.get::<Option<&str>>(10)? {
        Some(_) => words::json(row, 10)?,
        None => Grants::default(),
    };
    Ok(KeyRecord {
        id: row.get(0)?,
        project: words::project(row, 1)?,
        name: row.get(2)?,
        scopes: scopes.ok_or_else(|| StoreError::strange(9, "its words are no scopes"))?,
        prefix: row.get(4)?,
        created_at: words::timestamp(row, 5)?,
        revoked_at: words::timestamp_opt(row, 6)?,
        expires_at: words::timestamp_opt(row, 7)?,
        rotated_at: words::timestamp_opt(row, 14)?,
        previous_until: words::timestamp_opt(row, 16)?,
        allowance: Arc::new(Allowance {
            grants,
            key_limits: words::rate_limits(row, 11)?,
            project_limits: words::rate_limits(row, 17)?,
        }),
    })
}
