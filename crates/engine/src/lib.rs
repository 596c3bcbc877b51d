//! The life of a request: admit → plan → reserve → attempt → answer → settle.
//!
//! This room owns the one loop that sends, waits, cancels and counts, and every task in it. A client
//! that disconnects never tears a payment apart: the life runs in a task of the engine. It refuses HTTP
//! towards clients, SQL and wire protocols. Walk a request in this order: `admit.rs` (the door; what
//! repeats an earlier request is told by `repetition.rs`), `life.rs` (plan and offers), `attempt.rs` (one
//! offer: reserve, calls, ends), `exchange.rs` (one call), `deliver.rs` (fetch and check pictures),
//! `books.rs` (what it cost). `recover.rs` is for restarts, `persist.rs` for a disk that refuses; `watch.rs`
//! looks for what is worth an alert (`refusing.rs` tells of limits that refuse), `webhooks.rs` delivers it.

pub mod answer;
pub mod balances;
pub mod credits;
pub mod feeds;
pub mod rates;
pub mod reconcile;
pub mod refusal;
pub mod request;
pub mod settings;
pub mod sharers;
pub mod simulation;
pub mod webhooks;

mod admit;
mod asked;
mod attempt;
mod baseline;
mod books;
mod deliver;
mod events;
mod exchange;
pub mod insight;
mod joining;
mod keep;
mod life;
mod market;
mod outcome;
mod persist;
mod queue;
mod recover;
mod refusing;
mod repetition;
mod replay;
mod rests;
mod room;
mod shared;
mod tasks;
mod thrift;
mod transport;
mod unknown;
mod watch;

pub use answer::{
    Answer, AnswerMeta, AnsweredList, Cost, CostLine, CostLines, DeliveredImage, Missing, StreamEvent,
    StreamOrigin, TokenUsage,
};
pub use market::Market;
pub use refusal::{FailedAttempt, Fitting, Refusal, RefusalKind};
pub use request::Incoming;
pub use settings::{EngineSettings, Limits, ProviderSettings};

use balances::Reading;
use feeds::{FeedFault, FeedState};
use gallerist_domain::{Allowance, Clock, Grants, ImageRequest, Payer, RequestId, WebhookId};
use gallerist_pricing::feed::{FeedBook, Told};
use gallerist_pricing::{Offer, everything, offers};
use gallerist_routing::report::QuoteReport;
use gallerist_routing::{HealthBook, NameBook, PlanContext};
use gallerist_store::{Store, StoreError};
use jiff::{SignedDuration, Timestamp};
use queue::Standing;
use rates::{Level, SharedState};
use shared::{ProviderRuntime, Shared};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;

/// The running engine; clones share it.
#[derive(Clone)]
pub struct Engine {
    shared: Arc<Shared>,
}

impl Engine {
    /// Starts the engine: takes care of what a crash left open, then is ready. Must run inside tokio.
    ///
    /// # Errors
    /// When the store fails, or a provider's settings name an unknown kind.
    pub async fn start(settings: EngineSettings) -> Result<Engine, StartError> {
        Engine::run(Shared::new(settings).await?).await
    }

    async fn run(shared: Shared) -> Result<Engine, StartError> {
        let shared = Arc::new(shared);
        // What earlier polls told is in force before anything is settled or quoted.
        feeds::at_start(&shared).await?;
        // Before anything is kept: what is just being kept has no row yet.
        match shared.store.delete_strays().await {
            Ok(0) => {}
            Ok(strays) => tracing::info!(strays, "pictures that a crash left without a row were deleted"),
            Err(error) => tracing::warn!(%error, "stray pictures could not be looked for"),
        }
        let jobs = recover::at_start(&shared).await?;
        insight::refresh(&shared).await;
        let ear = rests::at_start(&shared).await;
        feeds::poll_in_background(&shared);
        shared.tasks.spawn(recover::keep_order(Arc::clone(&shared), jobs));
        shared.tasks.spawn(rests::keep_telling(Arc::clone(&shared), ear));
        shared.tasks.spawn(room::keep_trying(Arc::clone(&shared)));
        shared.tasks.spawn(watch::keep_watch(Arc::clone(&shared)));
        shared.tasks.spawn(balances::keep_reading(Arc::clone(&shared)));
        shared.tasks.spawn(webhooks::keep_delivering(Arc::clone(&shared)));
        Ok(Engine { shared })
    }

    /// Makes the pictures of a request that does not stream.
    ///
    /// Dropping the future does not stop the work; pictures that nobody takes are kept for a while.
    ///
    /// # Errors
    /// The [`Refusal`] to answer with.
    pub async fn generate(&self, incoming: Incoming) -> Result<Answer, Refusal> {
        admit::generate(Arc::clone(&self.shared), incoming).await
    }

    /// As [`Engine::generate`], as a stream of events. The first event decides: if it is `Failed`, no other
    /// follows and the answer may still be an ordinary error.
    pub fn generate_stream(&self, incoming: Incoming) -> mpsc::Receiver<StreamEvent> {
        admit::generate_stream(Arc::clone(&self.shared), incoming)
    }

    /// Says that the client went away before it had the whole answer: its pictures are kept.
    pub fn undelivered(&self, answer: Answer) {
        let shared = Arc::clone(&self.shared);
        self.shared.tasks.spawn(async move { shared.keep(&answer).await });
    }

    /// Puts the pictures of an answer on disk before it is sent, for whoever has no room to hold them until
    /// the client has them all. Whether all of them are there; a caller that stops waiting stops nothing.
    pub async fn keep(&self, answer: Answer) -> bool {
        let shared = Arc::clone(&self.shared);
        let keeping = self.shared.tasks.spawn(async move { shared.keep(&answer).await });
        keeping.await.unwrap_or(false)
    }

    /// The table of quotes, with the health of the offers.
    ///
    /// # Errors
    /// A [`Refusal`] for an unknown model or quality word, or a name that `grants` leave out.
    pub fn quotes(
        &self,
        request: &ImageRequest,
        grants: &Grants,
        at: Option<Timestamp>,
    ) -> Result<QuoteReport, Refusal> {
        let (health, market) = (self.shared.health().clone(), self.shared.market());
        self.quotes_among((&market.offers, &health), request, (grants, at, false))
    }

    /// As [`Engine::quotes`], of everything that has a price: also of providers that are not configured, and of what
    /// this gateway cannot order. It reads files the first time.
    ///
    /// # Errors
    /// As [`Engine::quotes`].
    pub fn quotes_of_everything(
        &self,
        request: &ImageRequest,
        grants: &Grants,
        at: Option<Timestamp>,
    ) -> Result<QuoteReport, Refusal> {
        let market = self.shared.market();
        let catalogue = self.shared.feeds.everything();
        let configured: Vec<_> = self.shared.configured.iter().map(ProviderSettings::configured).collect();
        let offers = offers(&catalogue, &everything(&catalogue, &configured));
        let mut health = HealthBook::new(offers.len());
        for (known, own) in market.offers.iter().zip(&self.shared.health().offers) {
            if let Some(place) = offers
                .iter()
                .position(|offer| offer.id == known.id && offer.provider.kind == known.provider.kind)
            {
                health.offers[place] = *own;
            }
        }
        self.quotes_among((&offers, &health), request, (grants, at, true))
    }

    fn quotes_among(
        &self,
        (offers, health): (&[Offer], &HealthBook),
        request: &ImageRequest,
        (grants, at, price_only): (&Grants, Option<Timestamp>, bool),
    ) -> Result<QuoteReport, Refusal> {
        let context = PlanContext {
            offers,
            health,
            insight: &self.shared.insight(),
            names: &self.shared.names,
            grants,
            at: at.unwrap_or_else(|| self.shared.clock.now()),
            now_ms: self.shared.now_ms(),
            price_only,
        };
        gallerist_routing::report::quotes(request, context).map_err(outcome::plan_refusal)
    }

    /// Compares an invoice with the books, and unless it is a dry run resolves what the invoice decides, on behalf
    /// of whom `store` stands for.
    ///
    /// # Errors
    /// When the file cannot be read, or the store fails.
    pub async fn reconcile(
        &self,
        order: &reconcile::Order<'_>,
        store: &Store,
    ) -> Result<reconcile::report::Report, reconcile::ReconcileError> {
        let shared = &self.shared;
        let market = shared.market();
        let offered = market.offers.iter().find(|offer| offer.id.provider == order.provider);
        let sheet =
            offered.map(|offer| &offer.provider).or_else(|| market.catalogue.provider(order.provider));
        if sheet.is_none() {
            let on = shared.configured.iter().map(|provider| provider.name.clone());
            let kinds = market.catalogue.providers.iter().map(|sheet| sheet.kind.clone());
            reconcile::check_provider(store, order.provider, on.chain(kinds)).await?;
        }
        reconcile::reconcile(store, sheet.map(|sheet| &**sheet), order, shared.clock.now()).await
    }

    /// Learns anew what the books teach: after a change of what it rests on that should count at once.
    pub async fn refresh_insight(&self) {
        insight::refresh(&self.shared).await;
    }

    /// Looks at once for what is worth an alert, instead of with the next watch.
    pub async fn watch_now(&self) {
        watch::Watch::default().look(&self.shared).await;
    }

    /// Asks providers now what is left of prepaid credits: all, or the one of that name. Those that have no answer
    /// are not in it.
    ///
    /// # Errors
    /// When the store fails.
    pub async fn read_balances(&self, provider: Option<&str>) -> Result<Vec<Reading>, StoreError> {
        balances::read(&self.shared, provider).await
    }

    /// What providers said last.
    pub fn balances(&self) -> Vec<Reading> {
        self.shared.balances.readings()
    }

    /// Sends a test event to a webhook, once; also while it is disabled.
    ///
    /// # Errors
    /// When there is no such webhook, or the store fails.
    pub async fn test_webhook(&self, id: WebhookId) -> Result<webhooks::Sent, StoreError> {
        let now = self.shared.clock.now();
        let target = self.shared.store.webhook_target(id, now).await?;
        Ok(webhooks::Sender::of(&self.shared).test(&target, now).await)
    }

    /// Whether webhooks may lead to private addresses.
    pub fn webhooks_private(&self) -> bool {
        self.shared.limits.webhooks_private
    }

    /// Makes the answer of an earlier request again, from the store; `None` when it or its pictures are gone.
    pub async fn replay(&self, request: RequestId) -> Option<Result<Answer, Refusal>> {
        let detail = self.shared.store.request(request).await.ok().flatten()?;
        replay::from_store(&self.shared, &detail).await.ok().flatten().map(replay::replayed)
    }

    /// Checks the signature of a picture address (`/v1/pictures/{request}/{index}?expires=…&signature=…`)
    /// and returns the file.
    pub async fn picture(
        &self,
        request: RequestId,
        index: u32,
        expires: i64,
        signature: &str,
    ) -> Option<gallerist_store::Picture> {
        self.shared.picture_at(request, index, expires, signature).await
    }

    /// Where the rates of a payer stand; empty where it has none.
    pub async fn rate_levels(&self, payer: &Payer, allowance: &Allowance) -> Vec<Level> {
        self.shared.door.levels(payer, allowance, self.shared.clock.now()).await
    }

    /// How the server stands on which replicas share rates; `None` where there is none.
    pub fn shared_rates(&self) -> Option<SharedState> {
        self.shared.door.shared_state()
    }

    /// Times that an offer rested here because another replica found that it has to; `None` where replicas
    /// share nothing.
    pub fn rests_heard(&self) -> Option<u64> {
        self.shared.rests.as_ref().map(rests::Rests::heard)
    }

    /// Where the calls of a request stand that wait for a place at their provider, the next one first.
    pub fn waiting(&self, request: RequestId) -> Vec<WaitingCall> {
        let now = self.shared.clock.now();
        let of = |(settings, provider): (&ProviderSettings, &ProviderRuntime)| {
            let standings = provider.places.standings(request);
            let call = |standing: Standing| WaitingCall {
                provider: settings.name.clone(),
                position: standing.position,
                expected_start: after_ms(now, standing.starts_in_ms),
            };
            standings.into_iter().map(call).collect::<Vec<_>>()
        };
        self.shared.configured.iter().zip(&self.shared.providers).flat_map(of).collect()
    }

    /// What can be bought now, and the catalogue that prices it. A feed may replace it at any time: keep it for
    /// as long as figures must fit together.
    pub fn market(&self) -> Arc<Market> {
        self.shared.market()
    }

    /// Routes and migrations.
    pub fn names(&self) -> &NameBook {
        &self.shared.names
    }

    /// Polls the feeds now, or one of them by name, and puts what is believed in force; with `dry_run` only says
    /// what would change.
    ///
    /// # Errors
    /// When the book of the feeds cannot be kept: then nothing has changed.
    pub async fn sync_feeds(&self, name: Option<&str>, dry_run: bool) -> Result<Vec<Told>, FeedFault> {
        feeds::sync(&self.shared, name, dry_run).await
    }

    /// A person believes what is held: of these offers (`kind/model`) or lines (`OFFER LINE`), or all of it.
    ///
    /// # Errors
    /// As [`Engine::sync_feeds`].
    pub async fn confirm_held(&self, wanted: &[String]) -> Result<Vec<Told>, FeedFault> {
        feeds::confirm_held(&self.shared, wanted).await
    }

    /// What feeds have told so far.
    pub fn feed_book(&self) -> Arc<FeedBook> {
        self.shared.feeds.book()
    }

    /// How often each feed was polled, and how it stands.
    pub fn feed_states(&self) -> Vec<FeedState> {
        self.shared.feeds.states()
    }

    pub fn store(&self) -> &Store {
        &self.shared.store
    }

    pub fn clock(&self) -> &dyn Clock {
        &*self.shared.clock
    }

    /// Stops admitting and lets what runs finish for `grace_ms`. Of what is still under way then, jobs whose
    /// ids are on disk stay reserved, for the next start to look up; the rest is disputed, because nobody will
    /// hear what became of it.
    pub async fn shut_down(&self, grace_ms: u64) {
        self.shared.stopping.cancel();
        let finished = tokio::time::timeout(Duration::from_millis(grace_ms), self.shared.tasks.end()).await;
        if finished.is_err() {
            let left = self.shared.tasks.len();
            tracing::warn!(left, "the engine stops with requests under way");
            if let Err(error) = recover::at_stop(&self.shared).await {
                tracing::error!(%error, "calls under way could not be marked; the next start does it");
            }
        }
        if let Err(error) = self.shared.store.flush().await {
            tracing::error!(%error, "the ledger could not be flushed");
        }
    }
}

/// A call that waits for a place at its provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WaitingCall {
    pub provider: String,
    /// In that provider's queue; 1 is next.
    pub position: u32,
    /// By what calls usually take, if nobody else comes.
    pub expected_start: Timestamp,
}

fn after_ms(now: Timestamp, milliseconds: u64) -> Timestamp {
    let wait = SignedDuration::from_millis(i64::try_from(milliseconds).unwrap_or(i64::MAX));
    now.checked_add(wait).unwrap_or(Timestamp::MAX)
}

/// Why an engine cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    #[error("provider {name:?} has the unknown kind {kind:?}")]
    UnknownKind { name: String, kind: String },
    #[error("provider {name:?}: the catalogue file of {kind:?} names the unknown adapter {adapter:?}")]
    UnknownAdapter { name: String, kind: String, adapter: String },
    #[error("the HTTP client could not be set up")]
    Client(#[source] reqwest::Error),
    #[error(transparent)]
    Store(#[from] gallerist_store::StoreError),
    #[error("what feeds have told cannot be put in force")]
    Feeds(#[source] FeedFault),
}

impl From<FeedFault> for StartError {
    fn from(fault: FeedFault) -> StartError {
        match fault {
            FeedFault::Store(error) => StartError::Store(error),
            fault => StartError::Feeds(fault),
        }
    }
}
