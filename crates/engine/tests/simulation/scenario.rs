//! What happens in one run, as far as it is laid down before: who asks for what and when, what goes wrong how
//! often, and when the gateway ends. All of it comes from the seed.

use crate::dice::Dice;
use gallerist_domain::budget::Part;
use gallerist_domain::{
    Budget, BudgetId, BudgetMode, BudgetScope, BudgetUnit, BudgetWindow, ImageRequest, Size, SizeChoice,
    Ticks,
};
use jiff::Timestamp;
use serde_json::{Value, json};

/// When every run begins.
pub const BEGIN: &str = "2026-11-24T10:00:00Z";

#[derive(Debug)]
pub struct Scenario {
    /// Of the stand-ins' usual latency.
    pub latency_percent: u64,
    pub deadline_ms: u64,
    pub concurrency_max: Option<u32>,
    pub moderation_failover: bool,
    pub cap: Option<Ticks>,
    pub budgets: Vec<Budget>,
    /// The fault script of each kind of stand-in.
    pub scripts: Vec<(&'static str, Value)>,
    pub net: Net,
    pub disk: DiskPlan,
    pub ends: Vec<End>,
    pub wishes: Vec<Wish>,
}

/// What the network does, in permille of the requests to providers.
#[derive(Debug)]
pub struct Net {
    pub refused: u64,
    /// It never arrives.
    pub lost_there: u64,
    /// It arrives, and its answer is lost.
    pub lost_back: u64,
    pub redirected: u64,
}

/// What the database does, in permille of the commits.
#[derive(Debug)]
pub struct DiskPlan {
    pub failed: u64,
    pub unanswered: u64,
    pub full: u64,
    pub slow: u64,
    /// Times at which it cannot be reached, from the beginning: from and for how many milliseconds.
    pub away: Vec<(u64, u64)>,
    pub files_refused: u64,
}

/// The end of a gateway; another one begins afterwards.
#[derive(Debug)]
pub struct End {
    pub at: Moment,
    /// Nothing is left but what is on disk; else it is asked to stop, with this grace.
    pub grace_ms: Option<u64>,
    pub down_ms: u64,
}

#[derive(Clone, Copy, Debug)]
pub enum Moment {
    /// After the gateway's start.
    Milliseconds(u64),
    /// Between a commit and its answers.
    Commit(u64),
    /// When a request is on its way to a provider …
    There(u64),
    /// … or its answer on the way back.
    Back(u64),
}

/// What somebody wants once, however often it has to be asked for.
#[derive(Clone, Debug)]
pub struct Wish {
    pub number: usize,
    pub at_ms: u64,
    pub request: ImageRequest,
    pub user: &'static str,
    /// Several wishes may share one by mistake.
    pub key: Option<String>,
    /// Goes away after this.
    pub patience_ms: Option<u64>,
    /// Asks again after it went away, as SDKs do after their timeout.
    pub returns: bool,
    /// Asks again although it was told not to.
    pub stubborn: bool,
    pub tries_max: u32,
    /// Asks under its key again, this long after the end.
    pub again_ms: Option<u64>,
}

impl Scenario {
    pub fn of(seed: u64) -> Scenario {
        let mut dice = Dice::new(seed, 1);
        let dice = &mut dice;
        // A third of the runs is calm in some respect, so that what happens seldom is not drowned.
        let stress = dice.pick(&[0, 1, 2, 4]);
        let disk_stress = dice.pick(&[0, 0, 1, 3]);
        let count = dice.between(3, 14);
        let span_ms = dice.pick(&[1, 2_000, 20_000]);
        let users = ["ann", "bob", "cem"];
        let wishes = (0..usize::try_from(count).expect("a few"))
            .map(|number| wish(dice, number, span_ms, users[number % users.len()]))
            .collect();
        let ends = (0..dice.pick(&[0, 1, 1, 2])).map(|_| end(dice)).collect();
        let cap = (dice.roll(3) == 0)
            .then(|| Ticks::new(i64::try_from(dice.between(1, 40)).expect("few") * 100_000_000));
        Scenario {
            latency_percent: dice.pick(&[0, 10, 100, 100, 400]),
            deadline_ms: dice.pick(&[1_500, 8_000, 60_000, 60_000]),
            concurrency_max: dice.pick(&[None, None, Some(1), Some(2)]),
            moderation_failover: dice.roll(3) == 0,
            cap,
            budgets: budgets(dice),
            scripts: KINDS.iter().map(|kind| (*kind, script(kind, stress))).collect(),
            net: Net {
                refused: 10 * stress,
                lost_there: 6 * stress,
                lost_back: 8 * stress,
                redirected: 3 * stress,
            },
            disk: disk(dice, disk_stress),
            ends,
            wishes,
        }
    }
}

pub const KINDS: &[&str] = &["openai", "google", "bfl", "stability", "fal", "automatic1111"];

fn wish(dice: &mut Dice, number: usize, span_ms: u64, user: &'static str) -> Wish {
    let keyed = dice.roll(2) == 0;
    let key = keyed.then(|| {
        let shared = number > 0 && dice.roll(12) == 0;
        format!("key-{}", if shared { number - 1 } else { number })
    });
    Wish {
        number,
        at_ms: dice.roll(span_ms),
        request: request(dice, number),
        user,
        patience_ms: (dice.roll(4) == 0).then(|| dice.pick(&[1, 40, 400, 3_000])),
        returns: dice.roll(3) > 0,
        stubborn: dice.roll(6) == 0,
        tries_max: u32::try_from(dice.between(1, 5)).expect("a few"),
        again_ms: (keyed && dice.roll(3) == 0).then(|| dice.pick(&[10, 2_000, 60_000])),
        key,
    }
}

fn request(dice: &mut Dice, number: usize) -> ImageRequest {
    let model = dice.pick(&[
        "auto",
        "auto",
        "openai/gpt-image-2",
        "google/nano-banana-2.1",
        "bfl/flux-2-pro",
        "fal/flux-2-pro",
        "stability/sd3.5-large",
        "automatic1111/sdxl",
        "fal/flux-schnell",
        "flux-2-pro",
        "flux-2-pro",
        "bfl/flux-2-klein-4b",
    ]);
    let mut request = ImageRequest::new(model, &format!("a paper boat in the rain, wish <{number}>"));
    request.n = dice.pick(&[1, 1, 1, 2, 3]);
    let edge = if ["flux", "bfl/", "fal/", "automatic1111/"].iter().any(|start| model.starts_with(start)) {
        512
    } else {
        1_024
    };
    request.size = SizeChoice::Exact(Size::new(edge, edge));
    if model.starts_with("openai/") && dice.roll(3) == 0 {
        request.stream = true;
        request.n = 1;
    }
    if dice.roll(8) == 0 {
        request.max_cost = Some("0.10".parse().expect("an amount"));
    }
    request
}

fn end(dice: &mut Dice) -> End {
    let at = match dice.roll(4) {
        0 => Moment::Milliseconds(dice.pick(&[3, 50, 400, 2_500, 9_000, 25_000])),
        1 => Moment::Commit(dice.between(1, 40)),
        2 => Moment::There(dice.between(1, 30)),
        _ => Moment::Back(dice.between(1, 30)),
    };
    let grace_ms = (dice.roll(4) == 0).then(|| dice.pick(&[0, 500, 30_000]));
    End { at, grace_ms, down_ms: dice.pick(&[10, 1_000, 6_000]) }
}

fn disk(dice: &mut Dice, stress: u64) -> DiskPlan {
    let away = (0..if stress > 0 { dice.roll(3) } else { 0 })
        .map(|_| (dice.roll(20_000), dice.pick(&[20, 500, 4_000, 40_000])))
        .collect();
    DiskPlan {
        failed: 12 * stress,
        unanswered: 10 * stress,
        full: 12 * stress,
        slow: 30 * stress,
        away,
        files_refused: 20 * stress,
    }
}

fn budgets(dice: &mut Dice) -> Vec<Budget> {
    let budget = |scope: BudgetScope, unit: BudgetUnit, limit: u64| Budget {
        id: BudgetId::generate(),
        name: String::new(),
        scope,
        unit,
        limit: i64::try_from(limit).expect("a small amount"),
        window: BudgetWindow::Forever,
        zone: "UTC".to_owned(),
        mode: BudgetMode::Hard,
        thresholds_percent: vec![80],
        created_at: BEGIN.parse::<Timestamp>().expect("an instant"),
    };
    let mut budgets = Vec::new();
    if dice.roll(4) == 0 {
        let each = BudgetScope { end_user: Part::Each, ..BudgetScope::default() };
        budgets.push(budget(each, BudgetUnit::Usd, dice.between(2, 20) * 100_000_000));
    }
    if dice.roll(5) == 0 {
        let one = BudgetScope { provider: Part::Only("bfl".to_owned()), ..BudgetScope::default() };
        budgets.push(budget(one, BudgetUnit::Usd, dice.between(1, 10) * 100_000_000));
    }
    if dice.roll(6) == 0 {
        budgets.push(budget(BudgetScope::default(), BudgetUnit::Images, dice.between(2, 15)));
    }
    budgets
}

/// What the stand-ins do on their own.
fn script(kind: &str, stress: u64) -> Value {
    let often = |share: f64| share * stress as f64;
    let mut faults = vec![
        json!({"fault": "429", "probability": often(0.02), "retry_after_s": 0}),
        json!({"fault": "500", "probability": often(0.02)}),
        json!({"fault": "502", "probability": often(0.01)}),
        json!({"fault": "reset_before", "probability": often(0.015)}),
        json!({"fault": "reset_after", "probability": often(0.02)}),
        json!({"fault": "truncated", "probability": often(0.015)}),
        json!({"fault": "malformed", "probability": often(0.01)}),
        json!({"fault": "wrong_size", "probability": often(0.01)}),
        json!({"fault": "blank", "probability": often(0.005)}),
        json!({"fault": "moderation", "probability": often(0.02)}),
        json!({"fault": "hang", "probability": often(0.01), "ms": 20_000}),
        json!({"fault": "latency", "probability": often(0.1), "ms": 700}),
    ];
    let polled: &[&str] = match kind {
        "bfl" => &["poll", "download"],
        "fal" => &["status", "result", "download"],
        _ => &[],
    };
    for operation in polled {
        faults.push(json!({"fault": "500", "probability": often(0.02), "operation": operation}));
        faults
            .push(json!({"fault": "hang", "probability": often(0.01), "ms": 9_000, "operation": operation}));
    }
    let own: &[&str] = match kind {
        "openai" => &["moderation_output", "stream_cut", "stream_error"],
        "google" => &["no_image", "unavailable"],
        "bfl" => &["content_moderated", "task_error", "null_cost"],
        "fal" => &["moderation_billed", "completed_error"],
        "automatic1111" => &["oom"],
        _ => &[],
    };
    faults.extend(own.iter().map(|fault| json!({"fault": fault, "probability": often(0.01)})));
    json!(faults)
}
