//! Webhooks: where alerts are delivered, and with which secrets they are signed.
//!
//! The queue of deliveries is `deliveries.rs`. It refuses to send and to judge addresses: that is the engine's.

use gallerist_domain::{KindFilter, ProjectId, WebhookId};
use jiff::Timestamp;
use serde_json::{Value, json as json_value};
use std::fmt;

use crate::audit::{self, Act, Actor};
use crate::sql::{Row, Sql, params};
use crate::words::{self, WebhookFormat, micros, statements};
use crate::{Store, StoreError};

/// Webhooks at a time.
pub const WEBHOOKS_MAX: i64 = 100;
/// Characters of an address.
pub const URL_CHARACTERS_MAX: usize = 2_048;

/// The bytes that deliveries are signed with. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(Vec<u8>);

impl SigningSecret {
    pub fn new(bytes: Vec<u8>) -> SigningSecret {
        SigningSecret(bytes)
    }

    pub fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SigningSecret(…)")
    }
}

/// A webhook that is to be made.
#[derive(Clone, Debug)]
pub struct NewWebhook {
    pub id: WebhookId,
    pub url: String,
    pub kinds: KindFilter,
    /// Only alerts of this project; absent: all.
    pub project: Option<ProjectId>,
    pub format: WebhookFormat,
    pub secret: SigningSecret,
}

/// A webhook and how its deliveries go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WebhookRecord {
    pub id: WebhookId,
    pub url: String,
    pub kinds: KindFilter,
    pub project: Option<ProjectId>,
    pub format: WebhookFormat,
    pub created_at: Timestamp,
    /// Until then the secret before this one signs too.
    pub previous_secret_until: Option<Timestamp>,
    pub disabled_at: Option<Timestamp>,
    pub disabled_reason: Option<String>,
    pub last_delivered_at: Option<Timestamp>,
    pub last_failed_at: Option<Timestamp>,
    pub last_failure: Option<String>,
    /// Deliveries that are still to be made.
    pub pending: u64,
}

/// What may be changed of a webhook; absent stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WebhookChange {
    pub url: Option<String>,
    pub kinds: Option<KindFilter>,
    pub project: Option<Option<ProjectId>>,
    pub format: Option<WebhookFormat>,
    /// Disabled ones get nothing; what waits for them is given up.
    pub enabled: Option<bool>,
}

/// Where and how to send.
#[derive(Clone, Debug)]
pub struct WebhookTarget {
    pub id: WebhookId,
    pub url: String,
    pub format: WebhookFormat,
    /// The present one first.
    pub secrets: Vec<SigningSecret>,
}

statements! {
    WEBHOOKS = "SELECT w.id, w.url, w.kinds_json, w.project, w.format, w.created_at, w.previous_until,
            w.disabled_at, w.disabled_reason, w.last_delivered_at, w.last_failed_at, w.last_failure,
            (SELECT count(*) FROM webhook_deliveries d WHERE d.webhook = w.number AND d.status = 'pending')
        FROM webhooks w WHERE w.removed_at IS NULL ORDER BY w.created_at, w.number";
    WEBHOOK_COUNT = "SELECT count(*) FROM webhooks WHERE removed_at IS NULL";
    WEBHOOK_INSERT = "INSERT INTO webhooks (id, url, kinds_json, project, format, secret, created_at)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    WEBHOOK_CHANGE = "UPDATE webhooks SET url = ?2, kinds_json = ?3, project = ?4, format = ?5,
        disabled_at = ?6, disabled_reason = ?7 WHERE id = ?1 AND removed_at IS NULL";
    // A secret that was to be forgotten is forgotten with the next one at the latest.
    WEBHOOK_ROTATE = "UPDATE webhooks SET previous_secret = secret, previous_until = ?3, secret = ?2
        WHERE id = ?1 AND removed_at IS NULL";
    WEBHOOK_REMOVE = "UPDATE webhooks SET removed_at = ?2, previous_secret = NULL, previous_until = NULL,
        secret = ?3 WHERE id = ?1 AND removed_at IS NULL";
    WEBHOOK_DISABLE = "UPDATE webhooks SET disabled_at = ?2, disabled_reason = ?3 WHERE number = ?1";
    WEBHOOK_NUMBER = "SELECT number FROM webhooks WHERE id = ?1";
    WEBHOOK_TARGET = "SELECT id, url, format, secret, previous_secret, previous_until FROM webhooks
        WHERE id = ?1 AND removed_at IS NULL";
    GIVE_UP = "UPDATE webhook_deliveries SET status = 'failed', ended_at = ?2, leased_until = NULL
        WHERE webhook = ?1 AND status = 'pending'";
}

impl Store {
    /// Makes a webhook; it gets what is raised from now on.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] names what is out of its range.
    pub async fn create_webhook(&self, webhook: NewWebhook, now: Timestamp) -> Result<(), StoreError> {
        check(&webhook.url, &webhook.kinds)?;
        let actor = self.actor.clone();
        self.write(move |writing| {
            let connection = writing.connection;
            let count: i64 = connection.query_row(WEBHOOK_COUNT, params![], |row| row.get(0))?;
            if count >= WEBHOOKS_MAX {
                return Err(StoreError::Invalid(format!("there are {WEBHOOKS_MAX} webhooks already")));
            }
            let NewWebhook { id, url, kinds, project, format, secret } = &webhook;
            if let Some(project) = project {
                writing.names.project(connection, project)?;
            }
            let project = project.as_ref().map(ProjectId::as_str);
            connection.insert(
                WEBHOOK_INSERT,
                params![
                    id.uuid().as_bytes(),
                    url,
                    json(kinds),
                    project,
                    format.as_str(),
                    secret.expose(),
                    micros(now)
                ],
            )?;
            let made = find(connection, *id)?;
            write_down(connection, (&actor, "webhook.create"), now, (None, Some(&made)))
        })
        .await
    }

    /// # Errors
    /// [`StoreError::UnknownWebhook`], or [`StoreError::Invalid`].
    pub async fn change_webhook(
        &self,
        id: WebhookId,
        change: WebhookChange,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let actor = self.actor.clone();
        self.write(move |writing| {
            let connection = writing.connection;
            let before = find(connection, id)?;
            let known = before.clone();
            let WebhookChange { url, kinds, project, format, enabled } = change.clone();
            let url = url.unwrap_or(known.url);
            let kinds = kinds.unwrap_or(known.kinds);
            check(&url, &kinds)?;
            let project = project.unwrap_or(known.project);
            if let Some(project) = &project {
                writing.names.project(connection, project)?;
            }
            let (disabled_at, reason) = match enabled {
                Some(true) => (None, None),
                Some(false) => (Some(known.disabled_at.unwrap_or(now)), Some("switched off".to_owned())),
                None => (known.disabled_at, known.disabled_reason),
            };
            connection.change_one(
                WEBHOOK_CHANGE,
                params![
                    id.uuid().as_bytes(),
                    url,
                    json(&kinds),
                    project.as_ref().map(ProjectId::as_str),
                    format.unwrap_or(known.format).as_str(),
                    disabled_at.map(micros),
                    reason
                ],
            )?;
            if disabled_at.is_some() {
                give_up(connection, number(connection, id)?, now)?;
            }
            let after = find(connection, id)?;
            write_down(connection, (&actor, "webhook.change"), now, (Some(&before), Some(&after)))
        })
        .await
    }

    /// Signs with `secret` from now on, and with the one before it until `previous_until`.
    ///
    /// # Errors
    /// [`StoreError::UnknownWebhook`].
    pub async fn rotate_webhook(
        &self,
        id: WebhookId,
        secret: SigningSecret,
        previous_until: Timestamp,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let actor = self.actor.clone();
        self.write(move |writing| {
            let connection = writing.connection;
            let before = find(connection, id)?;
            let (id_bytes, until, secret) = (id.uuid(), micros(previous_until), secret.expose());
            connection.change_one(WEBHOOK_ROTATE, params![id_bytes.as_bytes(), secret, until])?;
            let after = find(connection, id)?;
            write_down(connection, (&actor, "webhook.rotate"), now, (Some(&before), Some(&after)))
        })
        .await
    }

    /// Ends a webhook, gives up what waits for it and forgets its secrets.
    ///
    /// # Errors
    /// [`StoreError::UnknownWebhook`].
    pub async fn remove_webhook(&self, id: WebhookId, now: Timestamp) -> Result<(), StoreError> {
        let actor = self.actor.clone();
        self.write(move |writing| {
            let connection = writing.connection;
            let nothing: &[u8] = &[];
            let before = find(connection, id)?;
            connection.change_one(WEBHOOK_REMOVE, params![id.uuid().as_bytes(), micros(now), nothing])?;
            give_up(connection, number(connection, id)?, now)?;
            write_down(connection, (&actor, "webhook.remove"), now, (Some(&before), None))
        })
        .await
    }

    /// All webhooks that are not removed, the oldest first.
    pub async fn webhooks(&self) -> Result<Vec<WebhookRecord>, StoreError> {
        self.read(list).await
    }

    /// # Errors
    /// [`StoreError::UnknownWebhook`].
    pub async fn webhook(&self, id: WebhookId) -> Result<WebhookRecord, StoreError> {
        self.read(move |connection| find(connection, id)).await
    }

    /// Where and how to send to it, also while it is disabled.
    ///
    /// # Errors
    /// [`StoreError::UnknownWebhook`].
    pub async fn webhook_target(&self, id: WebhookId, now: Timestamp) -> Result<WebhookTarget, StoreError> {
        self.read(move |connection| {
            let found = connection
                .query_opt(WEBHOOK_TARGET, params![id.uuid().as_bytes()], |row| target(row, 0, now))?;
            found.ok_or(StoreError::UnknownWebhook(id))
        })
        .await
    }
}

/// Id, address, format, secret, previous secret and its end, from this column on.
pub(crate) fn target(row: &Row<'_>, column: usize, now: Timestamp) -> Result<WebhookTarget, StoreError> {
    let id: [u8; 16] = row.get(column)?;
    let mut secrets = vec![SigningSecret(row.get(column + 3)?)];
    let until = words::timestamp_opt(row, column + 5)?;
    if let (Some(previous), true) = (row.get(column + 4)?, until.is_some_and(|until| now < until)) {
        secrets.push(SigningSecret(previous));
    }
    Ok(WebhookTarget {
        id: WebhookId::from_uuid(uuid::Uuid::from_bytes(id)),
        url: row.get(column + 1)?,
        format: words::word(row, column + 2, WebhookFormat::from_word)?,
        secrets,
    })
}

/// Sends nothing more to the webhook of this row.
pub(crate) fn disable(
    connection: &dyn Sql,
    webhook: i64,
    reason: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    connection.change_one(WEBHOOK_DISABLE, params![webhook, micros(now), reason])?;
    give_up(connection, webhook, now)
}

fn give_up(connection: &dyn Sql, webhook: i64, now: Timestamp) -> Result<(), StoreError> {
    connection.change(GIVE_UP, params![webhook, micros(now)])
}

fn number(connection: &dyn Sql, id: WebhookId) -> Result<i64, StoreError> {
    connection.query_row(WEBHOOK_NUMBER, params![id.uuid().as_bytes()], |row| row.get(0))
}

fn list(connection: &dyn Sql) -> Result<Vec<WebhookRecord>, StoreError> {
    connection.query_all(WEBHOOKS, params![], record)
}

fn find(connection: &dyn Sql, id: WebhookId) -> Result<WebhookRecord, StoreError> {
    list(connection)?.into_iter().find(|known| known.id == id).ok_or(StoreError::UnknownWebhook(id))
}

/// What somebody has done to a webhook, for the audit log.
fn write_down(
    connection: &dyn Sql,
    (actor, action): (&Actor, &'static str),
    at: Timestamp,
    (before, after): (Option<&WebhookRecord>, Option<&WebhookRecord>),
) -> Result<(), StoreError> {
    let Some(webhook) = after.or(before) else { return Ok(()) };
    let (subject, project) = (webhook.id.to_string(), webhook.project.as_ref().map(ProjectId::as_str));
    let moved = before.zip(after).is_some_and(|(before, after)| before.url != after.url);
    let (before, mut after) = (before.map(told), after.map(told));
    if let (Some(before), Some(after), true) = (&before, &mut after, moved)
        && before["address"] == after["address"]
    {
        // It may be as secret as a password, but that it is another one is none.
        after["path"] = json_value!("another");
    }
    if before == after {
        return Ok(());
    }
    audit::write(connection, &Act { actor, action, subject: &subject, project, before, after, at })
}

/// Of an address only the part before its path: the rest of it is the secret of many chat programs.
fn told(webhook: &WebhookRecord) -> Value {
    let (scheme, rest) = webhook.url.split_once("://").unwrap_or(("", &webhook.url));
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    // A name and password before the host were allowed once.
    let host = authority.rsplit('@').next().unwrap_or_default();
    json_value!({
        "address": format!("{scheme}://{host}"),
        "kinds": webhook.kinds,
        "project": webhook.project,
        "format": webhook.format.as_str(),
        "enabled": webhook.disabled_at.is_none(),
        "previous_secret_until": webhook.previous_secret_until,
    })
}

fn check(url: &str, kinds: &KindFilter) -> Result<(), StoreError> {
    if url.is_empty() || url.chars().count() > URL_CHARACTERS_MAX {
        return Err(StoreError::Invalid(format!("url has 1 to {URL_CHARACTERS_MAX} characters")));
    }
    kinds.check().map_err(|message| StoreError::Invalid(format!("kinds: {message}")))
}

fn json(kinds: &KindFilter) -> String {
    serde_json::to_string(kinds).expect("a list of words is plain data")
}

fn record(row: &Row<'_>) -> Result<WebhookRecord, StoreError> {
    let id: [u8; 16] = row.get(0)?;
    let pending: i64 = row.get(12)?;
    Ok(WebhookRecord {
        id: WebhookId::from_uuid(uuid::Uuid::from_bytes(id)),
        url: row.get(1)?,
        kinds: words::json(row, 2)?,
        project: row.get::<Option<&str>>(3)?.map(|_| words::project(row, 3)).transpose()?,
        format: words::word(row, 4, WebhookFormat::from_word)?,
        created_at: words::timestamp(row, 5)?,
        previous_secret_until: words::timestamp_opt(row, 6)?,
        disabled_at: words::timestamp_opt(row, 7)?,
        disabled_reason: row.get(8)?,
        last_delivered_at: words::timestamp_opt(row, 9)?,
        last_failed_at: words::timestamp_opt(row, 10)?,
        last_failure: row.get(11)?,
        pending: u64::try_from(pending).expect("a count is not negative"),
    })
}
