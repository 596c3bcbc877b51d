//! What a model name means: a route, a model on any host, a pinned host, a pinned version, a pinned tier; or
//! one that is gone and leads to another.
//!
//! The forms are those of offer ids, `provider/model[@version][#tier]`, with the provider left out for any
//! host. Every part counts: a name with a part that nothing answers to is unknown.

use crate::name_book::NameBook;
use crate::nearest::nearest;
use crate::route::Route;
use gallerist_pricing::Offer;
use jiff::Timestamp;
use std::fmt;

/// A name of models, taken apart: `[provider/]model[@version][#tier]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModelName<'a> {
    /// Absent for any host.
    pub provider: Option<&'a str>,
    /// Canonical, or an alias.
    pub model: &'a str,
    pub version: Option<&'a str>,
    pub tier: Option<&'a str>,
}

impl<'a> ModelName<'a> {
    /// Any text is a name; whether something answers to it is another question.
    pub fn parse(text: &'a str) -> ModelName<'a> {
        let (rest, tier) = match text.split_once('#') {
            Some((rest, tier)) => (rest, Some(tier)),
            None => (text, None),
        };
        let (rest, version) = match rest.split_once('@') {
            Some((rest, version)) => (rest, Some(version)),
            None => (rest, None),
        };
        let (provider, model) = match rest.split_once('/') {
            Some((provider, model)) => (Some(provider), model),
            None => (None, rest),
        };
        ModelName { provider, model, version, tier }
    }

    /// Whether the offer is one of those that the name speaks of.
    pub fn speaks_of(&self, offer: &Offer) -> bool {
        let has = |version| offer.model.versions.iter().any(|(known, _)| known == version);
        self.provider.is_none_or(|provider| offer.id.provider == provider)
            && self.tier.is_none_or(|tier| offer.id.tier == tier)
            && offer.model.is_named(self.model)
            && self.version.is_none_or(has)
    }

    /// Whether something that is not gone answers to it.
    pub fn works(&self, offers: &[Offer], at: Timestamp) -> bool {
        offers.iter().any(|offer| self.speaks_of(offer) && !offer.is_gone(at))
    }
}

impl fmt::Display for ModelName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(provider) = self.provider {
            write!(f, "{provider}/")?;
        }
        f.write_str(self.model)?;
        if let Some(version) = self.version {
            write!(f, "@{version}")?;
        }
        self.tier.map_or(Ok(()), |tier| write!(f, "#{tier}"))
    }
}

/// A name, understood. Borrowed from the request and the settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// Every offer that the route allows.
    Route(&'a Route),
    /// A model on any host, or on one.
    Model(ModelName<'a>),
}

impl<'a> Target<'a> {
    pub fn is_route(&self) -> bool {
        self.route().is_some()
    }

    pub fn route(&self) -> Option<&'a Route> {
        match self {
            Target::Route(route) => Some(route),
            Target::Model(_) => None,
        }
    }

    /// Whether the service tier of the offer is named.
    pub fn names_tier_of(&self, offer: &Offer) -> bool {
        match self {
            Target::Route(route) => route.names_tier_at(offer),
            Target::Model(name) => name.tier.is_some(),
        }
    }

    /// The version that is pinned at this offer.
    pub fn version_at(&self, offer: &Offer) -> Option<&'a str> {
        match self {
            Target::Route(route) => route.version_at(offer),
            Target::Model(name) => name.version,
        }
    }

    /// Whether the offer is one of those that the name speaks of.
    pub fn speaks_of(&self, offer: &Offer) -> bool {
        match self {
            Target::Route(route) => route.allows(offer),
            Target::Model(name) => name.speaks_of(offer),
        }
    }
}

impl fmt::Display for Target<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Target::Route(route) => f.write_str(&route.name),
            Target::Model(name) => name.fmt(f),
        }
    }
}

/// What a request calls for and where that leads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Named<'a> {
    /// The name as it was sent.
    pub requested: &'a str,
    pub target: Target<'a>,
    /// Whether the name is gone and a migration led to the target.
    pub migrated: bool,
}

/// A name that nothing answers to, with the nearest that do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownModel {
    pub name: String,
    /// Where a migration leads, to which nothing answers either.
    pub migrated_to: Option<String>,
    pub nearest: Vec<String>,
}

/// Understands a name at an instant. A name that is gone leads where a migration says.
///
/// # Errors
/// [`UnknownModel`] when no offer answers to it.
pub fn target<'a>(
    name: &'a str,
    book: &'a NameBook,
    offers: &[Offer],
    at: Timestamp,
) -> Result<Named<'a>, UnknownModel> {
    let named = |target, migrated| Ok(Named { requested: name, target, migrated });
    if let Some(route) = book.route(name) {
        return named(Target::Route(route), false);
    }
    let asked = ModelName::parse(name);
    if asked.works(offers, at) {
        return named(Target::Model(asked), false);
    }
    let known = |target: &Target<'_>| target.is_route() || offers.iter().any(|offer| target.speaks_of(offer));
    match book.follow(asked, offers, at) {
        Some(target) if known(&target) => named(target, true),
        Some(target) => Err(UnknownModel {
            migrated_to: Some(target.to_string()),
            ..unknown(&target.to_string(), name, book, offers)
        }),
        None if known(&Target::Model(asked)) => named(Target::Model(asked), false),
        None => Err(unknown(name, name, book, offers)),
    }
}

/// Longest part of an unknown name that is repeated.
const NAME_CHARACTERS_MAX: usize = 80;
/// Nearest names that are told.
const NEAREST_MAX: usize = 3;

/// `like` is what the nearest names are near to.
fn unknown(like: &str, name: &str, book: &NameBook, offers: &[Offer]) -> UnknownModel {
    let mut known: Vec<String> = book.routes().iter().map(|route| route.name.clone()).collect();
    // What is gone, or soon will be, is no good advice, nor what has no price.
    let good =
        |offer: &&Offer| offer.model.lifecycle.retires_on.is_none() && offer.model.sheet.unknown.is_none();
    for offer in offers.iter().filter(good) {
        known.push(offer.model.id.clone());
        if like.contains('/') {
            known.push(offer.id.to_string());
        }
        if like.contains('@') {
            known.extend(
                offer.model.versions.iter().map(|(version, _)| format!("{}@{version}", offer.model.id)),
            );
        }
    }
    UnknownModel {
        name: name.chars().take(NAME_CHARACTERS_MAX).collect(),
        migrated_to: None,
        nearest: nearest(like, known, NEAREST_MAX),
    }
}

#[cfg(test)]
mod tests;
