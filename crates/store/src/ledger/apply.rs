//! The rules of the commands, inside the writer's transaction: check, move money, write rows.
//!
//! Everything that can be refused is refused with an error, which rolls the command's savepoint back.
//! What no caller can cause is asserted.

use gallerist_domain::{AttemptId, RequestId, Ticks};
use jiff::Timestamp;

use super::accounts::{Booking, Names, ProjectAccounts, Totals, book, hold_within_cap, move_totals};
use super::amounts::{check_amount, sum_of_maxima};
use super::counters::{self, Holding, Moving, Place, Share};
use super::credits::{PREPAID, consume};
use super::found::{ATTEMPT_FIND, FoundAttempt, FoundRequest, REQUEST_FIND, find_attempt, find_request};
use super::open::Reserved as Held;
use super::tell;
use super::{AttemptEnd, Conclusion, End, NewAttempt, NewRequest, RequestEnd, Reservation, Reserved};
use crate::StoreError;
use crate::requests::idempotency_floor;
use crate::sql::{Lookups, Sql, params};
use crate::usage::rolled;
use crate::words::{self, AttemptStatus, Movement, RequestStatus, micros, statements};
use crate::writer::Writing;

statements! {
    IDEMPOTENCY_FIND = "SELECT r.id, i.fingerprint, i.created_at FROM idempotency i
        JOIN requests r ON r.number = i.request WHERE i.project = ?1 AND i.key = ?2";
    IDEMPOTENCY_BIND = "INSERT INTO idempotency (project, key, request, fingerprint, created_at)
        VALUES (?1, ?2, ?3, ?4, ?5)
        ON CONFLICT (project, key) DO UPDATE SET request = excluded.request,
            fingerprint = excluded.fingerprint, created_at = excluded.created_at
            WHERE idempotency.created_at <= ?6";
    IDEMPOTENCY_FREE = "DELETE FROM idempotency WHERE (project, key) =
        (SELECT project, idempotency_key FROM requests WHERE number = ?1) AND request = ?1";
    REQUEST_INSERT = "INSERT INTO requests (id, project, key_id, created_at, model, operation, n, status,
        fingerprint, idempotency_key, plan_json, end_user, tags_json, asked_json, prompt)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, 'running', ?8, ?9, ?10, ?11, ?12, ?13, ?14) /* TOGETHER FIRST */";
    REQUEST_FINISH = "UPDATE requests SET status = ?2, http_status = ?3, error_code = ?4, answer_json = ?5,
        images_delivered = ?6, list_ticks = ?7, saved_ticks = ?8, finished_at = ?9, list_confidence = ?10,
        list_as_of = ?11, list_doubtful_ticks = ?12
        WHERE number = ?1 AND status = 'running' /* TOGETHER LAST */";
    ATTEMPT_INSERT = "INSERT INTO attempts (id, request, number, offer, provider, model,
        status, reserved_ticks, created_at, catalogue_digest, call_json, images_asked, counters)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'reserved', ?7, ?8, ?9, ?10, ?11, ?12) /* TOGETHER SECOND */";
    ATTEMPT_PENDING = "UPDATE attempts SET pending_json = ?2 WHERE id = ?1 AND status = 'reserved'";
    // What only recovery needs goes. Calls hold prompts: without a job to ask for, no dispute has a use for one.
    ATTEMPT_END = "UPDATE attempts SET status = ?2, ended_at = ?3, charged_ticks = ?4, images = ?5,
        basis = ?6, charge_json = ?7, fault_json = ?8, dispute_reason = ?9,
        provider_request_id = coalesce(?10, provider_request_id), pending_json = CASE WHEN ?11 THEN pending_json END,
        call_json = CASE WHEN ?12 OR (?11 AND pending_json IS NOT NULL) THEN call_json END, doubtful_ticks = ?13
        WHERE row = ?1 AND status = 'reserved' /* TOGETHER LAST */";
    MAY_HAVE_COST = "SELECT 1 FROM attempts
        WHERE request = ?1 AND (charged_ticks > 0 OR status IN ('reserved', 'disputed'))";
}

pub(crate) fn reserve(writing: &mut Writing<'_>, reservation: &Reservation) -> Result<Reserved, StoreError> {
    let Reservation { request, payer, new_request, attempts, now } = reservation;
    let project = &payer.project;
    let asked = sum_of_maxima(attempts)?;
    let connection = writing.connection;
    let accounts = writing.names.project(connection, project)?;
    if let Some(new) = new_request {
        if new.id != *request || new.payer != *payer {
            return Err(StoreError::Invalid("the new request is not the one of the reservation".to_owned()));
        }
        if let Some((earlier, same_body)) = bound(connection, accounts, new, *now)? {
            return Ok(Reserved::Existing { request: earlier, same_body });
        }
    }
    let mut holding = counters::check(writing, payer, attempts, *now)?;
    hold_within_cap(connection, (accounts.number, project), asked)?;
    counters::hold(writing, &mut holding)?;
    let number = match new_request {
        Some(new) => {
            rolled::touch(connection, micros(new.accepted_at), *now)?;
            let number = insert_request(connection, accounts, new, *now)?;
            if connection.is_alone() {
                let row = (number, accounts.number, micros(new.accepted_at));
                writing.names.open.begin(*request, row);
            }
            number
        }
        None => {
            let found = look_up(writing, *request)?;
            if found.project != accounts.number {
                return Err(StoreError::Invalid(format!("request {request} is not of project {project}")));
            }
            if found.status != RequestStatus::Running {
                return Err(StoreError::RequestFinished(*request));
            }
            rolled::touch(connection, found.created_at, *now)?;
            found.number
        }
    };
    for (place, attempt) in attempts.iter().enumerate() {
        let row = insert_attempt(connection, number, attempt, holding.counters_of(place), *now)?;
        let booking = Booking { attempt: row, kind: Movement::Reserve, at: micros(*now) };
        let maximum = attempt.maximum;
        book(connection, &booking, &[(accounts.available, -maximum), (accounts.held, maximum)])?;
        counters::write_shares(writing, &holding, place, row)?;
        writing
            .names
            .open
            .reserve(*request, attempt.id, || remembered(&holding, place, (row, number), attempt));
    }
    Ok(Reserved::Held)
}

/// An attempt as [`reserve`] has written it.
fn remembered(holding: &Holding, place: usize, (row, request): (i64, i64), attempt: &NewAttempt) -> Held {
    let found = FoundAttempt::reserved(row, request, attempt, holding.counters_of(place));
    Held { found, shares: holding.shares_of(place).collect() }
}

/// The request, from memory where that has it.
fn look_up(writing: &Writing<'_>, request: RequestId) -> Result<FoundRequest, StoreError> {
    let remembered = writing.names.open.request(request);
    remembered.map_or_else(|| find_request(writing.connection, request), Ok)
}

/// What [`reserve`] looks up. The project of a request is known from earlier ones, or looked up then.
pub(super) fn ahead_of_reserve(reservation: &Reservation, names: &Names, lookups: &mut Lookups) {
    let Some(new) = &reservation.new_request else {
        return lookups.want(REQUEST_FIND, params![reservation.request.uuid().as_bytes()]);
    };
    if let (Some(key), Some(project)) = (&new.idempotency_key, names.known_project(&new.payer.project)) {
        lookups.want(IDEMPOTENCY_FIND, params![project.number, key]);
    }
}

/// What [`conclude`] looks up.
pub(super) fn ahead_of_conclude(conclusion: &Conclusion, names: &Names, lookups: &mut Lookups) {
    lookups.want(REQUEST_FIND, params![conclusion.request.uuid().as_bytes()]);
    if conclusion.ends.iter().any(|end| matches!(end.end, End::Settled { .. })) {
        lookups.want_shared(PREPAID, params![]);
    }
    for end in &conclusion.ends {
        ahead_of_end(end.attempt, names, lookups);
    }
}

/// What the end of an attempt looks up.
pub(super) fn ahead_of_end(attempt: AttemptId, names: &Names, lookups: &mut Lookups) {
    lookups.want(ATTEMPT_FIND, params![attempt.uuid().as_bytes()]);
    counters::look_ahead(attempt, &names.counters, lookups);
}

pub(crate) fn store_pending(
    writing: &mut Writing<'_>,
    attempt: AttemptId,
    pending_json: &str,
    _now: Timestamp,
) -> Result<(), StoreError> {
    let connection = writing.connection;
    let id = attempt.uuid();
    if connection.try_one(ATTEMPT_PENDING, params![id.as_bytes(), pending_json])? {
        return Ok(());
    }
    let found = find_attempt(connection, attempt)?;
    Err(StoreError::AttemptEnded { attempt, status: found.status })
}

pub(crate) fn conclude(writing: &mut Writing<'_>, conclusion: &Conclusion) -> Result<(), StoreError> {
    let Conclusion { request, ends, finish, now } = conclusion;
    let connection = writing.connection;
    let found = look_up(writing, *request)?;
    let accounts = writing.names.project_by_number(connection, found.project)?;
    rolled::touch(connection, found.created_at, *now)?;
    let mut change = Totals::default();
    let mut ended = 0;
    for end in ends {
        if let Some(held) = writing.names.open.attempt(*request, end.attempt) {
            end_attempt(writing, accounts, (&held.found, Some(&held.shares)), end, *now, &mut change)?;
            writing.names.open.end(*request, end.attempt);
            ended += 1;
            continue;
        }
        let attempt = find_attempt(connection, end.attempt)?;
        if attempt.request != found.number {
            return Err(StoreError::Invalid(format!("attempt {} is not of request {request}", end.attempt)));
        }
        if attempt.status != AttemptStatus::Reserved {
            attempt.check_same_end(end)?;
            continue;
        }
        end_attempt(writing, accounts, (&attempt, None), end, *now, &mut change)?;
        ended += 1;
    }
    if ended > 0 {
        move_totals(connection, accounts.number, change)?;
    }
    match finish {
        Some(end) if found.status == RequestStatus::Running => {
            finish_request(connection, *request, &found, found.open - ended, (end, *now))?;
            writing.names.open.finish(*request);
        }
        Some(end) if found.status != end.status => return Err(StoreError::RequestFinished(*request)),
        Some(_) | None => {}
    }
    // Last, so that nothing which is refused is counted.
    writing.charged += change.settled;
    Ok(())
}

/// The request that the idempotency key is bound to, and whether its body was the same.
fn bound(
    connection: &dyn Sql,
    project: ProjectAccounts,
    request: &NewRequest,
    now: Timestamp,
) -> Result<Option<(RequestId, bool)>, StoreError> {
    let Some(key) = &request.idempotency_key else { return Ok(None) };
    let found = connection.query_opt(IDEMPOTENCY_FIND, params![project.number, key], |row| {
        Ok((words::request_id(row, 0)?, row.get::<[u8; 32]>(1)?, row.get::<i64>(2)?))
    })?;
    Ok(found
        .filter(|(_, _, created_at)| *created_at > idempotency_floor(now))
        .map(|(earlier, fingerprint, _)| (earlier, fingerprint == request.fingerprint)))
}

fn insert_request(
    connection: &dyn Sql,
    project: ProjectAccounts,
    request: &NewRequest,
    now: Timestamp,
) -> Result<i64, StoreError> {
    let payer = &request.payer;
    let tags =
        (!payer.tags.is_empty()).then(|| serde_json::to_string(&payer.tags).expect("tags are plain data"));
    let number = connection.insert(
        REQUEST_INSERT,
        params![
            request.id.uuid().as_bytes(),
            project.number,
            payer.key_id,
            micros(request.accepted_at),
            request.model,
            request.operation.as_str(),
            request.n,
            request.fingerprint,
            request.idempotency_key,
            request.plan_json,
            payer.end_user,
            tags,
            request.asked_json,
            request.prompt
        ],
    )?;
    if let Some(key) = &request.idempotency_key {
        // Bound meanwhile to another, it would not be bought a second time.
        connection.change_one(
            IDEMPOTENCY_BIND,
            params![project.number, key, number, request.fingerprint, micros(now), idempotency_floor(now)],
        )?;
    }
    Ok(number)
}

fn insert_attempt(
    connection: &dyn Sql,
    request: i64,
    attempt: &NewAttempt,
    counters: usize,
    now: Timestamp,
) -> Result<i64, StoreError> {
    connection.insert(
        ATTEMPT_INSERT,
        params![
            attempt.id.uuid().as_bytes(),
            request,
            attempt.number,
            attempt.offer.to_string(),
            attempt.offer.provider,
            attempt.offer.model,
            attempt.maximum.get(),
            micros(now),
            attempt.catalogue_digest,
            attempt.call_json,
            attempt.images,
            i64::try_from(counters).expect("there are few budgets")
        ],
    )
}

/// What the row of an ended attempt holds.
#[derive(Default)]
struct EndColumns<'a> {
    charged: Ticks,
    images: u32,
    basis: Option<&'a str>,
    charge_json: Option<&'a str>,
    doubtful: Ticks,
    fault_json: Option<&'a str>,
    dispute_reason: Option<&'a str>,
    provider_request_id: Option<&'a str>,
}

fn end_columns(end: &End) -> EndColumns<'_> {
    match end {
        End::Settled { charge, basis, charge_json, doubtful, images, provider_request_id, fault_json } => {
            EndColumns {
                charged: *charge,
                doubtful: *doubtful,
                images: *images,
                basis: Some(basis),
                charge_json: Some(charge_json),
                fault_json: fault_json.as_deref(),
                provider_request_id: provider_request_id.as_deref(),
                dispute_reason: None,
            }
        }
        End::Released { fault_json, provider_request_id } => EndColumns {
            fault_json: fault_json.as_deref(),
            provider_request_id: provider_request_id.as_deref(),
            ..EndColumns::default()
        },
        End::Disputed { reason, fault_json, provider_request_id, .. } => EndColumns {
            fault_json: fault_json.as_deref(),
            dispute_reason: Some(reason),
            provider_request_id: provider_request_id.as_deref(),
            ..EndColumns::default()
        },
    }
}

/// Moves the money of a reserved attempt and closes its row; adds to `change` what the totals become.
fn end_attempt(
    writing: &mut Writing<'_>,
    accounts: ProjectAccounts,
    (attempt, shares): (&FoundAttempt, Option<&Vec<Share>>),
    AttemptEnd { attempt: id, end }: &AttemptEnd,
    now: Timestamp,
    change: &mut Totals,
) -> Result<(), StoreError> {
    let booking = |kind| Booking { attempt: attempt.row, kind, at: micros(now) };
    let (connection, maximum) = (writing.connection, attempt.reserved);
    let status = match end {
        End::Settled { charge, doubtful, .. } => {
            check_amount(*charge)?;
            let (from, paid) = ((accounts.held, maximum), (attempt.provider.as_str(), *charge));
            pay(writing, &booking(Movement::Settle), from, accounts.available, paid)?;
            change.settled += *charge;
            change.doubtful += *doubtful;
            AttemptStatus::Settled
        }
        End::Released { .. } => {
            let legs = [(accounts.held, -maximum), (accounts.available, maximum)];
            book(connection, &booking(Movement::Release), &legs)?;
            AttemptStatus::Released
        }
        End::Disputed { .. } => {
            let legs = [(accounts.held, -maximum), (accounts.disputed, maximum)];
            book(connection, &booking(Movement::Dispute), &legs)?;
            change.disputed += maximum;
            AttemptStatus::Disputed
        }
    };
    change.held -= maximum;
    // A dispute is resolved later by what the call and the provider's handle say.
    let keep_texts = status == AttemptStatus::Disputed;
    let columns = end_columns(end);
    // A reserved attempt ends once.
    connection.change_one(
        ATTEMPT_END,
        params![
            attempt.row,
            status.as_str(),
            micros(now),
            columns.charged.get(),
            columns.images,
            columns.basis,
            columns.charge_json,
            columns.fault_json,
            columns.dispute_reason,
            columns.provider_request_id,
            keep_texts,
            writing.calls_keep,
            columns.doubtful.get()
        ],
    )?;
    if attempt.counters > 0 {
        let (to, overrun) = match end {
            End::Settled { charge, images, doubtful, .. } => {
                (Place::Settled(*charge, *images, *doubtful), *charge > maximum)
            }
            End::Released { .. } => (Place::Released, false),
            End::Disputed { .. } => (Place::Disputed, false),
        };
        let moving = Moving { attempt: *id, row: attempt.row, at: now, overrun };
        let looked_up = if shares.is_none() { counters::find_shares(connection, *id)? } else { Vec::new() };
        counters::move_shares(writing, &moving, shares.unwrap_or(&looked_up), (Place::Held, to))?;
    }
    match end {
        End::Settled { charge, doubtful, .. } => {
            tell::overrun(writing, *id, attempt, (*charge, *doubtful), now)
        }
        End::Released { .. } => Ok(()),
        End::Disputed { reason, doubtful, .. } => {
            tell::dispute(writing, *id, attempt, (*doubtful, reason), now)
        }
    }
}

/// Books the payment of a charge out of a held maximum: the rest goes back to `available`, an overrun
/// comes from there. Prepaid credits of the provider pay what they can of it.
pub(super) fn pay(
    writing: &mut Writing<'_>,
    booking: &Booking,
    from: (i64, Ticks),
    available: i64,
    (provider, charge): (&str, Ticks),
) -> Result<AttemptStatus, StoreError> {
    let (account, maximum) = from;
    let (out, back) = ((account, -maximum), (available, maximum - charge));
    if charge.is_zero() {
        book(writing.connection, booking, &[out, back])?;
        return Ok(AttemptStatus::Released);
    }
    let payable = writing.names.payable(writing.connection, provider)?;
    book(writing.connection, booking, &[out, back, (payable, charge)])?;
    consume(writing, booking, provider, charge)?;
    Ok(AttemptStatus::Settled)
}

fn finish_request(
    connection: &dyn Sql,
    request: RequestId,
    found: &FoundRequest,
    open: u32,
    (end, now): (&RequestEnd, Timestamp),
) -> Result<(), StoreError> {
    let number = found.number;
    if end.status == RequestStatus::Running {
        return Err(StoreError::Invalid("a request does not end as running".to_owned()));
    }
    if open > 0 {
        return Err(StoreError::AttemptsOpen { request, open });
    }
    if end.free_idempotency_key {
        if connection.exists(MAY_HAVE_COST, params![number])? {
            return Err(StoreError::KeyMustStay(request));
        }
        connection.change(IDEMPOTENCY_FREE, params![number])?;
    }
    let list = end.list.as_ref();
    let trust = list.and_then(|list| list.trust.as_ref());
    // The request that finishes exists.
    connection.change_one(
        REQUEST_FINISH,
        params![
            number,
            end.status.as_str(),
            end.http_status,
            end.error_code,
            end.answer_json,
            end.images_delivered,
            list.map(|list| list.amount),
            end.saved,
            micros(now),
            trust.map(|(confidence, _)| confidence),
            trust.map(|(_, as_of)| as_of.to_string()),
            list.map_or(Ticks::ZERO, |list| list.doubtful)
        ],
    )?;
    Ok(())
}
