//! `[routes.NAME]` and `[migrations]`: the names that the settings add, checked against the catalogue.
//!
//! What is plainly a slip is a mistake; what the calendar brings about (a migration that is not needed yet, or
//! whose end is gone itself) is a remark, so that no gateway refuses to start on the day a model retires.

use super::providers::{everything, is_name};
use super::typed::{Typed, TypedChoice, TypedRoute, Written};
use super::{Mistakes, amount, depth, offer_id};
use gallerist_domain::{Objective, QualityClass, TierChoice};
use gallerist_engine::ProviderSettings;
use gallerist_pricing::{Catalogue, Offer, offers};
use gallerist_routing::{Member, ModelName, NameBook, Route, Target};
use jiff::Timestamp;
use std::collections::BTreeMap;

/// What names are checked against.
struct Known<'a> {
    catalogue: &'a Catalogue,
    providers: &'a [ProviderSettings],
    /// Of every kind and every configured provider.
    all: &'a [Offer],
    /// Of the configured providers; of all where none is configured, as for a quote without keys.
    on: &'a [Offer],
    now: Timestamp,
}

/// Checks routes and migrations. `on` are the offers of the configured providers.
pub(super) fn names(
    typed: &Typed,
    catalogue: &Catalogue,
    providers: &[ProviderSettings],
    on: &[Offer],
    mistakes: &mut Mistakes,
    remarks: &mut Vec<String>,
) -> NameBook {
    if typed.routes.is_empty() && typed.migrations.is_empty() {
        return NameBook::default();
    }
    let all = offers(catalogue, &everything(catalogue, providers));
    let now = Timestamp::now();
    let known = Known { catalogue, providers, on: if on.is_empty() { &all } else { on }, all: &all, now };
    let routes: Vec<Route> =
        typed.routes.iter().map(|written| known.route(written, mistakes, remarks)).collect();
    let migrations: BTreeMap<String, String> =
        typed.migrations.iter().map(|(from, to)| (from.clone(), to.value.clone())).collect();
    let book = NameBook::new(routes, migrations);
    for (from, to) in &typed.migrations {
        known.check_migration(&book, from, to, mistakes, remarks);
    }
    book
}

impl Known<'_> {
    fn route(&self, written: &TypedRoute, mistakes: &mut Mistakes, remarks: &mut Vec<String>) -> Route {
        let name = &written.name;
        self.check_name(written, mistakes);
        let (models_only, models_exclude) = self.models(written.models.as_ref(), mistakes);
        let (providers_only, providers_exclude) = self.providers(written.providers.as_ref(), mistakes);
        let route = Route {
            name: name.clone(),
            models_only,
            models_exclude,
            providers_only,
            providers_exclude,
            objective: word(
                &written.objective,
                "objective",
                Objective::from_word,
                &Objective::words(),
                mistakes,
            ),
            class: word(&written.class, "class", QualityClass::from_word, &QualityClass::words(), mistakes),
            tier: word(&written.tier, "tier", TierChoice::from_word, &TierChoice::words(), mistakes)
                .unwrap_or(TierChoice::Auto),
            max_cost: amount(written.max_cost_usd.as_ref(), "max_cost_usd", mistakes),
            check: depth(written.check.as_ref(), mistakes),
            moderation_failover: written.moderation_failover.as_ref().map(|written| written.value),
            baseline: offer_id(written.baseline.as_ref(), self.catalogue, self.providers, mistakes),
        };
        if !self.on.iter().any(|offer| route.allows(offer)) {
            remarks.push(format!("route {name:?} allows no offer of the providers that are on"));
        }
        route
    }

    fn check_name(&self, written: &TypedRoute, mistakes: &mut Mistakes) {
        let name = &written.name;
        if !is_name(name) {
            let message =
                format!("a route's name has 1 to 64 characters out of a-z, 0-9, - and _, not {name:?}");
            mistakes.add(&written.place, message);
        } else if let Some(offer) = self.all.iter().find(|offer| offer.model.is_named(name)) {
            let model = &offer.model.id;
            mistakes.add(
                &written.place,
                format!("{name:?} is a model already ({model}): call the route otherwise"),
            );
        }
    }

    fn models(
        &self,
        written: Option<&Written<TypedChoice>>,
        mistakes: &mut Mistakes,
    ) -> (Vec<Member>, Vec<Member>) {
        let Some(written) = written else { return Default::default() };
        let TypedChoice { only, exclude } = &written.value;
        for text in only.iter().chain(exclude) {
            let name = ModelName::parse(text);
            if !self.all.iter().any(|offer| name.speaks_of(offer)) {
                let nearest = self.nearest(text);
                mistakes.add(
                    &written.place,
                    format!("models: the catalogue has no {text:?}; the nearest are {nearest}"),
                );
            }
        }
        let pins = |text: &&String| {
            let name = ModelName::parse(text);
            // The maker's own id of a version is one too.
            let by_id =
                |offer: &Offer| name.speaks_of(offer) && Target::Model(name).version_at(offer).is_some();
            name.version.is_some() || self.all.iter().any(by_id)
        };
        for text in exclude.iter().filter(pins) {
            let advice = "a version is not sold apart; name the model";
            mistakes.add(&written.place, format!("models: {text:?} cannot be excluded: {advice}"));
        }
        let members = |list: &[String]| list.iter().map(|text| Member::parse(text)).collect();
        (members(only), members(exclude))
    }

    fn providers(
        &self,
        written: Option<&Written<TypedChoice>>,
        mistakes: &mut Mistakes,
    ) -> (Vec<String>, Vec<String>) {
        let Some(written) = written else { return Default::default() };
        let TypedChoice { only, exclude } = &written.value;
        for name in only.iter().chain(exclude) {
            let configured = self.providers.iter().any(|provider| provider.name == *name);
            if !configured && self.catalogue.provider(name).is_none() {
                let names: Vec<&str> = self.providers.iter().map(|provider| provider.name.as_str()).collect();
                let message =
                    format!("providers: there is no provider {name:?}; on are {}", names.join(", "));
                mistakes.add(&written.place, message);
            }
        }
        (only.clone(), exclude.clone())
    }

    fn nearest(&self, text: &str) -> String {
        let plain = NameBook::default();
        match gallerist_routing::target(text, &plain, self.all, self.now) {
            Err(unknown) => unknown.nearest.join(", "),
            Ok(named) => named.target.to_string(),
        }
    }

    fn check_migration(
        &self,
        book: &NameBook,
        from: &str,
        to: &Written<String>,
        mistakes: &mut Mistakes,
        remarks: &mut Vec<String>,
    ) {
        let target = ModelName::parse(&to.value);
        if book.route(from).is_some() {
            mistakes.add(&to.place, format!("migrations: {from:?} is a route, which is never gone"));
            return;
        }
        let path = self.path(book, from);
        match path.as_slice() {
            [.., last] if path[..path.len() - 1].contains(last) => {
                mistakes.add(&to.place, format!("migrations: a circle: {}", path.join(" → ")));
                return;
            }
            [_, _, .., last] if path.len() > 2 => {
                let advice = format!("write {from:?} = {last:?}");
                mistakes.add(&to.place, format!("migrations: a chain: {}: {advice}", path.join(" → ")));
                return;
            }
            _ => {}
        }
        if book.route(&to.value).is_none() && !self.all.iter().any(|offer| target.speaks_of(offer)) {
            let nearest = self.nearest(&to.value);
            let message =
                format!("migrations: the catalogue has no {:?}; the nearest are {nearest}", to.value);
            mistakes.add(&to.place, message);
        } else if ModelName::parse(from).works(self.on, self.now) {
            remarks.push(format!("the migration of {from} is not followed: {from} still works"));
        } else if book.route(&to.value).is_none() && !target.works(self.all, self.now) {
            remarks.push(format!("the migration of {from} leads to {}, which is gone too", to.value));
        }
    }

    /// The names that a migration leads through, up to one that leads nowhere or was there before.
    fn path(&self, book: &NameBook, from: &str) -> Vec<String> {
        let mut path = vec![from.to_owned()];
        let mut next = book.migrations().find(|(key, _)| *key == from).map(|(_, to)| to);
        while let Some(to) = next {
            let seen = path.iter().any(|name| name == to);
            path.push(to.to_owned());
            if seen {
                break;
            }
            next = book.migrations_of(ModelName::parse(to), self.all).first().map(|(_, to)| *to);
        }
        path
    }
}

fn word<T>(
    written: &Option<Written<String>>,
    field: &str,
    read: impl Fn(&str) -> Option<T>,
    words: &str,
    mistakes: &mut Mistakes,
) -> Option<T> {
    let written = written.as_ref()?;
    let word = read(&written.value);
    if word.is_none() {
        mistakes.add(&written.place, format!("{field} is one of {words}, not {:?}", written.value));
    }
    word
}
