//! What the books teach a plan: how credits that were bought ahead count, and quantities learned from charges.
//!
//! Data only, made elsewhere and passed in with the plan's context. It changes the order of offers and, for what
//! the catalogue itself calls learned, the quote; it never changes the price of anything that has one.

use gallerist_domain::{OfferId, Operation, Size};
use gallerist_pricing::Facts;
use gallerist_pricing::credits::RoutingPrice;
use gallerist_pricing::sheet::Range;
use std::collections::BTreeMap;

/// The calls that a learned quantity is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LearnedCall {
    pub operation: Operation,
    pub size: Size,
    pub steps: u32,
}

impl LearnedCall {
    pub fn of(facts: &Facts<'_>) -> LearnedCall {
        LearnedCall { operation: facts.operation, size: facts.size, steps: facts.steps }
    }
}

/// What is known from the books.
#[derive(Clone, Debug, Default)]
pub struct Insight {
    /// By the name of the configured provider: what its next credit counts.
    pub credits: BTreeMap<String, RoutingPrice>,
    /// By offer, for those whose prices are learned.
    pub learned: BTreeMap<OfferId, Vec<(LearnedCall, Range)>>,
}

/// Nothing is known yet.
pub static NOTHING: Insight = Insight { credits: BTreeMap::new(), learned: BTreeMap::new() };

impl Insight {
    /// What past charges of the offer teach about such a call.
    pub fn learned(&self, offer: &OfferId, call: LearnedCall) -> Option<Range> {
        let known = self.learned.get(offer)?;
        known.iter().find(|(learned, _)| *learned == call).map(|(_, range)| *range)
    }
}
