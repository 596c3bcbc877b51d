//! PostgreSQL: one gateway and three, beside a bare session that writes rows of the same bytes.

use gallerist_store::*;
use jiff::Timestamp;
use std::time::Duration;
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::pair::{BARE_BYTES, Caps, Settling, storm};
use crate::turns::Turns;
use crate::{folder, runtime};

const TURNS: usize = 6;

pub(crate) fn measure(server: &str) {
    let mut alone = None;
    for callers in crate::callers() {
        let bare = side_by_side(server, callers, alone);
        alone = alone.or((callers == 1).then_some(bare));
    }
}

/// The bare session's rate.
fn side_by_side(server: &str, callers: usize, alone: Option<f64>) -> f64 {
    let runtime = runtime();
    let rounds = if callers == 1 { 256 } else { 4_096 / callers };
    let bare_database = Database::make(&runtime, server);
    let bare_session = bare_database.session(&runtime);
    runtime.block_on(make_rows(&bare_session));
    let open = |replicas, caps| Gateways::open(&runtime, server, replicas, caps);
    let contestants: Vec<(&str, Gateways, Settling)> = Caps::ALL
        .iter()
        .map(|caps| (caps.words(), open(1, *caps), Settling::WithTheNext))
        .chain([
            ("no budget, three gateways", open(3, Caps::None), Settling::WithTheNext),
            ("no budget, at once", open(1, Caps::None), Settling::AtOnce),
        ])
        .collect();
    let mut bare = Turns::new("bare");
    let mut ours: Vec<Turns> = contestants.iter().map(|(name, ..)| Turns::new(*name)).collect();
    for turn in 0..=TURNS {
        let bare_turn = || {
            runtime.block_on(async {
                for bytes in (0..rounds).flat_map(|_| BARE_BYTES) {
                    bare_commit(&bare_session, callers, bytes).await;
                }
            });
            Vec::new()
        };
        // The first turn of each prepares statements and fills memory.
        if turn == 0 {
            bare_turn();
            for (_, gateways, settling) in &contestants {
                gateways.storm(callers, (rounds, *settling));
            }
            continue;
        }
        bare.take(callers * rounds, bare_turn);
        for ((_, gateways, settling), turns) in contestants.iter().zip(&mut ours) {
            let work = || gateways.storm(callers, (rounds, *settling));
            turns.take(gateways.callers(callers) * rounds, work);
        }
    }
    println!("PostgreSQL, {callers} callers:");
    bare.tell(&[]);
    let (none, others) = ours.split_at_mut(1);
    none[0].tell(&[("bare", &bare)]);
    for turns in others {
        turns.tell(&[("bare", &bare), ("no budget", &none[0])]);
    }
    if let Some(alone) = alone {
        println!("  no budget: {:.1} times the bare session with one caller", none[0].rate() / alone);
    }
    drop(bare_session);
    bare_database.remove(&runtime);
    for (_, gateways, _) in contestants {
        gateways.close(&runtime);
    }
    bare.rate()
}

/// Stores of one database, as many gateways have them.
struct Gateways {
    stores: Vec<Store>,
    database: Database,
    _dirs: Vec<TempDir>,
}

impl Gateways {
    fn open(runtime: &Runtime, server: &str, replicas: usize, caps: Caps) -> Gateways {
        let database = Database::make(runtime, server);
        let url: StoreUrl = database.url.parse().expect("it was made so");
        let dirs: Vec<TempDir> = (0..replicas).map(|_| folder()).collect();
        let open = |dir: &TempDir| {
            let options = StoreOptions::new(dir.path(), Timestamp::UNIX_EPOCH);
            Store::open(StoreOptions { url: Some(url.clone()), ..options }).expect("it opens")
        };
        let stores: Vec<Store> = dirs.iter().map(open).collect();
        runtime.block_on(caps.make(&stores[0]));
        Gateways { stores, database, _dirs: dirs }
    }

    /// Callers when they are dealt out evenly.
    fn callers(&self, callers: usize) -> usize {
        callers.div_ceil(self.stores.len()) * self.stores.len()
    }

    fn storm(&self, callers: usize, pairs: (usize, Settling)) -> Vec<Duration> {
        let share = callers.div_ceil(self.stores.len());
        std::thread::scope(|scope| {
            let run = |(place, store)| {
                scope.spawn(move || storm(&runtime(), store, place * share..(place + 1) * share, pairs))
            };
            let running: Vec<_> = self.stores.iter().enumerate().map(run).collect();
            running.into_iter().flat_map(|one| one.join().expect("no caller panics")).collect()
        })
    }

    fn close(self, runtime: &Runtime) {
        for store in &self.stores {
            runtime.block_on(store.close()).expect("it ends");
        }
        drop(self.stores);
        self.database.remove(runtime);
    }
}

/// A database of its own on the server.
struct Database {
    name: String,
    url: String,
    server: String,
}

impl Database {
    fn make(runtime: &Runtime, server: &str) -> Database {
        let name = format!("bench_{}", uuid::Uuid::now_v7().simple());
        let url = format!("{}/{name}", server.rsplit_once('/').expect("an address names a database").0);
        let made = Database { name, url, server: server.to_owned() };
        made.order(runtime, &format!("CREATE DATABASE {}", made.name));
        made
    }

    fn session(&self, runtime: &Runtime) -> tokio_postgres::Client {
        session(runtime, &self.url)
    }

    fn remove(self, runtime: &Runtime) {
        self.order(runtime, &format!("DROP DATABASE {} WITH (FORCE)", self.name));
    }

    fn order(&self, runtime: &Runtime, order: &str) {
        let admin = session(runtime, &self.server);
        runtime.block_on(admin.batch_execute(order)).expect("the server obeys");
    }
}

fn session(runtime: &Runtime, url: &str) -> tokio_postgres::Client {
    let (client, connection) =
        runtime.block_on(tokio_postgres::connect(url, tokio_postgres::NoTls)).expect("it connects");
    runtime.spawn(connection);
    client
}

async fn make_rows(client: &tokio_postgres::Client) {
    let make = "CREATE TABLE rows (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text BYTEA NOT NULL);
        ALTER TABLE rows ALTER COLUMN text SET STORAGE EXTERNAL";
    client.batch_execute(make).await.expect("the table is made");
}

/// One transaction of `group` rows, whose statements do not wait for each other.
async fn bare_commit(client: &tokio_postgres::Client, group: usize, bytes: usize) {
    client.batch_execute("BEGIN").await.expect("a transaction begins");
    let text = vec![b'x'; bytes];
    let insert = client.prepare("INSERT INTO rows (text) VALUES ($1)").await.expect("it prepares");
    let values: [&(dyn tokio_postgres::types::ToSql + Sync); 1] = [&text];
    let rows = (0..group).map(|_| client.execute(&insert, &values));
    for written in futures_util::future::join_all(rows).await {
        written.expect("the disk has room");
    }
    client.batch_execute("COMMIT").await.expect("the disk has room");
}
