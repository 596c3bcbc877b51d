//! The connection that writes, and how a group of commands is committed.
//!
//! A group is one transaction, as with SQLite. It begins with a lock that the writers of all replicas share,
//! so that one group runs after the other: every row is read as the group before has left it, no two can wait
//! for each other, and caps, idempotency keys and ends are checked where nobody else writes. While one
//! replica commits, the commands of the others gather, and share the next commit.
//!
//! A group that another was in the way of is run again; one in which a statement failed, with a savepoint
//! around each command. When the connection breaks before the commit was asked for, nothing was written. When
//! it breaks while the commit is under way, the number of the transaction tells what became of it.

use gallerist_domain::Ticks;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::connection::Connection;
use super::replica::Tenure;
use super::trouble::Trouble;
use super::url::StoreUrl;
use crate::StoreError;
use crate::ledger;
use crate::sql::{Lookups, Sql};
use crate::writer::{Changed, Command, Engine, Memory, Writing};

/// The lock of the writers of a database.
pub(crate) const WRITERS_LOCK: i64 = 0x6761_6c6c_0002;
/// Times that a group is run at most.
const ROUNDS_MAX: u32 = 8;
/// Rounds after which a savepoint is set around each command, whatever the trouble was.
const TOGETHER_MAX: u32 = 3;
/// Pause before the first new attempt to connect; each further one is twice as long.
const PAUSE_MIN: Duration = Duration::from_millis(100);
const PAUSE_MAX: Duration = Duration::from_secs(5);
/// For how long conditions are looked at after one was not met.
const DOUBT: Duration = Duration::from_secs(1);
/// For how long the outcome of a broken commit is asked for, while its commands wait.
const FIND_OUT: Duration = Duration::from_secs(20);

/// One number for all that the replicas keep in memory: it changes rarely, and is little to read again.
const MEMORY_CHANGED: &str = "UPDATE versions SET version = version + 1 WHERE name = 'keys'";
/// Another for what feeds told, which changes with every poll.
const FEEDS_CHANGED: &str = "UPDATE versions SET version = version + 1 WHERE name = 'feeds'";
const STATUS: &str = "SELECT pg_xact_status(CAST(?1 AS xid8))";

/// What the writer, the readers and the heartbeat of one replica know of its database.
pub(crate) struct Shared {
    pub(crate) url: StoreUrl,
    /// The number of this replica.
    pub(crate) replica: i64,
    /// Held as long as this process may write as that replica.
    pub(super) _tenure: Option<Tenure>,
    pub(crate) durable: bool,
    /// Whether the last thing that was asked of the database was answered.
    pub(crate) reached: AtomicBool,
}

impl Shared {
    /// Prepares a session: what hangs is ended by the server, so that it holds up no other replica.
    pub(super) fn set_up(&self) -> String {
        let wait = if self.durable { "on" } else { "off" };
        format!(
            "SET gallerist.replica = '{}'; SET synchronous_commit = {wait}; SET lock_timeout = '10s';
            SET idle_in_transaction_session_timeout = '10s'; SET statement_timeout = '60s';
            SET client_min_messages = warning; SET timezone = 'UTC'",
            self.replica
        )
    }
}

pub(crate) struct Postgres {
    shared: Arc<Shared>,
    connection: Option<Connection>,
    /// Until then nobody tries to connect again, and for how long after the next failure.
    away: Option<(Instant, Duration)>,
    /// Until then conditions are looked at instead of taken to be met.
    doubtful: Option<Instant>,
}

impl Postgres {
    pub(crate) fn new(shared: Arc<Shared>) -> Postgres {
        Postgres { shared, connection: None, away: None, doubtful: None }
    }

    /// The connection; made anew where it is gone, but not at every command of an outage.
    fn connect(&mut self) -> Result<&Connection, StoreError> {
        if self.connection.as_ref().is_some_and(Connection::is_closed) {
            self.connection = None;
        }
        if self.connection.is_none() {
            let pause = match self.away {
                Some((until, _)) if Instant::now() < until => {
                    return Err(StoreError::away("it could not be reached a moment ago"));
                }
                Some((_, pause)) => (2 * pause).min(PAUSE_MAX),
                None => PAUSE_MIN,
            };
            let begin = format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED; SELECT pg_advisory_xact_lock({WRITERS_LOCK});
                SELECT pg_current_xact_id()::text"
            );
            // Every statement of the rules goes by one index, for one row or for the rows of a group; what the
            // planner knows of tables that grow fast is too old to see that. Two indexes at once mean to read
            // whatever is open of a table for each row of a group.
            let set_up = format!(
                "{}; SET enable_seqscan = off; SET enable_hashjoin = off; SET enable_mergejoin = off;
                SET enable_bitmapscan = off",
                self.shared.set_up()
            );
            match Connection::open(&self.shared.url, &set_up, &begin) {
                Ok(connection) => {
                    self.away = None;
                    self.connection = Some(connection);
                }
                Err(error) => {
                    self.away = Some((Instant::now() + pause, pause));
                    self.shared.reached.store(false, Ordering::Relaxed);
                    return Err(error);
                }
            }
        }
        self.shared.reached.store(true, Ordering::Relaxed);
        Ok(self.connection.as_ref().expect("it was just made"))
    }

    /// What became of a transaction whose commit was not answered; `None` if nobody can tell.
    fn found_out(&mut self, transaction: &str) -> Option<bool> {
        let until = Instant::now() + FIND_OUT;
        loop {
            let status = self.connect().and_then(|connection| {
                let sql: &dyn Sql = connection;
                let asked = crate::sql::params![transaction];
                sql.query_row(STATUS, asked, |row| row.get::<Option<String>>(0))
            });
            match status.as_ref().map(Option::as_deref) {
                Ok(Some("committed")) => return Some(true),
                Ok(Some("aborted")) => return Some(false),
                Ok(None) => return None,
                // Its session does not know yet that we are gone, or the server is not back.
                Ok(Some(_)) | Err(_) if Instant::now() < until => sleep(PAUSE_MIN),
                Ok(Some(_)) | Err(_) => return None,
            }
        }
    }
}

/// Why a transaction did not commit.
enum Failure {
    Trouble(Trouble),
    /// A command failed after it had written, without a savepoint to undo that.
    Spoiled,
    /// The connection broke while this transaction was being committed.
    Unanswered {
        transaction: String,
        error: StoreError,
        done: Done,
    },
}

/// What a committed transaction has done.
#[derive(Clone, Copy)]
struct Done {
    changed: Changed,
    charged: Ticks,
}

impl Engine for Postgres {
    fn commit(&mut self, memory: &mut Memory, group: &mut [Box<dyn Command>]) -> Result<(), StoreError> {
        let (mut apart, mut lost) = (false, false);
        for round in 1..=ROUNDS_MAX {
            let hopeful = round == 1 && self.doubtful.is_none_or(|until| Instant::now() >= until);
            let connection = self.connect()?;
            let failure = match transact(connection, memory, group, (apart, hopeful), round) {
                Ok(done) => return self.committed(memory, done),
                Err(failure) => failure,
            };
            // The accounts that commands have made are gone again.
            memory.names.forget();
            match failure {
                Failure::Spoiled | Failure::Trouble(Trouble::Failed(_)) if !apart => apart = true,
                Failure::Spoiled => unreachable!("savepoints undo what a failed command wrote"),
                // Where a cap is used up, the next groups will meet it, too.
                Failure::Trouble(Trouble::Again(_)) if hopeful => {
                    self.doubtful = Some(Instant::now() + DOUBT);
                }
                Failure::Trouble(Trouble::Again(_) | Trouble::Taken(_)) if round < ROUNDS_MAX => {
                    apart |= round >= TOGETHER_MAX;
                    sleep(Duration::from_millis(u64::from(round) * 2));
                }
                // Nothing was written. The session may just have been old: once, another one is tried.
                Failure::Trouble(Trouble::Lost(_)) if !lost => {
                    lost = true;
                    self.connection = None;
                }
                Failure::Trouble(trouble) => {
                    if matches!(trouble, Trouble::Lost(_)) {
                        self.connection = None;
                        self.shared.reached.store(false, Ordering::Relaxed);
                    }
                    return Err(trouble.into_error());
                }
                Failure::Unanswered { transaction, error, done } => {
                    self.connection = None;
                    return match self.found_out(&transaction) {
                        Some(true) => self.committed(memory, done),
                        Some(false) => Err(error),
                        // As while it is away: a moment later the same may be asked for again.
                        None => Err(StoreError::unanswered(error)),
                    };
                }
            }
        }
        Err(StoreError::away("other replicas were in the way again and again"))
    }
}

impl Postgres {
    fn committed(&mut self, memory: &mut Memory, done: Done) -> Result<(), StoreError> {
        memory.committed(done.charged);
        if done.changed.is_any() {
            let loaded = self.connect().and_then(|connection| memory.live.load(connection, done.changed));
            if let Err(error) = loaded {
                // It is kept, so it is answered so; the watch for changes of others reads it in a moment.
                tracing::warn!(%error, "what was written could not be read again");
                self.connection = None;
            }
        }
        Ok(())
    }
}

fn transact(
    connection: &Connection,
    memory: &mut Memory,
    group: &mut [Box<dyn Command>],
    (apart, hopeful): (bool, bool),
    round: u32,
) -> Result<Done, Failure> {
    connection.begin(hopeful);
    // Other replicas buy credits, too.
    memory.names.forget_prepaid();
    // And make budgets; the numbers of counters stay.
    memory.names.counters.forget_budgets();
    if !apart {
        let mut lookups = Lookups::default();
        group.iter().for_each(|command| command.look_ahead(&memory.names, &mut lookups));
        if connection.look_ahead(lookups).is_err() {
            let failure = failure(connection);
            let _ = connection.plain("ROLLBACK");
            return Err(failure);
        }
    }
    let mut writing = memory.writing(connection);
    let applied = if apart {
        apply_apart(connection, &mut writing, group, round)
    } else {
        apply_together(connection, &mut writing, group)
    };
    let applied = applied.and_then(|()| {
        connection.queue_tallies().map_err(|_| failure(connection))?;
        ledger::tell_standings(&mut writing).map_err(|_| failure(connection))?;
        let told = [(writing.changed.is_read(), MEMORY_CHANGED), (writing.changed.feeds, FEEDS_CHANGED)];
        for (_, counted) in told.into_iter().filter(|(changed, _)| *changed) {
            let sql: &dyn Sql = connection;
            sql.change_one(counted, &[]).map_err(|_| failure(connection))?;
        }
        connection.flush().map_err(|_| failure(connection))
    });
    if let Err(failure) = applied {
        // A session that is gone has rolled back by itself.
        let _ = connection.plain("ROLLBACK");
        return Err(failure);
    }
    let done = Done { changed: writing.changed, charged: writing.charged };
    // Nothing was sent, so there is nothing to commit.
    let Some(transaction) = connection.begun() else { return Ok(done) };
    match connection.plain("COMMIT") {
        Ok(()) => Ok(done),
        Err(error) => Err(match connection.trouble() {
            Some(Trouble::Lost(_)) => Failure::Unanswered { transaction, error, done },
            Some(trouble) => Failure::Trouble(trouble),
            None => Failure::Trouble(Trouble::Failed(error)),
        }),
    }
}

fn failure(connection: &Connection) -> Failure {
    let unknown = || Trouble::Failed(StoreError::database("a statement failed"));
    Failure::Trouble(connection.trouble().unwrap_or_else(unknown))
}

fn apply_together(
    connection: &Connection,
    writing: &mut Writing<'_>,
    group: &mut [Box<dyn Command>],
) -> Result<(), Failure> {
    for command in group {
        let mark = connection.mark();
        let fine = command.apply(writing);
        if connection.trouble().is_some() {
            return Err(failure(connection));
        }
        if !fine && !connection.undo(mark) {
            return Err(Failure::Spoiled);
        }
    }
    Ok(())
}

fn apply_apart(
    connection: &Connection,
    writing: &mut Writing<'_>,
    group: &mut [Box<dyn Command>],
    round: u32,
) -> Result<(), Failure> {
    for command in group {
        connection.queue_plain("SAVEPOINT command");
        connection.flush().map_err(|_| failure(connection))?;
        let (charged, raised, moved) = (writing.charged, writing.raised.len(), writing.moved.len());
        let fine = command.apply(writing);
        let trouble = connection.flush().err().and_then(|_| connection.trouble()).or(connection.trouble());
        match trouble {
            None if fine => {
                connection.queue_plain("RELEASE command");
                continue;
            }
            None => {}
            Some(trouble @ Trouble::Lost(_)) => return Err(Failure::Trouble(trouble)),
            // What goes on failing is this command's own fault.
            Some(trouble @ Trouble::Again(_)) if round + 1 < ROUNDS_MAX => {
                return Err(Failure::Trouble(trouble));
            }
            Some(trouble) => {
                let error = trouble.into_error();
                writing.note_failure(&error);
                command.refuse(error);
            }
        }
        connection.forget_trouble();
        connection.plain("ROLLBACK TO command; RELEASE command").map_err(|_| failure(connection))?;
        writing.names.forget();
        writing.charged = charged;
        writing.raised.truncate(raised);
        writing.moved.truncate(moved);
    }
    Ok(())
}
