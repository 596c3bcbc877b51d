//! Reading requests with their attempts and entries: for answers, lists, replays and recovery.

use crate::sql::{Row, Sql, params};
use gallerist_domain::{AttemptId, OfferId, Operation, ProjectId, RequestId, Ticks};
use jiff::{Timestamp, ToSpan};
use std::collections::BTreeMap;

use crate::ledger::IDEMPOTENCY_HOURS;
use crate::words::{self, AttemptStatus, Movement, RequestStatus, micros, statements};
use crate::{Store, StoreError};

pub(crate) mod repeated;

/// Rows of one page at most.
pub const PAGE_ROWS_MAX: u32 = 1_000;

/// A request without its attempts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestRecord {
    pub id: RequestId,
    pub project: ProjectId,
    pub key_id: Option<String>,
    pub created_at: Timestamp,
    pub finished_at: Option<Timestamp>,
    pub model: String,
    pub operation: Operation,
    pub n: u32,
    pub status: RequestStatus,
    pub http_status: Option<u16>,
    pub error_code: Option<String>,
    pub fingerprint: [u8; 32],
    pub idempotency_key: Option<String>,
    pub images_delivered: u32,
    pub list: Option<Ticks>,
    /// How sure the least sure of the lines behind `list` is, and when that was read; unknown of requests that ended
    /// before schema 13.
    pub list_confidence: Option<String>,
    pub list_as_of: Option<jiff::civil::Date>,
    pub saved: Option<Ticks>,
    pub plan_json: String,
    /// The parameters that decide about the price, as JSON text; absent before schema 3.
    pub asked_json: Option<String>,
    /// Only where the settings say that prompts are stored.
    pub prompt: Option<String>,
    pub answer_json: Option<String>,
    /// Sum of the charges of its attempts.
    pub charged: Ticks,
    /// The part of it that rests on prices below official, or read long before.
    pub doubtful: Ticks,
    /// Sum of the maxima of its attempts that are still reserved.
    pub held: Ticks,
    /// Sum of the maxima of its disputed attempts.
    pub disputed: Ticks,
    /// As the client named them.
    pub end_user: Option<String>,
    pub tags: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptRecord {
    pub id: AttemptId,
    /// Counts from 1 within the request.
    pub number: u32,
    pub offer: OfferId,
    pub status: AttemptStatus,
    pub reserved: Ticks,
    pub charged: Ticks,
    /// Pictures of it that were delivered.
    pub images: u32,
    pub created_at: Timestamp,
    pub ended_at: Option<Timestamp>,
    pub basis: Option<String>,
    pub dispute_reason: Option<String>,
    pub provider_request_id: Option<String>,
    pub catalogue_digest: String,
    pub fault_json: Option<String>,
    pub charge_json: Option<String>,
    /// Whether a job is stored that its provider can be asked for.
    pub job_pending: bool,
}

/// One leg of a movement of money.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRecord {
    pub attempt: AttemptId,
    /// `project:{p}:available`, `project:{p}:held`, `project:{p}:disputed` or `provider:{name}:payable`;
    /// with prepaid credits also `provider:{name}:credits`, `…:consumed` and `…:covered`.
    pub account: String,
    pub amount: Ticks,
    pub at: Timestamp,
    pub kind: Movement,
}

/// Everything about one request. Attempts by number, entries in the order of booking.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestDetail {
    pub request: RequestRecord,
    pub attempts: Vec<AttemptRecord>,
    pub entries: Vec<EntryRecord>,
}

/// Which requests a page holds: the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RequestFilter {
    pub project: Option<ProjectId>,
    pub end_user: Option<String>,
    /// A tag's name and its value.
    pub tag: Option<(String, String)>,
    /// Continue behind this request.
    pub after: Option<RequestId>,
    /// 1 to [`PAGE_ROWS_MAX`]; other values are brought into it.
    pub limit: u32,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestPage {
    pub requests: Vec<RequestRecord>,
    pub has_more: bool,
}

/// An attempt whose money is not final: reserved (what a crash left) or disputed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenAttempt {
    pub id: AttemptId,
    pub request: RequestId,
    pub project: ProjectId,
    pub number: u32,
    pub offer: OfferId,
    pub status: AttemptStatus,
    pub reserved: Ticks,
    pub created_at: Timestamp,
    /// When the request was accepted: the instant of its prices.
    pub request_created_at: Timestamp,
    pub catalogue_digest: String,
    pub provider_request_id: Option<String>,
    pub dispute_reason: Option<String>,
    pub pending_json: Option<String>,
    pub call_json: Option<String>,
}

/// A request that never finished; with its attempts' states it can be finished at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnfinishedRequest {
    pub id: RequestId,
    pub project: ProjectId,
    pub n: u32,
    pub created_at: Timestamp,
    /// Attempts that are still reserved.
    pub attempts_open: u32,
}

/// What an idempotency key is bound to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotentRequest {
    pub request: RequestId,
    pub fingerprint: [u8; 32],
    pub created_at: Timestamp,
}

macro_rules! request_columns {
    () => {
        "SELECT r.id, p.name, r.key_id, r.created_at, r.finished_at, r.model, r.operation, r.n, r.status,
            r.http_status, r.error_code, r.fingerprint, r.idempotency_key, r.images_delivered, r.list_ticks,
            r.saved_ticks, r.plan_json, r.answer_json,
            (SELECT coalesce(sum(charged_ticks), 0) FROM attempts a WHERE a.request = r.number),
            (SELECT coalesce(sum(reserved_ticks), 0) FROM attempts a
                WHERE a.request = r.number AND a.status = 'reserved'),
            (SELECT coalesce(sum(reserved_ticks), 0) FROM attempts a
                WHERE a.request = r.number AND a.status = 'disputed'),
            r.number, r.end_user, r.tags_json, r.asked_json, r.prompt, r.list_confidence, r.list_as_of,
            (SELECT coalesce(sum(doubtful_ticks), 0) FROM attempts a WHERE a.request = r.number)
        FROM requests r JOIN projects p ON p.number = r.project "
    };
}

macro_rules! open_columns {
    () => {
        "SELECT a.id, r.id, p.name, a.number, a.offer, a.status, a.reserved_ticks, a.created_at, r.created_at,
            a.catalogue_digest, a.provider_request_id, a.dispute_reason, a.pending_json, a.call_json "
    };
}

statements! {
    REQUEST = concat!(request_columns!(), "WHERE r.id = ?1");
    // A null filter means all. Numbers alone are no order: each replica takes them in blocks.
    REQUEST_PAGE = concat!(request_columns!(), "WHERE (r.created_at, r.number) < (?1, ?2)
            AND (?3 IS NULL OR p.name = ?3) AND (?4 IS NULL OR r.end_user = ?4)
            AND (?5 IS NULL OR r.tags_json LIKE ?5 ESCAPE '!')
        ORDER BY r.created_at DESC, r.number DESC LIMIT ?6");
    REQUEST_PLACE = "SELECT created_at, number FROM requests WHERE id = ?1";
    ATTEMPTS = "SELECT id, number, offer, status, reserved_ticks, charged_ticks, images, created_at, ended_at,
            basis, dispute_reason, provider_request_id, catalogue_digest, fault_json, charge_json,
            pending_json IS NOT NULL
        FROM attempts WHERE request = ?1 ORDER BY number";
    // What credits paid stands behind the movement that they paid.
    ENTRIES = "SELECT t.id, c.name, e.amount, e.at AS at, e.kind, t.number AS number, e.place AS place
        FROM attempts t JOIN entries e ON e.attempt = t.row JOIN accounts c ON c.number = e.account
        WHERE t.request = ?1
        UNION ALL
        SELECT t.id, c.name, e.amount, e.at, e.kind, t.number, 8 + e.number
        FROM attempts t JOIN credit_entries e ON e.attempt = t.row JOIN accounts c ON c.number = e.account
        WHERE t.request = ?1
        ORDER BY at, number, place";
    // Requests finish after their attempts, so a reserved attempt has a running request.
    OPEN_RESERVED = concat!(open_columns!(), "FROM requests r INDEXED BY requests_running
        CROSS JOIN attempts a ON a.request = r.number JOIN projects p ON p.number = r.project
        WHERE r.status = 'running' AND a.status = 'reserved' /* OPEN a */ /* MINE a */ ORDER BY a.row");
    OPEN_DISPUTED = concat!(open_columns!(), "FROM attempts a INDEXED BY attempts_disputed
        CROSS JOIN requests r ON r.number = a.request JOIN projects p ON p.number = r.project
        WHERE a.status = 'disputed' /* OPEN a */ /* MINE a */ ORDER BY a.row");
    UNFINISHED = "SELECT r.id, p.name, r.n, r.created_at,
            (SELECT count(*) FROM attempts a WHERE a.request = r.number AND a.status = 'reserved')
        FROM requests r INDEXED BY requests_running JOIN projects p ON p.number = r.project
        WHERE r.status = 'running' /* OPEN r */ /* MINE r */ ORDER BY r.number";
    IDEMPOTENT = "SELECT r.id, i.fingerprint, i.created_at
        FROM projects p JOIN idempotency i ON i.project = p.number JOIN requests r ON r.number = i.request
        WHERE p.name = ?1 AND i.key = ?2 AND i.created_at > ?3";
    BOUND_SINCE = "SELECT i.created_at FROM requests r
        JOIN idempotency i ON i.project = r.project AND i.key = r.idempotency_key AND i.request = r.number
        WHERE r.id = ?1";
}

impl Store {
    /// A request with its attempts and entries.
    pub async fn request(&self, id: RequestId) -> Result<Option<RequestDetail>, StoreError> {
        self.read(move |connection| detail(connection, id)).await
    }

    /// A page of requests, the newest first.
    pub async fn requests(&self, filter: RequestFilter) -> Result<RequestPage, StoreError> {
        self.read(move |connection| page(connection, &filter)).await
    }

    /// What this idempotency key is bound to at `now`.
    pub async fn idempotent(
        &self,
        project: ProjectId,
        key: &str,
        now: Timestamp,
    ) -> Result<Option<IdempotentRequest>, StoreError> {
        let key = key.to_owned();
        self.read(move |connection| {
            connection.query_opt(IDEMPOTENT, params![project.as_str(), key, idempotency_floor(now)], |row| {
                Ok(IdempotentRequest {
                    request: words::request_id(row, 0)?,
                    fingerprint: row.get(1)?,
                    created_at: words::timestamp(row, 2)?,
                })
            })
        })
        .await
    }

    /// Until when an idempotency key is bound to this request; `None` where none is.
    pub async fn bound_until(&self, request: RequestId) -> Result<Option<Timestamp>, StoreError> {
        self.read(move |connection| {
            let since = connection
                .query_opt(BOUND_SINCE, params![request.uuid().as_bytes()], |row| words::timestamp(row, 0))?;
            Ok(since.map(|since| since.checked_add(IDEMPOTENCY_HOURS.hours()).unwrap_or(Timestamp::MAX)))
        })
        .await
    }

    /// The attempts that are still reserved, of those that this process looks after. At start these are what
    /// a crash left behind.
    pub async fn open_attempts(&self) -> Result<Vec<OpenAttempt>, StoreError> {
        self.read(|connection| open(connection, OPEN_RESERVED)).await
    }

    /// The attempts of which nobody knows the charge, oldest first, of those that this process looks after.
    pub async fn disputed_attempts(&self) -> Result<Vec<OpenAttempt>, StoreError> {
        self.read(|connection| open(connection, OPEN_DISPUTED)).await
    }

    /// The requests that are still running, oldest first, of those that this process looks after. At start
    /// these must be finished.
    pub async fn unfinished_requests(&self) -> Result<Vec<UnfinishedRequest>, StoreError> {
        self.read(|connection| {
            connection.query_all(UNFINISHED, params![], |row| {
                Ok(UnfinishedRequest {
                    id: words::request_id(row, 0)?,
                    project: words::project(row, 1)?,
                    n: row.get(2)?,
                    created_at: words::timestamp(row, 3)?,
                    attempts_open: row.get(4)?,
                })
            })
        })
        .await
    }
}

/// Keys bound at or before this instant (in microseconds) are free again at `now`.
pub(crate) fn idempotency_floor(now: Timestamp) -> i64 {
    now.checked_sub(IDEMPOTENCY_HOURS.hours()).map_or(i64::MIN, micros)
}

fn detail(connection: &dyn Sql, id: RequestId) -> Result<Option<RequestDetail>, StoreError> {
    let found = connection
        .query_opt(REQUEST, params![id.uuid().as_bytes()], |row| Ok((row.get::<i64>(21)?, record(row)?)))?;
    let Some((number, request)) = found else { return Ok(None) };
    let attempts = connection.query_all(ATTEMPTS, params![number], attempt)?;
    let entries = connection.query_all(ENTRIES, params![number], entry)?;
    Ok(Some(RequestDetail { request, attempts, entries }))
}

fn page(connection: &dyn Sql, filter: &RequestFilter) -> Result<RequestPage, StoreError> {
    let limit = filter.limit.clamp(1, PAGE_ROWS_MAX);
    let mut below: (i64, i64) = match filter.after {
        None => (i64::MAX, i64::MAX),
        Some(after) => connection
            .query_opt(REQUEST_PLACE, params![after.uuid().as_bytes()], |row| Ok((row.get(0)?, row.get(1)?)))?
            .ok_or(StoreError::UnknownRequest(after))?,
    };
    let project = filter.project.as_ref().map(ProjectId::as_str);
    let tag = filter.tag.as_ref().map(|(name, value)| tag_pattern(name, value));
    let asked = |request: &RequestRecord| match &filter.tag {
        Some((name, value)) => request.tags.get(name) == Some(value),
        None => true,
    };
    let shown = usize::try_from(limit).expect("it is at most a thousand");
    let mut requests: Vec<RequestRecord> = Vec::new();
    loop {
        let rows: Vec<((i64, i64), RequestRecord)> = connection.query_all(
            REQUEST_PAGE,
            params![below.0, below.1, project, filter.end_user, tag, limit + 1],
            |row| Ok(((row.get(3)?, row.get(21)?), record(row)?)),
        )?;
        // The statement's comparison may be looser than ours: it need not tell cases apart.
        let next = rows.last().filter(|_| rows.len() > shown).map(|(place, _)| *place);
        requests.extend(rows.into_iter().map(|(_, request)| request).filter(asked));
        match next {
            Some(place) if requests.len() <= shown => below = place,
            _ => break,
        }
    }
    let has_more = requests.len() > shown;
    requests.truncate(shown);
    Ok(RequestPage { requests, has_more })
}

/// Finds a tag in the JSON text that holds them: quotation marks inside a value are escaped there, so that
/// `"name":"value"` with its own stands for nothing else.
fn tag_pattern(name: &str, value: &str) -> String {
    let json = |text: &str| serde_json::to_string(text).expect("text is plain data");
    let literal = format!("{}:{}", json(name), json(value));
    format!("%{}%", literal.replace('!', "!!").replace('%', "!%").replace('_', "!_"))
}

fn record(row: &Row<'_>) -> Result<RequestRecord, StoreError> {
    let tags = match row.get::<Option<&str>>(23)? {
        Some(_) => words::json(row, 23)?,
        None => BTreeMap::new(),
    };
    Ok(RequestRecord {
        id: words::request_id(row, 0)?,
        project: words::project(row, 1)?,
        key_id: row.get(2)?,
        created_at: words::timestamp(row, 3)?,
        finished_at: words::timestamp_opt(row, 4)?,
        model: row.get(5)?,
        operation: words::operation(row, 6)?,
        n: row.get(7)?,
        status: words::word(row, 8, RequestStatus::from_word)?,
        http_status: row.get(9)?,
        error_code: row.get(10)?,
        fingerprint: row.get(11)?,
        idempotency_key: row.get(12)?,
        images_delivered: row.get(13)?,
        list: words::ticks_opt(row, 14)?,
        list_confidence: row.get(26)?,
        list_as_of: row.get::<Option<&str>>(27)?.map(|_| words::parsed(row, 27)).transpose()?,
        doubtful: words::ticks(row, 28)?,
        saved: words::ticks_opt(row, 15)?,
        plan_json: row.get(16)?,
        answer_json: row.get(17)?,
        charged: words::ticks(row, 18)?,
        held: words::ticks(row, 19)?,
        disputed: words::ticks(row, 20)?,
        end_user: row.get(22)?,
        tags,
        asked_json: row.get(24)?,
        prompt: row.get(25)?,
    })
}

fn attempt(row: &Row<'_>) -> Result<AttemptRecord, StoreError> {
    Ok(AttemptRecord {
        id: words::attempt_id(row, 0)?,
        number: row.get(1)?,
        offer: words::parsed(row, 2)?,
        status: words::word(row, 3, AttemptStatus::from_word)?,
        reserved: words::ticks(row, 4)?,
        charged: words::ticks(row, 5)?,
        images: row.get(6)?,
        created_at: words::timestamp(row, 7)?,
        ended_at: words::timestamp_opt(row, 8)?,
        basis: row.get(9)?,
        dispute_reason: row.get(10)?,
        provider_request_id: row.get(11)?,
        catalogue_digest: row.get(12)?,
        fault_json: row.get(13)?,
        charge_json: row.get(14)?,
        job_pending: row.get(15)?,
    })
}

fn entry(row: &Row<'_>) -> Result<EntryRecord, StoreError> {
    Ok(EntryRecord {
        attempt: words::attempt_id(row, 0)?,
        account: row.get(1)?,
        amount: words::ticks(row, 2)?,
        at: words::timestamp(row, 3)?,
        kind: words::word(row, 4, Movement::from_word)?,
    })
}

fn open(connection: &dyn Sql, statement: &str) -> Result<Vec<OpenAttempt>, StoreError> {
    connection.query_all(statement, params![], |row| {
        Ok(OpenAttempt {
            id: words::attempt_id(row, 0)?,
            request: words::request_id(row, 1)?,
            project: words::project(row, 2)?,
            number: row.get(3)?,
            offer: words::parsed(row, 4)?,
            status: words::word(row, 5, AttemptStatus::from_word)?,
            reserved: words::ticks(row, 6)?,
            created_at: words::timestamp(row, 7)?,
            request_created_at: words::timestamp(row, 8)?,
            catalogue_digest: row.get(9)?,
            provider_request_id: row.get(10)?,
            dispute_reason: row.get(11)?,
            pending_json: row.get(12)?,
            call_json: row.get(13)?,
        })
    })
}
