//! At the door: repetitions join what is running or finished; everything else begins a life.
//!
//! A life is polled by whoever waits for it, and moves into a task of the engine when the waiting ends: when
//! a client goes away its picture is kept, and the money is settled all the same.

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
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

/// How long after its acceptance a request can be repeated by an SDK and joined.
const REPETITION_MINUTES: i64 = 15;
/// How long after its end a request that was answered is what an SDK repeats, rather than a new wish.
const JUST_FINISHED: SignedDuration = SignedDuration::from_mins(2);

/// Serves one request that does not stream.
pub(crate) async fn generate(shared: Arc<Shared>, incoming: Incoming) -> Ending {
    if let Some(earlier) = earlier(&shared, &incoming).await {
        return earlier;
    }
    Detachable::new(Arc::clone(&shared), lead(shared, incoming, None)).await.ending
}

/// Serves one request as a stream of events.
pub(crate) fn generate_stream(shared: Arc<Shared>, incoming: Incoming) -> mpsc::Receiver<StreamEvent> {
    let (events, receiver) = mpsc::channel(EVENTS_MAX);
    let tasks = shared.tasks.clone();
    tasks.spawn(async move {
        let ending = match earlier(&shared, &incoming).await {
            Some(earlier) => earlier,
            None => {
                let led = lead(shared, incoming, Some(EventSink::new(events.clone()))).await;
                if led.told {
                    return;
                }
                led.ending
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

/// A life that has been led.
struct Led {
    ending: Ending,
    /// Whether the stream's own events have told it.
    told: bool,
    /// Whether its pictures are on disk already.
    kept: bool,
}

/// Leads one request to its ending, and writes or schedules what it cost.
async fn lead(shared: Arc<Shared>, incoming: Incoming, events: Option<EventSink>) -> Led {
    let refused = |refusal| Led { ending: Err(refusal), told: false, kept: false };
    // A shutdown waits for this life, wherever it is polled. Taken before the question, so that no life begins
    // behind the back of a shutdown that has waited already.
    let _token = shared.tasks.token();
    if shared.stopping.is_cancelled() {
        return refused(overloaded());
    }
    let Ok(_place) = shared.lives.try_acquire() else { return refused(overloaded()) };
    let id = RequestId::generate();
    let key = join_key(&incoming);
    let registered = Registered::new(&shared, id, key);
    let streamed = events.is_some();
    let settles_first = incoming.idempotency_key.is_some();
    let format = incoming.request.response_format;
    let kept = settles_first || format == ResponseFormat::Url;
    let mut life = Life::new(Arc::clone(&shared), id, incoming);
    let led = match life.run(events).await {
        Lived::Ended(ending, end) => {
            if settles_first {
                life.conclude(end).await;
            } else {
                life.conclude_later(end);
            }
            Led { ending, told: streamed, kept }
        }
        Lived::Existing { request, same_body } => {
            let ending = bound(&shared, format, request, same_body).await;
            Led { ending, told: false, kept: true }
        }
    };
    registered.end(led.ending.clone());
    led
}

/// A life that can be joined. One that breaks off (a panic) can be joined no more.
struct Registered {
    shared: Arc<Shared>,
    id: RequestId,
    key: JoinKey,
    announce: tokio::sync::watch::Sender<Option<Ending>>,
    ended: bool,
}

impl Registered {
    fn new(shared: &Arc<Shared>, id: RequestId, key: JoinKey) -> Registered {
        let announce = shared.joining.begin(id, key.clone());
        Registered { shared: Arc::clone(shared), id, key, announce, ended: false }
    }

    /// Tells everybody who listens.
    fn end(mut self, ending: Ending) {
        let _ = self.announce.send(Some(ending.clone()));
        self.shared.joining.end(self.id, self.key.clone(), ending);
        self.ended = true;
    }
}

impl Drop for Registered {
    fn drop(&mut self) {
        if !self.ended {
            self.shared.joining.forget(self.id, &self.key);
        }
    }
}

/// A life that is polled by whoever waits for it, without a task of its own; when the waiting ends before
/// the life does, the rest of it moves into a task of the engine. So a client that goes away tears nothing
/// apart, and one that stays costs no hand-over between threads.
struct Detachable {
    shared: Arc<Shared>,
    /// Taken when it has ended.
    life: Option<Pin<Box<dyn Future<Output = Led> + Send>>>,
    /// Set while it is polled: still set when dropped, it has panicked and must not be polled again.
    polling: bool,
}

impl Detachable {
    fn new(shared: Arc<Shared>, life: impl Future<Output = Led> + Send + 'static) -> Detachable {
        Detachable { shared, life: Some(Box::pin(life)), polling: false }
    }
}

impl Future for Detachable {
    type Output = Led;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Led> {
        self.polling = true;
        let life = self.life.as_mut().expect("it is not polled after its end");
        let polled = life.as_mut().poll(context);
        self.polling = false;
        if polled.is_ready() {
            self.life = None;
        }
        polled
    }
}

impl Drop for Detachable {
    fn drop(&mut self) {
        let Some(life) = self.life.take().filter(|_| !self.polling) else { return };
        let shared = Arc::clone(&self.shared);
        // Without a runtime everything is being torn down; the next start finds what was reserved.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        self.shared.tasks.spawn_on(
            async move {
                let led = life.await;
                if let (Ok(answer), false) = (&led.ending, led.kept) {
                    shared.keep(answer).await;
                }
            },
            &runtime,
        );
    }
}

/// An answer from the store has its pictures; a client that asked for addresses gets addresses again.
fn in_format(shared: &Shared, format: ResponseFormat, ending: Ending) -> Ending {
    match format {
        ResponseFormat::Url => ending.map(|answer| shared.with_addresses(answer)),
        ResponseFormat::Base64 => ending,
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
        let same_body = known.fingerprint == incoming.fingerprint;
        return Some(bound(shared, incoming.request.response_format, known.request, same_body).await);
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
        let kept = kept.map(|ending| in_format(shared, incoming.request.response_format, ending));
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
    let ending = from_record(shared, record).await?;
    repeatable(in_format(shared, incoming.request.response_format, ending))
}

/// What the request that an idempotency key is bound to answers.
async fn bound(shared: &Shared, format: ResponseFormat, request: RequestId, same_body: bool) -> Ending {
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
        Ok(Some(detail)) => {
            let replayed = from_record(shared, detail.request).await;
            replayed.map_or_else(gone, |ending| in_format(shared, format, ending))
        }
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
