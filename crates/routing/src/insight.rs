//! What the books teach a plan: how credits that were bought ahead count, and quantities learned from charges.
//!
//! Data only, made elsewhere and passed in with the plan's context. It changes the order of offers and, for what
//! the catalogue calls learned or estimates as a time of work, the quantities of the quote; it never changes the price
//! of a unit.

use gallerist_domain::{OfferId, Operation, Size};
use gallerist_pricing::Facts;
use gallerist_pricing::credits::RoutingPrice;
use gallerist_pricing::learned::{Learned, Lesson};
use gallerist_pricing::sheet::Range;
use std::collections::BTreeMap;

/// The calls that a learned quantity is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LearnedCall {
    pub operation: Operation,
    pub size: Size,
    pub steps: u32,
    /// Thousandths, where guidance decides the quantity; `None` elsewhere.
    pub guidance_milli: Option<u32>,
}

impl LearnedCall {
    pub fn of(facts: &Facts<'_>, lesson: Lesson) -> LearnedCall {
        let Facts { operation, size, steps, guidance_milli, .. } = *facts;
        LearnedCall { operation, size, steps, guidance_milli: guidance_milli.filter(|_| lesson.guided) }
    }
}

/// What is known of an offer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LearnedOffer {
    pub lesson: Lesson,
    pub calls: Vec<(LearnedCall, Range)>,
}

/// What is known from the books.
#[derive(Clone, Debug, Default)]
pub struct Insight {
    /// By the name of the configured provider: what its next credit counts.
    pub credits: BTreeMap<String, RoutingPrice>,
    /// By offer, for those whose quantities are learned.
    pub learned: BTreeMap<OfferId, LearnedOffer>,
}

/// Nothing is known yet.
pub static NOTHING: Insight = Insight { credits: BTreeMap::new(), learned: BTreeMap::new() };

impl Insight {
    /// What past charges of the offer teach about such a call.
    pub fn learned(&self, offer: &OfferId, facts: &Facts<'_>) -> Option<Learned> {
        let LearnedOffer { lesson, calls } = self.learned.get(offer)?;
        let call = LearnedCall::of(facts, *lesson);
        calls.iter().find(|(known, _)| *known == call).map(|(_, range)| lesson.taught(*range))
    }
}
