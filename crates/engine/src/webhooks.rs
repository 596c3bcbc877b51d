//! Webhooks: alerts on their way to whoever asked for them, each at least once.
//!
//! The queue lies in the store, beside the ledger whose transactions fill it; here deliveries are claimed, signed
//! (`signature.rs`), sent and, where that fails, put off (`schedule.rs`). The id of a delivery is the alert's, so
//! that a receiver can tell a repetition. Nothing but the status of an answer is looked at, and no redirect is
//! followed. It refuses to find anything out: that is `watch.rs`.

pub mod signature;

mod schedule;

use crate::shared::Shared;
use crate::transport::Transport;
use bytes::Bytes;
use gallerist_domain::AlertId;
use gallerist_domain::alert::{AlertData, WebhookEvent};
use gallerist_store::{
    AlertRecord, Claimed, DeliveryEnd, SigningSecret, StoreError, WebhookFormat, WebhookTarget,
};
use http::header::{CONTENT_TYPE, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

/// For how long the secret before a new one signs too.
pub const PREVIOUS_SECRET_HOURS: i64 = 24;
/// Deliveries in flight.
const CONCURRENT_MAX: usize = 16;
/// What a lease lasts longer than a delivery may take.
const LEASE_MARGIN: Duration = Duration::from_secs(15);
/// Least pause between looks at the queue.
const LOOK_MS_MIN: u64 = 20;
/// Pause after the store has failed.
const ILL_PAUSE: Duration = Duration::from_secs(5);
/// How long what flies may go on when the gateway stops; what does not arrive is sent again by the next start.
const LANDING: Duration = Duration::from_secs(5);

const WEBHOOK_ID: HeaderName = HeaderName::from_static("webhook-id");
const WEBHOOK_TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const WEBHOOK_SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// What became of one sending.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sent {
    /// The receiver answered.
    Answered {
        status: u16,
        /// How long it asked to be left alone, in seconds.
        retry_after_seconds: Option<u64>,
    },
    /// No answer came, for this reason. It names no address.
    Failed(String),
}

impl Sent {
    /// Whether the receiver has it.
    pub fn is_delivered(&self) -> bool {
        matches!(self, Sent::Answered { status: 200..=299, .. })
    }

    /// Why it was not delivered.
    pub fn why(&self) -> String {
        match self {
            Sent::Answered { status: status @ 300..=399, .. } => {
                format!("it answered {status}, and redirects are not followed")
            }
            Sent::Answered { status, .. } => format!("it answered {status}"),
            Sent::Failed(why) => why.clone(),
        }
    }
}

/// Sends events to webhooks.
#[derive(Clone)]
pub struct Sender {
    transport: Arc<Transport>,
    private: bool,
    timeout: Duration,
}

#[derive(Serialize)]
struct TestData {
    message: &'static str,
}

#[derive(Serialize)]
struct SlackMessage {
    text: String,
}

impl Sender {
    /// A sender for those who run no engine. With `private` it also reaches private addresses.
    ///
    /// # Errors
    /// When the HTTP client cannot be set up.
    pub fn new(private: bool, timeout_ms: u64) -> Result<Sender, crate::StartError> {
        let transport = Transport::new(timeout_ms, 0).map_err(crate::StartError::Client)?;
        Ok(Sender { transport: Arc::new(transport), private, timeout: Duration::from_millis(timeout_ms) })
    }

    pub(crate) fn of(shared: &Shared) -> Sender {
        Sender {
            transport: Arc::clone(&shared.transport),
            private: shared.limits.webhooks_private,
            timeout: Duration::from_millis(shared.limits.webhook_timeout_ms),
        }
    }

    /// Sends an event of the kind `webhook.test`, once.
    pub async fn test(&self, target: &WebhookTarget, now: Timestamp) -> Sent {
        const MESSAGE: &str = "This is a test. Alerts will look like this one.";
        let body = match target.format {
            WebhookFormat::Slack => json(&SlackMessage { text: MESSAGE.to_owned() }),
            WebhookFormat::Standard => {
                let event =
                    TestEvent { kind: "webhook.test", timestamp: now, data: TestData { message: MESSAGE } };
                json(&event)
            }
        };
        self.send(target, AlertId::generate(), body, now).await
    }

    async fn send(&self, target: &WebhookTarget, id: AlertId, body: Bytes, now: Timestamp) -> Sent {
        let headers = match headers(&target.secrets, id, &body, now) {
            Ok(headers) => headers,
            Err(why) => return Sent::Failed(why),
        };
        let deadline = Instant::now() + self.timeout;
        match self.transport.post(&target.url, headers, body, self.private, deadline).await {
            Err(fault) => Sent::Failed(fault.detail),
            Ok((status, headers)) => {
                let asked = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                Sent::Answered {
                    status,
                    retry_after_seconds: asked.and_then(|text| text.trim().parse().ok()),
                }
            }
        }
    }
}

#[derive(Serialize)]
struct TestEvent {
    #[serde(rename = "type")]
    kind: &'static str,
    timestamp: Timestamp,
    data: TestData,
}

fn headers(secrets: &[SigningSecret], id: AlertId, body: &[u8], now: Timestamp) -> Result<HeaderMap, String> {
    let (id, seconds) = (id.to_string(), now.as_second());
    let signatures: Vec<String> =
        secrets.iter().map(|secret| signature::sign(secret, &id, seconds, body)).collect();
    let text = |text: &str| HeaderValue::from_str(text).map_err(|_| "a header cannot hold it".to_owned());
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(USER_AGENT, HeaderValue::from_static(concat!("gallerist/", env!("CARGO_PKG_VERSION"))));
    headers.insert(WEBHOOK_ID, text(&id)?);
    headers.insert(WEBHOOK_TIMESTAMP, HeaderValue::from(seconds));
    headers.insert(WEBHOOK_SIGNATURE, text(&signatures.join(" "))?);
    Ok(headers)
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("an event is plain data").into()
}

/// The body that tells of an alert. The same at each try, so that a repetition is one.
fn body(alert: &AlertRecord, format: WebhookFormat) -> Bytes {
    match format {
        WebhookFormat::Slack => {
            // End users choose a part of the words: their mark-up and mentions stay text.
            let message = alert.message.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
            json(&SlackMessage { text: format!("{}: {message}", alert.severity) })
        }
        WebhookFormat::Standard => json(&WebhookEvent {
            kind: &alert.kind,
            timestamp: alert.at,
            data: AlertData {
                id: alert.id,
                severity: &alert.severity,
                project: alert.project.as_ref(),
                message: &alert.message,
                fact: serde_json::from_str::<&RawValue>(&alert.fact_json).ok(),
            },
        }),
    }
}

/// Whether an address may be a webhook's. What its name leads to is asked when something is sent.
///
/// # Errors
/// What is wrong with it.
pub fn check_url(text: &str, private: bool) -> Result<(), String> {
    let url = reqwest::Url::parse(text)
        .map_err(|_| "is not an address such as https://hooks.example/alerts".to_owned())?;
    let allow = "allow it with `webhooks.allow_private = true` in the settings";
    match url.scheme() {
        "https" => {}
        "http" if private => {}
        "http" => return Err(format!("must begin with https://; for a receiver of your own, {allow}")),
        _ => return Err("must begin with https://".to_owned()),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds a name or password, which would be shown with it; leave it out".to_owned());
    }
    if !private && !crate::transport::may_be_public(&url) {
        return Err(format!("leads to a private address; {allow}"));
    }
    Ok(())
}

/// Delivers what is due, until the engine stops.
pub(crate) async fn keep_delivering(shared: Arc<Shared>) {
    let sender = Sender::of(&shared);
    let mut flying = JoinSet::new();
    while !shared.stopping.is_cancelled() {
        let pause = match launch(&shared, &sender, &mut flying).await {
            Ok(pause) => pause,
            Err(error) => {
                tracing::error!(%error, "webhook deliveries could not be claimed");
                ILL_PAUSE
            }
        };
        tokio::select! {
            () = shared.stopping.cancelled() => {}
            Some(_) = flying.join_next(), if !flying.is_empty() => {}
            () = shared.store.alert_raised() => {}
            () = sleep(pause) => {}
        }
    }
    let landing = async { while flying.join_next().await.is_some() {} };
    // What is still under way is aborted with the set; its lease runs out.
    let _ = timeout(LANDING, landing).await;
}

/// Claims and sends what is due; how long there is nothing more to do.
async fn launch(
    shared: &Arc<Shared>,
    sender: &Sender,
    flying: &mut JoinSet<()>,
) -> Result<Duration, StoreError> {
    let free = CONCURRENT_MAX.saturating_sub(flying.len());
    if free > 0 {
        let now = shared.clock.now();
        let lease = SignedDuration::try_from(sender.timeout + LEASE_MARGIN).unwrap_or(SignedDuration::MAX);
        let leased_until = now.checked_add(lease).unwrap_or(Timestamp::MAX);
        let limit = u32::try_from(free).unwrap_or(u32::MAX);
        for claimed in shared.store.claim_deliveries(now, leased_until, limit).await? {
            flying.spawn(deliver(Arc::clone(shared), sender.clone(), claimed));
        }
    }
    let now = shared.clock.now();
    let next = shared.store.next_delivery_at(now).await?;
    let until =
        next.map_or(u64::MAX, |next| u64::try_from(next.duration_since(now).as_millis()).unwrap_or(0));
    Ok(Duration::from_millis(until.min(shared.limits.webhook_look_ms_max).max(LOOK_MS_MIN)))
}

/// Sends one delivery and notes what became of it.
async fn deliver(shared: Arc<Shared>, sender: Sender, claimed: Claimed) {
    let Claimed { delivery, target, alert } = claimed;
    let sent = sender.send(&target, alert.id, body(&alert, target.format), shared.clock.now()).await;
    let now = shared.clock.now();
    let end = conclude(&sent, delivery.attempt, now, uuid::Uuid::new_v4().as_u128());
    let (webhook, alert, attempt) = (target.id, alert.id, delivery.attempt);
    match &end {
        DeliveryEnd::Delivered => tracing::debug!(%webhook, %alert, attempt, "an alert was delivered"),
        DeliveryEnd::Later { at, why } => {
            tracing::info!(%webhook, %alert, attempt, next_at = %at, why, "an alert was not delivered yet");
        }
        DeliveryEnd::Failed { why } => {
            tracing::error!(%webhook, %alert, attempt, why, "an alert could not be delivered and is given up");
        }
        DeliveryEnd::Gone { why } => {
            tracing::warn!(%webhook, %alert, attempt, why, "a webhook wants nothing more and is switched off");
        }
    }
    // Without this note its lease runs out, and it is sent again.
    if let Err(error) = shared.store.end_delivery(delivery, end, now).await {
        tracing::error!(%webhook, %alert, %error, "a delivery could not be noted");
    }
}

/// What an attempt's outcome means for its delivery.
fn conclude(sent: &Sent, attempt: u32, now: Timestamp, random: u128) -> DeliveryEnd {
    if sent.is_delivered() {
        return DeliveryEnd::Delivered;
    }
    let why = sent.why();
    let asked = match sent {
        Sent::Answered { status: 410, .. } => return DeliveryEnd::Gone { why },
        Sent::Answered { retry_after_seconds, .. } => *retry_after_seconds,
        Sent::Failed(_) => None,
    };
    match schedule::pause(attempt, asked, random) {
        Some(pause) => DeliveryEnd::Later { at: now.checked_add(pause).unwrap_or(Timestamp::MAX), why },
        None => DeliveryEnd::Failed { why },
    }
}

#[cfg(test)]
mod tests;
