//! Alerts: what people are told of, each once, written in the transaction that makes it true.
//!
//! That transaction queues the deliveries too. What is committed is logged and counted by the process that
//! raised it.

use gallerist_domain::{AlertId, NewAlert, ProjectId, Severity};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use tokio::sync::Notify;

use crate::deliveries;
use crate::requests::PAGE_ROWS_MAX;
use crate::sql::{Row, Sql, params};
use crate::words::{self, micros, statements};
use crate::writer::Writing;
use crate::{Store, StoreError};

/// An alert that was raised.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRecord {
    pub id: AlertId,
    pub at: Timestamp,
    /// Absent: it concerns whoever runs the gateway.
    pub project: Option<ProjectId>,
    /// As [`gallerist_domain::AlertFact::kind`].
    pub kind: String,
    pub severity: String,
    /// For people.
    pub message: String,
    /// JSON text of the [`gallerist_domain::AlertFact`].
    pub fact_json: String,
}

/// Which alerts a page holds: the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AlertFilter {
    /// Only those of this project.
    pub project: Option<ProjectId>,
    /// A kind, or a group of them as `budget.*`.
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
    ALERT_RAISED = "SELECT 1 FROM alerts WHERE once = ?1";
    ALERT_NUMBER = "SELECT number FROM alerts WHERE id = ?1";
    ALERTS = "SELECT id, at, project, kind, severity, message, fact_json FROM alerts
        WHERE number < ?1 AND (?2 IS NULL OR project = ?2) AND (?3 IS NULL OR kind = ?3)
        AND (?5 IS NULL OR substr(kind, 1, length(?5)) = ?5)
        ORDER BY number DESC LIMIT ?4";
}

/// What was raised, until it is committed and told.
#[derive(Clone, Debug)]
pub(crate) struct Raised {
    id: AlertId,
    kind: &'static str,
    severity: Severity,
    project: Option<ProjectId>,
    message: String,
}

/// What this process has told, and a bell for those who deliver it.
#[derive(Debug, Default)]
pub(crate) struct Told {
    counts: Mutex<BTreeMap<&'static str, u64>>,
    bell: Notify,
}

impl Told {
    /// Logs and counts what a committed transaction has raised.
    pub(crate) fn tell(&self, raised: &mut Vec<Raised>) {
        if raised.is_empty() {
            return;
        }
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        for Raised { id: alert, kind, severity, project, message } in raised.drain(..) {
            *counts.entry(kind).or_default() += 1;
            let project = project.as_ref().map(ProjectId::as_str);
            match severity {
                Severity::Info => tracing::info!(%alert, kind, project, "{message}"),
                Severity::Warning => tracing::warn!(%alert, kind, project, "{message}"),
                Severity::Critical => tracing::error!(%alert, kind, project, "{message}"),
            }
        }
        self.bell.notify_one();
    }
}

/// Raises an alert and queues its deliveries, unless it was raised before.
pub(crate) fn insert(writing: &mut Writing<'_>, alert: &NewAlert) -> Result<(), StoreError> {
    let NewAlert { once, at, project, fact } = alert;
    let (kind, severity, message) = (fact.kind(), fact.severity(), fact.message());
    let json = serde_json::to_string(fact).expect("a fact is plain data");
    let id = AlertId::generate();
    let (uuid, at) = (id.uuid(), micros(*at));
    let project_name = project.as_ref().map(ProjectId::as_str);
    let severity_name = severity.as_str();
    let inserted = writing.connection.execute(
        ALERT_INSERT,
        params![uuid.as_bytes(), once, at, project_name, kind, severity_name, message, json],
    )?;
    if inserted == 0 {
        return Ok(());
    }
    deliveries::queue(writing.connection, id, alert)?;
    writing.raised.push(Raised { id, kind, severity, project: project.clone(), message });
    Ok(())
}

impl Store {
    /// Raises alerts; those that were raised before are left as they are.
    pub async fn raise_alerts(&self, alerts: Vec<NewAlert>) -> Result<(), StoreError> {
        self.write(move |writing| alerts.iter().try_for_each(|alert| insert(writing, alert))).await
    }

    /// Raises each alert unless it, or one of those that its keys name, was raised before: 50 per cent are no news
    /// once 80 were told.
    pub async fn raise_alerts_unless(&self, alerts: Vec<(NewAlert, Vec<String>)>) -> Result<(), StoreError> {
        self.write(move |writing| {
            for (alert, greater) in &alerts {
                let told = greater.iter().try_fold(false, |told, once| {
                    Ok::<_, StoreError>(told || writing.connection.exists(ALERT_RAISED, params![once])?)
                })?;
                if !told {
                    insert(writing, alert)?;
                }
            }
            Ok(())
        })
        .await
    }

    /// A page of alerts, the newest first.
    pub async fn alerts(&self, filter: AlertFilter) -> Result<AlertPage, StoreError> {
        self.read(move |connection| page(connection, &filter)).await
    }

    /// How many alerts of each kind this process has raised since it opened the store.
    pub fn alerts_since_opened(&self) -> BTreeMap<&'static str, u64> {
        self.inner.writer.told().counts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until this process raises an alert. One that was raised since the last wait ends it at once.
    pub async fn alert_raised(&self) {
        self.inner.writer.told().bell.notified().await;
    }
}

fn page(connection: &dyn Sql, filter: &AlertFilter) -> Result<AlertPage, StoreError> {
    let limit = filter.limit.clamp(1, PAGE_ROWS_MAX);
    let below = match filter.after {
        None => i64::MAX,
        Some(after) => connection
            .query_opt(ALERT_NUMBER, params![after.uuid().as_bytes()], |row| row.get(0))?
            .ok_or(StoreError::UnknownAlert(after))?,
    };
    let project = filter.project.as_ref().map(ProjectId::as_str);
    let group = filter.kind.as_deref().and_then(|kind| kind.strip_suffix('*'));
    let kind = filter.kind.as_deref().filter(|_| group.is_none());
    let mut alerts: Vec<AlertRecord> =
        connection
            .query_all(ALERTS, params![below, project, kind, limit + 1, group], |row| record(row, 0))?;
    let shown = usize::try_from(limit).expect("it is at most a thousand");
    let has_more = alerts.len() > shown;
    alerts.truncate(shown);
    Ok(AlertPage { alerts, has_more })
}

/// From this column on, in the order of the fields of [`AlertRecord`].
pub(crate) fn record(row: &Row<'_>, column: usize) -> Result<AlertRecord, StoreError> {
    let id: [u8; 16] = row.get(column)?;
    Ok(AlertRecord {
        id: AlertId::from_uuid(uuid::Uuid::from_bytes(id)),
        at: words::timestamp(row, column + 1)?,
        project: row.get::<Option<&str>>(column + 2)?.and_then(|name| name.parse().ok()),
        kind: row.get(column + 3)?,
        severity: row.get(column + 4)?,
        message: row.get(column + 5)?,
        fact_json: row.get(column + 6)?,
    })
}
