//! Budgets as the API writes them, and as it reads a wish for one or for a change.
//!
//! The command line uses the same forms where no gateway runs, so that both ways answer alike. It refuses to
//! open books.

use crate::amount::Amount;
use crate::routes::Object;
use gallerist_domain::budget::{Part, THRESHOLDS_PERCENT};
use gallerist_domain::{Budget, BudgetId, BudgetMode, BudgetScope, BudgetUnit, BudgetWindow, Ticks};
use gallerist_pricing::Catalogue;
use gallerist_routing::nearest::nearest;
use gallerist_store::{BudgetChange, BudgetRecord, CounterRecord};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::{BTreeMap, BTreeSet};

/// What is wrong with a wish: the parameter, and a sentence.
pub type Mistake = (&'static str, String);

/// Each one apart, where a scope names whom it counts.
const EACH: &str = "*";

/// A budget as it is wanted. Amounts of dollars are strings or numbers.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetWish {
    #[serde(default)]
    name: String,
    limit_usd: Option<Box<RawValue>>,
    limit_images: Option<i64>,
    window: Option<String>,
    zone: Option<String>,
    mode: Option<String>,
    share_percent: Option<u8>,
    thresholds_percent: Option<Vec<u16>>,
    #[serde(default)]
    scope: ScopeForm,
}

impl Object for BudgetWish {
    const EXAMPLE: &'static str =
        r#"{"name": "shop", "limit_usd": "25.00", "window": "month", "scope": {"project": "shop"}}"#;
}

/// What is to be changed of a budget.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BudgetChangeWish {
    name: Option<String>,
    limit_usd: Option<Box<RawValue>>,
    limit_images: Option<i64>,
    mode: Option<String>,
    share_percent: Option<u8>,
    thresholds_percent: Option<Vec<u16>>,
}

impl Object for BudgetChangeWish {
    const EXAMPLE: &'static str = r#"{"limit_usd": "25.00"}"#;
}

/// Whose spending counts: a name, or `*` for each one apart; absent: all together.
#[derive(Debug, Default, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default, expecting = "scope as an object such as {\"project\": \"shop\"}")]
struct ScopeForm {
    #[serde(skip_serializing_if = "Option::is_none")]
    project: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<String>,
    /// One tag's name with the value that counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    tag: Option<BTreeMap<String, String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<String>,
}

impl ScopeForm {
    fn scope(self, known: &Catalogue, providers: &[&str]) -> Result<BudgetScope, Mistake> {
        if let Some(name) = self.project.as_deref().filter(|name| *name != EACH) {
            let known = name.parse::<gallerist_domain::ProjectId>();
            known.map_err(|message| ("scope.project", format!("scope.project: {message}.")))?;
        }
        let tag = match self.tag {
            None => None,
            Some(tags) if tags.len() == 1 => tags.into_iter().next(),
            Some(_) => {
                let message = "scope.tag must be one tag such as {\"team\": \"red\"} or {\"team\": \"*\"}.";
                return Err(("scope.tag", message.to_owned()));
            }
        };
        if let Some((name, value)) = &tag
            && let Some(fault) = gallerist_domain::payer::tag_fault(name, value)
        {
            return Err(("scope.tag", format!("scope.tag: {fault}.")));
        }
        Ok(BudgetScope {
            project: part(self.project),
            key: part(self.key),
            end_user: part(self.user),
            tag: tag.map(|(name, value)| (name, part(Some(value)))),
            provider: provider(part(self.provider), known, providers)?,
            model: model(part(self.model), known)?,
        })
    }
}

fn part(written: Option<String>) -> Part {
    match written {
        None => Part::All,
        Some(each) if each == EACH => Part::Each,
        Some(name) => Part::Only(name),
    }
}

/// Attempts carry the name of the account: one of the settings, or of a kind that may be switched on later.
fn provider(part: Part, known: &Catalogue, providers: &[&str]) -> Result<Part, Mistake> {
    match &part {
        Part::Only(name) if !providers.contains(&name.as_str()) && known.provider(name).is_none() => {
            let kinds = known.providers.iter().map(|provider| provider.kind.as_str());
            let all = providers.iter().copied().chain(kinds).map(str::to_owned);
            let near = nearest(name, all, 3).join(", ");
            let message = format!("scope.provider: there is no provider of that name; the nearest: {near}.");
            Err(("scope.provider", message))
        }
        _ => Ok(part),
    }
}

/// Attempts carry a model's own id, so that of an alias is what counts.
fn model(part: Part, known: &Catalogue) -> Result<Part, Mistake> {
    let Part::Only(name) = &part else { return Ok(part) };
    let models = || known.providers.iter().flat_map(|provider| &provider.models);
    if models().any(|model| model.id == *name) {
        return Ok(part);
    }
    let meant: BTreeSet<&str> =
        models().filter(|model| model.is_named(name)).map(|model| model.id.as_str()).collect();
    let ids: Vec<&str> = meant.into_iter().collect();
    match ids[..] {
        [only] => Ok(Part::Only(only.to_owned())),
        [] => {
            let near = nearest(name, models().map(|model| model.id.clone()), 3).join(", ");
            Err(("scope.model", format!("scope.model: there is no model of that name; the nearest: {near}.")))
        }
        _ => {
            let message =
                format!("scope.model: the name means several models, {}; name one.", ids.join(", "));
            Err(("scope.model", message))
        }
    }
}

fn written(part: &Part) -> Option<String> {
    match part {
        Part::All => None,
        Part::Each => Some(EACH.to_owned()),
        Part::Only(name) => Some(name.clone()),
    }
}

impl From<&BudgetScope> for ScopeForm {
    fn from(scope: &BudgetScope) -> ScopeForm {
        let tag = scope.tag.as_ref();
        ScopeForm {
            project: written(&scope.project),
            key: written(&scope.key),
            user: written(&scope.end_user),
            tag: tag.and_then(|(name, part)| Some(BTreeMap::from([(name.clone(), written(part)?)]))),
            provider: written(&scope.provider),
            model: written(&scope.model),
        }
    }
}

impl BudgetWish {
    /// # Errors
    /// The first parameter that cannot be read or is out of its range.
    pub fn budget(self, known: &Catalogue, providers: &[&str], now: Timestamp) -> Result<Budget, Mistake> {
        let limit = limit(self.limit_usd.as_deref(), self.limit_images)?;
        let (unit, limit) = limit.ok_or_else(|| {
            ("limit_usd", "Say a limit: limit_usd such as \"25.00\", or limit_images such as 500.".to_owned())
        })?;
        let window = match self.window.as_deref() {
            None => BudgetWindow::Month,
            Some(word) => BudgetWindow::from_word(word).ok_or_else(|| {
                let known = BudgetWindow::ALL.map(BudgetWindow::as_str).join(", ");
                ("window", format!("window must be one of {known}."))
            })?,
        };
        let budget = Budget {
            id: BudgetId::generate(),
            name: self.name,
            scope: self.scope.scope(known, providers)?,
            unit,
            limit,
            window,
            zone: self.zone.unwrap_or_else(|| "UTC".to_owned()),
            mode: mode(self.mode.as_deref(), self.share_percent)?.unwrap_or(BudgetMode::Hard),
            thresholds_percent: self.thresholds_percent.unwrap_or_else(|| THRESHOLDS_PERCENT.to_vec()),
            created_at: now,
        };
        budget.check().map_err(|fault| (fault.field, format!("{fault}.")))?;
        Ok(budget)
    }
}

impl BudgetChangeWish {
    /// # Errors
    /// The first parameter that cannot be read, or does not fit the budget's unit.
    pub fn change(self, of: &Budget) -> Result<BudgetChange, Mistake> {
        let limit = limit(self.limit_usd.as_deref(), self.limit_images)?;
        if limit.is_some_and(|(unit, _)| unit != of.unit) {
            let field = if of.unit == BudgetUnit::Usd { "limit_images" } else { "limit_usd" };
            return Err((field, format!("{field}: the budget counts {}.", of.unit.as_str())));
        }
        Ok(BudgetChange {
            name: self.name,
            limit: limit.map(|(_, limit)| limit),
            mode: mode(self.mode.as_deref(), self.share_percent)?,
            thresholds_percent: self.thresholds_percent,
        })
    }
}

fn limit(usd: Option<&RawValue>, images: Option<i64>) -> Result<Option<(BudgetUnit, i64)>, Mistake> {
    match (usd, images) {
        (None, None) => Ok(None),
        (Some(_), Some(_)) => {
            Err(("limit_images", "limit_usd and limit_images exclude each other: say one.".to_owned()))
        }
        (None, Some(images)) => Ok(Some((BudgetUnit::Images, images))),
        (Some(written), None) => {
            let text = written.get();
            let digits = text.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(text);
            let amount =
                digits.parse::<Ticks>().map_err(|error| ("limit_usd", format!("limit_usd: {error}.")))?;
            Ok(Some((BudgetUnit::Usd, amount.get())))
        }
    }
}

fn mode(word: Option<&str>, share_percent: Option<u8>) -> Result<Option<BudgetMode>, Mistake> {
    let mode = match (word, share_percent) {
        (None, None) => return Ok(None),
        (None | Some("degrade"), Some(share_percent)) => BudgetMode::Degrade { share_percent },
        (Some("degrade"), None) => BudgetMode::Degrade { share_percent: 80 },
        (Some("hard"), None) => BudgetMode::Hard,
        (Some("soft"), None) => BudgetMode::Soft,
        (Some("hard" | "soft"), Some(_)) => {
            return Err(("share_percent", "share_percent belongs to the mode degrade.".to_owned()));
        }
        (Some(_), _) => return Err(("mode", "mode must be hard, soft or degrade.".to_owned())),
    };
    Ok(Some(mode))
}

#[derive(Serialize)]
pub struct BudgetShown {
    id: BudgetId,
    object: &'static str,
    name: String,
    /// In words.
    budget: String,
    scope: ScopeForm,
    unit: &'static str,
    limit: Amount,
    window: &'static str,
    zone: String,
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    share_percent: Option<u8>,
    thresholds_percent: Vec<u16>,
    created_at: Timestamp,
    /// Of the present window, the most used first.
    counters: Vec<CounterShown>,
    counters_total: u64,
}

#[derive(Serialize)]
struct CounterShown {
    /// Whose it is; empty where the budget has one counter.
    subject: String,
    window_start: Option<Timestamp>,
    window_end: Option<Timestamp>,
    settled: Amount,
    held: Amount,
    disputed: Amount,
    /// The part of `settled` that rests on prices below official, or read long before; absent where images count.
    #[serde(skip_serializing_if = "Option::is_none")]
    doubtful_usd: Option<Ticks>,
    left: Amount,
    used_percent: Option<i64>,
}

impl CounterShown {
    fn of(budget: &Budget, counter: &CounterRecord) -> CounterShown {
        let amount = |amount| Amount::of(budget.unit, amount);
        let used = counter.used();
        let percent = i128::from(used) * 100;
        CounterShown {
            subject: counter.subject.clone(),
            window_start: Some(counter.window_start).filter(|at| *at > Timestamp::MIN),
            window_end: counter.window_end,
            settled: amount(counter.settled),
            held: amount(counter.held),
            disputed: amount(counter.disputed),
            doubtful_usd: (budget.unit == BudgetUnit::Usd).then(|| Ticks::new(counter.doubtful)),
            left: amount(budget.limit.saturating_sub(used).max(0)),
            used_percent: percent.checked_div(i128::from(budget.limit)).and_then(|n| i64::try_from(n).ok()),
        }
    }
}

impl From<&BudgetRecord> for BudgetShown {
    fn from(record: &BudgetRecord) -> BudgetShown {
        let budget = &record.budget;
        BudgetShown {
            id: budget.id,
            object: "budget",
            name: budget.name.clone(),
            budget: budget.words(),
            scope: ScopeForm::from(&budget.scope),
            unit: budget.unit.as_str(),
            limit: Amount::of(budget.unit, budget.limit),
            window: budget.window.as_str(),
            zone: budget.zone.clone(),
            mode: budget.mode.as_str(),
            share_percent: match budget.mode {
                BudgetMode::Degrade { share_percent } => Some(share_percent),
                BudgetMode::Hard | BudgetMode::Soft => None,
            },
            thresholds_percent: budget.thresholds_percent.clone(),
            created_at: budget.created_at,
            counters: record.counters.iter().map(|counter| CounterShown::of(budget, counter)).collect(),
            counters_total: record.counters_total,
        }
    }
}

#[derive(Serialize)]
pub struct BudgetList {
    object: &'static str,
    data: Vec<BudgetShown>,
    has_more: bool,
}

/// These budgets.
pub fn budget_list<'a>(records: impl IntoIterator<Item = &'a BudgetRecord>) -> BudgetList {
    BudgetList { object: "list", data: records.into_iter().map(BudgetShown::from).collect(), has_more: false }
}
