//! Alerts and webhooks as the API writes them, and wishes for webhooks as it reads them.
//!
//! The command line uses the same forms where no gateway runs, so that both ways answer alike. It refuses to
//! send anything.

use crate::routes::Object;
use gallerist_domain::{AlertFact, AlertId, KindFilter, ProjectId, WebhookId};
use gallerist_engine::webhooks::signature::new_secret;
use gallerist_engine::webhooks::{Sent, check_url};
use gallerist_routing::nearest::nearest;
use gallerist_store::{AlertPage, AlertRecord, NewWebhook, WebhookChange, WebhookFormat, WebhookRecord};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// What is wrong with a wish: the parameter, and a sentence.
pub type Mistake = (&'static str, String);

#[derive(Serialize)]
pub struct AlertList {
    object: &'static str,
    data: Vec<AlertShown>,
    has_more: bool,
}

#[derive(Serialize)]
struct AlertShown {
    id: AlertId,
    object: &'static str,
    created_at: Timestamp,
    #[serde(rename = "type")]
    kind: String,
    severity: String,
    project: Option<ProjectId>,
    message: String,
    /// The figures that it rests on.
    fact: Option<Box<RawValue>>,
}

impl From<AlertPage> for AlertList {
    fn from(page: AlertPage) -> AlertList {
        let data = page.alerts.into_iter().map(AlertShown::from).collect();
        AlertList { object: "list", data, has_more: page.has_more }
    }
}

impl From<AlertRecord> for AlertShown {
    fn from(record: AlertRecord) -> AlertShown {
        AlertShown {
            id: record.id,
            object: "alert",
            created_at: record.at,
            kind: record.kind,
            severity: record.severity,
            project: record.project,
            message: record.message,
            fact: RawValue::from_string(record.fact_json).ok(),
        }
    }
}

/// A webhook; with its secret only in the answer that makes or changes that.
#[derive(Serialize)]
pub struct WebhookShown {
    id: WebhookId,
    object: &'static str,
    url: String,
    /// Empty: all.
    kinds: KindFilter,
    project: Option<ProjectId>,
    format: &'static str,
    enabled: bool,
    disabled_reason: Option<String>,
    created_at: Timestamp,
    /// Until then deliveries carry a signature of the secret before this one too.
    previous_secret_until: Option<Timestamp>,
    last_delivered_at: Option<Timestamp>,
    last_failed_at: Option<Timestamp>,
    last_failure: Option<String>,
    /// Deliveries that are still to be made.
    pending: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    secret: Option<String>,
}

impl WebhookShown {
    /// With the secret, for the one answer that shows it.
    pub fn with_secret(record: WebhookRecord, secret: String) -> WebhookShown {
        WebhookShown { secret: Some(secret), ..WebhookShown::from(record) }
    }
}

impl From<WebhookRecord> for WebhookShown {
    fn from(record: WebhookRecord) -> WebhookShown {
        WebhookShown {
            id: record.id,
            object: "webhook",
            url: record.url,
            kinds: record.kinds,
            project: record.project,
            format: record.format.as_str(),
            enabled: record.disabled_at.is_none(),
            disabled_reason: record.disabled_reason,
            created_at: record.created_at,
            previous_secret_until: record.previous_secret_until,
            last_delivered_at: record.last_delivered_at,
            last_failed_at: record.last_failed_at,
            last_failure: record.last_failure,
            pending: record.pending,
            secret: None,
        }
    }
}

#[derive(Serialize)]
pub struct WebhookList {
    object: &'static str,
    data: Vec<WebhookShown>,
    has_more: bool,
}

impl From<Vec<WebhookRecord>> for WebhookList {
    fn from(records: Vec<WebhookRecord>) -> WebhookList {
        let data = records.into_iter().map(WebhookShown::from).collect();
        WebhookList { object: "list", data, has_more: false }
    }
}

/// What a test has shown.
#[derive(Serialize)]
pub struct TestShown {
    object: &'static str,
    delivered: bool,
    /// Of the answer; null where none came.
    status: Option<u16>,
    /// Why it was not delivered.
    failure: Option<String>,
}

impl From<&Sent> for TestShown {
    fn from(sent: &Sent) -> TestShown {
        let delivered = sent.is_delivered();
        TestShown {
            object: "webhook_test",
            delivered,
            status: match sent {
                Sent::Answered { status, .. } => Some(*status),
                Sent::Failed(_) => None,
            },
            failure: (!delivered).then(|| sent.why()),
        }
    }
}

/// A webhook as it is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WebhookWish {
    pub url: String,
    #[serde(default)]
    pub kinds: KindFilter,
    project: Option<String>,
    format: Option<String>,
}

impl Object for WebhookWish {
    const EXAMPLE: &'static str = r#"{"url": "https://example.com/hook", "kinds": ["budget.*"]}"#;
}

impl WebhookWish {
    /// The webhook as it is to be made, with a new id and a new secret.
    ///
    /// # Errors
    /// The first parameter that is wrong.
    pub fn webhook(self, private: bool) -> Result<NewWebhook, Mistake> {
        url(&self.url, private)?;
        kinds(&self.kinds)?;
        Ok(NewWebhook {
            id: WebhookId::generate(),
            project: self.project.as_deref().map(project).transpose()?,
            format: self.format.as_deref().map_or(Ok(WebhookFormat::Standard), format)?,
            url: self.url,
            kinds: self.kinds,
            secret: new_secret(),
        })
    }
}

/// A change as it is asked for; what is absent stays.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangeWish {
    url: Option<String>,
    kinds: Option<KindFilter>,
    /// Null: all projects.
    #[serde(default, deserialize_with = "crate::routes::present")]
    project: Option<Box<RawValue>>,
    format: Option<String>,
    enabled: Option<bool>,
}

impl Object for ChangeWish {
    const EXAMPLE: &'static str = r#"{"enabled": false}"#;
}

impl ChangeWish {
    /// # Errors
    /// The first parameter that is wrong.
    pub fn change(self, private: bool) -> Result<WebhookChange, Mistake> {
        if let Some(text) = &self.url {
            url(text, private)?;
        }
        if let Some(filter) = &self.kinds {
            kinds(filter)?;
        }
        let named = self.project.map(|written| match serde_json::from_str::<Option<String>>(written.get()) {
            Ok(name) => name.as_deref().map(project).transpose(),
            Err(_) => Err(("project", "project must be a project's name, or null for all.".to_owned())),
        });
        Ok(WebhookChange {
            url: self.url,
            kinds: self.kinds,
            project: named.transpose()?,
            format: self.format.as_deref().map(format).transpose()?,
            enabled: self.enabled,
        })
    }
}

fn url(text: &str, private: bool) -> Result<(), Mistake> {
    check_url(text, private).map_err(|why| ("url", format!("url {why}.")))
}

/// Which alerts a list is asked for: a kind, or a group of them as `budget.*`.
///
/// # Errors
/// A sentence with the nearest kinds, and all that there are.
pub fn asked_kind(text: &str) -> Result<String, String> {
    let wish = KindFilter(vec![text.to_owned()]);
    wish.check().map(|()| text.to_owned()).map_err(|why| {
        let near = nearest(text, AlertFact::KINDS.map(str::to_owned), 3).join(", ");
        format!("{why}; the nearest: {near}")
    })
}

fn kinds(filter: &KindFilter) -> Result<(), Mistake> {
    filter.check().map_err(|why| ("kinds", format!("kinds: {why}.")))
}

fn project(name: &str) -> Result<ProjectId, Mistake> {
    name.parse().map_err(|why| ("project", format!("project: {why}.")))
}

fn format(word: &str) -> Result<WebhookFormat, Mistake> {
    let known = WebhookFormat::from_word(word);
    known.ok_or_else(|| ("format", "format must be standard or slack.".to_owned()))
}
