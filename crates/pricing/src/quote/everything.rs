//! What must hold for every row of the catalogue, whatever a client asks for: also for kinds that are priced
//! only, with pictures, masks, LoRAs, tiers and regions that many of them refuse.

use super::*;
use crate::settle::{Evidence, settle};
use crate::sheet::{Condition, Terms};
use crate::testing::{CATALOGUE, active, default_call, now, resize, some_sizes};
use gallerist_domain::{ImageCall, Ingredients, OptionWord, Size};
use proptest::prelude::*;
use proptest::sample::Index;
use std::collections::BTreeSet;
use std::sync::Arc;

/// The words that the conditions of a sheet compare with, so that a random call meets them.
fn words(sheet: &PriceSheet, of: impl Fn(&Terms) -> Vec<String>) -> Vec<String> {
    let lines = sheet.lines.iter().map(|line| &line.when);
    let conditions = lines.chain(sheet.factors.iter().map(|factor| &factor.when));
    let mut found: BTreeSet<String> = conditions.filter_map(Condition::terms).flat_map(of).collect();
    found.insert(String::new());
    found.into_iter().collect()
}

prop_compose! {
    fn anything()(
        model in any::<Index>(),
        picks in prop::collection::vec(any::<Index>(), 8),
        n in 1..=4u32,
        inputs in prop::collection::vec((64..=3000u32, 64..=3000u32), 0..=4),
        mask in prop::option::of(0..=4_000_000i64),
        counts in prop::array::uniform3(0..=3u32),
        cached in 0..=50u32,
    ) -> (Arc<crate::ModelSheet>, ImageCall) {
        let models = active(now());
        let (_, model) = model.get(&models).clone();
        let mut call = default_call(&model);
        call.operation = *picks[2].get(&model.capabilities.operations);
        let shape = model.capabilities.of(call.operation);
        resize(&mut call, &model, *picks[0].get(&some_sizes(&model)));
        if !shape.qualities.is_empty() {
            call.quality = picks[1].get(&shape.qualities).clone();
        }
        if let Some(limit) = shape.steps {
            let span = usize::try_from(limit.max - limit.min).expect("small") + 1;
            call.steps = limit.min + u32::try_from(picks[3].index(span)).expect("small");
        }
        call.region = picks[4].get(&words(&model.sheet, |terms| terms.regions.clone())).clone();
        let mut tiers: Vec<String> = model.tiers.iter().map(|row| row.tier.clone()).collect();
        tiers.push(call.tier.clone());
        call.tier = picks[5].get(&tiers).clone();
        let options = words(&model.sheet, |terms| {
            terms.options.iter().flat_map(|o| o.values.iter().map(|v| format!("{}={v}", o.name))).collect()
        });
        if let Some((name, value)) = picks[6].get(&options).split_once('=') {
            call.option_words.push(OptionWord { name: name.to_owned(), value: value.to_owned() });
        }
        call.n = n.min(shape.images_per_call_max);
        call.ingredients = Ingredients {
            inputs: inputs.into_iter().map(|(width, height)| Size::new(width, height)).collect(),
            mask_pixels: mask,
            loras: counts[0],
            controls: counts[1],
            ip_adapters: counts[2],
            tool_calls: counts[0],
            cached_characters: cached,
        };
        (model, call)
    }
}

proptest! {
    /// A price that is known is an interval around its expectation, and the sum of its lines.
    #[test]
    fn every_price_is_ordered_and_the_sum_of_its_lines((model, call) in anything()) {
        let facts = Facts::of(&call);
        let Ok(bounds) = bounds(&model.sheet, &facts, now()) else { return Ok(()) };
        prop_assert!(bounds.min <= bounds.expected && bounds.expected <= bounds.max, "{}: {bounds:?}", model.id);
        let quote = quote(&model.sheet, &facts, now()).expect("as before");
        prop_assert_eq!(quote.bounds, bounds);
        prop_assert_eq!(bounds.expected, quote.lines.iter().map(|line| line.amount.expected).sum());
        prop_assert_eq!(bounds.max, quote.lines.iter().map(|line| line.amount.max).sum());
    }

    /// What is settled without counts was reserved, and is what was expected.
    #[test]
    fn every_settlement_without_counts_is_the_expectation((model, call) in anything()) {
        let facts = Facts::of(&call);
        let Ok(bounds) = bounds(&model.sheet, &facts, now()) else { return Ok(()) };
        let pictures = model.sheet.pictures(&facts, now()).expected;
        let images = u32::try_from(pictures).expect("few");
        let evidence = Evidence { images, usage: &[], reported: None };
        let charge = settle(&model.sheet, &[], &facts, evidence, now()).expect("what is quoted settles");
        prop_assert_eq!(charge.amount, bounds.expected, "{}", model.id);
        prop_assert!(charge.amount <= bounds.max);
        prop_assert_eq!(charge.amount, charge.lines.iter().map(|line| line.amount).sum());
    }

    /// A pool that is free lowers the least alone: what is expected, reserved and settled never counts on it.
    #[test]
    fn no_expectation_counts_on_a_free_pool((model, call) in anything()) {
        let facts = Facts::of(&call);
        let without = PriceSheet { allowances: Vec::new(), ..(*model.sheet).clone() };
        let (Ok(with), Ok(apart)) = (bounds(&model.sheet, &facts, now()), bounds(&without, &facts, now())) else {
            return Ok(());
        };
        prop_assert_eq!((with.expected, with.max), (apart.expected, apart.max), "{}", model.id);
        prop_assert!(with.min <= apart.min);
        let pools = model.sheet.allowances.iter().map(|pool| pool.worth).sum::<Ticks>();
        prop_assert!(apart.min - with.min <= pools, "no more than the pools are worth");
        let evidence = Evidence { images: call.n, usage: &[], reported: None };
        let settled = settle(&model.sheet, &[], &facts, evidence, now()).expect("what is quoted settles");
        let settled_apart = settle(&without, &[], &facts, evidence, now()).expect("the same lines");
        prop_assert_eq!(settled.amount, settled_apart.amount);
    }

    /// More pictures never cost less, and more pictures that go in neither.
    #[test]
    fn more_never_costs_less((model, call) in anything()) {
        let facts = Facts::of(&call);
        let Ok(one) = bounds(&model.sheet, &facts, now()) else { return Ok(()) };
        if let Ok(more) = bounds(&model.sheet, &Facts { n: facts.n + 1, ..facts }, now()) {
            prop_assert!(one.expected <= more.expected, "{}", model.id);
        }
    }
}

/// Whatever is asked of a model whose price nobody knows, there is no figure.
#[test]
fn a_price_that_nobody_knows_is_never_zero() {
    let all = CATALOGUE.providers.iter().flat_map(|provider| &provider.models);
    let unknown: Vec<_> = all.filter(|model| model.sheet.unknown.is_some()).collect();
    for model in &unknown {
        for operation in &model.capabilities.operations {
            let mut call = default_call(model);
            call.operation = *operation;
            let quoted = bounds(&model.sheet, &Facts::of(&call), now());
            assert!(matches!(quoted, Err(Unpriced::Unknown(_))), "{}: {quoted:?}", model.id);
        }
    }
    assert_eq!(unknown.len(), UNKNOWN, "none has gained or lost a price unnoticed");
}

/// Models whose price no sheet states.
const UNKNOWN: usize = 79;

/// A kind whose every model is refused would be a mistake of its file, not a price.
#[test]
fn most_models_have_a_price_for_their_default_picture() {
    let (mut priced, mut all) = (0, 0);
    for provider in &CATALOGUE.providers {
        let said: Vec<_> = provider.models.iter().filter(|model| model.sheet.unknown.is_none()).collect();
        let found = said.iter().filter(|model| {
            let mut call = default_call(model);
            if model.capabilities.inputs_max > 0 {
                call.ingredients.inputs.push(model.capabilities.size_default);
            }
            bounds(&model.sheet, &Facts::of(&call), now()).is_ok()
        });
        let found = found.count();
        assert!(found > 0, "{}: no model has a price", provider.kind);
        (priced, all) = (priced + found, all + said.len());
    }
    assert!(priced * 10 > all * 8, "only {priced} of {all} models have a price");
}
