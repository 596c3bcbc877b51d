//! The queue of webhook deliveries: filled in the transaction that raises an alert, emptied at least once each.
//!
//! A delivery is claimed with a lease; a process that dies lets it run out, and another claims it again. Each
//! webhook has one delivery in flight, so that a slow one holds up nobody else. It refuses to send, and to decide
//! when to try again.

use gallerist_domain::{AlertId, KindFilter, NewAlert, ProjectId};
use jiff::Timestamp;

use crate::alerts::{self, AlertRecord};
use crate::sql::{Row, Sql, params};
use crate::webhooks::{self, WebhookTarget};
use crate::words::{self, micros, statements};
use crate::{Store, StoreError};

/// A delivery that this process has claimed.
#[derive(Clone, Debug)]
pub struct Claimed {
    pub delivery: DeliveryHold,
    pub target: WebhookTarget,
    pub alert: AlertRecord,
}

/// Names a claim; another claim of the same delivery has another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeliveryHold {
    number: i64,
    /// Counts from 1.
    pub attempt: u32,
}

/// What became of an attempt to deliver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryEnd {
    Delivered,
    /// To be tried again.
    Later {
        at: Timestamp,
        why: String,
    },
    /// Given up.
    Failed {
        why: String,
    },
    /// The receiver wants nothing more: its webhook is disabled.
    Gone {
        why: String,
    },
}

statements! {
    LISTENERS = "SELECT number, kinds_json, project FROM webhooks
        WHERE removed_at IS NULL AND disabled_at IS NULL ORDER BY number";
    ALERT_NUMBER = "SELECT number FROM alerts WHERE id = ?1";
    DELIVERY_INSERT = "INSERT INTO webhook_deliveries (webhook, alert, created_at, next_at)
        VALUES (?1, ?2, ?3, ?3)";
    // The oldest that is due of each webhook that has none in flight.
    DUE = "SELECT min(d.number) FROM webhook_deliveries d WHERE d.status = 'pending' AND d.next_at <= ?1
            AND NOT EXISTS (SELECT 1 FROM webhook_deliveries o
                WHERE o.webhook = d.webhook AND o.status = 'pending' AND o.leased_until > ?1)
        GROUP BY d.webhook ORDER BY 1 LIMIT ?2";
    LEASE = "UPDATE webhook_deliveries SET leased_until = ?2, attempts = attempts + 1
        WHERE number = ?1 AND status = 'pending' AND (leased_until IS NULL OR leased_until <= ?3)";
    CLAIMED = "SELECT d.number, d.attempts,
            w.id, w.url, w.format, w.secret, w.previous_secret, w.previous_until,
            a.id, a.at, a.project, a.kind, a.severity, a.message, a.fact_json
        FROM webhook_deliveries d JOIN webhooks w ON w.number = d.webhook JOIN alerts a ON a.number = d.alert
        WHERE d.number = ?1";
    NEXT = "SELECT min(due.at) FROM (SELECT CASE WHEN max(coalesce(leased_until, 0)) > ?1
                THEN max(leased_until) ELSE min(next_at) END AS at
            FROM webhook_deliveries WHERE status = 'pending' GROUP BY webhook) AS due";
    HELD = "SELECT webhook FROM webhook_deliveries WHERE number = ?1 AND attempts = ?2 AND status = 'pending'";
    END = "UPDATE webhook_deliveries SET status = ?2, ended_at = ?3, leased_until = NULL WHERE number = ?1";
    LATER = "UPDATE webhook_deliveries SET next_at = ?2, leased_until = NULL WHERE number = ?1";
    WEBHOOK_WELL = "UPDATE webhooks SET last_delivered_at = ?2 WHERE number = ?1";
    WEBHOOK_ILL = "UPDATE webhooks SET last_failed_at = ?2, last_failure = ?3 WHERE number = ?1";
    FORGET = "DELETE FROM webhook_deliveries WHERE status <> 'pending' AND ended_at < ?1";
}

/// Queues a delivery to everybody who listens to it.
pub(crate) fn queue(connection: &dyn Sql, id: AlertId, alert: &NewAlert) -> Result<(), StoreError> {
    let listeners: Vec<(i64, KindFilter, Option<String>)> =
        connection
            .query_all(LISTENERS, params![], |row| Ok((row.get(0)?, words::json(row, 1)?, row.get(2)?)))?;
    if listeners.is_empty() {
        return Ok(());
    }
    let id = id.uuid();
    let number: i64 = connection.query_row(ALERT_NUMBER, params![id.as_bytes()], |row| row.get(0))?;
    let project = alert.project.as_ref().map(ProjectId::as_str);
    for (webhook, kinds, only) in listeners {
        let concerned = only.is_none() || only.as_deref() == project;
        if concerned && kinds.admits(alert.fact.kind()) {
            connection.change(DELIVERY_INSERT, params![webhook, number, micros(alert.at)])?;
        }
    }
    Ok(())
}

impl Store {
    /// Claims deliveries that are due, at most one of each webhook. Whoever does not end one before
    /// `leased_until` has lost it.
    pub async fn claim_deliveries(
        &self,
        now: Timestamp,
        leased_until: Timestamp,
        limit: u32,
    ) -> Result<Vec<Claimed>, StoreError> {
        self.write(move |writing| {
            let connection = writing.connection;
            let due: Vec<i64> = connection.query_all(DUE, params![micros(now), limit], |row| row.get(0))?;
            let mut claimed = Vec::new();
            for number in due {
                // Another replica may have been faster.
                if connection.execute(LEASE, params![number, micros(leased_until), micros(now)])? == 1 {
                    claimed.push(connection.query_row(CLAIMED, params![number], |row| claim(row, now))?);
                }
            }
            Ok(claimed)
        })
        .await
    }

    /// When the next delivery may be claimed; `None` when nothing waits.
    pub async fn next_delivery_at(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        self.read(move |connection| {
            connection.query_row(NEXT, params![micros(now)], |row| words::timestamp_opt(row, 0))
        })
        .await
    }

    /// Notes what became of a claimed delivery. One that was lost meanwhile is left to its present holder: the
    /// answer is false then.
    pub async fn end_delivery(
        &self,
        hold: DeliveryHold,
        end: DeliveryEnd,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        self.write(move |writing| {
            let connection = writing.connection;
            let held = connection.query_opt(HELD, params![hold.number, hold.attempt], |row| row.get(0))?;
            let Some(webhook): Option<i64> = held else { return Ok(false) };
            let at = micros(now);
            let ended = |status: &str| connection.change_one(END, params![hold.number, status, at]);
            match &end {
                DeliveryEnd::Delivered => ended("delivered")?,
                DeliveryEnd::Later { at, .. } => {
                    connection.change_one(LATER, params![hold.number, micros(*at)])?;
                }
                DeliveryEnd::Failed { .. } => ended("failed")?,
                DeliveryEnd::Gone { why } => webhooks::disable(connection, webhook, why, now)?,
            }
            match &end {
                DeliveryEnd::Delivered => connection.change_one(WEBHOOK_WELL, params![webhook, at])?,
                DeliveryEnd::Later { why, .. } | DeliveryEnd::Failed { why } | DeliveryEnd::Gone { why } => {
                    connection.change_one(WEBHOOK_ILL, params![webhook, at, why])?;
                }
            }
            Ok(true)
        })
        .await
    }

    /// Deletes deliveries that ended before.
    pub async fn forget_deliveries(&self, before: Timestamp) -> Result<(), StoreError> {
        self.write(move |writing| writing.connection.change(FORGET, params![micros(before)])).await
    }
}

fn claim(row: &Row<'_>, now: Timestamp) -> Result<Claimed, StoreError> {
    Ok(Claimed {
        delivery: DeliveryHold { number: row.get(0)?, attempt: row.get(1)? },
        target: webhooks::target(row, 2, now)?,
        alert: alerts::record(row, 8)?,
    })
}
