//! What a bundle saves: operations that are sold together at one price, beside the same operations bought one
//! after the other.

use crate::changes::{moved, percent};
use crate::facts::Facts;
use crate::quote::{Bounds, bounds};
use crate::sheet::{Bundle, PriceSheet};
use gallerist_domain::{Operation, Price, Ticks};
use jiff::Timestamp;

/// One call of the chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Link {
    pub operation: Operation,
    pub bounds: Bounds,
}

/// A bundle beside its chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// The operations apart, in their order.
    pub links: Vec<Link>,
    /// Their sum.
    pub chain: Bounds,
    pub bundle: Bounds,
}

impl Comparison {
    /// What the call would cost apart, where its sheet sells the operation as a bundle; `None` where it does not,
    /// or where a link of the chain has no price.
    pub fn of(sheet: &PriceSheet, facts: &Facts<'_>, at: Timestamp) -> Option<Comparison> {
        let sold = sheet.bundles.iter().find(|bundle| bundle.operation == facts.operation)?;
        let links = links(sheet, sold, facts, at)?;
        let sum = |sum: Bounds, link: &Link| sum.plus(link.bounds);
        let chain = links.iter().try_fold(Bounds::default(), sum)?;
        Some(Comparison { links, chain, bundle: bounds(sheet, facts, at).ok()? })
    }

    /// The same for so many such calls; `None` beyond what an amount can hold.
    pub fn times(mut self, calls: i64) -> Option<Comparison> {
        for link in &mut self.links {
            link.bounds = link.bounds.times(calls)?;
        }
        self.chain = self.chain.times(calls)?;
        self.bundle = self.bundle.times(calls)?;
        Some(self)
    }

    /// Both together; `None` beyond what an amount can hold.
    pub fn plus(mut self, other: &Comparison) -> Option<Comparison> {
        for (link, more) in self.links.iter_mut().zip(&other.links) {
            link.bounds = link.bounds.plus(more.bounds)?;
        }
        self.chain = self.chain.plus(other.chain)?;
        self.bundle = self.bundle.plus(other.bundle)?;
        Some(self)
    }

    /// What is expected to be saved; negative where the bundle is dearer.
    pub fn saving(&self) -> Ticks {
        self.chain.expected - self.bundle.expected
    }

    /// What is saved at best: the least that the bundle may cost, beside what the chain is expected to cost.
    pub fn saving_max(&self) -> Ticks {
        self.chain.expected - self.bundle.min
    }

    /// Of the chain, in per cent to two digits, half up: `25.00`. `None` where the chain is expected to be free.
    pub fn percent_of_chain(&self, saving: Ticks) -> Option<String> {
        let whole = |amount: Ticks| Price { amount, per: 1 };
        let chain = self.chain.expected;
        let text = percent(moved(whole(chain), whole(chain.checked_add(saving)?))?);
        Some(text.trim_start_matches('+').to_owned())
    }
}

fn links(sheet: &PriceSheet, sold: &Bundle, facts: &Facts<'_>, at: Timestamp) -> Option<Vec<Link>> {
    let link = |operation: &Operation| {
        let bounds = bounds(sheet, &Facts { operation: *operation, ..*facts }, at).ok()?;
        Some(Link { operation: *operation, bounds })
    };
    sold.chain.iter().map(link).collect()
}

#[cfg(test)]
mod tests;
