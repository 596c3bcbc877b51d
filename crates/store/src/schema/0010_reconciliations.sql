-- Invoices that were compared with the books: what was found, as it was told. Words as in schema 1.

CREATE TABLE reconciliations (
    number       INTEGER PRIMARY KEY,
    id           BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    at           INTEGER NOT NULL,
    provider     TEXT NOT NULL,
    -- The time that the invoice covers.
    covers_from  INTEGER NOT NULL,
    covers_to    INTEGER NOT NULL,
    -- Who asked for it, as in the audit log.
    actor        TEXT NOT NULL CHECK (actor = 'key' OR actor = 'command_line' OR actor = 'gateway'),
    key_id       TEXT,
    -- JSON text of the figures that a list shows, and of everything.
    summary_json TEXT NOT NULL,
    report_json  TEXT NOT NULL
) STRICT;
CREATE INDEX reconciliations_provider ON reconciliations (provider, number);

-- The part of a charge that rests on prices below official, or read long before. A program of the version before
-- leaves it at nothing.
ALTER TABLE attempts ADD COLUMN doubtful_ticks INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_days ADD COLUMN doubtful INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_days_payers ADD COLUMN doubtful INTEGER NOT NULL DEFAULT 0;
