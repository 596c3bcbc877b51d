//! Counters of the HTTP side, printed in Prometheus's text format.
//!
//! No prompt, no key and no project name is ever a label.

use gallerist_domain::Ticks;
use gallerist_engine::feeds::FeedState;
use gallerist_engine::rates::SharedState;
use gallerist_pricing::feed::FeedBook;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

/// The statuses that are counted one by one; all others share the last place.
const STATUSES: [u16; 20] =
    [200, 201, 204, 400, 401, 402, 403, 404, 405, 408, 409, 413, 422, 429, 500, 501, 502, 503, 504, 0];

/// Counters; all start at zero with the process.
#[derive(Default)]
pub(crate) struct Metrics {
    images: [AtomicU64; STATUSES.len()],
    others: [AtomicU64; STATUSES.len()],
    in_flight: AtomicI64,
    pictures: AtomicU64,
    undelivered: AtomicU64,
}

/// Counts a request as running while it lives.
pub(crate) struct InFlight<'a>(&'a Metrics);

impl Drop for InFlight<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Metrics {
    pub(crate) fn begin(&self) -> InFlight<'_> {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(self)
    }

    pub(crate) fn answered(&self, images: bool, status: u16) {
        let place = STATUSES.iter().position(|known| *known == status).unwrap_or(STATUSES.len() - 1);
        let counters = if images { &self.images } else { &self.others };
        counters[place].fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn delivered(&self, pictures: usize) {
        self.pictures.fetch_add(u64::try_from(pictures).unwrap_or(0), Ordering::Relaxed);
    }

    pub(crate) fn undelivered(&self) {
        self.undelivered.fetch_add(1, Ordering::Relaxed);
    }

    /// The exposition, version 0.0.4. What was `charged` since the start is counted where it is settled: one
    /// answer may be sent several times, and some charges have no client left to answer.
    pub(crate) fn print(&self, charged: Ticks, alerts: &BTreeMap<&'static str, u64>) -> String {
        let mut out = String::with_capacity(2_048);
        out.push_str("# HELP gallerist_http_responses_total Responses by route group and status.\n");
        out.push_str("# TYPE gallerist_http_responses_total counter\n");
        for (route, counters) in [("images", &self.images), ("other", &self.others)] {
            for (status, counter) in STATUSES.iter().zip(counters) {
                let count = counter.load(Ordering::Relaxed);
                if count > 0 {
                    let status = if *status == 0 { "other".to_owned() } else { status.to_string() };
                    let labels = format!("route=\"{route}\",status=\"{status}\"");
                    let _ = writeln!(out, "gallerist_http_responses_total{{{labels}}} {count}");
                }
            }
        }
        out.push_str("# HELP gallerist_alerts_total Alerts that this process raised, by kind.\n");
        out.push_str("# TYPE gallerist_alerts_total counter\n");
        for (kind, count) in alerts {
            let _ = writeln!(out, "gallerist_alerts_total{{kind=\"{kind}\"}} {count}");
        }
        let mut add = |name: &str, kind: &str, help: &str, value: String| {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
        };
        let in_flight = self.in_flight.load(Ordering::Relaxed).to_string();
        add("gallerist_http_requests_in_flight", "gauge", "Requests being answered.", in_flight);
        let pictures = self.pictures.load(Ordering::Relaxed).to_string();
        add("gallerist_pictures_total", "counter", "Pictures answered to clients.", pictures);
        let undelivered = self.undelivered.load(Ordering::Relaxed).to_string();
        add("gallerist_answers_undelivered_total", "counter", "Answers whose client went away.", undelivered);
        let help = "Dollars charged since the start, each attempt once.";
        add("gallerist_charged_usd_total", "counter", help, charged.to_string());
        out
    }
}

/// How many replicas share the limits, and the server on which they count rates together where there is one.
pub(crate) fn of_replicas(alive: u32, rates: Option<SharedState>, rests_heard: Option<u64>) -> String {
    let mut out = String::new();
    let mut add = |name: &str, kind: &str, help: &str, value: u64| {
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}");
    };
    let help = "Gateways on this database that live, by their heartbeats.";
    add("gallerist_replicas", "gauge", help, u64::from(alive));
    if let Some(SharedState { is_up, losses, decided_locally }) = rates {
        let help = "Whether the Redis server of shared rates answered when it was last asked.";
        add("gallerist_redis_up", "gauge", help, u64::from(is_up));
        let help = "Times that the Redis server was lost, or not there at the start.";
        add("gallerist_redis_losses_total", "counter", help, losses);
        let help = "Decisions on rates that this process made for its own share.";
        add("gallerist_rates_decided_locally_total", "counter", help, decided_locally);
    }
    if let Some(rests_heard) = rests_heard {
        let help = "Times that an offer rested here because another replica found that it has to.";
        add("gallerist_rests_heard_total", "counter", help, rests_heard);
    }
    out
}

/// How the feeds stand, as gauges and counters by the names that the settings give them.
pub(crate) fn of_feeds(states: &[FeedState], book: &FeedBook) -> String {
    let mut out = String::new();
    if states.is_empty() {
        return out;
    }
    let held = book.held();
    let mut family =
        |name: &str, kind: &str, help: &str, value: &dyn Fn(&FeedState) -> Vec<(String, u64)>| {
            let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for state in states {
                let feed = label(&state.name);
                for (labels, value) in value(state) {
                    let _ = writeln!(out, "{name}{{feed=\"{feed}\"{labels}}} {value}");
                }
            }
        };
    family("gallerist_feed_polls_total", "counter", "Polls of a price feed by result.", &|state| {
        let result = |word: &str| format!(",result=\"{word}\"");
        vec![(result("success"), state.succeeded), (result("failure"), state.failed)]
    });
    family(
        "gallerist_feed_stale",
        "gauge",
        "Whether a feed is silent for longer than it may be.",
        &|state| vec![(String::new(), u64::from(state.status.stale_since.is_some()))],
    );
    let lines = |state: &FeedState, counts: &dyn Fn(&gallerist_pricing::feed::Watch) -> bool| {
        let own = book.watches.values().filter(|watch| watch.feed == state.name && counts(watch));
        vec![(String::new(), own.count() as u64)]
    };
    family("gallerist_feed_stale_lines", "gauge", "Price lines that a feed tells no more.", &|state| {
        lines(state, &|watch| watch.silent.is_some())
    });
    family("gallerist_feed_held", "gauge", "Polled prices that wait for a person.", &|state| {
        vec![(String::new(), held.iter().filter(|held| held.feed == state.name).count() as u64)]
    });
    out
}

/// A label's value as the format wants it.
fn label(text: &str) -> String {
    text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', " ")
}
