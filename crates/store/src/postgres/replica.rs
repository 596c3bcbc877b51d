//! This process among the others on the same database: its number, its heartbeat, what it hears of the others.
//!
//! Once a second it says that it lives and hears how many others do, and five times a second it asks whether the
//! keys, budgets or prices of feeds have changed: a look at two numbers, which works through any pooler, where a notification would need
//! a session that listens. Who has not been heard for
//! [`GONE_AFTER_SECONDS`], by the database's clock, is gone, and what it left is taken over. Only a replica
//! that was itself heard all that time may say so of others: after an outage of the database everybody is late. A
//! process that starts again on the same data directory knows at once that the one before it is gone.

use gallerist_domain::RequestId;
use std::fs::{File, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::engine::Shared;
use crate::StoreError;
use crate::sql::{Row, Sql, params};
use crate::words;
use crate::writer::{Changed, Live};

const BEAT: Duration = Duration::from_secs(1);
/// Between two looks at whether another replica has changed keys, budgets or prices of feeds.
const LOOK: Duration = Duration::from_millis(200);
const GONE_AFTER_SECONDS: u64 = 15;
/// In the data directory.
const TENURE_FILE: &str = "gallerist.replica";

/// Who has not been heard for so long leaves its share of what is limited to the others.
const SHARES_FOR_SECONDS: u64 = 5;

const REGISTER: &str = "INSERT INTO replicas DEFAULT VALUES
    RETURNING number, CAST(extract(epoch FROM started_at) * 1000000 AS BIGINT)";
/// The start tells it from a replica of another database that has the same number.
const END_BEFORE: &str = "UPDATE replicas SET ended_at = clock_timestamp() WHERE number = ?1
    AND CAST(extract(epoch FROM started_at) * 1000000 AS BIGINT) = ?2 AND ended_at IS NULL";
const HEARTBEAT: &str = "UPDATE replicas SET seen_at = clock_timestamp(), ended_at = NULL WHERE number = ?1
    RETURNING (SELECT version FROM versions WHERE name = 'keys'),
        (SELECT version FROM versions WHERE name = 'feeds'),
        (SELECT count(*) FROM replicas WHERE number <> ?1 AND ended_at IS NULL
            AND seen_at >= clock_timestamp() - make_interval(secs => 5))";
const VERSIONS: &str = "SELECT (SELECT version FROM versions WHERE name = 'keys'),
    (SELECT version FROM versions WHERE name = 'feeds')";
const END: &str = "UPDATE replicas SET ended_at = clock_timestamp() WHERE number = ?1";
const TAKE_ATTEMPTS: &str = "UPDATE attempts SET replica = ?1
    WHERE row = ANY (ARRAY(SELECT attempt FROM open_attempts))
        AND (status = 'reserved' OR status = 'disputed') AND replica <> ?1 AND replica IN (
        SELECT number FROM replicas WHERE ended_at IS NOT NULL
            OR (?2 AND seen_at < clock_timestamp() - make_interval(secs => 15)) FOR UPDATE SKIP LOCKED)";
const TAKE_REQUESTS: &str = "UPDATE requests SET replica = ?1
    WHERE number = ANY (ARRAY(SELECT request FROM running_requests))
        AND status = 'running' AND replica <> ?1 AND replica IN (
        SELECT number FROM replicas WHERE ended_at IS NOT NULL
            OR (?2 AND seen_at < clock_timestamp() - make_interval(secs => 15)) FOR UPDATE SKIP LOCKED)
    RETURNING id";
/// Rows of replicas of which nothing is left. One that has not said that it ended may only have been suspended, and
/// goes on with its number.
const FORGET: &str = "DELETE FROM replicas p WHERE seen_at < clock_timestamp()
        - CASE WHEN ended_at IS NULL THEN make_interval(days => 30) ELSE make_interval(days => 1) END
    AND NOT EXISTS (SELECT 1 FROM attempts a WHERE a.replica = p.number
        AND a.row = ANY (ARRAY(SELECT attempt FROM open_attempts)))
    AND NOT EXISTS (SELECT 1 FROM requests r WHERE r.replica = p.number
        AND r.number = ANY (ARRAY(SELECT request FROM running_requests)))";
const RUNS_ELSEWHERE: &str = "SELECT 1 FROM requests r JOIN replicas p ON p.number = r.replica
    WHERE r.id = ?1 AND r.status = 'running' AND p.number <> ?2 AND p.ended_at IS NULL
        AND p.seen_at >= clock_timestamp() - make_interval(secs => 15)";

/// What recovery looks through is told apart by triggers: the audit asks whether they have kept up.
pub(crate) const OPEN_UNKNOWN: &str = "SELECT 'attempt ' || encode(a.id, 'hex') || ' is ' || a.status
        || ', and open_attempts says otherwise' FROM attempts a LEFT JOIN open_attempts o ON o.attempt = a.row
    WHERE (a.status IN ('reserved', 'disputed')) <> (o.attempt IS NOT NULL)
    UNION ALL SELECT 'request ' || encode(r.id, 'hex') || ' is ' || r.status
        || ', and running_requests says otherwise' FROM requests r LEFT JOIN running_requests o ON o.request = r.number
    WHERE (r.status = 'running') <> (o.request IS NOT NULL)";

#[cfg(test)]
pub(crate) const STATEMENTS: &[&str] = &[
    REGISTER,
    END_BEFORE,
    HEARTBEAT,
    VERSIONS,
    END,
    TAKE_ATTEMPTS,
    TAKE_REQUESTS,
    FORGET,
    RUNS_ELSEWHERE,
    OPEN_UNKNOWN,
];

/// The heartbeat of this process; it stops when this is dropped.
pub(crate) struct Replica {
    shared: Arc<Shared>,
    state: Arc<State>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

#[derive(Default)]
struct State {
    /// Set when the heartbeat shall stop.
    stopping: Mutex<bool>,
    wake: Condvar,
    /// Others that live.
    others: AtomicU32,
    /// Since when every heartbeat came through.
    steady_since: Mutex<Option<Instant>>,
}

/// Whose data directory this is: the replica that holds the lock of the file, else the one that held it last.
///
/// A process that is killed leaves its number in the file and loses the lock, so the next one on the same folder
/// knows for certain that it is gone, and nobody has to wait until its silence says so.
#[derive(Debug)]
pub(crate) struct Tenure(File);

impl Tenure {
    /// `None` where another process holds it, such as the gateway beside a command.
    fn take(data_dir: &Path) -> Result<Option<Tenure>, StoreError> {
        let path = data_dir.join(TENURE_FILE);
        let failed = |error| StoreError::file(&path, error);
        let file = File::options().read(true).write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Tenure(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(failed(error)),
        }
    }

    /// Number and start of the one before.
    fn before(&mut self) -> Option<(i64, i64)> {
        let mut text = String::new();
        self.0.read_to_string(&mut text).ok()?;
        let (number, started_at) = text.trim().split_once(' ')?;
        Some((number.parse().ok()?, started_at.parse().ok()?))
    }

    fn write(&mut self, (number, started_at): (i64, i64)) -> std::io::Result<()> {
        self.0.rewind()?;
        self.0.set_len(0)?;
        writeln!(self.0, "{number} {started_at}")
    }
}

/// Writes this process into the table, and says of the one before it on this folder that it has ended; its number.
pub(super) fn register(
    connection: &Connection,
    data_dir: &Path,
) -> Result<(i64, Option<Tenure>), StoreError> {
    let sql: &dyn Sql = connection;
    let me: (i64, i64) = sql.query_row(REGISTER, &[], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut tenure = Tenure::take(data_dir)?;
    if let Some(tenure) = &mut tenure {
        if let Some((number, started_at)) = tenure.before() {
            sql.execute(END_BEFORE, params![number, started_at])?;
        }
        tenure.write(me).map_err(|error| StoreError::file(data_dir.join(TENURE_FILE), error))?;
    }
    Ok((me.0, tenure))
}

impl Replica {
    pub(crate) fn start(shared: Arc<Shared>, live: Live) -> Result<Replica, StoreError> {
        let state = Arc::new(State::default());
        let beating = (Arc::clone(&shared), Arc::clone(&state));
        let thread = std::thread::Builder::new()
            .name("gallerist-heartbeat".to_owned())
            .spawn(move || beat(&beating.0, &beating.1, &live))
            .map_err(|error| StoreError::file("the heartbeat's thread", error))?;
        Ok(Replica { shared, state, thread: Mutex::new(Some(thread)) })
    }

    /// Whether others that were not heard of may be taken for gone.
    fn is_steady(&self) -> bool {
        let since = *self.state.steady_since.lock().unwrap_or_else(PoisonError::into_inner);
        lasts(since, GONE_AFTER_SECONDS)
    }

    /// What looks after what the replicas that are gone have left, as a command of the writer; the requests.
    pub(crate) fn take_over(
        &self,
    ) -> impl Fn(&dyn Sql) -> Result<Vec<RequestId>, StoreError> + Send + 'static {
        let (me, steady) = (self.shared.replica, self.is_steady());
        move |sql| {
            sql.change(TAKE_ATTEMPTS, params![me, steady])?;
            let requests =
                sql.query_all(TAKE_REQUESTS, params![me, steady], |row| words::request_id(row, 0))?;
            sql.change(FORGET, &[])?;
            Ok(requests)
        }
    }

    /// Whether another replica that is alive is at work on this request.
    pub(crate) fn runs_elsewhere(
        &self,
        request: RequestId,
    ) -> impl FnOnce(&dyn Sql) -> Result<bool, StoreError> + Send + 'static {
        let me = self.shared.replica;
        move |sql| sql.exists(RUNS_ELSEWHERE, params![request.uuid().as_bytes(), me])
    }

    /// Replicas that live, this one included.
    pub(crate) fn alive(&self) -> u32 {
        self.state.others.load(Ordering::Relaxed).saturating_add(1)
    }

    /// Whether the database answered when it was last asked.
    pub(crate) fn is_reached(&self) -> bool {
        self.shared.reached.load(Ordering::Relaxed)
    }

    /// Stops the heartbeat and says that this process has ended. Blocks until that is said.
    pub(crate) fn end(&self) {
        *self.state.stopping.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.state.wake.notify_all();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if thread.is_some_and(|thread| thread.join().is_err()) {
            tracing::error!("the heartbeat of the store had panicked");
        }
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.end();
    }
}

fn lasts(since: Option<Instant>, seconds: u64) -> bool {
    since.is_some_and(|since| since.elapsed() >= Duration::from_secs(seconds))
}

fn beat(shared: &Shared, state: &State, live: &Live) {
    let mut session: Option<Connection> = None;
    let (mut known, mut said) = (Versions::default(), None);
    loop {
        let stopping = *state.stopping.lock().unwrap_or_else(PoisonError::into_inner);
        let heard = session
            .take()
            .map_or_else(|| Connection::open(&shared.url, &shared.set_up(), ""), Ok)
            .and_then(|connection| {
                let due = said.is_none_or(|at: Instant| at.elapsed() >= BEAT);
                let others = hear(&connection, shared, live, &mut known, (due, stopping))?;
                if due {
                    said = Some(Instant::now());
                }
                Ok((connection, others))
            });
        // Who cannot be reached is not asked so often.
        let pause = if heard.is_ok() { LOOK } else { BEAT };
        let mut steady = state.steady_since.lock().unwrap_or_else(PoisonError::into_inner);
        match heard {
            Ok((connection, others)) => {
                session = Some(connection);
                match others {
                    Some(others) if lasts(*steady, SHARES_FOR_SECONDS) => {
                        state.others.store(others, Ordering::Relaxed);
                    }
                    // Others may be late for the same reason as this one.
                    Some(others) => {
                        state.others.fetch_max(others, Ordering::Relaxed);
                    }
                    None => {}
                }
                steady.get_or_insert_with(Instant::now);
                shared.reached.store(true, Ordering::Relaxed);
            }
            Err(error) => {
                if steady.take().is_some() {
                    tracing::error!(%error, database = %shared.url, "PostgreSQL cannot be reached");
                }
                shared.reached.store(false, Ordering::Relaxed);
            }
        }
        drop(steady);
        if stopping {
            return;
        }
        let waiting = state.stopping.lock().unwrap_or_else(PoisonError::into_inner);
        drop(state.wake.wait_timeout_while(waiting, pause, |stopping| !*stopping));
    }
}

/// What has changed when its number is another one: keys and budgets, and what feeds told.
#[derive(Clone, Copy, Default)]
struct Versions {
    keys: Option<i64>,
    feeds: Option<i64>,
}

/// Says that this process lives where that is due, or that it ends, and hears whether keys, budgets or prices of
/// feeds have changed and, where it was due, how many others live.
fn hear(
    connection: &Connection,
    shared: &Shared,
    live: &Live,
    known: &mut Versions,
    (due, ending): (bool, bool),
) -> Result<Option<u32>, StoreError> {
    let sql: &dyn Sql = connection;
    if ending {
        return sql.execute(END, params![shared.replica]).map(|_| None);
    }
    let read = |row: &Row<'_>| Ok(Versions { keys: row.get(0)?, feeds: row.get(1)? });
    let (heard, others): (Versions, Option<i64>) = match due {
        true => sql
            .query_opt(HEARTBEAT, params![shared.replica], |row| Ok((read(row)?, row.get(2)?)))?
            .unwrap_or_default(),
        false => (sql.query_row(VERSIONS, &[], read)?, None),
    };
    let is_news = |heard: Option<i64>, known: Option<i64>| heard.is_some() && heard != known;
    let (read, feeds) = (is_news(heard.keys, known.keys), is_news(heard.feeds, known.feeds));
    live.load(sql, Changed { keys: read, budgets: read, feeds })?;
    known.keys = heard.keys.or(known.keys);
    known.feeds = heard.feeds.or(known.feeds);
    Ok(others.and_then(|others| u32::try_from(others).ok()))
}
