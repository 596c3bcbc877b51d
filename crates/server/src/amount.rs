//! An amount in the unit of a budget, as JSON has it.

use gallerist_domain::{BudgetUnit, Ticks};
use serde::Serialize;

/// A decimal text in dollars, a whole number in images.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(crate) enum Amount {
    Usd(Ticks),
    Images(i64),
}

impl Amount {
    pub(crate) fn of(unit: BudgetUnit, amount: i64) -> Amount {
        match unit {
            BudgetUnit::Usd => Amount::Usd(Ticks::new(amount)),
            BudgetUnit::Images => Amount::Images(amount),
        }
    }
}
