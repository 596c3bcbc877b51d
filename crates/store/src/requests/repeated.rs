//! Which earlier request a repetition without an idempotency key repeats, by the digest of its body.
//!
//! A digest comes at random. An index of digests alone would read and write another page of years for every request,
//! so each engine's index begins with what lies together in time, and the question goes through all of it that can
//! hold an answer.

use gallerist_domain::{ProjectId, RequestId};
use jiff::Timestamp;

use crate::sql::{Dialect, Sql, params};
use crate::words::{self, micros, statements};
use crate::{Store, StoreError};

/// The stretches of PostgreSQL's index.
const QUARTER_MICROSECONDS: i64 = 15 * 60 * 1_000_000;
/// How long after `since` the last request that is looked for was accepted, at least.
const STRETCHES: i64 = 3;
/// Longer than a reservation waits for its row.
const MINUTE_MICROSECONDS: i64 = 60 * 1_000_000;

// What failed for free is left out: it hides what was paid from a repetition that looks for it.
macro_rules! repeatable {
    () => {
        "r.fingerprint = ?1 AND p.name = ?2 AND r.key_id IS NOT DISTINCT FROM ?3 AND r.created_at >= ?4
            AND (r.status <> 'failed' OR EXISTS (SELECT 1 FROM attempts a WHERE a.request = r.number
                AND (a.charged_ticks > 0 OR a.status = 'reserved' OR a.status = 'disputed')))
        ORDER BY r.status = 'running' DESC, r.number DESC LIMIT 1"
    };
}

statements! {
    // By quarter of an hour.
    BY_TIME = concat!("SELECT r.id FROM requests r JOIN projects p ON p.number = r.project
        WHERE r.created_at / 900000000 IN (?5, ?6, ?7) AND ", repeatable!());
    // By 2,048 rows in a row, as they were written, from the newest back to the first for which money was held since:
    // what was accepted since was written since, and rows are numbered as they are written. One block more, because
    // two that are written at once may come in another order than their times. A block is some twenty pages for all
    // commits to write, whatever the rate; in a quarter of an hour each request would have a page of its own.
    BY_NUMBER = concat!("WITH RECURSIVE blocks (block) AS (
            SELECT max(number) / 2048 FROM requests UNION ALL SELECT block - 1 FROM blocks
            WHERE block >= (SELECT request FROM attempts WHERE created_at >= ?5 ORDER BY created_at LIMIT 1) / 2048)
        SELECT r.id FROM blocks CROSS JOIN requests r INDEXED BY requests_repeated ON r.number / 2048 = blocks.block
            JOIN projects p ON p.number = r.project WHERE r.created_at < ?6 AND ", repeatable!());
}

impl Store {
    /// What a repetition by this key with this fingerprint can repeat, among the requests that were accepted
    /// in the half hour after `since`: one that runs, else the newest that was answered or may have been charged.
    pub async fn repeatable(
        &self,
        project: ProjectId,
        key_id: Option<String>,
        fingerprint: [u8; 32],
        since: Timestamp,
    ) -> Result<Option<RequestId>, StoreError> {
        let since = micros(since);
        self.read(move |connection| find(connection, &project, key_id, fingerprint, since)).await
    }
}

fn find(
    connection: &dyn Sql,
    project: &ProjectId,
    key_id: Option<String>,
    fingerprint: [u8; 32],
    since: i64,
) -> Result<Option<RequestId>, StoreError> {
    let (project, quarter) = (project.as_str(), since.div_euclid(QUARTER_MICROSECONDS));
    let (begin, end) = (since - MINUTE_MICROSECONDS, (quarter + STRETCHES) * QUARTER_MICROSECONDS);
    match connection.dialect() {
        Dialect::Sqlite => {
            connection.query_opt(BY_NUMBER, params![fingerprint, project, key_id, since, begin, end], |row| {
                words::request_id(row, 0)
            })
        }
        Dialect::Postgres => connection.query_opt(
            BY_TIME,
            params![fingerprint, project, key_id, since, quarter, quarter + 1, quarter + 2],
            |row| words::request_id(row, 0),
        ),
    }
}
