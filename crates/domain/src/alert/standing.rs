//! How a limit stands, as alerts tell it: amounts in fields that name their unit.

use crate::budget::BudgetUnit;
use crate::id::BudgetId;
use crate::money::Ticks;
use jiff::Timestamp;
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

/// A counter of a budget or the cap of a project, as an alert tells it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetStanding {
    /// Absent: the project's own cap.
    pub budget: Option<BudgetId>,
    pub name: String,
    /// The budget in words.
    pub words: String,
    /// Which of its counters; empty where it has one.
    pub subject: String,
    pub unit: BudgetUnit,
    /// Ticks or images, as are the next ones.
    pub limit: i64,
    pub settled: i64,
    pub held: i64,
    pub disputed: i64,
    /// The part of what is settled that rests on prices below official, or read long before; of images nothing.
    pub doubtful: i64,
    pub window_start: Option<Timestamp>,
    pub window_end: Option<Timestamp>,
}

impl BudgetStanding {
    fn entries<M: SerializeMap>(&self, map: &mut M) -> Result<(), M::Error> {
        map.serialize_entry("budget", &self.budget)?;
        map.serialize_entry("name", &self.name)?;
        map.serialize_entry("words", &self.words)?;
        map.serialize_entry("subject", &self.subject)?;
        amount(map, self.unit, ("limit_usd", "limit_images"), self.limit)?;
        amount(map, self.unit, ("settled_usd", "settled_images"), self.settled)?;
        amount(map, self.unit, ("held_usd", "held_images"), self.held)?;
        amount(map, self.unit, ("disputed_usd", "disputed_images"), self.disputed)?;
        if self.unit == BudgetUnit::Usd {
            map.serialize_entry("doubtful_usd", &Ticks::new(self.doubtful))?;
        }
        map.serialize_entry("window_start", &self.window_start)?;
        map.serialize_entry("window_end", &self.window_end)
    }
}

/// Amounts stand in fields that name their unit: `limit_usd` as a decimal string, `limit_images` as a number.
impl Serialize for BudgetStanding {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        self.entries(&mut map)?;
        map.end()
    }
}

/// What a limit has refused first, and how it stood.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BudgetRefusal {
    /// The most that the refused calls could have taken; ticks or images, as the standing has them.
    pub asked: i64,
    pub standing: BudgetStanding,
}

/// As a [`BudgetStanding`], with `asked_usd` or `asked_images`.
impl Serialize for BudgetRefusal {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        amount(&mut map, self.standing.unit, ("asked_usd", "asked_images"), self.asked)?;
        self.standing.entries(&mut map)?;
        map.end()
    }
}

fn amount<M: SerializeMap>(
    map: &mut M,
    unit: BudgetUnit,
    (usd, images): (&'static str, &'static str),
    amount: i64,
) -> Result<(), M::Error> {
    match unit {
        BudgetUnit::Usd => map.serialize_entry(usd, &Ticks::new(amount)),
        BudgetUnit::Images => map.serialize_entry(images, &amount),
    }
}
