//! The attempts of a provider as an invoice is compared with them.

use gallerist_domain::{AttemptId, OfferId, RequestId, Ticks};
use jiff::Timestamp;
use std::ops::ControlFlow;

use crate::sql::{Row, params};
use crate::words::{self, AttemptStatus, micros, statements};
use crate::{Store, StoreError};

/// Attempts that one invoice is compared with.
pub const BILLED_ROWS_MAX: usize = 1_000_000;

/// An attempt, for the comparison with what its provider billed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BilledAttempt {
    pub id: AttemptId,
    pub request: RequestId,
    /// Counts from 1 within the request.
    pub number: u32,
    pub offer: OfferId,
    pub status: AttemptStatus,
    pub reserved: Ticks,
    pub charged: Ticks,
    /// The part of what was charged that rests on prices below official, or read long before.
    pub doubtful: Ticks,
    pub created_at: Timestamp,
    /// Absent while it runs.
    pub ended_at: Option<Timestamp>,
    pub provider_request_id: Option<String>,
    pub charge_json: Option<String>,
}

statements! {
    BILLED = "SELECT a.id, r.id, a.number, a.offer, a.status, a.reserved_ticks, a.charged_ticks, a.created_at,
            a.ended_at, a.provider_request_id, a.charge_json,
            a.doubtful_ticks
        FROM requests r JOIN attempts a ON a.request = r.number
        WHERE r.created_at >= ?1 AND r.created_at < ?2 AND a.provider = ?3 ORDER BY a.row";
    AT_PROVIDER = "SELECT 1 FROM attempts WHERE provider = ?1 LIMIT 1";
}

impl Store {
    /// Whether any attempt that is kept was made at this provider. Reads all of them where none was.
    pub async fn has_attempts_at(&self, provider: &str) -> Result<bool, StoreError> {
        let provider = provider.to_owned();
        self.read(move |connection| connection.exists(AT_PROVIDER, params![provider])).await
    }

    /// The attempts at a provider for requests that were accepted between two instants, oldest first.
    pub async fn billed_attempts(
        &self,
        provider: &str,
        from: Timestamp,
        to: Timestamp,
    ) -> Result<Vec<BilledAttempt>, StoreError> {
        let provider = provider.to_owned();
        self.read(move |connection| {
            let mut rows = Vec::new();
            connection.query(BILLED, params![micros(from), micros(to), provider], &mut |row| {
                if rows.len() == BILLED_ROWS_MAX {
                    return Err(StoreError::Invalid(format!(
                        "more than {BILLED_ROWS_MAX} attempts lie in that time; reconcile a shorter one"
                    )));
                }
                rows.push(billed(row)?);
                Ok(ControlFlow::Continue(()))
            })?;
            Ok(rows)
        })
        .await
    }
}

fn billed(row: &Row<'_>) -> Result<BilledAttempt, StoreError> {
    Ok(BilledAttempt {
        id: words::attempt_id(row, 0)?,
        request: words::request_id(row, 1)?,
        number: row.get(2)?,
        offer: words::parsed(row, 3)?,
        status: words::word(row, 4, AttemptStatus::from_word)?,
        reserved: words::ticks(row, 5)?,
        charged: words::ticks(row, 6)?,
        created_at: words::timestamp(row, 7)?,
        ended_at: words::timestamp_opt(row, 8)?,
        provider_request_id: row.get(9)?,
        charge_json: row.get(10)?,
        doubtful: words::ticks(row, 11)?,
    })
}
