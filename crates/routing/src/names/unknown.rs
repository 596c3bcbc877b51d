//! A name that nothing answers to: what of it is known all the same, and which names lie nearest.
//!
//! A model that is known at other hosts, at other tiers or in other versions is told from one that nobody knows.

use super::ModelName;
use crate::name_book::NameBook;
use crate::nearest::nearest;
use gallerist_pricing::{ModelSheet, Offer};
use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use std::fmt;

/// Longest part of an unknown name that is repeated, in characters.
const NAME_CHARACTERS_MAX: usize = 80;
/// Nearest names that are told.
const NEAREST_MAX: usize = 3;
/// Hosts, tiers or versions that are listed; the others are counted.
const LISTED_MAX: usize = 6;

/// A name that nothing answers to, with the nearest that do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownModel {
    pub name: String,
    /// Where a migration leads, to which nothing answers either.
    pub migrated_to: Option<String>,
    pub nearest: Vec<String>,
    /// What of it is known.
    pub partly: Option<Box<Partly>>,
}

/// What of an unknown name is known: the model is, and one part of the name is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Partly {
    /// Other hosts have the model.
    Host { model: String, asked: String, hosts: Vec<String> },
    /// It is sold at other tiers there.
    Tier { model: String, asked: String, tiers: Vec<String> },
    /// It has other versions, or none that can be pinned.
    Version {
        model: String,
        asked: String,
        versions: Vec<String>,
        /// The day that is set for its end, and whether that is past.
        retires: Option<(Date, bool)>,
        successors: Vec<String>,
    },
}

impl fmt::Display for Partly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Partly::Host { model, asked, hosts } => {
                write!(f, "{asked} does not have {model}, which is at {}", listed(hosts))
            }
            Partly::Tier { model, asked, tiers } => {
                write!(f, "{model} is not sold at the tier {asked} there, but at {}", listed(tiers))
            }
            Partly::Version { model, asked, versions, retires, successors } => {
                write!(f, "{model} has no version {asked}")?;
                match versions.is_empty() {
                    true => f.write_str(", nor another that could be pinned")?,
                    false => write!(f, ", but {}", listed(versions))?,
                }
                match retires {
                    Some((day, true)) => write!(f, "; it was retired on {day}")?,
                    Some((day, false)) => write!(f, "; it retires on {day}")?,
                    None => {}
                }
                match successors.is_empty() {
                    true => Ok(()),
                    false => write!(f, "; use {}", successors.join(" or ")),
                }
            }
        }
    }
}

fn listed(names: &[String]) -> String {
    let shown = names.iter().take(LISTED_MAX).map(String::as_str).collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(LISTED_MAX) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

/// `like` is what the nearest names are near to.
pub(super) fn unknown(
    like: &str,
    name: &str,
    (book, offers): (&NameBook, &[Offer]),
    at: Timestamp,
) -> UnknownModel {
    let asked = ModelName::parse(like);
    let partly = partly(asked, offers, at);
    let mut near = partly.as_ref().map_or_else(Vec::new, |partly| instead(like, asked, partly));
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
    known.retain(|one| !near.contains(one));
    near.extend(nearest(like, known, NEAREST_MAX.saturating_sub(near.len())));
    UnknownModel {
        name: name.chars().take(NAME_CHARACTERS_MAX).collect(),
        migrated_to: None,
        nearest: near,
        partly: partly.map(Box::new),
    }
}

/// The names to use instead, of what is known in part.
fn instead(like: &str, asked: ModelName<'_>, partly: &Partly) -> Vec<String> {
    let names: Vec<String> = match partly {
        Partly::Host { model, hosts, .. } => hosts.iter().map(|host| format!("{host}/{model}")).collect(),
        Partly::Tier { model, tiers, .. } => {
            let host = asked.provider.map(|provider| format!("{provider}/")).unwrap_or_default();
            tiers.iter().map(|tier| format!("{host}{model}#{tier}")).collect()
        }
        Partly::Version { successors, .. } if !successors.is_empty() => successors.clone(),
        Partly::Version { model, versions, .. } => {
            versions.iter().map(|version| format!("{model}@{version}")).collect()
        }
    };
    // Hosts have an order already, and successors that of the vendor's advice.
    let ordered = match partly {
        Partly::Host { .. } => true,
        Partly::Version { successors, .. } => !successors.is_empty(),
        Partly::Tier { .. } => false,
    };
    match ordered {
        true => names.into_iter().take(NEAREST_MAX).collect(),
        false => nearest(like, names, NEAREST_MAX),
    }
}

/// What of the name the offers know.
fn partly(asked: ModelName<'_>, offers: &[Offer], at: Timestamp) -> Option<Partly> {
    let here = |offer: &&Offer| asked.provider.is_none_or(|provider| offer.id.provider == provider);
    if let Some(found) = lacking_version(asked, offers.iter().filter(here).map(|offer| &*offer.model), at) {
        return Some(found);
    }
    let named = || offers.iter().filter(|offer| asked.names(&offer.model));
    let model = named().next()?.model.id.clone();
    let each = |names: &mut dyn Iterator<Item = &String>| {
        let mut found: Vec<String> = Vec::new();
        for name in names {
            if !found.contains(name) {
                found.push(name.clone());
            }
        }
        found
    };
    if let Some(asked) = asked.provider.filter(|_| !named().any(|offer| here(&offer))) {
        // Its maker first, then where it can be ordered.
        let mut hosts: Vec<&Offer> = named().collect();
        hosts.sort_by_key(|offer| (!offer.model.maker, offer.provider.serves.is_empty()));
        let hosts = each(&mut hosts.iter().map(|offer| &offer.id.provider));
        return Some(Partly::Host { model, asked: asked.to_owned(), hosts });
    }
    let tiers = each(&mut named().filter(here).map(|offer| &offer.id.tier));
    let asked = asked.tier.filter(|tier| !tiers.iter().any(|known| known == tier))?.to_owned();
    Some(Partly::Tier { model, asked, tiers })
}

/// That a model is known, and the version of the name is none of it.
pub(crate) fn lacking_version<'m>(
    asked: ModelName<'_>,
    models: impl Iterator<Item = &'m ModelSheet>,
    at: Timestamp,
) -> Option<Partly> {
    let version = asked.version?;
    let named: Vec<&ModelSheet> = models.filter(|model| model.is_named(asked.model)).collect();
    let first = *named.first()?;
    if named.iter().any(|model| asked.version_of(model).is_some()) {
        return None;
    }
    // What its maker says of its end is what counts.
    let ends = |model: &&&ModelSheet| model.lifecycle.retires_on.is_some();
    let said = named.iter().find(|model| model.maker).or_else(|| named.iter().find(ends));
    let lifecycle = &said.copied().unwrap_or(first).lifecycle;
    let today = at.to_zoned(TimeZone::UTC).date();
    let mut versions: Vec<String> = Vec::new();
    for (known, _) in named.iter().flat_map(|model| &model.versions) {
        if !versions.contains(known) {
            versions.push(known.clone());
        }
    }
    Some(Partly::Version {
        model: first.id.clone(),
        asked: version.chars().take(NAME_CHARACTERS_MAX).collect(),
        versions,
        retires: lifecycle.retires_on.map(|day| (day, day <= today)),
        successors: lifecycle.successors.clone(),
    })
}
