//! Counters of budgets: held with a reservation, moved with the end of an attempt, in the same transaction.
//!
//! A counter is one window of one subject of a budget. Spending counts in the window in which it was reserved,
//! whenever it is settled. All counters of a reservation are looked at before anything is written, so that a
//! refusal leaves nothing behind; they are taken in the order of their numbers.

use gallerist_domain::budget::Window;
use gallerist_domain::{
    AlertFact, AttemptId, Budget, BudgetStanding, BudgetUnit, NewAlert, Payer, Spending, Ticks,
};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use super::NewAttempt;
use crate::StoreError;
use crate::alerts;
use crate::budgets;
use crate::error::Breach;
use crate::sql::{Lookups, Row, Sql, Tally, params};
use crate::words::{micros, statements};
use crate::writer::Writing;

statements! {
    COUNTER_FIND = "SELECT number FROM budget_counters WHERE budget = ?1 AND subject = ?2 AND window_start = ?3";
    COUNTER_OPEN = "INSERT INTO budget_counters (budget, subject, window_start, window_end)
        VALUES (?1, ?2, ?3, ?4) ON CONFLICT (budget, subject, window_start) DO NOTHING";
    COUNTER_READ = "SELECT c.settled, c.held, c.disputed, c.doubtful, b.limit_amount FROM budget_counters c
        JOIN budgets b ON b.number = c.budget WHERE c.number = ?1";
    // The limit is asked again where it is held, since another replica may have been faster.
    COUNTER_HOLD = "UPDATE budget_counters
        SET settled = settled + ?2, held = held + ?3, disputed = disputed + ?4, doubtful = doubtful + ?5
        WHERE number = ?1 AND settled + held + disputed + ?2 + ?3 + ?4 <= (SELECT b.limit_amount
            FROM budgets b WHERE b.number = budget_counters.budget)";
    COUNTER_MOVE = "UPDATE budget_counters
        SET settled = settled + ?2, held = held + ?3, disputed = disputed + ?4, doubtful = doubtful + ?5
        WHERE number = ?1";
    COUNTER = "SELECT budget, subject, window_start, window_end, settled, held, disputed, alerted_percent,
        doubtful FROM budget_counters WHERE number = ?1";
    COUNTER_ALERTED = "UPDATE budget_counters SET alerted_percent = ?2 WHERE number = ?1";
    SHARE_INSERT = "INSERT INTO attempt_counters (attempt, counter, held) VALUES (?1, ?2, ?3)
        /* TOGETHER LAST */";
    SHARES = "SELECT s.counter, s.held, c.budget FROM attempts a
        JOIN attempt_counters s ON s.attempt = a.row
        JOIN budget_counters c ON c.number = s.counter WHERE a.id = ?1 ORDER BY s.counter";
    SHARE_SETTLE = "UPDATE attempt_counters SET settled = ?3 WHERE attempt = ?1 AND counter = ?2
        /* TOGETHER LAST */";
}

static COUNTER_SUMS: Tally = Tally { read: COUNTER_READ, within: COUNTER_HOLD, plain: COUNTER_MOVE };

/// A budget as the writer remembers it.
pub(crate) struct LiveBudget {
    pub(crate) number: i64,
    pub(crate) budget: Budget,
    pub(crate) zone: TimeZone,
    /// It counts nothing new.
    pub(crate) removed: bool,
}

/// Names a counter: the budget's number, the subject, the start of the window in microseconds.
type CounterKey = (i64, String, i64);

/// The budgets and counters that were looked up before.
#[derive(Default)]
pub(crate) struct Counters {
    budgets: Option<Arc<[LiveBudget]>>,
    numbers: HashMap<CounterKey, i64>,
}

/// Counters remembered at most; then the map begins anew.
const NUMBERS_MAX: usize = 65_536;

impl Counters {
    /// All budgets, the removed ones too, by number.
    pub(super) fn budgets(&mut self, connection: &dyn Sql) -> Result<Arc<[LiveBudget]>, StoreError> {
        if let Some(known) = &self.budgets {
            return Ok(Arc::clone(known));
        }
        let fresh: Arc<[LiveBudget]> = budgets::load(connection)?.into();
        self.budgets = Some(Arc::clone(&fresh));
        Ok(fresh)
    }

    /// Reads the budgets again when they are next needed.
    pub(crate) fn forget_budgets(&mut self) {
        self.budgets = None;
    }

    /// The counter's number, if there is one.
    fn find(
        &mut self,
        connection: &dyn Sql,
        budget: i64,
        subject: &str,
        start: i64,
    ) -> Result<Option<i64>, StoreError> {
        let key = (budget, subject.to_owned(), start);
        if let Some(number) = self.numbers.get(&key) {
            return Ok(Some(*number));
        }
        let found: Option<i64> =
            connection.query_opt(COUNTER_FIND, params![budget, subject, start], |row| row.get(0))?;
        if let Some(number) = found {
            self.remember(key, number);
        }
        Ok(found)
    }

    fn remember(&mut self, key: CounterKey, number: i64) {
        if self.numbers.len() >= NUMBERS_MAX {
            self.numbers.clear();
        }
        self.numbers.insert(key, number);
    }
}

/// What a reservation will hold: by counter the sum, by attempt the shares.
#[derive(Default)]
pub(super) struct Holding {
    wanted: BTreeMap<CounterKey, Wanted>,
    /// By place of the attempt.
    shares: Vec<Vec<(CounterKey, i64)>>,
}

struct Wanted {
    asked: i64,
    window: Window,
    number: Option<i64>,
}

impl Holding {
    /// Counters that an attempt counts in.
    pub(super) fn counters_of(&self, place: usize) -> usize {
        self.shares.get(place).map_or(0, Vec::len)
    }

    /// What the attempt at this place holds, once it is held.
    pub(super) fn shares_of(&self, place: usize) -> impl Iterator<Item = Share> {
        self.shares.get(place).into_iter().flatten().map(|(key, held)| {
            let counter = self.wanted[key].number.expect("it is held");
            Share { counter, held: *held, budget: key.0 }
        })
    }
}

/// What an attempt holds in a counter.
#[derive(Clone, Copy, Debug)]
pub(super) struct Share {
    counter: i64,
    held: i64,
    /// The budget's number.
    budget: i64,
}

/// An amount in the unit of a budget.
pub(crate) const fn amount_in(unit: BudgetUnit, money: Ticks, images: u32) -> i64 {
    match unit {
        BudgetUnit::Usd => money.get(),
        // Lossless; `From` is not const.
        BudgetUnit::Images => images as i64,
    }
}

/// Checks every budget that speaks of these attempts, and says what is to be held. Writes nothing.
pub(super) fn check(
    writing: &mut Writing<'_>,
    payer: &Payer,
    attempts: &[NewAttempt],
    now: Timestamp,
) -> Result<Holding, StoreError> {
    let connection = writing.connection;
    let counters = &mut writing.names.counters;
    let live = counters.budgets(connection)?;
    let mut holding = Holding::default();
    if live.iter().all(|budget| budget.removed) {
        return Ok(holding);
    }
    for attempt in attempts {
        let spending = Spending { payer, provider: &attempt.offer.provider, model: &attempt.offer.model };
        let mut shares = Vec::new();
        for LiveBudget { number, budget, zone, removed } in live.iter() {
            let subject = if *removed { None } else { budget.scope.subject(&spending) };
            let Some(subject) = subject else { continue };
            let asked = amount_in(budget.unit, attempt.maximum, attempt.images);
            let window = budget.window.around(now, zone);
            let key = (*number, subject, micros(window.start));
            let wanted =
                holding.wanted.entry(key.clone()).or_insert(Wanted { asked: 0, window, number: None });
            wanted.asked += asked;
            shares.push((key, asked));
        }
        holding.shares.push(shares);
    }
    for ((number, subject, start), wanted) in &mut holding.wanted {
        let budget = &live.iter().find(|live| live.number == *number).expect("it was just read").budget;
        wanted.number = counters.find(connection, *number, subject, *start)?;
        // Where the end of the transaction says whether everything fitted, nobody looks before.
        if budget.mode.refuses() && !connection.is_hopeful() {
            fits(connection, budget, subject, wanted)?;
        }
    }
    Ok(holding)
}

fn fits(connection: &dyn Sql, budget: &Budget, subject: &str, wanted: &Wanted) -> Result<(), StoreError> {
    let [settled, held, disputed, _] = totals(connection, wanted)?;
    let sum = [settled, held, disputed, wanted.asked].iter().try_fold(0i64, |sum, x| sum.checked_add(*x));
    if sum.is_some_and(|sum| sum <= budget.limit) {
        return Ok(());
    }
    Err(breach(connection, budget, subject, wanted)?)
}

/// Settled, held, disputed, and what is doubtful of the first.
fn totals(connection: &dyn Sql, wanted: &Wanted) -> Result<[i64; 4], StoreError> {
    wanted.number.map_or(Ok([0; 4]), |number| connection.totals(&COUNTER_SUMS, number))
}

/// The refusal of what would pass the limit.
fn breach(
    connection: &dyn Sql,
    budget: &Budget,
    subject: &str,
    wanted: &Wanted,
) -> Result<StoreError, StoreError> {
    let [settled, held, disputed, doubtful] = totals(connection, wanted)?;
    Ok(StoreError::BudgetExceeded(Box::new(Breach {
        budget: Some(budget.id),
        name: budget.name.clone(),
        reach: budget.reach_words(),
        subject: subject.to_owned(),
        unit: budget.unit,
        limit: budget.limit,
        settled,
        held,
        disputed,
        doubtful,
        asked: wanted.asked,
        project: budget.scope.project_of(subject),
        window_start: Some(wanted.window.start).filter(|start| *start > Timestamp::MIN),
        resets_at: wanted.window.end,
        about_offers: budget.scope.is_about_offers(),
        named_by_clients: budget.scope.is_named_by_clients(),
    })))
}

/// Holds what [`check`] has found to fit.
pub(super) fn hold(writing: &mut Writing<'_>, holding: &mut Holding) -> Result<(), StoreError> {
    let connection = writing.connection;
    let counters = &mut writing.names.counters;
    let live = counters.budgets(connection)?;
    for ((budget, subject, start), wanted) in &mut holding.wanted {
        let number = match wanted.number {
            Some(number) => number,
            None => {
                let end = wanted.window.end.map(micros);
                connection.change(COUNTER_OPEN, params![budget, subject, start, end])?;
                let opened = counters.find(connection, *budget, subject, *start)?;
                opened.ok_or_else(|| StoreError::database("a counter is missing"))?
            }
        };
        wanted.number = Some(number);
        let budget = &find(&live, *budget).budget;
        if !connection.tally(&COUNTER_SUMS, number, [0, wanted.asked, 0, 0], budget.mode.refuses())? {
            return Err(breach(connection, budget, subject, wanted)?);
        }
    }
    Ok(())
}

/// Writes the shares of the attempt at this place.
pub(super) fn write_shares(
    writing: &Writing<'_>,
    holding: &Holding,
    place: usize,
    attempt_row: i64,
) -> Result<(), StoreError> {
    for Share { counter, held, .. } in holding.shares_of(place) {
        writing.connection.change_one(SHARE_INSERT, params![attempt_row, counter, held])?;
    }
    Ok(())
}

/// Where a share of a counter comes from or goes to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Held,
    Disputed,
    /// So much money was charged for so many delivered pictures, and so much of it rests on doubtful prices.
    Settled(Ticks, u32, Ticks),
    Released,
}

/// What the end of an attempt looks up here, if this writer has met counters at all.
pub(super) fn look_ahead(attempt: AttemptId, counters: &Counters, lookups: &mut Lookups) {
    if !counters.numbers.is_empty() {
        lookups.want(SHARES, params![attempt.uuid().as_bytes()]);
    }
}

/// The attempt whose shares move.
#[derive(Clone, Copy)]
pub(crate) struct Moving {
    pub(super) attempt: AttemptId,
    pub(super) row: i64,
    pub(super) at: Timestamp,
    /// Whether its charge is above its maximum.
    pub(super) overrun: bool,
}

/// What the attempt holds in counters, by their numbers.
pub(super) fn find_shares(connection: &dyn Sql, attempt: AttemptId) -> Result<Vec<Share>, StoreError> {
    connection.query_all(SHARES, params![attempt.uuid().as_bytes()], |row| {
        Ok(Share { counter: row.get(0)?, held: row.get(1)?, budget: row.get(2)? })
    })
}

/// Moves the shares of an attempt. [`tell_standings`] raises the alerts that follow.
pub(super) fn move_shares(
    writing: &mut Writing<'_>,
    moving: &Moving,
    shares: &[Share],
    (from, to): (Place, Place),
) -> Result<(), StoreError> {
    let connection = writing.connection;
    let live = writing.names.counters.budgets(connection)?;
    for &Share { counter, held: share, budget } in shares {
        let unit = find(&live, budget).budget.unit;
        let (settled, doubtful) = match to {
            Place::Settled(charge, images, doubtful) => {
                (amount_in(unit, charge, images), amount_in(unit, doubtful, 0))
            }
            _ => (0, 0),
        };
        let part = |place: Place| i64::from(to == place) * share - i64::from(from == place) * share;
        let (held, disputed) = (part(Place::Held), part(Place::Disputed));
        connection.tally(&COUNTER_SUMS, counter, [settled, held, disputed, doubtful], false)?;
        if settled != 0 {
            connection.change_one(SHARE_SETTLE, params![moving.row, counter, settled])?;
        }
        writing.moved.push((counter, *moving));
    }
    Ok(())
}

/// Raises the alerts that follow from what the commands of a transaction have moved, by what each counter then
/// holds; at the end, so that each is read once.
pub(crate) fn tell_standings(writing: &mut Writing<'_>) -> Result<(), StoreError> {
    let mut moved = std::mem::take(&mut writing.moved);
    if moved.is_empty() {
        return Ok(());
    }
    // Overruns are told one by one, thresholds by whoever moved the counter last.
    moved.sort_by_key(|(counter, moving)| (*counter, !moving.overrun));
    let live = writing.names.counters.budgets(writing.connection)?;
    for of_one in moved.chunk_by(|one, two| one.0 == two.0) {
        let counter = of_one[0].0;
        let standing = writing.connection.query_row(COUNTER, params![counter], Standing::read)?;
        let overruns = of_one.iter().filter(|(_, moving)| moving.overrun);
        for (_, moving) in overruns {
            standing.tell_overrun(writing, &live, counter, moving)?;
        }
        if let Some((_, moving)) = of_one.last() {
            standing.tell_threshold(writing, &live, counter, moving.at)?;
        }
    }
    Ok(())
}

/// Raises the alerts that follow from what these counters hold already.
pub(crate) fn tell_reached(
    writing: &mut Writing<'_>,
    counters: &[i64],
    now: Timestamp,
) -> Result<(), StoreError> {
    let live = writing.names.counters.budgets(writing.connection)?;
    for counter in counters {
        let standing = writing.connection.query_row(COUNTER, params![counter], Standing::read)?;
        standing.tell_threshold(writing, &live, *counter, now)?;
    }
    Ok(())
}

fn find(live: &[LiveBudget], number: i64) -> &LiveBudget {
    live.iter().find(|live| live.number == number).expect("budgets are removed by a mark only")
}

/// A counter after a change.
struct Standing {
    budget: i64,
    subject: String,
    window_start: i64,
    window_end: Option<i64>,
    settled: i64,
    held: i64,
    disputed: i64,
    alerted_percent: u16,
    /// Of what is settled.
    doubtful: i64,
}

impl Standing {
    fn read(row: &Row<'_>) -> Result<Standing, StoreError> {
        Ok(Standing {
            budget: row.get(0)?,
            subject: row.get(1)?,
            window_start: row.get(2)?,
            window_end: row.get(3)?,
            settled: row.get(4)?,
            held: row.get(5)?,
            disputed: row.get(6)?,
            alerted_percent: row.get(7)?,
            doubtful: row.get(8)?,
        })
    }

    /// Raises an alert for the highest threshold that was newly reached.
    fn tell_threshold(
        &self,
        writing: &mut Writing<'_>,
        live: &[LiveBudget],
        counter: i64,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let LiveBudget { budget, removed, .. } = find(live, self.budget);
        let spent = i128::from(self.settled) + i128::from(self.disputed);
        let reached = |percent: &&u16| {
            **percent > self.alerted_percent
                && spent * 100 >= i128::from(budget.limit) * i128::from(**percent)
        };
        let newly = budget.thresholds_percent.iter().rev().find(reached).filter(|_| spent > 0 && !removed);
        let Some(percent) = newly else { return Ok(()) };
        writing.connection.change_one(COUNTER_ALERTED, params![counter, *percent])?;
        let fact = AlertFact::BudgetThreshold { threshold_percent: *percent, standing: self.words(budget) };
        // Of another limit it is other news.
        let once = format!("budget:{}:{counter}:{percent}:{}", budget.id, budget.limit);
        self.raise(writing, budget, once, at, fact)
    }

    /// Raises an alert for an overrun that passes the limit.
    fn tell_overrun(
        &self,
        writing: &mut Writing<'_>,
        live: &[LiveBudget],
        counter: i64,
        moving: &Moving,
    ) -> Result<(), StoreError> {
        let LiveBudget { budget, removed, .. } = find(live, self.budget);
        let used = [self.settled, self.held, self.disputed].map(i128::from).iter().sum::<i128>();
        if *removed || !budget.mode.refuses() || used <= i128::from(budget.limit) {
            return Ok(());
        }
        let fact = AlertFact::BudgetOverrun { attempt: moving.attempt, standing: self.words(budget) };
        let once = format!("budget:{}:{counter}:overrun:{}", budget.id, moving.attempt);
        self.raise(writing, budget, once, moving.at, fact)
    }

    fn raise(
        &self,
        writing: &mut Writing<'_>,
        budget: &Budget,
        once: String,
        at: Timestamp,
        fact: AlertFact,
    ) -> Result<(), StoreError> {
        let project = budget.scope.project_of(&self.subject);
        alerts::insert(writing, &NewAlert { once, at, project, fact })
    }

    fn words(&self, budget: &Budget) -> BudgetStanding {
        let instant = |at: i64| Timestamp::from_microsecond(at).ok();
        BudgetStanding {
            budget: Some(budget.id),
            name: budget.name.clone(),
            words: budget.words(),
            subject: self.subject.clone(),
            unit: budget.unit,
            limit: budget.limit,
            settled: self.settled,
            held: self.held,
            disputed: self.disputed,
            doubtful: self.doubtful,
            window_start: instant(self.window_start).filter(|at| *at > Timestamp::MIN),
            window_end: self.window_end.and_then(instant),
        }
    }
}
