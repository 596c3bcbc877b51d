//! Alerts: what people are told of, each once, written in the transaction that makes it true.

use gallerist_domain::{AlertFact, AlertId, NewAlert, ProjectId, Severity};
use jiff::Timestamp;

use crate::requests::PAGE_ROWS_MAX;
use crate::sql::{Row, Sql, params};
use crate::words::{self, micros, statements};
use crate::{Store, StoreError};

/// An alert that was raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRecord {
    pub id: AlertId,
    pub at: Timestamp,
    /// Absent: it concerns everybody.
    pub project: Option<ProjectId>,
    /// As [`AlertFact::kind`].
    pub kind: String,
    pub severity: String,
    /// For people.
    pub message: String,
    /// JSON text of the [`AlertFact`].
    pub fact_json: String,
}

/// Which alerts a page holds: the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertFilter {
    /// Those of this project and those of everybody.
    pub project: Option<ProjectId>,
    pub kind: Option<String>,
    /// Continue behind this alert.
    pub after: Option<AlertId>,
    /// 1 to [`PAGE_ROWS_MAX`]; other values are brought into it.
    pub limit: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertPage {
    pub alerts: Vec<AlertRecord>,
    pub has_more: bool,
}

statements! {
    ALERT_INSERT = "INSERT INTO alerts (id, once, at, project, kind, severity, message, fact_json)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8) ON CONFLICT (once) DO NOTHING";
    ALERT_NUMBER = "SELECT number FROM alerts WHERE id = ?1";
    ALERTS = "SELECT id, at, project, kind, severity, message, fact_json FROM alerts
        WHERE number < ?1 AND (?2 IS NULL OR project IS NULL OR project = ?2) AND (?3 IS NULL OR kind = ?3)
        ORDER BY number DESC LIMIT ?4";
}

/// Raises an alert, unless it was raised before.
pub(crate) fn insert(connection: &dyn Sql, alert: &NewAlert) -> Result<(), StoreError> {
    let AlertFactColumns { kind, severity, message, json } = columns(&alert.fact);
    let id = AlertId::generate().uuid();
    let project = alert.project.as_ref().map(ProjectId::as_str);
    let (at, severity) = (micros(alert.at), severity.as_str());
    connection
        .change(ALERT_INSERT, params![id.as_bytes(), alert.once, at, project, kind, severity, message, json])
}

struct AlertFactColumns {
    kind: &'static str,
    severity: Severity,
    message: String,
    json: String,
}

fn columns(fact: &AlertFact) -> AlertFactColumns {
    AlertFactColumns {
        kind: fact.kind(),
        severity: fact.severity(),
        message: fact.message(),
        json: serde_json::to_string(fact).expect("a fact is plain data"),
    }
}

impl Store {
    /// Raises alerts; those that were raised before are left as they are.
    pub async fn raise_alerts(&self, alerts: Vec<NewAlert>) -> Result<(), StoreError> {
        self.write(move |writing| alerts.iter().try_for_each(|alert| insert(writing.connection, alert))).await
    }

    /// A page of alerts, the newest first.
    pub async fn alerts(&self, filter: AlertFilter) -> Result<AlertPage, StoreError> {
        self.read(move |connection| page(connection, &filter)).await
    }
}

fn page(connection: &dyn Sql, filter: &AlertFilter) -> Result<AlertPage, StoreError> {
    let limit = filter.limit.clamp(1, PAGE_ROWS_MAX);
    let below = match filter.after {
        None => i64::MAX,
        Some(after) => connection
            .query_opt(ALERT_NUMBER, params![after.uuid().as_bytes()], |row| row.get(0))?
            .ok_or_else(|| StoreError::Invalid(format!("there is no alert {after}")))?,
    };
    let project = filter.project.as_ref().map(ProjectId::as_str);
    let mut alerts: Vec<AlertRecord> =
        connection.query_all(ALERTS, params![below, project, filter.kind, limit + 1], record)?;
    let shown = usize::try_from(limit).expect("it is at most a thousand");
    let has_more = alerts.len() > shown;
    alerts.truncate(shown);
    Ok(AlertPage { alerts, has_more })
}

fn record(row: &Row<'_>) -> Result<AlertRecord, StoreError> {
    let id: [u8; 16] = row.get(0)?;
    Ok(AlertRecord {
        id: AlertId::from_uuid(uuid::Uuid::from_bytes(id)),
        at: words::timestamp(row, 1)?,
        project: row.get::<Option<&str>>(2)?.and_then(|name| name.parse().ok()),
        kind: row.get(3)?,
        severity: row.get(4)?,
        message: row.get(5)?,
        fact_json: row.get(6)?,
    })
}
