-- What a list price rests on: how sure the least sure of its lines is, when that was read, and the part of it that
-- rests on prices below official or read long before. Unknown of requests that ended earlier.
ALTER TABLE requests ADD COLUMN list_confidence TEXT;
-- As 2026-11-22.
ALTER TABLE requests ADD COLUMN list_as_of TEXT;
ALTER TABLE requests ADD COLUMN list_doubtful_ticks INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_days ADD COLUMN list_doubtful INTEGER NOT NULL DEFAULT 0;
ALTER TABLE usage_days_payers ADD COLUMN list_doubtful INTEGER NOT NULL DEFAULT 0;
