//! An invoice compared with the store of this process, in the form of the admin API.

use super::here::{Here, list, parsed};
use super::{Books, query};
use crate::client::escaped;
use crate::failure::{Failure, Result};
use gallerist_engine::reconcile::{ReconcileError, check_provider, reconcile};
use gallerist_server::reconciliation::{ReconciliationShown, ReconciliationWish};
use gallerist_store::ReconciliationFilter;
use jiff::Timestamp;
use serde_json::Value;

/// Which comparisons are asked for, the newest first.
#[derive(Clone, Copy, Debug)]
pub struct ReconciliationQuestion<'a> {
    pub provider: Option<&'a str>,
    pub after: Option<&'a str>,
    pub limit: u32,
}

impl Books {
    /// `wish` is the body of `POST /v1/reconciliations`.
    pub fn reconcile(&self, wish: &Value) -> Result<Value> {
        match self {
            Books::Gateway(client) => client.ask("POST", "/v1/reconciliations", Some(wish)),
            Books::Here(here) => here.reconcile(wish),
        }
    }

    /// What was compared before, the newest first.
    pub fn reconciliations(&self, question: ReconciliationQuestion<'_>) -> Result<Value> {
        match self {
            Books::Gateway(client) => {
                let limit = question.limit.to_string();
                let parts = [
                    ("limit", Some(limit.as_str())),
                    ("after", question.after),
                    ("provider", question.provider),
                ];
                client.ask("GET", &format!("/v1/reconciliations{}", query(&parts)), None)
            }
            Books::Here(here) => here.reconciliations(question),
        }
    }

    /// The report of a comparison, as it was told.
    pub fn reconciliation(&self, id: &str) -> Result<Value> {
        match self {
            Books::Gateway(client) => {
                client.ask("GET", &format!("/v1/reconciliations/{}", escaped(id)), None)
            }
            Books::Here(here) => here.reconciliation(id),
        }
    }
}

impl Here {
    pub fn reconcile(&self, wish: &Value) -> Result<Value> {
        let wish: ReconciliationWish = serde_json::from_value(wish.clone())
            .map_err(|error| Failure::usage(format!("the order is not what is expected: {error}")))?;
        let order = wish.order().map_err(|(_, message)| Failure::usage(message))?;
        let configured = self.config().providers.iter().find(|provider| provider.name == order.provider);
        let kind = configured.map_or(order.provider, |provider| provider.kind.as_str());
        let catalogue = self.config().whole_catalogue()?;
        let sheet = catalogue.provider(kind).map(|sheet| &**sheet);
        if sheet.is_none() {
            let on = self.config().providers.iter().map(|provider| provider.name.clone());
            let kinds = catalogue.providers.iter().map(|sheet| sheet.kind.clone());
            let known = self.block_on(check_provider(self.store(), order.provider, on.chain(kinds)));
            known.map_err(failure)?;
        }
        let done = self.block_on(reconcile(self.store(), sheet, &order, Timestamp::now()));
        let report = done.map_err(failure)?;
        Ok(serde_json::to_value(report).expect("a report is plain data"))
    }

    pub fn reconciliations(&self, question: ReconciliationQuestion<'_>) -> Result<Value> {
        let filter = ReconciliationFilter {
            provider: question.provider.map(str::to_owned),
            after: question.after.map(parsed).transpose()?,
            limit: question.limit,
        };
        let page = self.wait(self.store().reconciliations(filter))?;
        let shown = page.reconciliations.iter().map(ReconciliationShown::from);
        let rows = shown.map(|row| serde_json::to_value(row).expect("a row is plain data")).collect();
        Ok(list(rows, page.has_more))
    }

    pub fn reconciliation(&self, id: &str) -> Result<Value> {
        let found = self.wait(self.store().reconciliation(parsed(id)?))?;
        let report = found.ok_or_else(|| {
            Failure::failed(format!("there is no reconciliation {id}"))
                .advise("`gallerist reconcile list` shows the ids")
        })?;
        serde_json::from_str(&report).map_err(|error| Failure::because("its report cannot be read", &error))
    }
}

fn failure(error: ReconcileError) -> Failure {
    match error {
        ReconcileError::Store(error) => error.into(),
        error => Failure::usage(error.to_string()),
    }
}
