//! Models that the catalogue knows and nobody who is on sells: why a name that has a price cannot be ordered.
//!
//! It refuses to say what could be ordered instead; that is the business of `nearest`.

use crate::names::{ModelName, lacking_version};
use gallerist_pricing::{Catalogue, ModelSheet, Offer, ProviderSheet};
use jiff::Timestamp;

/// Sellers that are named; some models have a dozen.
const SELLERS_MAX: usize = 6;

/// A sentence about a name to which none of the `offers` answers; none where `catalogue`, which should hold all that
/// has a price, does not know it either, or where the offers themselves tell what it lacks.
pub fn why(name: &str, catalogue: &Catalogue, offers: &[Offer], at: Timestamp) -> Option<String> {
    let asked = ModelName::parse(name);
    let at_kind = |provider: &ProviderSheet| asked.provider.is_none_or(|kind| kind == provider.kind);
    let sellers: Vec<(&str, &ModelSheet, bool)> = catalogue
        .providers
        .iter()
        .filter(|provider| at_kind(provider))
        .flat_map(|provider| {
            let models = provider.models.iter().filter(|model| asked.names(model));
            let sold = |model: &ModelSheet| model.sheet.unknown.is_none() && !model.draws_lines();
            models.map(move |model| {
                (provider.kind.as_str(), &**model, !provider.serves.is_empty() && sold(model))
            })
        })
        .collect();
    let kinds = |wanted: &dyn Fn(&ModelSheet, bool) -> bool| {
        let found = sellers.iter().filter(|(_, model, served)| wanted(model, *served));
        let mut kinds: Vec<&str> = found.map(|(kind, ..)| *kind).collect();
        kinds.truncate(SELLERS_MAX);
        kinds.join(", ")
    };
    if sellers.is_empty() {
        let sold_here = offers.iter().any(|offer| offer.model.is_named(asked.model));
        let models = catalogue.providers.iter().filter(|provider| at_kind(provider));
        let models = models.flat_map(|provider| provider.models.iter().map(|model| &**model));
        let lacking = lacking_version(asked, models, at).filter(|_| !sold_here)?;
        return Some(format!("At no provider is there that version: {lacking}."));
    }
    let served = kinds(&|_, served| served);
    if !served.is_empty() {
        return Some(format!(
            "The model '{name}' is made by {served}, and no such provider that has it is on at this gateway."
        ));
    }
    let all = kinds(&|_, _| true);
    if let Some(why) = sellers.iter().find_map(|(_, model, _)| model.sheet.unknown.as_deref())
        && sellers.iter().all(|(_, model, _)| model.sheet.unknown.is_some())
    {
        return Some(format!("The model '{name}' is known ({all}), but its price is not: {why}."));
    }
    let all = kinds(&|model, _| model.sheet.unknown.is_none());
    Some(match sellers.iter().all(|(_, model, _)| model.draws_lines()) {
        true => format!(
            "The model '{name}' answers with svg, a drawing of lines: its price is known ({all}), but this gateway \
             delivers pictures in pixels alone (png, jpeg, webp) and cannot order it."
        ),
        false => {
            format!(
                "The model '{name}' is known by its price alone ({all}): this gateway cannot order it yet."
            )
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{OFFERS, now};

    fn told(name: &str) -> Option<String> {
        why(name, &Catalogue::embedded(), &[], now())
    }

    #[test]
    fn a_drawing_of_lines_is_refused_for_its_format() {
        for name in ["recraft-v4.1-vector", "recraft/recraft-v4.1-vector", "recraft-v4.1-svg"] {
            let told = told(name).expect("it has a price");
            assert!(told.contains("answers with svg") && told.contains("png, jpeg, webp"), "{told}");
            assert!(told.contains("recraft"), "{told}");
        }
    }

    #[test]
    fn a_model_that_has_a_price_alone_is_told_from_one_that_nobody_knows() {
        let told_of = told("qwen-image-3.0-pro").expect("it has a price");
        assert!(told_of.contains("known by its price alone (") && told_of.contains("qwen"), "{told_of}");
        assert_eq!(told("qwen-image-4711"), None);
        assert_eq!(told("xai/qwen-image-3.0-pro"), None, "not from there");
    }

    #[test]
    fn a_model_without_a_known_price_is_told_with_the_reason() {
        let told = told("wan2.6-t2i").expect("the catalogue knows it");
        assert!(told.contains("(qwen), but its price is not: the sheet"), "{told}");
        let of_bfl = self::told("bfl/flux-2-dev").expect("the catalogue knows it");
        assert!(of_bfl.contains("but its price is not: BFL gives the weights away"), "{of_bfl}");
    }

    #[test]
    fn a_model_of_a_provider_that_is_not_on_names_the_provider() {
        let told = told("flux-2-pro").expect("it has a price");
        assert!(told.contains("made by bfl, fal") && told.contains("is on at this gateway"), "{told}");
    }

    #[test]
    fn a_version_that_a_model_lacks_is_told_once_and_nobody_is_said_to_be_off() {
        let lacks = told("gpt-image-2@9999").expect("the model has a price");
        assert!(lacks.contains("gpt-image-2 has no version 9999, but 2026-04-21"), "{lacks}");
        assert_eq!(
            why("gpt-image-2@9999", &Catalogue::embedded(), &OFFERS, now()),
            None,
            "the offers tell it"
        );
        let elsewhere = why("gpt-image-1@2025-04-15", &Catalogue::embedded(), &OFFERS, now());
        assert!(elsewhere.expect("azure has it").contains("known by its price alone (azure)"));
    }
}
