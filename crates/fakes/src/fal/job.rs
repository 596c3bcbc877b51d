//! A request in the queue of the fal stand-in, and the runner that carries it out.
//!
//! A job waits for a runner, is billed when one starts on it (a cancel after that is too late for the money:
//! unconfirmed, so the billed side), works, and ends. Nobody needs to poll for that. Pictures are described
//! here and painted when they are fetched, so finished jobs are small. Next: `queue.rs` shows jobs to
//! clients, `platform.rs` shows what they cost.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use jiff::Timestamp;
use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::input::Order;
use super::models::Model;
use crate::ctx::{Ctx, Motif};
use crate::faults::{Drawn, Fault};

/// Where a job is.
#[derive(Debug, Clone)]
pub(super) enum Phase {
    Queued,
    Running,
    Finished(Ending),
}

#[derive(Debug, Clone)]
pub(super) enum Ending {
    Pictures,
    /// Status, word for `x-fal-error-type`, value of `detail`.
    Failed(u16, &'static str, Value),
}

/// What was billed.
#[derive(Debug, Clone)]
pub(super) struct Charge {
    pub at: Timestamp,
    pub units: String,
    /// At the price of the list.
    pub list_ticks: i64,
    /// What the bill says.
    pub ticks: i64,
}

#[derive(Debug)]
pub(super) struct Job {
    pub id: String,
    /// Place in the order of submission.
    pub number: u64,
    pub model: &'static Model,
    /// The model that is really executed, when a fallback took over.
    pub executed: &'static str,
    pub order: Result<Order, Value>,
    pub seed: u64,
    pub drawn: Drawn,
    /// What the request's headers asked of the platform, shown in the logs.
    pub notes: Vec<String>,
    pub submitted: Timestamp,
    pub cancel: CancellationToken,
    /// Cancelled once the job has ended.
    pub ended: CancellationToken,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    charge: Option<Charge>,
}

/// What submission decides about a job.
pub(super) struct Brief {
    pub id: String,
    pub number: u64,
    pub model: &'static Model,
    pub executed: &'static str,
    pub order: Result<Order, Value>,
    pub seed: u64,
    pub drawn: Drawn,
    pub notes: Vec<String>,
    pub submitted: Timestamp,
}

impl Job {
    pub(super) fn new(brief: Brief) -> Job {
        Job {
            id: brief.id,
            number: brief.number,
            model: brief.model,
            executed: brief.executed,
            order: brief.order,
            seed: brief.seed,
            drawn: brief.drawn,
            notes: brief.notes,
            submitted: brief.submitted,
            cancel: CancellationToken::new(),
            ended: CancellationToken::new(),
            state: Mutex::new(State { phase: Phase::Queued, charge: None }),
        }
    }

    pub(super) fn phase(&self) -> Phase {
        self.lock().phase.clone()
    }

    pub(super) fn charge(&self) -> Option<Charge> {
        self.lock().charge.clone()
    }

    /// Ends the job unless it has left the queue; whether it did so.
    pub(super) fn leave_queue(&self) -> bool {
        let mut state = self.lock();
        if !matches!(state.phase, Phase::Queued) {
            return false;
        }
        state.phase = Phase::Finished(cancelled());
        self.ended.cancel();
        true
    }

    /// Picture `index` of a successful job.
    pub(super) fn motif(&self, index: u32) -> Option<Motif> {
        let order = self.order.as_ref().ok().filter(|order| index < order.images)?;
        Some(Motif {
            model: self.executed.to_owned(),
            prompt: order.prompt.clone(),
            width: order.width,
            height: order.height,
            seed: self.seed + u64::from(index),
            format: order.format,
        })
    }

    pub(super) fn is_black(&self) -> bool {
        self.drawn.custom("nsfw_black")
    }

    /// The whole way through queue and runner.
    pub(super) async fn run(self: Arc<Self>, ctx: Arc<Ctx>, runners: Arc<Semaphore>) {
        let queue_ms = self.drawn.number(Fault::Custom("queue_wait"), "ms");
        let waiting = async {
            if self.drawn.custom("queue_wait") {
                tokio::time::sleep(Duration::from_millis(queue_ms.unwrap_or(1_000))).await;
            }
            runners.acquire().await
        };
        let permit = tokio::select! {
            biased;
            () = self.ended.cancelled() => return,
            permit = waiting => permit,
        };
        if !self.start(&ctx) {
            return;
        }
        let heeds_cancel = !self.drawn.custom("cancel_ignored");
        let ending = tokio::select! {
            biased;
            () = self.cancel.cancelled(), if heeds_cancel => cancelled(),
            () = ctx.work(&self.drawn) => self.outcome(),
        };
        drop(permit);
        self.lock().phase = Phase::Finished(ending);
        self.ended.cancel();
    }

    /// From the queue to a runner, with the charge; false when the job was taken out meanwhile.
    fn start(&self, ctx: &Ctx) -> bool {
        let mut state = self.lock();
        if !matches!(state.phase, Phase::Queued) {
            return false;
        }
        state.phase = Phase::Running;
        if let Ok(order) = &self.order
            && self.is_billed()
        {
            let each = self.model.image_ticks(order.width, order.height);
            let list_ticks = each * i64::from(order.images);
            // A fallback runs at the requested model's price (unconfirmed: it may have its own).
            let entry = ctx.charge(&self.id, self.model.id, self.executed, list_ticks);
            let units = self.model.units(list_ticks);
            state.charge = Some(Charge { at: ctx.now(), units, list_ticks, ticks: entry.ticks });
        }
        true
    }

    /// Failures are free, but for a moderation after the work was done.
    fn is_billed(&self) -> bool {
        !self.drawn.is(Fault::Moderation) && !self.drawn.custom("completed_error")
    }

    fn outcome(&self) -> Ending {
        if let Err(detail) = &self.order {
            let kind = detail[0]["type"].as_str().unwrap_or_default();
            let error_type = if kind == "json_invalid" { "bad_request" } else { "validation_error" };
            return Ending::Failed(422, error_type, detail.clone());
        }
        if self.drawn.is(Fault::Moderation) || self.drawn.custom("moderation_billed") {
            let prompt = self.order.as_ref().map(|order| order.prompt.as_str()).unwrap_or_default();
            let detail = json!([{
                "loc": ["body", "prompt"],
                "msg": "The content could not be processed because it contained material flagged by a content checker.",
                "type": "content_policy_violation",
                "url": "https://docs.fal.ai/errors#content_policy_violation",
                "ctx": {"extra_info": {}},
                "input": prompt,
            }]);
            return Ending::Failed(422, "content_policy_violation", detail);
        }
        if self.drawn.custom("completed_error") {
            return Ending::Failed(500, "internal_server_error", json!("Internal Server Error"));
        }
        Ending::Pictures
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().expect("no holder of a job's state panics")
    }
}

fn cancelled() -> Ending {
    Ending::Failed(499, "client_cancelled", json!("The request was cancelled by the client"))
}
