use super::*;
use crate::name_book::PLAIN;
use crate::testing::{OFFERS, ask, now, order, planned};
use gallerist_domain::ImageRequest;

fn understood<'a>(name: &'a str, offers: &[Offer]) -> Result<Target<'a>, UnknownModel> {
    target(name, &PLAIN, offers, now()).map(|named| named.target)
}

fn hosts(name: &str) -> Vec<String> {
    let mut hosts = order(&ImageRequest::new(name, "x"));
    hosts.sort();
    hosts
}

#[test]
fn a_name_speaks_of_a_route_a_model_or_a_host() {
    assert!(understood("auto", &OFFERS).expect("it always exists").is_route());
    assert_eq!(hosts("flux-2-pro"), ["bfl/flux-2-pro", "fal/flux-2-pro"]);
    assert_eq!(hosts("fal/flux-2-pro"), ["fal/flux-2-pro"]);
    // Aliases are names too.
    assert_eq!(hosts("flux-schnell"), ["fal/flux-1-schnell"]);
    assert_eq!(hosts("fal/flux.1-schnell"), ["fal/flux-1-schnell"]);
    assert_eq!(hosts("gpt-image-2@2026-04-21"), ["openai/gpt-image-2"]);
    assert_eq!(hosts("openai/gpt-image-2@2026-04-21"), ["openai/gpt-image-2"]);
}

#[test]
fn every_offer_answers_to_its_own_id() {
    for offer in OFFERS.iter() {
        let id = offer.id.to_string();
        let target = understood(&id, &OFFERS).expect("an offer's id is a name");
        assert!(target.speaks_of(offer), "{id}");
        assert_eq!(OFFERS.iter().filter(|other| target.speaks_of(other)).count(), 1, "{id}");
    }
}

#[test]
fn a_tier_in_the_name_counts() {
    assert_eq!(hosts("bfl/flux-2-pro#standard"), ["bfl/flux-2-pro"]);
    // Nothing is sold at that tier, so the name must not silently buy another.
    assert!(understood("openai/gpt-image-2#batch", &OFFERS).is_err());
    let mut batch =
        OFFERS.iter().find(|offer| offer.id.to_string() == "openai/gpt-image-2").expect("known").clone();
    batch.id.tier = "batch".to_owned();
    let offers = [OFFERS.to_vec(), vec![batch]].concat();
    let target = understood("openai/gpt-image-2#batch", &offers).expect("it is sold now");
    let spoken_of: Vec<_> = offers.iter().filter(|offer| target.speaks_of(offer)).collect();
    assert_eq!(spoken_of.len(), 1);
    assert_eq!(spoken_of[0].id.tier, "batch");
}

#[test]
fn an_unknown_version_is_an_unknown_name() {
    for name in ["gpt-image-2@9999", "openai/gpt-image-2@9999", "fal/flux-2-pro@9999", "gpt-image-2@"] {
        assert!(understood(name, &OFFERS).is_err(), "{name}");
    }
    let unknown = understood("gpt-image-2@2026-04-12", &OFFERS).expect_err("nothing answers to it");
    assert_eq!(unknown.nearest[0], "gpt-image-2@2026-04-21");
    assert!(
        understood("gpt-image-2@9999", &OFFERS).expect_err("neither").nearest.contains(&"gpt-image-2".into())
    );
}

/// What the offers say of a name that nothing answers to.
fn told(name: &str) -> (String, Vec<String>) {
    let unknown = understood(name, &OFFERS).expect_err("nothing answers to it");
    let partly = unknown.partly.expect("a part of it is known");
    (partly.to_string(), unknown.nearest)
}

#[test]
fn an_unknown_version_names_those_that_there_are_or_the_successors() {
    let (lacks, near) = told("openai/gpt-image-2@9999");
    assert_eq!(lacks, "gpt-image-2 has no version 9999, but 2026-04-21");
    assert_eq!(near[0], "gpt-image-2@2026-04-21");
    let (gone, near) = told("gpt-image-1@2025-04-15");
    assert!(gone.contains("nor another that could be pinned; it was retired on 2026-10-23; use "), "{gone}");
    assert_eq!(near[..2], ["gpt-image-2.6-sunburst", "gpt-image-2.5-sunburst"]);
    let (ending, near) = told("gpt-image-1.5@9999");
    assert!(ending.contains("but 2025-12-16; it retires on 2026-12-01; use gpt-image-2"), "{ending}");
    assert!(near[0].starts_with("gpt-image-2"), "{near:?}");
}

#[test]
fn the_vendors_own_id_of_a_version_is_a_name_of_it() {
    for name in [
        "gpt-image-2-2026-04-21",
        "openai/gpt-image-2-2026-04-21",
        "gpt-image-2@gpt-image-2-2026-04-21",
        "gpt-image-2@2026-04-21",
    ] {
        let request = ask(name);
        let plan = planned(&request);
        assert_eq!(plan.offers.len(), 1, "{name}");
        assert_eq!(plan.offers[0].offer.id.to_string(), "openai/gpt-image-2", "{name}");
        assert_eq!(plan.offers[0].resolved.upstream, "gpt-image-2-2026-04-21", "{name}");
    }
    // It pins one version, so it takes no other besides.
    assert!(understood("gpt-image-2-2026-04-21@2026-04-21", &OFFERS).is_err());
    assert!(understood("bfl/gpt-image-2-2026-04-21", &OFFERS).is_err());
}

#[test]
fn a_model_at_the_wrong_host_or_tier_names_the_right_ones() {
    let (elsewhere, near) = told("bfl/gpt-image-2");
    assert!(elsewhere.starts_with("bfl does not have gpt-image-2, which is at "), "{elsewhere}");
    assert!(elsewhere.contains("openai") && near.contains(&"openai/gpt-image-2".to_owned()), "{near:?}");
    let (tier, near) = told("bfl/flux-2-pro#express");
    assert_eq!(tier, "flux-2-pro is not sold at the tier express there, but at standard");
    assert_eq!(near[0], "bfl/flux-2-pro#standard");
    assert_eq!(understood("no-such-model", &OFFERS).expect_err("nothing").partly, None);
}

#[test]
fn an_unknown_name_says_the_nearest() {
    let table = [
        ("flux-2-porr", "flux-2-pro"),
        ("gpt-image2", "gpt-image-2"),
        ("aut", "auto"),
        ("bfl/flux-2-prro", "bfl/flux-2-pro"),
        ("sd3.5", "sd3.5-flash"),
    ];
    for (name, nearest) in table {
        let unknown = understood(name, &OFFERS).expect_err("nothing answers to it");
        assert_eq!(unknown.name, name);
        assert_eq!(unknown.nearest.len(), 3, "{name}");
        assert!(unknown.nearest.iter().any(|known| known == nearest), "{name}: {:?}", unknown.nearest);
    }
}

#[test]
fn strange_names_are_unknown_and_short_in_the_answer() {
    let long = "ä".repeat(100_000);
    for name in ["", "/", "@", "#", "auto/", "/flux-2-pro", "flux-2-pro/", "a/b/c", "bfl//flux-2-pro", &long]
    {
        let unknown = understood(name, &OFFERS).expect_err("nothing answers to it");
        assert!(unknown.name.chars().count() <= 80);
        assert!(!unknown.nearest.is_empty());
    }
}
