//! The engine as a whole, in front of the stand-ins of the providers.
//!
//! - `house`: brings everything up; `comparison`: the stand-ins' bills against our books
//! - `receiver`: takes webhooks and checks their signatures by itself
//! - `paid`: one picture at each provider, exact to the last digit
//! - `balance`: 1,000 mixed requests with seeded faults and disconnects; the books balance
//! - `behaviour`: failover, limits, caps, repetition, streams, overruns

mod balance;
mod behaviour;
mod comparison;
mod house;
mod paid;
mod receiver;
