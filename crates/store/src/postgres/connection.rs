//! One connection with its own small run-time, so that the rules call it like any function.
//!
//! A transaction begins with the first thing that is sent in it. What goes wrong is remembered by its kind
//! until the next transaction, because the rules hand on an error without knowing what it means.

mod ahead;

use futures_util::TryStreamExt;
use futures_util::future::maybe_done;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap};
use std::future::poll_fn;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Poll;
use tokio::runtime::Runtime;
use tokio_postgres::types::ToSql;
use tokio_postgres::{Client, SimpleQueryMessage, Statement};

use super::dialect;
use super::together::{self, Together};
use super::trouble::{Trouble, trouble};
use super::url::StoreUrl;
use crate::StoreError;
use crate::sql::{Dialect, Each, Lookup, Owned, Row, Sql, Tally, Value, params};

/// Statements that a session keeps prepared; those of the rules are some two hundred.
const STATEMENTS_KEPT_MAX: usize = 512;

/// Numbers that are taken from a sequence at once.
const NUMBERS: i64 = 64;

/// Something that is sent without waiting for what is before it.
pub(super) enum Queued {
    Plain(&'static str),
    Prepared {
        statement: Statement,
        together: Option<Arc<Together>>,
        values: Box<[Owned]>,
        rows: Option<u64>,
    },
    /// What several would do, by columns of values.
    Many {
        statement: Statement,
        columns: Vec<Vec<Owned>>,
        rows: Option<u64>,
    },
}

/// A statement of the rules as the server knows it, and its form for many rows.
#[derive(Clone)]
struct Ready {
    statement: Statement,
    together: Option<Arc<Together>>,
}

/// A statement with its values.
type Read<'a> = (&'a Statement, Vec<&'a (dyn ToSql + Sync)>);

/// Where a transaction stands, to undo what a command queued.
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    tallied: usize,
    queued: usize,
    written: u64,
    sent: u64,
}

/// Totals, the row's number, what is added, and whether the limit counts.
type Tallied = (&'static Tally, i64, [i64; 4], bool);

pub(super) struct Connection {
    client: Client,
    /// `None` only while dropping.
    runtime: Option<Runtime>,
    /// What begins a transaction; its last row is kept as `begun`.
    begin: String,
    to_begin: Cell<bool>,
    begun: RefCell<Option<String>>,
    statements: RefCell<HashMap<Box<str>, Ready>>,
    numbered: RefCell<HashMap<Box<str>, (Ready, String)>>,
    /// Lookups for many values.
    gathered: RefCell<HashMap<&'static str, Statement>>,
    numbers: RefCell<HashMap<String, Vec<i64>>>,
    /// Answers to what commands will ask.
    ahead: RefCell<HashMap<Lookup, Vec<tokio_postgres::Row>>>,
    /// Whether conditions are taken to be met until the server says otherwise.
    hopeful: Cell<bool>,
    /// What a hopeful transaction adds to running totals, and whether within their limits.
    tallied: RefCell<Vec<Tallied>>,
    queue: RefCell<Vec<Queued>>,
    /// Statements that have written or will.
    written: Cell<u64>,
    /// Times that the queue was sent.
    sent: Cell<u64>,
    trouble: RefCell<Option<Trouble>>,
}

impl Drop for Connection {
    fn drop(&mut self) {
        // Whoever drops it may be a task of another run-time, which must not wait.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Connection {
    /// Connects, and prepares each session with `set_up`. Transactions begin with `begin`.
    pub(super) fn open(url: &StoreUrl, set_up: &str, begin: &str) -> Result<Connection, StoreError> {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| StoreError::file("a run-time", error))?;
        let client = runtime.block_on(async {
            let (client, connection) = super::url::connect(url).await?;
            tokio::spawn(connection);
            client.batch_execute(set_up).await.map_err(StoreError::away)?;
            Ok::<_, StoreError>(client)
        })?;
        Ok(Connection {
            client,
            runtime: Some(runtime),
            begin: begin.to_owned(),
            to_begin: Cell::new(false),
            begun: RefCell::default(),
            statements: RefCell::default(),
            numbered: RefCell::default(),
            gathered: RefCell::default(),
            numbers: RefCell::default(),
            ahead: RefCell::default(),
            hopeful: Cell::new(false),
            tallied: RefCell::default(),
            queue: RefCell::default(),
            written: Cell::new(0),
            sent: Cell::new(0),
            trouble: RefCell::default(),
        })
    }

    fn runtime(&self) -> &Runtime {
        self.runtime.as_ref().expect("it is taken only by drop")
    }

    pub(super) fn is_closed(&self) -> bool {
        self.client.is_closed()
    }

    /// A new transaction; nothing is sent yet. A hopeful one takes the conditions of [`Sql::try_one`] to be met
    /// and fails at its end where they were not.
    pub(super) fn begin(&self, hopeful: bool) {
        self.ahead.borrow_mut().clear();
        self.tallied.borrow_mut().clear();
        self.hopeful.set(hopeful);
        self.queue.borrow_mut().clear();
        *self.trouble.borrow_mut() = None;
        *self.begun.borrow_mut() = None;
        self.to_begin.set(true);
    }

    /// What the transaction's beginning told; `None` until something was sent.
    pub(super) fn begun(&self) -> Option<String> {
        self.begun.borrow().clone()
    }

    /// Runs statements as they stand, outside any queue.
    pub(super) fn plain(&self, text: &str) -> Result<(), StoreError> {
        self.keep(self.runtime().block_on(self.client.batch_execute(text)))
    }

    /// Queues a statement without values.
    pub(super) fn queue_plain(&self, text: &'static str) {
        self.queue.borrow_mut().push(Queued::Plain(text));
    }

    /// The first trouble of the transaction.
    pub(super) fn trouble(&self) -> Option<Trouble> {
        self.trouble.borrow().clone()
    }

    pub(super) fn forget_trouble(&self) {
        *self.trouble.borrow_mut() = None;
    }

    pub(super) fn mark(&self) -> Mark {
        Mark {
            tallied: self.tallied.borrow().len(),
            queued: self.queue.borrow().len(),
            written: self.written.get(),
            sent: self.sent.get(),
        }
    }

    /// Takes back what was queued since; false if some of it was sent already.
    pub(super) fn undo(&self, mark: Mark) -> bool {
        self.tallied.borrow_mut().truncate(mark.tallied);
        if self.written.get() == mark.written {
            return true;
        }
        if self.sent.get() != mark.sent {
            return false;
        }
        self.queue.borrow_mut().truncate(mark.queued);
        true
    }

    /// Queues what was added to running totals: one statement a row, whose limit must hold for all of it.
    pub(super) fn queue_tallies(&self) -> Result<(), StoreError> {
        let mut sums: BTreeMap<(&str, i64), (&'static Tally, [i64; 4], bool)> = BTreeMap::new();
        for (tally, row, change, within) in self.tallied.take() {
            let (_, sum, limited) = sums.entry((tally.plain, row)).or_insert((tally, [0; 4], false));
            for (sum, change) in sum.iter_mut().zip(change) {
                *sum += change;
            }
            *limited |= within;
        }
        for ((_, row), (tally, [one, two, three, four], within)) in sums {
            let statement = if within { tally.within } else { tally.plain };
            self.put(statement, params![row, one, two, three, four], Some(1))?;
        }
        Ok(())
    }

    /// Sends what is queued and waits for all of it.
    pub(super) fn flush(&self) -> Result<(), StoreError> {
        if self.queue.borrow().is_empty() {
            return Ok(());
        }
        self.send(&[]).map(drop)
    }

    /// Sends the beginning of the transaction if it is due, the queue, and statements, in one go; for each of
    /// those its rows, or the number of rows that it changed.
    fn send(&self, last: &[Read<'_>]) -> Result<Vec<Answer>, StoreError> {
        let queue = std::mem::take(&mut *self.queue.borrow_mut());
        let queue = together::gather(queue, |text| self.prepare(text))?;
        if !queue.is_empty() {
            self.sent.set(self.sent.get() + 1);
        }
        let begin = self.to_begin.replace(false);
        let answers = self.runtime().block_on(self.pipeline(begin, &queue, last));
        let (begun, answers) = self.keep(answers)?;
        if begin {
            *self.begun.borrow_mut() = begun;
        }
        answers.ok_or_else(|| {
            // What was looked up before has changed since, or a condition is not met.
            let error = StoreError::database("a row is not as it was taken to be");
            self.trouble.borrow_mut().get_or_insert(Trouble::Again(error.clone()));
            error
        })
    }

    /// [`Connection::send`] with one statement.
    fn send_one(&self, statement: &Statement, values: &[Value<'_>]) -> Result<Answer, StoreError> {
        let values = values.iter().map(|value| -> &(dyn ToSql + Sync) { value }).collect();
        let mut answers = self.send(&[(statement, values)])?;
        Ok(answers.pop().expect("each statement has an answer"))
    }

    async fn pipeline(
        &self,
        begin: bool,
        queue: &[Queued],
        last: &[Read<'_>],
    ) -> Result<(Option<String>, Option<Vec<Answer>>), tokio_postgres::Error> {
        let client = &self.client;
        let mut begun = begin.then(|| Box::pin(maybe_done(client.simple_query(&self.begin))));
        let mut queued: Vec<_> = queue
            .iter()
            .map(|queued| {
                Box::pin(maybe_done(async move {
                    match queued {
                        Queued::Plain(text) => client.batch_execute(text).await.map(|()| true),
                        Queued::Prepared { statement, values, rows, .. } => {
                            let changed = client.execute_raw(statement, values.iter()).await?;
                            Ok(rows.is_none_or(|rows| rows == changed))
                        }
                        Queued::Many { statement, columns, rows } => {
                            let changed = client.execute_raw(statement, columns.iter()).await?;
                            Ok(rows.is_none_or(|rows| rows == changed))
                        }
                    }
                }))
            })
            .collect();
        let mut reads = Vec::with_capacity(last.len());
        for (statement, values) in last {
            reads.push(Box::pin(maybe_done(async move {
                let mut stream = Box::pin(client.query_raw(*statement, values.iter().copied()).await?);
                let rows: Vec<tokio_postgres::Row> = stream.as_mut().try_collect().await?;
                Ok::<Answer, tokio_postgres::Error>((rows, stream.rows_affected().unwrap_or(0)))
            })));
        }
        // Each is sent when it is first asked how it does: so in this order, and none waits for another.
        poll_fn(|context| {
            let _ = begun.as_mut().map(|future| future.as_mut().poll(context));
            for future in &mut queued {
                let _ = future.as_mut().poll(context);
            }
            for future in &mut reads {
                let _ = future.as_mut().poll(context);
            }
            Poll::Ready(())
        })
        .await;
        let mut told = None;
        if let Some(future) = &mut begun {
            for message in outcome(future).await? {
                if let SimpleQueryMessage::Row(row) = message {
                    told = row.get(0).map(str::to_owned);
                }
            }
        }
        let mut as_said = true;
        for future in &mut queued {
            as_said &= outcome(future).await?;
        }
        let mut answers = Vec::with_capacity(last.len());
        for future in &mut reads {
            answers.push(outcome(future).await?);
        }
        Ok((told, as_said.then_some(answers)))
    }

    fn prepared(&self, text: &str) -> Result<Ready, StoreError> {
        if let Some(found) = self.statements.borrow().get(text) {
            return Ok(found.clone());
        }
        let ready = self.ready(&dialect::postgres(text))?;
        if self.statements.borrow().len() >= STATEMENTS_KEPT_MAX {
            // Questions about usage have as many texts as there are groupings.
            self.statements.borrow_mut().clear();
        }
        self.statements.borrow_mut().insert(text.into(), ready.clone());
        Ok(ready)
    }

    fn ready(&self, text: &str) -> Result<Ready, StoreError> {
        let statement = self.prepare(text)?;
        let together = Together::of(text, statement.params());
        Ok(Ready { statement, together })
    }

    /// Preparing needs no transaction, so what is queued may go on waiting.
    fn prepare(&self, text: &str) -> Result<Statement, StoreError> {
        let prepared = self.runtime().block_on(self.client.prepare(text));
        self.keep(prepared)
    }

    /// The next number of a sequence.
    fn number(&self, sequence: &str) -> Result<i64, StoreError> {
        if let Some(number) = self.numbers.borrow_mut().get_mut(sequence).and_then(Vec::pop) {
            return Ok(number);
        }
        let text = format!("SELECT nextval('{sequence}') FROM generate_series(1, {NUMBERS})");
        let mut fresh: Vec<i64> = <dyn Sql>::query_all(self, &text, &[], |row| row.get(0))?;
        fresh.reverse();
        let number = fresh.pop().ok_or_else(|| StoreError::database("a sequence gave no number"))?;
        self.numbers.borrow_mut().insert(sequence.to_owned(), fresh);
        Ok(number)
    }

    /// Remembers what kind of trouble it is.
    fn keep<T>(&self, outcome: Result<T, tokio_postgres::Error>) -> Result<T, StoreError> {
        outcome.map_err(|error| {
            let trouble = trouble(error);
            self.trouble.borrow_mut().get_or_insert(trouble.clone());
            trouble.into_error()
        })
    }
}

/// Has the server prepare statements of the rules; those that it refuses, with its reasons.
#[cfg(test)]
pub(crate) fn refused(url: &StoreUrl, statements: &[String]) -> Vec<String> {
    let connection = Connection::open(url, "SET gallerist.replica = '1'", "").unwrap();
    let both = |text: &String| {
        let ready = connection.prepared(text)?;
        ready.together.map_or(Ok(()), |together| connection.prepare(together.text()).map(drop))
    };
    let prepare = |text: &String| both(text).err().map(|error| format!("{text}: {error:?}"));
    statements.iter().filter_map(prepare).collect()
}

/// Rows, and how many were changed.
type Answer = (Vec<tokio_postgres::Row>, u64);

async fn outcome<F: Future>(future: &mut Pin<Box<futures_util::future::MaybeDone<F>>>) -> F::Output {
    future.as_mut().await;
    future.as_mut().take_output().expect("it is taken once")
}

impl Sql for Connection {
    fn dialect(&self) -> Dialect {
        Dialect::Postgres
    }

    fn execute(&self, statement: &str, values: &[Value<'_>]) -> Result<u64, StoreError> {
        let prepared = self.prepared(statement)?.statement;
        let (_, changed) = self.send_one(&prepared, values)?;
        if changed > 0 {
            self.written.set(self.written.get() + 1);
            self.sent.set(self.sent.get() + 1);
        }
        Ok(changed)
    }

    fn put(&self, statement: &str, values: &[Value<'_>], rows: Option<u64>) -> Result<(), StoreError> {
        let Ready { statement, together } = self.prepared(statement)?;
        let values = values.iter().map(|value| Owned::from(*value)).collect();
        self.queue.borrow_mut().push(Queued::Prepared { statement, together, values, rows });
        self.written.set(self.written.get() + 1);
        Ok(())
    }

    fn try_one(&self, statement: &str, values: &[Value<'_>]) -> Result<bool, StoreError> {
        if self.hopeful.get() {
            return self.put(statement, values, Some(1)).map(|()| true);
        }
        Ok(self.execute(statement, values)? == 1)
    }

    fn is_hopeful(&self) -> bool {
        self.hopeful.get()
    }

    fn tally(
        &self,
        tally: &'static Tally,
        row: i64,
        change: [i64; 4],
        within: bool,
    ) -> Result<bool, StoreError> {
        if self.hopeful.get() {
            self.tallied.borrow_mut().push((tally, row, change, within));
            return Ok(true);
        }
        let [one, two, three, four] = change;
        let values = params![row, one, two, three, four];
        if within {
            return Ok(self.execute(tally.within, values)? == 1);
        }
        self.put(tally.plain, values, Some(1)).map(|()| true)
    }

    fn insert(&self, statement: &str, values: &[Value<'_>]) -> Result<i64, StoreError> {
        let found = self.numbered.borrow().get(statement).cloned();
        let (Ready { statement, together }, sequence) = match found {
            Some(found) => found,
            None => {
                let (text, sequence) = dialect::numbered(statement, values.len());
                let found = (self.ready(&text)?, sequence);
                self.numbered.borrow_mut().insert(statement.into(), found.clone());
                found
            }
        };
        let number = self.number(&sequence)?;
        let values = values.iter().map(|value| Owned::from(*value)).chain([Owned::Integer(number)]).collect();
        self.queue.borrow_mut().push(Queued::Prepared { statement, together, values, rows: Some(1) });
        self.written.set(self.written.get() + 1);
        Ok(number)
    }

    fn forget_lookups(&self) {
        self.ahead.borrow_mut().clear();
    }

    fn query(&self, statement: &str, values: &[Value<'_>], each: &mut Each<'_>) -> Result<(), StoreError> {
        let rows = match self.known(statement, values) {
            Some(rows) => rows,
            None => {
                let prepared = self.prepared(statement)?.statement;
                self.send_one(&prepared, values)?.0
            }
        };
        for row in &rows {
            if each(&Row::new(row))? == ControlFlow::Break(()) {
                break;
            }
        }
        Ok(())
    }
}
