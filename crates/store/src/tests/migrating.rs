//! An older database is brought up to date while others write.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use super::support::*;
use crate::*;

/// Requests and attempts that nobody made, from a number on.
fn history(from: u32, to: u32) -> String {
    format!(
        "SET gallerist.replica = '1';
        INSERT INTO requests (number, id, project, created_at, finished_at, model, operation, n, status, fingerprint,
                plan_json)
            SELECT n, decode(lpad(to_hex(n), 32, '0'), 'hex'), 1, n, n, 'auto', 'generate', 1, 'succeeded',
                decode(repeat('00', 32), 'hex'), '' FROM generate_series({from}, {to}) n;
        INSERT INTO attempts (row, id, request, number, offer, provider, model, status, reserved_ticks, created_at,
                ended_at, catalogue_digest)
            SELECT n, decode(lpad(to_hex(n), 32, '0'), 'hex'), n, 1, 'a/b', 'a', 'b', 'released', 1, n, n, ''
            FROM generate_series({from}, {to}) n"
    )
}

/// Writes one row after the other, as the groups of a replica do, until it is told to stop; how many there were, and
/// the longest that one of them took.
fn write_on(
    url: StoreUrl,
    from: u32,
    stopping: &Arc<AtomicBool>,
) -> std::thread::JoinHandle<(u32, Duration)> {
    let stopping = Arc::clone(stopping);
    std::thread::spawn(move || {
        let (mut count, mut longest) = (0, Duration::ZERO);
        let session = postgres::TestSession::open(&url);
        while !stopping.load(Ordering::Relaxed) {
            let begun = Instant::now();
            let lock = postgres::WRITERS_LOCK;
            let row = history(from + count, from + count);
            session.run(&format!("BEGIN; SELECT pg_advisory_xact_lock({lock}); {row}; COMMIT"));
            longest = longest.max(begun.elapsed());
            count += 1;
        }
        (count, longest)
    })
}

const VALID: &str = "DO $$ BEGIN IF NOT (SELECT indisvalid FROM pg_index
    WHERE indexrelid = 'attempts_created'::regclass) THEN RAISE 'it is not valid'; END IF; END $$";

#[test]
fn an_older_database_gets_its_tables_and_indexes_while_others_pay() {
    let place = place();
    let Some(url) = place.engine.url() else { return };
    postgres::bring_to(&url, 7, &[]);
    // As a database of that version has it, after a while.
    place.engine.run("DROP INDEX attempts_created");
    place.engine.run(&history(1, 150_000));
    let stopping = Arc::new(AtomicBool::new(false));
    let writing = write_on(url, 1_000_000, &stopping);
    std::thread::sleep(Duration::from_millis(200));
    let begun = Instant::now();
    let folders: [_; 2] = std::array::from_fn(|_| tempfile::tempdir().unwrap());
    let open = |data_dir: &std::path::Path| {
        Store::open(StoreOptions { data_dir: data_dir.to_owned(), ..place.options() }).unwrap()
    };
    // Two at once: one of them migrates.
    let stores: Vec<Store> = std::thread::scope(|scope| {
        let opening = folders.iter().map(|folder| scope.spawn(|| open(folder.path())));
        opening.collect::<Vec<_>>().into_iter().map(|store| store.join().unwrap()).collect()
    });
    let took = begun.elapsed();
    stopping.store(true, Ordering::Relaxed);
    let (count, longest) = writing.join().unwrap();
    eprintln!("it took {took:?}; {count} were written meanwhile, the slowest in {longest:?}");
    assert!(longest < Duration::from_secs(1), "{longest:?} of {took:?}");
    assert!(count > 20, "{count} in {took:?}");
    drop(stores);
    // Whoever did not build it does not wait for it; the next start finds it.
    drop(place.open());
    place.engine.run(VALID);
}

#[test]
fn an_index_whose_building_broke_off_is_made_again() {
    let place = place();
    if place.engine.url().is_none() {
        return;
    }
    drop(place.open());
    place.engine.run(VALID);
    place
        .engine
        .run("UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'attempts_created'::regclass");
    drop(place.open());
    place.engine.run(VALID);
    place.engine.run("DROP INDEX attempts_created");
    drop(place.open());
    place.engine.run(VALID);
}

#[test]
fn a_migration_that_waits_for_a_table_lets_payments_pass() {
    let place = place();
    let Some(url) = place.engine.url() else { return };
    drop(place.open());
    let stopping = Arc::new(AtomicBool::new(false));
    let writing = write_on(url.clone(), 1_000_000, &stopping);
    // Somebody reads for long, and so has the table that is to be changed.
    let reader = postgres::TestSession::open(&url);
    reader.run("BEGIN; SELECT count(*) FROM attempts");
    let begun = Instant::now();
    let migrating = std::thread::spawn({
        let url = url.clone();
        move || postgres::bring_to(&url, usize::MAX, &["ALTER TABLE attempts ADD COLUMN tested BIGINT"])
    });
    std::thread::sleep(Duration::from_secs(4));
    assert!(!migrating.is_finished(), "the table is read");
    reader.run("COMMIT");
    migrating.join().unwrap();
    let took = begun.elapsed();
    stopping.store(true, Ordering::Relaxed);
    let (count, longest) = writing.join().unwrap();
    assert!(longest < Duration::from_millis(1_500), "{longest:?} of {took:?}");
    assert!(count > 20, "{count} in {took:?}");
    place.engine.run("SELECT tested FROM attempts");
}

/// Fails unless just these attempts are known as open, and just their requests as running.
fn open_are(numbers: &str) -> String {
    format!(
        "DO $$ BEGIN IF (SELECT coalesce(array_agg(attempt ORDER BY attempt), '{{}}') FROM open_attempts)
                <> '{{{numbers}}}'::BIGINT[]
            OR (SELECT coalesce(array_agg(request ORDER BY request), '{{}}') FROM running_requests)
                <> '{{{numbers}}}'::BIGINT[] THEN RAISE 'others are open'; END IF; END $$"
    )
}

#[test]
fn what_is_open_is_known_from_before_the_migration_and_from_programs_that_know_nothing_of_it() {
    const REOPENED: &str = "SET gallerist.replica = '1';
        UPDATE attempts SET status = 'reserved', ended_at = NULL WHERE row = 2;
        UPDATE requests SET status = 'running', finished_at = NULL WHERE number = 2";
    const BEGUN: &str = "SET gallerist.replica = '1';
        INSERT INTO requests (number, id, project, created_at, model, operation, n, status, fingerprint, plan_json)
            SELECT n, decode(lpad(to_hex(n), 32, '0'), 'hex'), 1, n, 'auto', 'generate', 1, 'running',
                decode(repeat('00', 32), 'hex'), '' FROM generate_series(8, 9) n;
        INSERT INTO attempts (row, id, request, number, offer, provider, model, status, reserved_ticks, created_at,
                catalogue_digest)
            SELECT n, decode(lpad(to_hex(n), 32, '0'), 'hex'), n, 1, 'a/b', 'a', 'b', 'reserved', 1, n, ''
            FROM generate_series(8, 9) n";
    const ENDED: &str = "UPDATE attempts SET status = 'released', ended_at = 1 WHERE row IN (2, 8);
        UPDATE requests SET status = 'failed', finished_at = 1 WHERE number IN (2, 8)";
    let place = place();
    let Some(url) = place.engine.url() else { return };
    postgres::bring_to(&url, 12, &[]);
    place.engine.run(&history(1, 3));
    place.engine.run(REOPENED);
    drop(place.open());
    place.engine.run(&open_are("2"));
    place.engine.run(BEGUN);
    place.engine.run(&open_are("2,8,9"));
    // Who disputes does not end it.
    place.engine.run("UPDATE attempts SET status = 'disputed', ended_at = 1 WHERE row = 9");
    place.engine.run(ENDED);
    place.engine.run(&open_are("9"));
}
