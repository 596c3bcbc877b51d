//! The engine as a whole, in front of the stand-ins of the providers.
//!
//! - `levels`: has PostgreSQL look at every counter at every commit
//! - `house`: brings everything up; `comparison`: the stand-ins' bills against our books
//! - `database`, `redis`: servers that `cargo xtask test` starts, and a Redis that a test may stop
//! - `receiver`: takes webhooks and checks their signatures by itself
//! - `paid`: one picture at each provider, exact to the last digit
//! - `balance`: 1,000 mixed requests with seeded faults and disconnects; the books balance
//! - `feeds`: prices that move under a running gateway
//! - `overspend`: 1,000 concurrent requests against nested budgets, with faults; no limit is ever passed
//! - `behaviour`: failover, limits, caps, repetition, streams, overruns

mod balance;
mod behaviour;
mod comparison;
mod database;
mod feeds;
mod house;
mod levels;
mod overspend;
mod paid;
mod receiver;
mod redis;
mod shared_feeds;
