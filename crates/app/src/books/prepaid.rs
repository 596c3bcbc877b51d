//! Prepaid credits in the store of this process, in the form of the admin API.

use super::here::Here;
use crate::failure::{Failure, Result};
use gallerist_domain::LotId;
use gallerist_engine::credits::forecasts;
use gallerist_pricing::credits::RECENT_DAYS;
use gallerist_server::credits::{AdjustmentWish, LotShown, LotWish, forecast_shown, lot_list};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

impl Here {
    pub fn credits(&self) -> Result<Value> {
        let lots = self.wait(self.store().lots())?;
        Ok(value(&lot_list(&lots)))
    }

    pub fn add_credits(&self, wish: &Value) -> Result<Value> {
        let now = Timestamp::now();
        // Its figures are raw JSON, which only text can be read into.
        let wish: LotWish = serde_json::from_str(&wish.to_string())
            .map_err(|error| Failure::usage(format!("the purchase is not what is expected: {error}")))?;
        let configured = self.config().providers.iter().find(|provider| provider.name == wish.provider);
        let kind = configured.map_or(wish.provider.as_str(), |provider| provider.kind.as_str());
        let catalogue = self.config().whole_catalogue()?;
        let sheet = catalogue.provider(kind).ok_or_else(|| {
            Failure::usage(format!("there is no provider {kind:?}, configured or known"))
                .advise("`gallerist prices list` shows all")
        })?;
        let purchase = wish.purchase(now).map_err(|(_, message)| Failure::usage(message))?;
        let lot = purchase.lot(sheet).map_err(|error| Failure::usage(format!("{error}")))?;
        let id = LotId::generate();
        self.wait(self.store().add_lot(id, lot, now))?;
        let lots = self.wait(self.store().lots())?;
        let made = lots.iter().find(|record| record.id == id);
        let made = made.ok_or_else(|| Failure::failed("the lot is gone"))?;
        Ok(value(&LotShown::from(made)))
    }

    pub fn adjust_credits(&self, wish: &Value) -> Result<Value> {
        let wish: AdjustmentWish = serde_json::from_str(&wish.to_string())
            .map_err(|error| Failure::usage(format!("the movement is not what is expected: {error}")))?;
        let adjustment = wish.adjustment().map_err(|(_, message)| Failure::usage(message))?;
        let adjusted = self.store().adjust_credits(&wish.provider, adjustment, &wish.note, Timestamp::now());
        self.wait(adjusted)?;
        self.credits()
    }

    pub fn credit_forecast(&self) -> Result<Value> {
        let now = Timestamp::now();
        let lots = self.wait(self.store().lots())?;
        let charges = self.wait(self.store().daily_charges(RECENT_DAYS, now))?;
        Ok(value(&forecast_shown(&forecasts(&lots, &charges, now), now)))
    }
}

fn value(shown: &impl Serialize) -> Value {
    serde_json::to_value(shown).expect("plain data serialises")
}
