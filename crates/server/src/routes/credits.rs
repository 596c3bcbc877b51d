//! Prepaid credits for the admin key: purchases, lots, what becomes of them.

use crate::auth;
use crate::credits::{
    AdjustmentWish, BalanceWish, LotShown, LotWish, balance_list, forecast_shown, lot_list, unknown_provider,
};
use crate::failure::Failure;
use crate::routes::parameters::{PathPart, body, json, no_content};
use crate::state::AppState;
use axum::extract::{Request, State};
use axum::response::Response;
use gallerist_domain::LotId;
use gallerist_engine::credits::forecasts;
use gallerist_pricing::ProviderSheet;
use gallerist_pricing::credits::RECENT_DAYS;
use gallerist_store::{Adjustment, StoreError};
use http::{HeaderMap, StatusCode};
use std::sync::Arc;

pub(crate) async fn list(State(state): State<AppState>, headers: HeaderMap) -> Result<Response, Failure> {
    auth::authenticate_admin(&state, &headers)?;
    let lots = state.engine().store().lots().await?;
    Ok(json(StatusCode::OK, &lot_list(&lots, &state.engine().balances())))
}

/// `{"provider","credits","price_usd"}`, and where they matter `"currency"`, `"fee_percent"`,
/// `"fee_minimum_usd"`, `"purchased_at"`, `"expires_at"`.
pub(crate) async fn create(State(state): State<AppState>, request: Request) -> Result<Response, Failure> {
    let key = auth::authenticate_admin(&state, request.headers())?;
    let wish: LotWish = body(&state, request).await?;
    let engine = state.engine();
    let now = engine.clock().now();
    let sheet = sheet(&state, &wish.provider).await?;
    let lot = wish.lot(&sheet, now).map_err(|(name, message)| Failure::invalid(name, message))?;
    let id = LotId::generate();
    state.store_for(&key).add_lot(id, lot, now).await?;
    // What is routed next knows of it.
    engine.refresh_insight().await;
    let lots = engine.store().lots().await?;
    let made = lots.iter().find(|record| record.id == id);
    let made = made.ok_or_else(|| Failure::not_found("There is no such lot."))?;
    Ok(json(StatusCode::CREATED, &LotShown::from(made)))
}

/// Takes back the entry of a lot of which nothing was used.
pub(crate) async fn remove(
    State(state): State<AppState>,
    PathPart(id): PathPart<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let admin = auth::authenticate_admin(&state, &headers)?;
    let id: LotId = id.parse().map_err(|_| Failure::not_found("There is no such lot of credits."))?;
    let engine = state.engine();
    state.store_for(&admin).remove_lot(id, engine.clock().now()).await?;
    // What is routed next knows of it.
    engine.refresh_insight().await;
    Ok(no_content())
}

/// `{"provider", "use": credits}` for what was used outside of the gateway, or `{"provider", "balance": credits}`
/// for what the provider says is left; with `"note"`. Answers all lots.
pub(crate) async fn adjust(State(state): State<AppState>, request: Request) -> Result<Response, Failure> {
    let admin = auth::authenticate_admin(&state, request.headers())?;
    let wish: AdjustmentWish = body(&state, request).await?;
    let adjustment = wish.adjustment().map_err(|(name, message)| Failure::invalid(name, message))?;
    let engine = state.engine();
    let known = engine.store().lots().await?;
    if !known.iter().any(|record| record.lot.provider == wish.provider) {
        sheet(&state, &wish.provider).await?;
    }
    let parameter = adjustment_parameter(adjustment);
    let store = state.store_for(&admin);
    let adjusted = store.adjust_credits(&wish.provider, adjustment, &wish.note, engine.clock().now()).await;
    adjusted.map_err(|error| match error {
        StoreError::Invalid(message) => Failure::invalid(parameter, format!("{message}.")),
        error => error.into(),
    })?;
    engine.refresh_insight().await;
    Ok(json(StatusCode::CREATED, &lot_list(&engine.store().lots().await?, &engine.balances())))
}

/// Asks providers now what is left: `{"provider"?}`; with `"apply": true` the provider's difference is booked as
/// `balance` of [`adjust`], with `"note"`.
pub(crate) async fn balances(State(state): State<AppState>, request: Request) -> Result<Response, Failure> {
    let admin = auth::authenticate_admin(&state, request.headers())?;
    let wish: BalanceWish = body(&state, request).await?;
    let invalid = |(name, message)| Failure::invalid(name, message);
    let applied = wish.applied().map_err(invalid)?;
    let engine = state.engine();
    let readings = engine.read_balances(wish.provider.as_deref()).await?;
    if let (Some(provider), true) = (&wish.provider, readings.is_empty()) {
        let message = format!("{provider} is not configured, or does not tell what is left.");
        return Err(Failure::invalid("provider", message));
    }
    let Some(provider) = applied else { return Ok(json(StatusCode::OK, &balance_list(&readings))) };
    if let Some((adjustment, note)) = wish.adjustment(provider, &readings).map_err(invalid)? {
        let store = state.store_for(&admin);
        store.adjust_credits(provider, adjustment, &note, engine.clock().now()).await?;
        engine.refresh_insight().await;
    }
    let after = engine.read_balances(Some(provider)).await?;
    Ok(json(StatusCode::OK, &balance_list(&after)))
}

pub(crate) async fn forecast(State(state): State<AppState>, headers: HeaderMap) -> Result<Response, Failure> {
    auth::authenticate_admin(&state, &headers)?;
    let (store, now) = (state.engine().store(), state.engine().clock().now());
    let lots = store.lots().await?;
    let charges = store.daily_charges(RECENT_DAYS, now).await?;
    let (market, catalogue) = (state.engine().market(), state.whole_catalogue().await);
    let sheet = |provider: &str| {
        let configured = market.offers.iter().find(|offer| offer.id.provider == provider);
        configured.map(|offer| &offer.provider).or_else(|| catalogue.provider(provider)).map(|sheet| &**sheet)
    };
    Ok(json(StatusCode::OK, &forecast_shown(&forecasts(&lots, &charges, now), sheet, now)))
}

/// The prices of a configured provider, else of the kind of that name.
async fn sheet(state: &AppState, provider: &str) -> Result<Arc<ProviderSheet>, Failure> {
    let market = state.engine().market();
    if let Some(offer) = market.offers.iter().find(|offer| offer.id.provider == provider) {
        return Ok(Arc::clone(&offer.provider));
    }
    let catalogue = state.whole_catalogue().await;
    let found = catalogue.provider(provider).cloned();
    found.ok_or_else(|| {
        let configured = market.offers.iter().map(|offer| offer.id.provider.clone());
        let kinds = catalogue.providers.iter().map(|sheet| sheet.kind.clone());
        let (name, message) = unknown_provider(provider, configured.chain(kinds));
        Failure::invalid(name, message)
    })
}

/// The field that says it.
fn adjustment_parameter(adjustment: Adjustment) -> &'static str {
    match adjustment {
        Adjustment::Use(_) => "use",
        Adjustment::Balance(_) => "balance",
    }
}
