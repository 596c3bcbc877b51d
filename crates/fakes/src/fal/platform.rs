//! The platform API of the fal stand-in: unit prices, estimates, billing events and the balance.
//!
//! Prices and estimates are open to any key, money matters to the admin key alone. Figures are JSON numbers
//! as the provider sends them, written from digits; no float takes part in their arithmetic. The unit price
//! is only the base: neither tiers nor rounding can be read from it. Next: `models.rs`.

use std::collections::BTreeSet;

use axum::Json;
use axum::extract::Query;
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::request::Parts;
use jiff::Timestamp;
use serde_json::{Value, json};

use super::job::{Charge, Job};
use super::models::Model;
use super::{App, Caller, models};
use crate::money;

const ENDPOINTS_MAX: usize = 50;
/// Prepaid credit of the account.
const OPENING_TICKS: i64 = 10_000 * money::TICKS_PER_USD;

pub(super) fn answer(app: &App, caller: Caller, head: &Parts, path: &[&str], body: &[u8]) -> Response {
    let query =
        Query::<Vec<(String, String)>>::try_from_uri(&head.uri).map(|query| query.0).unwrap_or_default();
    let result = match (head.method.as_str(), path) {
        ("GET", ["models", "pricing"]) => prices(app, &query),
        ("POST", ["models", "pricing", "estimate"]) => estimate(body),
        ("GET", ["models", "billing-events"]) => admin(caller).and_then(|()| billing_events(app, &query)),
        ("GET", ["account", "billing"]) => admin(caller).map(|()| balance(app)),
        _ => Err((404, "not_found", "Not found".to_owned())),
    };
    match result {
        Ok(body) => Json(body).into_response(),
        Err((status, kind, message)) => {
            let status = StatusCode::from_u16(status).expect("the statuses of this module are valid");
            let error = json!({"type": kind, "message": message, "docs_url": "https://docs.fal.ai/platform-apis",
                "request_id": app.ctx.uuid()});
            (status, Json(json!({"error": error}))).into_response()
        }
    }
}

type Refusal = (u16, &'static str, String);

fn admin(caller: Caller) -> Result<(), Refusal> {
    match caller {
        Caller::Admin => Ok(()),
        Caller::User => {
            Err((403, "authorization_error", "This endpoint requires an admin API key".to_owned()))
        }
    }
}

fn values<'a>(query: &'a [(String, String)], name: &str) -> Vec<&'a str> {
    let of_name = query.iter().filter(|(key, _)| key == name);
    of_name.flat_map(|(_, value)| value.split(',')).filter(|value| !value.is_empty()).collect()
}

fn prices(app: &App, query: &[(String, String)]) -> Result<Value, Refusal> {
    let ids = values(query, "endpoint_id");
    if !(1..=ENDPOINTS_MAX).contains(&ids.len()) {
        return Err((400, "validation_error", "endpoint_id: 1 to 50 ids are needed".to_owned()));
    }
    let mut prices = Vec::new();
    for id in ids {
        let model = known(id)?;
        let listed = app.ctx.listing.of(id).and_then(|listed| Some(listed.as_str()?.to_owned()));
        let unit_price = listed.unwrap_or_else(|| money::usd(model.unit_ticks));
        prices.push(json!({"endpoint_id": id, "unit_price": number(&unit_price),
            "unit": model.unit_name(), "currency": "USD"}));
    }
    Ok(json!({"prices": prices, "next_cursor": null, "has_more": false}))
}

fn known(id: &str) -> Result<&'static Model, Refusal> {
    models::find(id).ok_or_else(|| (404, "not_found", format!("Endpoint {id} was not found")))
}

fn estimate(body: &[u8]) -> Result<Value, Refusal> {
    let invalid = |message: &str| (400, "validation_error", message.to_owned());
    let body: Value = serde_json::from_slice(body).map_err(|_| invalid("the body is no JSON"))?;
    let (kind, quantity) = match body["estimate_type"].as_str() {
        Some(kind @ "unit_price") => (kind, "unit_quantity"),
        Some(kind @ "historical_api_price") => (kind, "call_quantity"),
        _ => return Err(invalid("estimate_type: must be unit_price or historical_api_price")),
    };
    let endpoints = body["endpoints"].as_object().ok_or_else(|| invalid("endpoints: must be an object"))?;
    let mut total = 0;
    for (id, wanted) in endpoints {
        let model = known(id)?;
        let scaled = wanted[quantity].as_number().and_then(|number| digits(&number.to_string()));
        let scaled = scaled.ok_or_else(|| invalid("the quantity must be a plain number"))?;
        // The history of a call is taken to be one picture of 1024x1024.
        let each = if kind == "unit_price" { model.unit_ticks } else { model.image_ticks(1024, 1024) };
        total += money::scaled(each, scaled, money::TICKS_PER_USD);
    }
    Ok(json!({"estimate_type": kind, "total_cost": number(&money::usd(total)), "currency": "USD"}))
}

/// A plain decimal number in units of 10^-10, as money is.
fn digits(text: &str) -> Option<i64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    if whole.len() > 8 || part.len() > 10 || !plain(whole) || !plain(part) {
        return None;
    }
    Some(money::ticks(text))
}

fn billing_events(app: &App, query: &[(String, String)]) -> Result<Value, Refusal> {
    let one = |name: &str| values(query, name).first().copied();
    let instant = |name: &str| match one(name) {
        None => Ok(None),
        Some(text) => text
            .parse::<Timestamp>()
            .map(Some)
            .map_err(|_| (400, "validation_error", format!("{name}: must be an instant in ISO 8601"))),
    };
    let (start, end) = (instant("start")?, instant("end")?);
    let endpoints: BTreeSet<&str> = values(query, "endpoint_id").into_iter().collect();
    let requests: BTreeSet<&str> = values(query, "request_id").into_iter().collect();
    let mut events = Vec::new();
    for job in app.jobs_in_order() {
        let Some(charge) = job.charge() else { continue };
        let in_time = start.is_none_or(|start| charge.at >= start) && end.is_none_or(|end| charge.at < end);
        let asked = endpoints.is_empty() || endpoints.contains(job.model.id);
        if in_time && asked && (requests.is_empty() || requests.contains(job.id.as_str())) {
            events.push(event(&job, &charge));
        }
    }
    Ok(json!({"billing_events": events, "next_cursor": null, "has_more": false}))
}

fn event(job: &Job, charge: &Charge) -> Value {
    let cost = number(&money::usd(charge.ticks));
    // After a silent change of price the list's unit price would not multiply out; it may be null.
    let as_listed = charge.ticks == charge.list_ticks;
    let unit_price = if as_listed { number(&money::usd(job.model.unit_ticks)) } else { Value::Null };
    json!({
        "request_id": job.id,
        "endpoint_id": job.model.id,
        "timestamp": charge.at.to_string(),
        "output_units": number(&charge.units),
        "unit_price": unit_price,
        "percent_discount": null,
        "cost_subtotal": cost,
        "cost_discount": 0,
        "cost_total": cost,
        "cost_estimate_nano_usd": money::scaled(charge.ticks, 1, 10),
    })
}

fn balance(app: &App) -> Value {
    let left = money::usd(OPENING_TICKS - app.ctx.bill.total_ticks());
    json!({"username": "stand-in", "credits": {"current_balance": number(&left), "currency": "USD"}})
}

/// A JSON number from its digits.
fn number(text: &str) -> Value {
    // A listing may hold anything; what is no number goes out as it is.
    serde_json::from_str(text).unwrap_or_else(|_| Value::String(text.to_owned()))
}
