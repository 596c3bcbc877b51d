-- The part of the settled sums that rests on prices below official, or read long before; of images nothing. What was
-- settled before this counts as nothing in it.
ALTER TABLE budget_counters ADD COLUMN doubtful INTEGER NOT NULL DEFAULT 0;
ALTER TABLE projects ADD COLUMN doubtful INTEGER NOT NULL DEFAULT 0;
