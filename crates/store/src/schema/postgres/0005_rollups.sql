-- As 0008 of the SQLite dialect.
-- Roll-ups of usage by day, what old rows leave behind when they are deleted, and reconciliations.

-- A day's roll-up holds while `rolled_version` is `version`; whatever touches a request of a day that is over
-- counts the version up, in its own transaction.
CREATE TABLE usage_states (
    -- Days since 1970-01-01, UTC.
    day            BIGINT NOT NULL PRIMARY KEY,
    version        BIGINT NOT NULL,
    rolled_version BIGINT,
    -- When the rows were deleted; from then on the roll-up is all there is.
    purged_at      BIGINT
);

-- `requests` counts each request in one row of its day; the other counts serve figures by provider, by model
-- and by both, where a request counts in each that it touched. An empty provider: no attempt.
CREATE TABLE usage_days (
    day               BIGINT NOT NULL,
    project           BIGINT NOT NULL REFERENCES projects,
    key_id            TEXT NOT NULL,
    operation         TEXT NOT NULL,
    provider          TEXT NOT NULL,
    model             TEXT NOT NULL,
    requests          BIGINT NOT NULL,
    requests_provider BIGINT NOT NULL,
    requests_model    BIGINT NOT NULL,
    requests_both     BIGINT NOT NULL,
    images            BIGINT NOT NULL,
    attempts          BIGINT NOT NULL,
    charged           BIGINT NOT NULL,
    wasted            BIGINT NOT NULL,
    disputed          BIGINT NOT NULL,
    listed            BIGINT NOT NULL,
    list              BIGINT NOT NULL,
    compared          BIGINT NOT NULL,
    saved             BIGINT NOT NULL,
    tiered            BIGINT NOT NULL,
    saved_tier        BIGINT NOT NULL,
    covered           BIGINT NOT NULL,
    consumed          BIGINT NOT NULL,
    by_provider       BIGINT NOT NULL,
    by_usage          BIGINT NOT NULL,
    by_formula        BIGINT NOT NULL,
    by_estimate       BIGINT NOT NULL,
    PRIMARY KEY (day, project, key_id, operation, provider, model)
);

-- The same by end user and tags too: as many rows as there are combinations.
CREATE TABLE usage_days_payers (
    day               BIGINT NOT NULL,
    project           BIGINT NOT NULL REFERENCES projects,
    key_id            TEXT NOT NULL,
    end_user          TEXT NOT NULL,
    tags_json         TEXT NOT NULL,
    operation         TEXT NOT NULL,
    provider          TEXT NOT NULL,
    model             TEXT NOT NULL,
    requests          BIGINT NOT NULL,
    requests_provider BIGINT NOT NULL,
    requests_model    BIGINT NOT NULL,
    requests_both     BIGINT NOT NULL,
    images            BIGINT NOT NULL,
    attempts          BIGINT NOT NULL,
    charged           BIGINT NOT NULL,
    wasted            BIGINT NOT NULL,
    disputed          BIGINT NOT NULL,
    listed            BIGINT NOT NULL,
    list              BIGINT NOT NULL,
    compared          BIGINT NOT NULL,
    saved             BIGINT NOT NULL,
    tiered            BIGINT NOT NULL,
    saved_tier        BIGINT NOT NULL,
    covered           BIGINT NOT NULL,
    consumed          BIGINT NOT NULL,
    by_provider       BIGINT NOT NULL,
    by_usage          BIGINT NOT NULL,
    by_formula        BIGINT NOT NULL,
    by_estimate       BIGINT NOT NULL,
    PRIMARY KEY (day, project, key_id, end_user, tags_json, operation, provider, model)
);

-- Opening balances: what rows that are deleted after their retention leave behind, so that every sum still holds.
CREATE TABLE account_openings (
    account       BIGINT NOT NULL PRIMARY KEY REFERENCES accounts,
    -- Of entries, and of the entries of credits.
    amount        BIGINT NOT NULL,
    credit_amount BIGINT NOT NULL
);

CREATE TABLE charge_openings (
    project  BIGINT NOT NULL REFERENCES projects,
    provider TEXT NOT NULL,
    charged  BIGINT NOT NULL,
    PRIMARY KEY (project, provider)
);

CREATE TABLE counter_openings (
    counter BIGINT NOT NULL PRIMARY KEY REFERENCES budget_counters,
    settled BIGINT NOT NULL
);

CREATE TABLE lot_openings (
    lot        BIGINT NOT NULL PRIMARY KEY REFERENCES credit_lots,
    quantity   BIGINT NOT NULL,
    cost_ticks BIGINT NOT NULL
);
