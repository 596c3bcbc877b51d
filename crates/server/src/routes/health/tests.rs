use super::*;
use crate::state::AppSettings;
use crate::testing::settings;
use gallerist_engine::{Engine, ProviderSettings};
use gallerist_store::simulation::{Disk, Fate, Ledger, Turn};
use gallerist_store::{Store, StoreError, StoreOptions};
use jiff::Timestamp;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A disk that is full for as long as it is told to be.
#[derive(Default)]
struct Limited(AtomicBool);

impl Disk for Limited {
    fn turn(&self, _commands: usize) -> Turn {
        let fate = if self.0.load(Ordering::SeqCst) { Fate::Full } else { Fate::Kept };
        Turn { fate, before: Duration::ZERO, after: Duration::ZERO }
    }

    fn kept(&self, _ledger: Ledger<'_>) {}

    fn takes_files(&self) -> bool {
        !self.0.load(Ordering::SeqCst)
    }
}

async fn on(disk: &Arc<Limited>, folder: &Path) -> AppState {
    let options = StoreOptions::new(folder, Timestamp::now());
    let openai = ProviderSettings {
        name: "openai".to_owned(),
        kind: "openai".to_owned(),
        region: String::new(),
        base_url: "http://127.0.0.1:1/v1".to_owned(),
        key: "nobody asks with it".into(),
        concurrency_max: None,
        images_per_minute: None,
    };
    let store = Store::open_simulated(options, Arc::clone(disk) as Arc<dyn Disk>).unwrap();
    let settings = settings(store, vec![openai]);
    AppState::new(AppSettings::new(Engine::start(settings).await.unwrap()))
}

/// Why it is not ready, if it is not.
async fn refusal(state: &AppState) -> Option<String> {
    ready(State(state.clone())).await.err().map(|failure| failure.message)
}

async fn write(state: &AppState, name: &str, bytes: usize) -> Result<(), StoreError> {
    state.engine().store().get_or_insert_meta(name, vec![7; bytes]).await.map(drop)
}

#[tokio::test(start_paused = true)]
async fn a_full_disk_is_told_from_the_commit_that_fails_until_there_is_room_again() {
    let (disk, folder) = (Arc::new(Limited::default()), tempfile::tempdir().unwrap());
    let state = on(&disk, folder.path()).await;
    assert_eq!(refusal(&state).await, None);
    disk.0.store(true, Ordering::SeqCst);
    assert_eq!(refusal(&state).await, None, "nobody has needed room");
    let failed = write(&state, "large", 1 << 20).await.unwrap_err();
    assert!(failed.is_of_a_full_disk(), "{failed:?}");
    let why = refusal(&state).await.expect("it is not ready");
    assert!(why.contains("disk below the books is full"), "{why}");
    // What needs no further page succeeds, and says nothing of room.
    write(&state, "small", 10).await.unwrap();
    assert!(refusal(&state).await.is_some());
    tokio::time::sleep(Duration::from_mins(2)).await;
    assert!(refusal(&state).await.is_some(), "it was looked for and not found");
    disk.0.store(false, Ordering::SeqCst);
    tokio::time::sleep(Duration::from_secs(6)).await;
    assert_eq!(refusal(&state).await, None, "nobody asked for anything meanwhile");
    write(&state, "large", 1 << 20).await.unwrap();
    assert!(state.engine().store().books().await.unwrap().mismatches.is_empty());
    state.engine().shut_down(1_000).await;
}

#[tokio::test(start_paused = true)]
async fn another_failure_of_the_disk_is_no_full_one() {
    struct Failing;
    impl Disk for Failing {
        fn turn(&self, _commands: usize) -> Turn {
            Turn { fate: Fate::Failed, before: Duration::ZERO, after: Duration::ZERO }
        }
        fn kept(&self, _ledger: Ledger<'_>) {}
        fn takes_files(&self) -> bool {
            true
        }
    }
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions::new(folder.path(), Timestamp::now());
    let store = Store::open_simulated(options, Arc::new(Failing)).unwrap();
    assert!(store.flush().await.is_err() && !store.is_full());
}
