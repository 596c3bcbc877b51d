//! Replicas that tell each other of their offers on a server that a test may stop or write into.

// Other tests take the file of servers, too.
#![expect(clippy::duplicate_mod)]

#[path = "../../tests/whole/redis.rs"]
mod redis;

use super::*;
use crate::market::Market;
use gallerist_pricing::Catalogue;
use gallerist_routing::Verdict;
use redis::Server;

/// A replica without requests; its time goes only as a test says.
struct Replica {
    rests: Rests,
    book: Mutex<HealthBook>,
    ear: Ear,
    now_ms: u64,
}

fn provider(name: &str, base_url: &str, key: &str) -> ProviderSettings {
    ProviderSettings {
        name: name.to_owned(),
        kind: name.to_owned(),
        region: String::new(),
        base_url: base_url.to_owned(),
        key: key.to_owned().into(),
        concurrency_max: None,
        images_per_minute: None,
    }
}

/// A busy machine must not make a server away.
const ANSWER: Duration = Duration::from_secs(20);

async fn replica_of(server: &Server, secret: &[u8], settings: ProviderSettings) -> Replica {
    let counters = Counters::open_within(server.url().parse().expect("an address"), ANSWER).await;
    let providers = [settings];
    let market = Market::new(Arc::new(Catalogue::embedded()), &providers);
    let offers: Vec<_> = market.offers.iter().zip(market.offer_providers.iter().copied()).collect();
    let rests = Rests::new(counters, secret, &providers, &offers);
    let book = Mutex::new(HealthBook::new(market.offers.len()));
    Replica { rests, book, ear: Ear::default(), now_ms: 1_000 }
}

async fn replica(server: &Server) -> Replica {
    replica_of(server, b"of the database", provider("bfl", "https://api.example/v1", "a key")).await
}

impl Replica {
    async fn exchange(&mut self) {
        let now_ms = self.now_ms;
        self.rests.exchange(|| self.book.lock().expect("whole"), || now_ms, &mut self.ear).await;
    }

    fn verdict(&self, offer: usize) -> Verdict {
        self.book.lock().expect("whole").offers[offer].verdict(self.now_ms)
    }

    async fn asked_to_wait(&mut self, offer: usize, wait_ms: u64) {
        self.book.lock().expect("whole").offers[offer].asked_to_wait(self.now_ms, wait_ms);
        self.rests.found(offer, Found::AskedToWait, self.now_ms);
        self.exchange().await;
    }

    /// Five failures in a row; the rest that follows.
    async fn fails(&mut self, offer: usize) -> u64 {
        let fail = || self.book.lock().expect("whole").offers[offer].failed(self.now_ms);
        let rest_ms = std::iter::repeat_with(fail).find_map(|opened| opened).expect("it opens");
        self.rests.found(offer, Found::Failed, self.now_ms);
        self.exchange().await;
        rest_ms
    }

    async fn succeeds(&mut self, offer: usize) {
        if self.book.lock().expect("whole").offers[offer].succeeded(self.now_ms, 5) {
            self.rests.found(offer, Found::Recovered, self.now_ms);
        }
        self.exchange().await;
    }

    fn starts(&self, offer: usize) -> bool {
        self.book.lock().expect("whole").offers[offer].started(self.now_ms)
    }
}

fn resting_ms(verdict: Verdict) -> u64 {
    match verdict {
        Verdict::Resting { for_ms } => for_ms,
        other => panic!("it does not rest: {other:?}"),
    }
}

/// In milliseconds, at most what a busy machine takes between two exchanges.
const BUSY_MS: u64 = 5_000;

#[tokio::test]
async fn what_one_was_asked_the_others_keep_by_the_clock_of_the_server() {
    let Some(server) = Server::start() else { return };
    let (mut one, mut two) = (replica(&server).await, replica(&server).await);
    two.now_ms = 77_000_000;
    one.asked_to_wait(3, 30_000).await;
    two.exchange().await;
    let left = resting_ms(two.verdict(3));
    assert!((30_000 - BUSY_MS..=30_000).contains(&left), "{left}");
    assert_eq!((two.verdict(2), two.rests.heard(), one.rests.heard()), (Verdict::Ready, 1, 0));
    two.exchange().await;
    assert_eq!(two.rests.heard(), 1, "once");
    // Who starts later hears it, too; what is shorter takes nothing away.
    let mut fresh = replica(&server).await;
    fresh.exchange().await;
    assert!(resting_ms(fresh.verdict(3)) > 30_000 - BUSY_MS);
    fresh.asked_to_wait(3, 1).await;
    one.exchange().await;
    assert_eq!(resting_ms(one.verdict(3)), 30_000);
    two.now_ms += 30_000;
    assert_eq!(two.verdict(3), Verdict::Ready);
}

#[tokio::test]
async fn a_breaker_that_opens_rests_everywhere_and_the_probe_of_its_finder_answers_for_all() {
    let Some(server) = Server::start() else { return };
    let (mut one, mut two) = (replica(&server).await, replica(&server).await);
    let rest_ms = one.fails(0).await;
    two.exchange().await;
    assert!(two.book.lock().unwrap().offers[0].is_out());
    // The rest is over; the probe is the finder's.
    one.now_ms += rest_ms;
    two.now_ms += rest_ms;
    assert!(resting_ms(two.verdict(0)) <= TURN_MS);
    assert!(one.starts(0));
    // A probe that takes its time keeps its turn.
    for _ in 0..3 {
        sleep(Duration::from_millis(TURN_MS / 2)).await;
        one.exchange().await;
    }
    two.exchange().await;
    assert!(resting_ms(two.verdict(0)) > 0);
    one.succeeds(0).await;
    two.exchange().await;
    assert_eq!((one.verdict(0), two.verdict(0)), (Verdict::Ready, Verdict::Ready));
    assert!(!two.book.lock().unwrap().offers[0].is_out());
    // What was well begins anew, with the first rest.
    assert_eq!(two.fails(0).await, rest_ms);
    one.exchange().await;
    assert!(one.book.lock().unwrap().offers[0].is_out());
}

#[tokio::test]
async fn a_finder_that_is_gone_keeps_its_turn_for_a_moment_only() {
    let Some(server) = Server::start() else { return };
    let (mut one, mut two) = (replica(&server).await, replica(&server).await);
    let rest_ms = one.fails(0).await;
    drop(one);
    two.exchange().await;
    two.now_ms += rest_ms;
    assert!(resting_ms(two.verdict(0)) <= TURN_MS);
    two.now_ms += TURN_MS;
    assert_eq!(two.verdict(0), Verdict::Probe);
    let mut three = replica(&server).await;
    three.exchange().await;
    sleep(Duration::from_millis(rest_ms + TURN_MS)).await;
    // The first to begin takes the turn.
    assert!(two.starts(0));
    two.exchange().await;
    three.exchange().await;
    assert!(resting_ms(three.verdict(0)) <= TURN_MS);
    // It fails again: twice as long for all.
    assert_eq!(two.fails(0).await, 2 * rest_ms);
    let heard = three.rests.heard();
    three.exchange().await;
    assert_eq!(three.rests.heard(), heard + 1);
}

#[tokio::test]
async fn another_account_or_another_database_is_another_offer() {
    let Some(server) = Server::start() else { return };
    let mut one = replica(&server).await;
    one.asked_to_wait(0, 30_000).await;
    let of = async |secret: &[u8], url, key| {
        let mut other = replica_of(&server, secret, provider("bfl", url, key)).await;
        other.exchange().await;
        other.verdict(0) != Verdict::Ready
    };
    let url = "https://api.example/v1";
    assert!(of(b"of the database", "https://api.example/v1/", "a key").await, "a slash is no difference");
    assert!(!of(b"of the database", url, "another key").await);
    assert!(!of(b"of the database", "https://api.eu.example/v1", "a key").await);
    assert!(!of(b"of another database", url, "a key").await);
}

#[tokio::test]
async fn an_engine_of_the_own_machine_is_nobody_elses() {
    let Some(server) = Server::start() else { return };
    for (url, key, is_shared) in [
        ("http://127.0.0.1:7860", "", false),
        ("http://localhost:7860/", "", false),
        ("http://[::1]:7860", "", false),
        ("http://127.0.0.1:7860", "a key", true),
        ("http://10.0.0.7:7860", "", true),
    ] {
        let mut one = replica_of(&server, b"of the database", provider("bfl", url, key)).await;
        let mut two = replica_of(&server, b"of the database", provider("bfl", url, key)).await;
        one.asked_to_wait(0, 30_000).await;
        two.exchange().await;
        assert_eq!(two.verdict(0) != Verdict::Ready, is_shared, "{url} {key}");
    }
}

#[tokio::test]
async fn what_several_tell_of_one_offer_is_kept_by_all_of_them() {
    let Some(server) = Server::start() else { return };
    let (mut one, mut two) = (replica(&server).await, replica(&server).await);
    // The shorter wait, told later and by who has not heard of the longer one.
    one.asked_to_wait(1, 300_000).await;
    two.asked_to_wait(1, 1_000).await;
    assert!(resting_ms(two.verdict(1)) > 300_000 - BUSY_MS, "the server has merged them");
    assert_eq!(two.rests.heard(), 0, "it is a line of its own");
    // A recovery elsewhere ends no rest that a provider asked for.
    one.fails(2).await;
    one.asked_to_wait(2, 300_000).await;
    two.book.lock().unwrap().offers[2].asked_to_wait(two.now_ms, 1);
    two.rests.found(2, Found::Recovered, two.now_ms);
    two.exchange().await;
    let mut fresh = replica(&server).await;
    fresh.exchange().await;
    assert!(resting_ms(fresh.verdict(2)) > 300_000 - BUSY_MS);
    assert!(!fresh.book.lock().unwrap().offers[2].is_out(), "its breaker is closed");
}

#[tokio::test]
async fn a_recovery_that_could_not_be_told_in_time_is_not_told() {
    let Some(server) = Server::start() else { return };
    let (mut one, mut two) = (replica(&server).await, replica(&server).await);
    one.fails(0).await;
    let found_ms = two.now_ms;
    two.now_ms += RECOVERY_TOLD_MS + 1;
    two.rests.found(0, Found::Recovered, found_ms);
    two.exchange().await;
    one.exchange().await;
    assert!(one.book.lock().unwrap().offers[0].is_out());
    two.rests.found(0, Found::Recovered, two.now_ms);
    two.exchange().await;
    one.exchange().await;
    assert!(!one.book.lock().unwrap().offers[0].is_out());
}

#[tokio::test]
async fn a_server_that_was_away_hears_again_what_still_stands() {
    let Some(mut server) = Server::start() else { return };
    let (mut one, mut two) = (replica(&server).await, replica(&server).await);
    one.asked_to_wait(1, 600_000).await;
    two.exchange().await;
    server.kill();
    let begun = Instant::now();
    // Found while it is away.
    one.asked_to_wait(2, 600_000).await;
    two.fails(4).await;
    two.succeeds(4).await;
    assert!(begun.elapsed() < Duration::from_secs(5), "an exchange waits for nobody");
    assert_eq!(two.verdict(2), Verdict::Ready, "each by itself");
    server.start_again();
    let mut fresh = replica(&server).await;
    let until = Instant::now() + Duration::from_secs(20);
    loop {
        assert!(Instant::now() < until, "it is never told anew");
        one.exchange().await;
        fresh.exchange().await;
        if fresh.verdict(1) != Verdict::Ready && fresh.verdict(2) != Verdict::Ready {
            break;
        }
        sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(fresh.verdict(4), Verdict::Ready);
}

/// Sends a command in the server's inline form; a text it answers with is not read.
async fn command(server: &Server, command: &str) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let address = server.url().replace("redis://", "");
    let mut stream = tokio::net::TcpStream::connect(address).await.expect("it listens");
    stream.write_all(format!("{command}\r\n").as_bytes()).await.expect("it reads");
    let mut first = [0u8; 1];
    stream.read_exact(&mut first).await.expect("it answers");
    assert_ne!(first[0], b'-', "{command}");
}

#[tokio::test]
async fn what_is_wrong_on_the_server_is_ignored_and_gone_with_the_next_finding() {
    let Some(server) = Server::start() else { return };
    let (mut one, mut two) = (replica(&server).await, replica(&server).await);
    let (key, id) = (one.rests.key.clone(), one.rests.ids[0].clone());
    let of = |numbers: &str, turn: &str| {
        format!("SET {key} \"{id} 1 {numbers} failed 0123456789abcdef 0123456789abcdef {turn}\"")
    };
    for wrong in [
        format!("SET {key} \"\\xff\\x00 nonsense\\n\\n 1 2 3\""),
        format!("EVAL \"return redis.call('SET', KEYS[1], string.rep('a', 300000))\" 1 {key}"),
        // A rest, an opening, a turn and a time of which no replica would speak.
        of("99999999999999 1", "1"),
        of("1 17", "1"),
        of("1 1", "99999999999999"),
        format!("LPUSH {key} a"),
    ] {
        command(&server, &format!("DEL {key}")).await;
        // Without the line before it, the next may be told within the same millisecond.
        sleep(Duration::from_millis(2)).await;
        command(&server, &wrong).await;
        let heard = two.rests.heard();
        two.exchange().await;
        assert_eq!((two.verdict(0), two.rests.heard()), (Verdict::Ready, heard), "{:.60}", wrong);
        assert!(two.ear.complained, "{wrong:.60}");
        one.asked_to_wait(3, 30_000).await;
        assert!(one.ear.complained, "{wrong:.60}");
        two.exchange().await;
        assert_eq!(two.rests.heard(), heard + 1, "{wrong:.60}");
        assert!(!two.ear.complained, "it is gone");
        assert!(two.rests.counters.state().is_up, "and says nothing against the counters");
        assert_eq!(two.rests.counters.losses(), 0);
    }
}
