-- What a request asked for besides its model: the parameters that decide about its price, as the API's body has
-- them without any words of the client; so that it can be priced again elsewhere. Absent for older requests.
ALTER TABLE requests ADD COLUMN asked_json TEXT;
-- The prompt, only where the settings say that prompts are stored.
ALTER TABLE requests ADD COLUMN prompt TEXT;

-- Credits that move without an attempt: use outside of the gateway, and corrections to what a provider says is
-- left. A row is balanced by its form: what the credits were bought for goes from `credits` to `outside`.
CREATE TABLE credit_adjustments (
    number          INTEGER PRIMARY KEY,
    lot             INTEGER NOT NULL REFERENCES credit_lots,
    kind            TEXT NOT NULL CHECK (kind = 'use' OR kind = 'balance'),
    -- Millionths of a credit that were taken; negative where they came back.
    quantity        INTEGER NOT NULL CHECK (quantity <> 0),
    cost_ticks      INTEGER NOT NULL,
    note            TEXT NOT NULL,
    at              INTEGER NOT NULL,
    credits_account INTEGER NOT NULL REFERENCES accounts,
    outside_account INTEGER NOT NULL REFERENCES accounts
) STRICT;
CREATE INDEX credit_adjustments_lot ON credit_adjustments (lot);
