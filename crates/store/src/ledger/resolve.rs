//! How a dispute ends: by a look-up, a reconciliation, or a person.
//!
//! The money moves as for any payment. What comes to light may also be a picture: then the request's figures
//! change with it, in the same commit.

use gallerist_domain::AttemptId;
use serde_json::json;

use super::Resolution;
use super::accounts::{Booking, Totals, move_totals};
use super::amounts::check_amount;
use super::apply::pay;
use super::counters::{self, Moving, Place};
use super::found::find_attempt;
use super::tell;
use crate::StoreError;
use crate::audit::{self, Act, Actor};
use crate::sql::{Sql, params};
use crate::usage::rolled;
use crate::words::{self, AttemptStatus, Movement, micros, statements};
use crate::writer::Writing;

statements! {
    ATTEMPT_RESOLVE = "UPDATE attempts SET status = ?2, charged_ticks = ?3, basis = ?4,
        charge_json = coalesce(?5, charge_json), pending_json = NULL,
        call_json = CASE WHEN ?6 THEN call_json END, images = ?7,
        provider_request_id = coalesce(?8, provider_request_id), doubtful_ticks = ?9
        WHERE row = ?1 AND status = 'disputed'";
    // A dispute counted as spent; of a request that had failed, nothing was said about savings.
    REQUEST_SAVED = "UPDATE requests SET saved_ticks = saved_ticks + ?2
        WHERE number = ?1 AND saved_ticks IS NOT NULL";
    // A request that still runs has its figures at its end. One that failed is answered only where there is
    // an answer. What came to light beyond what was asked for is kept, and no part of the answer.
    REQUEST_FOUND = "UPDATE requests SET
        images_delivered = CASE WHEN images_delivered + ?2 > n THEN n ELSE images_delivered + ?2 END,
        status = CASE WHEN status = 'failed' AND ?3 IS NULL THEN status
            WHEN images_delivered + ?2 < n THEN 'partial' ELSE 'succeeded' END,
        http_status = CASE WHEN ?3 IS NULL THEN http_status ELSE 200 END,
        error_code = CASE WHEN ?3 IS NULL THEN error_code END,
        answer_json = coalesce(?3, answer_json)
        WHERE number = ?1 AND status <> 'running'";
    JOB_FORGET = "UPDATE attempts SET pending_json = NULL, call_json = CASE WHEN ?2 THEN call_json END
        WHERE id = ?1 AND status = 'disputed'";
    RESOLVED = "SELECT r.id, a.number, a.reserved_ticks, p.name FROM attempts a
        JOIN requests r ON r.number = a.request JOIN projects p ON p.number = r.project WHERE a.id = ?1";
    REQUEST_PROJECT = "SELECT project, created_at FROM requests WHERE number = ?1";
}

pub(crate) fn resolve(writing: &mut Writing<'_>, resolution: &Resolution) -> Result<(), StoreError> {
    let Resolution { attempt, charge, basis, charge_json, doubtful, .. } = resolution;
    let Resolution { images, provider_request_id, answer_json, now, .. } = resolution;
    check_amount(*charge)?;
    let connection = writing.connection;
    let found = find_attempt(connection, *attempt)?;
    if found.status != AttemptStatus::Disputed {
        return Err(StoreError::NotDisputed { attempt: *attempt, status: found.status });
    }
    let (project, created_at) = connection
        .query_row(REQUEST_PROJECT, params![found.request], |row| Ok((row.get(0)?, row.get(1)?)))?;
    rolled::touch(connection, created_at, *now)?;
    let accounts = writing.names.project_by_number(connection, project)?;
    let booking = Booking { attempt: found.row, kind: Movement::Resolve, at: micros(*now) };
    let from = (accounts.disputed, found.reserved);
    let paid = pay(writing, &booking, from, accounts.available, (&found.provider, *charge))?;
    // A picture that cost nothing was made all the same: budgets of pictures count it.
    let status = if *images > 0 { AttemptStatus::Settled } else { paid };
    // A disputed attempt is resolved once.
    connection.change_one(
        ATTEMPT_RESOLVE,
        params![
            found.row,
            status.as_str(),
            charge.get(),
            basis,
            charge_json,
            writing.calls_keep,
            images,
            provider_request_id,
            doubtful.get()
        ],
    )?;
    let less = (found.reserved - *charge).get();
    connection.change(REQUEST_SAVED, params![found.request, less])?;
    if *images > 0 {
        connection.change(REQUEST_FOUND, params![found.request, images, answer_json])?;
    }
    if found.counters > 0 {
        let to = match status {
            AttemptStatus::Settled => Place::Settled(*charge, *images, *doubtful),
            _ => Place::Released,
        };
        let overrun = *charge > found.reserved;
        let moving = Moving { attempt: *attempt, row: found.row, at: *now, overrun };
        let shares = counters::find_shares(connection, *attempt)?;
        counters::move_shares(writing, &moving, &shares, (Place::Disputed, to))?;
    }
    tell::overrun(writing, *attempt, &found, (*charge, *doubtful), *now)?;
    let change =
        Totals { settled: *charge, disputed: -found.reserved, doubtful: *doubtful, ..Totals::default() };
    move_totals(connection, accounts.number, change)?;
    writing.charged += *charge;
    Ok(())
}

pub(crate) fn forget_job(writing: &mut Writing<'_>, attempt: AttemptId) -> Result<(), StoreError> {
    let id = attempt.uuid();
    writing.connection.change(JOB_FORGET, params![id.as_bytes(), writing.calls_keep])?;
    Ok(())
}

/// As [`resolve`], and written down where somebody asked for it.
pub(crate) fn resolve_for(
    writing: &mut Writing<'_>,
    (resolution, actor): &(Resolution, Actor),
) -> Result<(), StoreError> {
    resolve(writing, resolution)?;
    match actor {
        Actor::Gateway => Ok(()),
        actor => write_down(writing.connection, actor, resolution),
    }
}

/// What somebody has resolved, for the audit log.
fn write_down(connection: &dyn Sql, actor: &Actor, resolution: &Resolution) -> Result<(), StoreError> {
    let id = resolution.attempt.uuid();
    let (request, number, reserved, project) =
        connection.query_row(RESOLVED, params![id.as_bytes()], |row| {
            Ok((words::request_id(row, 0)?, row.get::<u32>(1)?, words::ticks(row, 2)?, row.get::<String>(3)?))
        })?;
    let act = Act {
        actor,
        action: "attempt.resolve",
        subject: &request.to_string(),
        project: Some(&project),
        before: Some(json!({"attempt": number, "status": "disputed", "held_usd": reserved})),
        after: Some(json!({"attempt": number, "charged_usd": resolution.charge, "basis": resolution.basis})),
        at: resolution.now,
    };
    audit::write(connection, &act)
}
