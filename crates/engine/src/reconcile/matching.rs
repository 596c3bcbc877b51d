//! Which charge of a bill belongs to which attempt: one to one.
//!
//! First by the provider's own request id (several lines of one id are one charge). What is left goes by
//! model, time and amount: a settled attempt that was charged exactly this, the nearest in time; then a
//! disputed one that could have cost this much, more than nothing; last, where the bill names the model, any
//! other attempt of it in that time. Where ids of the bill are known to the books, a line and an attempt that
//! both have one, and not the same, are never a pair. Pure: no store, no clock.

use gallerist_domain::Ticks;
use gallerist_store::{AttemptStatus, BilledAttempt};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::bill::BillLine;

/// How a charge was found to be an attempt's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    RequestId,
    /// Model, time and the very amount.
    Amount,
    /// Model and time; the amount is possible.
    Time,
}

/// A charge with its attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Places in the bill's lines; more than one only by request id.
    pub lines: Vec<usize>,
    pub attempt: usize,
    pub how: How,
    pub billed: Ticks,
}

/// What belongs together, and what is on one side only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matching {
    pub pairs: Vec<Pair>,
    /// Places in the bill's lines.
    pub theirs_only: Vec<usize>,
    /// Places in the attempts.
    pub ours_only: Vec<usize>,
}

/// What is looked for among the attempts that are left, one after the other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Pass {
    Exact,
    Disputed,
    Named,
}

impl Pass {
    fn takes(self, status: AttemptStatus) -> bool {
        match self {
            Pass::Exact => status == AttemptStatus::Settled,
            Pass::Disputed => status == AttemptStatus::Disputed,
            Pass::Named => matches!(status, AttemptStatus::Settled | AttemptStatus::Released),
        }
    }

    /// The amount that must be the same on both sides.
    fn amount(self, amount: Ticks) -> Option<Ticks> {
        (self == Pass::Exact).then_some(amount)
    }
}

/// Attempts may run for so long; a charge lies between an attempt's start and its end, give or take a window.
const RUN_MAX: SignedDuration = SignedDuration::from_hours(2);
/// Attempts that are looked at for one charge.
const LOOKED_AT_MAX: usize = 256;

type Key = (String, Option<Ticks>);

/// Attempts that are not matched yet, by model and amount, in the order of time.
#[derive(Default)]
struct Shelf(HashMap<Key, BTreeSet<(Timestamp, usize)>>);

impl Shelf {
    /// Takes the attempt nearest to the line in time.
    fn take(
        &mut self,
        line: &BillLine,
        keys: &[Key],
        ours: &[BilledAttempt],
        window: SignedDuration,
        fits: impl Fn(&BilledAttempt) -> bool,
    ) -> Option<usize> {
        let from = line.at.checked_sub(window + RUN_MAX).unwrap_or(Timestamp::MIN);
        let to = line.at.checked_add(window).unwrap_or(Timestamp::MAX);
        let mut best: Option<(SignedDuration, Timestamp, usize, &Key)> = None;
        for key in keys {
            let Some(shelf) = self.0.get(key) else { continue };
            for (created_at, at) in shelf.range((from, 0)..=(to, usize::MAX)).rev().take(LOOKED_AT_MAX) {
                let attempt = &ours[*at];
                let ended_at = attempt.ended_at.unwrap_or(attempt.created_at);
                let distance = if line.at < *created_at {
                    created_at.duration_since(line.at)
                } else {
                    line.at.duration_since(ended_at).max(SignedDuration::ZERO)
                };
                let nearer = best.is_none_or(|(found, ..)| distance < found);
                if distance <= window && nearer && fits(attempt) {
                    best = Some((distance, *created_at, *at, key));
                }
            }
        }
        let (_, created_at, at, key) = best?;
        self.0.get_mut(key).expect("it was found there").remove(&(created_at, at));
        Some(at)
    }

    fn put(&mut self, key: Key, attempt: &BilledAttempt, at: usize) {
        self.0.entry(key).or_default().insert((attempt.created_at, at));
    }
}

/// Matches a bill's lines and attempts. `model_of` gives our name for a name of the provider's.
pub fn matching(
    bill: &[BillLine],
    ours: &[BilledAttempt],
    window: SignedDuration,
    model_of: impl Fn(&str) -> String,
) -> Matching {
    let mut found = Matching::default();
    let mut taken = vec![false; ours.len()];
    let mut left = by_request_id(bill, ours, &mut found, &mut taken);
    // A provider may call the same thing by another id on its bills than in its answers; then none is known, and
    // ids say nothing.
    let ids_tell = !found.pairs.is_empty();
    let models: BTreeSet<&str> = ours.iter().map(|attempt| attempt.offer.model.as_str()).collect();
    for pass in [Pass::Exact, Pass::Disputed, Pass::Named] {
        let mut shelf = Shelf::default();
        for (at, attempt) in ours.iter().enumerate() {
            if !taken[at] && pass.takes(attempt.status) {
                shelf.put((attempt.offer.model.clone(), pass.amount(attempt.charged)), attempt, at);
            }
        }
        left.retain(|at| {
            let line = &bill[*at];
            let names: Vec<String> = match &line.model {
                Some(name) => vec![model_of(name)],
                // Without a model, another amount is no sign of anything.
                None if pass == Pass::Named => return true,
                None => models.iter().map(|name| (*name).to_owned()).collect(),
            };
            let keys: Vec<Key> = names.into_iter().map(|name| (name, pass.amount(line.amount))).collect();
            // Nothing, or money back, is a charge only where its id says of what.
            let possible = |attempt: &BilledAttempt| {
                let another = ids_tell && line.request_id.is_some() && attempt.provider_request_id.is_some();
                let fits =
                    pass != Pass::Disputed || (line.amount > Ticks::ZERO && line.amount <= attempt.reserved);
                fits && !another
            };
            let Some(attempt) = shelf.take(line, &keys, ours, window, possible) else { return true };
            taken[attempt] = true;
            let how = if pass == Pass::Exact { How::Amount } else { How::Time };
            found.pairs.push(Pair { lines: vec![*at], attempt, how, billed: line.amount });
            false
        });
    }
    found.theirs_only = left;
    found.ours_only = (0..ours.len()).filter(|at| !taken[*at]).collect();
    found
}

/// Matches what has the provider's request id; the lines that are left.
fn by_request_id(
    bill: &[BillLine],
    ours: &[BilledAttempt],
    found: &mut Matching,
    taken: &mut [bool],
) -> Vec<usize> {
    let mut known: HashMap<&str, usize> = HashMap::new();
    for (at, attempt) in ours.iter().enumerate() {
        if let Some(id) = &attempt.provider_request_id {
            known.entry(id).or_insert(at);
        }
    }
    let mut charges: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    let mut left = Vec::new();
    for (at, line) in bill.iter().enumerate() {
        match line.request_id.as_deref().and_then(|id| known.get(id)) {
            Some(attempt) => charges.entry(*attempt).or_default().push(at),
            None => left.push(at),
        }
    }
    for (attempt, lines) in charges {
        taken[attempt] = true;
        let billed = lines.iter().map(|at| bill[*at].amount).sum();
        found.pairs.push(Pair { lines, attempt, how: How::RequestId, billed });
    }
    left
}
