//! The day on which a model ends, as its provider's own list tells it.
//!
//! A day ahead is believed at once: it warns and changes no price. One that is over already would take the model
//! away at this moment, and a list that is garbled would take all of them; so it waits for a person.

use super::Decision;
use jiff::Timestamp;
use jiff::civil::Date;
use serde::{Deserialize, Serialize};

/// What a feed told of a model's end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndWatch {
    /// The day that is believed; absent where the catalogue's own counts.
    pub on: Option<Date>,
    pub polled: Option<Timestamp>,
    pub held: Option<HeldEnd>,
    /// The feed that told it last.
    pub feed: String,
}

/// A day that is not believed yet.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldEnd {
    pub on: Option<Date>,
    pub polled: Timestamp,
    pub why: String,
    /// Since when a day of this model is held; absent in books of earlier versions.
    #[serde(default)]
    pub since: Option<Timestamp>,
}

/// What became of a day, as a price's [`Decision`] without one.
pub(super) enum EndDecision {
    Same,
    Accepted,
    Held(String),
}

impl EndDecision {
    pub(super) fn words(self) -> (&'static str, Option<String>) {
        match self {
            EndDecision::Same => Decision::Same.words(),
            EndDecision::Accepted => ("accepted", None),
            EndDecision::Held(why) => ("held", Some(why)),
        }
    }
}

impl EndWatch {
    /// Decides about the day that a poll brought at `now`; `base` is the catalogue's. No day is no news about
    /// what the catalogue knows, and takes back what the feed itself had told.
    pub(super) fn observe(&mut self, base: Option<Date>, told: Option<Date>, now: Timestamp) -> EndDecision {
        self.polled = Some(now);
        let known = self.on.or(base);
        if told == known || (told.is_none() && self.on.is_none()) {
            self.held = None;
            return EndDecision::Same;
        }
        let today = now.to_zoned(jiff::tz::TimeZone::UTC).date();
        if told.is_some_and(|day| day <= today) && known.is_none_or(|known| known > today) {
            let why = "it would end the model at once".to_owned();
            let since = self.held.as_ref().and_then(|held| held.since).or(Some(now));
            self.held = Some(HeldEnd { on: told, polled: now, why: why.clone(), since });
            return EndDecision::Held(why);
        }
        (self.on, self.held) = (told, None);
        EndDecision::Accepted
    }

    /// A person believes what is held; whether anything was.
    pub(super) fn confirm(&mut self) -> bool {
        let Some(held) = self.held.take() else { return false };
        self.on = held.on;
        true
    }
}
