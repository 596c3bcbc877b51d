//! What the writer keeps between transactions, and what a command works with.

use gallerist_domain::Ticks;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use super::Work;
use crate::StoreError;
use crate::alerts::{Raised, Told};
use crate::budgets::LiveBudgets;
use crate::feed_books::LiveFeeds;
use crate::full::Fullness;
use crate::keys::LiveKeys;
use crate::ledger::{Moving, Names};
use crate::sql::Sql;

/// What is looked up in memory, outside of transactions too.
#[derive(Clone)]
pub(crate) struct Live {
    pub(crate) keys: Arc<LiveKeys>,
    pub(crate) budgets: Arc<LiveBudgets>,
    pub(crate) feeds: Arc<LiveFeeds>,
}

impl Live {
    /// Reads again what a committed transaction has changed.
    pub(crate) fn load(&self, connection: &dyn Sql, changed: Changed) -> Result<(), StoreError> {
        if changed.keys {
            self.keys.load(connection)?;
        }
        if changed.budgets {
            self.budgets.load(connection)?;
        }
        if changed.feeds {
            self.feeds.changed();
        }
        Ok(())
    }
}

/// What a transaction has changed of what is kept in memory too.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Changed {
    pub(crate) keys: bool,
    pub(crate) budgets: bool,
    /// What feeds have told.
    pub(crate) feeds: bool,
}

impl Changed {
    pub(crate) const ALL: Changed = Changed { keys: true, budgets: true, feeds: true };

    pub(crate) const fn or(self, other: Changed) -> Changed {
        Changed {
            keys: self.keys || other.keys,
            budgets: self.budgets || other.budgets,
            feeds: self.feeds || other.feeds,
        }
    }

    pub(crate) const fn is_any(self) -> bool {
        self.is_read() || self.feeds
    }

    /// Whether there is something to be read again, which changes rarely.
    pub(crate) const fn is_read(self) -> bool {
        self.keys || self.budgets
    }
}

/// What the writer remembers between transactions.
pub(crate) struct Memory {
    pub(crate) names: Names,
    pub(crate) live: Live,
    pub(crate) calls_keep: bool,
    /// What was charged since the start, by what is committed.
    charged_ticks: Arc<AtomicI64>,
    /// What the present transaction raises, and who tells it.
    raised: Vec<Raised>,
    told: Arc<Told>,
    pub(super) fullness: Arc<Fullness>,
}

impl Memory {
    pub(super) fn new(
        live: Live,
        calls_keep: bool,
        charged_ticks: Arc<AtomicI64>,
        told: Arc<Told>,
        fullness: Arc<Fullness>,
    ) -> Memory {
        let (names, raised) = (Names::default(), Vec::new());
        Memory { names, live, calls_keep, charged_ticks, raised, told, fullness }
    }

    /// For the commands of one transaction.
    pub(crate) fn writing<'a>(&'a mut self, connection: &'a dyn Sql) -> Writing<'a> {
        // Of an earlier transaction that was rolled back.
        self.raised.clear();
        Writing {
            raised: &mut self.raised,
            fullness: &self.fullness,
            connection,
            names: &mut self.names,
            calls_keep: self.calls_keep,
            changed: Changed::default(),
            charged: Ticks::ZERO,
            moved: Vec::new(),
        }
    }

    /// Counts what a committed transaction has charged, and tells what it has raised.
    pub(crate) fn committed(&mut self, charged: Ticks) {
        self.charged_ticks.fetch_add(charged.get(), Ordering::Relaxed);
        self.told.tell(&mut self.raised);
    }
}

/// What a command works with: the connection inside the transaction, and the names looked up so far.
pub(crate) struct Writing<'a> {
    pub(crate) connection: &'a dyn Sql,
    pub(crate) names: &'a mut Names,
    pub(crate) calls_keep: bool,
    /// Set by commands that change keys or budgets: what is in memory of them is then read again after the
    /// commit.
    pub(crate) changed: Changed,
    /// What the commands of this transaction have charged; counted when it is committed.
    pub(crate) charged: Ticks,
    /// The alerts that they have raised; told when it is committed.
    pub(crate) raised: &'a mut Vec<Raised>,
    fullness: &'a Fullness,
    /// The counters that they have moved, of which the alerts follow at the end.
    pub(crate) moved: Vec<(i64, Moving)>,
}

impl Writing<'_> {
    /// Runs a command's work; what it raised is forgotten with it where it fails.
    pub(super) fn run<T>(&mut self, work: &impl Work<T>) -> Result<T, StoreError> {
        let (raised, moved) = (self.raised.len(), self.moved.len());
        let outcome = work.run(self);
        if let Err(error) = &outcome {
            self.note_failure(error);
            self.raised.truncate(raised);
            self.moved.truncate(moved);
        }
        outcome
    }

    /// Looks what the failure of a command tells beyond it.
    pub(crate) fn note_failure(&self, error: &StoreError) {
        self.fullness.note(error);
    }

    /// Budgets are other ones from here on, and what is open may count in them too.
    pub(crate) fn change_budgets(&mut self) {
        self.names.open.forget();
        self.names.counters.forget_budgets();
        self.changed.budgets = true;
    }
}
