//! The binary from outside, as users and scripts drive it: arguments and environment in; output, files and
//! exit codes out. Nothing here reaches into the code. `support.rs` starts and ends the processes.

#![allow(clippy::unwrap_used, reason = "a test ends where an unwrap does")]

mod agreement;
mod demo;
mod gateway;
mod imports;
mod interrupted;
mod log;
mod mistakes;
mod offline;
mod prices;
mod prompts;
#[path = "../../../engine/tests/whole/redis.rs"]
mod redis;
mod support;
