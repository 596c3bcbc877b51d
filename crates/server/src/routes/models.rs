//! `GET /v1/models`: `auto` and the other routes, the canonical models, and each model at each provider that is on.

use crate::auth;
use crate::failure::Failure;
use crate::intake;
use crate::routes::parameters::{PathPart, json};
use crate::state::AppState;
use axum::extract::{Request, State};
use axum::response::Response;
use gallerist_domain::Grants;
use gallerist_pricing::Offer;
use gallerist_routing::{NameBook, Target};
use gallerist_store::KeyRecord;
use http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use std::sync::Arc;

/// Who owns a route.
const OURS: &str = "gallerist";

#[derive(Debug, Serialize)]
struct Model {
    id: String,
    object: &'static str,
    /// Seconds since 1970: the day to which the catalogue's entry was checked.
    created: i64,
    owned_by: String,
}

#[derive(Serialize)]
struct List {
    object: &'static str,
    data: Vec<Model>,
}

pub(crate) async fn list(State(state): State<AppState>, request: Request) -> Response {
    match checked(&state, request).await {
        Ok(key) => {
            let engine = state.engine();
            let (names, grants) = (engine.names(), &key.allowance.grants);
            let data = models(names, &engine.market().offers, grants, engine.clock().now());
            json(StatusCode::OK, &List { object: "list", data })
        }
        Err(failure) => failure.openai(),
    }
}

pub(crate) async fn show(
    State(state): State<AppState>,
    PathPart(id): PathPart<String>,
    request: Request,
) -> Response {
    let key = match checked(&state, request).await {
        Ok(key) => key,
        Err(failure) => return failure.openai(),
    };
    let grants = &key.allowance.grants;
    let engine = state.engine();
    let (market, names, now) = (engine.market(), engine.names(), engine.clock().now());
    let offers = market.offers.as_slice();
    let found = models(names, offers, grants, now).into_iter().find(|model| model.id == id);
    match found.or_else(|| alias(names, offers, &id, grants, now)) {
        Some(model) => json(StatusCode::OK, &model),
        None => {
            let short: String = id.chars().take(80).collect();
            let nearest = match gallerist_routing::target(&id, names, offers, now) {
                Err(unknown) => {
                    let partly = unknown.partly.map(|partly| format!(" {partly}.")).unwrap_or_default();
                    format!("{partly} The nearest are: {}.", unknown.nearest.join(", "))
                }
                Ok(_) => String::new(),
            };
            let message =
                format!("There is no model {short:?}.{nearest} GET /v1/models lists all that there are.");
            let failure = Failure::new(StatusCode::NOT_FOUND, "model_not_found", message);
            let failure = Failure { parameter: Some("model".to_owned()), ..failure };
            explained(&state, &id, failure).await.openai()
        }
    }
}

/// A name that the catalogue knows and nobody who is on sells is told from one that nobody knows.
pub(crate) async fn explained(state: &AppState, model: &str, failure: Failure) -> Failure {
    if failure.code != "model_not_found" {
        return failure;
    }
    let catalogue = state.whole_catalogue().await;
    let (market, now) = (state.engine().market(), state.engine().clock().now());
    match gallerist_routing::unsold::why(model, &catalogue, &market.offers, now) {
        Some(why) => Failure { message: format!("{} {why}", failure.message), ..failure },
        None => failure,
    }
}

async fn checked(state: &AppState, request: Request) -> Result<Arc<KeyRecord>, Failure> {
    let (parts, body) = request.into_parts();
    intake::drain(&parts.headers, body, state.settings().body_bytes_max).await;
    auth::authenticate(state, &parts.headers)
}

/// What a key with these grants may ask for by name.
fn models(names: &NameBook, offers: &[Offer], grants: &Grants, now: Timestamp) -> Vec<Model> {
    let on = || offers.iter().filter(move |offer| is_on(offer, now) && allowed(offer, grants));
    let oldest = on().map(created).min().unwrap_or(0);
    let route = |name: &str| Model {
        id: name.to_owned(),
        object: "model",
        created: oldest,
        owned_by: OURS.to_owned(),
    };
    let routes = names.routes().iter().filter(|known| grants.allow_route(&known.name));
    let mut models: Vec<Model> = routes.map(|known| route(&known.name)).collect();
    for offer in on() {
        match models.iter_mut().find(|model| model.id == offer.model.id) {
            // The maker owns its model, whoever else hosts it.
            Some(model) if offer.model.maker => model.owned_by.clone_from(&offer.provider.kind),
            Some(_) => {}
            None => models.push(entry(offer.model.id.clone(), offer.provider.kind.clone(), offer)),
        }
    }
    models.extend(on().map(|offer| entry(offer.id.to_string(), offer.id.provider.clone(), offer)));
    models
}

fn allowed(offer: &Offer, grants: &Grants) -> bool {
    grants.allow_provider(&offer.id.provider) && grants.allow_model(|name| offer.model.is_named(name))
}

/// What answers to a name that the list does not have: an alias, a pinned version, a name that was migrated.
fn alias(names: &NameBook, offers: &[Offer], id: &str, grants: &Grants, now: Timestamp) -> Option<Model> {
    let target = gallerist_routing::target(id, names, offers, now).ok()?.target;
    if target.route().is_some_and(|route| !grants.allow_route(&route.name)) {
        return None;
    }
    let fits = |offer: &&Offer| is_on(offer, now) && allowed(offer, grants) && target.speaks_of(offer);
    let offer = offers.iter().find(fits)?;
    let owner = match target {
        Target::Route(_) => OURS,
        Target::Model(_) => &offer.provider.kind,
    };
    Some(entry(id.to_owned(), owner.to_owned(), offer))
}

fn entry(id: String, owned_by: String, offer: &Offer) -> Model {
    Model { id, object: "model", created: created(offer), owned_by }
}

fn created(offer: &Offer) -> i64 {
    let midnight = offer.model.source.date.to_zoned(jiff::tz::TimeZone::UTC);
    midnight.map_or(0, |midnight| midnight.timestamp().as_second())
}

/// Whether a name and a prompt are enough to have a picture from it today.
fn is_on(offer: &Offer, now: Timestamp) -> bool {
    offer.model.lifecycle.switched_off.is_none()
        && offer.model.sheet.unknown.is_none()
        && offer.not_released(now).is_none()
        && !offer.is_retired(now)
        && offer.model.capabilities.options_required.is_empty()
}

#[cfg(test)]
mod tests {
    use super::*;
    use gallerist_pricing::{Catalogue, offer::ConfiguredProvider, offer::served_offers};
    use gallerist_routing::Route;
    use std::collections::BTreeMap;

    #[test]
    fn every_model_is_listed_once_bare_and_once_per_provider() {
        let catalogue = Catalogue::embedded();
        let providers: Vec<_> = catalogue
            .providers
            .iter()
            .map(|sheet| ConfiguredProvider::new(&sheet.kind, &sheet.kind))
            .collect();
        let offers = served_offers(&catalogue, &providers);
        let now = "2026-11-25T00:00:00Z".parse().unwrap();
        let names = NameBook::new(vec![Route::named("thumbs")], BTreeMap::new());
        let models = models(&names, &offers, Grants::ALL, now);
        assert_eq!((models[0].id.as_str(), models[1].id.as_str()), ("auto", "thumbs"));
        assert!(models[..2].iter().all(|route| route.owned_by == "gallerist"));
        let mut ids: Vec<_> = models.iter().map(|model| model.id.as_str()).collect();
        ids.sort_unstable();
        let count = ids.len();
        ids.dedup();
        assert_eq!(ids.len(), count, "no id twice");
        let on = offers.iter().filter(|offer| is_on(offer, now)).count();
        assert_eq!(models.iter().filter(|model| model.id.contains('/')).count(), on);
        assert!(models.iter().all(|model| model.created > 1_700_000_000));
        // These want an option or a LoRA besides the prompt.
        for name in ["flux-1.1-pro-ultra-finetuned", "flux-1-dev-lora"] {
            assert!(!ids.contains(&name), "{name} cannot be ordered by its name");
        }
        assert!(!ids.contains(&"bfl/flux-2-dev"), "nobody knows what it costs");
    }
}
