//! The limits of a provider's account: calls at once, and pictures in any minute; and when a waiting call may
//! be expected to start.
//!
//! Pure: time comes in as milliseconds of a monotonic clock. The head of the queue is never passed by a smaller
//! call, so a large one does not starve.

use super::fair::FairQueue;
use gallerist_domain::ProjectId;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap, VecDeque};

const MINUTE_MS: u64 = 60_000;

/// Names a call from its joining to its leaving.
pub(crate) type Ticket = u64;

/// What one account takes, from all replicas together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AccountLimits {
    /// Calls at once, at least 1.
    pub places: u32,
    /// Pictures in any 60 seconds; absent: no limit.
    pub images_per_minute: Option<u32>,
    pub waiting_max: usize,
}

/// Who shares an account.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Party {
    LookUps,
    Project(ProjectId),
}

/// What a call takes of the limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallSize {
    pub images: u32,
    pub expected_ms: u64,
}

/// A place in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Joined {
    pub ticket: Ticket,
    /// Whose place it took, in a full queue.
    pub pushed_out: Option<Ticket>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forecast {
    /// 1 is next.
    pub position: u32,
    pub starts_at_ms: u64,
}

pub(crate) struct Account {
    whole: AccountLimits,
    /// This replica's share of them.
    limits: AccountLimits,
    queue: FairQueue<Party, (Ticket, CallSize)>,
    running: BTreeMap<Ticket, Running>,
    window: Window,
    tickets: Ticket,
}

#[derive(Clone, Copy)]
struct Running {
    since_ms: u64,
    expected_ms: u64,
}

/// Pictures that were started within the last minute: when, and how many.
#[derive(Clone, Default)]
struct Window(VecDeque<(u64, u32)>);

impl Window {
    /// The earliest instant from `now_ms` on at which `images` more fit. More than the limit fit alone.
    fn fits_at(&self, images: u32, limit: Option<u32>, now_ms: u64) -> u64 {
        let (Some(limit), true) = (limit, images > 0) else { return now_ms };
        let mut within: u64 = self.0.iter().map(|(_, started)| u64::from(*started)).sum();
        let mut fits_at_ms = now_ms;
        for (at_ms, started) in &self.0 {
            if at_ms + MINUTE_MS > now_ms {
                if within + u64::from(images) <= u64::from(limit) {
                    break;
                }
                fits_at_ms = at_ms + MINUTE_MS;
            }
            within -= u64::from(*started);
        }
        fits_at_ms
    }

    fn start(&mut self, images: u32, limit: Option<u32>, now_ms: u64) {
        while self.0.front().is_some_and(|(at_ms, _)| at_ms + MINUTE_MS <= now_ms) {
            self.0.pop_front();
        }
        if limit.is_some() && images > 0 {
            self.0.push_back((now_ms, images));
        }
    }
}

impl Account {
    pub(crate) fn new(limits: AccountLimits) -> Account {
        Account {
            whole: limits,
            limits: AccountLimits { places: limits.places.max(1), ..limits },
            queue: FairQueue::new(),
            running: BTreeMap::new(),
            window: Window::default(),
            tickets: 0,
        }
    }

    /// Keeps to a share of the limits from now on; what runs goes on.
    pub(crate) fn keep_to(&mut self, share: impl Fn(u32) -> u32) {
        self.limits.places = share(self.whole.places);
        self.limits.images_per_minute = self.whole.images_per_minute.map(share);
    }

    fn has_place(&self) -> bool {
        self.running.len() < self.limits.places as usize
    }

    /// Takes a call into the queue; `None` if that is full and nobody has more in it than this party.
    pub(crate) fn join(&mut self, party: Party, size: CallSize, now_ms: u64) -> Option<Joined> {
        let fits = || self.window.fits_at(size.images, self.limits.images_per_minute, now_ms) <= now_ms;
        let waits = self.queue.len() > 0 || !self.has_place() || !fits();
        let full = waits && self.queue.len() >= self.limits.waiting_max;
        let pushed_out = match full {
            true => Some(self.queue.push_out_for(&party)?.0),
            false => None,
        };
        self.tickets += 1;
        self.queue.push(party, size.images, (self.tickets, size));
        Some(Joined { ticket: self.tickets, pushed_out })
    }

    /// Starts every call that may start now, in order.
    pub(crate) fn start_due(&mut self, now_ms: u64) -> Vec<Ticket> {
        let mut started = Vec::new();
        while self.has_place() {
            let Some((_, size)) = self.queue.head().copied() else { break };
            let limit = self.limits.images_per_minute;
            if self.window.fits_at(size.images, limit, now_ms) > now_ms {
                break;
            }
            let Some((ticket, CallSize { images, expected_ms })) = self.queue.pop() else { break };
            self.window.start(images, limit, now_ms);
            self.running.insert(ticket, Running { since_ms: now_ms, expected_ms });
            started.push(ticket);
        }
        started
    }

    pub(crate) fn head(&self) -> Option<Ticket> {
        self.queue.head().map(|(ticket, _)| *ticket)
    }

    /// When the first of the queue may start, if a place is free and it waits for the minute alone.
    pub(crate) fn opens_at(&self, now_ms: u64) -> Option<u64> {
        let (_, size) = self.queue.head()?;
        self.has_place().then(|| self.window.fits_at(size.images, self.limits.images_per_minute, now_ms))
    }

    /// Ends a call that runs, or takes one out that waits.
    pub(crate) fn leave(&mut self, ticket: Ticket) {
        if self.running.remove(&ticket).is_none() {
            self.queue.remove(|(waiting, _)| *waiting == ticket);
        }
    }

    /// When a waiting call will start if calls take what they usually do and nobody comes.
    pub(crate) fn forecast(&self, ticket: Ticket, now_ms: u64) -> Option<Forecast> {
        let limit = self.limits.images_per_minute;
        let mut window = self.window.clone();
        // When each place becomes free; one that is overdue may be so at any moment.
        let mut places: BinaryHeap<Reverse<u64>> = self
            .running
            .values()
            .map(|running| Reverse((running.since_ms + running.expected_ms).max(now_ms)))
            .collect();
        places.extend((self.running.len()..self.limits.places as usize).map(|_| Reverse(now_ms)));
        let mut starts_at_ms = now_ms;
        for (place, (waiting, size)) in (1..).zip(self.queue.order()) {
            let Reverse(free_at_ms) = places.pop()?;
            starts_at_ms = window.fits_at(size.images, limit, starts_at_ms.max(free_at_ms));
            if *waiting == ticket {
                return Some(Forecast { position: place, starts_at_ms });
            }
            window.start(size.images, limit, starts_at_ms);
            places.push(Reverse(starts_at_ms.saturating_add(size.expected_ms)));
        }
        None
    }
}

#[cfg(test)]
mod tests;
