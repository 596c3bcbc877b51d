//! The audit log: who changed what, when, and how it was before, written in the transaction of the change.
//!
//! A handle on the store says for whom it acts ([`Store::on_behalf_of`]); each administrative write leaves one
//! row. Rows hold no secret and no digest of one, and are never changed.

use gallerist_domain::{AuditId, ProjectId};
use jiff::Timestamp;
use serde_json::Value;
use std::sync::Arc;

use crate::requests::PAGE_ROWS_MAX;
use crate::sql::{Row, Sql, params};
use crate::words::{self, micros, statements};
use crate::{Store, StoreError};

/// Every action that is written down.
pub const ACTIONS: [&str; 19] = [
    "attempt.resolve",
    "budget.change",
    "budget.create",
    "budget.remove",
    "credits.add",
    "credits.adjust",
    "credits.remove",
    "key.change",
    "key.create",
    "key.revoke",
    "key.rotate",
    "prices.confirm",
    "project.change",
    "project.create",
    "reconciliation.create",
    "webhook.change",
    "webhook.create",
    "webhook.remove",
    "webhook.rotate",
];

/// Who changes something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Actor {
    /// The gateway by itself: its settings file, its first start.
    #[default]
    Gateway,
    /// A person with the data directory in their hands.
    CommandLine,
    /// Whoever holds this key.
    Key(Arc<str>),
}

impl Actor {
    pub fn key(id: &str) -> Actor {
        Actor::Key(id.into())
    }

    pub(crate) const fn word(&self) -> &'static str {
        match self {
            Actor::Gateway => "gateway",
            Actor::CommandLine => "command_line",
            Actor::Key(_) => "key",
        }
    }

    pub(crate) fn key_id(&self) -> Option<&str> {
        match self {
            Actor::Key(id) => Some(id),
            _ => None,
        }
    }
}

/// One change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    pub id: AuditId,
    pub at: Timestamp,
    /// `key`, `command_line` or `gateway`.
    pub actor: String,
    pub key_id: Option<String>,
    /// What was done, as `key.rotate`.
    pub action: String,
    /// To what: the id of a key, the name of a project.
    pub subject: String,
    pub project: Option<String>,
    /// JSON text of the fields that may change; absent for what is new.
    pub before_json: Option<String>,
    pub after_json: Option<String>,
}

/// Which changes a page holds: the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditFilter {
    pub action: Option<String>,
    pub subject: Option<String>,
    /// Of this key as the actor.
    pub key_id: Option<String>,
    pub project: Option<ProjectId>,
    /// Continue behind this change.
    pub after: Option<AuditId>,
    /// 1 to [`PAGE_ROWS_MAX`]; other values are brought into it.
    pub limit: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPage {
    pub changes: Vec<AuditRecord>,
    pub has_more: bool,
}

/// A change as it is written.
pub(crate) struct Act<'a> {
    pub(crate) actor: &'a Actor,
    pub(crate) action: &'static str,
    pub(crate) subject: &'a str,
    pub(crate) project: Option<&'a str>,
    pub(crate) before: Option<Value>,
    pub(crate) after: Option<Value>,
    pub(crate) at: Timestamp,
}

statements! {
    AUDIT_INSERT = "INSERT INTO audit (id, at, actor, key_id, action, subject, project, before_json, after_json)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    AUDIT_NUMBER = "SELECT number FROM audit WHERE id = ?1";
    AUDIT_PAGE = "SELECT id, at, actor, key_id, action, subject, project, before_json, after_json FROM audit
        WHERE number < ?1 AND (?2 IS NULL OR action = ?2) AND (?3 IS NULL OR subject = ?3)
            AND (?4 IS NULL OR key_id = ?4) AND (?5 IS NULL OR project = ?5)
        ORDER BY number DESC LIMIT ?6";
}

/// Writes down a change, inside its transaction.
pub(crate) fn write(connection: &dyn Sql, act: &Act<'_>) -> Result<(), StoreError> {
    debug_assert!(ACTIONS.contains(&act.action), "{} is no action that can be asked for", act.action);
    let text = |value: &Option<Value>| value.as_ref().map(Value::to_string);
    let (before, after) = (text(&act.before), text(&act.after));
    let id = AuditId::generate().uuid();
    connection.change(
        AUDIT_INSERT,
        params![
            id.as_bytes(),
            micros(act.at),
            act.actor.word(),
            act.actor.key_id(),
            act.action,
            act.subject,
            act.project,
            before,
            after
        ],
    )
}

impl Store {
    /// The same store, in whose changes `actor` stands.
    #[must_use]
    pub fn on_behalf_of(&self, actor: Actor) -> Store {
        Store { actor, ..self.clone() }
    }

    /// Writes down a change of what the store does not hold itself, as a polled price that a person believes.
    pub async fn note_change(
        &self,
        action: &'static str,
        subject: &str,
        after: Value,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let (subject, actor) = (subject.to_owned(), self.actor.clone());
        self.write(move |writing| {
            let (project, before, after) = (None, None, Some(after.clone()));
            let act = Act { actor: &actor, action, subject: &subject, project, before, after, at };
            write(writing.connection, &act)
        })
        .await
    }

    /// A page of changes, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] where `after` is no change.
    pub async fn audit(&self, filter: AuditFilter) -> Result<AuditPage, StoreError> {
        self.read(move |connection| page(connection, &filter)).await
    }
}

fn page(connection: &dyn Sql, filter: &AuditFilter) -> Result<AuditPage, StoreError> {
    let limit = filter.limit.clamp(1, PAGE_ROWS_MAX);
    let below = match filter.after {
        None => i64::MAX,
        Some(after) => connection
            .query_opt(AUDIT_NUMBER, params![after.uuid().as_bytes()], |row| row.get(0))?
            .ok_or_else(|| StoreError::Invalid(format!("there is no change {after}")))?,
    };
    let project = filter.project.as_ref().map(ProjectId::as_str);
    let AuditFilter { action, subject, key_id, .. } = filter;
    let mut changes: Vec<AuditRecord> = connection.query_all(
        AUDIT_PAGE,
        params![below, action, subject, key_id, project, limit + 1],
        record,
    )?;
    let shown = usize::try_from(limit).expect("it is at most a thousand");
    let has_more = changes.len() > shown;
    changes.truncate(shown);
    Ok(AuditPage { changes, has_more })
}

fn record(row: &Row<'_>) -> Result<AuditRecord, StoreError> {
    let id: [u8; 16] = row.get(0)?;
    Ok(AuditRecord {
        id: AuditId::from_uuid(uuid::Uuid::from_bytes(id)),
        at: words::timestamp(row, 1)?,
        actor: row.get(2)?,
        key_id: row.get(3)?,
        action: row.get(4)?,
        subject: row.get(5)?,
        project: row.get(6)?,
        before_json: row.get(7)?,
        after_json: row.get(8)?,
    })
}
