//! What an ended request answers, from its row and its kept pictures.

use crate::answer::{Answer, AnswerMeta};
use crate::joining::Ending;
use crate::recover;
use crate::refusal::{Refusal, RefusalKind};
use crate::shared::Shared;
use gallerist_domain::{RequestId, ResponseFormat};
use gallerist_store::{AttemptStatus, RequestDetail, RequestStatus, StoreError};
use std::sync::Arc;

/// When to ask again for a request whose jobs are being looked up after a restart.
pub(crate) const LOOK_UP_MS: u64 = 5_000;
/// When to ask again while the store cannot be read.
const UNREAD_MS: u64 = 1_000;

/// A request from its row; `None` when its pictures are gone.
pub(crate) async fn from_store(shared: &Shared, detail: &RequestDetail) -> Option<Ending> {
    let record = &detail.request;
    let text = record.answer_json.as_deref().unwrap_or("{}");
    match record.status {
        RequestStatus::Succeeded | RequestStatus::Partial => {
            let meta: AnswerMeta = serde_json::from_str(text).ok()?;
            match shared.answer_from_store(meta, record.images_delivered).await {
                Ok(answer) => answer.map(Ok),
                Err(error) => Some(Err(unread(Some(record.id), &error))),
            }
        }
        RequestStatus::Running if is_looked_up(detail) => Some(Err(looked_up(detail))),
        RequestStatus::Running => Some(Err(refusal(detail, text))),
        RequestStatus::Failed => match late_answer(shared, detail).await {
            Some(answer) => Some(Ok(answer)),
            None => Some(Err(refusal(detail, text))),
        },
    }
}

/// Marks what was answered before.
pub(crate) fn replayed(ending: Ending) -> Ending {
    match ending {
        Ok(answer) => {
            let meta = AnswerMeta { cached: true, ..(*answer.meta).clone() };
            Ok(Answer { meta: Arc::new(meta), ..answer })
        }
        Err(refusal) => Err(Refusal { replayed: true, ..refusal }),
    }
}

/// An answer from the store has its pictures; a client that asked for addresses gets addresses again.
pub(crate) async fn with_format(shared: &Shared, format: ResponseFormat, ending: Ending) -> Ending {
    match (format, ending) {
        (ResponseFormat::Url, Ok(answer)) => Ok(shared.with_addresses(answer).await),
        (_, ending) => ending,
    }
}

/// Whether a job of it is being asked for, so that its end is a matter of seconds.
pub(crate) fn is_looked_up(detail: &RequestDetail) -> bool {
    detail.attempts.iter().any(|attempt| attempt.status == AttemptStatus::Reserved && attempt.job_pending)
}

/// Nothing final: whoever asks again in a moment hears what became of it. No amount is named, because the
/// held one would tell an SDK to give up.
fn looked_up(detail: &RequestDetail) -> Refusal {
    let message = "An earlier try of this request was cut short, and its job is being looked up at the \
                   provider. Ask again in a moment; it is not bought again.";
    let refusal = Refusal::new(RefusalKind::Overloaded, message).with_request(detail.request.id);
    Refusal { retry_after_ms: Some(LOOK_UP_MS), ..refusal }
}

/// What became of an earlier request stands in books that cannot be read now. That it is gone would be untrue.
pub(crate) fn unread(request: Option<RequestId>, error: &StoreError) -> Refusal {
    tracing::warn!(%error, "what a request repeats could not be read");
    let message = "What became of an earlier try of this request cannot be read at the moment. Ask again in a \
                   moment; it is not bought again.";
    let refusal = Refusal::new(RefusalKind::Overloaded, message);
    Refusal { request_id: request, retry_after_ms: Some(UNREAD_MS), ..refusal }
}

/// The refusal that was stored, or one for a request that was cut short before it had any.
fn refusal(detail: &RequestDetail, text: &str) -> Refusal {
    let record = &detail.request;
    let stored: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
    let word = |name: &str| stored.get(name).and_then(serde_json::Value::as_str);
    let kind = word("code").or(record.error_code.as_deref()).and_then(RefusalKind::from_code);
    let message = word("message").unwrap_or("An earlier try of this request was cut short.");
    let mut refusal = Refusal::new(kind.unwrap_or(RefusalKind::UpstreamFailed), message);
    refusal.parameter = word("parameter").map(str::to_owned);
    refusal.request_id = Some(record.id);
    refusal.charged = record.charged;
    refusal.disputed = record.disputed + record.held;
    refusal
}

/// The answer of a request that failed before its job ended, whose pictures were recovered since.
async fn late_answer(shared: &Shared, detail: &RequestDetail) -> Option<Answer> {
    let (meta, images) = recover::salvaged(shared, detail).await?;
    shared.answer_from_store(meta, images).await.ok().flatten()
}
