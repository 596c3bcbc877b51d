//! Invoices that were compared with the books, kept as they were told, with the alerts that followed.
//!
//! A report is text here: what it says is the engine's. It is never changed, and kept when requests are deleted.

use gallerist_domain::{NewAlert, ReconciliationId};
use jiff::Timestamp;
use serde_json::json;

use crate::alerts;
use crate::audit::{self, Act};
use crate::requests::PAGE_ROWS_MAX;
use crate::sql::{Row, Sql, params};
use crate::words::{self, micros, statements};
use crate::{Store, StoreError};

/// What is kept of a comparison.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewReconciliation {
    pub id: ReconciliationId,
    pub at: Timestamp,
    /// The account, as attempts name it.
    pub provider: String,
    /// The time that the invoice covers.
    pub from: Timestamp,
    pub to: Timestamp,
    /// JSON text of an object: the figures that a list shows.
    pub summary_json: String,
    /// JSON text of an object: everything.
    pub report_json: String,
}

/// A comparison as a list shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReconciliationRecord {
    pub id: ReconciliationId,
    pub at: Timestamp,
    pub provider: String,
    pub from: Timestamp,
    pub to: Timestamp,
    /// `key`, `command_line` or `gateway`.
    pub actor: String,
    pub key_id: Option<String>,
    pub summary_json: String,
}

/// Which comparisons a page holds: the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReconciliationFilter {
    pub provider: Option<String>,
    /// Continue behind this one.
    pub after: Option<ReconciliationId>,
    /// 1 to [`PAGE_ROWS_MAX`]; other values are brought into it.
    pub limit: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReconciliationPage {
    pub reconciliations: Vec<ReconciliationRecord>,
    pub has_more: bool,
}

statements! {
    INSERT = "INSERT INTO reconciliations (id, at, provider, covers_from, covers_to, actor, key_id, summary_json,
        report_json) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    NUMBER = "SELECT number FROM reconciliations WHERE id = ?1";
    REPORT = "SELECT report_json FROM reconciliations WHERE id = ?1";
    PAGE = "SELECT id, at, provider, covers_from, covers_to, actor, key_id, summary_json FROM reconciliations
        WHERE number < ?1 AND (?2 IS NULL OR provider = ?2) ORDER BY number DESC LIMIT ?3";
}

impl Store {
    /// Keeps a comparison and raises the alerts that follow from it, together.
    pub async fn add_reconciliation(
        &self,
        new: NewReconciliation,
        alerts: Vec<NewAlert>,
    ) -> Result<(), StoreError> {
        let actor = self.actor.clone();
        self.write(move |writing| {
            let id = new.id.uuid();
            writing.connection.change(
                INSERT,
                params![
                    id.as_bytes(),
                    micros(new.at),
                    new.provider,
                    micros(new.from),
                    micros(new.to),
                    actor.word(),
                    actor.key_id(),
                    new.summary_json,
                    new.report_json
                ],
            )?;
            alerts.iter().try_for_each(|alert| alerts::insert(writing, alert))?;
            let after = json!({"provider": new.provider, "from": new.from, "to": new.to});
            let act = Act {
                actor: &actor,
                action: "reconciliation.create",
                subject: &new.id.to_string(),
                project: None,
                before: None,
                after: Some(after),
                at: new.at,
            };
            audit::write(writing.connection, &act)
        })
        .await
    }

    /// JSON text of a report; `None` where there is no such comparison.
    pub async fn reconciliation(&self, id: ReconciliationId) -> Result<Option<String>, StoreError> {
        self.read(move |connection| {
            connection.query_opt(REPORT, params![id.uuid().as_bytes()], |row| row.get(0))
        })
        .await
    }

    /// A page of comparisons, the newest first.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] where `after` is no comparison.
    pub async fn reconciliations(
        &self,
        filter: ReconciliationFilter,
    ) -> Result<ReconciliationPage, StoreError> {
        self.read(move |connection| page(connection, &filter)).await
    }
}

fn page(connection: &dyn Sql, filter: &ReconciliationFilter) -> Result<ReconciliationPage, StoreError> {
    let limit = filter.limit.clamp(1, PAGE_ROWS_MAX);
    let below = match filter.after {
        None => i64::MAX,
        Some(after) => connection
            .query_opt(NUMBER, params![after.uuid().as_bytes()], |row| row.get(0))?
            .ok_or_else(|| StoreError::Invalid(format!("there is no reconciliation {after}")))?,
    };
    let mut reconciliations: Vec<ReconciliationRecord> =
        connection.query_all(PAGE, params![below, filter.provider, limit + 1], record)?;
    let shown = usize::try_from(limit).expect("it is at most a thousand");
    let has_more = reconciliations.len() > shown;
    reconciliations.truncate(shown);
    Ok(ReconciliationPage { reconciliations, has_more })
}

fn record(row: &Row<'_>) -> Result<ReconciliationRecord, StoreError> {
    let id: [u8; 16] = row.get(0)?;
    Ok(ReconciliationRecord {
        id: ReconciliationId::from_uuid(uuid::Uuid::from_bytes(id)),
        at: words::timestamp(row, 1)?,
        provider: row.get(2)?,
        from: words::timestamp(row, 3)?,
        to: words::timestamp(row, 4)?,
        actor: row.get(5)?,
        key_id: row.get(6)?,
        summary_json: row.get(7)?,
    })
}
