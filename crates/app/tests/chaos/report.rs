//! Books, bills and answers beside each other, and the figures of a run.

use crate::comparison::{Dispute, compare, explain, hits};
use crate::levels::Level;
use crate::wishes::{Ended, Outcome};
use crate::{Done, StandIns};
use gallerist_domain::Ticks;
use gallerist_fakes::BillEntry;
use gallerist_store::{
    AttemptRecord, AttemptStatus, RequestFilter, RequestRecord, RequestStatus, Store, StoreOptions,
};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// Opens the database beside the replicas.
async fn with_store<T>(url: &str, work: impl AsyncFnOnce(&Store) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let options = StoreOptions::new(folder.path(), Timestamp::now());
    let store = Store::open(StoreOptions { url: Some(url.parse().unwrap()), ..options }).unwrap();
    let done = work(&store).await;
    store.close().await.unwrap();
    done
}

/// Until the replicas that live have ended everything that the killed ones left.
pub async fn wait_until_nothing_is_open(url: &str) {
    let begun = Instant::now();
    with_store(url, async |store| {
        while store.books().await.unwrap().open_reservations > 0 {
            assert!(begun.elapsed() < Duration::from_secs(120), "nobody ended what was left");
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    })
    .await;
}

/// All requests and attempts.
pub struct Books {
    requests: Vec<RequestRecord>,
    attempts: Vec<AttemptRecord>,
}

impl Books {
    /// Reads everything; it must balance, and nothing may be open.
    pub async fn read(url: &str) -> Books {
        with_store(url, async |store| {
            let audit = store.books().await.unwrap();
            assert!(audit.balance(), "{audit:?}");
            assert_eq!(audit.open_reservations, 0);
            let mut books = Books { requests: Vec::new(), attempts: Vec::new() };
            loop {
                let after = books.requests.last().map(|request| request.id);
                let filter = RequestFilter { after, limit: 1_000, ..Default::default() };
                let page = store.requests(filter).await.unwrap();
                for request in page.requests {
                    books.attempts.extend(store.request(request.id).await.unwrap().unwrap().attempts);
                    books.requests.push(request);
                }
                if !page.has_more {
                    return books;
                }
            }
        })
        .await
    }
}

/// Every bill beside the books, to the last digit; what is disputed, by provider.
pub fn compare_with_bills(
    books: &Books,
    stand_ins: &StandIns,
    ends: &[Timestamp],
) -> BTreeMap<String, Vec<Dispute>> {
    let ended = [AttemptStatus::Settled, AttemptStatus::Released, AttemptStatus::Disputed];
    assert!(books.attempts.iter().all(|attempt| ended.contains(&attempt.status)));
    let one = |kind: &String| {
        let bill = stand_ins.get(kind, "/_fake/bill");
        let entries: Vec<BillEntry> = bill["entries"].as_array().unwrap().iter().map(entry).collect();
        let disputes = compare(kind, &entries, &books.attempts, kind == "automatic1111");
        explain(kind, &disputes, &hits(&stand_ins.get(kind, "/_fake/faults")), ends);
        (kind.clone(), disputes)
    };
    stand_ins.providers.origins.keys().map(one).collect()
}

fn entry(shown: &serde_json::Value) -> BillEntry {
    let text = |name: &str| shown[name].as_str().unwrap().to_owned();
    BillEntry {
        id: text("id"),
        at: text("at").parse().unwrap(),
        operation: text("operation"),
        model: text("model"),
        ticks: text("usd").parse::<Ticks>().unwrap().get(),
        request_id: shown["request_id"].as_str().map(str::to_owned),
    }
}

impl Books {
    /// What providers charged beyond their own maxima. The killed gateways' calls stand in the line of an engine of
    /// one's own, which counts the time of those behind them.
    pub fn overruns(&self) -> Vec<&AttemptRecord> {
        self.attempts.iter().filter(|attempt| attempt.charged > attempt.reserved).collect()
    }
}

/// What clients were told that is wrong: by itself, or by the books.
pub fn wrong_answers(ended: &[Ended], books: &Books) -> Vec<String> {
    let mut by_key: BTreeMap<&str, Vec<&RequestRecord>> = BTreeMap::new();
    for request in &books.requests {
        by_key.entry(request.idempotency_key.as_deref().unwrap_or_default()).or_default().push(request);
    }
    let mut wrong = Vec::new();
    for (key, requests) in &by_key {
        let cost = |request: &&&RequestRecord| request.charged + request.disputed > Ticks::ZERO;
        if requests.iter().filter(cost).count() > 1 {
            wrong.push(format!("{key}: paid, or maybe paid, for {requests:?}"));
        }
    }
    for Ended { key, outcome, .. } in ended {
        let requests = by_key.get(key.as_str()).map_or(&[][..], Vec::as_slice);
        let paid = requests.iter().map(|request| request.charged).sum::<Ticks>();
        match outcome {
            Outcome::Wrong(told) => wrong.push(told.clone()),
            Outcome::Delivered { request, charged, disputed, .. } => {
                let made = [RequestStatus::Succeeded, RequestStatus::Partial];
                let record = requests.iter().find(|record| record.id == *request);
                // A job that was disputed may have been looked up since.
                let costs = *charged..=*charged + *disputed;
                if !record
                    .is_some_and(|record| made.contains(&record.status) && costs.contains(&record.charged))
                {
                    wrong.push(format!("{key}: told {charged} for {request}, in the books {record:?}"));
                }
            }
            // Told while it was not yet clear, it may only have become less.
            Outcome::Told { charged, disputed } | Outcome::Capped { charged, disputed }
                if paid > *charged + *disputed =>
            {
                wrong.push(format!("{key}: told {charged} and {disputed} disputed, but {paid} was paid"));
            }
            Outcome::Told { .. } | Outcome::Capped { .. } | Outcome::GivenUp => {}
        }
    }
    wrong
}

pub fn print(
    done: &Done,
    ended: &[Ended],
    wrong: &[String],
    (disputes, overruns): (&BTreeMap<String, Vec<Dispute>>, &[&AttemptRecord]),
    highest: &[Level],
) {
    let count = |is: fn(&Outcome) -> bool| ended.iter().filter(|ended| is(&ended.outcome)).count();
    let delivered = count(|outcome| matches!(outcome, Outcome::Delivered { .. }));
    let capped = count(|outcome| matches!(outcome, Outcome::Capped { .. }));
    let told = count(|outcome| matches!(outcome, Outcome::Told { .. }));
    let given_up = count(|outcome| matches!(outcome, Outcome::GivenUp));
    println!(
        "kills {}, crashes of PostgreSQL {}, Redis stopped {}",
        done.kills,
        done.crashes,
        done.stops.min(1)
    );
    println!("requests that a share decided meanwhile, told by who lived on: {}", done.decided_locally);
    println!(
        "wishes {}: delivered {delivered}, refused by a cap {capped}, told that they failed {told}, \
         given up {given_up}, wrong answers {}",
        ended.len(),
        wrong.len()
    );
    println!("answered {} of {}", ended.len() - given_up, ended.len());
    let able = ended.len() - capped;
    let per_mille = delivered * 1_000 / able.max(1);
    println!("success rate {}.{} % of the {able} that no cap refused", per_mille / 10, per_mille % 10);
    let mut times: Vec<Duration> =
        ended.iter().filter(|ended| ended.is_delivered()).map(|ended| ended.took).collect();
    times.sort();
    let at = |share: usize| times.get((times.len() * share / 100).min(times.len().saturating_sub(1)));
    println!("delivered after p50 {:?}, p99 {:?}", at(50).unwrap(), at(99).unwrap());
    let tries = ended.iter().map(|ended| ended.tries).max().unwrap_or(0);
    println!("tries of a wish: at most {tries}");
    let left: usize = disputes.values().map(Vec::len).sum();
    let held: Ticks = disputes.values().flatten().map(|dispute| dispute.attempt.reserved).sum();
    println!("books and bills agree to the last digit; disputes left {left}, {held} USD held for them");
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for dispute in disputes.values().flatten() {
        *reasons.entry(dispute.attempt.dispute_reason.as_deref().unwrap_or_default()).or_default() += 1;
    }
    for (reason, count) in reasons {
        println!("  {count} × {reason}");
    }
    let beyond: Ticks = overruns.iter().map(|attempt| attempt.charged - attempt.reserved).sum();
    println!("charged beyond a published maximum: {} times, {beyond} USD", overruns.len());
    for level in highest.iter().take(6) {
        let Level { name, highest, limit, looks } = level;
        println!("cap {name}: at most {highest} of {limit}, looked at in {looks} commits");
    }
}
