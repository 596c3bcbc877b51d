//! Deletes old requests with everything of theirs, and leaves opening balances, so that the books still balance.
//!
//! Whole days go, once they are rolled up and nothing in them is open or disputed; from the first deletion on
//! the roll-up answers for the day. It refuses to touch a day of which money is still unknown.

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
    // Days that may go: rolled up, and settled or released to the last attempt.
    MARK = "UPDATE usage_states SET purged_at = ?2 WHERE purged_at IS NULL AND rolled_version = version
        AND day < ?1 AND NOT EXISTS (SELECT 1 FROM requests r WHERE r.created_at >= usage_states.day * 86400000000
            AND r.created_at < (usage_states.day + 1) * 86400000000
            AND (r.status = 'running' OR EXISTS (SELECT 1 FROM attempts a WHERE a.request = r.number
                AND a.status IN ('reserved', 'disputed'))))";
    OLDEST = "SELECT created_at / 86400000000 FROM requests
        WHERE created_at < ?1 * 86400000000 AND created_at / 86400000000 IN
            (SELECT day FROM usage_states WHERE purged_at IS NOT NULL)
        ORDER BY created_at LIMIT 1";
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
        self.write(move |writing| purge(writing.connection, days, now)).await
    }
}

fn purge(connection: &dyn Sql, days: u32, now: Timestamp) -> Result<Purged, StoreError> {
    let now = micros(now);
    let before = now.div_euclid(DAY) - i64::from(days);
    let oldest =
        |connection: &dyn Sql| connection.query_opt(OLDEST, params![before], |row| row.get::<i64>(0));
    let mut day = oldest(connection)?;
    if day.is_none() {
        connection.execute(MARK, params![before, now])?;
        day = oldest(connection)?;
    }
    let Some(day) = day else { return Ok(Purged::default()) };
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
