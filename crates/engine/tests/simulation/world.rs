//! The world around the gateway, which outlives it: the stand-ins and the network to them, the disk, the time.

use crate::dice::Dice;
use crate::scenario::{BEGIN, Moment, Scenario};
use crate::transcript::Transcript;
use gallerist_domain::Clock;
use gallerist_engine::simulation::{Carried, Carrier, NotCarried};
use gallerist_fakes::InProcess;
use gallerist_store::simulation::{Disk, Fate, Ledger, Turn};
use jiff::{SignedDuration, Timestamp};
use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep};

pub struct World {
    pub scenario: Scenario,
    pub transcript: Transcript,
    pub providers: Vec<InProcess>,
    /// Nothing goes wrong any more, or not yet.
    pub quiet: AtomicBool,
    /// Told when the moment has come at which the gateway is to end.
    pub end: Notify,
    /// What becomes of the next commits, whatever the dice say.
    pub next_fates: Mutex<VecDeque<Fate>>,
    countdown: Mutex<Option<Moment>>,
    net: Mutex<Dice>,
    disk: Mutex<Dice>,
    /// From when to when something ended that attempts may have depended on.
    pub cuts: Mutex<Vec<(Timestamp, Timestamp)>>,
    pub clock: Arc<VirtualClock>,
}

/// The time of day, from the runtime's own clock.
pub struct VirtualClock {
    begun: Instant,
    at_begin: Timestamp,
}

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.at_begin + SignedDuration::try_from(self.begun.elapsed()).expect("a short run")
    }
}

/// Where in a step the countdown may come to its end.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Step {
    Commit,
    There,
    Back,
}

impl World {
    /// Must be called inside the runtime of the run.
    pub fn new(seed: u64) -> World {
        let scenario = Scenario::of(seed);
        let at_begin: Timestamp = BEGIN.parse().expect("an instant");
        let providers = InProcess::all(seed, scenario.latency_percent, at_begin);
        for (kind, script) in &scenario.scripts {
            let provider = providers.iter().find(|provider| provider.kind == *kind).expect("a known kind");
            provider.ctx.faults.set(script).expect("a valid script");
        }
        World {
            scenario,
            transcript: Transcript::begin(),
            providers,
            quiet: AtomicBool::new(true),
            end: Notify::new(),
            next_fates: Mutex::default(),
            countdown: Mutex::new(None),
            net: Mutex::new(Dice::new(seed, 2)),
            disk: Mutex::new(Dice::new(seed, 3)),
            cuts: Mutex::default(),
            clock: Arc::new(VirtualClock { begun: Instant::now(), at_begin }),
        }
    }

    pub fn provider(&self, kind: &str) -> &InProcess {
        self.providers.iter().find(|provider| provider.kind == kind).expect("a known kind")
    }

    pub fn is_quiet(&self) -> bool {
        self.quiet.load(Ordering::Relaxed)
    }

    /// Something that calls may have depended on has ended since then.
    pub fn cut(&self, since: Timestamp) {
        self.cuts.lock().expect("no holder panics").push((since, self.clock.now()));
    }

    /// From here on it is counted down to the moment of the next end.
    pub fn count_down(&self, moment: Option<Moment>) {
        *self.countdown.lock().expect("no holder panics") = moment;
    }

    /// Counts a step; whether it is the one at which the gateway ends.
    fn counted(&self, step: Step) -> bool {
        let mut countdown = self.countdown.lock().expect("no holder panics");
        let left = match countdown.as_mut() {
            Some(Moment::Commit(left)) if step == Step::Commit => left,
            Some(Moment::There(left)) if step == Step::There => left,
            Some(Moment::Back(left)) if step == Step::Back => left,
            _ => return false,
        };
        *left -= 1;
        if *left > 0 {
            return false;
        }
        *countdown = None;
        true
    }

    /// Takes the time of the way, and ends the gateway where its moment has come.
    async fn way(&self, step: Step) {
        let way_ms = self.net.lock().expect("no holder panics").between(1, 20);
        if self.counted(step) {
            self.end.notify_one();
        }
        sleep(Duration::from_millis(way_ms)).await;
    }

    fn mishap(&self) -> Mishap {
        let mut dice = self.net.lock().expect("no holder panics");
        let (permille, net) = (dice.roll(1_000), &self.scenario.net);
        let mut bound = 0;
        let mut within = |share: u64| {
            bound += share;
            !self.is_quiet() && permille < bound
        };
        match () {
            () if within(net.refused) => Mishap::Refused,
            () if within(net.lost_there) => Mishap::LostThere,
            () if within(net.lost_back) => Mishap::LostBack,
            () if within(net.redirected) => Mishap::Redirected,
            () => Mishap::None,
        }
    }

    async fn carried(&self, request: http::Request<reqwest::Body>) -> Carried {
        let uri = request.uri().clone();
        let origin = format!("http://{}", uri.authority().expect("an address has an authority"));
        let provider = self.providers.iter().find(|provider| provider.ctx.origin == origin);
        let provider = provider.expect("only stand-ins are called").clone();
        let what = format!("{} {} {}", provider.kind, request.method(), uri.path());
        let mishap = self.mishap();
        self.way(Step::There).await;
        match mishap {
            Mishap::Refused => {
                self.transcript.note(format!("call {what}: refused"));
                self.transcript.meet("connection refused");
                return Err(NotCarried::NotConnected);
            }
            Mishap::LostThere => {
                self.transcript.note(format!("call {what}: lost on the way there"));
                self.transcript.meet("request lost");
                return Err(NotCarried::Broken);
            }
            Mishap::Redirected => {
                self.transcript.note(format!("call {what}: redirected"));
                self.transcript.meet("redirect");
                let answer =
                    http::Response::builder().status(307).header("location", "http://elsewhere.test/");
                return Ok(answer.body(reqwest::Body::from("")).expect("a plain answer"));
            }
            Mishap::LostBack | Mishap::None => {}
        }
        let answer = provider.answer(request).await;
        self.way(Step::Back).await;
        let Some(answer) = answer else {
            self.transcript.note(format!("call {what}: reset"));
            self.transcript.meet("reply lost");
            return Err(NotCarried::Broken);
        };
        let status = answer.status().as_u16();
        if mishap == Mishap::LostBack {
            self.transcript.note(format!("call {what}: {status}, lost on the way back"));
            self.transcript.meet("reply lost");
            return Err(NotCarried::Broken);
        }
        self.transcript.note(format!("call {what}: {status}"));
        Ok(answer.map(|body| reqwest::Body::wrap_stream(body.into_data_stream())))
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mishap {
    None,
    Refused,
    LostThere,
    LostBack,
    Redirected,
}

impl Carrier for World {
    fn carry(
        &self,
        request: http::Request<reqwest::Body>,
    ) -> Pin<Box<dyn Future<Output = Carried> + Send + '_>> {
        Box::pin(self.carried(request))
    }
}

impl Disk for World {
    fn turn(&self, commands: usize) -> Turn {
        let plan = &self.scenario.disk;
        let mut dice = self.disk.lock().expect("no holder panics");
        let (permille, slow) = (dice.roll(1_000), dice.happens(plan.slow));
        let (before_ms, after_ms) = (dice.roll(4), dice.roll(3));
        let now_ms = self.transcript.elapsed_ms();
        let away = plan.away.iter().any(|(from, lasts)| (*from..from + lasts).contains(&now_ms));
        let forced = self.next_fates.lock().expect("no holder panics").pop_front();
        let fate = match permille {
            _ if forced.is_some() => forced.unwrap_or(Fate::Kept),
            _ if self.is_quiet() => Fate::Kept,
            _ if away => Fate::Away,
            p if p < plan.failed => Fate::Failed,
            p if p < plan.failed + plan.unanswered => Fate::Unanswered,
            p if p < plan.failed + plan.unanswered + plan.full => Fate::Full,
            _ => Fate::Kept,
        };
        let ends = self.counted(Step::Commit);
        if ends {
            self.end.notify_one();
        }
        self.transcript.note(format!("commit of {commands}: {fate:?}"));
        match fate {
            Fate::Kept => {}
            Fate::Unanswered => self.transcript.meet("commit unanswered"),
            Fate::Failed => self.transcript.meet("commit failed"),
            Fate::Away => self.transcript.meet("store away"),
            Fate::Full => self.transcript.meet("disk full"),
        }
        if fate != Fate::Kept {
            self.cut(self.clock.now());
        }
        // The end comes before or after it is kept.
        let before_ms = match (ends, slow) {
            (true, _) => dice.roll(2),
            (false, true) => 300,
            (false, false) => before_ms,
        };
        let after_ms = if ends { 5 } else { after_ms };
        Turn { fate, before: Duration::from_millis(before_ms), after: Duration::from_millis(after_ms) }
    }

    fn kept(&self, ledger: Ledger<'_>) {
        match ledger.limits_passed() {
            Ok(passed) => passed
                .iter()
                .for_each(|limit| self.transcript.violation(format!("a limit is passed: {limit}"))),
            Err(error) => self.transcript.violation(format!("the limits could not be read: {error}")),
        }
    }

    fn takes_files(&self) -> bool {
        let mut dice = self.disk.lock().expect("no holder panics");
        let takes = !dice.happens(self.scenario.disk.files_refused) || self.is_quiet();
        if !takes {
            self.transcript.meet("picture not kept");
        }
        takes
    }
}
