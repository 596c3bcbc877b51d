//! The demo's providers: six stand-ins, each startable and stoppable by itself, and their bills.
//!
//! A provider that is down is a stand-in whose server has ended, so that connections are refused and
//! nothing can be billed. It comes back at the same port with the same bill.

use crate::failure::{Failure, Result};
use gallerist_domain::Ticks;
use gallerist_engine::ProviderSettings;
use gallerist_fakes::{BillEntry, FAMILIES, Fakes, FakesOptions};
use secrecy::SecretString;
use std::collections::BTreeMap;

/// Start of the stand-ins' chance: the demo's pictures are the same each time.
const SEED: u64 = 7;

/// What a vendor's SDK puts behind the origin.
const PATHS: &[(&str, &str)] = &[("openai", "/v1"), ("google", "/v1beta"), ("bfl", "/v1")];

pub struct StandIns {
    latency_percent: u32,
    running: BTreeMap<String, Fakes>,
    /// Those that are down: port, and the bill so far.
    down: BTreeMap<String, (u16, Vec<BillEntry>)>,
}

impl StandIns {
    /// Starts one of each kind on any free port.
    ///
    /// # Errors
    /// When one cannot listen.
    pub async fn start(latency_percent: u32) -> Result<StandIns> {
        let mut stand_ins = StandIns { latency_percent, running: BTreeMap::new(), down: BTreeMap::new() };
        for family in FAMILIES {
            stand_ins.start_one(family.kind, 0).await?;
        }
        Ok(stand_ins)
    }

    async fn start_one(&mut self, kind: &str, port: u16) -> Result<()> {
        let options = FakesOptions {
            seed: SEED,
            kinds: Some(vec![kind.to_owned()]),
            ports: BTreeMap::from([(kind.to_owned(), port)]),
            latency_percent: self.latency_percent,
            ..FakesOptions::default()
        };
        let fakes = Fakes::start(options)
            .await
            .map_err(|error| Failure::because(format!("the stand-in of {kind} cannot listen"), &error))?;
        self.running.insert(kind.to_owned(), fakes);
        Ok(())
    }

    /// Origin without a path of each kind that is up.
    pub fn origins(&self) -> BTreeMap<String, String> {
        self.running.values().flat_map(Fakes::origins).collect()
    }

    pub fn keys(&self) -> BTreeMap<String, String> {
        self.running.values().flat_map(Fakes::keys).collect()
    }

    /// The settings of a gateway that takes them for the providers.
    pub fn providers(&self) -> Vec<ProviderSettings> {
        let one = |stand_in: &gallerist_fakes::StandIn| {
            let path = PATHS.iter().find(|(kind, _)| *kind == stand_in.kind).map_or("", |(_, path)| path);
            ProviderSettings {
                name: stand_in.kind.to_owned(),
                kind: stand_in.kind.to_owned(),
                region: String::new(),
                base_url: format!("{}{path}", stand_in.origin),
                key: SecretString::from(stand_in.key.clone()),
                concurrency_max: None,
                images_per_minute: None,
            }
        };
        self.running.values().flat_map(|fakes| fakes.iter().map(one).collect::<Vec<_>>()).collect()
    }

    /// What all providers would put on their invoices.
    pub fn billed(&self) -> Ticks {
        let running: i64 = self.running.values().map(Fakes::billed_ticks).sum();
        let down: i64 = self.down.values().flat_map(|(_, bill)| bill).map(|entry| entry.ticks).sum();
        Ticks::new(running + down)
    }

    /// Ends one; connections to it are refused from now on.
    pub async fn stop(&mut self, kind: &str) {
        let Some(fakes) = self.running.remove(kind) else { return };
        let bill = fakes.get(kind).map(|one| one.ctx.bill.entries()).unwrap_or_default();
        let port = fakes.get(kind).and_then(|one| one.origin.rsplit(':').next()?.parse().ok());
        fakes.shutdown().await;
        self.down.insert(kind.to_owned(), (port.unwrap_or_default(), bill));
    }

    /// Starts one again that was stopped.
    ///
    /// # Errors
    /// When its port has been taken meanwhile.
    pub async fn restart(&mut self, kind: &str) -> Result<()> {
        let Some((port, bill)) = self.down.get(kind).cloned() else { return Ok(()) };
        self.start_one(kind, port).await?;
        self.down.remove(kind);
        if let Some(one) = self.running.get(kind).and_then(|fakes| fakes.get(kind)) {
            for entry in bill {
                let request = entry.request_id.as_deref();
                one.ctx.bill.charge_request(&entry.id, &entry.operation, &entry.model, entry.ticks, request);
            }
        }
        Ok(())
    }

    pub async fn end(self) {
        for fakes in self.running.into_values() {
            fakes.shutdown().await;
        }
    }
}
