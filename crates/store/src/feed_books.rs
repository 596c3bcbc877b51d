//! What feeds have told, as texts that the engine writes and reads, each with a version: a gateway that believes a
//! price has the others believe it too.
//!
//! A part is replaced only where every part is still as the writer read it; whoever was slower reads again and
//! decides anew, so that nothing that was believed meanwhile is lost. It refuses to know what the texts mean.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use tokio::sync::watch;

use crate::postgres;
use crate::sql::{Dialect, Sql, params};
use crate::sqlite;
use crate::words::statements;
use crate::{Store, StoreError, StoreUrl};

/// The part of one feed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeedPart {
    /// The feed's name; empty for what belongs to none.
    pub feed: String,
    /// Counts how often it was replaced, from 1.
    pub version: i64,
    pub book_json: String,
}

/// By feed, the version of its part as somebody has read it.
pub type FeedVersions = BTreeMap<String, i64>;

statements! {
    PARTS = "SELECT feed, version, book_json FROM feed_books ORDER BY feed";
    VERSIONS = "SELECT feed, version FROM feed_books";
    PUT = "INSERT INTO feed_books (feed, version, book_json) VALUES (?1, ?2, ?3)
        ON CONFLICT (feed) DO UPDATE SET version = excluded.version, book_json = excluded.book_json";
}

/// Tells whoever waits for it that some gateway has replaced parts.
pub(crate) struct LiveFeeds(watch::Sender<u64>);

impl Default for LiveFeeds {
    fn default() -> LiveFeeds {
        LiveFeeds(watch::Sender::new(0))
    }
}

impl LiveFeeds {
    pub(crate) fn changed(&self) {
        self.0.send_modify(|times| *times += 1);
    }
}

impl Store {
    /// All parts, by the names of their feeds.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn feed_parts(&self) -> Result<Vec<FeedPart>, StoreError> {
        self.read(|connection| parts(connection)).await
    }

    /// Replaces these parts (feed and text) if every part has the version that is `known` of it, and says which
    /// versions there are then; `None` where somebody was faster, and nothing is changed.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn replace_feed_parts(
        &self,
        known: FeedVersions,
        fresh: Vec<(String, String)>,
    ) -> Result<Option<FeedVersions>, StoreError> {
        let (known, fresh) = (Arc::new(known), Arc::new(fresh));
        self.write(move |writing| {
            let connection = writing.connection;
            let mut versions: FeedVersions =
                connection.query_all(VERSIONS, params![], |row| Ok((row.get(0)?, row.get(1)?)))?;
            if versions != *known {
                return Ok(None);
            }
            for (feed, text) in fresh.iter() {
                let version = versions.entry(feed.clone()).or_default();
                *version += 1;
                connection.change_one(PUT, params![feed, *version, text])?;
            }
            writing.changed.feeds |= !fresh.is_empty();
            Ok(Some(versions))
        })
        .await
    }

    /// Changes its value when parts were replaced, here or by another gateway of the same database, within a moment.
    /// It may do so without any change.
    pub fn feed_changes(&self) -> watch::Receiver<u64> {
        self.inner.feeds.0.subscribe()
    }
}

fn parts(connection: &dyn Sql) -> Result<Vec<FeedPart>, StoreError> {
    connection.query_all(PARTS, params![], |row| {
        Ok(FeedPart { feed: row.get(0)?, version: row.get(1)?, book_json: row.get(2)? })
    })
}

/// What feeds have told, without opening the books: beside a gateway that has them open, and for whoever only wants
/// to know prices. `None` where there are no books, or of a version that kept no such thing.
///
/// # Errors
/// When there are books that cannot be read.
pub fn peek_feed_parts(data_dir: &Path, url: Option<&StoreUrl>) -> Result<Option<Vec<FeedPart>>, StoreError> {
    let read = |connection: &dyn Sql| -> Result<Option<Vec<FeedPart>>, StoreError> {
        let there = match connection.dialect() {
            Dialect::Sqlite => "SELECT 1 FROM sqlite_master WHERE name = 'feed_books'",
            Dialect::Postgres => "SELECT 1 FROM pg_class WHERE oid = to_regclass('feed_books')",
        };
        Ok(if connection.exists(there, &[])? { Some(parts(connection)?) } else { None })
    };
    match url {
        None => sqlite::peek(data_dir, read),
        Some(url) => postgres::peek(url, read),
    }
}
