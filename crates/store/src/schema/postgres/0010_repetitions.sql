-- As 0012 of the SQLite dialect; the new index is built beside the payments (see `postgres/indexes.rs`). Until then,
-- and in an older program, requests of the last minutes are found by their time.
DROP INDEX IF EXISTS requests_fingerprint;
