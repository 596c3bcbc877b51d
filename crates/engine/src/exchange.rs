//! One call at one provider: send, wait, poll, cancel, until an outcome or a fault.
//!
//! Nothing is sent twice once a charge is possible. Questions about a known job may be repeated, because
//! asking costs nothing; the job's id is on disk before the first of them.

use crate::events::{EventReader, EventSink};
use crate::shared::{ProviderRuntime, Shared};
use crate::transport::Opened;
use gallerist_domain::{AttemptId, Billed, Fault, FaultKind, ImageCall, MadeImage, Metered, Outcome};
use gallerist_providers::{Cancelled, Pending, Step, StreamStep};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Failed questions about one job in a row, after which it is given up.
const LOOK_UPS_FAILED_MAX: u32 = 6;
/// Time that a cancellation may take.
const CANCEL_MS: u64 = 5_000;
/// Shorter parts of a key are words that may stand anywhere.
const SECRET_BYTES_MIN: usize = 8;
/// First pause after a failed question, doubling.
const LOOK_UP_PAUSE_MS: u64 = 200;

/// A call that is to be made.
pub(crate) struct Exchange<'a> {
    pub shared: &'a Shared,
    pub provider: &'a ProviderRuntime,
    pub call: &'a ImageCall,
    pub attempt: AttemptId,
    pub deadline: Instant,
}

/// How a call ended.
pub(crate) struct Exchanged {
    pub result: Result<Outcome, Fault>,
    /// Pictures that had come whole when the call failed. Its fault says what is known of the cost.
    pub rescued: Vec<MadeImage>,
    /// The provider's own id of the job, if one is known.
    pub job: Option<String>,
    pub latency_ms: u64,
}

impl Exchanged {
    /// It got no place at its provider.
    pub(crate) fn never_sent(fault: Fault) -> Exchanged {
        let result = Err(fault.with_billed(Billed::No));
        Exchanged { result, rescued: Vec::new(), job: None, latency_ms: 0 }
    }
}

/// What a question about a job brought.
pub(crate) enum Asked {
    Ended(Result<Outcome, Fault>),
    /// To be asked again, like this and not sooner.
    Running {
        pending: Pending,
        after_ms: u64,
    },
    /// The provider was not reached; that says nothing about the job.
    Unanswered(Fault),
}

impl Exchange<'_> {
    /// Makes the call. Streamed partial pictures go to `events`.
    pub(crate) async fn run(&self, events: Option<&mut EventSink>) -> Exchanged {
        let began = Instant::now();
        let mut so_far = SoFar::default();
        let result = self.submit(&mut so_far, events).await.map_err(|fault| self.without_key(fault));
        let latency_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Exchanged { result, rescued: so_far.whole.images, job: so_far.job, latency_ms }
    }

    async fn submit(&self, so_far: &mut SoFar, events: Option<&mut EventSink>) -> Result<Outcome, Fault> {
        let prepared = self.provider.adapter.prepare(self.call, &self.provider.endpoint);
        // What cannot be expressed is never sent.
        let http = prepared.map_err(|fault| fault.with_billed(Billed::No))?;
        let opened = self.shared.transport.open(http, self.deadline).await?;
        if let Some(events) = events.filter(|_| is_event_stream(&opened)) {
            let read = self.read_events(opened, events, &mut so_far.whole).await;
            return read
                .map(|()| std::mem::take(&mut so_far.whole))
                .map_err(|fault| with_usage_of(fault, &so_far.whole));
        }
        let reply = self.shared.transport.read(opened, self.deadline).await?;
        match self.provider.adapter.interpret(self.call, None, &reply) {
            Step::Done(outcome) => Ok(outcome),
            Step::Fault(fault) => Err(fault),
            Step::Wait { pending, after_ms } => {
                so_far.job = Some(pending.job.clone());
                self.store(&pending).await;
                self.follow(pending, after_ms).await
            }
        }
    }

    /// Puts the job's id on disk, so that a restart can ask for it.
    async fn store(&self, pending: &Pending) {
        let text = serde_json::to_string(pending).expect("a pending job is plain text");
        if let Err(error) = self.shared.store.store_pending(self.attempt, text, self.shared.clock.now()).await
        {
            tracing::error!(attempt = %self.attempt, %error, "a job's id could not be stored");
        }
    }

    /// Some providers repeat in an error the key that they were sent. The adapters take out what looks like
    /// a key; here is known what it is.
    fn without_key(&self, mut fault: Fault) -> Fault {
        let key = &self.provider.endpoint.key;
        // `user:password` and `id:secret` may be repeated in part.
        let parts = std::iter::once(key.as_str()).chain(key.split(':'));
        for secret in parts.filter(|part| part.len() >= SECRET_BYTES_MIN) {
            fault.detail = fault.detail.replace(secret, "[removed]");
            // The text is cut to its bound, perhaps within the key.
            let cut = (SECRET_BYTES_MIN..secret.len()).rev().filter_map(|length| secret.get(..length));
            if let Some(rest) = cut.into_iter().find_map(|start| fault.detail.strip_suffix(start)) {
                fault.detail = format!("{rest}[removed]");
            }
        }
        fault
    }

    /// Asks for a job until it ends or the deadline passes, at which it is cancelled.
    async fn follow(&self, mut pending: Pending, mut after_ms: u64) -> Result<Outcome, Fault> {
        let mut failed_in_a_row = 0;
        loop {
            let next = Instant::now() + Duration::from_millis(after_ms);
            if next >= self.deadline {
                return self.give_up(&pending).await;
            }
            sleep_until(next).await;
            match self.ask(&pending).await {
                Asked::Ended(result) => return result,
                Asked::Running { pending: next, after_ms: wait_ms } => {
                    failed_in_a_row = 0;
                    pending = next;
                    after_ms = wait_ms;
                }
                Asked::Unanswered(fault) => {
                    failed_in_a_row += 1;
                    if failed_in_a_row >= LOOK_UPS_FAILED_MAX {
                        // The job itself may well be running.
                        return Err(fault.with_billed(Billed::Unknown));
                    }
                    after_ms = LOOK_UP_PAUSE_MS << failed_in_a_row;
                }
            }
        }
    }

    /// One question about a job, which changes nothing there. Also used after a restart.
    pub(crate) async fn ask(&self, pending: &Pending) -> Asked {
        let Some(http) = self.provider.adapter.look_up(pending, &self.provider.endpoint) else {
            let detail = "the job was started, but the address that the provider named is not its own";
            return Asked::Ended(Err(Fault::new(FaultKind::Malformed, detail).with_billed(Billed::Unknown)));
        };
        let reply = match self.shared.transport.send(http, self.deadline).await {
            Ok(reply) => reply,
            Err(fault) => return Asked::Unanswered(self.without_key(fault)),
        };
        match self.provider.adapter.interpret(self.call, Some(pending), &reply) {
            Step::Done(outcome) => Asked::Ended(Ok(outcome)),
            Step::Fault(fault) => Asked::Ended(Err(self.without_key(fault))),
            Step::Wait { pending, after_ms } => Asked::Running { pending, after_ms },
        }
    }

    /// The deadline has come: cancel what can be cancelled.
    async fn give_up(&self, pending: &Pending) -> Result<Outcome, Fault> {
        let timeout = Fault::new(FaultKind::Timeout, "the job was not finished before the deadline");
        let Some(http) = self.provider.adapter.cancel(pending, &self.provider.endpoint) else {
            return Err(timeout.with_billed(Billed::Unknown));
        };
        let deadline = Instant::now() + Duration::from_millis(CANCEL_MS);
        let Ok(reply) = self.shared.transport.send(http, deadline).await else {
            return Err(timeout.with_billed(Billed::Unknown));
        };
        match self.provider.adapter.interpret_cancel(&reply) {
            Cancelled::Queued => Err(timeout.with_billed(Billed::No)),
            Cancelled::Running | Cancelled::Finished | Cancelled::Unknown => {
                Err(timeout.with_billed(Billed::Unknown))
            }
        }
    }

    /// Reads a streamed answer into `whole` to its end, also when the client has gone: the picture is being paid
    /// for. What is in `whole` came whole, also when the stream breaks later.
    async fn read_events(
        &self,
        mut opened: Opened,
        events: &mut EventSink,
        whole: &mut Outcome,
    ) -> Result<(), Fault> {
        let mut reader = EventReader::new(self.shared.limits.reply_bytes_max);
        while let Some(frame) = opened.frame(self.deadline).await? {
            reader.push(&frame)?;
            while let Some(event) = reader.next_event() {
                match self.provider.adapter.decode_event(self.call, &event)? {
                    StreamStep::Ignore => {}
                    StreamStep::Partial { index, image, format } => {
                        let format = format.unwrap_or(self.call.output_format);
                        events.partial(index, image, format, self.call);
                    }
                    StreamStep::Completed(outcome) => merge(whole, outcome),
                }
            }
            if !whole.images.is_empty() && whole.images.len() >= self.call.n as usize {
                return Ok(());
            }
        }
        if whole.images.is_empty() {
            let detail = "the stream ended before the picture";
            return Err(Fault::new(FaultKind::ConnectionLost, detail));
        }
        Ok(())
    }
}

/// What is known of a call that has not ended.
#[derive(Default)]
struct SoFar {
    job: Option<String>,
    whole: Outcome,
}

/// A fault that is charged by its counts is charged by those of the pictures before it, too.
fn with_usage_of(mut fault: Fault, whole: &Outcome) -> Fault {
    if !fault.usage.is_empty() {
        add_usage(&mut fault.usage, whole.usage.iter().copied());
    }
    fault
}

fn is_event_stream(opened: &Opened) -> bool {
    let content_type = opened.headers.get(http::header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    opened.status == 200 && content_type.is_some_and(|text| text.starts_with("text/event-stream"))
}

/// Joins the outcomes of several completed events of one call.
fn merge(whole: &mut Outcome, part: Outcome) {
    whole.images.extend(part.images);
    whole.withheld += part.withheld;
    add_usage(&mut whole.usage, part.usage);
    whole.reported = whole.reported.take().or(part.reported);
    whole.model_executed = whole.model_executed.take().or(part.model_executed);
    whole.provider_request_id = whole.provider_request_id.take().or(part.provider_request_id);
}

fn add_usage(usage: &mut Vec<Metered>, more: impl IntoIterator<Item = Metered>) {
    for metered in more {
        match usage.iter_mut().find(|known| known.meter == metered.meter) {
            Some(known) => known.quantity = known.quantity.saturating_add(metered.quantity),
            None => usage.push(metered),
        }
    }
}
