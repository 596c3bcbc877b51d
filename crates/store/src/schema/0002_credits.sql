-- Prepaid credits. Only new tables: what schema 1 wrote stays as it is, and so do its statements.
-- Quantities are millionths of a credit.

CREATE TABLE credit_lots (
    number              INTEGER PRIMARY KEY,
    id                  BLOB NOT NULL UNIQUE CHECK (length(id) = 16),
    provider            TEXT NOT NULL,
    currency            TEXT NOT NULL,
    quantity            INTEGER NOT NULL CHECK (quantity > 0),
    remaining           INTEGER NOT NULL CHECK (remaining >= 0 AND remaining <= quantity),
    price_ticks         INTEGER NOT NULL CHECK (price_ticks >= 0),
    fee_rate_millionths INTEGER NOT NULL CHECK (fee_rate_millionths >= 0),
    fee_minimum_ticks   INTEGER NOT NULL CHECK (fee_minimum_ticks >= 0),
    -- Price with fee, as it was booked.
    cost_ticks          INTEGER NOT NULL CHECK (cost_ticks >= price_ticks),
    -- What one credit counts in the provider's prices.
    list_ticks          INTEGER NOT NULL CHECK (list_ticks > 0),
    purchased_at        INTEGER NOT NULL,
    expires_at          INTEGER,
    created_at          INTEGER NOT NULL,
    expired             INTEGER NOT NULL DEFAULT 0 CHECK (expired >= 0),
    expired_ticks       INTEGER NOT NULL DEFAULT 0 CHECK (expired_ticks >= 0)
) STRICT;
CREATE INDEX credit_lots_open ON credit_lots (provider) WHERE remaining > 0;
CREATE INDEX credit_lots_expires ON credit_lots (expires_at) WHERE expires_at IS NOT NULL;

-- What a settled attempt took from a lot: the credits, what they were bought for, and the part of the charge
-- that they pay.
CREATE TABLE credit_uses (
    attempt       INTEGER NOT NULL REFERENCES attempts,
    lot           INTEGER NOT NULL REFERENCES credit_lots,
    quantity      INTEGER NOT NULL CHECK (quantity >= 0),
    cost_ticks    INTEGER NOT NULL CHECK (cost_ticks >= 0),
    covered_ticks INTEGER NOT NULL CHECK (covered_ticks >= 0),
    PRIMARY KEY (attempt, lot)
) STRICT, WITHOUT ROWID;
CREATE INDEX credit_uses_lot ON credit_uses (lot);

-- The entries of credits, beside those of attempts: a purchase and an expiry belong to no attempt.
CREATE TABLE credit_entries (
    number  INTEGER PRIMARY KEY,
    lot     INTEGER NOT NULL REFERENCES credit_lots,
    attempt INTEGER REFERENCES attempts,
    account INTEGER NOT NULL REFERENCES accounts,
    amount  INTEGER NOT NULL,
    at      INTEGER NOT NULL,
    kind    TEXT NOT NULL CHECK (kind = 'purchase' OR kind = 'consume' OR kind = 'expire'),
    CHECK ((kind = 'consume') = (attempt IS NOT NULL))
) STRICT;
-- Refuses a second purchase, consumption or expiry of the same thing.
CREATE UNIQUE INDEX credit_entries_once ON credit_entries (lot, coalesce(attempt, 0), kind, account);
CREATE INDEX credit_entries_attempt ON credit_entries (attempt) WHERE attempt IS NOT NULL;
