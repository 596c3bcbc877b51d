//! What providers say is left of prepaid credits, beside what the books say at that moment.
//!
//! Asked at the start and every so often, of every provider whose protocol has an answer; kept in memory. A
//! difference beyond what is under way is an alert, once until somebody books something about it or it doubles.
//! It refuses to change the books: a person does, who has looked at the difference.

use crate::settings::ProviderSettings;
use crate::shared::Shared;
use crate::transport::Transport;
use gallerist_domain::alert::CreditsDrift;
use gallerist_domain::credits::MILLIONTHS;
use gallerist_domain::{AlertFact, Fault, Meter, NewAlert, Ticks};
use gallerist_pricing::Catalogue;
use gallerist_pricing::quote::display_quantity;
use gallerist_pricing::watch::drift::{Difference, doublings};
use gallerist_providers::{Balance, Endpoint, Provider, by_kind};
use gallerist_store::{LotRecord, OpenAmounts, Store, StoreError};
use jiff::Timestamp;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::time::{Instant, sleep};

/// For one answer.
const ASK_MS: u64 = 20_000;
/// Without an engine; the adapters take a small part of it.
const REPLY_BYTES_MAX: usize = 1 << 20;
/// For the first time so long after the start: a command that makes one picture and ends asks nothing.
const SETTLED_IN: Duration = Duration::from_secs(5);

/// What is known of a provider's word.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The configured provider.
    pub provider: String,
    pub asked_at: Timestamp,
    /// The last answer that could be read.
    pub told: Option<ToldBalance>,
    /// Why the last question brought none; holds no key.
    pub fault: Option<String>,
}

/// A balance with the books of the same moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldBalance {
    pub at: Timestamp,
    pub left_millionths: i64,
    /// `credit`, or `USD`.
    pub unit: String,
    /// What the open lots hold; absent: none in this unit were entered.
    pub booked_millionths: Option<i64>,
    /// What was entered of purchases that have not expired; absent with the books.
    pub entered_millionths: Option<i64>,
    /// What one unit counts in the provider's prices; absent with the books.
    pub list: Option<Ticks>,
    /// What may be charged already without our knowing.
    pub open: OpenAmounts,
    /// Changes with every purchase and adjustment.
    books: String,
}

impl ToldBalance {
    /// The provider's figure less ours.
    pub fn difference_millionths(&self) -> Option<i64> {
        self.left_millionths.checked_sub(self.booked_millionths?)
    }

    /// Whether more is left than was ever entered: the store books no credits that nobody has bought.
    pub fn purchase_missing(&self) -> bool {
        self.entered_millionths.is_some_and(|entered| self.left_millionths > entered)
    }

    /// What the difference is worth at the provider's prices.
    pub fn worth(&self) -> Option<Ticks> {
        self.list?.scaled(self.difference_millionths()?, MILLIONTHS)
    }
}

/// The newest word of each provider.
#[derive(Debug, Default)]
pub(crate) struct Balances(Mutex<BTreeMap<String, Reading>>);

impl Balances {
    pub(crate) fn readings(&self) -> Vec<Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }

    /// A failure leaves what was told before.
    fn note(&self, mut reading: Reading) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if reading.told.is_none() {
            reading.told = known.get(&reading.provider).and_then(|known| known.told.clone());
        }
        known.insert(reading.provider.clone(), reading);
    }
}

/// An account that may be asked.
struct Account<'a> {
    name: &'a str,
    adapter: &'static dyn Provider,
    endpoint: &'a Endpoint,
}

/// Asks until the engine stops.
pub(crate) async fn keep_reading(shared: Arc<Shared>) {
    let Some(every_ms) = shared.limits.balance_every_ms else { return };
    let mut pause = SETTLED_IN;
    loop {
        tokio::select! {
            biased;
            () = shared.stopping.cancelled() => return,
            () = sleep(pause) => {}
        }
        pause = Duration::from_millis(every_ms);
        // A question that is cut off has changed nothing.
        let done = tokio::select! {
            biased;
            () = shared.stopping.cancelled() => return,
            done = read(&shared, None) => done,
        };
        if let Err(error) = done {
            tracing::error!(%error, "what providers say of credits could not be compared with the books");
        }
    }
}

/// Asks now: all providers, or the one of that name; returns what each said. A provider that says nothing of its
/// balance is not in it.
pub(crate) async fn read(shared: &Shared, wanted: Option<&str>) -> Result<Vec<Reading>, StoreError> {
    let pairs = shared.configured.iter().zip(&shared.providers);
    let accounts = pairs.map(|(settings, runtime)| Account {
        name: &settings.name,
        adapter: runtime.adapter,
        endpoint: &runtime.endpoint,
    });
    let mut readings = Vec::new();
    for account in accounts.filter(|account| wanted.is_none_or(|wanted| wanted == account.name)) {
        let Some(reading) = ask(&shared.transport, &shared.store, &account, || shared.clock.now()).await?
        else {
            continue;
        };
        if let Some(fault) = &reading.fault {
            tracing::debug!(provider = account.name, fault, "a provider did not say what is left of credits");
        }
        shared.balances.note(reading.clone());
        readings.push(reading);
    }
    let drifts: Vec<NewAlert> =
        readings.iter().filter_map(|reading| drift(reading, shared.limits.credits_drift)).collect();
    if !drifts.is_empty() {
        shared.store.raise_alerts(drifts).await?;
    }
    Ok(readings)
}

/// Why nobody could be asked.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("the HTTP client could not be set up")]
    Client(#[source] reqwest::Error),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// As [`crate::Engine::read_balances`], once and without an engine; nobody is alerted.
///
/// # Errors
/// When there is no HTTP client, or the store fails.
pub async fn read_once(
    store: &Store,
    catalogue: &Catalogue,
    providers: &[ProviderSettings],
    wanted: Option<&str>,
) -> Result<Vec<Reading>, ReadError> {
    let transport = Transport::new(ASK_MS, REPLY_BYTES_MAX).map_err(ReadError::Client)?;
    let mut readings = Vec::new();
    for settings in providers.iter().filter(|one| wanted.is_none_or(|wanted| wanted == one.name)) {
        let sheet = catalogue.provider(&settings.kind);
        let Some(adapter) = sheet.and_then(|sheet| by_kind(&sheet.adapter)) else { continue };
        let endpoint = settings.endpoint();
        let account = Account { name: &settings.name, adapter, endpoint: &endpoint };
        readings.extend(ask(&transport, store, &account, Timestamp::now).await?);
    }
    Ok(readings)
}

/// What one account says; `None` where its protocol has no answer.
async fn ask(
    transport: &Transport,
    store: &Store,
    account: &Account<'_>,
    now: impl Fn() -> Timestamp,
) -> Result<Option<Reading>, StoreError> {
    let Some(call) = account.adapter.balance(account.endpoint) else { return Ok(None) };
    let deadline = Instant::now() + Duration::from_millis(ASK_MS);
    let answer: Result<Balance, Fault> = match transport.send(call, deadline).await {
        Ok(reply) => account.adapter.interpret_balance(&reply),
        Err(fault) => Err(fault),
    };
    let (provider, asked_at) = (account.name.to_owned(), now());
    let balance = match answer {
        Ok(balance) => balance,
        Err(fault) => {
            let key = account.endpoint.key.as_str();
            let said = if key.is_empty() { fault.detail } else { fault.detail.replace(key, "[removed]") };
            return Ok(Some(Reading { provider, asked_at, told: None, fault: Some(said) }));
        }
    };
    let lots = store.lots().await?;
    let open = store.open_at(account.name).await?;
    let told = Some(compared(balance, &lots, account.name, open, asked_at));
    Ok(Some(Reading { provider, asked_at, told, fault: None }))
}

/// A balance beside the lots of its provider that stand at this instant.
fn compared(
    balance: Balance,
    lots: &[LotRecord],
    provider: &str,
    open: OpenAmounts,
    at: Timestamp,
) -> ToldBalance {
    let of_provider = || lots.iter().filter(|record| record.lot.provider == provider);
    // A lot that is used up may be one that the provider says is not.
    let standing: Vec<&LotRecord> = of_provider()
        .filter(|record| record.lot.expires_at.is_none_or(|expires_at| expires_at > at))
        .collect();
    let comparable =
        !standing.is_empty() && standing.iter().all(|record| record.lot.currency == balance.unit);
    let newest = of_provider().map(|record| record.id).max();
    let outside: i128 = of_provider().map(|record| i128::from(record.outside_millionths)).sum();
    ToldBalance {
        at,
        left_millionths: balance.left_millionths,
        unit: balance.unit.to_owned(),
        booked_millionths: comparable
            .then(|| standing.iter().map(|record| record.lot.remaining_millionths).sum()),
        entered_millionths: comparable
            .then(|| standing.iter().map(|record| record.lot.quantity_millionths).sum()),
        list: standing.last().filter(|_| comparable).map(|record| record.lot.list),
        open,
        books: format!("{}:{outside}", newest.map_or_else(String::new, |lot| lot.to_string())),
    }
}

/// The alert of a difference that nothing under way explains. Told again when it has doubled, or when it is there
/// again after something was booked.
fn drift(reading: &Reading, threshold: Ticks) -> Option<NewAlert> {
    let told = reading.told.as_ref().filter(|_| reading.fault.is_none())?;
    let (difference, worth, booked) = (told.difference_millionths()?, told.worth()?, told.booked_millionths?);
    let open = told.open.held + told.open.disputed;
    let doublings = doublings(Difference { worth, open, threshold })?;
    let side = if worth.is_negative() { "less" } else { "more" };
    let figure = |millionths: i64| display_quantity(Meter::Credits, millionths);
    let unit = if told.unit == "credit" { "credits" } else { &told.unit };
    Some(NewAlert {
        once: format!("credits-drift:{}:{}:{side}:{doublings}", reading.provider, told.books),
        at: told.at,
        project: None,
        fact: AlertFact::CreditsDrift(CreditsDrift {
            provider: reading.provider.clone(),
            unit: unit.to_owned(),
            told: figure(told.left_millionths),
            booked: figure(booked),
            entered: figure(told.entered_millionths.unwrap_or_default()),
            purchase_missing: told.purchase_missing(),
            difference: figure(difference),
            worth,
            told_at: told.at,
        }),
    })
}

#[cfg(test)]
mod tests;
