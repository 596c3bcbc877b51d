//! What every protocol module is given: the shared state of one stand-in.
//!
//! Owns key, bill, fault script, chance and clock, and the steps that are the same for each provider: drawing
//! faults, taking time, painting (and spoiling) pictures, handing over the answer. The order in a handler is
//! validate, draw, refuse without a charge, charge, work, answer: a charge never waits for the client, since
//! a provider that has begun bills what it makes. Refuses protocol details. Next: `wire.rs`, `openai.rs`.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use jiff::Timestamp;
use tokio::time::Instant;

use crate::bill::{Bill, BillEntry};
use crate::faults::{Drawn, Fault, Faults};
use crate::feeds::Listing;
use crate::picture::{self, Picture, PictureFormat};
use crate::seeds::Seeds;
use crate::studio::Studio;
use crate::{money, wire};

/// A hang without `ms` is longer than anybody's patience.
const HANG_MS: u64 = 3_600_000;

/// Shared state of one stand-in; always behind an [`Arc`].
#[derive(Debug)]
pub struct Ctx {
    pub kind: &'static str,
    /// The only key that it accepts.
    pub key: String,
    /// Where it listens, without a path. A request's own view of it is [`crate::wire::Front`].
    pub origin: String,
    pub bill: Bill,
    pub faults: Faults,
    /// What the provider's own list says otherwise than its model table.
    pub listing: Listing,
    pub seeds: Seeds,
    pub(crate) latency_ms: u64,
    /// How it makes pictures.
    pub(crate) studio: Studio,
    pub(crate) clock: Clock,
}

/// Wall clock, or one that was set to another instant and runs on from there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Clock {
    started: Instant,
    at_start: Option<Timestamp>,
}

impl Clock {
    pub(crate) fn new(at_start: Option<Timestamp>) -> Clock {
        Clock { started: Instant::now(), at_start }
    }

    pub(crate) fn now(self) -> Timestamp {
        match self.at_start {
            None => Timestamp::now(),
            Some(start) => start + self.started.elapsed(),
        }
    }
}

/// What to paint, owned so that it can go to a blocking thread.
#[derive(Clone, Debug)]
pub struct Motif {
    pub model: String,
    pub prompt: String,
    pub width: u32,
    pub height: u32,
    pub seed: u64,
    pub format: PictureFormat,
}

impl Motif {
    pub(crate) fn picture(&self, provider: &'static str) -> Picture<'_> {
        Picture {
            provider,
            model: &self.model,
            prompt: &self.prompt,
            width: self.width,
            height: self.height,
            seed: self.seed,
            format: self.format,
        }
    }
}

impl Ctx {
    /// State with an empty bill and script; `latency_ms` is what an answer takes without any fault.
    pub fn new(
        kind: &'static str,
        faults: Faults,
        seed: u64,
        latency_ms: u64,
        now: Option<Timestamp>,
    ) -> Ctx {
        let clock = Clock::new(now);
        Ctx {
            kind,
            key: format!("fake-{kind}-key"),
            origin: String::new(),
            bill: Bill::new(clock),
            faults,
            listing: Listing::default(),
            seeds: Seeds::new(seed),
            latency_ms,
            studio: Studio::default(),
            clock,
        }
    }

    /// The provider's clock: retirements and expiries go by it.
    pub fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// Faults of a request that makes pictures, such as `generate` or `submit`.
    pub fn draw(&self, operation: &str) -> Drawn {
        self.faults.draw(operation, &self.seeds)
    }

    /// Faults of another request, such as `poll` or `download`: only those that name it.
    pub fn draw_secondary(&self, operation: &str) -> Drawn {
        self.faults.draw_secondary(operation, &self.seeds)
    }

    /// What the provider takes for a list price: the same, unless its prices were changed silently. Draws;
    /// call it once per charge and report the result wherever the provider reports cost.
    pub fn price(&self, list_ticks: i64) -> i64 {
        let (numerator, denominator) = self.faults.price_factor(&self.seeds);
        money::scaled(list_ticks, numerator, denominator)
    }

    /// [`Ctx::price`] and [`Bill::charge_request`] in one step, for providers that report no cost.
    pub fn charge(&self, id: &str, operation: &str, model: &str, list_ticks: i64) -> BillEntry {
        self.bill.charge_request(id, operation, model, self.price(list_ticks), Some(id))
    }

    /// Takes the time of the work: the stand-in's own latency plus what was drawn.
    pub async fn work(&self, drawn: &Drawn) {
        let total_ms = self.latency_ms + drawn.latency_ms();
        if total_ms > 0 {
            tokio::time::sleep(Duration::from_millis(total_ms)).await;
        }
    }

    /// Paints on a blocking thread. `wrong_size` and `blank` spoil the picture here, so a module need not
    /// care; what it reports stays what was asked.
    pub async fn paint(self: &Arc<Self>, drawn: &Drawn, motif: Motif) -> Bytes {
        let mut motif = motif;
        if drawn.is(Fault::WrongSize) {
            let spoilt =
                |name| drawn.number(Fault::WrongSize, name).and_then(|edge| u32::try_from(edge).ok());
            motif.width = spoilt("width").unwrap_or(motif.width / 2).max(16);
            motif.height = spoilt("height").unwrap_or(motif.height).max(16);
        }
        let (blank, provider, studio) = (drawn.is(Fault::Blank), self.kind, self.studio);
        let paint = move || {
            if blank {
                return picture::blank(motif.width, motif.height, motif.format);
            }
            studio.render(&motif.picture(provider))
        };
        self.studio.make(paint).await
    }

    /// Hands over a finished, already billed answer, with what the script does to it: `hang`, `reset_after`,
    /// `truncated`, `malformed`. Anything else passes unchanged.
    pub async fn deliver(&self, drawn: &Drawn, answer: Response) -> Response {
        match drawn.fault() {
            Some(Fault::Hang) => {
                let hang_ms = drawn.number(Fault::Hang, "ms").unwrap_or(HANG_MS);
                tokio::time::sleep(Duration::from_millis(hang_ms)).await;
                answer
            }
            Some(Fault::ResetAfter) => wire::reset(),
            Some(Fault::Truncated) => wire::truncated(answer).await,
            Some(Fault::Malformed) => wire::malformed(answer),
            _ => answer,
        }
    }

    /// An identifier of 32 hexadecimal digits.
    pub fn id(&self) -> String {
        format!("{:016x}{:016x}", self.seeds.next(), self.seeds.next())
    }

    /// An identifier in the shape of a UUID of version 4.
    pub fn uuid(&self) -> String {
        let (high, low) = (self.seeds.next(), self.seeds.next());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xffff,
            high & 0xfff,
            0x8000 | (low >> 48 & 0x3fff),
            low & 0xffff_ffff_ffff,
        )
    }
}
