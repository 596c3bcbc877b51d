//! A store for simulations in virtual time: it works inside the tasks that ask it, in one order, and fails when it
//! is told to.
//!
//! The books are the product's own, on SQLite: the same rules, statements, groups and roll-backs. What is replaced
//! is what a simulation cannot see or command: the writer's thread becomes a task, readers and files are served
//! where they are asked for ([`Lane`]), and a [`Disk`] decides what becomes of each commit.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use crate::books::{self, Books};
use crate::sql::{Sql, params};
use crate::sqlite::Sqlite;
use crate::words::statements;
use crate::writer::{Command, Engine, Memory};
use crate::{Store, StoreError, StoreOptions};

/// What the database stands on. Called on the simulation's thread.
pub trait Disk: Send + Sync + 'static {
    /// What becomes of the next commit, which has `commands`.
    fn turn(&self, commands: usize) -> Turn;

    /// Looks at the books after a commit that is kept.
    fn kept(&self, ledger: Ledger<'_>);

    /// Whether files can be written now.
    fn takes_files(&self) -> bool;
}

/// One commit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turn {
    pub fate: Fate,
    /// Before it begins; what is asked meanwhile joins its group.
    pub before: Duration,
    /// From its end to the answers.
    pub after: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Kept,
    /// It is kept, and answered with a failure: nobody could find out.
    Unanswered,
    /// Nothing of it is written.
    Failed,
    /// Nothing of it is written, because the database cannot be reached.
    Away,
    /// There is no room for further pages: what needs none is kept.
    Full,
}

/// The books after a commit.
#[derive(Clone, Copy)]
pub struct Ledger<'a>(&'a dyn Sql);

statements! {
    // What was charged beyond a maximum is known, and no reservation let it in.
    CAPS_PASSED = "SELECT 'cap of project ' || p.name || ': ' || (p.settled + p.held + p.disputed) || ' of ' || p.cap
        FROM projects p WHERE p.settled + p.held + p.disputed > p.cap
            + (SELECT coalesce(sum(a.charged_ticks - a.reserved_ticks), 0) FROM requests r
                JOIN attempts a ON a.request = r.number
                WHERE r.project = p.number AND a.charged_ticks > a.reserved_ticks)";
    BUDGETS_PASSED = "SELECT 'budget ' || hex(b.id) || ' ' || c.subject || ': ' || (c.settled + c.held + c.disputed)
            || ' of ' || b.limit_amount
        FROM budget_counters c JOIN budgets b ON b.number = c.budget
        WHERE b.removed_at IS NULL AND b.mode_json NOT LIKE '%soft%'
            AND c.settled + c.held + c.disputed > b.limit_amount
            + (SELECT coalesce(sum(s.settled - s.held), 0) FROM attempt_counters s
                WHERE s.counter = c.number AND s.settled > s.held)";
}

impl Ledger<'_> {
    /// Each limit that is passed, in words.
    ///
    /// # Errors
    /// When the database fails.
    pub fn limits_passed(self) -> Result<Vec<String>, StoreError> {
        let mut passed = Vec::new();
        for check in [CAPS_PASSED, BUDGETS_PASSED] {
            let found: Vec<String> = self.0.query_all(check, params![], |row| row.get(0))?;
            passed.extend(found);
        }
        Ok(passed)
    }

    /// As [`Store::books`].
    ///
    /// # Errors
    /// When the database fails.
    pub fn books(self) -> Result<Books, StoreError> {
        books::audit(self.0)
    }
}

impl Store {
    /// Opens or makes a store on SQLite that works inside the tasks of the runtime, which must have one thread.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_simulated(options: StoreOptions, disk: Arc<dyn Disk>) -> Result<Store, StoreError> {
        Store::open_with(options, None, Lane::Inline(disk))
    }

    /// Ends the store as a crash does: what is committed stays, everything else is gone. Of a store that is not
    /// simulated nothing is ended.
    pub fn crash(&self) {
        self.inner.writer.crash();
    }
}

/// Where work that blocks is done.
#[derive(Clone)]
pub(crate) enum Lane {
    /// On threads for such work.
    Threads,
    /// Where it is asked for.
    Inline(Arc<dyn Disk>),
}

impl Lane {
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce() -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        if matches!(self, Lane::Inline(_)) {
            return work();
        }
        match tokio::task::spawn_blocking(work).await {
            Ok(answer) => answer,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(StoreError::Closed),
        }
    }

    /// As [`Lane::run`], for work that writes a file.
    pub(crate) async fn write_file(
        &self,
        work: impl FnOnce() -> Result<(), StoreError> + Send + 'static,
    ) -> Result<(), StoreError> {
        match self {
            Lane::Inline(disk) if !disk.takes_files() => {
                Err(StoreError::file("a picture", ErrorKind::StorageFull.into()))
            }
            _ => self.run(work).await,
        }
    }
}

/// SQLite on a disk that fails when it is told to.
pub(crate) struct OnDisk {
    sqlite: Sqlite,
    disk: Arc<dyn Disk>,
    /// Of the commit that comes.
    fate: Fate,
}

impl OnDisk {
    pub(crate) fn new(sqlite: Sqlite, disk: Arc<dyn Disk>) -> OnDisk {
        OnDisk { sqlite, disk, fate: Fate::Kept }
    }

    /// Asks for the turn of a commit, whose fate it keeps.
    pub(crate) fn turn(&mut self, commands: usize) -> Turn {
        let turn = self.disk.turn(commands);
        self.fate = turn.fate;
        turn
    }
}

impl Engine for OnDisk {
    fn commit(&mut self, memory: &mut Memory, group: &mut [Box<dyn Command>]) -> Result<(), StoreError> {
        match self.fate {
            Fate::Failed => return Err(StoreError::database("the disk failed")),
            Fate::Away => return Err(StoreError::away("it cannot be reached")),
            Fate::Full => self.sqlite.limit_pages(true)?,
            Fate::Kept | Fate::Unanswered => {}
        }
        let committed = self.sqlite.commit(memory, group);
        if self.fate == Fate::Full {
            self.sqlite.limit_pages(false)?;
        }
        if committed.is_ok() {
            self.disk.kept(Ledger(self.sqlite.connection()));
        }
        match self.fate {
            Fate::Unanswered => committed.and(Err(StoreError::unanswered("the connection broke"))),
            _ => committed,
        }
    }
}
