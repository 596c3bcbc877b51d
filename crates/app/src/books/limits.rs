//! Budgets in the store of this process, in the form of the admin API.

use super::here::Here;
use crate::failure::{Failure, Result};
use gallerist_domain::BudgetId;
use gallerist_server::budgets::{BudgetChangeWish, BudgetShown, BudgetWish, budget_list};
use gallerist_store::{BudgetRecord, StoreError};
use jiff::Timestamp;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

impl Here {
    pub fn budgets(&self) -> Result<Value> {
        Ok(value(&budget_list(&self.records()?)))
    }

    pub fn create_budget(&self, wish: &Value) -> Result<Value> {
        let wish: BudgetWish = read(wish)?;
        let known = self.config().whole_catalogue()?;
        let providers = &self.config().providers;
        let providers: Vec<&str> = providers.iter().map(|provider| provider.name.as_str()).collect();
        let budget = wish
            .budget(&known, &providers, Timestamp::now())
            .map_err(|(_, message)| Failure::usage(message))?;
        let id = budget.id;
        self.wait(self.store().create_budget(budget))?;
        Ok(value(&BudgetShown::from(&self.find(id)?)))
    }

    pub fn change_budget(&self, id: &str, wish: &Value) -> Result<Value> {
        let wish: BudgetChangeWish = read(wish)?;
        let record = self.find(known(id)?)?;
        let change = wish.change(&record.budget).map_err(|(_, message)| Failure::usage(message))?;
        match self.wait(self.store().change_budget(record.budget.id, change, Timestamp::now())) {
            Err(failure) => Err(failure),
            Ok(()) => Ok(value(&BudgetShown::from(&self.find(record.budget.id)?))),
        }
    }

    pub fn remove_budget(&self, id: &str) -> Result<()> {
        let record = self.find(known(id)?)?;
        self.wait(self.store().remove_budget(record.budget.id, Timestamp::now()))
    }

    fn records(&self) -> Result<Vec<BudgetRecord>> {
        self.wait(self.store().budgets(Timestamp::now()))
    }

    fn find(&self, id: BudgetId) -> Result<BudgetRecord> {
        let found = self.records()?.into_iter().find(|record| record.budget.id == id);
        found.ok_or_else(|| StoreError::UnknownBudget(id).into())
    }
}

fn known(id: &str) -> Result<BudgetId> {
    id.parse().map_err(|_| Failure::failed(format!("there is no budget {id}")))
}

/// Amounts are raw JSON, which only text can be read into.
fn read<T: DeserializeOwned>(wish: &Value) -> Result<T> {
    serde_json::from_str(&wish.to_string())
        .map_err(|error| Failure::usage(format!("the budget is not what is expected: {error}")))
}

fn value(shown: &impl Serialize) -> Value {
    serde_json::to_value(shown).expect("plain data serialises")
}
