//! Pictures on their way: held until their client has them whole, so that one which is cut off can be kept.
//!
//! What is held beyond what is still to be sent is memory that a plain proxy would not need: the part that the
//! client has already. The room for it is bounded. Where it is used up an answer waits for its turn, because
//! whoever reads fast gives its room back within milliseconds; and meanwhile the answers that have been under
//! way longest are put on disk behind their clients' backs: each goes on as it did, and from then on every
//! frame is let go as it is sent. Only where no room comes in time, and for what is larger than all the room
//! there is, a picture is put on disk before its first byte is sent.

use crate::parts::COPY_BYTES_MAX;
use crate::state::AppState;
use gallerist_domain::ImageData;
use gallerist_engine::Answer;
use std::collections::VecDeque;
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

/// How often whoever waits for room looks for an answer that may be put on disk meanwhile.
const TURN: Duration = Duration::from_millis(20);
/// An answer that has been under way for longer is one of a slow client.
const SLOW: Duration = Duration::from_millis(50);
/// How long an answer waits for room; then it goes to the disk itself.
const WAIT_MAX: Duration = Duration::from_secs(1);
/// Answers that are put on disk behind their clients' backs at once: each is decoded whole for that.
const SPILLS_MAX: usize = 2;

/// The room for pictures on their way.
pub(crate) struct Retention {
    /// In KiB.
    room: Arc<Semaphore>,
    kibibytes: u32,
    spills: Arc<Semaphore>,
    /// The oldest first; those that are over are taken out when the next one comes.
    held: Mutex<VecDeque<Weak<Slot>>>,
}

struct Slot {
    since: Instant,
    /// Empty when its client has it whole, or the disk.
    held: Mutex<Option<Held>>,
}

struct Held {
    answer: Answer,
    /// Whether it is being put on disk.
    spilling: bool,
    _room: OwnedSemaphorePermit,
}

impl Slot {
    fn held(&self) -> MutexGuard<'_, Option<Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// An answer that is being sent. Dropped before [`Retained::delivered`], its client has gone: the engine is
/// told, and keeps the pictures if they are not on disk already.
pub(crate) struct Retained {
    state: AppState,
    /// Absent where the pictures were on disk before the first byte.
    slot: Option<Arc<Slot>>,
    delivered: bool,
}

impl Retained {
    /// Its last frame was handed to the connection.
    pub(crate) fn delivered(&mut self) {
        self.delivered = true;
        self.slot = None;
    }
}

impl Drop for Retained {
    fn drop(&mut self) {
        if self.delivered {
            return;
        }
        let held = self.slot.take().and_then(|slot| slot.held().take_if(|held| !held.spilling));
        match held {
            Some(held) => keep_undelivered(&self.state, held.answer),
            None => self.state.metrics().undelivered(),
        }
    }
}

/// Tells the engine that nobody took these pictures.
pub(crate) fn keep_undelivered(state: &AppState, answer: Answer) {
    state.metrics().undelivered();
    // While the process ends there may be no runtime left to keep anything with.
    if tokio::runtime::Handle::try_current().is_ok() {
        state.engine().undelivered(answer);
    }
}

/// An answer that waits for its room; when the waiting is dropped, its client has gone.
struct Waiting<'a> {
    state: &'a AppState,
    answer: Option<Answer>,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        if let Some(answer) = self.answer.take() {
            keep_undelivered(self.state, answer);
        }
    }
}

impl Retention {
    /// With room for this many bytes over all answers.
    pub(crate) fn new(bytes_max: usize) -> Retention {
        let kibibytes = (bytes_max >> 10).min(Semaphore::MAX_PERMITS);
        Retention {
            room: Arc::new(Semaphore::new(kibibytes)),
            kibibytes: u32::try_from(kibibytes).unwrap_or(u32::MAX),
            spills: Arc::new(Semaphore::new(SPILLS_MAX)),
            held: Mutex::default(),
        }
    }

    /// Takes in an answer that is about to be sent; waits for its turn where others are under way.
    pub(crate) async fn take(&self, state: &AppState, answer: Answer) -> Retained {
        let mut waiting = Waiting { state, answer: None };
        let room = match self.at_once(&answer) {
            Ok(room) => Some(room),
            Err(kibibytes) if kibibytes <= self.kibibytes => {
                waiting.answer = Some(answer.clone());
                self.in_turn(state, kibibytes).await
            }
            Err(_) => None,
        };
        waiting.answer = None;
        let slot = match room {
            Some(room) => Some(self.hold(answer, room)),
            None => {
                let request = answer.meta.request_id;
                // A caller that stops waiting stops nothing here.
                if !state.engine().keep(answer).await {
                    // It is paid, so it is sent all the same; the engine has told why it could not be kept.
                    tracing::warn!(%request, "an answer is sent that is lost when its client leaves before its end");
                }
                None
            }
        };
        Retained { state: state.clone(), slot, delivered: false }
    }

    /// Room without waiting, or the KiB that are asked for.
    fn at_once(&self, answer: &Answer) -> Result<OwnedSemaphorePermit, u32> {
        let bytes = answer.images.iter().map(|image| match &image.data {
            ImageData::Base64(held) | ImageData::Bytes(held) => held.len(),
            ImageData::Url(_) => 0,
        });
        let kibibytes = u32::try_from(bytes.sum::<usize>() >> 10).unwrap_or(u32::MAX);
        Arc::clone(&self.room).try_acquire_many_owned(kibibytes).map_err(|_| kibibytes)
    }

    /// Waits in the queue for room, and makes some where it does not come by itself.
    async fn in_turn(&self, state: &AppState, kibibytes: u32) -> Option<OwnedSemaphorePermit> {
        let give_up_at = Instant::now() + WAIT_MAX;
        let mut room = pin!(Arc::clone(&self.room).acquire_many_owned(kibibytes));
        while Instant::now() < give_up_at {
            match timeout(TURN, &mut room).await {
                Ok(room) => return room.ok(),
                Err(_) => self.spill_slowest(state),
            }
        }
        None
    }

    fn hold(&self, answer: Answer, room: OwnedSemaphorePermit) -> Arc<Slot> {
        let kibibytes = room.num_permits();
        let held = Held { answer, spilling: false, _room: room };
        let slot = Arc::new(Slot { since: Instant::now(), held: Mutex::new(Some(held)) });
        // What is over within one frame gives its room back at once, and nobody needs to find it.
        if kibibytes > COPY_BYTES_MAX >> 10 {
            let mut known = self.held.lock().unwrap_or_else(PoisonError::into_inner);
            while known.front().is_some_and(|first| first.strong_count() == 0) {
                known.pop_front();
            }
            known.push_back(Arc::downgrade(&slot));
        }
        slot
    }

    /// Puts the answer that has been under way longest on disk, in the background, if it is a slow one.
    fn spill_slowest(&self, state: &AppState) {
        let Ok(place) = Arc::clone(&self.spills).try_acquire_owned() else { return };
        let mut known = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|slot| slot.strong_count() > 0);
        let slow = known.iter().filter_map(Weak::upgrade).find_map(|slot| {
            let answer = match slot.held().as_mut() {
                Some(held) if !held.spilling && slot.since.elapsed() >= SLOW => {
                    held.spilling = true;
                    held.answer.clone()
                }
                _ => return None,
            };
            Some((slot, answer))
        });
        drop(known);
        let Some((slot, answer)) = slow else { return };
        let engine = state.engine().clone();
        // It may end with the runtime: the engine's own task keeps the pictures.
        tokio::spawn(async move {
            engine.keep(answer).await;
            // Where the disk refused, the engine has told why, and holding on would stop everybody else.
            slot.held().take();
            drop(place);
        });
    }
}

#[cfg(test)]
mod tests;
