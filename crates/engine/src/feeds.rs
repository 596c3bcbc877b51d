//! Prices that are polled while the gateway runs: one task a feed, and the swap of the market.
//!
//! A poll fetches (`feeds/fetch.rs`), lets `gallerist_pricing::feed` decide, keeps the book in the store
//! (`feeds/kept.rs`), and only then puts another [`Market`] in force (`feeds/force.rs`); so whatever was quoted can be
//! settled by what was believed when it was, also after a restart, and what one gateway believes is in force at all
//! of the same store. One of them asks when a feed is due. What cannot be fetched or read changes nothing. It refuses
//! to judge prices.

mod fetch;
mod force;
mod kept;

pub use fetch::{FetchFault, Fetcher};
pub(crate) use force::{at_start, market_of};
pub use kept::{KeptBook, read_file, take_in_file};

use crate::market::Market;
use crate::shared::Shared;
use fetch::Fetched;
use force::change;
use gallerist_domain::NewAlert;
use gallerist_pricing::Catalogue;
use gallerist_pricing::catalogue::Origin;
use gallerist_pricing::feed::{FeedBook, FeedRules, FeedStatus, Told, precedence, still_told, take_in};
use gallerist_pricing::watch::feeds::{PolledFeed, troubles};
use gallerist_store::{Store, StoreError};
use jiff::{SignedDuration, Timestamp};
use secrecy::SecretString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use tokio::time::sleep;

/// Share of a pause that is left to chance, in per cent.
const JITTER_PERCENT: u32 = 10;
/// What was asked by another gateway so shortly before a start was asked with the same settings.
const STARTED: Duration = Duration::from_mins(1);
/// Longest pause after what was told could not be kept.
const KEEP_AGAIN: Duration = Duration::from_mins(1);

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

/// Tells each feed which of them is heard where several tell one line: the one that stands first.
pub fn in_order(mut feeds: Vec<Feed>) -> Vec<Feed> {
    let names = precedence(feeds.iter().map(|feed| &feed.rules));
    for feed in &mut feeds {
        feed.rules.precedence = Arc::clone(&names);
    }
    feeds
}

/// What an engine knows of feeds at its start.
#[derive(Clone, Debug, Default)]
pub struct FeedSettings {
    pub feeds: Vec<Feed>,
    /// Where earlier versions kept what feeds told: taken into the store at the start, once.
    pub file: Option<PathBuf>,
    /// Where everything that has a price is read from, since feeds speak of more than can be ordered; absent: the
    /// engine's own catalogue is everything.
    pub whole: Option<Origin>,
}

/// Why the feeds could not be polled or confirmed.
#[derive(Debug, thiserror::Error)]
pub enum FeedFault {
    #[error("the HTTP client could not be set up")]
    Client(#[source] reqwest::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{} cannot be read", path.display())]
    File { path: PathBuf, source: std::io::Error },
    #[error("what is kept of feeds is of a version that this one cannot read")]
    Unreadable(#[source] serde_json::Error),
    #[error("other gateways change what feeds told all the time: ask again")]
    Busy,
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
    kept: Mutex<KeptBook>,
    /// Tells of changes since before the book was read first.
    changes: tokio::sync::watch::Receiver<u64>,
    file: Option<PathBuf>,
    /// Rung when the book has changed, for whoever looks for what is wrong in it.
    news: tokio::sync::Notify,
    /// Held while the book is changed, its writing included.
    changing: tokio::sync::Mutex<()>,
    /// The last catalogue of the past that was made for a settlement.
    earlier: Mutex<Option<(String, Arc<Market>)>>,
}

/// One feed at run time.
struct Desk {
    feed: Feed,
    /// What the feed calls the answer that this gateway took, and when it had asked for that.
    validators: Mutex<(Option<Timestamp>, fetch::Validators)>,
    succeeded: AtomicU64,
    failed: AtomicU64,
}

impl FeedDesk {
    pub(crate) fn new(base: Arc<Catalogue>, settings: FeedSettings, store: &Store) -> FeedDesk {
        let desk = |feed| Desk {
            feed,
            validators: Mutex::default(),
            succeeded: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        };
        FeedDesk {
            feeds: in_order(settings.feeds).into_iter().map(desk).collect(),
            base,
            kept: Mutex::default(),
            changes: store.feed_changes(),
            file: settings.file,
            whole: settings.whole,
            known: OnceLock::new(),
            changing: tokio::sync::Mutex::default(),
            news: tokio::sync::Notify::new(),
            earlier: Mutex::default(),
        }
    }

    pub(crate) fn book(&self) -> Arc<FeedBook> {
        self.kept().book
    }

    fn kept(&self) -> KeptBook {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What can be ordered, without what feeds told.
    pub(crate) fn base(&self) -> &Arc<Catalogue> {
        &self.base
    }

    /// What a feed may speak of. Reading it takes a moment.
    fn known(&self) -> &Arc<Catalogue> {
        self.known.get_or_init(|| {
            let whole = self.whole.as_ref().and_then(|origin| origin.whole().ok());
            whole.map_or_else(|| Arc::clone(&self.base), Arc::new)
        })
    }

    /// Everything that has a price, as feeds told it.
    pub(crate) fn everything(&self) -> Catalogue {
        self.known().with_feeds(&self.book())
    }

    /// What is wrong with the feeds, by the book.
    pub(crate) fn troubles(&self, catalogue: &Catalogue, now: Timestamp) -> Vec<NewAlert> {
        let feeds = self.feeds.iter().map(|desk| &desk.feed);
        let feeds: Vec<PolledFeed<'_>> = feeds
            .map(|Feed { rules, stale_after, .. }| PolledFeed {
                name: &rules.name,
                stale_after: *stale_after,
            })
            .collect();
        troubles(&self.book(), &feeds, catalogue, now)
    }

    /// Waits until the book changes. A change since the last wait ends it at once.
    pub(crate) async fn changed(&self) {
        self.news.notified().await;
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

/// Starts the task of each feed, and the one that hears of what others believe; they end when the engine stops.
pub(crate) fn poll_in_background(shared: &Arc<Shared>) {
    for index in 0..shared.feeds.feeds.len() {
        shared.tasks.spawn(poll_for_ever(Arc::clone(shared), index));
    }
    shared.tasks.spawn(force::keep_up(Arc::clone(shared)));
}

async fn poll_for_ever(shared: Arc<Shared>, index: usize) {
    let desk = &shared.feeds.feeds[index];
    let (name, every) = (&desk.feed.rules.name, desk.feed.every);
    // At a start something may be new in the settings, unless another gateway starts with it.
    let mut pause =
        wait(&shared, index, if shared.store.is_shared() { every.min(STARTED) } else { Duration::ZERO });
    loop {
        let polling = async {
            if !pause.is_zero() {
                sleep(pause + up_to_a_share(every)).await;
                // Another gateway may have been faster, and not heard of yet.
                if shared.store.is_shared()
                    && let Err(error) = force::look(&shared).await
                {
                    tracing::debug!(feed = %name, %error, "what others know of a feed could not be read");
                }
                pause = wait(&shared, index, every);
                if !pause.is_zero() {
                    return;
                }
            }
            match sync_some(&shared, vec![index], false).await {
                Ok(_) => pause = wait(&shared, index, every),
                Err(error) => {
                    tracing::error!(feed = %name, %error, "what a feed told could not be kept, and does not count");
                    pause = every.min(KEEP_AGAIN);
                }
            }
        };
        // A poll that is cut off has changed nothing, or all that it was to change.
        tokio::select! {
            () = shared.stopping.cancelled() => return,
            () = polling => {}
        }
    }
}

/// How long until a feed was asked by nobody for `every`.
fn wait(shared: &Shared, index: usize, every: Duration) -> Duration {
    let book = shared.feeds.book();
    let status = book.feeds.get(&shared.feeds.feeds[index].feed.rules.name);
    let idle = status.and_then(|status| status.idle(shared.clock.now()));
    let idle = idle.and_then(|idle| Duration::try_from(idle).ok());
    idle.map_or(Duration::ZERO, |idle| every.saturating_sub(idle))
}

/// A part of a pause by chance, so that many gateways do not ask at once.
fn up_to_a_share(pause: Duration) -> Duration {
    let chance = u32::try_from(uuid::Uuid::new_v4().as_u128() % 1_000).unwrap_or(0);
    pause.saturating_mul(chance) / (1_000 * 100 / JITTER_PERCENT)
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
    let by_task = Arc::clone(shared);
    let polling = shared.tasks.spawn(async move { sync_some(&by_task, asked, dry_run).await });
    polling.await.unwrap_or(Err(FeedFault::CutOff))
}

/// An answer, and when it was asked for.
struct Answered {
    index: usize,
    asked: Timestamp,
    answer: Result<Fetched, FetchFault>,
}

/// What became of an answer: nothing where a later one was taken before, else whether it was understood.
type Taken = Option<bool>;

async fn sync_some(shared: &Arc<Shared>, asked: Vec<usize>, dry_run: bool) -> Result<Vec<Told>, FeedFault> {
    let desk = &shared.feeds;
    let mut answers = Vec::new();
    for index in asked {
        let Desk { feed, validators, .. } = &desk.feeds[index];
        let (of, known) = validators.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let book = desk.book();
        let taken = book.feeds.get(&feed.rules.name).and_then(|status| status.asked);
        // What is held waits for another word, not for none; and what others have taken since is not what is known
        // here.
        let waits = book.held().iter().any(|held| held.feed == feed.rules.name);
        // So does a line of a feed that fell silent: this one may tell it too, and "unchanged" would not say so.
        let waits = waits || book.silent_beside(&feed.rules.name);
        let known = if waits || dry_run || of != taken { fetch::Validators::default() } else { known };
        let asked = shared.clock.now();
        let answer = shared.fetcher.fetch(feed, &desk.base, &known, asked).await;
        answers.push(Answered { index, asked, answer });
    }
    let answers = Arc::new(answers);
    let taking = Arc::clone(&answers);
    let (told, taken) = change(shared, dry_run, move |shared, book, now| {
        let mut told = Vec::new();
        let taken: Vec<Taken> =
            taking.iter().map(|answered| take(&shared.feeds, book, answered, now, &mut told)).collect();
        (told, taken)
    })
    .await?;
    if !dry_run {
        for (answered, taken) in answers.iter().zip(taken) {
            count(&desk.feeds[answered.index], answered, taken);
        }
        log(&told);
    }
    Ok(told)
}

/// Takes an answer into the book.
fn take(
    desk: &FeedDesk,
    book: &mut FeedBook,
    Answered { index, asked, answer }: &Answered,
    now: Timestamp,
    told: &mut Vec<Told>,
) -> Taken {
    let feed = &desk.feeds[*index].feed;
    let name = &feed.rules.name;
    if book.feeds.get(name).is_some_and(|status| status.is_newer_than(*asked)) {
        let why = Some("another gateway has read it since".to_owned());
        told.push(Told { why, ..Told::new(name, "", "late") });
        return None;
    }
    Some(take_answer(book, feed, desk.known(), (*asked, answer), now, told))
}

/// Counts an answer that was kept, and remembers what the feed calls it.
fn count(desk: &Desk, Answered { asked, answer, .. }: &Answered, taken: Taken) {
    let Some(whole) = taken else { return };
    (if whole { &desk.succeeded } else { &desk.failed }).fetch_add(1, Ordering::Relaxed);
    let mut validators = desk.validators.lock().unwrap_or_else(PoisonError::into_inner);
    match (whole, answer) {
        (true, Ok(Fetched::New { validators: new, .. })) => *validators = (Some(*asked), new.clone()),
        (true, Ok(Fetched::Unchanged)) => validators.0 = Some(*asked),
        _ => {}
    }
}

/// Lets the book take in what a poll brought; whether the feed was understood.
fn take_answer(
    book: &mut FeedBook,
    feed: &Feed,
    base: &Catalogue,
    (asked, answer): (Timestamp, &Result<Fetched, FetchFault>),
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
    let (lines, all) = book.mark_silence(name, feed.stale_after, unknown, now);
    let minutes = feed.stale_after.as_mins();
    let stale = |line: &str| Told {
        why: Some(format!(
            "the feed has not told it for longer than the {minutes} minutes that it may be silent"
        )),
        ..Told::new(name, line, "stale")
    };
    told.extend(lines.iter().map(|line| stale(line)));
    told.extend(all.then(|| stale("")));
    let whole = book.feeds.get(name).is_some_and(|status| status.fault.is_none());
    let every = SignedDuration::try_from(feed.every).unwrap_or(SignedDuration::MAX);
    book.note_poll(name, asked, every, whole);
    whole
}

/// Says in the log what became of a poll. What is wrong is an alert when it begins, with a warning in the log;
/// that it still is, at each poll, is for whoever looks for a mistake.
fn log(told: &[Told]) {
    for Told { feed, line, decision, why, old_usd, new_usd, .. } in told {
        let why = why.as_deref().unwrap_or_default();
        let dollars = |amount: &Option<gallerist_domain::Ticks>| amount.map(|usd| usd.to_string());
        let (old_usd, new_usd) = (dollars(old_usd), dollars(new_usd));
        match decision.as_str() {
            "held" => {
                tracing::debug!(%feed, %line, old_usd, new_usd, why, "a polled price is held until it is confirmed");
            }
            "accepted" => tracing::info!(%feed, %line, old_usd, new_usd, "a polled price holds from now on"),
            "shadowed" => {
                tracing::debug!(%feed, %line, why, "a polled price does not count beside another feed's")
            }
            "stale" => tracing::debug!(%feed, %line, "a feed has not told prices for longer than it may"),
            "unreachable" | "unreadable" => {
                tracing::debug!(%feed, why, "a feed told nothing; the last prices that were believed stay");
            }
            _ => {}
        }
    }
}

/// A person believes what is held.
pub(crate) async fn confirm_held(shared: &Arc<Shared>, wanted: &[String]) -> Result<Vec<Told>, FeedFault> {
    let (by_task, wanted) = (Arc::clone(shared), wanted.to_vec());
    let believe =
        move |shared: &Shared, book: &mut FeedBook, now| book.confirm(&wanted, shared.feeds.known(), now);
    // The caller may go away; what is kept is in force all the same.
    let confirming = shared.tasks.spawn(async move { change(&by_task, false, believe).await });
    confirming.await.unwrap_or(Err(FeedFault::CutOff))
}

/// Polls once without an engine: the book changes, and nothing is kept.
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
        take_answer(book, feed, base, (now, &answer), now, &mut told);
    }
    log(&told);
    Ok(told)
}
