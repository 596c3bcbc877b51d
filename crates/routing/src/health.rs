//! What is known of each offer's health: a breaker, decayed averages, and a look for outliers.
//!
//! Pure state machines: the time comes as an argument, in milliseconds of a monotonic clock. A breaker
//! opens after consecutive failures, or when an offer fails far more often than its peers; it opens for
//! longer each time and lets a single probe through when the rest is over. A provider's `retry-after` is
//! a rest, not a failure. What other replicas found comes in by [`Health::told`]; for a while a probe is
//! the turn of one of them. Who brings it is no matter of this module.

/// Failures in a row that open the breaker.
const FAILURES_TO_OPEN: u32 = 5;
/// First rest, doubling with each opening …
const REST_MS: u64 = 1_000;
/// … up to this.
const REST_MS_MAX: u64 = 60_000;
/// Longest rest in milliseconds that is believed, of a provider's `retry-after` or of another replica.
pub const REST_TOLD_MS_MAX: u64 = 600_000;
/// Openings beyond which a rest grows no longer; more are believed of nobody.
pub const OPENINGS_MAX: u32 = 16;
/// Averages lose half their weight in this time.
const HALF_LIFE_MS: f64 = 300_000.0;
/// Weight that a single try has left after a quarter of an hour.
const TRIED_WEIGHT_MIN: f64 = 0.125;
/// Weight below which an average says nothing about outliers.
const OUTLIER_WEIGHT_MIN: f64 = 10.0;
/// Distance of an outlier's success rate below its peers' mean.
const OUTLIER_DISTANCE: f64 = 0.35;

/// Whether an offer may be tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    Ready,
    /// The rest is over: one try shall show.
    Probe,
    Resting {
        for_ms: u64,
    },
}

/// What another replica found out about an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// It shall rest: the provider asked for it (no openings), or its breaker has opened so often.
    Rest { for_ms: u64, openings: u32 },
    /// A try succeeded after its breaker had opened.
    Well,
}

/// An average whose past fades with time.
#[derive(Clone, Copy, Debug, Default)]
struct Decayed {
    sum: f64,
    weight: f64,
    at_ms: u64,
}

impl Decayed {
    fn fade(&mut self, now_ms: u64) {
        let passed = now_ms.saturating_sub(self.at_ms);
        #[expect(
            clippy::cast_precision_loss,
            reason = "a time span in milliseconds; precision does not matter"
        )]
        let keep = (-(passed as f64) / HALF_LIFE_MS).exp2();
        self.sum *= keep;
        self.weight *= keep;
        self.at_ms = now_ms;
    }

    fn add(&mut self, now_ms: u64, value: f64) {
        self.fade(now_ms);
        self.sum += value;
        self.weight += 1.0;
    }

    fn mean(&self) -> Option<f64> {
        (self.weight > 0.01).then(|| self.sum / self.weight)
    }
}

/// One offer's health.
#[derive(Clone, Copy, Debug, Default)]
pub struct Health {
    failures_in_a_row: u32,
    openings: u32,
    rest_until_ms: u64,
    /// A probe is under way.
    probing: bool,
    /// Until when the probe is another replica's to make.
    others_turn_until_ms: u64,
    latency: Decayed,
    success: Decayed,
}

impl Health {
    pub fn verdict(&self, now_ms: u64) -> Verdict {
        if now_ms < self.rest_until_ms {
            return Verdict::Resting { for_ms: self.rest_until_ms - now_ms };
        }
        match (self.openings, self.probing) {
            (0, _) => Verdict::Ready,
            (_, false) if now_ms < self.others_turn_until_ms => {
                Verdict::Resting { for_ms: self.others_turn_until_ms - now_ms }
            }
            (_, false) => Verdict::Probe,
            // Someone else is finding out; come back after a first rest.
            (_, true) => Verdict::Resting { for_ms: REST_MS },
        }
    }

    /// Takes over what another replica found. A rest is only ever made longer, and a success elsewhere ends no
    /// rest that is under way: the provider may have asked for it.
    pub fn told(&mut self, now_ms: u64, told: Told) {
        match told {
            Told::Rest { for_ms, openings } => {
                self.rest_until_ms = self.rest_until_ms.max(now_ms + for_ms.min(REST_TOLD_MS_MAX));
                self.openings = self.openings.max(openings.min(OPENINGS_MAX));
                if openings > 0 {
                    // They belong to what has opened it, and are no reason to open it again.
                    self.failures_in_a_row = 0;
                }
            }
            Told::Well => {
                self.failures_in_a_row = 0;
                self.openings = 0;
            }
        }
    }

    /// Leaves the probe to another replica until then; zero: to nobody.
    pub fn leave_probe_until(&mut self, others_turn_until_ms: u64) {
        self.others_turn_until_ms = others_turn_until_ms;
    }

    /// Whether a probe is under way here.
    pub fn is_probing(&self) -> bool {
        self.probing
    }

    /// How long it rests from now, zero when it does not, and how often its breaker has opened since a success.
    pub fn rest(&self, now_ms: u64) -> (u64, u32) {
        (self.rest_until_ms.saturating_sub(now_ms), self.openings)
    }

    /// Says that a try begins; after a rest it is the probe. Returns whether it is.
    pub fn started(&mut self, now_ms: u64) -> bool {
        let is_probe = self.verdict(now_ms) == Verdict::Probe;
        self.probing |= is_probe;
        is_probe
    }

    /// Returns whether it was out until now.
    pub fn succeeded(&mut self, now_ms: u64, latency_ms: u64) -> bool {
        let was_out = self.is_out();
        self.failures_in_a_row = 0;
        self.openings = 0;
        self.probing = false;
        #[expect(clippy::cast_precision_loss, reason = "a latency; precision does not matter")]
        self.latency.add(now_ms, latency_ms as f64);
        self.success.add(now_ms, 1.0);
        was_out
    }

    /// A failure of the provider. Returns the rest in milliseconds when the breaker opens.
    pub fn failed(&mut self, now_ms: u64) -> Option<u64> {
        self.success.add(now_ms, 0.0);
        self.failures_in_a_row = self.failures_in_a_row.saturating_add(1);
        let opens = self.probing || self.failures_in_a_row >= FAILURES_TO_OPEN;
        self.probing = false;
        opens.then(|| self.open(now_ms))
    }

    /// The try ended without saying anything about the offer (a refusal, a client's mistake).
    pub fn ended_neutrally(&mut self) {
        self.probing = false;
    }

    /// The provider asked for a rest.
    pub fn asked_to_wait(&mut self, now_ms: u64, wait_ms: u64) {
        self.probing = false;
        self.rest_until_ms = self.rest_until_ms.max(now_ms + wait_ms.min(REST_TOLD_MS_MAX));
    }

    /// Whether its breaker has opened, and no try has succeeded since.
    pub fn is_out(&self) -> bool {
        self.openings > 0
    }

    /// Whether it was tried lately: within about a quarter of an hour.
    pub fn is_known(&self, now_ms: u64) -> bool {
        let mut tries = self.success;
        tries.fade(now_ms);
        tries.weight > TRIED_WEIGHT_MIN
    }

    /// The decayed mean time to a picture.
    pub fn latency_ms(&self) -> Option<u64> {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a mean of non-negative times"
        )]
        self.latency.mean().map(|mean| mean as u64)
    }

    fn open(&mut self, now_ms: u64) -> u64 {
        let rest_ms = (REST_MS << self.openings.min(OPENINGS_MAX)).min(REST_MS_MAX);
        self.openings = self.openings.saturating_add(1);
        self.failures_in_a_row = 0;
        self.rest_until_ms = now_ms + rest_ms;
        rest_ms
    }
}

/// The health of all offers, in the order of the offers.
#[derive(Clone, Debug, Default)]
pub struct HealthBook {
    pub offers: Vec<Health>,
}

impl HealthBook {
    pub fn new(offers: usize) -> HealthBook {
        HealthBook { offers: vec![Health::default(); offers] }
    }

    /// Records a failure, and opens the breaker of an offer that fails far more than its peers.
    pub fn failed(&mut self, index: usize, now_ms: u64) -> Option<u64> {
        if let Some(rest_ms) = self.offers[index].failed(now_ms) {
            return Some(rest_ms);
        }
        let peers = self.offers.iter().enumerate().filter(|(peer, _)| *peer != index);
        let rates: Vec<f64> = peers
            .filter(|(_, health)| health.success.weight >= OUTLIER_WEIGHT_MIN)
            .filter_map(|(_, health)| health.success.mean())
            .collect();
        let health = &mut self.offers[index];
        let own = health.success.mean()?;
        #[expect(clippy::cast_precision_loss, reason = "a handful of offers")]
        let mean = rates.iter().sum::<f64>() / rates.len().max(1) as f64;
        let outlier =
            rates.len() >= 2 && health.success.weight >= OUTLIER_WEIGHT_MIN && own + OUTLIER_DISTANCE < mean;
        outlier.then(|| health.open(now_ms))
    }
}

#[cfg(test)]
mod tests;
