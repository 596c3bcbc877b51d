-- Roll-ups of usage by day, what old rows leave behind when they are deleted, and reconciliations.

-- A day's roll-up holds while `rolled_version` is `version`; whatever touches a request of a day that is over
-- counts the version up, in its own transaction.
CREATE TABLE usage_states (
    -- Days since 1970-01-01, UTC.
    day            INTEGER NOT NULL PRIMARY KEY,
    version        INTEGER NOT NULL,
    rolled_version INTEGER,
    -- When the rows were deleted; from then on the roll-up is all there is.
    purged_at      INTEGER
) STRICT;

-- `requests` counts each request in one row of its day; the other counts serve figures by provider, by model
-- and by both, where a request counts in each that it touched. An empty provider: no attempt.
CREATE TABLE usage_days (
    day               INTEGER NOT NULL,
    project           INTEGER NOT NULL REFERENCES projects,
    key_id            TEXT NOT NULL,
    operation         TEXT NOT NULL,
    provider          TEXT NOT NULL,
    model             TEXT NOT NULL,
    requests          INTEGER NOT NULL,
    requests_provider INTEGER NOT NULL,
    requests_model    INTEGER NOT NULL,
    requests_both     INTEGER NOT NULL,
    images            INTEGER NOT NULL,
    attempts          INTEGER NOT NULL,
    charged           INTEGER NOT NULL,
    wasted            INTEGER NOT NULL,
    disputed          INTEGER NOT NULL,
    listed            INTEGER NOT NULL,
    list              INTEGER NOT NULL,
    compared          INTEGER NOT NULL,
    saved             INTEGER NOT NULL,
    tiered            INTEGER NOT NULL,
    saved_tier        INTEGER NOT NULL,
    covered           INTEGER NOT NULL,
    consumed          INTEGER NOT NULL,
    by_provider       INTEGER NOT NULL,
    by_usage          INTEGER NOT NULL,
    by_formula        INTEGER NOT NULL,
    by_estimate       INTEGER NOT NULL,
    PRIMARY KEY (day, project, key_id, operation, provider, model)
) STRICT, WITHOUT ROWID;

-- The same by end user and tags too: as many rows as there are combinations.
CREATE TABLE usage_days_payers (
    day               INTEGER NOT NULL,
    project           INTEGER NOT NULL REFERENCES projects,
    key_id            TEXT NOT NULL,
    end_user          TEXT NOT NULL,
    tags_json         TEXT NOT NULL,
    operation         TEXT NOT NULL,
    provider          TEXT NOT NULL,
    model             TEXT NOT NULL,
    requests          INTEGER NOT NULL,
    requests_provider INTEGER NOT NULL,
    requests_model    INTEGER NOT NULL,
    requests_both     INTEGER NOT NULL,
    images            INTEGER NOT NULL,
    attempts          INTEGER NOT NULL,
    charged           INTEGER NOT NULL,
    wasted            INTEGER NOT NULL,
    disputed          INTEGER NOT NULL,
    listed            INTEGER NOT NULL,
    list              INTEGER NOT NULL,
    compared          INTEGER NOT NULL,
    saved             INTEGER NOT NULL,
    tiered            INTEGER NOT NULL,
    saved_tier        INTEGER NOT NULL,
    covered           INTEGER NOT NULL,
    consumed          INTEGER NOT NULL,
    by_provider       INTEGER NOT NULL,
    by_usage          INTEGER NOT NULL,
    by_formula        INTEGER NOT NULL,
    by_estimate       INTEGER NOT NULL,
    PRIMARY KEY (day, project, key_id, end_user, tags_json, operation, provider, model)
) STRICT, WITHOUT ROWID;

-- Opening balances: what rows that are deleted after their retention leave behind, so that every sum still holds.
CREATE TABLE account_openings (
    account       INTEGER NOT NULL PRIMARY KEY REFERENCES accounts,
    -- Of entries, and of the entries of credits.
    amount        INTEGER NOT NULL,
    credit_amount INTEGER NOT NULL
) STRICT;

CREATE TABLE charge_openings (
    project  INTEGER NOT NULL REFERENCES projects,
    provider TEXT NOT NULL,
    charged  INTEGER NOT NULL,
    PRIMARY KEY (project, provider)
) STRICT, WITHOUT ROWID;

CREATE TABLE counter_openings (
    counter INTEGER NOT NULL PRIMARY KEY REFERENCES budget_counters,
    settled INTEGER NOT NULL
) STRICT;

CREATE TABLE lot_openings (
    lot        INTEGER NOT NULL PRIMARY KEY REFERENCES credit_lots,
    quantity   INTEGER NOT NULL,
    cost_ticks INTEGER NOT NULL
) STRICT;
