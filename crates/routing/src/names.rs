//! What a model name means: a route, a model on any host, a pinned host, a pinned version, a pinned tier.
//!
//! The forms are those of offer ids, `provider/model[@version][#tier]`, with the provider left out for any
//! host. Every part counts: a name with a part that nothing answers to is unknown.

use crate::nearest::nearest;
use gallerist_pricing::Offer;

/// The route that always exists.
pub const AUTO: &str = "auto";

/// A name, understood. Borrowed from the request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// `auto`: every offer.
    Route(&'a str),
    /// A model on any host, or on one.
    Model { provider: Option<&'a str>, model: &'a str, version: Option<&'a str>, tier: Option<&'a str> },
}

impl Target<'_> {
    pub fn is_route(&self) -> bool {
        matches!(self, Target::Route(_))
    }

    /// Whether the name speaks of one service tier.
    pub fn names_tier(&self) -> bool {
        matches!(self, Target::Model { tier: Some(_), .. })
    }

    /// Whether the offer is one of those that the name speaks of.
    pub fn speaks_of(&self, offer: &Offer) -> bool {
        match self {
            Target::Route(_) => true,
            Target::Model { provider, model, version, tier } => {
                let has = |version| offer.model.versions.iter().any(|(known, _)| known == version);
                provider.is_none_or(|provider| offer.id.provider == provider)
                    && tier.is_none_or(|tier| offer.id.tier == tier)
                    && offer.model.is_named(model)
                    && version.is_none_or(has)
            }
        }
    }
}

/// A name that nothing answers to, with the nearest that do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownModel {
    pub name: String,
    pub nearest: Vec<String>,
}

/// Understands a name.
///
/// # Errors
/// [`UnknownModel`] when no offer answers to it.
pub fn target<'a>(name: &'a str, offers: &[Offer]) -> Result<Target<'a>, UnknownModel> {
    if name == AUTO {
        return Ok(Target::Route(name));
    }
    let (name_without_tier, tier) = match name.split_once('#') {
        Some((rest, tier)) => (rest, Some(tier)),
        None => (name, None),
    };
    let (rest, version) = match name_without_tier.split_once('@') {
        Some((rest, version)) => (rest, Some(version)),
        None => (name_without_tier, None),
    };
    let (provider, model) = match rest.split_once('/') {
        Some((provider, model)) => (Some(provider), model),
        None => (None, rest),
    };
    let target = Target::Model { provider, model, version, tier };
    if offers.iter().any(|offer| target.speaks_of(offer)) { Ok(target) } else { Err(unknown(name, offers)) }
}

/// Longest part of an unknown name that is repeated.
const NAME_CHARACTERS_MAX: usize = 80;
/// Nearest names that are told.
const NEAREST_MAX: usize = 3;

fn unknown(name: &str, offers: &[Offer]) -> UnknownModel {
    let name: String = name.chars().take(NAME_CHARACTERS_MAX).collect();
    let mut known = vec![AUTO.to_owned()];
    // What is gone, or soon will be, is no good advice.
    for offer in offers.iter().filter(|offer| offer.model.lifecycle.retires_on.is_none()) {
        known.push(offer.model.id.clone());
        if name.contains('/') {
            known.push(offer.id.to_string());
        }
        if name.contains('@') {
            known.extend(
                offer.model.versions.iter().map(|(version, _)| format!("{}@{version}", offer.model.id)),
            );
        }
    }
    UnknownModel { nearest: nearest(&name, known, NEAREST_MAX), name }
}

#[cfg(test)]
mod tests;
