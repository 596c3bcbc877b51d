//! An audit of the ledger against itself: every total is added up again from the entries.

use gallerist_domain::Ticks;

use crate::postgres::OPEN_UNKNOWN;
use crate::sql::{Dialect, Sql, params};
use crate::usage::rolled;
use crate::words::{self, statements};
use crate::{Store, StoreError};

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountBalance {
    pub account: String,
    pub balance: Ticks,
}

/// What the audit found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Books {
    /// Zero, unless the books are wrong.
    pub sum_of_all_accounts: Ticks,
    pub accounts: Vec<AccountBalance>,
    /// Attempts that are still reserved.
    pub open_reservations: u64,
    pub open_disputes: u64,
    /// Each contradiction in words; empty, unless the books are wrong.
    pub mismatches: Vec<String>,
}

impl Books {
    /// Whether everything adds up.
    pub fn balance(&self) -> bool {
        self.sum_of_all_accounts.is_zero() && self.mismatches.is_empty()
    }
}

statements! {
    BALANCES = "SELECT c.name, coalesce(sum(e.amount), 0) FROM accounts c
        LEFT JOIN (SELECT account, amount FROM entries UNION ALL SELECT account, amount FROM credit_entries
            UNION ALL SELECT credits_account, -cost_ticks FROM credit_adjustments
            UNION ALL SELECT outside_account, cost_ticks FROM credit_adjustments
            UNION ALL SELECT account, amount + credit_amount FROM account_openings) e
            ON e.account = c.number GROUP BY c.number ORDER BY c.name";
    OPEN_COUNTS = "SELECT count(*) FILTER (WHERE status = 'reserved'),
            count(*) FILTER (WHERE status = 'disputed') FROM attempts";
    // The checks below answer one text a contradiction.
    UNBALANCED = "SELECT 'movement ' || kind || ' of attempt ' || hex(t.id) || ' sums to ' || sum(e.amount)
        FROM entries e JOIN attempts t ON t.row = e.attempt GROUP BY t.row, e.kind
        HAVING sum(e.amount) <> 0";
    TOTALS_OF_ATTEMPTS = "SELECT 'totals of project ' || p.name || ' differ from its attempts' FROM projects p
        WHERE (p.settled, p.held, p.disputed) <> (
            SELECT coalesce(sum(a.charged_ticks), 0) + (SELECT coalesce(sum(o.charged), 0)
                    FROM charge_openings o WHERE o.project = p.number),
                coalesce(sum(a.reserved_ticks) FILTER (WHERE a.status = 'reserved'), 0),
                coalesce(sum(a.reserved_ticks) FILTER (WHERE a.status = 'disputed'), 0)
            FROM requests r JOIN attempts a ON a.request = r.number WHERE r.project = p.number)";
    TOTALS_OF_ENTRIES = "SELECT 'totals of project ' || p.name || ' differ from its entries' FROM projects p
        WHERE p.held <> (SELECT coalesce(sum(amount), 0) FROM entries WHERE account = p.held_account)
            OR p.disputed <> (SELECT coalesce(sum(amount), 0) FROM entries
                WHERE account = p.disputed_account)
            OR -(p.settled + p.held + p.disputed)
                <> (SELECT coalesce(sum(amount), 0) FROM entries WHERE account = p.available_account)
                    + (SELECT coalesce(sum(amount), 0) FROM account_openings WHERE account = p.available_account)";
    // A request that is deleted holds nothing any more.
    OPENINGS_HELD = "SELECT 'project ' || p.name || ' holds something for deleted requests' FROM projects p
        JOIN account_openings o ON o.account IN (p.held_account, p.disputed_account) WHERE o.amount <> 0";
    // What the roll-ups of deleted days say is what left the books, with what is still to be deleted.
    OPENINGS_ROLLED = "SELECT 'deleted days of project ' || p.name || ' differ from their roll-ups' FROM projects p
        WHERE (SELECT coalesce(sum(o.charged), 0) FROM charge_openings o WHERE o.project = p.number)
            + (SELECT coalesce(sum(a.charged_ticks), 0) FROM usage_states s JOIN requests r
                ON r.created_at >= s.day * 86400000000 AND r.created_at < (s.day + 1) * 86400000000
                JOIN attempts a ON a.request = r.number
                WHERE s.purged_at IS NOT NULL AND r.project = p.number)
            <> (SELECT coalesce(sum(u.charged), 0) FROM usage_states s JOIN usage_days u ON u.day = s.day
                WHERE s.purged_at IS NOT NULL AND u.project = p.number)";
    PAYABLE = "SELECT 'payable to ' || provider || ' differs from its attempts'
        FROM (SELECT provider, sum(charged) AS charged FROM (
            SELECT provider, charged_ticks AS charged FROM attempts
            UNION ALL SELECT provider, charged FROM charge_openings) AS parts GROUP BY provider) AS sums
        WHERE charged <> (SELECT coalesce(sum(e.amount), 0) FROM accounts c JOIN
            (SELECT account, amount FROM entries UNION ALL SELECT account, amount FROM account_openings) e
            ON e.account = c.number WHERE c.name = 'provider:' || provider || ':payable')";
    STRAY = "SELECT 'attempt ' || hex(a.id) || ' is reserved but its request is ' || r.status
        FROM attempts a JOIN requests r ON r.number = a.request
        WHERE a.status = 'reserved' AND r.status <> 'running'";
    DANGLING = "SELECT 'a row of ' || \"table\" || ' refers to a missing row of ' || parent
        FROM pragma_foreign_key_check";
    // What a payment writes, which PostgreSQL does not look after.
    DANGLING_PAYMENTS = "SELECT 'a row of ' || name || ' refers to a missing row of ' || parent FROM (
        SELECT 'entries' AS name, 'attempts' AS parent WHERE EXISTS (SELECT 1 FROM entries x
            WHERE NOT EXISTS (SELECT 1 FROM attempts y WHERE y.row = x.attempt))
        UNION ALL SELECT 'entries' AS name, 'accounts' AS parent WHERE EXISTS (SELECT 1 FROM entries x
            WHERE NOT EXISTS (SELECT 1 FROM accounts y WHERE y.number = x.account))
        UNION ALL SELECT 'attempt_counters' AS name, 'attempts' AS parent WHERE EXISTS (SELECT 1 FROM attempt_counters x
            WHERE NOT EXISTS (SELECT 1 FROM attempts y WHERE y.row = x.attempt))
        UNION ALL SELECT 'attempt_counters' AS name, 'budget_counters' AS parent WHERE EXISTS (SELECT 1 FROM attempt_counters x
            WHERE NOT EXISTS (SELECT 1 FROM budget_counters y WHERE y.number = x.counter))
        UNION ALL SELECT 'attempts' AS name, 'requests' AS parent WHERE EXISTS (SELECT 1 FROM attempts x
            WHERE NOT EXISTS (SELECT 1 FROM requests y WHERE y.number = x.request))
        UNION ALL SELECT 'requests' AS name, 'projects' AS parent WHERE EXISTS (SELECT 1 FROM requests x
            WHERE NOT EXISTS (SELECT 1 FROM projects y WHERE y.number = x.project))
        UNION ALL SELECT 'idempotency' AS name, 'projects' AS parent WHERE EXISTS (SELECT 1 FROM idempotency x
            WHERE NOT EXISTS (SELECT 1 FROM projects y WHERE y.number = x.project))
        UNION ALL SELECT 'idempotency' AS name, 'requests' AS parent WHERE EXISTS (SELECT 1 FROM idempotency x
            WHERE NOT EXISTS (SELECT 1 FROM requests y WHERE y.number = x.request))) AS dangling";
    CREDITS_UNBALANCED = "SELECT kind || ' of lot ' || hex(l.id) || ' sums to ' || sum(e.amount)
        FROM credit_entries e JOIN credit_lots l ON l.number = e.lot GROUP BY l.number, e.attempt, e.kind
        HAVING sum(e.amount) <> 0";
    LOTS_OF_USES = "SELECT 'lot ' || hex(l.id) || ' differs from what was taken from it' FROM credit_lots l
        WHERE l.remaining + l.expired
                <> l.quantity - (SELECT coalesce(sum(quantity), 0) FROM credit_uses u WHERE u.lot = l.number)
                    - (SELECT coalesce(sum(quantity), 0) FROM lot_openings o WHERE o.lot = l.number)
                    - (SELECT coalesce(sum(quantity), 0) FROM credit_adjustments x WHERE x.lot = l.number)
            OR (l.remaining = 0 AND l.expired_ticks
                <> l.cost_ticks - (SELECT coalesce(sum(cost_ticks), 0) FROM credit_uses u
                    WHERE u.lot = l.number)
                    - (SELECT coalesce(sum(cost_ticks), 0) FROM lot_openings o WHERE o.lot = l.number)
                    - (SELECT coalesce(sum(cost_ticks), 0) FROM credit_adjustments x
                        WHERE x.lot = l.number))";
    CREDITS_OF_LOTS = "SELECT 'credits of ' || provider || ' differ from its lots'
        FROM (SELECT provider, sum(cost_ticks - expired_ticks - (SELECT coalesce(sum(u.cost_ticks), 0)
                FROM credit_uses u WHERE u.lot = credit_lots.number)
                - (SELECT coalesce(sum(o.cost_ticks), 0) FROM lot_openings o
                    WHERE o.lot = credit_lots.number)) AS left_ticks
            FROM credit_lots GROUP BY provider) AS sums
        WHERE left_ticks <> (SELECT coalesce(sum(e.amount), 0) FROM accounts c JOIN
            (SELECT account, amount FROM credit_entries
                UNION ALL SELECT account, credit_amount FROM account_openings) e
            ON e.account = c.number WHERE c.name = 'provider:' || provider || ':credits')";
    COVERED = "SELECT 'attempt ' || hex(a.id) || ' took credits for more than its charge' FROM attempts a
        WHERE a.charged_ticks < (SELECT coalesce(sum(covered_ticks), 0) FROM credit_uses u
            WHERE u.attempt = a.row)";
    COUNTERS_OF_SHARES = "SELECT 'counter ' || c.number || ' of a budget differs from its attempts'
        FROM budget_counters c WHERE (c.settled, c.held, c.disputed) <> (
            SELECT coalesce(sum(s.settled), 0) + (SELECT coalesce(sum(o.settled), 0)
                    FROM counter_openings o WHERE o.counter = c.number),
                coalesce(sum(s.held) FILTER (WHERE a.status = 'reserved'), 0),
                coalesce(sum(s.held) FILTER (WHERE a.status = 'disputed'), 0)
            FROM attempt_counters s JOIN attempts a ON a.row = s.attempt WHERE s.counter = c.number)";
    SHARES_OF_ATTEMPTS = "SELECT 'attempt ' || hex(a.id) || ' differs from its shares of budgets'
        FROM attempts a JOIN attempt_counters s ON s.attempt = a.row
            JOIN budget_counters c ON c.number = s.counter JOIN budgets b ON b.number = c.budget
        WHERE s.settled <> CASE WHEN a.status <> 'settled' THEN 0
            WHEN b.unit = 'usd' THEN a.charged_ticks ELSE a.images END";
    // Less than what its attempts say may have been written by an older version.
    DOUBTFUL = "SELECT 'counter ' || number || ' of a budget doubts more than is settled' FROM budget_counters
            WHERE doubtful < 0 OR doubtful > settled
        UNION ALL SELECT 'project ' || name || ' doubts more than is settled' FROM projects
            WHERE doubtful < 0 OR doubtful > settled";
    UNBOOKED = "SELECT 'attempt ' || hex(id) || ' has no entries' FROM attempts
        WHERE row NOT IN (SELECT attempt FROM entries)";
}

impl Store {
    /// Adds everything up again. Reads all entries: for tests, demos and an occasional check.
    pub async fn books(&self) -> Result<Books, StoreError> {
        self.read(audit).await
    }
}

pub(crate) fn audit(connection: &dyn Sql) -> Result<Books, StoreError> {
    let accounts: Vec<AccountBalance> = connection.query_all(BALANCES, params![], |row| {
        Ok(AccountBalance { account: row.get(0)?, balance: words::ticks(row, 1)? })
    })?;
    let (open_reservations, open_disputes) = connection.query_row(OPEN_COUNTS, params![], |row| {
        let count = |at| row.get::<i64>(at).map(|n| u64::try_from(n).expect("a count is not negative"));
        Ok((count(0)?, count(1)?))
    })?;
    let mut mismatches: Vec<String> = Vec::new();
    let openings = [OPENINGS_HELD, OPENINGS_ROLLED];
    let attempts = [UNBALANCED, TOTALS_OF_ATTEMPTS, TOTALS_OF_ENTRIES, PAYABLE, STRAY, UNBOOKED];
    // PostgreSQL checks the other references at each statement.
    let references: &[&str] = match connection.dialect() {
        Dialect::Sqlite => &[DANGLING],
        Dialect::Postgres => &[DANGLING_PAYMENTS, OPEN_UNKNOWN],
    };
    let credits = [CREDITS_UNBALANCED, LOTS_OF_USES, CREDITS_OF_LOTS, COVERED];
    let budgets = [COUNTERS_OF_SHARES, SHARES_OF_ATTEMPTS, DOUBTFUL];
    for check in
        attempts.into_iter().chain(references.iter().copied()).chain(credits).chain(budgets).chain(openings)
    {
        let contradictions: Vec<String> = connection.query_all(check, params![], |row| row.get(0))?;
        mismatches.extend(contradictions);
    }
    mismatches.extend(rolled::audit(connection)?);
    let sum_of_all_accounts = accounts.iter().map(|account| account.balance).sum();
    Ok(Books { sum_of_all_accounts, accounts, open_reservations, open_disputes, mismatches })
}
