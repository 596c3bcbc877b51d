//! PostgreSQL: one connection as the rules see it, with writes that travel together.
//!
//! What may be done later ([`Sql::put`]) is queued, and sent without waiting in front of the next reading or
//! of the commit; so a command costs a round trip for each thing that it must know, and none for what it
//! writes. `engine.rs` commits groups, `reader.rs` reads, `replica.rs` says who is alive, `schema.rs` and
//! `indexes.rs` bring an older database up to date while others pay, `dialect.rs` rewrites
//! statements, `together.rs` has one of them do what many commands want, `url.rs` says where the database is; the tables are `schema/postgres/`.

mod connection;
mod dialect;
mod engine;
mod indexes;
pub(crate) mod pictures;
mod reader;
pub(crate) mod replica;
mod schema;
mod together;
mod trouble;
mod url;
mod value;

pub(crate) use engine::{Postgres, Shared};
pub(crate) use reader::Readers;
pub(crate) use replica::{OPEN_UNKNOWN, Replica};
pub(crate) use trouble::is_full;
pub use url::StoreUrl;

#[cfg(test)]
pub(crate) use connection::refused;
#[cfg(test)]
pub(crate) use engine::WRITERS_LOCK;

use jiff::Timestamp;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::StoreError;
use crate::sql::Sql;
use crate::writer::{Changed, Live};

/// Connects, brings the tables up to date, and enters this process among the replicas.
pub(crate) fn open(
    url: &StoreUrl,
    data_dir: &Path,
    durable: bool,
    now: Timestamp,
    live: &Live,
) -> Result<Arc<Shared>, StoreError> {
    let connection = connection::Connection::open(url, "SET client_min_messages = warning", "")?;
    schema::migrate(&connection, now)?;
    let (replica, tenure) = replica::register(&connection, data_dir)?;
    live.load(&connection, Changed::ALL)?;
    Ok(Arc::new(Shared {
        url: url.clone(),
        replica,
        _tenure: tenure,
        durable,
        reached: AtomicBool::new(true),
    }))
}

/// Reads from a database without becoming one of its replicas.
pub(crate) fn peek<T: Send>(
    url: &StoreUrl,
    read: impl FnOnce(&dyn Sql) -> Result<Option<T>, StoreError> + Send,
) -> Result<Option<T>, StoreError> {
    let peeking = || {
        let set_up = "SET client_min_messages = warning; SET statement_timeout = '10s'";
        read(&connection::Connection::open(url, set_up, "")?)
    };
    // Not on the caller's thread, which may drive tasks and so must not wait for others.
    std::thread::scope(|scope| scope.spawn(peeking).join())
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// Brings a database to one of the schemas, and then through steps of a test's own.
#[cfg(test)]
pub(crate) fn bring_to(url: &StoreUrl, schema: usize, further: &[&str]) {
    let connection = connection::Connection::open(url, "SET client_min_messages = warning", "").unwrap();
    let known = schema::MIGRATIONS.iter().take(schema);
    let steps: Vec<&str> = known.chain(further).copied().collect();
    schema::bring_to(&connection, &steps, Timestamp::UNIX_EPOCH).unwrap();
}

/// A session beside those of stores.
#[cfg(test)]
pub(crate) struct TestSession(connection::Connection);

#[cfg(test)]
impl TestSession {
    pub(crate) fn open(url: &StoreUrl) -> TestSession {
        TestSession(connection::Connection::open(url, "SET client_min_messages = warning", "").unwrap())
    }

    pub(crate) fn run(&self, statements: &str) {
        self.0.plain(statements).unwrap();
    }
}
