//! From a book to the market: what is believed is kept, and only then in force; what others believe is heard of.

use super::kept::{KeptBook, ROUNDS_MAX, Replacement, take_in_file};
use super::{FeedDesk, FeedFault};
use crate::market::Market;
use crate::shared::Shared;
use gallerist_pricing::Catalogue;
use gallerist_pricing::feed::FeedBook;
use jiff::{SignedDuration, Timestamp};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use tokio::time::sleep;

/// Between two looks at whether feeds of others are asked by nobody any more.
const TIDY_EVERY: Duration = Duration::from_mins(10);
/// After a book of others could not be read.
const PAUSE: Duration = Duration::from_secs(1);

/// What a change makes of a book.
struct Next<T> {
    told: T,
    replacement: Replacement,
    /// Another one than is in force.
    catalogue: Option<Catalogue>,
}

/// Changes the book, keeps it, and puts the market that comes of it in force, in this order; on a thread of its
/// own, because a long list takes a while. Where another gateway has kept another book meanwhile, `change` is
/// applied to that one, so it changes nothing but the book. A dry run forgets the change.
pub(super) async fn change<T: Send + 'static>(
    shared: &Arc<Shared>,
    dry_run: bool,
    change: impl Fn(&Shared, &mut FeedBook, Timestamp) -> T + Send + Sync + 'static,
) -> Result<T, FeedFault> {
    let change = Arc::new(change);
    let _changing = shared.feeds.changing.lock().await;
    for _ in 0..ROUNDS_MAX {
        let (by_task, change) = (Arc::clone(shared), Arc::clone(&change));
        let making = tokio::task::spawn_blocking(move || {
            let (kept, now) = (by_task.feeds.kept(), by_task.clock.now());
            let mut book = FeedBook::clone(&kept.book);
            let told = change(&by_task, &mut book, now);
            let catalogue = if dry_run { None } else { edition(&by_task, &mut book, now) };
            Next { told, replacement: kept.replaced_by(book), catalogue }
        });
        let Next { told, replacement, catalogue } = making.await.map_err(|_| FeedFault::CutOff)?;
        if dry_run {
            return Ok(told);
        }
        if let Some(kept) = replacement.write(&shared.store).await? {
            put_in_force(shared, kept, catalogue);
            return Ok(told);
        }
        read_again(shared).await?;
    }
    Err(FeedFault::Busy)
}

/// The catalogue that comes of a book, if it is another one than is in force; the book remembers since when.
fn edition(shared: &Shared, book: &mut FeedBook, now: Timestamp) -> Option<Catalogue> {
    let desk = &shared.feeds;
    let catalogue = desk.base.with_feeds(book);
    let before = shared.market().catalogue.digest.clone();
    let other = catalogue.digest != before;
    if other && before != desk.base.digest && !book.editions.contains_key(&before) {
        // Nothing that is new was believed before now.
        let just_before = now.checked_sub(SignedDuration::from_nanos(1)).unwrap_or(now);
        book.note_edition(&before, just_before);
    }
    let unknown = catalogue.digest != desk.base.digest && !book.editions.contains_key(&catalogue.digest);
    if other || unknown {
        book.note_edition(&catalogue.digest, now);
    }
    other.then_some(catalogue)
}

fn put_in_force(shared: &Shared, kept: KeptBook, catalogue: Option<Catalogue>) {
    let desk = &shared.feeds;
    *desk.kept.lock().unwrap_or_else(PoisonError::into_inner) = kept;
    if let Some(catalogue) = catalogue {
        let market = Market::new(Arc::new(catalogue), &shared.configured);
        let same = |a: &Market, b: &Market| {
            a.offers.len() == b.offers.len() && a.offers.iter().zip(&b.offers).all(|(a, b)| a.id == b.id)
        };
        // Health is kept by index; prices and days change no offer's place.
        debug_assert!(same(&market, &shared.market()), "a feed changed which offers there are");
        shared.set_market(market);
    }
    // Whoever hears of it looks at the new market.
    desk.news.notify_one();
}

/// Puts in force what the store has, if that is another book than is known; by whoever may change the book.
async fn read_again(shared: &Arc<Shared>) -> Result<(), FeedFault> {
    let known = shared.feeds.kept();
    let Some(kept) = known.read_other(&shared.store).await? else { return Ok(()) };
    let by_task = Arc::clone(shared);
    let making = tokio::task::spawn_blocking(move || {
        let catalogue = by_task.feeds.base.with_feeds(&kept.book);
        let other = catalogue.digest != by_task.market().catalogue.digest;
        (kept, other.then_some(catalogue))
    });
    let (kept, catalogue) = making.await.map_err(|_| FeedFault::CutOff)?;
    put_in_force(shared, kept, catalogue);
    Ok(())
}

/// Takes over the file of an earlier version, and lets the book be as the settings have it: what was told too long
/// ago is known to be old, whether or not a gateway ran to notice it, and what a feed told that is not configured any
/// more is let go ([`FeedBook::leave`] says when).
///
/// # Errors
/// When the store fails.
pub(crate) async fn at_start(shared: &Arc<Shared>) -> Result<(), FeedFault> {
    if let Some(path) = &shared.feeds.file {
        take_in_file(&shared.store, path).await?;
    }
    look(shared).await?;
    if shared.feeds.kept().is_new() {
        return Ok(());
    }
    change(shared, false, |shared, book, now| fit(&shared.feeds, book, shared.store.is_shared(), now)).await
}

fn fit(desk: &FeedDesk, book: &mut FeedBook, shared: bool, now: Timestamp) {
    leave(desk, book, shared, now);
    for feed in desk.feeds.iter().map(|desk| &desk.feed) {
        let unknown = feed.rules.form.is_volatile();
        book.mark_silence(&feed.rules.name, feed.stale_after, unknown, now);
    }
}

fn leave(desk: &FeedDesk, book: &mut FeedBook, shared: bool, now: Timestamp) {
    let names: Vec<&str> = desk.feeds.iter().map(|desk| desk.feed.rules.name.as_str()).collect();
    let left = book.leave(&names, &desk.base, shared, now);
    for line in left {
        tracing::info!(%line, "no feed tells this price any more; the catalogue's own holds again");
    }
}

/// Hears of what other gateways of the same store believe, and has it in force here too.
pub(super) async fn keep_up(shared: Arc<Shared>) {
    let mut changes = shared.feeds.changes.clone();
    loop {
        tokio::select! {
            () = shared.stopping.cancelled() => return,
            changed = changes.changed() => if changed.is_err() { return },
            () = sleep(TIDY_EVERY) => tidy(&shared).await,
        }
        while let Err(error) = hear(&shared).await {
            tracing::warn!(%error, "what other gateways believe of prices could not be read yet");
            tokio::select! {
                () = shared.stopping.cancelled() => return,
                () = sleep(PAUSE) => {}
            }
        }
    }
}

/// Puts in force what the store has.
pub(super) async fn look(shared: &Arc<Shared>) -> Result<(), FeedFault> {
    let _changing = shared.feeds.changing.lock().await;
    read_again(shared).await
}

async fn hear(shared: &Arc<Shared>) -> Result<(), FeedFault> {
    look(shared).await?;
    // Of another catalogue the same book makes another edition, which nobody else has noted.
    let digest = shared.market().catalogue.digest.clone();
    if digest == shared.feeds.base.digest || shared.feeds.book().editions.contains_key(&digest) {
        return Ok(());
    }
    change(shared, false, |_, _, _| ()).await
}

/// Lets go of feeds that others, or this one before it was started without its settings, had and nobody asks any
/// more.
async fn tidy(shared: &Arc<Shared>) {
    let desk = &shared.feeds;
    let book = desk.book();
    let strange = |feed: &String| !desk.feeds.iter().any(|desk| desk.feed.rules.name == *feed);
    if !book.feeds.keys().any(strange) {
        return;
    }
    let tidied = change(shared, false, |shared, book, now| {
        leave(&shared.feeds, book, shared.store.is_shared(), now);
    });
    if let Err(error) = tidied.await {
        tracing::warn!(%error, "what feeds told that are gone could not be let go");
    }
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
