//! Usage over a year of ten million requests: how long the queries take, rolled up and raw.
//!
//! The rows are synthetic and written by SQL, a month a transaction, into a folder that is deleted afterwards;
//! everything else is the public surface. `GALLERIST_BENCH_REQUESTS` sets another number;
//! `GALLERIST_BENCH_FOLDER` keeps the rows in a folder, to be used again.

use gallerist_domain::ProjectId;
use gallerist_store::*;
use jiff::Timestamp;
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

const REQUESTS: u64 = 10_000_000;
const DAYS: u64 = 365;
/// 2025-11-28.
const FIRST_DAY: u64 = 20_420;
const DAY_US: u64 = 86_400_000_000;
const ROUNDS: usize = 5;

fn main() {
    let requests = std::env::var("GALLERIST_BENCH_REQUESTS").ok().and_then(|text| text.parse().ok());
    let requests: u64 = requests.unwrap_or(REQUESTS);
    let temporary =
        tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("the target folder takes a folder");
    let kept = std::env::var_os("GALLERIST_BENCH_FOLDER").map(std::path::PathBuf::from);
    let dir = kept.as_deref().unwrap_or(temporary.path());
    let end = instant(FIRST_DAY + DAYS, 2 * 3_600_000_000);
    let open = || Store::open(StoreOptions::new(dir, end)).expect("the store opens");
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a run-time");
    if !dir.join("gallerist.sqlite").exists() {
        make(&runtime, open(), dir, requests, end);
    }
    let bytes = std::fs::metadata(dir.join("gallerist.sqlite")).map_or(0, |file| file.len());
    println!("the database has {} MiB", bytes >> 20);
    measure(&runtime, &open(), end);
}

fn make(runtime: &Runtime, store: Store, dir: &std::path::Path, requests: u64, end: Timestamp) {
    // Another four projects beside the default one.
    for name in ["search", "shop", "studio", "support"] {
        let project: ProjectId = name.parse().expect("a name");
        runtime.block_on(store.create_project(project, None, end)).expect("it is new");
    }
    drop(store);
    let start = Instant::now();
    fill(dir, requests);
    println!("{requests} requests written in {:.0?}", start.elapsed());
}

fn measure(runtime: &Runtime, store: &Store, end: Timestamp) {
    let whole = |group_by: &str| UsageQuery { group_by: keys(group_by), ..UsageQuery::default() };
    let start = Instant::now();
    let raw = runtime.block_on(store.usage(whole("provider,model"))).expect("it can be read");
    println!("raw, provider and model over the year: {:.1?}", start.elapsed());
    let start = Instant::now();
    let days = runtime.block_on(store.roll_up(end)).expect("it can be rolled up");
    println!("{days} days rolled up in {:.1?}, {:.0?} a day", start.elapsed(), start.elapsed() / days.max(1));
    let rolled = runtime.block_on(store.usage(whole("provider,model"))).expect("it can be read");
    assert_eq!(raw, rolled, "a roll-up is exactly the raw rows");
    queries(runtime, store);
}

fn instant(day: u64, microseconds: u64) -> Timestamp {
    let at = i64::try_from(day * DAY_US + microseconds).expect("it is in this century");
    Timestamp::from_microsecond(at).expect("it is in this century")
}

fn keys(words: &str) -> Vec<UsageKey> {
    words
        .split(',')
        .filter(|word| !word.is_empty())
        .map(|word| UsageKey::from_word(word).expect("a known word"))
        .collect()
}

/// Five projects, fifty keys, two hundred end users, twenty teams, four providers with three models each;
/// every tenth request failed over, every fiftieth attempt cost something and delivered nothing.
fn fill(dir: &std::path::Path, requests: u64) {
    let connection = rusqlite::Connection::open(dir.join("gallerist.sqlite")).expect("it opens");
    connection
        .execute_batch("PRAGMA synchronous = OFF; PRAGMA journal_mode = WAL; PRAGMA cache_size = -262144")
        .expect("plain settings");
    let step = requests / 12 + 1;
    for month in 0..12 {
        let (from, to) = (month * step, requests.min((month + 1) * step));
        let sql = format!(
            "BEGIN;
            WITH RECURSIVE n(i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {to})
            INSERT INTO requests (number, id, project, key_id, created_at, finished_at, model, operation, n, status,
                http_status, fingerprint, images_delivered, list_ticks, saved_ticks, plan_json, end_user, tags_json)
            SELECT i + 1, CAST(printf('%016d', i) AS BLOB), 1 + i % 5, 'key_' || (i % 50), {FIRST_DAY} * {DAY_US} + i * {DAYS} * {DAY_US} / {requests},
                {FIRST_DAY} * {DAY_US} + i * {DAYS} * {DAY_US} / {requests} + 3000000, 'auto',
                CASE i % 10 WHEN 0 THEN 'edit' ELSE 'generate' END, 1, 'succeeded', 200, zeroblob(32), 1,
                400000000, 100000000 - i % 7, '{{}}', 'user-' || (i % 200),
                '{{\"team\":\"t' || (i % 20) || '\"}}' FROM n;
            WITH RECURSIVE n(i) AS (SELECT {from} UNION ALL SELECT i + 1 FROM n WHERE i + 1 < {to})
            INSERT INTO attempts (row, id, request, number, offer, provider, model, status, reserved_ticks, charged_ticks,
                images, created_at, ended_at, basis, catalogue_digest)
            SELECT 2 * i + 2, CAST(printf('%016d', 2 * i + 2) AS BLOB), i + 1, 1 + (i % 10 = 0), 'p' || (i % 4) || '/m' || (i % 12), 'p' || (i % 4),
                'm' || (i % 12), 'settled', 400000000, 300000000 + i % 7, 1,
                {FIRST_DAY} * {DAY_US} + i * {DAYS} * {DAY_US} / {requests},
                {FIRST_DAY} * {DAY_US} + i * {DAYS} * {DAY_US} / {requests} + 3000000,
                CASE i % 3 WHEN 0 THEN 'computed' WHEN 1 THEN 'usage' ELSE 'provider_reported' END, 'digest' FROM n
            UNION ALL
            SELECT 2 * i + 1, CAST(printf('%016d', 2 * i + 1) AS BLOB), i + 1, 1, 'p' || ((i + 1) % 4) || '/m' || ((i + 1) % 12), 'p' || ((i + 1) % 4),
                'm' || ((i + 1) % 12), CASE i % 50 WHEN 0 THEN 'settled' ELSE 'released' END, 400000000,
                CASE i % 50 WHEN 0 THEN 300000000 ELSE 0 END, 0,
                {FIRST_DAY} * {DAY_US} + i * {DAYS} * {DAY_US} / {requests},
                {FIRST_DAY} * {DAY_US} + i * {DAYS} * {DAY_US} / {requests} + 1000000, 'computed', 'digest'
                FROM n WHERE i % 10 = 0;
            COMMIT"
        );
        connection.execute_batch(&sql).expect("the disk has room");
    }
}

fn queries(runtime: &Runtime, store: &Store) {
    let filtered = UsageQuery {
        from: Some(instant(FIRST_DAY + 100, DAY_US / 3)),
        to: Some(instant(FIRST_DAY + 190, DAY_US / 2)),
        provider: Some("p1".to_owned()),
        ..UsageQuery::default()
    };
    let cases = [
        ("totals", "", UsageQuery::default()),
        ("provider, model", "provider,model", UsageQuery::default()),
        ("day", "day", UsageQuery::default()),
        ("project, key, day", "project,key,day", UsageQuery::default()),
        ("operation, provider, model, day", "operation,provider,model,day", UsageQuery::default()),
        ("end user", "user", UsageQuery::default()),
        ("tag:team, provider", "tag:team,provider", UsageQuery::default()),
        ("90 days from midday to midday of one provider, by key", "key", filtered),
    ];
    for (title, words, query) in cases {
        let query = UsageQuery { group_by: keys(words), ..query };
        let mut times: Vec<Duration> = Vec::new();
        let mut rows = 0;
        for _ in 0..ROUNDS {
            let start = Instant::now();
            rows = runtime.block_on(store.usage(query.clone())).expect("it can be read").rows.len();
            times.push(start.elapsed());
        }
        times.sort();
        println!(
            "{title}: {:.1?} at the median, {:.1?} at most, {rows} rows",
            times[ROUNDS / 2],
            times[ROUNDS - 1]
        );
    }
}
