-- As 0014 of the SQLite dialect.
ALTER TABLE budget_counters ADD COLUMN doubtful BIGINT NOT NULL DEFAULT 0;
ALTER TABLE projects ADD COLUMN doubtful BIGINT NOT NULL DEFAULT 0;
