-- As 0013 of the SQLite dialect.
ALTER TABLE requests ADD COLUMN list_confidence TEXT;
ALTER TABLE requests ADD COLUMN list_as_of TEXT;
ALTER TABLE requests ADD COLUMN list_doubtful_ticks BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_days ADD COLUMN list_doubtful BIGINT NOT NULL DEFAULT 0;
ALTER TABLE usage_days_payers ADD COLUMN list_doubtful BIGINT NOT NULL DEFAULT 0;
