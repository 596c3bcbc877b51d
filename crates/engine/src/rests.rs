//! Offers that rest, told from replica to replica on the Redis server on which they count rates.
//!
//! A replica that finds that an offer is to be left alone, or that it is well again, writes that into one small
//! text (`lines.rs`), by a script (`exchange.lua`) that merges what several find; the same round trip, four times a
//! second, brings what the others found. Nothing of it is on a request's path: findings are put down, a task takes
//! them. While the server is away each replica goes by its own health alone; what stands then is told anew.
//!
//! An offer is the same one where its provider's address, region and key are: its name is a digest of these, keyed
//! by a secret of the database, from which nobody who reads the server learns any of them.

mod lines;

use crate::settings::ProviderSettings;
use crate::shared::Shared;
use gallerist_pricing::Offer;
use gallerist_routing::health::{OPENINGS_MAX, REST_TOLD_MS_MAX};
use gallerist_routing::{HealthBook, Told};
use gallerist_store::counters::{Counters, NotHeard, Script};
use lines::{ID_DIGITS, Line, REPLICA_DIGITS, TURN_MS, Why};
use secrecy::ExposeSecret;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

const SCRIPT: &str = include_str!("rests/exchange.lua");
/// Pause between two looks at what the others found.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Pause after each, however much there is to tell.
const PAUSE: Duration = Duration::from_millis(20);
/// For how long a recovery is news; one that could not be told sooner says nothing of what others found since.
const RECOVERY_TOLD_MS: u64 = 60_000;
/// For one exchange; no request waits for it.
const WITHIN: Duration = Duration::from_secs(1);

/// What a try showed about an offer that other replicas should know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// The provider asked to be left alone.
    AskedToWait,
    /// Its breaker opened, by what the provider answered. What never reached it is not told: that may be this
    /// replica's own network.
    Failed,
    /// It succeeded after its breaker had opened.
    Recovered,
}

/// What this replica tells and hears.
pub(crate) struct Rests {
    counters: Counters,
    script: Script,
    key: String,
    /// This process.
    me: String,
    /// Indices of the offers, whose order never changes, by what replicas call them.
    offers: HashMap<String, usize>,
    ids: Vec<String>,
    /// As people know them.
    names: Vec<String>,
    /// What is to be told, the last finding of each offer, and when it was made by the clock of the book.
    findings: Mutex<BTreeMap<usize, (Found, u64)>>,
    news: Notify,
    heard: AtomicU64,
}

/// What the task has heard so far.
#[derive(Default)]
pub(crate) struct Ear {
    /// Of each offer, when its line was told.
    lines: HashMap<usize, u64>,
    /// Since when the connection is there to which all that stands was told.
    told_since: Option<Instant>,
    /// Whether it was logged that something is wrong.
    complained: bool,
}

impl Rests {
    /// `secret` is the same for all replicas, and nobody else knows it.
    pub(crate) fn new(
        counters: Counters,
        secret: &[u8],
        providers: &[ProviderSettings],
        offers: &[(&Offer, usize)],
    ) -> Rests {
        let secret = blake3::derive_key("gallerist 2026-11-29 rests of offers", secret);
        let me = uuid::Uuid::new_v4().simple().to_string()[..REPLICA_DIGITS].to_owned();
        let of = |(offer, provider): &(&Offer, usize)| {
            identity(&secret, &me, &offer.id.to_string(), &providers[*provider])
        };
        let ids: Vec<String> = offers.iter().map(of).collect();
        let installation = blake3::keyed_hash(&secret, b"installation").to_hex();
        Rests {
            counters,
            script: Script::new(SCRIPT),
            key: format!("gallerist:rests:{}", &installation[..REPLICA_DIGITS]),
            me,
            offers: ids.iter().cloned().zip(0..).collect(),
            ids,
            names: offers.iter().map(|(offer, _)| offer.id.to_string()).collect(),
            findings: Mutex::default(),
            news: Notify::new(),
            heard: AtomicU64::new(0),
        }
    }

    /// Puts a finding down for the others.
    pub(crate) fn found(&self, offer: usize, found: Found, now_ms: u64) {
        self.findings().insert(offer, (found, now_ms));
        self.news.notify_one();
    }

    /// A probe begins here, which the others should leave to it.
    pub(crate) fn probes(&self) {
        self.news.notify_one();
    }

    /// Findings of other replicas that made an offer rest here, since the start.
    pub(crate) fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    fn findings(&self) -> MutexGuard<'_, BTreeMap<usize, (Found, u64)>> {
        self.findings.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells what was found here and takes over what the others found. `now_ms` is the clock of the book.
    async fn exchange<'a>(
        &self,
        book: impl Fn() -> MutexGuard<'a, HealthBook>,
        now_ms: impl Fn() -> u64,
        ear: &mut Ear,
    ) {
        let findings = std::mem::take(&mut *self.findings());
        let arguments = self.arguments(&book(), &findings, now_ms());
        let since = self.counters.state().since;
        match self.counters.tell(&self.script, &self.key, &arguments, WITHIN).await {
            Ok((server_ms, text)) => {
                let server_ms = u64::try_from(server_ms).unwrap_or(0);
                let (lines, wrong) = lines::read(&text, server_ms);
                ear.complain(wrong > 0, || format!("{wrong} lines in {} are not of a replica", self.key));
                self.take_over(&mut book(), ear, (server_ms, now_ms()), &lines);
                if ear.told_since.replace(since) != Some(since) {
                    self.tell_anew(&book(), ear, now_ms(), &lines);
                }
            }
            Err(not_heard) => {
                let mut later = self.findings();
                for (offer, found) in findings {
                    later.entry(offer).or_insert(found);
                }
                // That the server is away is told where rates are counted.
                if let NotHeard::Otherwise(told) = not_heard {
                    ear.complain(true, || told);
                }
            }
        }
    }

    /// What the script is told.
    fn arguments(
        &self,
        book: &HealthBook,
        findings: &BTreeMap<usize, (Found, u64)>,
        now_ms: u64,
    ) -> Vec<String> {
        let mut arguments = vec![self.me.clone(), TURN_MS.to_string(), REST_TOLD_MS_MAX.to_string()];
        let mut tell = |word: &str, offer: usize, (for_ms, openings): (u64, u32)| {
            let numbers = [for_ms.min(REST_TOLD_MS_MAX), u64::from(openings.min(OPENINGS_MAX))];
            arguments.extend([word.to_owned(), self.ids[offer].clone()]);
            arguments.extend(numbers.map(|number| number.to_string()));
        };
        for (offer, (found, found_ms)) in findings {
            let rest = book.offers[*offer].rest(now_ms);
            match found {
                Found::Recovered if now_ms.saturating_sub(*found_ms) > RECOVERY_TOLD_MS => {}
                Found::Recovered => tell(Why::Well.as_str(), *offer, (0, 0)),
                // It is over, and says nothing about the next try.
                Found::AskedToWait if rest == (0, 0) => {}
                Found::AskedToWait => tell(Why::Asked.as_str(), *offer, rest),
                Found::Failed => tell(Why::Failed.as_str(), *offer, rest),
            }
        }
        for (offer, _) in book.offers.iter().enumerate().filter(|(_, health)| health.is_probing()) {
            tell("probing", offer, (0, 0));
        }
        arguments
    }

    /// Puts into the book what others told since the last time.
    fn take_over(
        &self,
        book: &mut HealthBook,
        ear: &mut Ear,
        (server_ms, now_ms): (u64, u64),
        lines: &[Line<'_>],
    ) {
        let until_here = |until_ms: u64| now_ms + until_ms.saturating_sub(server_ms);
        for line in lines {
            // Offers that this replica does not have, or has by another account.
            let Some(offer) = self.offers.get(line.id).copied() else { continue };
            let health = &mut book.offers[offer];
            let is_news = ear.lines.insert(offer, line.at_ms) != Some(line.at_ms);
            let for_ms = line.rests_until_ms.saturating_sub(server_ms);
            let told = match line.why {
                Why::Well => Told::Well,
                Why::Asked | Why::Failed => Told::Rest { for_ms, openings: line.openings },
            };
            if is_news && line.teller == self.me {
                // What others had told before is merged into the rest that this replica told.
                if line.why != Why::Well {
                    health.told(now_ms, told);
                }
            } else if is_news {
                health.told(now_ms, told);
                let why = line.why.as_str();
                if line.why != Why::Well && (for_ms, line.openings) != (0, 0) {
                    self.heard.fetch_add(1, Ordering::Relaxed);
                    let offer = &self.names[offer];
                    tracing::info!(offer, why, for_ms, "another replica found that an offer has to rest");
                }
            }
            let others_turn = line.why != Why::Well && line.openings > 0 && line.prober != self.me;
            health.leave_probe_until(if others_turn { until_here(line.turn_until_ms) } else { 0 });
        }
    }

    /// A server that comes back may have forgotten everything: what was told and it does not speak of is told again.
    fn tell_anew(&self, book: &HealthBook, ear: &Ear, now_ms: u64, lines: &[Line<'_>]) {
        let spoken_of: HashSet<&str> = lines.iter().map(|line| line.id).collect();
        let mut findings = self.findings();
        for (offer, health) in book.offers.iter().enumerate() {
            let found = match health.rest(now_ms) {
                (0, _) => continue,
                _ if !ear.lines.contains_key(&offer) => continue,
                _ if spoken_of.contains(self.ids[offer].as_str()) => continue,
                (_, 0) => Found::AskedToWait,
                _ => Found::Failed,
            };
            findings.entry(offer).or_insert((found, now_ms));
            self.news.notify_one();
        }
    }
}

impl Ear {
    /// Once, until all is well again.
    fn complain(&mut self, is_wrong: bool, what: impl FnOnce() -> String) {
        if is_wrong && !self.complained {
            let what = what();
            tracing::warn!(
                what,
                "what replicas tell each other of offers on Redis is ignored where it is wrong"
            );
        }
        self.complained = is_wrong;
    }
}

/// Hears what is known already, before anything is asked of an offer that others found to be down.
pub(crate) async fn at_start(shared: &Shared) -> Ear {
    let mut ear = Ear::default();
    if let Some(rests) = &shared.rests {
        rests.exchange(|| shared.health(), || shared.now_ms(), &mut ear).await;
    }
    ear
}

pub(crate) async fn keep_telling(shared: Arc<Shared>, mut ear: Ear) {
    let Some(rests) = &shared.rests else { return };
    while !shared.stopping.is_cancelled() {
        sleep(PAUSE).await;
        tokio::select! {
            () = shared.stopping.cancelled() => return,
            _ = timeout(LOOK_EVERY, rests.news.notified()) => {}
        }
        rests.exchange(|| shared.health(), || shared.now_ms(), &mut ear).await;
    }
}

/// What replicas call an offer: the same where it is bought from the same account. An engine that asks for no key on
/// this very machine is another one on each, and nobody else's.
fn identity(secret: &[u8; 32], me: &str, offer: &str, provider: &ProviderSettings) -> String {
    let mut hasher = blake3::Hasher::new_keyed(secret);
    let (address, key) = (provider.base_url.trim_end_matches('/'), provider.key.expose_secret());
    let own = if key.is_empty() && is_this_machine(address) { me } else { "" };
    for part in [offer, &provider.kind, &provider.region, address, key, own] {
        hasher.update(&part.len().to_le_bytes()).update(part.as_bytes());
    }
    hasher.finalize().to_hex()[..ID_DIGITS].to_owned()
}

fn is_this_machine(address: &str) -> bool {
    let Ok(url) = reqwest::Url::parse(address) else { return false };
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let named = host == "localhost" || host.ends_with(".localhost");
    named || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback() || ip.is_unspecified())
}

#[cfg(test)]
mod tests;
