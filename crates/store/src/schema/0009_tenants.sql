-- What keys may do and use, how much at a time, the secret before the present one, and who changed what.
-- Words as in schema 1.

-- Words of scopes joined by commas; null: what the role of the key stands for.
ALTER TABLE keys ADD COLUMN scopes TEXT;
-- JSON text of what it may use; null: everything.
ALTER TABLE keys ADD COLUMN grants_json TEXT;
ALTER TABLE keys ADD COLUMN requests_per_minute INTEGER CHECK (requests_per_minute > 0);
ALTER TABLE keys ADD COLUMN images_per_minute INTEGER CHECK (images_per_minute > 0);
ALTER TABLE keys ADD COLUMN images_at_once INTEGER CHECK (images_at_once > 0);
ALTER TABLE keys ADD COLUMN rotated_at INTEGER;
-- Good until its time is over.
ALTER TABLE keys ADD COLUMN previous_sha256 BLOB CHECK (length(previous_sha256) = 32);
ALTER TABLE keys ADD COLUMN previous_until INTEGER;

ALTER TABLE projects ADD COLUMN requests_per_minute INTEGER CHECK (requests_per_minute > 0);
ALTER TABLE projects ADD COLUMN images_per_minute INTEGER CHECK (images_per_minute > 0);
ALTER TABLE projects ADD COLUMN images_at_once INTEGER CHECK (images_at_once > 0);

CREATE INDEX requests_end_user ON requests (end_user) WHERE end_user IS NOT NULL;

-- Every administrative change, written in its transaction and never changed.
CREATE TABLE audit (
    number      INTEGER PRIMARY KEY,
    id          BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    at          INTEGER NOT NULL,
    actor       TEXT NOT NULL CHECK (actor = 'key' OR actor = 'command_line' OR actor = 'gateway'),
    -- Of an actor that is a key.
    key_id      TEXT,
    action      TEXT NOT NULL,
    subject     TEXT NOT NULL,
    project     TEXT,
    before_json TEXT,
    after_json  TEXT
) STRICT;
CREATE INDEX audit_subject ON audit (subject);
