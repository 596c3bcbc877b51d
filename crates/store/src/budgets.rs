//! Budgets: kept, changed, removed by a mark, and how far each is used.
//!
//! A budget with a window counts what its window has seen before it was made (`budgets/earlier.rs`); one for ever
//! counts from its making on.

pub(crate) mod earlier;

use earlier::Before;
use gallerist_domain::budget::Part;
use gallerist_domain::{Budget, BudgetId, BudgetMode, BudgetUnit, BudgetWindow, Payer, Spending, Ticks};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Value, json as json_value};
use std::sync::{Arc, PoisonError, RwLock};

use crate::audit::{self, Act, Actor};
use crate::ledger::{LiveBudget, tell_reached};
use crate::sql::{Row, Sql, params};
use crate::words::{self, micros, statements};
use crate::writer::Writing;
use crate::{Store, StoreError};

/// Counters that one answer shows of each budget.
pub const COUNTERS_SHOWN_MAX: u32 = 100;

/// Counters of one budget that are told of at once when it is made or changed.
const COUNTERS_TOLD_MAX: u32 = 100;

/// Times that a window's past is looked through beside the writer.
const LOOKS_MAX: u32 = 3;

/// A budget with its counters of the present window, the most used first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetRecord {
    pub budget: Budget,
    /// At most [`COUNTERS_SHOWN_MAX`].
    pub counters: Vec<CounterRecord>,
    /// How many there are.
    pub counters_total: u64,
}

/// A counter, in the unit of its budget.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CounterRecord {
    /// Whose it is: empty, unless the budget counts each apart.
    pub subject: String,
    pub window_start: Timestamp,
    pub window_end: Option<Timestamp>,
    pub settled: i64,
    pub held: i64,
    pub disputed: i64,
    /// The part of what is settled that rests on prices below official, or read long before; of images nothing.
    pub doubtful: i64,
}

impl CounterRecord {
    pub fn used(&self) -> i64 {
        self.settled + self.held + self.disputed
    }
}

/// What may be changed of a budget; its scope, unit and window stay, since they say what was counted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BudgetChange {
    pub name: Option<String>,
    pub limit: Option<i64>,
    pub mode: Option<BudgetMode>,
    pub thresholds_percent: Option<Vec<u16>>,
}

statements! {
    KEY_KNOWN = "SELECT 1 FROM keys WHERE id = ?1";
    BUDGETS = "SELECT number, id, name, scope_json, unit, limit_amount, every, zone, mode_json,
        thresholds_json, created_at, removed_at FROM budgets ORDER BY number";
    BUDGET_NUMBER = "SELECT number FROM budgets WHERE id = ?1";
    BUDGET_INSERT = "INSERT INTO budgets (id, name, scope_json, unit, limit_amount, every, zone, mode_json,
        thresholds_json, created_at) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)";
    BUDGET_CHANGE = "UPDATE budgets SET name = ?2, limit_amount = ?3, mode_json = ?4, thresholds_json = ?5
        WHERE id = ?1";
    BUDGET_REMOVE = "UPDATE budgets SET removed_at = coalesce(removed_at, ?2) WHERE id = ?1";
    // A raised limit may be reached again, a lowered one is reached sooner.
    COUNTERS_UNTOLD = "UPDATE budget_counters SET alerted_percent = 0
        WHERE budget = (SELECT number FROM budgets WHERE id = ?1)";
    COUNTERS = "SELECT subject, window_start, window_end, settled, held, disputed, doubtful FROM budget_counters
        WHERE budget = ?1 AND window_start = ?2 ORDER BY settled + held + disputed DESC, number LIMIT ?3";
    COUNTERS_MOST_USED = "SELECT number FROM budget_counters WHERE budget = ?1 AND window_start = ?2
        ORDER BY settled + disputed DESC, number LIMIT ?3";
    COUNTERS_COUNT = "SELECT count(*) FROM budget_counters WHERE budget = ?1 AND window_start = ?2";
    COUNTER = "SELECT subject, window_start, window_end, settled, held, disputed, doubtful FROM budget_counters
        WHERE budget = ?1 AND subject = ?2 AND window_start = ?3";
}

/// Budgets that are asked before a plan is made, in memory.
#[derive(Default)]
pub(crate) struct LiveBudgets {
    degrading: RwLock<Arc<[LiveBudget]>>,
}

impl LiveBudgets {
    pub(crate) fn load(&self, connection: &dyn Sql) -> Result<(), StoreError> {
        let degrades =
            |live: &LiveBudget| !live.removed && matches!(live.budget.mode, BudgetMode::Degrade { .. });
        let fresh: Vec<LiveBudget> = load(connection)?.into_iter().filter(degrades).collect();
        *self.degrading.write().unwrap_or_else(PoisonError::into_inner) = fresh.into();
        Ok(())
    }
}

impl Store {
    /// Makes a budget; from now on it counts, and refuses where its mode does.
    ///
    /// # Errors
    /// [`StoreError::Invalid`] names the field that is out of its range.
    pub async fn create_budget(&self, budget: Budget) -> Result<(), StoreError> {
        budget.check().map_err(|fault| StoreError::Invalid(fault.to_string()))?;
        let budget = Arc::new(budget);
        for _ in 0..LOOKS_MAX {
            let before = match budget.window {
                BudgetWindow::Forever => Before::nothing(),
                _ => {
                    let budget = Arc::clone(&budget);
                    self.read(move |connection| Before::read(connection, &budget)).await?
                }
            };
            if self.create_after(&budget, before).await? {
                return Ok(());
            }
        }
        // Something comes late all the time.
        self.create_after(&budget, Before::nothing()).await.map(drop)
    }

    /// Makes a budget unless something came late into what was looked through before; then nothing is made.
    async fn create_after(&self, budget: &Arc<Budget>, before: Before) -> Result<bool, StoreError> {
        let (actor, budget) = (self.actor.clone(), Arc::clone(budget));
        self.write(move |writing| {
            let made = create(writing, &budget, &before)?;
            if made {
                let at = budget.created_at;
                write_down(writing.connection, &actor, "budget.create", at, (None, Some(&budget)))?;
            }
            Ok(made)
        })
        .await
    }

    /// # Errors
    /// [`StoreError::UnknownBudget`], or [`StoreError::Invalid`] with the field.
    pub async fn change_budget(
        &self,
        id: BudgetId,
        change: BudgetChange,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let actor = self.actor.clone();
        self.write(move |writing| {
            let known =
                load(writing.connection)?.into_iter().find(|live| live.budget.id == id && !live.removed);
            let before = known.ok_or(StoreError::UnknownBudget(id))?.budget;
            let mut budget = before.clone();
            let BudgetChange { name, limit, mode, thresholds_percent } = change.clone();
            budget.name = name.unwrap_or(budget.name);
            budget.limit = limit.unwrap_or(budget.limit);
            budget.mode = mode.unwrap_or(budget.mode);
            budget.thresholds_percent = thresholds_percent.unwrap_or(budget.thresholds_percent);
            budget.check().map_err(|fault| StoreError::Invalid(fault.to_string()))?;
            let connection = writing.connection;
            connection.change_one(
                BUDGET_CHANGE,
                params![
                    id.uuid().as_bytes(),
                    budget.name,
                    budget.limit,
                    json(&budget.mode),
                    json(&budget.thresholds_percent)
                ],
            )?;
            connection.change(COUNTERS_UNTOLD, params![id.uuid().as_bytes()])?;
            write_down(connection, &actor, "budget.change", now, (Some(&before), Some(&budget)))?;
            writing.change_budgets();
            tell_late(writing, &budget, now)
        })
        .await
    }

    /// Ends a budget: it counts nothing new and refuses nothing. What it has counted stays.
    /// Ending it again changes nothing.
    ///
    /// # Errors
    /// [`StoreError::UnknownBudget`].
    pub async fn remove_budget(&self, id: BudgetId, now: Timestamp) -> Result<(), StoreError> {
        let actor = self.actor.clone();
        self.write(move |writing| {
            let connection = writing.connection;
            let known = load(connection)?.into_iter().find(|live| live.budget.id == id);
            let known = known.ok_or(StoreError::UnknownBudget(id))?;
            if known.removed {
                return Ok(());
            }
            connection.change_one(BUDGET_REMOVE, params![id.uuid().as_bytes(), micros(now)])?;
            write_down(connection, &actor, "budget.remove", now, (Some(&known.budget), None))?;
            writing.change_budgets();
            Ok(())
        })
        .await
    }

    /// The budgets that are not removed, oldest first, with their counters of the windows around `now`.
    pub async fn budgets(&self, now: Timestamp) -> Result<Vec<BudgetRecord>, StoreError> {
        self.read(move |connection| {
            let live = load(connection)?.into_iter().filter(|live| !live.removed);
            live.map(|live| standing(connection, live, now)).collect()
        })
        .await
    }

    /// The degrading budget whose share is used up for this payer at `now`, if there is one; of several one in
    /// dollars, which asks for more.
    pub async fn degraded(&self, payer: &Payer, now: Timestamp) -> Result<Option<Budget>, StoreError> {
        let degrading = {
            let live = &self.inner.budgets.degrading;
            Arc::clone(&live.read().unwrap_or_else(PoisonError::into_inner))
        };
        // Budgets of this mode do not speak of providers and models.
        let spending = Spending { payer, provider: "", model: "" };
        let asked: Vec<(usize, String, i64)> = degrading
            .iter()
            .enumerate()
            .filter_map(|(place, live)| {
                let subject = live.budget.scope.subject(&spending)?;
                Some((place, subject, micros(live.budget.window.around(now, &live.zone).start)))
            })
            .collect();
        if asked.is_empty() {
            return Ok(None);
        }
        self.read(move |connection| {
            let mut in_pictures = None;
            for (place, subject, start) in asked {
                let LiveBudget { number, budget, .. } = &degrading[place];
                let found = connection.query_opt(COUNTER, params![number, subject, start], counter)?;
                let used = found.map_or(0, |counter| counter.used());
                let BudgetMode::Degrade { share_percent } = budget.mode else { continue };
                if i128::from(used) * 100 < i128::from(budget.limit) * i128::from(share_percent) {
                    continue;
                }
                if budget.unit == BudgetUnit::Usd {
                    return Ok(Some(budget.clone()));
                }
                in_pictures.get_or_insert_with(|| budget.clone());
            }
            Ok(in_pictures)
        })
        .await
    }
}

fn standing(connection: &dyn Sql, live: LiveBudget, now: Timestamp) -> Result<BudgetRecord, StoreError> {
    let start = micros(live.budget.window.around(now, &live.zone).start);
    let shown = params![live.number, start, COUNTERS_SHOWN_MAX];
    let counters = connection.query_all(COUNTERS, shown, counter)?;
    let total: i64 = connection.query_row(COUNTERS_COUNT, params![live.number, start], |row| row.get(0))?;
    let counters_total = u64::try_from(total).expect("a count is not negative");
    Ok(BudgetRecord { budget: live.budget, counters, counters_total })
}

fn counter(row: &Row<'_>) -> Result<CounterRecord, StoreError> {
    Ok(CounterRecord {
        subject: row.get(0)?,
        window_start: words::timestamp(row, 1)?,
        window_end: words::timestamp_opt(row, 2)?,
        settled: row.get(3)?,
        held: row.get(4)?,
        disputed: row.get(5)?,
        doubtful: row.get(6)?,
    })
}

/// All budgets, the removed ones too, by number.
pub(crate) fn load(connection: &dyn Sql) -> Result<Vec<LiveBudget>, StoreError> {
    connection.query_all(BUDGETS, params![], |row| {
        let zone: String = row.get(7)?;
        Ok(LiveBudget {
            number: row.get(0)?,
            zone: TimeZone::get(&zone).map_err(|error| StoreError::strange(7, error))?,
            removed: row.get::<Option<i64>>(11)?.is_some(),
            budget: Budget {
                id: BudgetId::from_uuid(uuid::Uuid::from_bytes(row.get(1)?)),
                name: row.get(2)?,
                scope: words::json(row, 3)?,
                unit: words::word(row, 4, |word| match word {
                    "usd" => Some(BudgetUnit::Usd),
                    "images" => Some(BudgetUnit::Images),
                    _ => None,
                })?,
                limit: row.get(5)?,
                window: words::word(row, 6, BudgetWindow::from_word)?,
                zone,
                mode: words::json(row, 8)?,
                thresholds_percent: words::json(row, 9)?,
                created_at: words::timestamp(row, 10)?,
            },
        })
    })
}

fn json<T: serde::Serialize>(value: &T) -> String {
    serde_json::to_string(value).expect("it is plain data")
}

/// What somebody has done to a budget, for the audit log.
fn write_down(
    connection: &dyn Sql,
    actor: &Actor,
    action: &'static str,
    at: Timestamp,
    (before, after): (Option<&Budget>, Option<&Budget>),
) -> Result<(), StoreError> {
    let Some(budget) = after.or(before) else { return Ok(()) };
    let project = match &budget.scope.project {
        Part::Only(project) => Some(project.as_str()),
        Part::All | Part::Each => None,
    };
    // A change tells only what may change; the rest says what is made or ended.
    let changes = before.is_some() && after.is_some();
    let told = |budget: &Budget| if changes { changeable(budget) } else { shown(budget) };
    let (before, after) = (before.map(told), after.map(told));
    if changes && before == after {
        return Ok(());
    }
    let subject = &budget.id.to_string();
    audit::write(connection, &Act { actor, action, subject, project, before, after, at })
}

fn changeable(budget: &Budget) -> Value {
    let mut told = json_value!({
        "name": budget.name,
        "mode": budget.mode,
        "thresholds_percent": budget.thresholds_percent,
    });
    match budget.unit {
        BudgetUnit::Usd => told["limit_usd"] = json_value!(Ticks::new(budget.limit)),
        BudgetUnit::Images => told["limit_images"] = json_value!(budget.limit),
    }
    told
}

fn shown(budget: &Budget) -> Value {
    let mut told = changeable(budget);
    told["scope"] = json_value!(budget.scope);
    told["window"] = json_value!(budget.window);
    told["zone"] = json_value!(budget.zone);
    told
}

/// Raises the alerts that a budget brings with it when it is made or changed: of what its present window has seen
/// already. Of many counters the most used are told, the others when they next move.
fn tell_late(writing: &mut Writing<'_>, budget: &Budget, now: Timestamp) -> Result<(), StoreError> {
    // A limit of nothing closes; that all of it is spent is no news.
    if budget.limit == 0 {
        return Ok(());
    }
    let connection = writing.connection;
    let number: i64 =
        connection.query_row(BUDGET_NUMBER, params![budget.id.uuid().as_bytes()], |row| row.get(0))?;
    let start = micros(budget.window_around(now).start);
    let asked = params![number, start, COUNTERS_TOLD_MAX];
    let counters: Vec<i64> = connection.query_all(COUNTERS_MOST_USED, asked, |row| row.get(0))?;
    tell_reached(writing, &counters, now)
}

/// False where `before` is not what there was, and nothing is written.
fn create(writing: &mut Writing<'_>, budget: &Budget, before: &Before) -> Result<bool, StoreError> {
    let connection = writing.connection;
    if load(connection)?.iter().any(|live| live.budget.id == budget.id) {
        return Err(StoreError::Exists(format!("budget {}", budget.id)));
    }
    // A limit on a name that is nobody's would never count.
    if let Part::Only(project) = &budget.scope.project {
        let project = project.parse().map_err(StoreError::Invalid)?;
        writing.names.project(connection, &project)?;
    }
    if let Part::Only(key) = &budget.scope.key {
        let known = connection.query_opt(KEY_KNOWN, params![key], |_| Ok(()))?;
        known.ok_or_else(|| StoreError::UnknownKey(key.clone()))?;
    }
    let windowed = budget.window != BudgetWindow::Forever;
    if windowed && !earlier::is_whole(connection, budget, before)? {
        return Ok(false);
    }
    let number = connection.insert(
        BUDGET_INSERT,
        params![
            budget.id.uuid().as_bytes(),
            budget.name,
            json(&budget.scope),
            budget.unit.as_str(),
            budget.limit,
            budget.window.as_str(),
            budget.zone,
            json(&budget.mode),
            json(&budget.thresholds_percent),
            micros(budget.created_at)
        ],
    )?;
    if windowed {
        earlier::count(connection, number, budget, before)?;
        // Attempts have shares now that had none when they were looked up.
        connection.forget_lookups();
    }
    writing.change_budgets();
    tell_late(writing, budget, budget.created_at)?;
    Ok(true)
}
