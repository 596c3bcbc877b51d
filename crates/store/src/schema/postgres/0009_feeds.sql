-- As 0011 of the SQLite dialect; its index is built beside the payments (see `postgres/indexes.rs`).
CREATE TABLE feed_books (
    feed      TEXT PRIMARY KEY,
    version   BIGINT NOT NULL,
    book_json TEXT NOT NULL
);
INSERT INTO versions (name, version) VALUES ('feeds', 0);
