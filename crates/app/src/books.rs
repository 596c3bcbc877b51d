//! The books, wherever they are open: through the admin API of the gateway that holds them, else the store
//! itself under its lock.
//!
//! Both ways answer in the API's form (`here.rs` writes it for the store), so that scripts need not care
//! which one it was. Never two writers: the lock decides. It refuses to make books by looking at them.

mod here;
mod invoices;
mod limits;
mod prepaid;
mod telling;
mod tenants;

use crate::client::{Client, escaped};
use crate::config::{Config, Environment, Place};
use crate::failure::{Failure, Result};
use crate::first_keys::{self, ADMIN_KEY};
use crate::gateway::{address_file, answering};
use gallerist_domain::{LotId, Ticks};
use gallerist_server::tenants::{KeyWish, LimitsWish};
use gallerist_store::{AlertFilter, Store, StoreError};
use here::Here;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::{Value, json};
use std::path::Path;

/// Rows that are asked for at a time where many are looked through.
const PAGE_ROWS: u32 = 100;

/// Open books.
pub enum Books {
    Gateway(Client),
    Here(Box<Here>),
}

/// Which requests are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct RequestQuestion<'a> {
    pub limit: u32,
    pub after: Option<&'a str>,
    pub project: Option<&'a str>,
    pub end_user: Option<&'a str>,
    /// `NAME=VALUE`.
    pub tag: Option<&'a str>,
}

/// Which changes are asked for.
#[derive(Clone, Copy, Debug, Default)]
pub struct AuditQuestion<'a> {
    pub limit: u32,
    pub after: Option<&'a str>,
    pub action: Option<&'a str>,
    pub subject: Option<&'a str>,
    pub key: Option<&'a str>,
    pub project: Option<&'a str>,
}

pub use invoices::ReconciliationQuestion;

/// Which alerts are asked for, the newest first.
#[derive(Clone, Copy, Debug)]
pub struct AlertsAsked<'a> {
    pub kind: Option<&'a str>,
    pub project: Option<&'a str>,
    /// Continue behind this alert.
    pub after: Option<&'a str>,
    pub limit: u32,
}

impl Books {
    /// Opens the books of the place; `make` says whether they may be made.
    ///
    /// # Errors
    /// When there are none, or a gateway has them open that cannot be asked.
    pub fn open(place: &Place, make: bool) -> Result<Books> {
        let environment = Environment::of_process();
        let config = Config::load(place, &environment)?;
        let data_dir = &config.data_dir;
        if !make && config.store_url.is_none() && !data_dir.join("gallerist.sqlite").exists() {
            let advice = "start `gallerist serve`, or name their folder with --data-dir";
            return Err(
                Failure::failed(format!("there are no books in {}", data_dir.display())).advise(advice)
            );
        }
        Books::of(config, &environment)
    }

    /// The books of this configuration, through the gateway of its folder where one runs; `make` says whether they
    /// may be made.
    ///
    /// # Errors
    /// When a gateway has them open that cannot be asked.
    pub fn beside(config: &Config, make: bool) -> Result<Option<Books>> {
        if !make && config.store_url.is_none() && !config.data_dir.join("gallerist.sqlite").exists() {
            return Ok(None);
        }
        let environment = Environment::of_process();
        if config.store_url.is_some() && answering(&config.data_dir).is_some() {
            return gateway(&config.data_dir, &environment).map(|client| Some(Books::Gateway(client)));
        }
        Books::of(config.clone(), &environment).map(Some)
    }

    fn of(config: Config, environment: &Environment) -> Result<Books> {
        match Store::open(config.store_options(Timestamp::now())) {
            Ok(store) => Ok(Books::Here(Box::new(Here::new(store, config)?))),
            Err(StoreError::Locked(_)) => Ok(Books::Gateway(gateway(&config.data_dir, environment)?)),
            Err(error) => Err(error.into()),
        }
    }

    pub fn keys(&self) -> Result<Value> {
        match self {
            Books::Gateway(client) => client.ask("GET", "/v1/keys", None),
            Books::Here(here) => here.keys(),
        }
    }

    /// The answer holds the key itself, once.
    pub fn create_key(&self, wish: &KeyWish) -> Result<Value> {
        match self {
            Books::Gateway(client) => client.ask("POST", "/v1/keys", Some(&json!(wish))),
            Books::Here(here) => here.create_key(wish),
        }
    }

    pub fn change_key(&self, id: &str, wish: &KeyWish) -> Result<Value> {
        match self {
            Books::Gateway(client) => {
                client.ask("PATCH", &format!("/v1/keys/{}", escaped(id)), Some(&json!(wish)))
            }
            Books::Here(here) => here.change_key(id, wish),
        }
    }

    /// The answer holds the new key itself, once.
    pub fn rotate_key(&self, id: &str, grace_seconds: i64) -> Result<Value> {
        match self {
            Books::Gateway(client) => {
                let path = format!("/v1/keys/{}/rotate", escaped(id));
                client.ask("POST", &path, Some(&json!({"grace_seconds": grace_seconds})))
            }
            Books::Here(here) => here.rotate_key(id, grace_seconds),
        }
    }

    pub fn revoke_key(&self, id: &str) -> Result<()> {
        match self {
            Books::Gateway(client) => {
                client.ask("DELETE", &format!("/v1/keys/{}", escaped(id)), None).map(drop)
            }
            Books::Here(here) => here.revoke_key(id),
        }
    }

    pub fn projects(&self) -> Result<Value> {
        match self {
            Books::Gateway(client) => client.ask("GET", "/v1/projects", None),
            Books::Here(here) => here.projects(),
        }
    }

    pub fn project(&self, id: &str) -> Result<Value> {
        match self {
            Books::Gateway(client) => client.ask("GET", &format!("/v1/projects/{}", escaped(id)), None),
            Books::Here(here) => here.project(id),
        }
    }

    /// `cap` is an amount of dollars.
    pub fn create_project(&self, id: &str, cap: Option<&str>, limits: LimitsWish) -> Result<Value> {
        match self {
            Books::Gateway(client) => {
                let body = json!({"id": id, "cap_usd": cap, "limits": limits});
                client.ask("POST", "/v1/projects", Some(&body))
            }
            Books::Here(here) => here.create_project(id, cap, limits),
        }
    }

    pub fn set_limits(&self, id: &str, limits: LimitsWish) -> Result<Value> {
        match self {
            Books::Gateway(client) => {
                let path = format!("/v1/projects/{}", escaped(id));
                client.ask("PATCH", &path, Some(&json!({"limits": limits})))
            }
            Books::Here(here) => here.set_limits(id, limits),
        }
    }

    /// Administrative changes.
    pub fn audit(&self, question: AuditQuestion<'_>) -> Result<Value> {
        match self {
            Books::Gateway(client) => {
                let limit = question.limit.to_string();
                let parts = [
                    ("limit", Some(limit.as_str())),
                    ("after", question.after),
                    ("action", question.action),
                    ("subject", question.subject),
                    ("key", question.key),
                    ("project", question.project),
                ];
                client.ask("GET", &format!("/v1/audit{}", query(&parts)), None)
            }
            Books::Here(here) => here.audit(question),
        }
    }

    /// Sets the cap, or removes it.
    pub fn set_cap(&self, id: &str, cap: Option<&str>) -> Result<Value> {
        match self {
            Books::Gateway(client) => {
                let path = format!("/v1/projects/{}", escaped(id));
                client.ask("PATCH", &path, Some(&json!({"cap_usd": cap})))
            }
            Books::Here(here) => here.set_cap(id, cap),
        }
    }

    pub fn budgets(&self) -> Result<Value> {
        match self {
            Books::Gateway(client) => client.ask("GET", "/v1/budgets", None),
            Books::Here(here) => here.budgets(),
        }
    }

    /// `wish` is the body of `POST /v1/budgets`.
    pub fn create_budget(&self, wish: &Value) -> Result<Value> {
        match self {
            Books::Gateway(client) => client.ask("POST", "/v1/budgets", Some(wish)),
            Books::Here(here) => here.create_budget(wish),
        }
    }

    /// `wish` is the body of `PATCH /v1/budgets/{id}`.
    pub fn change_budget(&self, id: &str, wish: &Value) -> Result<Value> {
        match self {
            Books::Gateway(client) => {
                client.ask("PATCH", &format!("/v1/budgets/{}", escaped(id)), Some(wish))
            }
            Books::Here(here) => here.change_budget(id, wish),
        }
    }

    pub fn remove_budget(&self, id: &str) -> Result<()> {
        match self {
            Books::Gateway(client) => {
                client.ask("DELETE", &format!("/v1/budgets/{}", escaped(id)), None).map(drop)
            }
            Books::Here(here) => here.remove_budget(id),
        }
    }

    /// Every lot of prepaid credits.
    pub fn credits(&self) -> Result<Value> {
        match self {
            Books::Gateway(client) => client.ask("GET", "/v1/credits", None),
            Books::Here(here) => here.credits(),
        }
    }

    /// `wish` is the body of `POST /v1/credits`.
    pub fn add_credits(&self, wish: &Value) -> Result<Value> {
        match self {
            Books::Gateway(client) => client.ask("POST", "/v1/credits", Some(wish)),
            Books::Here(here) => here.add_credits(wish),
        }
    }

    pub fn remove_credits(&self, id: LotId) -> Result<()> {
        match self {
            Books::Gateway(client) => client.ask("DELETE", &format!("/v1/credits/{id}"), None).map(drop),
            Books::Here(here) => here.remove_credits(id),
        }
    }

    /// `wish` is the body of `POST /v1/credits/adjustments`; answers every lot.
    pub fn adjust_credits(&self, wish: &Value) -> Result<Value> {
        match self {
            Books::Gateway(client) => client.ask("POST", "/v1/credits/adjustments", Some(wish)),
            Books::Here(here) => here.adjust_credits(wish),
        }
    }

    /// `wish` is the body of `POST /v1/credits/balances`; answers what providers said.
    pub fn credit_balances(&self, wish: &Value) -> Result<Value> {
        match self {
            Books::Gateway(client) => client.ask("POST", "/v1/credits/balances", Some(wish)),
            Books::Here(here) => here.credit_balances(wish),
        }
    }

    pub fn credit_forecast(&self) -> Result<Value> {
        match self {
            Books::Gateway(client) => client.ask("GET", "/v1/credits/forecast", None),
            Books::Here(here) => here.credit_forecast(),
        }
    }

    pub fn alerts(&self, asked: &AlertsAsked<'_>) -> Result<Value> {
        let AlertsAsked { kind, project, after, limit } = *asked;
        match self {
            Books::Gateway(client) => {
                let limit = limit.to_string();
                let parts =
                    [("limit", Some(limit.as_str())), ("after", after), ("kind", kind), ("project", project)];
                client.ask("GET", &format!("/v1/alerts{}", query(&parts)), None)
            }
            Books::Here(here) => here.alerts(AlertFilter {
                project: project.map(here::parsed).transpose()?,
                kind: kind.map(here::alert_kind).transpose()?,
                after: after.map(here::parsed).transpose()?,
                limit,
            }),
        }
    }

    pub fn webhooks(&self) -> Result<Value> {
        match self {
            Books::Gateway(client) => client.ask("GET", "/v1/webhooks", None),
            Books::Here(here) => here.webhooks(),
        }
    }

    /// `wish` is the body of `POST /v1/webhooks`; the answer holds the secret, once.
    pub fn add_webhook(&self, wish: &Value) -> Result<Value> {
        match self {
            Books::Gateway(client) => client.ask("POST", "/v1/webhooks", Some(wish)),
            Books::Here(here) => here.add_webhook(wish),
        }
    }

    /// `wish` is the body of `PATCH /v1/webhooks/{id}`.
    pub fn change_webhook(&self, id: &str, wish: &Value) -> Result<Value> {
        match self {
            Books::Gateway(client) => {
                client.ask("PATCH", &format!("/v1/webhooks/{}", escaped(id)), Some(wish))
            }
            Books::Here(here) => here.change_webhook(id, wish),
        }
    }

    /// The answer holds the new secret, once.
    pub fn rotate_webhook(&self, id: &str) -> Result<Value> {
        match self {
            Books::Gateway(client) => {
                client.ask("POST", &format!("/v1/webhooks/{}/rotate", escaped(id)), None)
            }
            Books::Here(here) => here.rotate_webhook(id),
        }
    }

    pub fn test_webhook(&self, id: &str) -> Result<Value> {
        match self {
            Books::Gateway(client) => client.ask("POST", &format!("/v1/webhooks/{}/test", escaped(id)), None),
            Books::Here(here) => here.test_webhook(id),
        }
    }

    pub fn remove_webhook(&self, id: &str) -> Result<()> {
        match self {
            Books::Gateway(client) => {
                client.ask("DELETE", &format!("/v1/webhooks/{}", escaped(id)), None).map(drop)
            }
            Books::Here(here) => here.remove_webhook(id),
        }
    }

    pub fn requests(&self, question: RequestQuestion<'_>) -> Result<Value> {
        match self {
            Books::Gateway(client) => {
                let limit = question.limit.to_string();
                let parts = [
                    ("limit", Some(limit.as_str())),
                    ("after", question.after),
                    ("project", question.project),
                    ("end_user", question.end_user),
                    ("tag", question.tag),
                ];
                client.ask("GET", &format!("/v1/requests{}", query(&parts)), None)
            }
            Books::Here(here) => here.requests(question),
        }
    }

    pub fn request(&self, id: &str) -> Result<Value> {
        match self {
            Books::Gateway(client) => client.ask("GET", &format!("/v1/requests/{}", escaped(id)), None),
            Books::Here(here) => here.request(id),
        }
    }

    /// A kept picture of a request; `index` counts from 0.
    pub fn picture(&self, id: &str, index: u32) -> Result<Vec<u8>> {
        match self {
            Books::Gateway(client) => client.file(&format!("/v1/requests/{}/images/{index}", escaped(id))),
            Books::Here(here) => here.picture(id, index),
        }
    }

    /// The newest requests with something in dispute, in the form of [`Books::requests`].
    ///
    /// The API has no such filter: pages are read until all that the projects have in dispute is found.
    pub fn disputed_requests(&self, question: RequestQuestion<'_>) -> Result<Value> {
        let RequestQuestion { limit, after, project, .. } = question;
        let projects = self.projects()?;
        let asked = |one: &&Value| project.is_none_or(|project| one["id"] == project);
        let mut left: Ticks = rows(&projects).iter().filter(asked).map(disputed).sum();
        let limit = limit as usize;
        let mut found: Vec<Value> = Vec::new();
        let mut after = after.map(str::to_owned);
        while !left.is_zero() && found.len() <= limit {
            let asked = RequestQuestion { limit: PAGE_ROWS, after: after.as_deref(), ..question };
            let page = self.requests(asked)?;
            for request in rows(&page).iter().filter(|request| !disputed(request).is_zero()) {
                left -= disputed(request);
                found.push(request.clone());
            }
            match rows(&page).last() {
                Some(last) if page["has_more"] == true => after = last["id"].as_str().map(str::to_owned),
                // In front of the first page there may be the rest.
                _ => break,
            }
        }
        let has_more = found.len() > limit;
        found.truncate(limit);
        Ok(json!({"object": "list", "data": found, "has_more": has_more}))
    }

    /// Ends a dispute with what the provider billed, an amount of dollars; answers the request.
    pub fn resolve(&self, id: &str, attempt: u32, charged_usd: &str) -> Result<Value> {
        match self {
            Books::Gateway(client) => {
                let path = format!("/v1/requests/{}/attempts/{attempt}/resolve", escaped(id));
                client.ask("POST", &path, Some(&json!({"charged_usd": charged_usd})))
            }
            Books::Here(here) => here.resolve(id, attempt, charged_usd),
        }
    }

    /// What is asked are the parameters of `GET /v1/usage`.
    pub fn usage(&self, asked: &[(&str, Option<&str>)]) -> Result<Value> {
        match self {
            Books::Gateway(client) => client.ask("GET", &format!("/v1/usage{}", query(asked)), None),
            Books::Here(here) => here.usage(asked),
        }
    }

    pub fn usage_csv(&self, asked: &[(&str, Option<&str>)]) -> Result<Vec<u8>> {
        match self {
            Books::Gateway(client) => {
                let asked: Vec<_> = asked.iter().copied().chain([("format", Some("csv"))]).collect();
                client.file(&format!("/v1/usage{}", query(&asked)))
            }
            Books::Here(here) => here.usage_csv(asked),
        }
    }
}

/// The gateway that has the books of `data_dir` open.
fn gateway(data_dir: &Path, environment: &Environment) -> Result<Client> {
    let address = std::fs::read_to_string(address_file(data_dir)).unwrap_or_default();
    if address.trim().is_empty() {
        let message =
            format!("another process has the books in {} open, but is no gateway", data_dir.display());
        return Err(Failure::failed(message).advise("wait until it has ended, or end it"));
    }
    let key = environment.get(ADMIN_KEY).map(SecretString::from);
    let key = key.or_else(|| first_keys::from_file(data_dir, ADMIN_KEY)).ok_or_else(|| {
        Failure::usage(format!(
            "the gateway at {} has the books open, and it wants the admin key",
            address.trim()
        ))
        .advise(format!("set {ADMIN_KEY} to the key that its first start showed, or end the gateway"))
    })?;
    Ok(Client::new(address.trim(), key))
}

/// The rows of a list.
fn rows(list: &Value) -> &[Value] {
    list["data"].as_array().map(Vec::as_slice).unwrap_or_default()
}

/// What of a project, a request or totals is in dispute.
pub fn disputed(value: &Value) -> Ticks {
    value["disputed_usd"].as_str().and_then(|text| text.parse().ok()).unwrap_or(Ticks::ZERO)
}

fn query(parts: &[(&str, Option<&str>)]) -> String {
    let given = parts.iter().filter_map(|(name, value)| Some(format!("{name}={}", escaped((*value)?))));
    let joined = given.collect::<Vec<_>>().join("&");
    if joined.is_empty() { joined } else { format!("?{joined}") }
}
