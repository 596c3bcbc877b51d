//! One run from its seed: everybody comes, things go wrong, all becomes calm, and the books are looked at.

use crate::check::check;
use crate::client::{Got, live};
use crate::gateway::{Door, Gateway, calm};
use crate::world::World;
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

/// Virtual time after which a run must have come to its end.
const RUN_MAX: Duration = Duration::from_secs(24 * 3_600);
/// Sweeps in which disputed jobs are asked for, at the end.
const LOOKED_UP_FOR: Duration = Duration::from_secs(100);
/// Pauses of five seconds in which everything must have ended.
const CALM_PAUSES_MAX: u32 = 1_000;

/// What came of a run.
pub struct Ran {
    pub seed: u64,
    pub transcript: String,
    pub met: BTreeMap<&'static str, u64>,
    /// Empty, unless something is wrong.
    pub violations: Vec<String>,
}

impl Ran {
    pub fn digest(&self) -> String {
        blake3::hash(self.transcript.as_bytes()).to_hex().to_string()
    }
}

/// One thread, and a clock that jumps.
pub fn runtime() -> Runtime {
    let builder = &mut Builder::new_current_thread();
    builder.enable_time().start_paused(true).build().expect("a runtime")
}

/// Runs one seed on the calling thread.
pub fn run(seed: u64) -> Ran {
    let runtime = runtime();
    let folder = folder();
    let world = runtime.block_on(async { Arc::new(World::new(seed)) });
    let ended = catch_unwind(AssertUnwindSafe(|| {
        runtime.block_on(async {
            if timeout(RUN_MAX, history(&world, folder.path())).await.is_err() {
                world.transcript.violation("it does not come to an end");
            }
        });
    }));
    let mut violations = world.transcript.violations();
    if let Err(panic) = ended {
        let words = panic.downcast_ref::<String>().map(String::as_str);
        let words = words.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no words");
        violations.push(format!("a panic: {words}"));
    }
    let (transcript, met) = (world.transcript.text(), world.transcript.met());
    drop(runtime);
    Ran { seed, transcript, met, violations }
}

/// In memory where the system has such a place.
pub fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    let made = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
    made.expect("a folder")
}

async fn history(world: &Arc<World>, folder: &Path) {
    let door = Arc::new(Door::default());
    let mut gateway = Gateway::begin(world, folder).await;
    gateway.set_limits(world).await;
    world.quiet.store(false, Ordering::Relaxed);
    let mut clients = JoinSet::new();
    for wish in &world.scenario.wishes {
        clients.spawn(live(Arc::clone(world), Arc::clone(&door), wish.clone()));
    }
    for end in &world.scenario.ends {
        door.open(gateway.clone());
        gateway.end_by(world, &door, end).await;
        gateway = Gateway::begin(world, folder).await;
    }
    door.open(gateway.clone());
    let mut got: Vec<Got> = Vec::new();
    while let Some(ended) = clients.join_next().await {
        match ended {
            Ok(answers) => got.extend(answers),
            Err(error) => world.transcript.violation(format!("a client panicked: {error}")),
        }
    }
    calm(world);
    settle_down(world, &gateway).await;
    gateway.engine.shut_down(60_000).await;
    check(world, &gateway.store, &got).await;
}

/// Waits until everything has ended, and for the look-ups of what is disputed.
async fn settle_down(world: &World, gateway: &Gateway) {
    for pause in 0.. {
        // A commit that had begun before may still fail.
        let books = gateway.store.books().await;
        let unfinished = gateway.store.unfinished_requests().await;
        let all = books.is_ok_and(|books| books.open_reservations == 0);
        if all && unfinished.as_ref().is_ok_and(Vec::is_empty) {
            break;
        }
        if pause == CALM_PAUSES_MAX {
            return world.transcript.violation(format!("it does not end: {unfinished:?}"));
        }
        sleep(Duration::from_secs(5)).await;
    }
    sleep(LOOKED_UP_FOR).await;
}
