//! What a command looks up of the request or attempt that it is about.

use gallerist_domain::{AttemptId, RequestId, Ticks};

use super::{AttemptEnd, End, NewAttempt};
use crate::StoreError;
use crate::sql::{Sql, params};
use crate::words::{self, AttemptStatus, RequestStatus, statements};

statements! {
    REQUEST_FIND = "SELECT number, project, status, (SELECT count(*) FROM attempts a
        WHERE a.request = requests.number AND a.status = 'reserved'), created_at
        FROM requests WHERE id = ?1";
    ATTEMPT_FIND = "SELECT row, request, provider, status, reserved_ticks, charged_ticks, basis,
            dispute_reason, counters FROM attempts WHERE id = ?1";
}

pub(super) struct FoundRequest {
    pub(super) number: i64,
    pub(super) project: i64,
    pub(super) status: RequestStatus,
    /// Attempts that are reserved.
    pub(super) open: u32,
    /// Microseconds.
    pub(super) created_at: i64,
}

pub(super) fn find_request(connection: &dyn Sql, request: RequestId) -> Result<FoundRequest, StoreError> {
    connection
        .query_opt(REQUEST_FIND, params![request.uuid().as_bytes()], |row| {
            let status = words::word(row, 2, RequestStatus::from_word)?;
            let (number, project, created_at) = (row.get(0)?, row.get(1)?, row.get(4)?);
            Ok(FoundRequest { number, project, status, open: row.get(3)?, created_at })
        })?
        .ok_or(StoreError::UnknownRequest(request))
}

impl FoundAttempt {
    /// An attempt that was just reserved.
    pub(super) fn reserved(row: i64, request: i64, attempt: &NewAttempt, counters: usize) -> FoundAttempt {
        FoundAttempt {
            row,
            request,
            provider: attempt.offer.provider.clone(),
            status: AttemptStatus::Reserved,
            reserved: attempt.maximum,
            charged: Ticks::ZERO,
            basis: None,
            dispute_reason: None,
            counters: u32::try_from(counters).expect("there are few budgets"),
        }
    }
}

pub(super) struct FoundAttempt {
    pub(super) row: i64,
    pub(super) request: i64,
    pub(super) provider: String,
    pub(super) status: AttemptStatus,
    pub(super) reserved: Ticks,
    charged: Ticks,
    basis: Option<String>,
    dispute_reason: Option<String>,
    /// Counters of budgets that it counts in.
    pub(super) counters: u32,
}

impl FoundAttempt {
    /// Fine if it ended exactly like this before; otherwise two parts of the program disagree.
    pub(super) fn check_same_end(&self, end: &AttemptEnd) -> Result<(), StoreError> {
        let same = match &end.end {
            End::Settled { charge, basis, .. } => {
                self.status == AttemptStatus::Settled
                    && self.charged == *charge
                    && self.basis.as_ref() == Some(basis)
            }
            End::Released { .. } => self.status == AttemptStatus::Released && self.basis.is_none(),
            End::Disputed { reason, .. } => {
                self.status == AttemptStatus::Disputed && self.dispute_reason.as_ref() == Some(reason)
            }
        };
        if same {
            Ok(())
        } else {
            Err(StoreError::AttemptEnded { attempt: end.attempt, status: self.status })
        }
    }
}

pub(super) fn find_attempt(connection: &dyn Sql, attempt: AttemptId) -> Result<FoundAttempt, StoreError> {
    connection
        .query_opt(ATTEMPT_FIND, params![attempt.uuid().as_bytes()], |row| {
            Ok(FoundAttempt {
                row: row.get(0)?,
                request: row.get(1)?,
                provider: row.get(2)?,
                status: words::word(row, 3, AttemptStatus::from_word)?,
                reserved: words::ticks(row, 4)?,
                charged: words::ticks(row, 5)?,
                basis: row.get(6)?,
                dispute_reason: row.get(7)?,
                counters: row.get(8)?,
            })
        })?
        .ok_or(StoreError::UnknownAttempt(attempt))
}
