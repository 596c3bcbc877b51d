//! Everything up on loopback: stand-ins, a temporary store, the engine; and the comparison of the books.

use crate::comparison::{Dispute, compare, hits};
use gallerist_domain::{Grants, ImageRequest, OfferId, Payer, ProjectId, SystemClock};
use gallerist_engine::{Engine, EngineSettings, Incoming, Limits, ProviderSettings};
use gallerist_fakes::{Fakes, FakesOptions};
use gallerist_pricing::Catalogue;
use gallerist_store::{
    AlertFilter, AttemptRecord, AttemptStatus, RequestDetail, RequestFilter, RequestStatus, Store,
    StoreOptions,
};
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;

pub struct House {
    pub fakes: Arc<Fakes>,
    pub store: Store,
    pub engine: Engine,
    pub folder: Arc<tempfile::TempDir>,
}

/// Paths of the base URLs, as the vendors' SDKs would have them.
const PATHS: &[(&str, &str)] = &[("openai", "/v1"), ("google", "/v1beta"), ("bfl", "/v1")];

impl House {
    pub async fn open(seed: u64) -> House {
        House::with(seed, |_| {}).await
    }

    pub async fn with(seed: u64, adjust: impl FnOnce(&mut EngineSettings)) -> House {
        House::on(stand_ins(seed).await, Arc::new(tempfile::tempdir().expect("a folder")), adjust).await
    }

    /// On stand-ins and a data directory that may have been used before.
    pub async fn on(
        fakes: Arc<Fakes>,
        folder: Arc<tempfile::TempDir>,
        adjust: impl FnOnce(&mut EngineSettings),
    ) -> House {
        House::at(fakes, folder, None, adjust).await
    }

    /// As [`House::on`], with the books in a PostgreSQL database where one is named.
    pub async fn at(
        fakes: Arc<Fakes>,
        folder: Arc<tempfile::TempDir>,
        store_url: Option<&str>,
        adjust: impl FnOnce(&mut EngineSettings),
    ) -> House {
        let keys = fakes.keys();
        let providers = fakes.origins().into_iter().map(|(kind, origin)| {
            let path = PATHS.iter().find(|(known, _)| *known == kind).map_or("", |(_, path)| path);
            // The engine of one's own asks for no key.
            let key = if kind == "automatic1111" { String::new() } else { keys[&kind].clone() };
            ProviderSettings {
                name: kind.clone(),
                kind,
                region: String::new(),
                base_url: format!("{origin}{path}"),
                key: key.into(),
                concurrency_max: None,
                images_per_minute: None,
            }
        });
        let url = store_url.map(|url| url.parse().expect("an address"));
        let options = StoreOptions::new(folder.path(), Timestamp::now());
        let options = StoreOptions { durable: false, url, ..options };
        let store = Store::open(options).expect("the store opens");
        let catalogue = Arc::new(Catalogue::embedded());
        let usual = EngineSettings::new(catalogue, providers.collect(), store.clone(), Arc::new(SystemClock));
        let mut settings = EngineSettings {
            limits: Limits { deadline_ms: 20_000, ..Limits::default() },
            baseline: Some(OfferId::new("openai", "gpt-image-2")),
            ..usual
        };
        adjust(&mut settings);
        let engine = Engine::start(settings).await.expect("the engine starts");
        House { fakes, store, engine, folder }
    }

    /// Sets the fault script of one stand-in.
    pub fn faults(&self, kind: &str, script: &Value) {
        let stand_in = self.fakes.get(kind).expect("a known kind");
        stand_in.ctx.faults.set(script).expect("a valid script");
    }

    /// The offers in the order in which the plan would try them.
    pub fn order(&self, request: &ImageRequest) -> Vec<String> {
        let report = self.engine.quotes(request, Grants::ALL, None).expect("a known model");
        report.offers.into_iter().map(|quote| quote.offer).collect()
    }

    /// The newest request with everything about it.
    pub async fn newest(&self) -> RequestDetail {
        let filter = RequestFilter { limit: 1, ..RequestFilter::default() };
        let page = self.store.requests(filter).await.expect("the store reads");
        let id = page.requests.first().expect("there is a request").id;
        self.store.request(id).await.expect("the store reads").expect("it is listed")
    }

    /// The facts of what is told about attempts of which nobody knows whether they were charged, newest first.
    pub async fn disputes_told(&self) -> Vec<serde_json::Value> {
        let filter =
            AlertFilter { limit: 100, kind: Some("attempt.disputed".to_owned()), ..AlertFilter::default() };
        let page = self.store.alerts(filter).await.expect("the store reads");
        let facts = page.alerts.iter().map(|alert| serde_json::from_str(&alert.fact_json));
        facts.collect::<Result<_, _>>().expect("facts are JSON")
    }

    /// The newest request once it is finished: the settlement follows the answer.
    pub async fn settled(&self) -> RequestDetail {
        self.settled_within(std::time::Duration::from_secs(10)).await
    }

    pub async fn settled_within(&self, time: std::time::Duration) -> RequestDetail {
        let until = std::time::Instant::now() + time;
        while std::time::Instant::now() < until {
            let detail = self.newest().await;
            if detail.request.status != RequestStatus::Running {
                return detail;
            }
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        panic!("the newest request never finished");
    }

    /// Stops in good order, so that another house can open the same data directory.
    pub async fn leave(self) -> (Arc<Fakes>, Arc<tempfile::TempDir>) {
        self.engine.shut_down(30_000).await;
        self.store.close().await.expect("the store closes");
        (self.fakes, self.folder)
    }

    /// What one stand-in has billed, in ticks.
    pub fn billed(&self, kind: &str) -> i64 {
        self.fakes.get(kind).expect("a known kind").ctx.bill.total_ticks()
    }

    pub async fn attempts(&self) -> Vec<AttemptRecord> {
        let mut attempts = Vec::new();
        let mut after = None;
        loop {
            let filter = RequestFilter { after, limit: 1_000, ..RequestFilter::default() };
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
        self.disputes().await.values().map(Vec::len).sum()
    }

    /// As [`House::balance`]; returns the disputed attempts of each provider.
    pub async fn disputes(&self) -> BTreeMap<String, Vec<Dispute>> {
        self.disputes_beside(false).await
    }

    /// As [`House::disputes`], for one of several engines in front of the same providers: the calls of one that
    /// crashed stand `in_line` at an engine of one's own, ahead of those of the others.
    pub async fn disputes_beside(&self, in_line: bool) -> BTreeMap<String, Vec<Dispute>> {
        self.engine.shut_down(60_000).await;
        // Jobs that nobody waits for are billed when they are done.
        tokio::time::sleep(std::time::Duration::from_millis(400)).await;
        let books = self.store.books().await.expect("the store reads");
        assert!(books.balance(), "the books do not balance: {books:?}");
        let attempts = self.attempts().await;
        let open = attempts.iter().filter(|attempt| attempt.status == AttemptStatus::Reserved).count();
        assert_eq!(open, 0, "reservations are left open");
        let disputes = |kind: &str| {
            let bill = self.fakes.get(kind).expect("a known kind").ctx.bill.entries();
            compare(kind, &bill, &attempts, in_line && kind == "automatic1111")
        };
        self.fakes.origins().into_keys().map(|kind| (kind.clone(), disputes(&kind))).collect()
    }

    /// How often each fault of a stand-in's script has struck.
    pub fn hits(&self, kind: &str) -> BTreeMap<String, u64> {
        hits(&self.fakes.get(kind).expect("a known kind").ctx.faults.to_json())
    }
}

pub async fn stand_ins(seed: u64) -> Arc<Fakes> {
    let fakes = Fakes::start(FakesOptions { seed, ..FakesOptions::default() }).await;
    Arc::new(fakes.expect("loopback is there"))
}

/// A request as the server would hand it in.
pub fn incoming(request: ImageRequest) -> Incoming {
    Incoming {
        payer: Arc::new(Payer::of(ProjectId::default_project())),
        allowance: Arc::default(),
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
