//! Three replicas on one PostgreSQL: one is killed with `kill -9` every two seconds under load, and the database
//! crashes once, while the Redis server that counts their rates is stopped for the middle third of the time. The books
//! stay the bills', no cap is ever passed, and no client is told anything wrong.
//!
//! Ten seconds as a test; `cargo xtask chaos` runs two minutes of it with release gateways. Gateways, stand-ins
//! and the server are processes of their own. Clients do as an SDK does: one `Idempotency-Key` a wish, and the
//! next replica where one is gone or says 502 or 503. `wishes.rs` asks and judges the answers, `levels.rs` (of the
//! engine's tests) has the database look at every counter at every commit, `report.rs` compares books, bills and
//! answers.

#![expect(clippy::unwrap_used, reason = "a test says by its panic what was missing")]

#[path = "../../../engine/tests/whole/comparison.rs"]
mod comparison;
#[path = "../processes/gateway.rs"]
mod gateway;
#[path = "../../../engine/tests/whole/levels.rs"]
mod levels;
#[path = "../../../engine/tests/whole/redis.rs"]
mod redis;
mod report;
#[path = "../../../../xtask/src/postgres/server.rs"]
mod server;
mod wishes;

use gateway::{Gateway, Providers, Start, free_port, script};
use jiff::Timestamp;
use levels::Levels;
use serde_json::{Value, json};
use server::{Disk, Postgres};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use wishes::{Client, Ended};

/// For how long the clients ask; `cargo xtask chaos` says.
const SECONDS: &str = "GALLERIST_CHAOS_SECONDS";
/// The gateway to run instead of the one that belongs to the test.
const PROGRAM: &str = "GALLERIST_CHAOS_PROGRAM";

const REPLICAS: usize = 3;
const CLIENTS: usize = 64;
const BETWEEN_KILLS: Duration = Duration::from_secs(2);
/// For how long the others go on without a replica that was killed.
const WITHOUT: Duration = Duration::from_millis(300);

/// The stand-ins, in a process of their own; gone when it is dropped.
struct StandIns {
    process: Child,
    providers: Providers,
}

impl StandIns {
    fn start(program: &Path) -> StandIns {
        let mut command = Command::new(program);
        command.args(["fakes", "--json", "--seed", "22"]).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let ready: Value = serde_json::from_str(&line).unwrap();
        let map = |name: &str| serde_json::from_value(ready[name].clone()).unwrap();
        StandIns { process, providers: Providers { origins: map("fakes"), keys: map("fake_keys") } }
    }

    fn get(&self, kind: &str, path: &str) -> Value {
        let url = format!("{}{path}", self.providers.origins[kind]);
        let text = ureq::get(&url).call().unwrap().body_mut().read_to_string().unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn set_script(&self) {
        for (kind, origin) in &self.providers.origins {
            let body = script(kind).to_string();
            ureq::put(&format!("{origin}/_fake/faults")).send(body).unwrap();
        }
    }
}

impl Drop for StandIns {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// One gateway and what it is started with again. A supervisor would do the same.
struct Replica {
    start: Start,
    gateway: Option<Gateway>,
    _home: tempfile::TempDir,
}

impl Replica {
    fn new(program: &Path, (url, redis_url): (&str, Option<String>), providers: &Providers) -> Replica {
        let home = tempfile::tempdir().unwrap();
        let start = Start::at(home.path(), free_port());
        let start =
            Start { program: program.to_owned(), store_url: Some(url.to_owned()), redis_url, ..start };
        let gateway = Some(start.start(providers));
        Replica { start, gateway, _home: home }
    }

    fn origin(&self) -> String {
        format!("http://127.0.0.1:{}", self.start.port)
    }

    /// A figure that it tells of itself; `None` where it does not answer.
    fn metric(&self, name: &str) -> Option<u64> {
        let mut answer = ureq::get(format!("{}/metrics", self.origin())).call().ok()?;
        let told = answer.body_mut().read_to_string().ok()?;
        told.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
    }

    /// Until it says so of its Redis server.
    fn wait_for_redis(&self, up: u64) {
        let begun = Instant::now();
        while self.metric("gallerist_redis_up ") != Some(up) {
            assert!(begun.elapsed() < Duration::from_secs(30), "it never says that redis_up is {up}");
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Again and again, while the database is away.
    fn start_again(&mut self, providers: &Providers) {
        let begun = Instant::now();
        self.gateway = loop {
            match self.start.try_start(providers) {
                Ok(gateway) => break Some(gateway),
                Err(told) => assert!(begun.elapsed() < Duration::from_secs(30), "{told}"),
            }
            std::thread::sleep(Duration::from_millis(200));
        };
    }
}

/// What was done to the replicas and to their servers.
#[derive(Default)]
struct Done {
    kills: u32,
    crashes: u32,
    /// Times that Redis was stopped.
    stops: u32,
    /// Requests that a share let in while it was, as far as a replica lived to tell.
    decided_locally: u64,
    /// When something ended.
    ends: Vec<Timestamp>,
}

/// Redis for the middle third; nothing where it is not installed.
fn torment_redis(redis: &mut Option<redis::Server>, replicas: &[Replica], share: f64, done: &mut Done) {
    let Some(server) = redis else { return };
    if done.stops == 0 && share > 1.0 / 3.0 {
        server.kill();
        done.stops = 1;
        replicas.iter().for_each(|replica| replica.wait_for_redis(0));
    } else if done.stops == 1 && share > 2.0 / 3.0 {
        let locally =
            replicas.iter().filter_map(|replica| replica.metric("gallerist_rates_decided_locally_total "));
        done.decided_locally = locally.sum();
        server.start_again();
        done.stops = 2;
    }
}

/// Kills one replica after the other, Redis for the middle third of the time, and the database in the middle.
fn torment(
    replicas: &mut [Replica],
    (server, redis): (&Postgres, &mut Option<redis::Server>),
    providers: &Providers,
    time: Duration,
) -> Done {
    let (begun, mut done) = (Instant::now(), Done::default());
    let stops = if redis.is_some() { 2 } else { 0 };
    // On a busy machine a start takes its time.
    while begun.elapsed() < time || done.kills < 3 || done.crashes < 1 || done.stops < stops {
        std::thread::sleep(BETWEEN_KILLS - WITHOUT);
        let count = replicas.len();
        let replica = &mut replicas[usize::try_from(done.kills).unwrap() % count];
        done.ends.push(Timestamp::now());
        replica.gateway.take().unwrap().kill();
        done.kills += 1;
        if done.crashes == 0 && begun.elapsed() > time / 2 {
            done.ends.push(Timestamp::now());
            server.crash_and_start().unwrap();
            done.crashes += 1;
        }
        std::thread::sleep(WITHOUT);
        replica.start_again(providers);
        torment_redis(redis, replicas, begun.elapsed().div_duration_f64(time), &mut done);
    }
    done
}

/// Sends something to the admin API of a gateway.
fn admin(origin: &str, method: &str, path: &str, body: &Value) {
    let request = ureq::http::Request::builder()
        .method(method)
        .uri(format!("{origin}{path}"))
        .header("authorization", format!("Bearer {}", gateway::ADMIN_KEY))
        .header("content-type", "application/json")
        .body(body.to_string())
        .unwrap();
    ureq::run(request).unwrap();
}

/// Nested: everything, one provider, each end user, a tag in pictures. By the length of the run, so that those of
/// the eager user, the tag and the provider are used up in it, and that of everything is not.
fn set_caps(origin: &str, seconds: u64) {
    let usd = |cents_a_second: u64| {
        let cents = cents_a_second * seconds;
        format!("{}.{:02}", cents / 100, cents % 100)
    };
    // Limits that nobody reaches, so that every request is counted where the replicas count together.
    let limits = json!({"requests_per_minute": 1_000_000, "images_per_minute": 1_000_000});
    admin(origin, "PATCH", "/v1/projects/default", &json!({"cap_usd": usd(400), "limits": limits}));
    for (limit, scope) in [
        (json!({"limit_usd": usd(300)}), json!({})),
        (json!({"limit_usd": usd(6)}), json!({"provider": "fal"})),
        (json!({"limit_usd": usd(5)}), json!({"user": "*"})),
        (json!({"limit_images": 2 * seconds}), json!({"tag": {"team": "red"}})),
    ] {
        let mut wish = limit;
        wish["window"] = json!("forever");
        wish["scope"] = scope;
        admin(origin, "POST", "/v1/budgets", &wish);
    }
}

#[test]
fn kills_and_a_crash_of_the_database_cost_no_money_and_no_truth() {
    let Some(programs) = server::find() else {
        eprintln!("skipped, because PostgreSQL is not installed");
        return;
    };
    let seconds: u64 = std::env::var(SECONDS).map_or(10, |text| text.parse().unwrap());
    let program = std::env::var_os(PROGRAM)
        .map_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_gallerist")), PathBuf::from);
    // In the long run commits wait for the disk.
    let disk = if seconds > 30 { Disk::Awaited } else { Disk::Ignored };
    let server = Postgres::start_with(programs, disk).unwrap();
    let url = server.url();
    let stand_ins = StandIns::start(&program);
    stand_ins.set_script();
    let providers = &stand_ins.providers;
    let mut redis = redis::Server::start();
    let redis_url = redis.as_ref().map(redis::Server::url);
    let replica = |_| Replica::new(&program, (&url, redis_url.clone()), providers);
    let mut replicas: Vec<Replica> = (0..REPLICAS).map(replica).collect();
    set_caps(&replicas[0].origin(), seconds);
    let levels = Levels::watch(Path::new("psql"), &url);
    let origins: Vec<String> = replicas.iter().map(Replica::origin).collect();
    let over = AtomicBool::new(false);
    let (mut done, ended) = std::thread::scope(|scope| {
        let clients: Vec<_> = (0..CLIENTS)
            .map(|number| {
                let client = Client::new(number, origins.clone(), &over);
                scope.spawn(move || client.run())
            })
            .collect();
        let done = torment(&mut replicas, (&server, &mut redis), providers, Duration::from_secs(seconds));
        over.store(true, Ordering::Relaxed);
        // Who waits for an answer still gets it.
        let ended: Vec<Ended> = clients.into_iter().flat_map(|client| client.join().unwrap()).collect();
        (done, ended)
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    // What the killed ones left is taken over by those that live.
    runtime.block_on(report::wait_until_nothing_is_open(&url));
    done.ends.push(Timestamp::now());
    if redis.is_some() {
        replicas.iter().for_each(|replica| replica.wait_for_redis(1));
        assert!(done.decided_locally > 0, "without Redis nobody decided by a share");
    }
    replicas.into_iter().filter_map(|replica| replica.gateway).for_each(Gateway::end);
    let highest = levels.highest();
    let books = runtime.block_on(report::Books::read(&url));
    let disputes = report::compare_with_bills(&books, &stand_ins, &done.ends);
    let wrong = report::wrong_answers(&ended, &books);
    let overruns = books.overruns();
    report::print(&done, &ended, &wrong, (&disputes, &overruns), &highest);
    let own = |attempt: &&gallerist_store::AttemptRecord| attempt.offer.provider == "automatic1111";
    assert!(overruns.iter().all(own), "only an engine of one's own counts the time of others: {overruns:?}");
    assert!(wrong.is_empty(), "{} wrong answers: {:#?}", wrong.len(), &wrong[..wrong.len().min(8)]);
    for level in &highest {
        assert!(level.highest <= level.limit, "a cap was passed: {level:?}");
    }
    assert!(
        highest.iter().any(|level| level.highest * 10 >= level.limit * 9),
        "no cap was reached: {highest:?}"
    );
    assert!(done.crashes == 1 && done.kills >= 3, "{} kills, {} crashes", done.kills, done.crashes);
    let delivered = ended.iter().filter(|ended| ended.is_delivered()).count();
    assert!(delivered > 50, "only {delivered} wishes were answered with a picture");
}
