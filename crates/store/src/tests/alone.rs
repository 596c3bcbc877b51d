//! Who commits on SQLite: a caller that finds nothing ahead of it, or the writer's thread.

use gallerist_domain::ProjectId;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use super::support::*;
use crate::*;

/// The thread that ran a command.
async fn thread_of_a_command(store: &Store) -> String {
    store.write(|_| Ok(std::thread::current().name().unwrap_or_default().to_owned())).await.unwrap()
}

fn file_store() -> (tempfile::TempDir, Store) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(StoreOptions::new(folder.path(), at(0))).unwrap();
    (folder, store)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_caller_alone_commits_itself_and_takes_along_what_lay_aside() {
    let (_folder, store) = file_store();
    assert_ne!(thread_of_a_command(&store).await, "gallerist-writer");
    let (request, attempt) = reserved(&store, &ProjectId::default_project(), 100).await;
    let end = conclusion(request, vec![(attempt, settled(5, 1))], Some(finish(RequestStatus::Succeeded)));
    store.conclude_later(end, |_, error| panic!("{error}"));
    // Nothing of it may be missing for whoever writes next, although nobody waited for it.
    let status = store
        .write(|writing| {
            writing.connection.query_row("SELECT status FROM attempts", &[], |row| row.get::<String>(0))
        })
        .await;
    assert_eq!(status.unwrap(), "settled");
    check_books(&store).await;
}

#[tokio::test]
async fn a_thread_that_drives_everything_is_not_kept_waiting_by_the_disk() {
    let (_folder, store) = file_store();
    assert_eq!(thread_of_a_command(&store).await, "gallerist-writer");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_comes_while_somebody_commits_is_committed_after_it() {
    let (_folder, store) = file_store();
    let (entered, leave) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicBool::new(false)));
    let slow = tokio::spawn({
        let (store, entered, leave) = (store.clone(), Arc::clone(&entered), Arc::clone(&leave));
        async move {
            let work = move |_: &mut crate::writer::Writing<'_>| {
                entered.store(true, Ordering::SeqCst);
                while !leave.load(Ordering::SeqCst) {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Ok(())
            };
            store.write(work).await
        }
    });
    while !entered.load(Ordering::SeqCst) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let behind: Vec<_> = (0..20)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move { thread_of_a_command(&store).await })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert!(behind.iter().all(|one| !one.is_finished()), "somebody overtook a commit");
    leave.store(true, Ordering::SeqCst);
    slow.await.unwrap().unwrap();
    for one in behind {
        assert_eq!(one.await.unwrap(), "gallerist-writer");
    }
    assert_ne!(thread_of_a_command(&store).await, "gallerist-writer", "nothing is ahead any more");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_closed_store_takes_nothing_and_lets_its_folder_go_while_handles_live() {
    let (folder, store) = file_store();
    let other = store.clone();
    store.close().await.unwrap();
    assert!(matches!(other.flush().await, Err(StoreError::Closed)));
    let second = Store::open(StoreOptions::new(folder.path(), at(0))).unwrap();
    second.flush().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_that_panics_closes_the_store() {
    let (_folder, store) = file_store();
    let bad = store.clone();
    let panicked = tokio::spawn(async move { bad.write::<()>(|_| panic!("on purpose")).await }).await;
    assert!(panicked.is_err());
    assert!(matches!(store.flush().await, Err(StoreError::Closed)), "nobody knows what the engine holds");
}
