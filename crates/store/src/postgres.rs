//! PostgreSQL: one connection as the rules see it, with writes that travel together.
//!
//! What may be done later ([`Sql::put`]) is queued, and sent without waiting in front of the next reading or
//! of the commit; so a command costs a round trip for each thing that it must know, and none for what it
//! writes. `engine.rs` commits groups, `reader.rs` reads, `replica.rs` says who is alive, `dialect.rs` rewrites
//! statements, `together.rs` has one of them do what many commands want, `url.rs` says where the database is; the tables are `schema/postgres/`.

mod connection;
mod dialect;
mod engine;
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
pub(crate) use replica::Replica;
pub use url::StoreUrl;

#[cfg(test)]
pub(crate) use connection::refused;

use jiff::Timestamp;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use crate::StoreError;
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
