//! An invoice compared with the store of this process, in the form of the admin API.

use super::here::Here;
use crate::failure::{Failure, Result};
use gallerist_engine::reconcile::{ReconcileError, reconcile};
use gallerist_server::reconciliation::ReconciliationWish;
use jiff::Timestamp;
use serde_json::Value;

impl Here {
    pub fn reconcile(&self, wish: &Value) -> Result<Value> {
        let wish: ReconciliationWish = serde_json::from_value(wish.clone())
            .map_err(|error| Failure::usage(format!("the order is not what is expected: {error}")))?;
        let order = wish.order().map_err(|(_, message)| Failure::usage(message))?;
        let configured = self.config().providers.iter().find(|provider| provider.name == order.provider);
        let kind = configured.map_or(order.provider, |provider| provider.kind.as_str());
        let catalogue = self.config().whole_catalogue()?;
        let sheet = catalogue.provider(kind).map(|sheet| &**sheet);
        let done = self.block_on(reconcile(self.store(), sheet, &order, Timestamp::now()));
        let report = done.map_err(|error| match error {
            ReconcileError::Store(error) => error.into(),
            error => Failure::usage(error.to_string()),
        })?;
        Ok(serde_json::to_value(report).expect("a report is plain data"))
    }
}
