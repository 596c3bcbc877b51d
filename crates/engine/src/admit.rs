//! At the door: repetitions join what is running or finished; everything else begins a life.
//!
//! The life runs in a task of the engine. Whoever waits for it only listens: when a client goes away its
//! picture is kept, and the money is settled all the same.

use crate::answer::{Answer, AnswerMeta, StreamEvent};
use crate::events::{EVENTS_MAX, EventSink};
use crate::joining::{Ending, EndingWatch, Found, JoinKey};
use crate::life::{Life, Lived, overloaded};
use crate::recover;
use crate::refusal::{Refusal, RefusalKind};
use crate::request::Incoming;
use crate::shared::Shared;
use gallerist_domain::{RequestId, ResponseFormat};
use gallerist_store::{RequestRecord, RequestStatus};
use jiff::SignedDuration;
use std::sync::Arc;
use tokio::sync::{mpsc, oneshot};

/// How long after its acceptance a request can be repeated by an SDK and joined.
const REPETITION_MINUTES: i64 = 15;
/// How long after its end a request that was answered is what an SDK repeats, rather than a new wish.
const JUST_FINISHED: SignedDuration = SignedDuration::from_mins(2);

/// Serves one request that does not stream.
pub(crate) async fn generate(shared: Arc<Shared>, incoming: Incoming) -> Ending {
    if let Some(earlier) = earlier(&shared, &incoming).await {
        return earlier;
    }
    let (sender, receiver) = oneshot::channel();
    begin(&shared, incoming, None, sender)?;
    let mut waiting = Waiting { shared, receiver };
    (&mut waiting.receiver).await.unwrap_or_else(|_| {
        // The task ended without an ending: it panicked, or the engine is going down.
        Err(Refusal::new(RefusalKind::Internal, "The request was cut short; look it up before repeating it."))
    })
}

/// Whoever waits for an ending. A client may leave after the answer was handed over and before it was taken:
/// then its pictures are kept all the same.
struct Waiting {
    shared: Arc<Shared>,
    receiver: oneshot::Receiver<Ending>,
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.receiver.close();
        if let Ok(Ok(answer)) = self.receiver.try_recv() {
            let shared = Arc::clone(&self.shared);
            self.shared.tasks.spawn(async move { shared.keep(&answer).await });
        }
    }
}

/// Serves one request as a stream of events.
pub(crate) fn generate_stream(shared: Arc<Shared>, incoming: Incoming) -> mpsc::Receiver<StreamEvent> {
    let (events, receiver) = mpsc::channel(EVENTS_MAX);
    let tasks = shared.tasks.clone();
    tasks.spawn(async move {
        let sink = EventSink::new(events.clone());
        let ending = match earlier(&shared, &incoming).await {
            Some(earlier) => earlier,
            None => {
                let (sender, ending) = oneshot::channel();
                match begin(&shared, incoming, Some(sink), sender) {
                    // The life sends its own events, unless it turns out to be a repetition.
                    Ok(()) => match ending.await {
                        Ok(ending) => ending,
                        Err(_) => return,
                    },
                    Err(refusal) => Err(refusal),
                }
            }
        };
        replay_events(events, ending).await;
    });
    receiver
}

async fn replay_events(events: mpsc::Sender<StreamEvent>, ending: Ending) {
    match ending {
        Ok(answer) => {
            for image in answer.images {
                let event = StreamEvent::Completed { image, meta: Arc::clone(&answer.meta) };
                if events.send(event).await.is_err() {
                    return;
                }
            }
        }
        Err(refusal) => {
            let _ = events.send(StreamEvent::Failed(refusal)).await;
        }
    }
}

/// Starts the life in a task of its own. `sender` gets the ending, for a stream only when the stream has
/// not been served by events.
fn begin(
    shared: &Arc<Shared>,
    incoming: Incoming,
    events: Option<EventSink>,
    sender: oneshot::Sender<Ending>,
) -> Result<(), Refusal> {
    if shared.stopping.is_cancelled() {
        return Err(overloaded());
    }
    let Ok(permit) = Arc::clone(&shared.lives).try_acquire_owned() else { return Err(overloaded()) };
    let id = RequestId::generate();
    let key = join_key(&incoming);
    let announce = shared.joining.begin(id, key.clone());
    let shared = Arc::clone(shared);
    let tasks = shared.tasks.clone();
    tasks.spawn(async move {
        let streamed = events.is_some();
        let settles_first = incoming.idempotency_key.is_some();
        let by_url = incoming.request.response_format == ResponseFormat::Url;
        let mut life = Life::new(Arc::clone(&shared), id, incoming);
        let (ending, end) = match life.run(events).await {
            Lived::Ended(ending, end) => (ending, end),
            Lived::Existing { request, same_body } => {
                let ending = bound(&shared, request, same_body).await;
                let _ = announce.send(Some(ending.clone()));
                shared.joining.end(id, key, ending.clone());
                let _ = sender.send(ending);
                return;
            }
        };
        if settles_first {
            life.conclude(end).await;
            announce_ending(&shared, id, key, announce, sender, ending, streamed, by_url).await;
        } else {
            announce_ending(&shared, id, key, announce, sender, ending, streamed, by_url).await;
            life.conclude_soon(end).await;
        }
        drop(permit);
    });
    Ok(())
}

#[expect(clippy::too_many_arguments, reason = "the parts of one announcement")]
async fn announce_ending(
    shared: &Shared,
    id: RequestId,
    key: JoinKey,
    announce: tokio::sync::watch::Sender<Option<Ending>>,
    sender: oneshot::Sender<Ending>,
    ending: Ending,
    streamed: bool,
    already_kept: bool,
) {
    let _ = announce.send(Some(ending.clone()));
    shared.joining.end(id, key, ending.clone());
    if streamed {
        return;
    }
    if let Err(Ok(answer)) = sender.send(ending)
        && !already_kept
    {
        shared.keep(&answer).await;
    }
}

fn join_key(incoming: &Incoming) -> JoinKey {
    (incoming.caller.clone(), incoming.fingerprint)
}

/// The ending of an earlier request that this one repeats, if it does.
async fn earlier(shared: &Shared, incoming: &Incoming) -> Option<Ending> {
    if let Some(key) = &incoming.idempotency_key {
        let known = shared.store.idempotent(incoming.caller.project.clone(), key, incoming.accepted_at).await;
        let known = known.ok().flatten()?;
        return Some(bound(shared, known.request, known.fingerprint == incoming.fingerprint).await);
    }
    if incoming.retry_count == 0 {
        return None;
    }
    match shared.joining.find(&join_key(incoming)) {
        Some(Found::Running(watch)) => Some(listen(shared, watch).await),
        Some(Found::Finished(ending)) => repeatable(*ending),
        None => earlier_in_store(shared, incoming).await,
    }
}

/// A finished request answers its repetition, unless it failed without a charge: then trying is free.
fn repeatable(ending: Ending) -> Option<Ending> {
    match ending {
        Ok(answer) => Some(Ok(cached(answer))),
        Err(refusal) if refusal.may_have_charged() => Some(Err(refusal)),
        Err(_) => None,
    }
}

fn cached(answer: Answer) -> Answer {
    let meta = AnswerMeta { cached: true, ..(*answer.meta).clone() };
    Answer { meta: Arc::new(meta), ..answer }
}

/// After a restart only the store remembers what a repetition repeats.
async fn earlier_in_store(shared: &Shared, incoming: &Incoming) -> Option<Ending> {
    let since = incoming.accepted_at.checked_sub(SignedDuration::from_mins(REPETITION_MINUTES)).ok()?;
    let found = shared
        .store
        .find_recent_by_fingerprint(incoming.caller.project.clone(), incoming.fingerprint, since)
        .await;
    let record = found.ok().flatten()?;
    if record.status == RequestStatus::Succeeded || record.status == RequestStatus::Partial {
        let (request, charged, finished_at) = (record.id, record.charged, record.finished_at);
        let kept = from_record(shared, record).await.filter(Result::is_ok);
        let just_now = incoming.accepted_at.checked_sub(JUST_FINISHED).ok()?;
        if kept.is_some() || finished_at.is_some_and(|finished_at| finished_at < just_now) {
            // Without kept pictures the client had them all: some time later this is a new wish.
            return kept;
        }
        let message = "This repeats a request that was just answered and paid, whose pictures are no longer \
                       held. It is not bought again; send it as a new request to have another one.";
        let refusal = Refusal::new(RefusalKind::IdempotencyConflict, message).with_request(request);
        return Some(Err(Refusal { charged, ..refusal }));
    }
    from_record(shared, record).await.and_then(repeatable)
}

/// What the request that an idempotency key is bound to answers.
async fn bound(shared: &Shared, request: RequestId, same_body: bool) -> Ending {
    if !same_body {
        let message = "This Idempotency-Key was used with another body. Use a new key for a new request.";
        return Err(Refusal::new(RefusalKind::IdempotencyConflict, message).with_request(request));
    }
    if let Some(watch) = shared.joining.running(request) {
        return listen(shared, watch).await;
    }
    let gone = || {
        let message = "The request with this Idempotency-Key is over, but its pictures are no longer kept. It is \
                       not bought again; use a new key.";
        Err(Refusal::new(RefusalKind::IdempotencyConflict, message).with_request(request))
    };
    match shared.store.request(request).await {
        Ok(Some(detail)) => from_record(shared, detail.request).await.unwrap_or_else(gone),
        _ => gone(),
    }
}

async fn listen(shared: &Shared, mut watch: EndingWatch) -> Ending {
    let ended = tokio::select! {
        ended = watch.wait_for(Option::is_some) => ended.ok().and_then(|ending| ending.clone()),
        () = shared.stopping.cancelled() => None,
    };
    match ended {
        Some(Ok(answer)) => Ok(cached(answer)),
        Some(refused) => refused,
        None => Err(overloaded()),
    }
}

/// The answer of a request that failed before its job ended, whose pictures were recovered since.
async fn late_answer(shared: &Shared, request: RequestId) -> Option<Answer> {
    let detail = shared.store.request(request).await.ok().flatten()?;
    if detail.request.status == RequestStatus::Running {
        return None;
    }
    let (meta, images) = recover::salvaged(shared, &detail).await?;
    shared.answer_from_store(meta, images).await
}

/// A finished request from its row; `None` when its pictures are gone.
pub(crate) async fn from_record(shared: &Shared, record: RequestRecord) -> Option<Ending> {
    let text = record.answer_json.as_deref().unwrap_or("{}");
    match record.status {
        RequestStatus::Succeeded | RequestStatus::Partial => {
            let meta: AnswerMeta = serde_json::from_str(text).ok()?;
            shared.answer_from_store(meta, record.images_delivered).await.map(Ok)
        }
        RequestStatus::Running | RequestStatus::Failed => {
            if let Some(answer) = late_answer(shared, record.id).await {
                return Some(Ok(answer));
            }
            let stored: serde_json::Value = serde_json::from_str(text).unwrap_or_default();
            let word = |name: &str| stored.get(name).and_then(serde_json::Value::as_str);
            let kind = word("code").or(record.error_code.as_deref()).and_then(RefusalKind::from_code);
            let message = word("message").unwrap_or("An earlier try of this request was cut short.");
            let mut refusal = Refusal::new(kind.unwrap_or(RefusalKind::UpstreamFailed), message);
            refusal.parameter = word("parameter").map(str::to_owned);
            refusal.request_id = Some(record.id);
            refusal.charged = record.charged;
            refusal.disputed = record.disputed + record.held;
            Some(Err(refusal))
        }
    }
}
