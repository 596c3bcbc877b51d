//! SQLite: the store beside the bare engine with the same settings on the same file system.

use gallerist_store::*;
use jiff::Timestamp;
use std::time::{Duration, Instant};
use tempfile::TempDir;

use crate::pair::{BARE_BYTES, Caps, Settling, storm};
use crate::turns::Turns;
use crate::{folder, runtime};

const TURNS: usize = 12;

pub(crate) fn measure() {
    let mut alone = None;
    for callers in crate::callers() {
        let bare = side_by_side(callers, alone);
        alone = alone.or((callers == 1).then_some(bare));
    }
    usage();
    opening();
}

/// The bare engine's rate.
fn side_by_side(callers: usize, alone: Option<f64>) -> f64 {
    let runtime = runtime();
    // As many that one turn passes a checkpoint or two.
    let rounds = (4_096 / callers).min(512);
    let connection = Bare::open();
    let stores: Vec<(TempDir, Store)> = Caps::ALL
        .iter()
        .map(|caps| {
            let dir = folder();
            let store = open(&dir);
            runtime.block_on(caps.make(&store));
            storm(&runtime, &store, 0..callers, (rounds, Settling::WithTheNext));
            (dir, store)
        })
        .collect();
    connection.pairs(callers, rounds);
    let mut bare = Turns::new("bare");
    let mut ours: Vec<Turns> = Caps::ALL.iter().map(|caps| Turns::new(caps.words())).collect();
    let mut at_once = Turns::new("no budget, at once");
    for _ in 0..TURNS {
        bare.take(callers * rounds, || {
            connection.pairs(callers, rounds);
            Vec::new()
        });
        for ((_, store), turns) in stores.iter().zip(&mut ours) {
            let work = || storm(&runtime, store, 0..callers, (rounds, Settling::WithTheNext));
            turns.take(callers * rounds, work);
        }
        let work = || storm(&runtime, &stores[0].1, 0..callers, (rounds, Settling::AtOnce));
        at_once.take(callers * rounds, work);
    }
    println!("SQLite, {callers} callers:");
    bare.tell(&[]);
    let (none, capped) = ours.split_at_mut(1);
    none[0].tell(&[("bare", &bare)]);
    for turns in capped {
        turns.tell(&[("bare", &bare), ("no budget", &none[0])]);
    }
    at_once.tell(&[("bare", &bare)]);
    if let Some(alone) = alone {
        println!("  no budget: {:.1} times the bare engine with one caller", none[0].rate() / alone);
    }
    bare.rate()
}

fn open(dir: &TempDir) -> Store {
    Store::open(StoreOptions::new(dir.path(), Timestamp::UNIX_EPOCH)).expect("a new store opens")
}

/// The engine alone.
struct Bare {
    connection: rusqlite::Connection,
    _dir: TempDir,
}

impl Bare {
    fn open() -> Bare {
        let dir = folder();
        let connection =
            rusqlite::Connection::open(dir.path().join("bare.sqlite")).expect("a new file opens");
        connection
            .execute_batch(
                "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000;
                CREATE TABLE rows (id INTEGER PRIMARY KEY, text BLOB NOT NULL)",
            )
            .expect("the table is made");
        Bare { connection, _dir: dir }
    }

    /// Rows of the bytes of as many pairs, in transactions of `group`.
    fn pairs(&self, group: usize, rounds: usize) {
        for bytes in (0..rounds).flat_map(|_| BARE_BYTES) {
            self.commit(group, &vec![b'x'; bytes]);
        }
    }

    fn commit(&self, group: usize, text: &Vec<u8>) {
        self.connection.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
        let mut insert =
            self.connection.prepare_cached("INSERT INTO rows (text) VALUES (?1)").expect("it prepares");
        for _ in 0..group {
            insert.execute([text]).expect("the disk has room");
        }
        self.connection.execute_batch("COMMIT").expect("the disk has room");
    }
}

fn usage() {
    let (dir, runtime) = (folder(), runtime());
    let store = open(&dir);
    storm(&runtime, &store, 0..256, (200, Settling::WithTheNext));
    let start = Instant::now();
    let query = UsageQuery { group_by: vec![UsageKey::Provider, UsageKey::Model], ..UsageQuery::default() };
    let report = runtime.block_on(store.usage(query)).expect("it can be read");
    println!("usage over {} requests: {:?}", report.totals.requests, start.elapsed());
}

fn opening() {
    let mut times: Vec<Duration> = (0..15)
        .map(|_| {
            let dir = folder();
            let start = Instant::now();
            let store = open(&dir);
            let passed = start.elapsed();
            drop(store);
            passed
        })
        .collect();
    times.sort();
    println!("opening an empty store: {:?} at the median, {:?} at most", times[7], times[14]);
}
