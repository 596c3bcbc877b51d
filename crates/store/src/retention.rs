//! Deletes old requests with everything of theirs, and leaves opening balances, so that the books still balance.
//!
//! Whole days go, once they are rolled up and nothing in them is open or disputed; from the first deletion on
//! the roll-up answers for the day. What is to go is looked for on a reader, day by day, and the writer only marks one
//! day, or deletes a few requests, in one transaction: however long the history, a payment waits for no more than
//! that. It refuses to touch a day of which money is still unknown.

use jiff::Timestamp;

use crate::sql::{Sql, params};
use crate::usage::rolled::DAY;
use crate::words::{micros, statements};
use crate::{Store, StoreError};

/// The least retention: idempotency keys, kept pictures and the jobs of disputes are over long before.
pub const RETENTION_DAYS_MIN: u32 = 7;
/// Requests that one transaction deletes; bounds the wait of a reservation behind it.
const REQUESTS_PER_COMMIT: i64 = 200;

/// What a step of [`Store::purge`] did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Purged {
    pub requests: u64,
    /// Whether another step would find something.
    pub has_more: bool,
}

statements! {
    ROLLED = "SELECT day, version FROM usage_states WHERE purged_at IS NULL AND rolled_version = version
        AND day < ?1 ORDER BY day";
    // Settled or released to the last attempt is what nothing is found of.
    OPEN = "SELECT 1 FROM requests r WHERE r.created_at >= ?1 AND r.created_at < ?2
        AND (r.status = 'running' OR EXISTS (SELECT 1 FROM attempts a WHERE a.request = r.number
            AND a.status IN ('reserved', 'disputed'))) LIMIT 1";
    MARKED = "SELECT s.day FROM usage_states s WHERE s.purged_at IS NOT NULL AND s.day < ?1
        AND EXISTS (SELECT 1 FROM requests r WHERE r.created_at >= s.day * 86400000000
            AND r.created_at < (s.day + 1) * 86400000000) ORDER BY s.day LIMIT 1";
    // What touches the day after it was looked at counts its version up, and it stays.
    MARK = "UPDATE usage_states SET purged_at = ?3 WHERE day = ?1 AND version = ?2 AND rolled_version = version
        AND purged_at IS NULL";
    LOCK = "SELECT day FROM usage_states WHERE day = ?1 /* FOR UPDATE */";
    OPEN_ACCOUNTS = "INSERT INTO account_openings (account, amount, credit_amount)
        SELECT e.account, sum(e.amount), 0 FROM entries e
        WHERE e.attempt IN (SELECT a.row FROM attempts a WHERE a.request IN
            (SELECT number FROM requests WHERE created_at >= ?1 AND created_at < ?2
                ORDER BY created_at, number LIMIT ?3)) GROUP BY e.account
        ON CONFLICT (account) DO UPDATE SET amount = account_openings.amount + excluded.amount";
    OPEN_CREDIT_ACCOUNTS = "INSERT INTO account_openings (account, amount, credit_amount)
        SELECT e.account, 0, sum(e.amount) FROM credit_entries e
        WHERE e.attempt IN (SELECT a.row FROM attempts a WHERE a.request IN
            (SELECT number FROM requests WHERE created_at >= ?1 AND created_at < ?2
                ORDER BY created_at, number LIMIT ?3)) GROUP BY e.account
        ON CONFLICT (account) DO UPDATE SET
            credit_amount = account_openings.credit_amount + excluded.credit_amount";
    OPEN_CHARGES = "INSERT INTO charge_openings (project, provider, charged)
        SELECT r.project, a.provider, sum(a.charged_ticks) FROM requests r JOIN attempts a ON a.request = r.number
        WHERE r.number IN (SELECT number FROM requests WHERE created_at >= ?1 AND created_at < ?2
            ORDER BY created_at, number LIMIT ?3) GROUP BY r.project, a.provider
        ON CONFLICT (project, provider) DO UPDATE SET charged = charge_openings.charged + excluded.charged";
    OPEN_COUNTERS = "INSERT INTO counter_openings (counter, settled)
        SELECT s.counter, sum(s.settled) FROM attempt_counters s
        WHERE s.attempt IN (SELECT a.row FROM attempts a WHERE a.request IN
            (SELECT number FROM requests WHERE created_at >= ?1 AND created_at < ?2
                ORDER BY created_at, number LIMIT ?3)) GROUP BY s.counter
        ON CONFLICT (counter) DO UPDATE SET settled = counter_openings.settled + excluded.settled";
    OPEN_LOTS = "INSERT INTO lot_openings (lot, quantity, cost_ticks)
        SELECT u.lot, sum(u.quantity), sum(u.cost_ticks) FROM credit_uses u
        WHERE u.attempt IN (SELECT a.row FROM attempts a WHERE a.request IN
            (SELECT number FROM requests WHERE created_at >= ?1 AND created_at < ?2
                ORDER BY created_at, number LIMIT ?3)) GROUP BY u.lot
        ON CONFLICT (lot) DO UPDATE SET quantity = lot_openings.quantity + excluded.quantity,
            cost_ticks = lot_openings.cost_ticks + excluded.cost_ticks";
    DELETE_ENTRIES = "DELETE FROM entries WHERE attempt IN (SELECT a.row FROM attempts a WHERE a.request IN
        (SELECT number FROM requests WHERE created_at >= ?1 AND created_at < ?2
            ORDER BY created_at, number LIMIT ?3))";
    DELETE_CREDIT_ENTRIES = "DELETE FROM credit_entries WHERE attempt IN
        (SELECT a.row FROM attempts a WHERE a.request IN
            (SELECT number FROM requests WHERE created_at >= ?1 AND created_at < ?2
                ORDER BY created_at, number LIMIT ?3))";
    DELETE_USES = "DELETE FROM credit_uses WHERE attempt IN (SELECT a.row FROM attempts a WHERE a.request IN
        (SELECT number FROM requests WHERE created_at >= ?1 AND created_at < ?2
            ORDER BY created_at, number LIMIT ?3))";
    DELETE_SHARES = "DELETE FROM attempt_counters WHERE attempt IN
        (SELECT a.row FROM attempts a WHERE a.request IN
            (SELECT number FROM requests WHERE created_at >= ?1 AND created_at < ?2
                ORDER BY created_at, number LIMIT ?3))";
    DELETE_KEYS = "DELETE FROM idempotency WHERE (project, key) IN
        (SELECT project, idempotency_key FROM requests WHERE created_at >= ?1 AND created_at < ?2
            ORDER BY created_at, number LIMIT ?3) AND created_at < ?4";
    DELETE_ATTEMPTS = "DELETE FROM attempts WHERE request IN
        (SELECT number FROM requests WHERE created_at >= ?1 AND created_at < ?2
            ORDER BY created_at, number LIMIT ?3)";
    DELETE_REQUESTS = "DELETE FROM requests WHERE number IN
        (SELECT number FROM requests WHERE created_at >= ?1 AND created_at < ?2
            ORDER BY created_at, number LIMIT ?3)";
}

/// What leaves an opening balance, then what goes; the requests last, because the others are found by them.
const STEPS: [&str; 11] = [
    OPEN_ACCOUNTS,
    OPEN_CREDIT_ACCOUNTS,
    OPEN_CHARGES,
    OPEN_COUNTERS,
    OPEN_LOTS,
    DELETE_ENTRIES,
    DELETE_CREDIT_ENTRIES,
    DELETE_USES,
    DELETE_SHARES,
    DELETE_ATTEMPTS,
    DELETE_REQUESTS,
];

impl Store {
    /// Deletes some of the requests that were accepted more than `days` whole days ago, at least
    /// [`RETENTION_DAYS_MIN`]. Days that are not rolled up, or of which a charge is unknown, stay.
    pub async fn purge(&self, days: u32, now: Timestamp) -> Result<Purged, StoreError> {
        if days < RETENTION_DAYS_MIN {
            return Err(StoreError::Invalid(format!(
                "requests are kept for at least {RETENTION_DAYS_MIN} days, not {days}"
            )));
        }
        let now = micros(now);
        let before = now.div_euclid(DAY) - i64::from(days);
        let work = self.read(move |connection| find(connection, before)).await?;
        self.write(move |writing| match work {
            Work::None => Ok(Purged::default()),
            Work::Mark { day, version } => {
                writing.connection.execute(MARK, params![day, version, now])?;
                Ok(Purged { requests: 0, has_more: true })
            }
            Work::Delete { day } => {
                writing.names.open.forget();
                purge(writing.connection, day, now)
            }
        })
        .await
    }
}

/// What a step is to do.
#[derive(Clone, Copy)]
enum Work {
    None,
    /// The day may go.
    Mark {
        day: i64,
        version: i64,
    },
    /// There are requests of a day that goes.
    Delete {
        day: i64,
    },
}

/// Looks for work in days before one, without holding anybody up.
fn find(connection: &dyn Sql, before: i64) -> Result<Work, StoreError> {
    if let Some(day) = connection.query_opt(MARKED, params![before], |row| row.get(0))? {
        return Ok(Work::Delete { day });
    }
    let rolled: Vec<(i64, i64)> =
        connection.query_all(ROLLED, params![before], |row| Ok((row.get(0)?, row.get(1)?)))?;
    for (day, version) in rolled {
        if !connection.exists(OPEN, params![day * DAY, (day + 1) * DAY])? {
            return Ok(Work::Mark { day, version });
        }
    }
    Ok(Work::None)
}

/// Deletes some of the requests of a day.
fn purge(connection: &dyn Sql, day: i64, now: i64) -> Result<Purged, StoreError> {
    // Two replicas must not both count the same rows into the opening balances.
    connection.exists(LOCK, params![day])?;
    let (from, to) = (day * DAY, (day + 1) * DAY);
    connection.execute(DELETE_KEYS, params![from, to, REQUESTS_PER_COMMIT, now - DAY])?;
    let mut requests = 0;
    for step in STEPS {
        requests = connection.execute(step, params![from, to, REQUESTS_PER_COMMIT])?;
    }
    Ok(Purged { requests, has_more: true })
}
