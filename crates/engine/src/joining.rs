//! The memory of what runs and of what has just finished, so that a repetition can join it.
//!
//! It only remembers: what a request repeats is decided in `repetition.rs`. Several requests of one caller
//! with one body may run at once; each stays known until it ends, whatever becomes of the others. Answers and
//! failures that may have cost something stay for a while in bounded memory; what failed for free is
//! forgotten, so that it hides nothing that was paid.

use crate::answer::Answer;
use crate::refusal::{FailedAttempt, Refusal};
use crate::repetition::JUST_FINISHED;
use gallerist_domain::{ImageData, Metered, Payer, RequestId};
use gallerist_routing::report::ExcludedOffer;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How a request ended.
pub(crate) type Ending = Result<Answer, Refusal>;
/// Where the ending of a running request appears. Whoever waits is woken in the order of asking.
#[derive(Clone, Default)]
pub(crate) struct EndingWatch {
    ending: Arc<OnceLock<Ending>>,
    over: CancellationToken,
}

impl EndingWatch {
    /// Waits for the ending; `None` if the life broke off without one.
    pub(crate) async fn ended(&self) -> Option<Ending> {
        self.over.cancelled().await;
        self.ending.get().cloned()
    }
}

/// Announces the ending of a request; one that is dropped before says that there is none.
pub(crate) struct Announcer(EndingWatch);

impl Announcer {
    pub(crate) fn announce(&self, ending: Ending) {
        // A life has one ending.
        let _ = self.0.ending.set(ending);
        self.0.over.cancel();
    }
}

impl Drop for Announcer {
    fn drop(&mut self) {
        self.0.over.cancel();
    }
}
/// Who asked for what.
pub(crate) type JoinKey = (Arc<Payer>, [u8; 32]);

/// Finished requests that are remembered at most.
const RECENT_MAX: usize = 4_096;

pub(crate) struct Joining {
    book: Mutex<Book>,
    bytes_max: usize,
    recent_for: Duration,
}

#[derive(Default)]
struct Book {
    running: HashMap<RequestId, EndingWatch>,
    /// The running requests of one caller with one body, the oldest first; never an empty list.
    by_key: HashMap<JoinKey, Vec<RequestId>>,
    /// Oldest first.
    recent: VecDeque<Recent>,
    recent_bytes: usize,
}

impl Book {
    fn forget(&mut self, id: RequestId, key: &JoinKey) {
        self.running.remove(&id);
        if let Some(ids) = self.by_key.get_mut(key) {
            ids.retain(|running| *running != id);
            if ids.is_empty() {
                self.by_key.remove(key);
            }
        }
    }
}

struct Recent {
    key: JoinKey,
    ending: Ending,
    bytes: usize,
    at: Instant,
}

/// What a repetition finds.
pub(crate) enum Found {
    Running(EndingWatch),
    /// An answer, or a failure that may have cost something.
    Finished(Box<Ending>),
}

impl Joining {
    pub(crate) fn new(bytes_max: usize) -> Joining {
        Joining { book: Mutex::new(Book::default()), bytes_max, recent_for: JUST_FINISHED.unsigned_abs() }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a request that begins.
    pub(crate) fn begin(&self, id: RequestId, key: JoinKey) -> Announcer {
        let watch = EndingWatch::default();
        let mut book = self.book();
        book.running.insert(id, watch.clone());
        book.by_key.entry(key).or_default().push(id);
        Announcer(watch)
    }

    /// Takes away a request whose life broke off, so that its repetition is not sent to wait for it.
    pub(crate) fn forget(&self, id: RequestId, key: &JoinKey) {
        self.book().forget(id, key);
    }

    /// The request is over. Its ending can be joined for a while if it fits, unless it was free.
    pub(crate) fn end(&self, id: RequestId, key: JoinKey, ending: Ending) {
        let now = Instant::now();
        let mut book = self.book();
        book.forget(id, &key);
        let bytes = size(&ending);
        let free = ending.as_ref().is_err_and(|refusal| !refusal.may_have_charged());
        if !free && bytes <= self.bytes_max {
            book.recent_bytes += bytes;
            book.recent.push_back(Recent { key, ending, bytes, at: now });
        }
        let Book { recent, recent_bytes, .. } = &mut *book;
        let too_much = |recent: &VecDeque<Recent>, bytes: usize| {
            let old = recent.front().is_some_and(|first| now.duration_since(first.at) > self.recent_for);
            old || bytes > self.bytes_max || recent.len() > RECENT_MAX
        };
        while too_much(recent, *recent_bytes) {
            if let Some(first) = recent.pop_front() {
                *recent_bytes -= first.bytes;
            }
        }
    }

    pub(crate) fn running(&self, id: RequestId) -> Option<EndingWatch> {
        self.book().running.get(&id).cloned()
    }

    /// The oldest that runs, else the newest that has just finished, of the same caller with the same body.
    pub(crate) fn find(&self, key: &JoinKey) -> Option<Found> {
        let book = self.book();
        let oldest = book.by_key.get(key).and_then(|ids| ids.first());
        if let Some(watch) = oldest.and_then(|id| book.running.get(id)) {
            return Some(Found::Running(watch.clone()));
        }
        let recent = book.recent.iter().rev().find(|recent| recent.key == *key);
        recent
            .filter(|recent| recent.at.elapsed() <= self.recent_for)
            .map(|recent| Found::Finished(Box::new(recent.ending.clone())))
    }
}

/// Bytes that a remembered ending keeps alive.
fn size(ending: &Ending) -> usize {
    const OVERHEAD: usize = 1_024;
    let held = match ending {
        Ok(answer) => {
            let pictures = answer.images.iter().map(|image| match &image.data {
                ImageData::Base64(chunks) | ImageData::Bytes(chunks) => chunks.len(),
                ImageData::Url(_) => 0,
            });
            pictures.sum()
        }
        Err(refusal) => size_of_refusal(refusal),
    };
    held + OVERHEAD
}

/// Its lists and texts: a plan leaves out hundreds of offers, each with a reason.
fn size_of_refusal(refusal: &Refusal) -> usize {
    let excluded = refusal.excluded.iter().map(|excluded| {
        size_of::<ExcludedOffer>() + excluded.offer.len() + excluded.reason.len() + excluded.change.len()
    });
    let attempts = refusal.attempts.iter().map(|failed| {
        let usage = failed.fault.usage.len() * size_of::<Metered>();
        size_of::<FailedAttempt>() + failed.offer.len() + failed.fault.detail.len() + usage
    });
    refusal.message.len() + excluded.sum::<usize>() + attempts.sum::<usize>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::refusal::RefusalKind;
    use gallerist_domain::{ProjectId, Ticks};

    #[tokio::test]
    async fn a_remembered_refusal_counts_with_all_that_it_holds() {
        let joining = Joining::new(1 << 20);
        let payer = Arc::new(Payer::of(ProjectId::default_project()));
        let excluded = ExcludedOffer {
            offer: "openai/gpt-image-2".to_owned(),
            code: "size",
            reason: "r".repeat(300),
            change: "c".repeat(300),
            distance: None,
        };
        let mut refusal = Refusal::new(RefusalKind::UpstreamFailed, "nobody knows");
        refusal.disputed = Ticks::new(1);
        refusal.excluded = vec![excluded; 200];
        for body in 0..100 {
            let (id, key) = (RequestId::generate(), (Arc::clone(&payer), [body; 32]));
            let _sender = joining.begin(id, key.clone());
            joining.end(id, key, Err(refusal.clone()));
        }
        let book = joining.book();
        let held: usize = book.recent.len() * refusal.excluded.len() * 600;
        assert!(held <= joining.bytes_max, "{} refusals hold {held} bytes", book.recent.len());
        assert!(!book.recent.is_empty());
    }
}
