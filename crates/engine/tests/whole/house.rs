//! Everything up on loopback: stand-ins, a temporary store, the engine; and the comparison of the books.

use gallerist_domain::{ImageRequest, OfferId, ProjectId, SystemClock, Ticks};
use gallerist_engine::{Caller, Engine, EngineSettings, Incoming, Limits, ProviderSettings};
use gallerist_fakes::{Fakes, FakesOptions};
use gallerist_imaging::Depth;
use gallerist_pricing::Catalogue;
use gallerist_store::{AttemptRecord, AttemptStatus, RequestFilter, Store, StoreOptions};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

pub struct House {
    pub fakes: Fakes,
    pub store: Store,
    pub engine: Engine,
    pub catalogue: Arc<Catalogue>,
    _folder: tempfile::TempDir,
}

/// Paths of the base URLs, as the vendors' SDKs would have them.
const PATHS: &[(&str, &str)] = &[("openai", "/v1"), ("google", "/v1beta"), ("bfl", "/v1")];

impl House {
    pub async fn open(seed: u64) -> House {
        House::with(seed, |_| {}).await
    }

    pub async fn with(seed: u64, adjust: impl FnOnce(&mut EngineSettings)) -> House {
        let fakes =
            Fakes::start(FakesOptions { seed, ..FakesOptions::default() }).await.expect("loopback is there");
        let keys = fakes.keys();
        let providers = fakes.origins().into_iter().map(|(kind, origin)| {
            let path = PATHS.iter().find(|(known, _)| *known == kind).map_or("", |(_, path)| path);
            // The engine of one's own asks for no key.
            let key = if kind == "automatic1111" { String::new() } else { keys[&kind].clone() };
            ProviderSettings {
                name: kind.clone(),
                kind,
                base_url: format!("{origin}{path}"),
                key: key.into(),
                concurrency_max: None,
            }
        });
        let folder = tempfile::tempdir().expect("a folder");
        let options = StoreOptions { durable: false, ..StoreOptions::new(folder.path(), Timestamp::now()) };
        let store = Store::open(options).expect("a new store opens");
        let catalogue = Arc::new(Catalogue::embedded());
        let mut settings = EngineSettings {
            catalogue: Arc::clone(&catalogue),
            providers: providers.collect(),
            store: store.clone(),
            clock: Arc::new(SystemClock),
            limits: Limits { deadline_ms: 20_000, ..Limits::default() },
            baseline: Some(OfferId::new("openai", "gpt-image-2")),
            check_depth: Depth::Header,
            moderation_failover: false,
        };
        adjust(&mut settings);
        let engine = Engine::start(settings).await.expect("the engine starts");
        House { fakes, store, engine, catalogue, _folder: folder }
    }

    /// Sets the fault script of one stand-in.
    pub fn faults(&self, kind: &str, script: &Value) {
        let stand_in = self.fakes.get(kind).expect("a known kind");
        stand_in.ctx.faults.set(script).expect("a valid script");
    }

    /// What one stand-in has billed, in ticks.
    pub fn billed(&self, kind: &str) -> i64 {
        self.fakes.get(kind).expect("a known kind").ctx.bill.total_ticks()
    }

    pub async fn attempts(&self) -> Vec<AttemptRecord> {
        let mut attempts = Vec::new();
        let mut after = None;
        loop {
            let filter = RequestFilter { project: None, after, limit: 1_000 };
            let page = self.store.requests(filter).await.expect("the store reads");
            for request in &page.requests {
                let detail =
                    self.store.request(request.id).await.expect("the store reads").expect("it is listed");
                attempts.extend(detail.attempts);
            }
            after = page.requests.last().map(|request| request.id);
            if !page.has_more {
                return attempts;
            }
        }
    }

    /// Lets everything finish, then compares books and bills to the last digit. Returns the number of
    /// disputed attempts.
    pub async fn balance(&self) -> usize {
        self.engine.shut_down(60_000).await;
        // Jobs that nobody waits for are billed when they are done.
        tokio::time::sleep(std::time::Duration::from_millis(400)).await;
        let books = self.store.books().await.expect("the store reads");
        assert!(books.balance(), "the books do not balance: {books:?}");
        let attempts = self.attempts().await;
        let open = attempts.iter().filter(|attempt| attempt.status == AttemptStatus::Reserved).count();
        assert_eq!(open, 0, "reservations are left open");
        let mut disputed = 0;
        for (kind, entries) in self.bills() {
            disputed += compare(&kind, entries, &attempts);
        }
        disputed
    }

    fn bills(&self) -> BTreeMap<String, Vec<i64>> {
        let amounts = |kind: &str| {
            let entries = self.fakes.get(kind).expect("a known kind").ctx.bill.entries();
            entries.iter().map(|entry| entry.ticks).collect()
        };
        self.fakes.origins().into_keys().map(|kind| (kind.clone(), amounts(&kind))).collect()
    }
}

/// Each settled charge must be one entry of the bill, each remaining entry must fit one disputed attempt.
fn compare(kind: &str, mut bill: Vec<i64>, attempts: &[AttemptRecord]) -> usize {
    let ours = || attempts.iter().filter(|attempt| attempt.offer.provider == kind);
    let total: i64 = bill.iter().sum();
    let mut settled = 0;
    for attempt in
        ours().filter(|attempt| attempt.status == AttemptStatus::Settled && !attempt.charged.is_zero())
    {
        settled += attempt.charged.get();
        take(kind, &mut bill, attempt);
    }
    // What is left on the bill was ambiguous when it happened: the largest must fit the largest.
    bill.retain(|ticks| *ticks != 0);
    bill.sort_unstable();
    let mut held: Vec<i64> = ours()
        .filter(|attempt| attempt.status == AttemptStatus::Disputed)
        .map(|attempt| {
            assert!(attempt.dispute_reason.is_some(), "a dispute has no reason: {attempt:?}");
            attempt.reserved.get()
        })
        .collect();
    held.sort_unstable();
    assert!(
        bill.len() <= held.len(),
        "{kind}: billed but neither settled nor disputed: {bill:?}, held {held:?}"
    );
    for (billed, held) in bill.iter().rev().zip(held.iter().rev()) {
        assert!(billed <= held, "{kind}: billed {billed} beyond what a dispute holds ({held})");
    }
    assert_eq!(total - settled, bill.iter().sum::<i64>(), "{kind}: the difference is not the disputed part");
    held.len()
}

/// Takes the charge of an attempt from the bill: as one entry, or as one entry per picture.
fn take(kind: &str, bill: &mut Vec<i64>, attempt: &AttemptRecord) {
    let charged = attempt.charged.get();
    if let Some(at) = bill.iter().position(|ticks| *ticks == charged) {
        bill.swap_remove(at);
        return;
    }
    for parts in 2..=10 {
        let part = charged / parts;
        let count = bill.iter().filter(|ticks| **ticks == part).count();
        if charged % parts == 0 && count as i64 >= parts {
            for _ in 0..parts {
                let at = bill.iter().position(|ticks| *ticks == part).expect("it was counted");
                bill.swap_remove(at);
            }
            return;
        }
    }
    panic!(
        "{kind}: {} settled {} USD, which is not on the bill: {attempt:?}",
        attempt.offer,
        Ticks::new(charged)
    );
}

/// A request as the server would hand it in.
pub fn incoming(request: ImageRequest) -> Incoming {
    Incoming {
        caller: Caller { project: ProjectId::default_project(), key_id: None },
        fingerprint: fingerprint(&request),
        request,
        idempotency_key: None,
        retry_count: 0,
        accepted_at: Timestamp::now(),
    }
}

fn fingerprint(request: &ImageRequest) -> [u8; 32] {
    let mut digest = [0u8; 32];
    for (index, byte) in format!("{request:?}").bytes().enumerate() {
        digest[index % 32] = digest[index % 32].rotate_left(3).wrapping_add(byte);
    }
    digest
}
