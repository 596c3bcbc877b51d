//! The bill of one stand-in: what the provider would put on its invoice.
//!
//! Owns the entries and their sum. It is written by the protocol modules at the moment when the provider
//! would charge, whether or not the answer ever reaches the client; tests compare it with our own books.
//! Refuses to know prices: those stand beside each protocol. Next: `ctx.rs`, `admin.rs`.

use std::sync::Mutex;

use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};

use crate::ctx::Clock;
use crate::money;

/// One line of the invoice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BillEntry {
    pub id: String,
    pub at: Timestamp,
    pub operation: String,
    pub model: String,
    pub ticks: i64,
    /// What the provider calls the request or job, so that a dispute can be matched.
    pub request_id: Option<String>,
}

impl Serialize for BillEntry {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        json!({
            "id": self.id,
            "at": self.at.to_string(),
            "operation": self.operation,
            "model": self.model,
            "usd": money::usd(self.ticks),
            "request_id": self.request_id,
        })
        .serialize(serializer)
    }
}

/// Entries in the order of charging.
#[derive(Debug)]
pub struct Bill {
    clock: Clock,
    entries: Mutex<Vec<BillEntry>>,
}

impl Bill {
    pub(crate) fn new(clock: Clock) -> Bill {
        Bill { clock, entries: Mutex::default() }
    }

    /// Writes one charge; `id` is the image, job or request that it is for.
    pub fn charge(&self, id: &str, operation: &str, model: &str, ticks: i64) -> BillEntry {
        self.charge_request(id, operation, model, ticks, None)
    }

    /// As [`Bill::charge`], with the identifier that the provider's answer shows to its client.
    pub fn charge_request(
        &self,
        id: &str,
        operation: &str,
        model: &str,
        ticks: i64,
        request_id: Option<&str>,
    ) -> BillEntry {
        let entry = BillEntry {
            id: id.to_owned(),
            at: self.clock.now(),
            operation: operation.to_owned(),
            model: model.to_owned(),
            ticks,
            request_id: request_id.map(str::to_owned),
        };
        self.lock().push(entry.clone());
        entry
    }

    pub fn total_ticks(&self) -> i64 {
        self.lock().iter().map(|entry| entry.ticks).sum()
    }

    pub fn entries(&self) -> Vec<BillEntry> {
        self.lock().clone()
    }

    /// Starts an empty invoice.
    pub fn reset(&self) {
        self.lock().clear();
    }

    /// The bill as `GET /_fake/bill` shows it.
    pub fn to_json(&self) -> Value {
        let entries = self.entries();
        let total: i64 = entries.iter().map(|entry| entry.ticks).sum();
        json!({"total_usd": money::usd(total), "entries": entries})
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<BillEntry>> {
        self.entries.lock().expect("no holder of the bill panics")
    }
}
