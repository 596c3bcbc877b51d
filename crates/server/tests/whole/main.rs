//! The server as a client sees it: a real listener, the engine, the stand-ins, a temporary store.

// A test that cannot go on says so where it stands.
#![allow(clippy::unwrap_used)]

mod alerts;
mod budgets;
mod client;
mod credits;
mod disputes;
mod hostile;
mod house;
mod images;
mod malformed;
#[path = "../../src/wire/tests/mistakes.rs"]
mod mistakes;
mod names;
mod native;
mod reconciliations;
mod repetition;
mod stalled;
mod tenants;
