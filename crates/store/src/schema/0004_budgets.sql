-- Budgets, their counters, and what people are told of. Words as in schema 1; amounts of a budget are ticks or
-- images, after its unit.

ALTER TABLE requests ADD COLUMN end_user TEXT;
-- JSON text of an object; null without tags.
ALTER TABLE requests ADD COLUMN tags_json TEXT;
ALTER TABLE attempts ADD COLUMN images_asked INTEGER NOT NULL DEFAULT 1;
-- Counters of budgets that it counts in.
ALTER TABLE attempts ADD COLUMN counters INTEGER NOT NULL DEFAULT 0;

CREATE TABLE budgets (
    number              INTEGER PRIMARY KEY,
    id                  BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    name                TEXT NOT NULL,
    scope_json          TEXT NOT NULL,
    unit                TEXT NOT NULL CHECK (unit = 'usd' OR unit = 'images'),
    limit_amount        INTEGER NOT NULL CHECK (limit_amount >= 0),
    every               TEXT NOT NULL
        CHECK (every = 'hour' OR every = 'day' OR every = 'week' OR every = 'month' OR every = 'forever'),
    zone                TEXT NOT NULL,
    mode_json           TEXT NOT NULL,
    thresholds_json     TEXT NOT NULL,
    created_at          INTEGER NOT NULL,
    removed_at          INTEGER
) STRICT;

-- Running totals of one window of one subject of a budget, changed in the transactions that move the money.
CREATE TABLE budget_counters (
    number          INTEGER PRIMARY KEY,
    budget          INTEGER NOT NULL REFERENCES budgets,
    subject         TEXT NOT NULL,
    window_start    INTEGER NOT NULL,
    window_end      INTEGER,
    settled         INTEGER NOT NULL DEFAULT 0 CHECK (settled >= 0),
    held            INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0),
    disputed        INTEGER NOT NULL DEFAULT 0 CHECK (disputed >= 0),
    -- The highest threshold that was told, in per cent.
    alerted_percent INTEGER NOT NULL DEFAULT 0,
    UNIQUE (budget, subject, window_start)
) STRICT;

-- What an attempt holds, and at last spent, in a counter.
CREATE TABLE attempt_counters (
    attempt INTEGER NOT NULL REFERENCES attempts,
    counter INTEGER NOT NULL REFERENCES budget_counters,
    held    INTEGER NOT NULL CHECK (held >= 0),
    settled INTEGER NOT NULL DEFAULT 0 CHECK (settled >= 0),
    PRIMARY KEY (attempt, counter)
) STRICT, WITHOUT ROWID;

CREATE TABLE alerts (
    number    INTEGER PRIMARY KEY,
    id        BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    -- What is raised twice is told once.
    once      TEXT NOT NULL UNIQUE,
    at        INTEGER NOT NULL,
    project   TEXT,
    kind      TEXT NOT NULL,
    severity  TEXT NOT NULL CHECK (severity = 'info' OR severity = 'warning' OR severity = 'critical'),
    message   TEXT NOT NULL,
    fact_json TEXT NOT NULL
) STRICT;
