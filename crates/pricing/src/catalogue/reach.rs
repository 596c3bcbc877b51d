//! Words of conditions that no request can say: a line that never applies leaves a hole in its sheet, and what falls
//! through it looks free.

use super::check::makes;
use super::raw::RawModel;
use super::read::Reader;
use crate::sheet::{PriceSheet, Terms};
use gallerist_domain::id::STANDARD_TIER;
use gallerist_domain::{Capabilities, Sizes};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range as Span;
use std::sync::Arc;

/// What the models of a sheet can be asked for, all of them together.
pub(super) struct Reach {
    shapes: Vec<Arc<Capabilities>>,
    tiers: Vec<String>,
}

impl Reach {
    /// `None` where nothing can be said: no model has the sheet, or one has a shape that is not known.
    pub(super) fn of(
        sheet: &str,
        models: &[RawModel],
        shapes: &BTreeMap<String, Arc<Capabilities>>,
        reader: &Reader<'_>,
    ) -> Option<Reach> {
        let mut reach = Reach { shapes: Vec::new(), tiers: vec![STANDARD_TIER.to_owned()] };
        let has_it =
            |model: &&RawModel| model.sheet.as_ref().is_some_and(|name| name.get_ref().as_str() == sheet);
        for model in models.iter().filter(has_it) {
            let shape = match (&model.shape, &model.resale_of) {
                (Some(name), _) => shapes.get(name.get_ref().as_str()).cloned(),
                (None, Some(base)) => {
                    reader.model_of(base.get_ref()).map(|base| Arc::clone(&base.capabilities))
                }
                (None, None) => None,
            };
            let shape = shape?;
            reach.shapes.extend(shape.by_operation.values().cloned());
            reach.shapes.push(shape);
            reach.tiers.extend(model.tiers.iter().map(|row| row.tier.clone()));
        }
        (!reach.shapes.is_empty()).then_some(reach)
    }

    /// Reports each word that nobody can say, a line's at its own place and others at that of the sheet.
    pub(super) fn sheet(
        &self,
        reader: &mut Reader<'_>,
        name: &str,
        sheet: &PriceSheet,
        (spans, span): (&[Span<usize>], &Span<usize>),
    ) {
        let lines = sheet.lines.iter().zip(spans);
        let lines = lines.map(|(line, span)| (span, format!("line {:?}", line.id), &line.when));
        let factors = sheet.factors.iter();
        let factors = factors.map(|factor| (span, format!("factor {:?}", factor.id), &factor.when));
        let estimates = sheet.estimates.iter();
        let estimates =
            estimates.map(|one| (span, format!("the estimate of {}", one.meter.name()), &one.when));
        let outputs = sheet.outputs.iter();
        let outputs = outputs.map(|one| (span, format!("outputs {:?}", one.id), &one.when));
        let mut told = BTreeSet::new();
        for (span, what, when) in lines.chain(factors).chain(estimates).chain(outputs) {
            let strangers = when.terms().map(|terms| self.strangers(terms)).unwrap_or_default();
            for (key, word, known) in strangers {
                let instead = match known.is_empty() {
                    true => String::new(),
                    false => format!("; known are {}", known.join(", ")),
                };
                let message = format!(
                    "sheet {name:?}: {what}: no model of this sheet has the word {word:?} of `{key}`, so it never \
                     applies{instead}"
                );
                // A line with a history stands there once for each of its prices.
                if told.insert(message.clone()) {
                    reader.mistake(span.clone(), message);
                }
            }
        }
    }

    /// Key, word, and the words that are known instead.
    fn strangers(&self, terms: &Terms) -> Vec<(&'static str, String, Vec<String>)> {
        let mut found = Vec::new();
        let mut compare = |key: &'static str, words: &[String], mut known: Vec<String>| {
            known.sort_unstable();
            known.dedup();
            let strange = words.iter().filter(|word| !known.contains(*word));
            found.extend(strange.map(|word| (key, word.clone(), known.clone())));
        };
        let of_shapes = |words: fn(&Capabilities) -> Vec<String>| -> Vec<String> {
            self.shapes.iter().flat_map(|shape| words(shape)).collect()
        };
        compare("qualities", &terms.qualities, of_shapes(qualities));
        // Where sizes are free or listed, a vendor may price the label that makes one; no client can say it today.
        if self.shapes.iter().any(|shape| matches!(shape.sizes, Sizes::Ratios(_))) {
            compare("resolutions", &terms.resolutions, of_shapes(resolutions));
        }
        compare("tiers", &terms.tiers, self.tiers.clone());
        let asked = terms.options.iter().map(|option| &option.name).chain(&terms.options_absent);
        compare("options", &asked.cloned().collect::<Vec<_>>(), of_shapes(|shape| shape.options.clone()));
        let operations: Vec<String> = terms.operations.iter().map(ToString::to_string).collect();
        let known = of_shapes(|shape| shape.operations.iter().map(ToString::to_string).collect());
        compare("operations", &operations, known);
        let unmade =
            terms.sizes.iter().filter(|size| !self.shapes.iter().any(|shape| makes(&shape.sizes, **size)));
        found.extend(unmade.map(|size| ("sizes", size.to_string(), Vec::new())));
        for (_, word, known) in &mut found {
            known.retain(|other| !other.is_empty() && other != word);
        }
        found
    }
}

fn qualities(shape: &Capabilities) -> Vec<String> {
    match shape.qualities.is_empty() {
        true => vec![String::new()],
        false => shape.qualities.clone(),
    }
}

fn resolutions(shape: &Capabilities) -> Vec<String> {
    match &shape.sizes {
        Sizes::Ratios(rows) => rows.iter().map(|row| row.resolution.clone()).collect(),
        Sizes::Listed(_) | Sizes::Free { .. } => vec![String::new()],
    }
}
