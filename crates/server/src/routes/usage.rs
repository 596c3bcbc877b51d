//! `GET /v1/usage`: spending by group and time. A key sees its own project's; an admin key all.

use crate::auth;
use crate::failure::Failure;
use crate::routes::parameters::{Parameters, json, visible_project};
use crate::state::AppState;
use axum::extract::State;
use axum::response::Response;
use gallerist_domain::Ticks;
use gallerist_store::{UsageFigures, UsageKey, UsageQuery, UsageReport};
use http::StatusCode;
use http::request::Parts;
use serde::ser::{Serialize, SerializeMap, Serializer};

/// `?group_by=provider,model&from=…&to=…`, and `&project=` for an admin.
pub(crate) async fn show(State(state): State<AppState>, parts: Parts) -> Result<Response, Failure> {
    let key = auth::authenticate(&state, &parts.headers)?;
    let parameters = Parameters::of(&parts, &["group_by", "from", "to", "project"])?;
    let query = UsageQuery {
        group_by: group_by(parameters.text("group_by").unwrap_or_default())?,
        from: parameters.instant("from")?,
        to: parameters.instant("to")?,
        project: visible_project(&key, parameters.parsed("project", "the name of a project")?)?,
    };
    let group_by = query.group_by.clone();
    let report = state.engine().store().usage(query).await?;
    Ok(json(StatusCode::OK, &Printed { group_by: &group_by, report: &report }))
}

fn group_by(text: &str) -> Result<Vec<UsageKey>, Failure> {
    let words = text.split(',').map(str::trim).filter(|word| !word.is_empty());
    let known = || UsageKey::ALL.iter().map(|key| key.as_str()).collect::<Vec<_>>().join(", ");
    let mut keys = Vec::new();
    for word in words {
        let key = UsageKey::from_word(word).ok_or_else(|| {
            Failure::invalid("group_by", format!("group_by takes, joined by commas: {}.", known()))
        })?;
        if keys.contains(&key) {
            return Err(Failure::invalid("group_by", format!("group_by names {word} twice.")));
        }
        keys.push(key);
    }
    Ok(keys)
}

struct Printed<'a> {
    group_by: &'a [UsageKey],
    report: &'a UsageReport,
}

impl Serialize for Printed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let rows: Vec<Row<'_>> = self
            .report
            .rows
            .iter()
            .map(|row| Row { group_by: self.group_by, keys: &row.keys, figures: &row.figures })
            .collect();
        let totals = Row { group_by: &[], keys: &[], figures: &self.report.totals };
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("rows", &rows)?;
        map.serialize_entry("totals", &totals)?;
        map.end()
    }
}

struct Row<'a> {
    group_by: &'a [UsageKey],
    keys: &'a [String],
    figures: &'a UsageFigures,
}

impl Serialize for Row<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let figures = self.figures;
        let mut map = serializer.serialize_map(None)?;
        for (key, value) in self.group_by.iter().zip(self.keys) {
            map.serialize_entry(key.as_str(), value)?;
        }
        let counts =
            [("requests", figures.requests), ("images", figures.images), ("attempts", figures.attempts)];
        for (name, count) in counts {
            map.serialize_entry(name, &count)?;
        }
        let amounts: [(&str, Option<Ticks>); 8] = [
            ("list_usd", figures.list),
            ("charged_usd", Some(figures.charged)),
            ("wasted_usd", Some(figures.wasted)),
            ("disputed_usd", Some(figures.disputed)),
            ("saved_usd", figures.saved),
            ("credits_covered_usd", Some(figures.covered)),
            ("credits_cost_usd", Some(figures.consumed)),
            ("expired_usd", Some(figures.expired)),
        ];
        for (name, amount) in amounts {
            map.serialize_entry(name, &amount)?;
        }
        map.end()
    }
}
