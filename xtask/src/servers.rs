//! The private servers that tests need: PostgreSQL, and Valkey or Redis.

use crate::postgres::{self, Disk, Postgres};
use crate::redis::{self, Redis};
use std::process::Command;

/// Those that run; they end when this is dropped.
pub struct Servers {
    postgres: Option<Postgres>,
    redis: Option<Redis>,
}

impl Servers {
    /// Starts all of them. What cannot be started is told by `missing`: its tests will be skipped.
    pub fn start(mut missing: impl FnMut(String)) -> Servers {
        let postgres =
            Postgres::start(Disk::Ignored).map_err(|error| missing(format!("PostgreSQL tests: {error:#}")));
        let redis = Redis::start().map_err(|error| missing(format!("Redis tests: {error:#}")));
        Servers { postgres: postgres.ok(), redis: redis.ok() }
    }

    /// Tells the tests of a command where they are.
    pub fn tell<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        if let Some(server) = &self.postgres {
            command.env(postgres::TEST_URL, server.url());
        }
        if let Some(server) = &self.redis {
            command.env(redis::TEST_URL, server.url());
        }
        command
    }
}
