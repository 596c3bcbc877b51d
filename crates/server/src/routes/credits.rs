//! Prepaid credits for the admin key: purchases, lots, what becomes of them.

use crate::auth;
use crate::credits::{AdjustmentWish, LotShown, LotWish, forecast_shown, lot_list};
use crate::failure::Failure;
use crate::routes::parameters::{body, json};
use crate::state::AppState;
use axum::extract::{Request, State};
use axum::response::Response;
use gallerist_domain::LotId;
use gallerist_engine::credits::forecasts;
use gallerist_pricing::ProviderSheet;
use gallerist_pricing::credits::{LotError, PurchaseError, RECENT_DAYS};
use http::{HeaderMap, StatusCode};
use std::sync::Arc;

pub(crate) async fn list(State(state): State<AppState>, headers: HeaderMap) -> Result<Response, Failure> {
    auth::authenticate_admin(&state, &headers)?;
    let lots = state.engine().store().lots().await?;
    Ok(json(StatusCode::OK, &lot_list(&lots)))
}

/// `{"provider","credits","price_usd"}`, and where they matter `"currency"`, `"fee_percent"`,
/// `"fee_minimum_usd"`, `"purchased_at"`, `"expires_at"`.
pub(crate) async fn create(State(state): State<AppState>, request: Request) -> Result<Response, Failure> {
    let key = auth::authenticate_admin(&state, request.headers())?;
    let wish: LotWish = body(&state, request).await?;
    let engine = state.engine();
    let now = engine.clock().now();
    let sheet = sheet(&state, &wish.provider).await?;
    let purchase = wish.purchase(now).map_err(|(name, message)| Failure::invalid(name, message))?;
    let lot = purchase.lot(&sheet).map_err(|error| {
        let parameter = match error {
            PurchaseError::WhichCurrency(_) | PurchaseError::UnknownCurrency { .. } => "currency",
            PurchaseError::Lot(LotError::Price) => "price_usd",
            PurchaseError::Lot(LotError::Fee) => "fee_percent",
            PurchaseError::Lot(LotError::Expiry) => "expires_at",
            PurchaseError::TooFine | PurchaseError::Lot(LotError::Quantity | LotError::List) => "credits",
        };
        Failure::invalid(parameter, format!("{error}."))
    })?;
    let id = LotId::generate();
    state.store_for(&key).add_lot(id, lot, now).await?;
    // What is routed next knows of it.
    engine.refresh_insight().await;
    let lots = engine.store().lots().await?;
    let made = lots.iter().find(|record| record.id == id);
    let made = made.ok_or_else(|| Failure::not_found("There is no such lot."))?;
    Ok(json(StatusCode::CREATED, &LotShown::from(made)))
}

/// `{"provider", "use": credits}` for what was used outside of the gateway, or `{"provider", "balance": credits}`
/// for what the provider says is left; with `"note"`. Answers all lots.
pub(crate) async fn adjust(State(state): State<AppState>, request: Request) -> Result<Response, Failure> {
    let admin = auth::authenticate_admin(&state, request.headers())?;
    let wish: AdjustmentWish = body(&state, request).await?;
    let adjustment = wish.adjustment().map_err(|(name, message)| Failure::invalid(name, message))?;
    let engine = state.engine();
    let store = state.store_for(&admin);
    store.adjust_credits(&wish.provider, adjustment, &wish.note, engine.clock().now()).await?;
    engine.refresh_insight().await;
    Ok(json(StatusCode::CREATED, &lot_list(&engine.store().lots().await?)))
}

pub(crate) async fn forecast(State(state): State<AppState>, headers: HeaderMap) -> Result<Response, Failure> {
    auth::authenticate_admin(&state, &headers)?;
    let (store, now) = (state.engine().store(), state.engine().clock().now());
    let lots = store.lots().await?;
    let charges = store.daily_charges(RECENT_DAYS, now).await?;
    Ok(json(StatusCode::OK, &forecast_shown(&forecasts(&lots, &charges, now), now)))
}

/// The prices of a configured provider, else of the kind of that name.
async fn sheet(state: &AppState, provider: &str) -> Result<Arc<ProviderSheet>, Failure> {
    let market = state.engine().market();
    if let Some(offer) = market.offers.iter().find(|offer| offer.id.provider == provider) {
        return Ok(Arc::clone(&offer.provider));
    }
    let catalogue = state.whole_catalogue().await;
    let found = catalogue.provider(provider).cloned();
    found.ok_or_else(|| Failure::invalid("provider", "There is no such provider, configured or known."))
}
