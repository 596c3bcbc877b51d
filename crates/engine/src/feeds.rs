//! Prices that are polled while the gateway runs: one task a feed, and the swap of the market.
//!
//! A poll fetches (`feeds/fetch.rs`), lets `gallerist_pricing::feed` decide, writes the book, and only then puts
//! another [`Market`] in force; so whatever was quoted can be settled by what was believed when it was, also after
//! a restart. What cannot be fetched or read changes nothing. It refuses to judge prices.

mod fetch;

pub use fetch::{FetchFault, Fetcher};

use crate::market::Market;
use crate::shared::Shared;
use fetch::Fetched;
use gallerist_pricing::Catalogue;
use gallerist_pricing::catalogue::Origin;
use gallerist_pricing::feed::{FeedBook, FeedRules, FeedStatus, Told, still_told, take_in};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::time::sleep;

/// Share of a pause that is left to chance, in per cent, so that many gateways do not ask at once.
const JITTER_PERCENT: u64 = 10;

/// A feed as it is configured.
#[derive(Clone, Debug)]
pub struct Feed {
    pub rules: FeedRules,
    /// Where it is asked: the whole address, for `fal` without the endpoints.
    pub url: String,
    pub key: Option<SecretString>,
    /// Pause between two polls.
    pub every: Duration,
    /// For the whole of a poll.
    pub timeout: Duration,
    /// Largest answer.
    pub bytes_max: usize,
    /// How old what it told may be before it is called stale.
    pub stale_after: SignedDuration,
}

/// What an engine knows of feeds at its start.
#[derive(Clone, Debug, Default)]
pub struct FeedSettings {
    pub feeds: Vec<Feed>,
    /// What earlier polls told; its accepted prices are in force from the start.
    pub book: FeedBook,
    /// Where the book is kept; absent: only in memory.
    pub path: Option<PathBuf>,
    /// Where everything that has a price is read from, since feeds speak of more than can be ordered; absent: the
    /// engine's own catalogue is everything.
    pub whole: Option<Origin>,
}

/// Why the feeds could not be polled or confirmed.
#[derive(Debug, thiserror::Error)]
pub enum FeedFault {
    #[error("the HTTP client could not be set up")]
    Client(#[source] reqwest::Error),
    #[error("{path} cannot be written")]
    Keep { path: PathBuf, source: std::io::Error },
    #[error("there is no feed of that name")]
    NoFeed,
    #[error("the change of what feeds told was cut off")]
    CutOff,
}

/// How a feed stands.
#[derive(Clone, Debug)]
pub struct FeedState {
    pub name: String,
    pub form: &'static str,
    pub status: FeedStatus,
    /// Since the start.
    pub succeeded: u64,
    pub failed: u64,
}

/// The feeds of an engine.
pub(crate) struct FeedDesk {
    feeds: Vec<Desk>,
    /// What can be ordered, without what feeds told.
    base: Arc<Catalogue>,
    whole: Option<Origin>,
    /// Everything that has a price, without what feeds told; read by the first poll.
    known: OnceLock<Arc<Catalogue>>,
    book: Mutex<Arc<FeedBook>>,
    path: Option<PathBuf>,
    /// Held while the book is changed, its writing included.
    changing: Arc<tokio::sync::Mutex<()>>,
    /// The last catalogue of the past that was made for a settlement.
    earlier: Mutex<Option<(String, Arc<Market>)>>,
}

/// One feed at run time.
struct Desk {
    feed: Feed,
    /// What the feed calls its last answer.
    validators: Mutex<fetch::Validators>,
    succeeded: AtomicU64,
    failed: AtomicU64,
}

impl FeedDesk {
    pub(crate) fn new(base: Arc<Catalogue>, settings: FeedSettings) -> FeedDesk {
        let desk = |feed| Desk {
            feed,
            validators: Mutex::default(),
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        };
        FeedDesk {
            feeds: settings.feeds.into_iter().map(desk).collect(),
            base,
            book: Mutex::new(Arc::new(settings.book)),
            path: settings.path,
            whole: settings.whole,
            known: OnceLock::new(),
            changing: Arc::default(),
            earlier: Mutex::default(),
        }
    }

    pub(crate) fn book(&self) -> Arc<FeedBook> {
        Arc::clone(&self.book.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// With what feeds told.
    pub(crate) fn catalogue(&self) -> Arc<Catalogue> {
        Arc::new(self.base.with_feeds(&self.book()))
    }

    /// What a feed may speak of. Reading it takes a moment.
    fn known(&self) -> &Arc<Catalogue> {
        self.known.get_or_init(|| {
            let whole = self.whole.as_ref().and_then(|origin| origin.whole().ok());
            whole.map_or_else(|| Arc::clone(&self.base), Arc::new)
        })
    }

    pub(crate) fn states(&self) -> Vec<FeedState> {
        let book = self.book();
        let state = |desk: &Desk| FeedState {
            name: desk.feed.rules.name.clone(),
            form: desk.feed.rules.form.name(),
            status: book.feeds.get(&desk.feed.rules.name).cloned().unwrap_or_default(),
            succeeded: desk.succeeded.load(Ordering::Relaxed),
            failed: desk.failed.load(Ordering::Relaxed),
        };
        self.feeds.iter().map(state).collect()
    }
}

/// Starts the task of each feed; they end when the engine stops.
pub(crate) fn poll_in_background(shared: &Arc<Shared>) {
    for index in 0..shared.feeds.feeds.len() {
        shared.tasks.spawn(poll_for_ever(Arc::clone(shared), index));
    }
}

async fn poll_for_ever(shared: Arc<Shared>, index: usize) {
    let desk = &shared.feeds.feeds[index];
    let name = &desk.feed.rules.name;
    loop {
        let polling = async {
            if let Err(error) = sync_some(&shared, vec![index], false).await {
                tracing::error!(feed = %name, %error, "what a feed told could not be kept, and does not count");
            }
            sleep(jittered(desk.feed.every)).await;
        };
        // A poll that is cut off has changed nothing, or all that it was to change.
        tokio::select! {
            () = shared.stopping.cancelled() => return,
            () = polling => {}
        }
    }
}

fn jittered(pause: Duration) -> Duration {
    let percent = uuid::Uuid::new_v4().as_u128() % u128::from(2 * JITTER_PERCENT + 1);
    let percent = u32::try_from(100 - u128::from(JITTER_PERCENT) + percent).unwrap_or(100);
    pause.saturating_mul(percent) / 100
}

/// Polls now; all feeds, or the one of that name.
pub(crate) async fn sync(
    shared: &Arc<Shared>,
    name: Option<&str>,
    dry_run: bool,
) -> Result<Vec<Told>, FeedFault> {
    let feeds = shared.feeds.feeds.iter().enumerate();
    let asked = feeds.filter(|(_, desk)| name.is_none_or(|name| name == desk.feed.rules.name));
    let asked: Vec<usize> = asked.map(|(index, _)| index).collect();
    if asked.is_empty() && name.is_some() {
        return Err(FeedFault::NoFeed);
    }
    // The caller may go away; what is believed is kept and put in force as a whole all the same.
    let shared = Arc::clone(shared);
    let polling = shared.tasks.clone().spawn(async move { sync_some(&shared, asked, dry_run).await });
    polling.await.unwrap_or(Err(FeedFault::CutOff))
}

async fn sync_some(shared: &Arc<Shared>, asked: Vec<usize>, dry_run: bool) -> Result<Vec<Told>, FeedFault> {
    let desk = &shared.feeds;
    let mut fetched = Vec::new();
    for &index in &asked {
        let Desk { feed, validators, .. } = &desk.feeds[index];
        let known = validators.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // What is held waits for another word, not for none.
        let waits = desk.book().held().iter().any(|held| held.feed == feed.rules.name);
        let known = if waits || dry_run { fetch::Validators::default() } else { known };
        let answer = shared.fetcher.fetch(feed, &desk.base, &known, shared.clock.now()).await;
        fetched.push((index, answer));
    }
    let changing = move |shared: &Shared, book: &mut FeedBook, now: Timestamp| {
        take_answers(shared, book, fetched, now, dry_run)
    };
    let changed = change(shared, dry_run, changing).await;
    if changed.is_err() {
        // What was not kept is to be told again.
        for index in asked {
            *desk.feeds[index].validators.lock().unwrap_or_else(PoisonError::into_inner) =
                fetch::Validators::default();
        }
    }
    changed
}

fn take_answers(
    shared: &Shared,
    book: &mut FeedBook,
    fetched: Vec<(usize, Result<Fetched, FetchFault>)>,
    now: Timestamp,
    dry_run: bool,
) -> Vec<Told> {
    let desk = &shared.feeds;
    let mut told = Vec::new();
    for (index, answer) in fetched {
        let Desk { feed, validators, succeeded, failed } = &desk.feeds[index];
        let whole = take_answer(book, feed, desk.known(), &answer, now, &mut told);
        if dry_run {
            continue;
        }
        (if whole { succeeded } else { failed }).fetch_add(1, Ordering::Relaxed);
        if let (true, Ok(Fetched::New { validators: new, .. })) = (whole, answer) {
            *validators.lock().unwrap_or_else(PoisonError::into_inner) = new;
        }
    }
    if !dry_run {
        alarm(&told);
    }
    told
}

/// Lets the book take in what a poll brought; whether the feed was understood.
fn take_answer(
    book: &mut FeedBook,
    feed: &Feed,
    base: &Catalogue,
    answer: &Result<Fetched, FetchFault>,
    now: Timestamp,
    told: &mut Vec<Told>,
) -> bool {
    let name = &feed.rules.name;
    match answer {
        Ok(Fetched::New { body, .. }) => told.extend(take_in(book, &feed.rules, body, base, now)),
        Ok(Fetched::Unchanged) => still_told(book, name, now),
        Err(fault) => {
            let why = fault.to_string();
            book.note_failure(name, why.clone(), now);
            told.push(Told { why: Some(why), ..Told::new(name, "", "unreachable") });
        }
    }
    let unknown = feed.rules.form.is_volatile();
    let (lines, whole) = book.mark_silence(name, feed.stale_after, unknown, now);
    told.extend(lines.iter().map(|line| Told::new(name, line, "stale")));
    if whole {
        told.push(Told::new(name, "", "stale"));
    }
    book.feeds.get(name).is_some_and(|status| status.fault.is_none())
}

/// Says in the log what a person should know.
fn alarm(told: &[Told]) {
    for Told { feed, line, decision, why, old_usd, new_usd, .. } in told {
        let why = why.as_deref().unwrap_or_default();
        let dollars = |amount: &Option<gallerist_domain::Ticks>| amount.map(|usd| usd.to_string());
        let (old_usd, new_usd) = (dollars(old_usd), dollars(new_usd));
        match decision.as_str() {
            "held" => {
                tracing::warn!(%feed, %line, old_usd, new_usd, why, "a polled price is held until it is confirmed");
            }
            "accepted" => tracing::info!(%feed, %line, old_usd, new_usd, "a polled price holds from now on"),
            "stale" => tracing::warn!(%feed, %line, "a feed has not told prices for longer than it may"),
            "unreachable" | "unreadable" => {
                tracing::warn!(%feed, why, "a feed told nothing; the last prices that were believed stay");
            }
            _ => {}
        }
    }
}

/// A person believes what is held.
pub(crate) async fn confirm_held(shared: &Arc<Shared>, wanted: &[String]) -> Result<Vec<Told>, FeedFault> {
    let wanted = wanted.to_vec();
    change(shared, false, move |_: &Shared, book: &mut FeedBook, now| confirm(book, &wanted, now)).await
}

/// Believes what is held of the wanted lines, for whoever has no engine.
pub fn confirm(book: &mut FeedBook, wanted: &[String], now: Timestamp) -> Vec<Told> {
    let told = |(line, old, new): (String, Option<gallerist_pricing::feed::Quoted>, _)| {
        let point: Option<gallerist_pricing::feed::PricePoint> = new;
        Told {
            old_usd: old.map(|old| old.usd),
            new_usd: point.map(|point| point.quote.usd),
            per: point.map(|point| point.quote.per),
            since: point.map(|point| point.since),
            ..Told::new("", &line, "confirmed")
        }
    };
    book.confirm(wanted, now).into_iter().map(told).collect()
}

/// Polls once without an engine: the book changes, and nothing is written.
///
/// # Errors
/// When the HTTP client cannot be set up.
pub async fn poll(
    feeds: &[Feed],
    base: &Catalogue,
    book: &mut FeedBook,
    now: Timestamp,
) -> Result<Vec<Told>, FeedFault> {
    let fetcher = Fetcher::new().map_err(FeedFault::Client)?;
    let mut told = Vec::new();
    for feed in feeds {
        let answer = fetcher.fetch(feed, base, &fetch::Validators::default(), now).await;
        take_answer(book, feed, base, &answer, now, &mut told);
    }
    alarm(&told);
    Ok(told)
}

/// Changes the book, writes it, and puts the market that comes of it in force, in this order; on a thread of its
/// own, because a long list takes a while. A dry run forgets the change.
async fn change(
    shared: &Arc<Shared>,
    dry_run: bool,
    change: impl FnOnce(&Shared, &mut FeedBook, Timestamp) -> Vec<Told> + Send + 'static,
) -> Result<Vec<Told>, FeedFault> {
    let shared = Arc::clone(shared);
    let changing = Arc::clone(&shared.feeds.changing).lock_owned().await;
    let changed = tokio::task::spawn_blocking(move || {
        let _changing = changing;
        let (mut book, now) = (FeedBook::clone(&shared.feeds.book()), shared.clock.now());
        let told = change(&shared, &mut book, now);
        if !dry_run {
            put_in_force(&shared, book, now)?;
        }
        Ok(told)
    });
    changed.await.unwrap_or(Err(FeedFault::CutOff))
}

fn put_in_force(shared: &Shared, mut book: FeedBook, now: Timestamp) -> Result<(), FeedFault> {
    let desk = &shared.feeds;
    let catalogue = desk.base.with_feeds(&book);
    let other = catalogue.digest != shared.market().catalogue.digest;
    if other {
        let before = shared.market().catalogue.digest.clone();
        if before != desk.base.digest && !book.editions.contains_key(&before) {
            // It came with the start. Nothing that is new was believed before now.
            let just_before = now.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(now);
            book.note_edition(&before, just_before);
        }
        book.note_edition(&catalogue.digest, now);
    }
    if let Some(path) = &desk.path {
        keep(path, &book).map_err(|source| FeedFault::Keep { path: path.clone(), source })?;
    }
    *desk.book.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(book);
    if !other {
        return Ok(());
    }
    let market = Market::new(Arc::new(catalogue), &shared.configured);
    let same = |a: &Market, b: &Market| {
        a.offers.len() == b.offers.len() && a.offers.iter().zip(&b.offers).all(|(a, b)| a.id == b.id)
    };
    // Health is kept by index; prices and days change no offer's place.
    debug_assert!(same(&market, &shared.market()), "a feed changed which offers there are");
    shared.set_market(market);
    Ok(())
}

/// Writes a book: beside its place and renamed, so that a crash leaves the old one or the new one.
///
/// # Errors
/// What the disk says.
pub fn keep(path: &std::path::Path, book: &FeedBook) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let text = serde_json::to_vec_pretty(book).expect("a book of texts and figures is JSON");
    let beside = path.with_extension("json.new");
    let mut file = std::fs::File::create(&beside)?;
    std::io::Write::write_all(&mut file, &text)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

/// The market that something was quoted by. What today's book knows nothing of is settled by today's.
pub(crate) fn market_of(shared: &Shared, digest: &str) -> Arc<Market> {
    let current = shared.market();
    if current.catalogue.digest == digest {
        return current;
    }
    let desk = &shared.feeds;
    let mut earlier = desk.earlier.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((_, market)) = earlier.as_ref().filter(|(known, _)| known == digest) {
        return Arc::clone(market);
    }
    let book = desk.book();
    let then = match book.editions.get(digest) {
        Some(at) => book.as_of(*at),
        None if digest == desk.base.digest => FeedBook::default(),
        None => return current,
    };
    let catalogue = Catalogue { digest: digest.to_owned(), ..desk.base.with_feeds(&then) };
    let market = Arc::new(Market::new(Arc::new(catalogue), &shared.configured));
    *earlier = Some((digest.to_owned(), Arc::clone(&market)));
    market
}
