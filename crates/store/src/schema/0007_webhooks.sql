-- Where alerts are delivered, the queue of deliveries, and what the watch over prices remembers. Words as in
-- schema 1.

CREATE TABLE webhooks (
    number            INTEGER PRIMARY KEY,
    id                BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    url               TEXT NOT NULL,
    -- JSON text of a list of kinds; empty: all.
    kinds_json        TEXT NOT NULL,
    -- Null: alerts of every project and of none.
    project           TEXT,
    format            TEXT NOT NULL CHECK (format = 'standard' OR format = 'slack'),
    secret            BLOB NOT NULL,
    -- Signs too until its time is over.
    previous_secret   BLOB,
    previous_until    INTEGER,
    created_at        INTEGER NOT NULL,
    disabled_at       INTEGER,
    disabled_reason   TEXT,
    removed_at        INTEGER,
    last_delivered_at INTEGER,
    last_failed_at    INTEGER,
    last_failure      TEXT,
    CHECK ((previous_secret IS NULL) = (previous_until IS NULL))
) STRICT;

-- A delivery is claimed by a lease; whoever lets it run out gives it back. The count of attempts tells an
-- earlier holder from the present one.
CREATE TABLE webhook_deliveries (
    number       INTEGER PRIMARY KEY,
    webhook      INTEGER NOT NULL REFERENCES webhooks,
    alert        INTEGER NOT NULL REFERENCES alerts,
    status       TEXT NOT NULL DEFAULT 'pending'
        CHECK (status = 'pending' OR status = 'delivered' OR status = 'failed'),
    attempts     INTEGER NOT NULL DEFAULT 0,
    created_at   INTEGER NOT NULL,
    next_at      INTEGER NOT NULL,
    leased_until INTEGER,
    ended_at     INTEGER,
    UNIQUE (webhook, alert),
    CHECK ((status = 'pending') = (ended_at IS NULL))
) STRICT;
CREATE INDEX webhook_deliveries_pending ON webhook_deliveries (webhook, next_at) WHERE status = 'pending';
CREATE INDEX webhook_deliveries_ended ON webhook_deliveries (ended_at) WHERE status <> 'pending';

-- The prices of an offer as they were last told.
CREATE TABLE known_prices (
    offer       TEXT PRIMARY KEY,
    prices_json TEXT NOT NULL,
    seen_at     INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
