//! Budgets for the admin key; a project's own keys see those of their project.

use crate::auth;
use crate::budgets::{BudgetChangeWish, BudgetShown, BudgetWish, budget_list};
use crate::failure::Failure;
use crate::routes::parameters::{PathPart, body, json, no_content};
use crate::state::AppState;
use axum::extract::{Request, State};
use axum::response::Response;
use gallerist_domain::budget::Part;
use gallerist_domain::{BudgetId, Scope};
use gallerist_store::{BudgetRecord, KeyRecord};
use http::{HeaderMap, StatusCode};

pub(crate) async fn list(State(state): State<AppState>, headers: HeaderMap) -> Result<Response, Failure> {
    let key = auth::authenticate_for(&state, &headers, Scope::Read)?;
    let records = records(&state).await?;
    Ok(json(StatusCode::OK, &budget_list(records.iter().filter(|record| sees(&key, record)))))
}

/// `{"limit_usd": "25.00"}` or `{"limit_images": 500}`, with `"window"`, `"zone"`, `"mode"`, `"share_percent"`,
/// `"thresholds_percent"`, `"name"` and `"scope"`.
pub(crate) async fn create(State(state): State<AppState>, request: Request) -> Result<Response, Failure> {
    let admin = auth::authenticate_admin(&state, request.headers())?;
    let wish: BudgetWish = body(&state, request).await?;
    let (known, now) = (state.whole_catalogue().await, state.engine().clock().now());
    let market = state.engine().market();
    let providers: Vec<&str> = market.offers.iter().map(|offer| offer.id.provider.as_str()).collect();
    let budget = wish.budget(&known, &providers, now).map_err(invalid)?;
    let id = budget.id;
    state.store_for(&admin).create_budget(budget).await?;
    answer(&state, id, StatusCode::CREATED).await
}

pub(crate) async fn show(
    State(state): State<AppState>,
    PathPart(id): PathPart<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let key = auth::authenticate_for(&state, &headers, Scope::Read)?;
    let record = find(&state, known(&id)?).await?;
    if !sees(&key, &record) {
        return Err(no_such_budget());
    }
    Ok(json(StatusCode::OK, &BudgetShown::from(&record)))
}

/// Any of `"name"`, the limit, `"mode"`, `"share_percent"` and `"thresholds_percent"`.
pub(crate) async fn change(
    State(state): State<AppState>,
    PathPart(id): PathPart<String>,
    request: Request,
) -> Result<Response, Failure> {
    let admin = auth::authenticate_admin(&state, request.headers())?;
    let wish: BudgetChangeWish = body(&state, request).await?;
    let record = find(&state, known(&id)?).await?;
    let change = wish.change(&record.budget).map_err(invalid)?;
    let now = state.engine().clock().now();
    state.store_for(&admin).change_budget(record.budget.id, change, now).await?;
    answer(&state, record.budget.id, StatusCode::OK).await
}

pub(crate) async fn remove(
    State(state): State<AppState>,
    PathPart(id): PathPart<String>,
    headers: HeaderMap,
) -> Result<Response, Failure> {
    let admin = auth::authenticate_admin(&state, &headers)?;
    let record = find(&state, known(&id)?).await?;
    state.store_for(&admin).remove_budget(record.budget.id, state.engine().clock().now()).await?;
    Ok(no_content())
}

/// Whether the key may see the budget: it is the admin's, or the budget is of the key's project alone.
fn sees(key: &KeyRecord, record: &BudgetRecord) -> bool {
    auth::is_admin(key)
        || matches!(&record.budget.scope.project, Part::Only(project) if project == key.project.as_str())
}

fn invalid((parameter, message): (&'static str, String)) -> Failure {
    Failure::invalid(parameter, message)
}

fn no_such_budget() -> Failure {
    Failure::not_found("There is no such budget.")
}

/// What is no id names no budget.
fn known(id: &str) -> Result<BudgetId, Failure> {
    id.parse().map_err(|_| no_such_budget())
}

async fn records(state: &AppState) -> Result<Vec<BudgetRecord>, Failure> {
    Ok(state.engine().store().budgets(state.engine().clock().now()).await?)
}

async fn find(state: &AppState, id: BudgetId) -> Result<BudgetRecord, Failure> {
    records(state).await?.into_iter().find(|record| record.budget.id == id).ok_or_else(no_such_budget)
}

async fn answer(state: &AppState, id: BudgetId, status: StatusCode) -> Result<Response, Failure> {
    Ok(json(status, &BudgetShown::from(&find(state, id).await?)))
}
