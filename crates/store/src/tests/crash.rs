//! Closing, crashing, locking and reopening.

use gallerist_domain::{ProjectId, RequestId};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use super::support::*;
use crate::*;

fn open(dir: &Path) -> Store {
    Store::open(StoreOptions::new(dir, at(0))).unwrap()
}

#[tokio::test]
async fn what_was_open_at_a_crash_is_found_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let (request, attempt) = reserved(&store, &ProjectId::default_project(), 100).await;
    store.store_pending(attempt, r#"{"job":"7"}"#.to_owned(), at(1)).await.unwrap();
    let (done, done_attempt) = reserved(&store, &ProjectId::default_project(), 100).await;
    let end = conclusion(done, vec![(done_attempt, settled(5, 1))], Some(finish(RequestStatus::Succeeded)));
    store.conclude(end).await.unwrap();
    drop(store);

    let store = open(dir.path());
    let found = store.open_attempts().await.unwrap();
    assert_eq!(found.len(), 1);
    assert_eq!((found[0].id, found[0].request, found[0].reserved.get()), (attempt, request, 100));
    assert_eq!(found[0].pending_json.as_deref(), Some(r#"{"job":"7"}"#));
    assert_eq!(found[0].call_json.as_deref(), Some(r#"{"prompt":"a tin robot"}"#));
    let unfinished = store.unfinished_requests().await.unwrap();
    assert_eq!(unfinished.len(), 1);
    assert_eq!((unfinished[0].id, unfinished[0].attempts_open), (request, 1));
    let end = conclusion(request, vec![(attempt, disputed())], Some(finish(RequestStatus::Failed)));
    store.conclude(end).await.unwrap();
    assert!(store.open_attempts().await.unwrap().is_empty());
    assert!(store.unfinished_requests().await.unwrap().is_empty());
    check_books(&store).await;
}

#[cfg(unix)]
#[test]
fn nobody_else_can_read_the_store() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir.path().join("data"));
    let mode =
        |name: &str| std::fs::metadata(store.data_dir().join(name)).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode("."), 0o700);
    assert_eq!((mode("gallerist.sqlite"), mode("gallerist.sqlite-wal")), (0o600, 0o600));
}

#[tokio::test]
async fn a_second_open_says_that_the_store_is_locked() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path());
    let second = Store::open(StoreOptions::new(dir.path(), at(0)));
    assert!(matches!(second, Err(StoreError::Locked(_))));
    store.close().await.unwrap();
    store.close().await.unwrap();
    assert!(matches!(store.flush().await, Err(StoreError::Closed)));
    let second = open(dir.path());
    second.flush().await.unwrap();
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path()));
    let connection = rusqlite::Connection::open(sqlite::database_path(dir.path())).unwrap();
    connection.pragma_update(None, "user_version", 999).unwrap();
    drop(connection);
    let refused = Store::open(StoreOptions::new(dir.path(), at(0)));
    assert!(matches!(refused, Err(StoreError::TooNew { found: 999, .. })));
}

const STORM_DIR: &str = "GALLERIST_STORE_TEST_STORM_DIR";

/// Run by [`every_answered_commit_survives_a_kill`] in a process of its own; else it does nothing.
#[test]
fn storm_until_killed() {
    let Ok(dir) = std::env::var(STORM_DIR) else { return };
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    runtime.block_on(async {
        let store = open(Path::new(&dir));
        let mut tasks = tokio::task::JoinSet::new();
        for _ in 0..32 {
            let store = store.clone();
            tasks.spawn(async move {
                loop {
                    let (request, attempt) = reserved(&store, &ProjectId::default_project(), 100).await;
                    say(&format!("held {request}"));
                    let end = vec![(attempt, settled(60, 1))];
                    let finish = Some(finish(RequestStatus::Succeeded));
                    store.conclude(conclusion(request, end, finish)).await.unwrap();
                    say(&format!("settled {request}"));
                }
            });
        }
        tasks.join_next().await;
    });
}

/// One line in one write, past the capture of the test harness.
fn say(line: &str) {
    std::io::stderr().lock().write_all(format!("{line}\n").as_bytes()).unwrap();
}

#[test]
fn every_answered_commit_survives_a_kill() {
    let dir = tempfile::tempdir().unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "tests::sqlite::crash::storm_until_killed", "--nocapture", "--test-threads=1"])
        .env(STORM_DIR, dir.path())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = Vec::new();
    for line in BufReader::new(child.stderr.take().unwrap()).lines() {
        lines.push(line.unwrap());
        if lines.len() == 600 {
            // SIGKILL; what is still in the pipe is read to its end.
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    assert!(lines.len() >= 600, "the storm ended by itself: {lines:?}");

    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = open(dir.path());
        for line in &lines {
            let Some((what, id)) = line.split_once(' ') else { continue };
            // The last line may have been cut off.
            let Ok(id) = id.parse::<RequestId>() else { continue };
            let detail = store.request(id).await.unwrap().expect("an answered reservation is there");
            if what == "settled" {
                assert_eq!(detail.request.status, RequestStatus::Succeeded);
                assert_eq!(detail.attempts[0].status, AttemptStatus::Settled);
            }
        }
        let books = check_books(&store).await;
        assert_eq!(books.open_reservations, store.open_attempts().await.unwrap().len() as u64);
        assert!(books.open_reservations <= 32);
    });
}
