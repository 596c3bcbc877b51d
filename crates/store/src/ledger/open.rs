//! What is open, as this writer has written it: where nobody else writes the database, an end need not look up what
//! its reservation has put there.
//!
//! It holds whole requests only: one that is remembered has exactly these open attempts. Whatever is rolled back takes
//! all of it along, and whoever changes such rows otherwise (a new budget, a deletion) has it forgotten; what is not
//! remembered is looked up.

use gallerist_domain::{AttemptId, RequestId};
use std::collections::HashMap;
use std::sync::Arc;

use super::counters::Share;
use super::found::{FoundAttempt, FoundRequest};
use crate::words::RequestStatus;

/// Requests remembered at most; then it begins anew. More than live at once.
const REQUESTS_MAX: usize = 16_384;

/// The requests that run, with the attempts that are reserved.
#[derive(Default)]
pub(crate) struct Open {
    requests: HashMap<RequestId, OpenRequest>,
}

struct OpenRequest {
    number: i64,
    project: i64,
    created_at: i64,
    attempts: Vec<(AttemptId, Arc<Reserved>)>,
}

/// A reserved attempt with its shares of counters.
pub(super) struct Reserved {
    pub(super) found: FoundAttempt,
    pub(super) shares: Vec<Share>,
}

impl Open {
    /// A request that was just written, without an attempt.
    pub(super) fn begin(&mut self, request: RequestId, (number, project, created_at): (i64, i64, i64)) {
        if self.requests.len() >= REQUESTS_MAX {
            self.requests.clear();
        }
        self.requests.insert(request, OpenRequest { number, project, created_at, attempts: Vec::new() });
    }

    /// An attempt that was just written, of a request that may be remembered.
    pub(super) fn reserve(
        &mut self,
        request: RequestId,
        attempt: AttemptId,
        reserved: impl FnOnce() -> Reserved,
    ) {
        if let Some(open) = self.requests.get_mut(&request) {
            open.attempts.push((attempt, Arc::new(reserved())));
        }
    }

    pub(super) fn request(&self, request: RequestId) -> Option<FoundRequest> {
        self.requests.get(&request).map(|open| FoundRequest {
            number: open.number,
            project: open.project,
            status: RequestStatus::Running,
            open: u32::try_from(open.attempts.len()).expect("a request has few attempts"),
            created_at: open.created_at,
        })
    }

    pub(super) fn attempt(&self, request: RequestId, attempt: AttemptId) -> Option<Arc<Reserved>> {
        let attempts = &self.requests.get(&request)?.attempts;
        attempts.iter().find(|(id, _)| *id == attempt).map(|(_, reserved)| Arc::clone(reserved))
    }

    /// The attempt is reserved no more.
    pub(super) fn end(&mut self, request: RequestId, attempt: AttemptId) {
        if let Some(open) = self.requests.get_mut(&request) {
            open.attempts.retain(|(id, _)| *id != attempt);
        }
    }

    /// The request runs no more.
    pub(super) fn finish(&mut self, request: RequestId) {
        self.requests.remove(&request);
    }

    /// Rows are gone, or other ones.
    pub(crate) fn forget(&mut self) {
        self.requests.clear();
    }
}
