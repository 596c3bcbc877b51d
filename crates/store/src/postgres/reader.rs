//! A small pool of sessions beside the writer's, used on blocking threads: for reading, and for pictures.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

use super::connection::Connection;
use super::engine::Shared;
use super::trouble::Trouble;
use crate::StoreError;
use crate::sql::Sql;

pub(crate) struct Readers {
    shared: Arc<Shared>,
    /// One permit a session.
    places: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
}

impl Readers {
    /// Connects nothing yet: the first read does.
    pub(crate) fn new(shared: Arc<Shared>, readers_max: usize) -> Readers {
        Readers { shared, places: Arc::new(Semaphore::new(readers_max)), idle: Arc::default() }
    }

    /// Runs `work` in a transaction that sees one state, whatever is committed meanwhile.
    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Sql) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.with_connection(|connection| {
            connection.begin(false);
            let answer = work(connection);
            if connection.begun().is_some() {
                connection.plain("COMMIT")?;
            }
            answer
        })
        .await
    }

    /// Runs a single statement in a transaction of its own. It touches no money.
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Sql) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.with_connection(|connection| {
            connection.plain("BEGIN")?;
            let answer = work(connection).and_then(|answer| connection.flush().map(|()| answer));
            connection.plain(if answer.is_ok() { "COMMIT" } else { "ROLLBACK" })?;
            answer
        })
        .await
    }

    async fn with_connection<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (shared, idle) = (Arc::clone(&self.shared), Arc::clone(&self.idle));
        let working = tokio::task::spawn_blocking(move || {
            let taken = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match taken.filter(|connection| !connection.is_closed()) {
                Some(connection) => connection,
                None => Connection::open(&shared.url, &shared.set_up(), BEGIN)?,
            };
            connection.forget_trouble();
            let answer = work(&connection);
            match connection.trouble() {
                Some(Trouble::Lost(_)) => {
                    // The others of that outage are no better.
                    idle.lock().unwrap_or_else(PoisonError::into_inner).clear();
                    shared.reached.store(false, Ordering::Relaxed);
                }
                Some(_) => {
                    let _ = connection.plain("ROLLBACK");
                    idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
                }
                None => idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection),
            }
            drop(place);
            answer
        });
        match working.await {
            Ok(answer) => answer,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(StoreError::Closed),
        }
    }
}

const BEGIN: &str = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT 1";
