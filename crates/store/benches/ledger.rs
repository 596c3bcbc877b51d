//! How many reserve-and-settle pairs a second the store commits durably, beside the bare engine.
//!
//! `pairs` drives the public commands with 1, 32 and 256 concurrent callers; `bare` writes rows of the same
//! volume with the engine alone, in transactions of as many pairs, on the same file system. Afterwards it
//! prints the processor time of one pair, how long a reservation takes, the time to add up usage and the time to
//! open an empty store, and pairs on PostgreSQL where a server is named. `GALLERIST_BENCH_ONLY=postgres` leaves
//! out everything before that.

use divan::Bencher;
use divan::counter::ItemsCount;
use gallerist_domain::budget::Part;
use gallerist_domain::{
    AttemptId, Budget, BudgetId, BudgetMode, BudgetScope, BudgetUnit, BudgetWindow, OfferId, Operation,
    Payer, ProjectId, RequestId, Ticks,
};
use gallerist_store::*;
use jiff::Timestamp;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::runtime::Runtime;

const PAIRS_PER_CALLER: usize = 4;
/// Bytes of text that a pair writes with its first and its second commit.
const PLAN_BYTES: usize = 800;
const CALL_BYTES: usize = 600;
const CHARGE_BYTES: usize = 500;
const ANSWER_BYTES: usize = 300;

fn main() {
    if std::env::var("GALLERIST_BENCH_ONLY").as_deref() != Ok("postgres") {
        divan::main();
        processor_time();
        opening_time();
    }
    match std::env::var(SERVER) {
        Ok(server) => postgres(&server),
        Err(_) => println!("PostgreSQL: skipped, {SERVER} is not set (`cargo xtask bench` starts a server)"),
    }
}

/// A PostgreSQL server on which databases may be made, and whose commits wait for the disk.
const SERVER: &str = "GALLERIST_TEST_POSTGRES_URL";

fn folder() -> TempDir {
    tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the target folder takes a folder")
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .expect("a run-time starts")
}

fn open(dir: &TempDir) -> Store {
    Store::open(StoreOptions::new(dir.path(), Timestamp::UNIX_EPOCH)).expect("a new store opens")
}

/// Writes a pair; how long its reservation took.
async fn pair(store: &Store) -> Duration {
    let (request, attempt) = (RequestId::generate(), AttemptId::generate());
    let payer =
        Payer { key_id: Some("key_0123456789".to_owned()), ..Payer::of(ProjectId::default_project()) };
    let payer = Arc::new(payer);
    let new_request = NewRequest {
        id: request,
        payer: Arc::clone(&payer),
        accepted_at: Timestamp::UNIX_EPOCH,
        model: "auto".to_owned(),
        operation: Operation::Generate,
        n: 1,
        plan_json: "p".repeat(PLAN_BYTES),
        asked_json: None,
        prompt: None,
        fingerprint: [attempt.uuid().as_bytes()[15]; 32],
        idempotency_key: None,
    };
    let new_attempt = NewAttempt {
        id: attempt,
        number: 1,
        offer: OfferId::new("openai", "gpt-image-1"),
        images: 1,
        maximum: Ticks::new(400_000_000),
        call_json: "c".repeat(CALL_BYTES),
        catalogue_digest: "0123456789abcdef".to_owned(),
    };
    let reservation = Reservation {
        request,
        payer,
        new_request: Some(new_request),
        attempts: vec![new_attempt],
        now: Timestamp::UNIX_EPOCH,
    };
    let start = Instant::now();
    store.reserve(reservation).await.expect("there is room under every cap");
    let reserved = start.elapsed();
    let end = End::Settled {
        charge: Ticks::new(390_000_000),
        basis: "price_list".to_owned(),
        charge_json: "l".repeat(CHARGE_BYTES),
        doubtful: Ticks::ZERO,
        images: 1,
        provider_request_id: Some("req_0123456789abcdef".to_owned()),
        fault_json: None,
    };
    let finish = RequestEnd {
        status: RequestStatus::Succeeded,
        http_status: 200,
        error_code: None,
        answer_json: Some("a".repeat(ANSWER_BYTES)),
        images_delivered: 1,
        list: Some(Ticks::new(400_000_000)),
        saved: Some(Ticks::new(10_000_000)),
        free_idempotency_key: false,
    };
    let ends = vec![AttemptEnd { attempt, end }];
    let conclusion = Conclusion { request, ends, finish: Some(finish), now: Timestamp::UNIX_EPOCH };
    store.conclude(conclusion).await.expect("the attempt is reserved");
    reserved
}

/// How long each reservation took, in order of size.
fn storm(runtime: &Runtime, store: &Store, callers: usize, pairs_per_caller: usize) -> Vec<Duration> {
    let mut times = Vec::with_capacity(callers * pairs_per_caller);
    runtime.block_on(async {
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..callers {
            let store = store.clone();
            tasks.spawn(async move {
                let mut times = Vec::with_capacity(pairs_per_caller);
                for _ in 0..pairs_per_caller {
                    times.push(pair(&store).await);
                }
                times
            });
        }
        while let Some(done) = tasks.join_next().await {
            times.extend(done.expect("no caller panics"));
        }
    });
    times.sort();
    times
}

/// Everything, and one provider: every pair counts in both.
async fn budgets(store: &Store) -> Vec<BudgetId> {
    let mut made = Vec::new();
    let one = BudgetScope { provider: Part::Only("openai".to_owned()), ..BudgetScope::default() };
    for scope in [BudgetScope::default(), one] {
        let budget = Budget {
            id: BudgetId::generate(),
            name: String::new(),
            scope,
            unit: BudgetUnit::Usd,
            // As much as a budget may be: 100 million dollars.
            limit: 1_000_000_000_000_000_000,
            window: BudgetWindow::Forever,
            zone: "UTC".to_owned(),
            mode: BudgetMode::Hard,
            thresholds_percent: vec![50, 80, 100],
            created_at: Timestamp::UNIX_EPOCH,
        };
        made.push(budget.id);
        store.create_budget(budget).await.expect("it is made");
    }
    made
}

#[divan::bench(args = [1, 32, 256], sample_count = 20, sample_size = 1)]
fn pairs(bencher: Bencher<'_, '_>, callers: usize) {
    let (dir, runtime) = (folder(), runtime());
    let store = open(&dir);
    bencher
        .counter(ItemsCount::new(callers * PAIRS_PER_CALLER))
        .bench_local(|| storm(&runtime, &store, callers, PAIRS_PER_CALLER));
}

#[divan::bench(args = [1, 32, 256], sample_count = 20, sample_size = 1)]
fn bare(bencher: Bencher<'_, '_>, group: usize) {
    let dir = folder();
    let connection = rusqlite::Connection::open(dir.path().join("bare.sqlite")).expect("a new file opens");
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA wal_autocheckpoint = 4000;
            CREATE TABLE rows (id INTEGER PRIMARY KEY, text BLOB NOT NULL)",
        )
        .expect("the table is made");
    let commit = |bytes: usize| {
        connection.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
        let mut insert = connection.prepare("INSERT INTO rows (text) VALUES (?1)").expect("it prepares");
        let text = vec![b'x'; bytes];
        for _ in 0..group {
            insert.execute([&text]).expect("the disk has room");
        }
        connection.execute_batch("COMMIT").expect("the disk has room");
    };
    // Beside the texts, some 300 bytes of fixed columns, entries and index rows a commit.
    bencher.counter(ItemsCount::new(group * PAIRS_PER_CALLER)).bench_local(|| {
        for _ in 0..PAIRS_PER_CALLER {
            commit(PLAN_BYTES + CALL_BYTES + 300);
            commit(CHARGE_BYTES + ANSWER_BYTES + 300);
        }
    });
}

/// Pairs a second on PostgreSQL with 1, 32 and 256 callers, by one and by three replicas, beside rows of the
/// same volume written by a bare session in transactions of as many pairs.
fn postgres(server: &str) {
    let runtime = runtime();
    let session = |url: &str| {
        let (client, connection) =
            runtime.block_on(tokio_postgres::connect(url, tokio_postgres::NoTls)).expect("it connects");
        runtime.spawn(connection);
        client
    };
    let name = format!("bench_{}", uuid::Uuid::now_v7().simple());
    let url = format!("{}/{name}", server.rsplit_once('/').expect("an address names a database").0);
    let admin = session(server);
    runtime.block_on(admin.batch_execute(&format!("CREATE DATABASE {name}"))).expect("a database is made");
    let bare = session(&url);
    let make = "CREATE TABLE rows (id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY, text BYTEA NOT NULL);
        ALTER TABLE rows ALTER COLUMN text SET STORAGE EXTERNAL";
    runtime.block_on(bare.batch_execute(make)).expect("the table is made");
    for callers in [1, 32, 256] {
        // As many that what is prepared once, and the first rush of all callers at once, do not count for much.
        let rounds = if callers == 1 { 512 } else { 8_192 / callers };
        let pairs = f64::from(u32::try_from(callers * rounds).expect("it is a small number"));
        let start = Instant::now();
        runtime.block_on(async {
            for _ in 0..rounds {
                bare_commit(&bare, callers, PLAN_BYTES + CALL_BYTES + 300).await;
                bare_commit(&bare, callers, CHARGE_BYTES + ANSWER_BYTES + 300).await;
            }
        });
        print!("PostgreSQL, {callers:>3} callers: bare {:.0} pairs/s", pairs / start.elapsed().as_secs_f64());
        for (replicas, under) in [(1, ""), (3, ""), (1, " under two budgets")] {
            let dirs: Vec<TempDir> = (0..replicas).map(|_| folder()).collect();
            let url: StoreUrl = url.parse().expect("it was made so");
            let stores: Vec<Store> = dirs
                .iter()
                .map(|dir| {
                    let options = StoreOptions::new(dir.path(), Timestamp::UNIX_EPOCH);
                    Store::open(StoreOptions { url: Some(url.clone()), ..options }).expect("it opens")
                })
                .collect();
            let made = if under.is_empty() { Vec::new() } else { runtime.block_on(budgets(&stores[0])) };
            for store in &stores {
                storm(&runtime, store, callers.div_ceil(replicas), 2);
            }
            let start = Instant::now();
            let times: Vec<Duration> = std::thread::scope(|scope| {
                let share = callers.div_ceil(replicas);
                let run = |store| scope.spawn(move || storm(&self::runtime(), store, share, rounds));
                let running: Vec<_> = stores.iter().map(run).collect();
                running.into_iter().flat_map(|one| one.join().expect("no caller panics")).collect()
            });
            let pairs =
                f64::from(u32::try_from(callers.div_ceil(replicas) * replicas * rounds).expect("small"));
            let pairs_a_second = pairs / start.elapsed().as_secs_f64();
            print!(", {replicas} replicas{under} {pairs_a_second:.0} (reserved after {})", shown(times));
            runtime.block_on(async {
                for id in made {
                    stores[0].remove_budget(id, Timestamp::UNIX_EPOCH).await.expect("it was made");
                }
                for store in &stores {
                    store.close().await.expect("it ends");
                }
            });
        }
        println!();
    }
    drop(bare);
    let drop_it = format!("DROP DATABASE {name} WITH (FORCE)");
    runtime.block_on(admin.batch_execute(&drop_it)).expect("the database goes");
}

/// The median and the 99th percentile.
fn shown(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |percent: usize| times[times.len() * percent / 100].as_micros();
    format!("p50 {} µs, p99 {} µs", at(50), at(99))
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

/// Processor time of this process so far; zero where the system does not tell.
fn processor() -> Duration {
    let Ok(text) = std::fs::read_to_string("/proc/self/stat") else { return Duration::ZERO };
    // The fields after the name, which ends with the last bracket: times are the 12th and 13th of them.
    let fields: Vec<&str> = text.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u64>().ok()).unwrap_or(0);
    Duration::from_millis(10 * (ticks(11) + ticks(12)))
}

fn processor_time() {
    let runtime = runtime();
    for callers in [1, 32, 256] {
        let dir = folder();
        let store = open(&dir);
        storm(&runtime, &store, callers, 4);
        let rounds = 12_800 / callers.max(8);
        let (before, start) = (processor(), Instant::now());
        let times = storm(&runtime, &store, callers, rounds);
        let pairs = u32::try_from(callers * rounds).expect("it is a small number");
        let (used, passed) = ((processor() - before) / pairs, start.elapsed() / pairs);
        println!(
            "{callers:>4} callers, {pairs} pairs: {used:?} of processor and {passed:?} of time a pair, reserved after {}",
            shown(times)
        );
        runtime.block_on(budgets(&store));
        let start = Instant::now();
        let times = storm(&runtime, &store, callers, rounds);
        let passed = start.elapsed() / pairs;
        println!(
            "     the same under two budgets: {passed:?} of time a pair, reserved after {}",
            shown(times)
        );
    }
    let dir = folder();
    let store = open(&dir);
    storm(&runtime, &store, 256, 200);
    let start = Instant::now();
    let query = UsageQuery { group_by: vec![UsageKey::Provider, UsageKey::Model], ..UsageQuery::default() };
    let report = runtime.block_on(store.usage(query)).expect("it can be read");
    println!("usage over {} requests: {:?}", report.totals.requests, start.elapsed());
}

fn opening_time() {
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
