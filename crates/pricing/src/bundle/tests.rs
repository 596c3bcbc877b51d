//! The described bundle beside its chain, reckoned by hand.

use super::*;
use crate::catalogue::Origin;
use crate::testing::{now, usd};
use gallerist_domain::{ImageCall, Size};

fn gemini(prompt: &str, change: impl Fn(&mut ImageCall)) -> Option<Comparison> {
    let catalogue = Origin { directory: None, described: true }.whole().expect("sound");
    let provider = catalogue.provider("described-google").expect("described");
    let model = provider.models.iter().find(|model| model.is_named("gemini")).expect("described");
    let mut call = ImageCall::example("gemini", Size::new(1024, 1024));
    call.resolution = "1K".to_owned();
    call.operation = Operation::GenerateAndClassify;
    call.prompt = prompt.to_owned();
    change(&mut call);
    Comparison::of(&model.sheet, &Facts::of(&call), now())
}

/// Words of the prompt 18 × 1.50 in each call, the picture 1120 × 30 out and 1120 × 1.50 in, the label 16 × 7.50,
/// all ÷ 10⁶: 0.033627 + 0.001827 = 0.035454, beside 0.0354, or 0.02655 at best.
#[test]
fn the_bundle_says_what_its_chain_would_cost() {
    let found = gemini(&"a".repeat(40), |_| {}).expect("it is a bundle");
    let apart: Vec<_> = found.links.iter().map(|link| (link.operation, link.bounds.expected)).collect();
    let wanted = [(Operation::Generate, usd("0.033627")), (Operation::Classify, usd("0.001827"))];
    assert_eq!(apart, wanted);
    assert_eq!((found.chain.expected, found.bundle.expected), (usd("0.035454"), usd("0.0354")));
    assert_eq!(found.bundle.min, usd("0.02655"));
    assert_eq!((found.saving(), found.saving_max()), (usd("0.000054"), usd("0.008904")));
    // 0.000054 ÷ 0.035454 = 0.152 %; 0.008904 ÷ 0.035454 = 25.114 %.
    assert_eq!(found.percent_of_chain(found.saving()).as_deref(), Some("0.15"));
    assert_eq!(found.percent_of_chain(found.saving_max()).as_deref(), Some("25.11"));
}

/// Without the words, which the flat price leaves out of account, a quarter is what is described: 0.0336 +
/// 0.00168 + 0.00012 = 0.0354, of which 0.02655 is three quarters.
#[test]
fn a_quarter_of_the_chain_without_its_words_is_saved_at_best() {
    let cached = |call: &mut ImageCall| call.ingredients.cached_characters = 0;
    let found = gemini("", cached).expect("it is a bundle");
    // Eight tokens wrap even an empty prompt, in both calls: 2 × 8 × 1.50 ÷ 10⁶.
    let without_words = found.chain.expected - usd("0.000024");
    assert_eq!(without_words, usd("0.0354"));
    assert_eq!(without_words.scaled(3, 4), Some(found.bundle.min));
}

#[test]
fn the_figures_of_several_calls_add_up() {
    let one = gemini("a heron", |_| {}).expect("it is a bundle");
    let three = one.clone().times(2).and_then(|two| two.plus(&one)).expect("small");
    assert_eq!(three.chain.expected, one.chain.expected.checked_mul(3).expect("small"));
    assert_eq!(three.saving_max(), one.saving_max().checked_mul(3).expect("small"));
    assert_eq!(three.links[1].bounds.max, one.links[1].bounds.max.checked_mul(3).expect("small"));
    assert_eq!(three.percent_of_chain(three.saving_max()), one.percent_of_chain(one.saving_max()));
}

#[test]
fn what_is_no_bundle_has_no_chain() {
    assert_eq!(gemini("a heron", |call| call.operation = Operation::Generate), None);
}
