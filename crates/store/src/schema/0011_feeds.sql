-- What feeds have told, by feed: JSON text of the engine, replaced as a whole. Before, a file beside the database.
CREATE TABLE feed_books (
    feed      TEXT PRIMARY KEY,
    version   INTEGER NOT NULL,
    book_json TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- A new budget counts what its window has seen before.
CREATE INDEX attempts_created ON attempts (created_at);
