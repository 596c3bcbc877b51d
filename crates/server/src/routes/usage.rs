//! `GET /v1/usage`: spending by group and time. A key sees its own project's; an admin key all.

use crate::auth;
use crate::failure::Failure;
use crate::routes::parameters::{Parameters, json, visible_project};
use crate::state::AppState;
use crate::usage::{self, PARAMETERS, Printed};
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use gallerist_domain::Scope;
use http::header::{CONTENT_DISPOSITION, CONTENT_TYPE};
use http::request::Parts;
use http::{HeaderValue, StatusCode};

/// `?group_by=provider,model&from=…&to=…`, filters by the same names, and `&format=csv`.
pub(crate) async fn show(State(state): State<AppState>, parts: Parts) -> Result<Response, Failure> {
    let key = auth::authenticate_for(&state, &parts.headers, Scope::Read)?;
    let known: Vec<&str> = PARAMETERS.into_iter().chain(["format"]).collect();
    let parameters = Parameters::of(&parts, &known)?;
    let mut query = usage::query(|name| parameters.text(name))
        .map_err(|(name, message)| Failure::invalid(name, message))?;
    query.project = visible_project(&key, query.project)?;
    let as_csv = match parameters.text("format") {
        None | Some("json") => false,
        Some("csv") => true,
        Some(_) => return Err(Failure::invalid("format", "format must be json or csv.")),
    };
    let group_by = query.group_by.clone();
    let report = state.engine().store().usage(query).await?;
    let printed = Printed { group_by: &group_by, report: &report };
    if !as_csv {
        return Ok(json(StatusCode::OK, &printed));
    }
    let mut response = Response::new(Body::from(printed.csv()));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8"));
    headers.insert(CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"usage.csv\""));
    Ok(response)
}
