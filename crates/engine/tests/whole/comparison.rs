//! The comparison of a stand-in's bill with our books, to the last digit and entry by entry.
//!
//! What both sides name by the provider's own id is compared by that id. The rest, attempts whose answer never
//! came, is paired: each charge on the bill with one attempt of its own, within whose life it was charged, so
//! that a dispute stands for one event. Also used, by path, by the test that kills the whole program.

use gallerist_domain::Ticks;
use gallerist_fakes::BillEntry;
use gallerist_store::{AttemptRecord, AttemptStatus};
use jiff::{SignedDuration, Timestamp};
use std::collections::{BTreeMap, BTreeSet};

/// What a provider may still charge after we have ended the attempt: work that was under way.
const LATE: SignedDuration = SignedDuration::from_secs(5);

/// A disputed attempt, and whether a charge on the bill is its own.
#[derive(Clone, Debug)]
pub struct Dispute {
    pub attempt: AttemptRecord,
    pub billed: bool,
}

type Row = (&'static str, &'static [&'static str], &'static [&'static str]);

/// What makes an attempt a dispute: the word of its fault, and the faults of the scripts that look so to us. The
/// first cost nothing, the second were billed; from here they cannot be told apart, which is the point.
const AMBIGUOUS: &[Row] = &[
    ("connection_lost", &["reset_before"], &["reset_after", "truncated", "stream_cut"]),
    ("malformed", &[], &["malformed"]),
    ("upstream_error", &["500", "502", "task_error", "completed_error"], &["stream_error", "oom"]),
    ("moderation_unknown", &["moderation"], &["moderation_billed", "content_moderated"]),
    ("moderation_output", &[], &["moderation_output", "content_filtered", "content_moderated"]),
];

/// What one request of ours is charged: all entries of the bill under one id.
#[derive(Debug)]
struct Position {
    ticks: i64,
    at: Timestamp,
}

/// Compares one stand-in's bill with our attempts at it. Returns those that are disputed.
///
/// What a dispute was billed is within what it holds. With `in_line` it may exceed that by the time behind
/// others: an engine of one's own counts it, and a killed gateway leaves calls in its line of which the next
/// gateway knows nothing. Each of them takes at most the largest maximum.
pub fn compare(kind: &str, bill: &[BillEntry], attempts: &[AttemptRecord], in_line: bool) -> Vec<Dispute> {
    let ours: Vec<&AttemptRecord> =
        attempts.iter().filter(|attempt| attempt.offer.provider == kind).collect();
    let mut positions: BTreeMap<&str, Position> = BTreeMap::new();
    for entry in bill.iter().filter(|entry| entry.ticks != 0) {
        let id = entry.request_id.as_deref().expect("stand-ins name the request of a charge");
        let position = positions.entry(id).or_insert(Position { ticks: 0, at: entry.at });
        position.ticks += entry.ticks;
    }
    let (mut unnamed, mut billed) = (Vec::new(), Vec::new());
    for attempt in ours {
        match attempt.provider_request_id.as_deref() {
            Some(id) => {
                let position = positions.remove(id);
                billed.push((attempt, position.is_some()));
                named(kind, attempt, position);
            }
            None => unnamed.push(attempt),
        }
    }
    let left: Vec<Position> = positions.into_values().collect();
    billed.extend(pair(kind, &left, unnamed, in_line));
    billed.retain(|(attempt, _)| attempt.status == AttemptStatus::Disputed);
    for (attempt, _) in &billed {
        assert!(attempt.dispute_reason.is_some(), "a dispute has no reason: {attempt:?}");
    }
    billed.into_iter().map(|(attempt, billed)| Dispute { attempt: attempt.clone(), billed }).collect()
}

/// Each dispute must be one event that was ambiguous when it happened: as many of a word as the script has struck
/// with faults that look so, as many billed ones as it has struck with faults that are billed. What ended without
/// a fault was cut off by the end of the gateway, and lived at one of its ends.
pub fn explain(kind: &str, disputes: &[Dispute], hits: &BTreeMap<String, u64>, ends: &[Timestamp]) {
    let struck = |names: &[&str]| names.iter().filter_map(|name| hits.get(*name)).sum::<u64>();
    let (mut words, mut free, mut billed) = (BTreeMap::<String, u64>::new(), 0, 0);
    let (mut cut_free, mut cut_billed) = (0, 0);
    for Dispute { attempt, billed: is_billed } in disputes {
        let ended = attempt.ended_at.expect("no attempt is open");
        let word = fault_word(attempt);
        match word.as_str() {
            "" => {
                let lived_at = |end: &Timestamp| (attempt.created_at..=ended).contains(end);
                assert!(ends.iter().any(lived_at), "{kind}: nothing ended during {attempt:?}");
                *if *is_billed { &mut cut_billed } else { &mut cut_free } += 1;
            }
            // The clock made it, not the script.
            "timeout" => assert!(ended.duration_since(attempt.created_at) > SignedDuration::from_secs(1)),
            _ => {
                *words.entry(word).or_default() += 1;
                *if *is_billed { &mut billed } else { &mut free } += 1;
            }
        }
    }
    for (word, count) in words {
        let (_, costless, costly) =
            AMBIGUOUS.iter().find(|(known, ..)| *known == word).unwrap_or_else(|| panic!("{kind}: {word}"));
        let events = struck(costless) + struck(costly);
        assert!(count <= events, "{kind}: {count} disputes by {word}, but it happened {events} times");
    }
    // A fault may look so or so, but it strikes once.
    let all = |side: fn(&Row) -> &'static [&'static str]| {
        let names: BTreeSet<&str> = AMBIGUOUS.iter().flat_map(|row| side(row).iter().copied()).collect();
        struck(&names.into_iter().collect::<Vec<_>>())
    };
    // Of two disputes without an id, one cut off and one struck, a charge may be paired with either.
    let (costless, costly) = (all(|row| row.1) + cut_billed, all(|row| row.2) + cut_free);
    assert!(free <= costless, "{kind}: {free} disputes were not billed, but only {costless} events");
    assert!(billed <= costly, "{kind}: {billed} disputes were billed, but only {costly} events");
}

/// An attempt and the charge that bears its id.
fn named(kind: &str, attempt: &AttemptRecord, position: Option<Position>) {
    let billed = position.map_or(0, |position| position.ticks);
    match attempt.status {
        AttemptStatus::Disputed => {
            let held = attempt.reserved.get();
            assert!(billed <= held, "{kind}: billed {billed} beyond {attempt:?}");
        }
        _ => assert_eq!(attempt.charged.get(), billed, "{kind}: the bill says otherwise of {attempt:?}"),
    }
}

/// Pairs charges with attempts that know no id: every charge with an attempt of its own, every settled attempt
/// with a charge of exactly its amount. What is left are disputes that were not billed. Returns for each attempt
/// whether it has a charge.
fn pair<'a>(
    kind: &str,
    positions: &[Position],
    attempts: Vec<&'a AttemptRecord>,
    in_line: bool,
) -> Vec<(&'a AttemptRecord, bool)> {
    let largest = attempts.iter().map(|attempt| attempt.reserved.get()).max().unwrap_or(0);
    let fits = |position: &Position, attempt: &AttemptRecord| {
        let ended = attempt.ended_at.expect("no attempt is open");
        match attempt.status {
            AttemptStatus::Settled => {
                // The end of a dispute that was resolved is the dispute's: the provider may have gone on after it.
                let until = if attempt.dispute_reason.is_some() { ended + LATE } else { ended };
                position.ticks == attempt.charged.get() && (attempt.created_at..=until).contains(&position.at)
            }
            AttemptStatus::Disputed if !in_line => {
                position.ticks <= attempt.reserved.get()
                    && (attempt.created_at..=ended + LATE).contains(&position.at)
            }
            AttemptStatus::Disputed => {
                let ahead = positions.iter().filter(|other| {
                    !std::ptr::eq(*other, position) && (attempt.created_at..=position.at).contains(&other.at)
                });
                let waiting = i64::try_from(ahead.count()).expect("a short line") * largest;
                position.ticks <= attempt.reserved.get() + waiting && position.at >= attempt.created_at
            }
            _ => false,
        }
    };
    let mut pairing = Pairing { holds: vec![None; attempts.len()] };
    let is_settled =
        |attempt: &AttemptRecord| attempt.status == AttemptStatus::Settled && !attempt.charged.is_zero();
    // First among the settled alone, so that each of them gets its charge; what is paired stays paired.
    let paired: Vec<bool> = (0..positions.len())
        .map(|position| {
            let edge = |position: usize, attempt: usize| {
                is_settled(attempts[attempt]) && fits(&positions[position], attempts[attempt])
            };
            pairing.augment(position, &edge, &mut vec![false; attempts.len()])
        })
        .collect();
    for (attempt, held) in attempts.iter().zip(&pairing.holds) {
        assert!(
            !is_settled(attempt) || held.is_some(),
            "{kind}: settled {} USD, which is not on the bill: {attempt:?}",
            Ticks::new(attempt.charged.get())
        );
    }
    for position in (0..positions.len()).filter(|position| !paired[*position]) {
        let edge = |position: usize, attempt: usize| fits(&positions[position], attempts[attempt]);
        let found = pairing.augment(position, &edge, &mut vec![false; attempts.len()]);
        let candidates: Vec<_> = attempts
            .iter()
            .filter(|attempt| attempt.status == AttemptStatus::Disputed)
            .map(|attempt| (attempt.created_at, attempt.ended_at, attempt.reserved))
            .collect();
        assert!(
            found,
            "{kind}: billed, but neither settled nor disputed: {:?}, disputes {candidates:?}",
            positions[position]
        );
    }
    attempts.into_iter().zip(pairing.holds).map(|(attempt, held)| (attempt, held.is_some())).collect()
}

/// Which position each attempt holds.
struct Pairing {
    holds: Vec<Option<usize>>,
}

impl Pairing {
    /// Finds an attempt for a position, moving others where they have another choice.
    fn augment(
        &mut self,
        position: usize,
        edge: &dyn Fn(usize, usize) -> bool,
        seen: &mut Vec<bool>,
    ) -> bool {
        for attempt in 0..self.holds.len() {
            if seen[attempt] || !edge(position, attempt) {
                continue;
            }
            seen[attempt] = true;
            if self.holds[attempt].is_none_or(|other| self.augment(other, edge, seen)) {
                self.holds[attempt] = Some(position);
                return true;
            }
        }
        false
    }
}

/// How often each fault of a script has struck; `script` is what `GET /_fake/faults` answers.
pub fn hits(script: &serde_json::Value) -> BTreeMap<String, u64> {
    let entries = script["set"].as_array().expect("a list").iter();
    let mut hits = BTreeMap::new();
    for entry in entries {
        let name = entry["fault"].as_str().expect("a name").to_owned();
        *hits.entry(name).or_default() += entry["hits"].as_u64().expect("a count");
    }
    hits
}

/// The word for the fault that made an attempt a dispute, as its `fault_json` has it; empty where none came
/// because the gateway itself was gone.
fn fault_word(attempt: &AttemptRecord) -> String {
    let fault: serde_json::Value =
        attempt.fault_json.as_deref().and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
    fault["kind"].as_str().unwrap_or_default().to_owned()
}
