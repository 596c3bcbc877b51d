//! The names that the settings add to those of the catalogue: routes, and migrations of names that are gone.

use crate::names::{ModelName, Target};
use crate::route::{AUTO, Route};
use gallerist_pricing::Offer;
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Routes and migrations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NameBook {
    /// `auto` is always among them, first.
    routes: Vec<Route>,
    /// From a name that is gone to the one that takes its place.
    migrations: BTreeMap<String, String>,
}

impl Default for NameBook {
    fn default() -> NameBook {
        NameBook::new(Vec::new(), BTreeMap::new())
    }
}

/// `auto` as it is without settings, and no migration.
pub static PLAIN: LazyLock<NameBook> = LazyLock::new(NameBook::default);

impl NameBook {
    /// `auto` is added where it is missing.
    pub fn new(mut routes: Vec<Route>, migrations: BTreeMap<String, String>) -> NameBook {
        match routes.iter().position(|route| route.name == AUTO) {
            Some(at) => routes[..=at].rotate_right(1),
            None => routes.insert(0, Route::named(AUTO)),
        }
        NameBook { routes, migrations }
    }

    /// `auto` first.
    pub fn routes(&self) -> &[Route] {
        &self.routes
    }

    pub fn route(&self, name: &str) -> Option<&Route> {
        self.routes.iter().find(|route| route.name == name)
    }

    /// The migrations as they are written.
    pub fn migrations(&self) -> impl Iterator<Item = (&str, &str)> {
        self.migrations.iter().map(|(from, to)| (from.as_str(), to.as_str()))
    }

    /// The migrations that speak of a name, whether they are needed or not; the most particular first. A
    /// migration of a model is also one of its versions and of its aliases, on each of its hosts.
    pub fn migrations_of(&self, name: ModelName<'_>, offers: &[Offer]) -> Vec<(&str, &str)> {
        let same_part = |key: Option<&str>, asked: Option<&str>| key.is_none() || key == asked;
        let name = in_full(name, offers);
        let mut covering: Vec<(&str, &str)> = self
            .migrations()
            .filter(|(key, _)| {
                let key = in_full(ModelName::parse(key), offers);
                same_part(key.provider, name.provider)
                    && same_part(key.version, name.version)
                    && same_part(key.tier, name.tier)
                    && same_model(key.model, name.model, offers)
            })
            .collect();
        let particular = |key: &str| {
            let key = ModelName::parse(key);
            (key.tier.is_some(), key.version.is_some(), key.provider.is_some(), key.model == name.model)
        };
        covering.sort_by_key(|(key, _)| std::cmp::Reverse(particular(key)));
        covering
    }

    /// Where a name that is gone leads; `None` where no migration of it is in force. What the name pins and
    /// the migration does not speak of stays pinned.
    pub(crate) fn follow<'a>(
        &'a self,
        asked: ModelName<'a>,
        offers: &[Offer],
        at: Timestamp,
    ) -> Option<Target<'a>> {
        let covering = self.migrations_of(asked, offers).into_iter();
        let mut in_force = covering.filter(|(key, _)| !ModelName::parse(key).works(offers, at));
        in_force.find_map(|(key, value)| {
            let key = ModelName::parse(key);
            if let Some(route) = self.route(value) {
                let loses_a_pin = key.provider.is_none() && asked.provider.is_some();
                return (!loses_a_pin).then_some(Target::Route(route));
            }
            let value = ModelName::parse(value);
            let pinned = asked.provider.filter(|_| key.provider.is_none());
            if pinned.is_some() && value.provider.is_some() && value.provider != pinned {
                return None;
            }
            let pinned_tier = asked.tier.filter(|_| key.tier.is_none());
            Some(Target::Model(ModelName {
                provider: value.provider.or(pinned),
                tier: value.tier.or(pinned_tier),
                ..value
            }))
        })
    }
}

/// The name with its version apart, where it is a vendor's own id of one (`gpt-image-2-2026-04-21`).
fn in_full<'n>(name: ModelName<'n>, offers: &'n [Offer]) -> ModelName<'n> {
    let found = offers.iter().find_map(|offer| Some((&offer.model.id, name.version_of(&offer.model)?)));
    found.map_or(name, |(model, version)| ModelName {
        model: if name.version.is_some() { name.model } else { model },
        version: Some(version),
        ..name
    })
}

/// Whether two words name one model; the catalogue may know several for it.
fn same_model(one: &str, other: &str, offers: &[Offer]) -> bool {
    one == other || offers.iter().any(|offer| offer.model.is_named(one) && offer.model.is_named(other))
}

#[cfg(test)]
mod tests;
