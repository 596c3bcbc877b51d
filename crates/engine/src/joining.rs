//! Repetitions of a request join the running or just finished one, so that nothing is bought twice.
//!
//! Running requests are known by id and by who asked for what. Just finished answers stay for a while in
//! bounded memory; older ones are replayed from the store (`admit.rs`).

use crate::answer::Answer;
use crate::refusal::Refusal;
use crate::request::Caller;
use gallerist_domain::{ImageData, RequestId};
use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;
use tokio::time::{Duration, Instant};

/// How a request ended.
pub(crate) type Ending = Result<Answer, Refusal>;
/// Where the ending of a running request appears.
pub(crate) type EndingWatch = watch::Receiver<Option<Ending>>;
/// Who asked for what.
pub(crate) type JoinKey = (Caller, [u8; 32]);

/// How long a finished request can be joined in memory.
const RECENT_FOR: Duration = Duration::from_secs(600);
/// Finished requests that are remembered at most.
const RECENT_MAX: usize = 4_096;

pub(crate) struct Joining {
    book: Mutex<Book>,
    bytes_max: usize,
}

#[derive(Default)]
struct Book {
    running: HashMap<RequestId, EndingWatch>,
    by_key: HashMap<JoinKey, RequestId>,
    /// Oldest first.
    recent: VecDeque<Recent>,
    recent_bytes: usize,
}

impl Book {
    fn forget(&mut self, id: RequestId, key: &JoinKey) {
        self.running.remove(&id);
        if self.by_key.get(key) == Some(&id) {
            self.by_key.remove(key);
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
    Finished(Box<Ending>),
}

impl Joining {
    pub(crate) fn new(bytes_max: usize) -> Joining {
        Joining { book: Mutex::new(Book::default()), bytes_max }
    }

    fn book(&self) -> MutexGuard<'_, Book> {
        self.book.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Registers a request that begins; the sender announces its ending.
    pub(crate) fn begin(&self, id: RequestId, key: JoinKey) -> watch::Sender<Option<Ending>> {
        let (sender, receiver) = watch::channel(None);
        let mut book = self.book();
        book.running.insert(id, receiver);
        book.by_key.insert(key, id);
        sender
    }

    /// Takes away a request whose life broke off, so that its repetition is not sent to wait for it.
    pub(crate) fn forget(&self, id: RequestId, key: &JoinKey) {
        self.book().forget(id, key);
    }

    /// The request is over. Its ending can be joined for a while if it fits.
    pub(crate) fn end(&self, id: RequestId, key: JoinKey, ending: Ending) {
        let now = Instant::now();
        let mut book = self.book();
        book.forget(id, &key);
        let bytes = size(&ending);
        if bytes <= self.bytes_max {
            book.recent_bytes += bytes;
            book.recent.push_back(Recent { key, ending, bytes, at: now });
        }
        let Book { recent, recent_bytes, .. } = &mut *book;
        let too_much = |recent: &VecDeque<Recent>, bytes: usize| {
            let old = recent.front().is_some_and(|first| now.duration_since(first.at) > RECENT_FOR);
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

    /// The running or just finished request of the same caller with the same body.
    pub(crate) fn find(&self, key: &JoinKey) -> Option<Found> {
        let book = self.book();
        if let Some(watch) = book.by_key.get(key).and_then(|id| book.running.get(id)) {
            return Some(Found::Running(watch.clone()));
        }
        let recent = book.recent.iter().rev().find(|recent| recent.key == *key);
        recent
            .filter(|recent| recent.at.elapsed() <= RECENT_FOR)
            .map(|recent| Found::Finished(Box::new(recent.ending.clone())))
    }
}

/// Bytes that a remembered ending keeps alive.
fn size(ending: &Ending) -> usize {
    const OVERHEAD: usize = 1_024;
    let Ok(answer) = ending else { return OVERHEAD };
    let pictures = answer.images.iter().map(|image| match &image.data {
        ImageData::Base64(chunks) | ImageData::Bytes(chunks) => chunks.len(),
        ImageData::Url(_) => 0,
    });
    pictures.sum::<usize>() + OVERHEAD
}
