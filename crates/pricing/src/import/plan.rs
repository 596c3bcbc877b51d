//! What an import would change, told before it is written: of each price of the list what ours is for the same
//! thing, how far apart they are, and whether it goes into the files.
//!
//! Nothing of ours is replaced by an import; old and new are what `gallerist prices list` would show side by side.

use super::compare::{Finding, Standing};
use super::write::Written;
use super::{Entry, Key, Verdict};
use gallerist_domain::{Meter, Ticks};
use serde::Serialize;

/// One price of the list, or an entry that has none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Planned<'e> {
    pub entry: &'e str,
    /// Ours that it was compared with, as `kind/model`.
    pub offer: Option<&'e str>,
    pub standing: Standing,
    /// The list's field and what it is keyed by.
    pub what: &'e str,
    pub meter: Option<Meter>,
    #[serde(skip)]
    pub key: Option<&'e Key>,
    /// Ours.
    pub old_usd: Option<Ticks>,
    /// The list's.
    pub new_usd: Option<Ticks>,
    /// Base units of the meter that either amount buys.
    pub per: Option<i64>,
    /// Of ours, signed: `+14.33`.
    pub percent: Option<&'e str>,
    /// Whether it is in the files.
    pub written: bool,
    /// Why it is not, or what is to be said of the comparison.
    pub why: Option<String>,
}

/// Every price of the list in its order. `findings` and `written` are of the same entries.
pub fn plan<'e>(entries: &'e [Entry], findings: &'e [Finding], written: &Written) -> Vec<Planned<'e>> {
    let mut findings = findings.iter();
    let mut planned = Vec::new();
    for (place, entry) in entries.iter().enumerate() {
        // The comparison has a finding for each row, and one for an entry without any.
        match &entry.verdict {
            Verdict::Unpriced(_) => planned.extend(findings.next().map(|finding| Planned::of(finding, None))),
            Verdict::Priced(rows) => {
                for (index, (row, finding)) in rows.iter().zip(&mut findings).enumerate() {
                    let left_out = written.left_out(place, index);
                    let why = left_out.map(str::to_owned).or_else(|| finding.why.clone());
                    let written = left_out.is_none();
                    planned.push(Planned { why, written, ..Planned::of(finding, Some(&row.key)) });
                }
            }
        }
    }
    planned
}

impl<'e> Planned<'e> {
    fn of(finding: &'e Finding, key: Option<&'e Key>) -> Planned<'e> {
        Planned {
            entry: &finding.entry,
            offer: finding.offer.as_deref(),
            standing: finding.standing,
            what: &finding.what,
            meter: finding.meter,
            key,
            old_usd: finding.ours_usd,
            new_usd: finding.list_usd,
            per: finding.list_per,
            percent: finding.percent.as_deref(),
            written: false,
            why: finding.why.clone(),
        }
    }
}
