//! Prepaid credits in the store of this process, in the form of the admin API.

use super::here::Here;
use crate::failure::{Failure, Result};
use gallerist_domain::LotId;
use gallerist_engine::balances::{ReadError, Reading, read_once};
use gallerist_engine::credits::forecasts;
use gallerist_pricing::credits::RECENT_DAYS;
use gallerist_pricing::{Catalogue, ProviderSheet};
use gallerist_server::credits::{
    AdjustmentWish, BalanceWish, LotShown, LotWish, balance_list, forecast_shown, lot_list, unknown_provider,
};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

impl Here {
    pub fn credits(&self) -> Result<Value> {
        let lots = self.wait(self.store().lots())?;
        Ok(value(&lot_list(&lots, &[])))
    }

    pub fn credit_balances(&self, wish: &Value) -> Result<Value> {
        let wish: BalanceWish = serde_json::from_value(wish.clone())
            .map_err(|error| Failure::usage(format!("the question is not what is expected: {error}")))?;
        let usage = |(_, message): (&'static str, String)| Failure::usage(message);
        let applied = wish.applied().map_err(usage)?;
        let readings = self.told_balances(wish.provider.as_deref())?;
        let Some(provider) = applied else { return Ok(value(&balance_list(&readings))) };
        if let Some((adjustment, note)) = wish.adjustment(provider, &readings).map_err(usage)? {
            self.wait(self.store().adjust_credits(provider, adjustment, &note, Timestamp::now()))?;
        }
        Ok(value(&balance_list(&self.told_balances(Some(provider))?)))
    }

    fn told_balances(&self, wanted: Option<&str>) -> Result<Vec<Reading>> {
        let config = self.config();
        let asked = read_once(self.store(), &config.catalogue, &config.providers, wanted);
        let readings = self.block_on(asked).map_err(|error| match error {
            ReadError::Store(error) => error.into(),
            error @ ReadError::Client(_) => Failure::because("no provider can be asked", &error),
        })?;
        if let (Some(provider), true) = (wanted, readings.is_empty()) {
            return Err(Failure::usage(format!(
                "{provider} is not configured, or does not tell what is left"
            )));
        }
        Ok(readings)
    }

    pub fn add_credits(&self, wish: &Value) -> Result<Value> {
        let now = Timestamp::now();
        // Its figures are raw JSON, which only text can be read into.
        let wish: LotWish = serde_json::from_str(&wish.to_string())
            .map_err(|error| Failure::usage(format!("the purchase is not what is expected: {error}")))?;
        let catalogue = self.config().whole_catalogue()?;
        let sheet = self
            .sheet(&wish.provider, &catalogue)
            .ok_or_else(|| self.unknown_provider(&wish.provider, &catalogue))?;
        let lot = wish.lot(sheet, now).map_err(|(_, message)| Failure::usage(message))?;
        let id = LotId::generate();
        self.wait(self.store().add_lot(id, lot, now))?;
        let lots = self.wait(self.store().lots())?;
        let made = lots.iter().find(|record| record.id == id);
        let made = made.ok_or_else(|| Failure::failed("the lot is gone"))?;
        Ok(value(&LotShown::from(made)))
    }

    /// The prices of a configured provider, else of the kind of that name.
    fn sheet<'c>(&self, provider: &str, catalogue: &'c Catalogue) -> Option<&'c ProviderSheet> {
        let configured = self.config().providers.iter().find(|known| known.name == provider);
        let kind = configured.map_or(provider, |known| known.kind.as_str());
        catalogue.provider(kind).map(|sheet| &**sheet)
    }

    fn unknown_provider(&self, name: &str, catalogue: &Catalogue) -> Failure {
        let configured = self.config().providers.iter().map(|provider| provider.name.clone());
        let kinds = catalogue.providers.iter().map(|sheet| sheet.kind.clone());
        Failure::usage(unknown_provider(name, configured.chain(kinds)).1)
    }

    pub fn remove_credits(&self, id: LotId) -> Result<()> {
        self.wait(self.store().remove_lot(id, Timestamp::now()))
    }

    pub fn adjust_credits(&self, wish: &Value) -> Result<Value> {
        let wish: AdjustmentWish = serde_json::from_str(&wish.to_string())
            .map_err(|error| Failure::usage(format!("the movement is not what is expected: {error}")))?;
        let adjustment = wish.adjustment().map_err(|(_, message)| Failure::usage(message))?;
        let known = self.wait(self.store().lots())?;
        if !known.iter().any(|record| record.lot.provider == wish.provider) {
            let catalogue = self.config().whole_catalogue()?;
            if self.sheet(&wish.provider, &catalogue).is_none() {
                return Err(self.unknown_provider(&wish.provider, &catalogue));
            }
        }
        let adjusted = self.store().adjust_credits(&wish.provider, adjustment, &wish.note, Timestamp::now());
        self.wait(adjusted)?;
        self.credits()
    }

    pub fn credit_forecast(&self) -> Result<Value> {
        let now = Timestamp::now();
        let lots = self.wait(self.store().lots())?;
        let charges = self.wait(self.store().daily_charges(RECENT_DAYS, now))?;
        let catalogue = self.config().whole_catalogue()?;
        let sheet = |provider: &str| self.sheet(provider, &catalogue);
        Ok(value(&forecast_shown(&forecasts(&lots, &charges, now), sheet, now)))
    }
}

fn value(shown: &impl Serialize) -> Value {
    serde_json::to_value(shown).expect("plain data serialises")
}
