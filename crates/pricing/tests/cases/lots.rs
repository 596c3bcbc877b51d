//! What becomes of credits that were bought ahead: what they cost, and which lot pays.

use crate::case::day_of_the_sheets;
use crate::{catalogue, files};
use gallerist_domain::{Billed, ChargeEvent, Decimal, Ticks};
use gallerist_pricing::Catalogue;
use gallerist_pricing::credits::{FeeRule, Lot, Purchase, take};
use jiff::Timestamp;
use serde::Deserialize;

/// Credits are bought, and a charge is taken from them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LotCase {
    pub what: String,
    /// As those of a case.
    #[serde(default)]
    pub forms: Vec<String>,
    pub model: String,
    /// How the call ended.
    #[serde(default = "success")]
    event: ChargeEvent,
    /// When it is paid.
    #[serde(default = "day_of_the_sheets")]
    at: Timestamp,
    bought: Vec<Bought>,
    charge_usd: Ticks,
    /// Credits that are left of each lot, in their order here.
    left: Vec<String>,
    /// What was paid for the credits that the charge takes.
    pub cost_usd: Ticks,
    /// The part of the charge that no credits cover.
    #[serde(default)]
    owed_usd: Ticks,
    pub arithmetic: String,
    pub source: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Bought {
    credits: String,
    usd: Ticks,
    /// Thousandths of the price: 55 is 5.5 %.
    #[serde(default)]
    fee_per_mille: i64,
    #[serde(default)]
    fee_minimum_usd: Ticks,
    at: Timestamp,
    expires_at: Option<Timestamp>,
}

const fn success() -> ChargeEvent {
    ChargeEvent::Success
}

fn credits(text: &str) -> Decimal {
    text.parse().expect("a number of credits")
}

impl LotCase {
    fn check(&self, catalogue: &Catalogue, kind: &str) -> Result<(), String> {
        let provider = catalogue.provider(kind).ok_or("no such kind")?;
        let model =
            provider.models.iter().find(|model| model.is_named(&self.model)).ok_or("no such model")?;
        let operation = model.capabilities.operations[0];
        if model.outcomes.of(operation, "").billed(self.event) != Billed::Yes {
            return Err(format!("{:?} is not charged", self.event));
        }
        let lot = |bought: &Bought| {
            let purchase = Purchase {
                provider: kind.to_owned(),
                currency: None,
                credits: credits(&bought.credits),
                price: bought.usd,
                fee: FeeRule {
                    rate_millionths: bought.fee_per_mille * 1000,
                    minimum: bought.fee_minimum_usd,
                },
                purchased_at: bought.at,
                expires_at: bought.expires_at,
            };
            purchase.lot(provider).map_err(|error| error.to_string())
        };
        let mut lots = self.bought.iter().map(lot).collect::<Result<Vec<Lot>, String>>()?;
        let taken = take(&lots, self.charge_usd, self.at);
        let cost: Ticks = taken.iter().map(|taken| taken.cost).sum();
        let covered: Ticks = taken.iter().map(|taken| taken.covered).sum();
        for taken in &taken {
            lots[taken.lot].remaining_millionths -= taken.quantity_millionths;
        }
        let left: Vec<i64> = lots.iter().map(|lot| lot.remaining_millionths).collect();
        let wanted: Vec<i64> = self.left.iter().map(|text| millionths(text)).collect();
        if (cost, self.charge_usd - covered, &left) == (self.cost_usd, self.owed_usd, &wanted) {
            return Ok(());
        }
        Err(format!("costs {cost}, owes {}, leaves {left:?} millionths", self.charge_usd - covered))
    }
}

fn millionths(text: &str) -> i64 {
    let units = credits(text).to_units_exact(6).expect("whole millionths");
    i64::try_from(units).expect("few credits")
}

#[test]
fn credits_that_were_bought_cost_what_they_cost_by_hand() {
    let catalogue = catalogue();
    let mut wrong = Vec::new();
    for (kind, file) in &files() {
        for case in &file.lots {
            assert!(!case.arithmetic.is_empty() && !case.source.is_empty(), "{kind}: {}", case.what);
            if let Err(reason) = case.check(&catalogue, kind) {
                wrong.push(format!("{kind}: {} ({})\n {reason}", case.what, case.arithmetic));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
