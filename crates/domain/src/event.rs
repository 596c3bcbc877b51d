//! What observers hear: one closed list of events for logs, metrics and later webhooks.
//!
//! Observers receive values and cannot influence the path. No event holds a prompt or a secret.

use crate::fault::FaultKind;
use crate::id::{AttemptId, OfferId, RequestId};
use crate::money::Ticks;

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    RequestAdmitted {
        request: RequestId,
        model: String,
    },
    AttemptStarted {
        request: RequestId,
        attempt: AttemptId,
        offer: OfferId,
        reserved: Ticks,
    },
    AttemptSettled {
        request: RequestId,
        attempt: AttemptId,
        offer: OfferId,
        charged: Ticks,
        latency_ms: u64,
    },
    AttemptReleased {
        request: RequestId,
        attempt: AttemptId,
        offer: OfferId,
        fault: FaultKind,
    },
    AttemptDisputed {
        request: RequestId,
        attempt: AttemptId,
        offer: OfferId,
        held: Ticks,
        fault: FaultKind,
    },
    /// A provider charged more than its published maximum.
    Overrun {
        request: RequestId,
        attempt: AttemptId,
        offer: OfferId,
        overrun: Ticks,
    },
    BreakerOpened {
        offer: OfferId,
        open_ms: u64,
    },
    RequestFinished {
        request: RequestId,
        status: u16,
        charged: Ticks,
        latency_ms: u64,
    },
}
