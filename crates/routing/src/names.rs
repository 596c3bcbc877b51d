//! What a model name means: a route, a model on any host, a pinned host, a pinned version, a pinned tier; or
//! one that is gone and leads to another.
//!
//! The forms are those of offer ids, `provider/model[@version][#tier]`, with the provider left out for any
//! host. Every part counts: a name with a part that nothing answers to is unknown (`unknown.rs` says what of it is
//! known). A vendor's own id of a version is a name of that version.

mod unknown;

use crate::name_book::NameBook;
use crate::route::Route;
use gallerist_pricing::{ModelSheet, Offer};
use jiff::Timestamp;
use std::fmt;
use unknown::unknown;

pub(crate) use unknown::lacking_version;
pub use unknown::{Partly, UnknownModel};

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
        self.provider.is_none_or(|provider| offer.id.provider == provider)
            && self.tier.is_none_or(|tier| offer.id.tier == tier)
            && self.names(&offer.model)
    }

    /// Whether the model is the one that is named, whoever sells it.
    pub(crate) fn names(&self, model: &ModelSheet) -> bool {
        match model.is_named(self.model) {
            true => self.version.is_none() || self.version_of(model).is_some(),
            false => self.version_of(model).is_some(),
        }
    }

    /// The version that is pinned, as the catalogue has it: after an `@` by its name or the vendor's own id of it, or
    /// that id alone (`gpt-image-2-2026-04-21`).
    pub(crate) fn version_of<'m>(&self, model: &'m ModelSheet) -> Option<&'m str> {
        let mut versions = model.versions.iter();
        let found = match self.version {
            Some(asked) if model.is_named(self.model) => {
                versions.find(|(name, upstream)| name == asked || upstream == asked)
            }
            Some(_) => None,
            None if model.is_named(self.model) => None,
            None => versions.find(|(_, upstream)| upstream == self.model),
        };
        found.map(|(name, _)| name.as_str())
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

    /// The version that is pinned at this offer, as the catalogue names it.
    pub fn version_at<'o>(&self, offer: &'o Offer) -> Option<&'o str> {
        let name = match self {
            Target::Route(route) => route.name_at(offer)?,
            Target::Model(name) => *name,
        };
        name.version_of(&offer.model)
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
            ..unknown(&target.to_string(), name, (book, offers), at)
        }),
        None if known(&Target::Model(asked)) => named(Target::Model(asked), false),
        None => Err(unknown(name, name, (book, offers), at)),
    }
}

#[cfg(test)]
mod tests;
