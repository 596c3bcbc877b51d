//! What several adapters share: reading large answers, building calls, and turning errors into faults.
//!
//! This module owns no protocol of its own. [`held_json`] reads JSON whose pictures stay in the network
//! frames; [`json`] merges options and reads figures from their digits; [`call`] makes addresses,
//! headers and bodies; [`job_address`] says where a key may follow; [`reply`] reads headers, formats and
//! data addresses; [`faults`] gives an error reply its attributes; [`balance`] reads what is left on an account. Nothing here knows a provider's name.
//! Next: `openai` for the plainest use.

pub mod balance;
pub mod call;
pub mod faults;
pub mod held_json;
pub mod job_address;
pub mod json;
pub mod reply;

pub use held_json::{HeldJsonError, HeldText, Skeleton};
pub use json::Figure;
