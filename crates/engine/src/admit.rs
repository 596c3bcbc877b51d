//! At the door: what repeats an earlier request (`repetition.rs`) gets its ending; everything else begins a
//! life.
//!
//! A life is polled by whoever waits for it, and moves into a task of the engine when the waiting ends: when
//! a client goes away its picture is kept, and the money is settled all the same.

use crate::answer::StreamEvent;
use crate::events::{EVENTS_MAX, EventSink};
use crate::joining::{Ending, EndingWatch, JoinKey};
use crate::life::{Life, Lived, overloaded};
use crate::repetition::{self, Repeats, join_key};
use crate::replay;
use crate::request::Incoming;
use crate::shared::Shared;
use gallerist_domain::{RequestId, ResponseFormat};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::sync::mpsc;

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
    let Ok(place) = shared.lives.try_acquire() else { return refused(overloaded()) };
    let (payer, allowance) = (&incoming.payer, &incoming.allowance);
    let pass = match shared.door.pass(payer, allowance, incoming.request.n, &*shared.clock).await {
        Ok(pass) => pass,
        Err(refusal) => return refused(refusal),
    };
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
            // From here on it only waits: the life that makes the pictures holds its own. What it took of a rate
            // is gone, since rates are only taken.
            drop((pass, place));
            let bound = repetition::bound(&shared, format, request, same_body).await;
            let ending = ending_of(&shared, bound).await.unwrap_or_else(|| Err(overloaded()));
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

/// The ending of an earlier request that this one repeats, if it does; waits for one that runs.
async fn earlier(shared: &Shared, incoming: &Incoming) -> Option<Ending> {
    ending_of(shared, repetition::repeats(shared, incoming).await).await
}

async fn ending_of(shared: &Shared, repeats: Repeats) -> Option<Ending> {
    match repeats {
        Repeats::Nothing => None,
        Repeats::Finished(ending) => Some(*ending),
        Repeats::Running(watch) => Some(listen(shared, watch).await),
    }
}

async fn listen(shared: &Shared, mut watch: EndingWatch) -> Ending {
    let ended = tokio::select! {
        ended = watch.wait_for(Option::is_some) => ended.ok().and_then(|ending| ending.clone()),
        () = shared.stopping.cancelled() => None,
    };
    ended.map_or_else(|| Err(overloaded()), replay::replayed)
}
