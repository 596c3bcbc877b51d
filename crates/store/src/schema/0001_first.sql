-- Lists of words are checked by OR: an IN of more than two makes a table anew in each statement.
-- Times are microseconds since 1970 in UTC, amounts are ticks (10^-10 dollar), ids are 16-byte UUIDs.

CREATE TABLE meta (
    name  TEXT PRIMARY KEY,
    value BLOB NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE accounts (
    number INTEGER PRIMARY KEY,
    name   TEXT NOT NULL UNIQUE
) STRICT;

-- settled, held and disputed are running totals of the entries, changed in the same transaction.
CREATE TABLE projects (
    number            INTEGER PRIMARY KEY,
    name              TEXT NOT NULL UNIQUE,
    created_at        INTEGER NOT NULL,
    cap               INTEGER CHECK (cap >= 0),
    settled           INTEGER NOT NULL DEFAULT 0 CHECK (settled >= 0),
    held              INTEGER NOT NULL DEFAULT 0 CHECK (held >= 0),
    disputed          INTEGER NOT NULL DEFAULT 0 CHECK (disputed >= 0),
    available_account INTEGER NOT NULL REFERENCES accounts,
    held_account      INTEGER NOT NULL REFERENCES accounts,
    disputed_account  INTEGER NOT NULL REFERENCES accounts
) STRICT;

CREATE TABLE keys (
    id         TEXT PRIMARY KEY,
    project    INTEGER NOT NULL REFERENCES projects,
    name       TEXT NOT NULL,
    role       TEXT NOT NULL CHECK (role = 'generate' OR role = 'admin'),
    sha256     BLOB NOT NULL UNIQUE CHECK (length(sha256) = 32),
    prefix     TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    revoked_at INTEGER,
    expires_at INTEGER
) STRICT, WITHOUT ROWID;

CREATE TABLE requests (
    number           INTEGER PRIMARY KEY,
    id               BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    project          INTEGER NOT NULL REFERENCES projects,
    key_id           TEXT,
    created_at       INTEGER NOT NULL,
    finished_at      INTEGER,
    model            TEXT NOT NULL,
    operation        TEXT NOT NULL,
    n                INTEGER NOT NULL,
    status           TEXT NOT NULL
        CHECK (status = 'running' OR status = 'succeeded' OR status = 'partial' OR status = 'failed'),
    http_status      INTEGER,
    error_code       TEXT,
    fingerprint      BLOB NOT NULL CHECK (length(fingerprint) = 32),
    idempotency_key  TEXT,
    images_delivered INTEGER NOT NULL DEFAULT 0,
    list_ticks       INTEGER,
    saved_ticks      INTEGER,
    plan_json        TEXT NOT NULL,
    answer_json      TEXT,
    CHECK ((status = 'running') = (finished_at IS NULL))
) STRICT;
CREATE INDEX requests_created ON requests (created_at);
CREATE INDEX requests_fingerprint ON requests (fingerprint);
CREATE INDEX requests_running ON requests (number) WHERE status = 'running';

CREATE TABLE attempts (
    row                 INTEGER PRIMARY KEY,
    id                  BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    request             INTEGER NOT NULL REFERENCES requests,
    number              INTEGER NOT NULL,
    offer               TEXT NOT NULL,
    provider            TEXT NOT NULL,
    model               TEXT NOT NULL,
    status              TEXT NOT NULL
        CHECK (status = 'reserved' OR status = 'settled' OR status = 'released' OR status = 'disputed'),
    reserved_ticks      INTEGER NOT NULL CHECK (reserved_ticks >= 0),
    charged_ticks       INTEGER NOT NULL DEFAULT 0 CHECK (charged_ticks >= 0),
    images              INTEGER NOT NULL DEFAULT 0,
    created_at          INTEGER NOT NULL,
    ended_at            INTEGER,
    basis               TEXT,
    dispute_reason      TEXT,
    provider_request_id TEXT,
    catalogue_digest    TEXT NOT NULL,
    fault_json          TEXT,
    charge_json         TEXT,
    pending_json        TEXT,
    call_json           TEXT,
    CHECK ((status = 'reserved') = (ended_at IS NULL)),
    UNIQUE (request, number)
) STRICT;
CREATE INDEX attempts_disputed ON attempts (row) WHERE status = 'disputed';

-- One row a leg. The place of a leg is fixed by its movement (reserve 0-1, end 2-4, resolution 5-7), so the
-- primary key alone already refuses a second end.
CREATE TABLE entries (
    attempt INTEGER NOT NULL REFERENCES attempts,
    place   INTEGER NOT NULL,
    account INTEGER NOT NULL REFERENCES accounts,
    amount  INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    kind    TEXT NOT NULL
        CHECK (kind = 'reserve' OR kind = 'settle' OR kind = 'release' OR kind = 'dispute'
            OR kind = 'resolve'),
    PRIMARY KEY (attempt, place)
) STRICT, WITHOUT ROWID;

CREATE TABLE idempotency (
    project     INTEGER NOT NULL REFERENCES projects,
    key         TEXT NOT NULL,
    request     INTEGER NOT NULL REFERENCES requests,
    fingerprint BLOB NOT NULL CHECK (length(fingerprint) = 32),
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (project, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX idempotency_created ON idempotency (created_at);

CREATE TABLE pictures (
    request    BLOB NOT NULL CHECK (length(request) = 16),
    position   INTEGER NOT NULL,
    format     TEXT NOT NULL,
    bytes      INTEGER NOT NULL,
    path       TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    expires_at INTEGER NOT NULL,
    PRIMARY KEY (request, position)
) STRICT, WITHOUT ROWID;
CREATE INDEX pictures_expires ON pictures (expires_at);
