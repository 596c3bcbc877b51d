//! `kill -9` under load, twenty times alone and eight times among three replicas: no payment is lost, none is
//! made twice.
//!
//! The stand-ins live in this process and go on; the gateway is the real program, killed in the middle of
//! whatever it does and started again on the same data. Afterwards the books are opened and compared with
//! the bills.

#![expect(clippy::unwrap_used, reason = "a test says by its panic what was missing")]

#[path = "../../engine/tests/whole/comparison.rs"]
mod comparison;
#[path = "../../engine/tests/whole/database.rs"]
mod database;
#[path = "processes/gateway.rs"]
mod gateway;

use comparison::{compare, explain, hits};
use database::Database;
use gallerist_domain::Ticks;
use gallerist_fakes::{Fakes, FakesOptions};
use gallerist_store::{AttemptRecord, AttemptStatus, RequestFilter, RequestRecord, Store, StoreOptions};
use gateway::{Gateway, KEY, MODELS, Providers, Start, free_port, script};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

const KILLS: u64 = 20;
const CLIENTS: u64 = 12;

/// One client: asks again and again. Every third of its wishes has a key and is repeated until it is answered.
struct Client<'a> {
    number: u64,
    /// Asked in turn.
    urls: Vec<String>,
    agent: ureq::Agent,
    over: &'a AtomicBool,
    served: &'a AtomicUsize,
}

impl Client<'_> {
    fn run(&self) {
        for wish in 0u64.. {
            let model = MODELS[usize::try_from(self.number + wish).unwrap() % MODELS.len()];
            let n = if wish % 4 == 0 { 2 } else { 1 };
            let prompt = format!("a kite, client {}, wish {wish}", self.number);
            let mut body = json!({"model": model, "prompt": prompt, "n": n});
            if model.contains("flux") || model.contains("sdxl") {
                // Small pictures, because the stand-ins paint them beside everything else.
                body["size"] = json!("512x512");
            }
            let key = (wish % 3 == 0).then(|| format!("client-{}-{wish}", self.number));
            for retry in 0.. {
                if self.over.load(Ordering::Relaxed) {
                    return;
                }
                let url =
                    &self.urls[usize::try_from(self.number + u64::from(retry)).unwrap() % self.urls.len()];
                match self.send(url, &body, key.as_deref(), retry) {
                    Some(200) => {
                        self.served.fetch_add(1, Ordering::Relaxed);
                        break;
                    }
                    // The gateway is down: whoever has a key asks again.
                    None if key.is_some() => std::thread::sleep(Duration::from_millis(25)),
                    None | Some(503) => {
                        std::thread::sleep(Duration::from_millis(25));
                        break;
                    }
                    Some(_) => break,
                }
            }
        }
    }

    fn send(&self, url: &str, body: &Value, key: Option<&str>, retry: u32) -> Option<u16> {
        let mut request = ureq::http::Request::builder()
            .method("POST")
            .uri(url)
            .header("authorization", format!("Bearer {KEY}"))
            .header("content-type", "application/json")
            .header("x-stainless-retry-count", retry.to_string());
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let request = request.body(body.to_string().into_bytes()).unwrap();
        let mut answer = self.agent.run(request).ok()?;
        answer.body_mut().with_config().limit(64 << 20).read_to_vec().ok()?;
        Some(answer.status().as_u16())
    }
}

async fn read(store: &Store) -> (Vec<RequestRecord>, Vec<AttemptRecord>) {
    let (mut requests, mut attempts) = (Vec::new(), Vec::new());
    loop {
        let after = requests.last().map(|request: &RequestRecord| request.id);
        let page = store.requests(RequestFilter { after, limit: 1_000, ..Default::default() }).await.unwrap();
        for request in page.requests {
            attempts.extend(store.request(request.id).await.unwrap().unwrap().attempts);
            requests.push(request);
        }
        if !page.has_more {
            return (requests, attempts);
        }
    }
}

/// Stand-ins in this process, with the script of the tests, and where they are.
fn stand_ins(runtime: &tokio::runtime::Runtime, seed: u64) -> (Fakes, Providers) {
    let fakes = runtime.block_on(Fakes::start(FakesOptions { seed, ..FakesOptions::default() })).unwrap();
    for stand_in in fakes.iter() {
        stand_in.ctx.faults.set(&script(stand_in.kind)).unwrap();
    }
    let providers = Providers {
        origins: fakes.origins().into_iter().collect(),
        keys: fakes.keys().into_iter().collect(),
    };
    (fakes, providers)
}

#[test]
fn twenty_kills_under_load_lose_no_payment_and_make_none_twice() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (fakes, providers) = stand_ins(&runtime, 20);
    let (home, port) = (tempfile::tempdir().unwrap(), free_port());
    let (over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    let agent: ureq::Agent = config.timeout_global(Some(Duration::from_secs(30))).build().into();
    let mut ends = Vec::new();
    std::thread::scope(|scope| {
        let mut gateway = Start::at(home.path(), port).start(&providers);
        for number in 0..CLIENTS {
            let urls = vec![format!("http://127.0.0.1:{port}/v1/images/generations")];
            let client = Client { number, urls, agent: agent.clone(), over: &over, served: &served };
            scope.spawn(move || client.run());
        }
        for kill in 0..KILLS {
            // Some kills come while the start before is still looking up jobs.
            std::thread::sleep(Duration::from_millis(200 + kill * 7919 % 1_400));
            ends.push(jiff::Timestamp::now());
            gateway.kill();
            gateway = Start::at(home.path(), port).start(&providers);
        }
        over.store(true, Ordering::Relaxed);
        std::thread::sleep(Duration::from_secs(4));
        ends.push(jiff::Timestamp::now());
        gateway.end();
    });
    let books = home.path().join("books");
    for _ in 0..5 {
        let options = StoreOptions::new(&books, jiff::Timestamp::now());
        let open = runtime.block_on(open_reservations(options));
        if open == 0 {
            break;
        }
        // Jobs that kept being killed while they were looked up.
        let gateway = Start::at(home.path(), port).start(&providers);
        std::thread::sleep(Duration::from_secs(4));
        gateway.end();
    }
    let options = StoreOptions::new(&books, jiff::Timestamp::now());
    let reasons = runtime.block_on(check(&fakes, options, served.into_inner(), &ends));
    assert!(reasons.iter().any(|reason| reason.contains("stopped")), "no kill met a call: {reasons:?}");
}

const REPLICAS: usize = 3;

#[test]
fn kills_of_one_replica_of_three_lose_no_payment_and_make_none_twice() {
    let Some(database) = Database::new() else { return };
    let url = database.url();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (fakes, providers) = stand_ins(&runtime, 21);
    let homes: Vec<_> = (0..REPLICAS).map(|_| (tempfile::tempdir().unwrap(), free_port())).collect();
    let (over, served) = (AtomicBool::new(false), AtomicUsize::new(0));
    let config = ureq::Agent::config_builder().http_status_as_error(false);
    let agent: ureq::Agent = config.timeout_global(Some(Duration::from_secs(30))).build().into();
    let start = |at: usize| {
        let start = Start::at(homes[at].0.path(), homes[at].1);
        Start { store_url: Some(url.clone()), ..start }.start(&providers)
    };
    let mut ends = Vec::new();
    std::thread::scope(|scope| {
        let mut gateways: Vec<Gateway> = (0..REPLICAS).map(start).collect();
        let address =
            |(_, port): &(tempfile::TempDir, u16)| format!("http://127.0.0.1:{port}/v1/images/generations");
        let urls: Vec<String> = homes.iter().map(address).collect();
        for number in 0..CLIENTS {
            let (urls, agent) = (urls.clone(), agent.clone());
            let client = Client { number, urls, agent, over: &over, served: &served };
            scope.spawn(move || client.run());
        }
        for kill in 0..8 {
            std::thread::sleep(Duration::from_millis(1_000 + kill * 7919 % 700));
            let at = usize::try_from(kill).unwrap() % REPLICAS;
            ends.push(jiff::Timestamp::now());
            gateways.remove(at).kill();
            // The others go on for a while without it.
            std::thread::sleep(Duration::from_millis(300));
            gateways.insert(at, start(at));
        }
        over.store(true, Ordering::Relaxed);
        // What the killed ones left is taken over by those that live.
        let begun = Instant::now();
        while runtime.block_on(open_reservations(options(&homes[0].0, &url))) > 0 {
            assert!(begun.elapsed() < Duration::from_secs(240), "nobody ended what was left");
            std::thread::sleep(Duration::from_secs(2));
        }
        ends.push(jiff::Timestamp::now());
        gateways.into_iter().for_each(Gateway::end);
    });
    let reasons = runtime.block_on(check(&fakes, options(&homes[0].0, &url), served.into_inner(), &ends));
    // A gateway that starts again ends what its predecessor left; others what nobody came back for.
    let by_a_kill = |reason: &String| reason.contains("stopped") || reason.contains("broke off");
    assert!(reasons.iter().any(by_a_kill), "no kill met a call: {reasons:?}");
}

fn options(home: &tempfile::TempDir, url: &str) -> StoreOptions {
    let options = StoreOptions::new(home.path().join("reader"), jiff::Timestamp::now());
    StoreOptions { url: Some(url.parse().unwrap()), ..options }
}

async fn open_reservations(options: StoreOptions) -> u64 {
    let store = Store::open(options).expect("nobody has it open");
    let open = store.books().await.unwrap().open_reservations;
    store.close().await.unwrap();
    open
}

/// Compares books and bills; why attempts are disputed.
async fn check(
    fakes: &Fakes,
    options: StoreOptions,
    served: usize,
    ends: &[jiff::Timestamp],
) -> BTreeSet<String> {
    let store = Store::open(options).expect("nobody has it open");
    let audit = store.books().await.unwrap();
    assert!(audit.balance(), "{audit:?}");
    assert_eq!(audit.open_reservations, 0);
    assert!(store.unfinished_requests().await.unwrap().is_empty());
    let (requests, attempts) = read(&store).await;
    let ended = [AttemptStatus::Settled, AttemptStatus::Released, AttemptStatus::Disputed];
    assert!(attempts.iter().all(|attempt| ended.contains(&attempt.status)));
    let mut disputed = 0;
    for stand_in in fakes.iter() {
        let in_line = stand_in.kind == "automatic1111";
        let disputes = compare(stand_in.kind, &stand_in.ctx.bill.entries(), &attempts, in_line);
        explain(stand_in.kind, &disputes, &hits(&stand_in.ctx.faults.to_json()), ends);
        disputed += disputes.len();
    }
    let reasons: BTreeSet<String> =
        attempts.iter().filter_map(|attempt| attempt.dispute_reason.clone()).collect();
    eprintln!(
        "{} requests, {} attempts, {served} served, {disputed} disputed: {reasons:?}",
        requests.len(),
        attempts.len()
    );
    // No key has paid, or may have paid, for two requests.
    let mut by_key: BTreeMap<&str, Vec<&RequestRecord>> = BTreeMap::new();
    for request in &requests {
        let cost = request.charged + request.disputed;
        if let Some(key) = request.idempotency_key.as_deref().filter(|_| cost > Ticks::ZERO) {
            by_key.entry(key).or_default().push(request);
        }
    }
    assert!(by_key.values().all(|paid| paid.len() == 1), "a key has paid twice");
    assert!(by_key.len() > 20, "only {} keys were used", by_key.len());
    assert!(served > 50, "only {served} were served");
    reasons
}
