//! An invoice as it is handed in, for `POST /v1/reconciliations` and the command line.
//!
//! It refuses to read the file itself and to compare: those are the engine's.

use crate::credits::Mistake;
use crate::routes::Object;
use gallerist_domain::{Decimal, ReconciliationId};
use gallerist_engine::reconcile::Order;
use gallerist_engine::reconcile::bill::{BILL_BYTES_MAX, Form, Mapping};
use gallerist_store::ReconciliationRecord;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// Bytes of the body that holds a bill: as a JSON text it is longer than its file, the more quotes stand in it.
pub const BODY_BYTES_MAX: usize = 2 * BILL_BYTES_MAX;
/// How far a provider's clock may be off, where nothing is said; seconds.
const WINDOW_S: u32 = 120;
const WINDOW_S_MAX: u32 = 86_400;
/// Per cent from which on a price line is told of, where nothing is said.
const DRIFT_PERCENT: &str = "1";

/// An invoice with how to read it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReconciliationWish {
    provider: String,
    /// `csv`, `openai` or `fal`.
    form: Option<String>,
    /// Of a CSV file.
    columns: Option<Mapping>,
    /// The file's text.
    bill: String,
    /// Instants, or days in UTC.
    from: Option<String>,
    to: Option<String>,
    window_s: Option<u32>,
    drift_percent: Option<String>,
    #[serde(default)]
    close: bool,
    #[serde(default)]
    dry_run: bool,
}

impl Object for ReconciliationWish {
    const EXAMPLE: &'static str = r#"{"provider": "fal", "form": "fal", "bill": "...", "dry_run": true}"#;
}

impl ReconciliationWish {
    /// # Errors
    /// The first parameter that cannot be used, with a sentence.
    pub fn order(&self) -> Result<Order<'_>, Mistake> {
        let form = match (self.form.as_deref().unwrap_or("csv"), &self.columns) {
            ("csv", Some(columns)) => Form::Csv(columns.clone()),
            ("csv", None) => {
                return Err((
                    "columns",
                    "a CSV file needs the names of its columns: at least time and amount.".to_owned(),
                ));
            }
            ("openai", None) => Form::Openai,
            ("fal", None) => Form::Fal,
            ("openai" | "fal", Some(_)) => {
                return Err(("columns", "only a CSV file has columns to be named.".to_owned()));
            }
            _ => return Err(("form", "form must be csv, openai or fal.".to_owned())),
        };
        let instant = |name: &'static str, text: &String| {
            crate::routes::instant_of(text).ok_or_else(|| {
                (name, format!("{name} must be an instant such as 2026-11-25T08:00:00Z or a day."))
            })
        };
        let from = self.from.as_ref().map(|text| instant("from", text)).transpose()?;
        let to = self.to.as_ref().map(|text| instant("to", text)).transpose()?;
        crate::usage::in_order(from, to)?;
        let window_s = self.window_s.unwrap_or(WINDOW_S);
        if window_s > WINDOW_S_MAX {
            return Err(("window_s", format!("window_s must be 0 to {WINDOW_S_MAX} seconds.")));
        }
        let percent: Option<Decimal> = self.drift_percent.as_deref().unwrap_or(DRIFT_PERCENT).parse().ok();
        let drift = percent
            .and_then(|percent| percent.to_units_exact(2))
            .and_then(|points| i64::try_from(points).ok())
            .filter(|points| (0..=1_000_000).contains(points))
            .ok_or_else(|| {
                ("drift_percent", "drift_percent must be 0 to 10000 with at most two digits.".to_owned())
            })?;
        Ok(Order {
            provider: &self.provider,
            bill: self.bill.as_bytes(),
            form,
            from,
            to,
            window: SignedDuration::from_secs(i64::from(window_s)),
            close: self.close,
            dry_run: self.dry_run,
            drift_basis_points: drift,
        })
    }
}

/// A comparison as a list shows it.
#[derive(Debug, Serialize)]
pub struct ReconciliationShown {
    id: ReconciliationId,
    object: &'static str,
    created_at: Timestamp,
    provider: String,
    from: Timestamp,
    to: Timestamp,
    /// `key`, `command_line` or `gateway`, and the id of the key.
    actor: String,
    key: Option<String>,
    #[serde(flatten)]
    figures: Map<String, Value>,
}

impl From<&ReconciliationRecord> for ReconciliationShown {
    fn from(record: &ReconciliationRecord) -> ReconciliationShown {
        ReconciliationShown {
            id: record.id,
            object: "reconciliation",
            created_at: record.at,
            provider: record.provider.clone(),
            from: record.from,
            to: record.to,
            actor: record.actor.clone(),
            key: record.key_id.clone(),
            figures: serde_json::from_str(&record.summary_json).unwrap_or_default(),
        }
    }
}
