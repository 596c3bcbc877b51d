//! A small pool of read-only connections, used on blocking threads.

use rusqlite::{Connection, OpenFlags};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;

use super::{STATEMENTS_CACHED, database_path};
use crate::StoreError;
use crate::simulation::Lane;
use crate::sql::Sql;

pub(crate) struct Readers {
    path: PathBuf,
    /// One permit a connection.
    places: Arc<Semaphore>,
    idle: Arc<Mutex<Vec<Connection>>>,
    lane: Lane,
}

impl Readers {
    /// Opens nothing yet: the first read does.
    pub(crate) fn new(path: PathBuf, readers_max: usize, lane: Lane) -> Readers {
        Readers { path, places: Arc::new(Semaphore::new(readers_max)), idle: Arc::default(), lane }
    }

    pub(crate) async fn read<T: Send + 'static>(
        &self,
        work: impl FnOnce(&dyn Sql) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| StoreError::Closed)?;
        let (path, idle) = (self.path.clone(), Arc::clone(&self.idle));
        let reading = move || {
            let taken = idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let connection = match taken {
                Some(connection) => connection,
                None => open(&path)?,
            };
            // One read transaction, so that several statements see the same state.
            connection.prepare_cached("BEGIN")?.execute([])?;
            let answer = work(&connection);
            connection.prepare_cached("ROLLBACK")?.execute([])?;
            idle.lock().unwrap_or_else(PoisonError::into_inner).push(connection);
            drop(place);
            answer
        };
        self.lane.run(reading).await
    }
}

fn open(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.set_prepared_statement_cache_capacity(STATEMENTS_CACHED);
    connection.busy_timeout(std::time::Duration::from_secs(5))?;
    Ok(connection)
}

/// Reads from the books of a folder, also while another process has them open; `None` where there are none.
pub(crate) fn peek<T>(
    data_dir: &Path,
    read: impl FnOnce(&dyn Sql) -> Result<Option<T>, StoreError>,
) -> Result<Option<T>, StoreError> {
    let path = database_path(data_dir);
    if !path.exists() {
        return Ok(None);
    }
    read(&open(&path)?)
}
