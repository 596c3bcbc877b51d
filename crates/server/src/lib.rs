//! HTTP in: routes, keys, the wire types, answers, server-sent events, errors, the accept loop.
//!
//! This room turns bytes into a typed request ([`wire`]), asks the engine, and turns what comes back into
//! bytes again, without joining or copying pictures (`parts.rs`, `answer.rs`, `stream.rs`). It alone maps
//! refusals and faults to OpenAI's errors and to problem details (`failure.rs`). It refuses SQL, the
//! providers' protocols and money arithmetic. Start reading at [`serve`] (connections), then `routes.rs`
//! (who answers what) and `routes/images.rs` (the hot path).

pub mod alerts;
pub mod budgets;
pub mod credits;
pub mod keys;
pub mod reconciliation;
pub mod serve;
pub mod state;
pub mod tenants;
pub mod usage;
pub mod wire;

mod amount;
mod answer;
mod auth;
mod failure;
mod intake;
mod metrics;
mod parts;
mod problem;
mod retention;
mod routes;
mod stream;
#[cfg(test)]
mod testing;

/// The basis of a charge that a person read from the provider's bill.
pub const RESOLVED_BY_PERSON: &str = "resolved_by_person";

pub use answer::Details;
pub use keys::{FreshKey, key_digest, new_key, new_secret};
pub use serve::{ServeLimits, serve};
pub use state::{AppSettings, AppState};
pub use wire::{ParameterFault, parse_generation};
