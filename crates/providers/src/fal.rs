//! Placeholder of the adapter for `fal`.

use crate::{Endpoint, HttpCall, HttpReply, Pending, Provider, Step};
use gallerist_domain::{Fault, FaultKind, ImageCall};

pub struct Fal;

impl Provider for Fal {
    fn kind(&self) -> &'static str {
        "fal"
    }

    fn prepare(&self, _call: &ImageCall, _endpoint: &Endpoint) -> Result<HttpCall, Fault> {
        Err(Fault::new(FaultKind::Unsupported, "not written yet"))
    }

    fn interpret(&self, _call: &ImageCall, _pending: Option<&Pending>, _reply: &HttpReply) -> Step {
        Step::Fault(Fault::new(FaultKind::Unsupported, "not written yet"))
    }
}
