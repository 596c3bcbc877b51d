//! The suite on PostgreSQL, each test in a database of its own, and what replicas promise.
//!
//! `GALLERIST_TEST_POSTGRES_URL` names a database of a server on which databases may be made; `cargo xtask
//! test` starts one. Without it the suite says so and runs on SQLite once more.

#[path = "broken.rs"]
mod broken;
#[path = "budgets.rs"]
mod budgets;
#[path = "credits.rs"]
mod credits;
#[path = "doubtful.rs"]
mod doubtful;
#[path = "earlier.rs"]
mod earlier;
#[path = "ledger.rs"]
mod ledger;
#[path = "migrating.rs"]
mod migrating;
#[path = "model.rs"]
mod model;
#[path = "reading.rs"]
mod reading;
#[path = "reconciliations.rs"]
mod reconciliations;
#[path = "replicas.rs"]
mod replicas;
#[path = "rollups.rs"]
mod rollups;
#[path = "support.rs"]
mod support;
#[path = "tenants.rs"]
mod tenants;
#[path = "webhooks.rs"]
mod webhooks;

use std::path::Path;
use tokio_postgres::NoTls;

use super::sqlite;
use crate::StoreUrl;

/// How many times fewer cases a property has here: each makes a database.
const CASES_FEWER: u32 = 4;

pub const REFUSE_ENDS: &str = "
    CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN RAISE EXCEPTION USING ERRCODE = 'disk_full'; END $$;
    CREATE TRIGGER full_disk BEFORE UPDATE ON attempts FOR EACH ROW EXECUTE FUNCTION full_disk()";
pub const TAKE_ENDS_AGAIN: &str = "DROP TRIGGER full_disk ON attempts";

const URL: &str = "GALLERIST_TEST_POSTGRES_URL";

/// A database of its own; without a server, a file.
pub enum Engine {
    Database { server: String, name: String },
    Skipped(sqlite::Engine),
}

impl Engine {
    pub fn new(folder: &Path) -> Engine {
        let Ok(server) = std::env::var(URL) else {
            eprintln!("skipped on PostgreSQL, because {URL} is not set; run on SQLite instead");
            return Engine::Skipped(sqlite::Engine::new(folder));
        };
        let name = format!("test_{}", uuid::Uuid::now_v7().simple());
        run(&server, &format!("CREATE DATABASE {name}"));
        Engine::Database { server, name }
    }

    fn text(server: &str, name: &str) -> String {
        let (before, _) = server.rsplit_once('/').expect("an address names a database");
        format!("{before}/{name}")
    }

    pub fn url(&self) -> Option<StoreUrl> {
        match self {
            Engine::Database { server, name } => Some(Engine::text(server, name).parse().unwrap()),
            Engine::Skipped(_) => None,
        }
    }

    /// Ends all sessions and refuses new ones, or takes them again: stands for a server that is away.
    pub fn allow_sessions(&self, allowed: bool) {
        if let Engine::Database { server, name } = self {
            run(server, &format!("ALTER DATABASE {name} ALLOW_CONNECTIONS {allowed}"));
            let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname";
            run(server, &format!("{end} = '{name}'"));
        }
    }

    /// Changes the database behind the store's back.
    pub fn run(&self, statements: &str) {
        match self {
            Engine::Database { server, name } => run(&Engine::text(server, name), statements),
            Engine::Skipped(file) => file.run(match statements {
                REFUSE_ENDS => sqlite::REFUSE_ENDS,
                TAKE_ENDS_AGAIN => sqlite::TAKE_ENDS_AGAIN,
                other => other,
            }),
        }
    }
}

impl Drop for Engine {
    fn drop(&mut self) {
        if let Engine::Database { server, name } = self {
            run(server, &format!("DROP DATABASE {name} WITH (FORCE)"));
        }
    }
}

/// On a thread of its own, because a test may be a task.
fn run(url: &str, statements: &str) {
    let running = || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let (client, connection) = tokio_postgres::connect(url, NoTls).await.unwrap();
            tokio::spawn(connection);
            client.batch_execute(statements).await.unwrap();
        });
    };
    std::thread::scope(|scope| scope.spawn(running).join()).unwrap();
}

#[tokio::test]
async fn a_server_without_room_is_told_from_the_commit_that_fails_until_there_is_some() {
    use support::*;
    let store = store();
    if std::env::var(URL).is_err() {
        return;
    }
    let (request, attempt) = reserved(&store, &gallerist_domain::ProjectId::default_project(), 100).await;
    store.refuse_ends();
    let end = || conclusion(request, vec![(attempt, settled(5, 1))], None);
    assert!(!store.is_full());
    let failed = store.conclude(end()).await.unwrap_err();
    assert!(failed.is_of_a_full_disk() && store.is_full(), "{failed:?}");
    store.filled().await;
    store.take_ends_again();
    store.conclude(end()).await.unwrap();
    store.try_room().await.unwrap();
    store.try_room().await.unwrap();
    assert!(!store.is_full());
    check_books(&store).await;
}
