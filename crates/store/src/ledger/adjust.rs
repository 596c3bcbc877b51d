//! Credits that move without an attempt: use outside of the gateway, and what a provider says is left.
//!
//! A row is one lot's part of such a movement and balanced by its form: what its credits were bought for goes
//! from `credits` to `outside`, or back. It refuses to touch what is expired, and to find credits that nobody
//! bought: those are a purchase.

use gallerist_domain::credits::{Lot, order};
use jiff::Timestamp;

use super::credits::{account, numbered_lot};
use crate::StoreError;
use crate::sql::params;
use crate::words::{micros, statements};
use crate::writer::Writing;

/// What moves, in millionths of a credit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Adjustment {
    /// So many were used elsewhere; more than nothing.
    Use(i64),
    /// So many are left, as the provider says; not negative.
    Balance(i64),
}

statements! {
    LOTS_STANDING = "SELECT number, provider, currency, quantity, remaining, price_ticks, fee_rate_millionths,
        fee_minimum_ticks, list_ticks, purchased_at, expires_at
        FROM credit_lots WHERE provider = ?1 AND (expires_at IS NULL OR expires_at > ?2) ORDER BY number";
    LOT_LEAVE = "UPDATE credit_lots SET remaining = ?2 WHERE number = ?1";
    ADJUSTMENT_INSERT = "INSERT INTO credit_adjustments (lot, kind, quantity, cost_ticks, note, at,
        credits_account, outside_account) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
}

/// Books it over the provider's lots: what expires first is used first and given back last.
pub(crate) fn adjust(
    writing: &mut Writing<'_>,
    provider: &str,
    adjustment: Adjustment,
    note: &str,
    now: Timestamp,
) -> Result<(), StoreError> {
    let connection = writing.connection;
    let standing: Vec<(i64, Lot)> =
        connection.query_all(LOTS_STANDING, params![provider, micros(now)], numbered_lot)?;
    let (numbers, lots): (Vec<i64>, Vec<Lot>) = standing.into_iter().unzip();
    let (kind, taken) = wanted(provider, &lots, adjustment)?;
    let mut left = taken.abs();
    let mut places = order(&lots);
    if taken < 0 {
        places.reverse();
    }
    for place in places.into_iter().filter(|_| taken != 0) {
        let lot = &lots[place];
        let used = lot.quantity_millionths - lot.remaining_millionths;
        let part = left.min(if taken > 0 { lot.remaining_millionths } else { used });
        if part == 0 {
            continue;
        }
        left -= part;
        let quantity = part * taken.signum();
        let remaining = lot.remaining_millionths - quantity;
        let cost = match taken > 0 {
            true => lot.cost_of_next(part),
            false => -Lot { remaining_millionths: remaining, ..lot.clone() }.cost_of_next(part),
        };
        let credits_account = account(connection, provider, "credits")?;
        let outside_account = account(connection, provider, "outside")?;
        connection.change_one(LOT_LEAVE, params![numbers[place], remaining])?;
        connection.change_one(
            ADJUSTMENT_INSERT,
            params![
                numbers[place],
                kind,
                quantity,
                cost.get(),
                note,
                micros(now),
                credits_account,
                outside_account
            ],
        )?;
    }
    assert_eq!(left, 0, "what the lots can bear was checked");
    writing.names.forget_prepaid();
    Ok(())
}

/// The kind, and how much is to be taken; negative for what comes back.
fn wanted(provider: &str, lots: &[Lot], adjustment: Adjustment) -> Result<(&'static str, i64), StoreError> {
    let refuse = |message: String| Err(StoreError::Invalid(message));
    let Some(first) = lots.first() else {
        return refuse(format!("no credits of {provider} stand in the books; enter what was bought first"));
    };
    if lots.iter().any(|lot| lot.currency != first.currency) {
        return refuse(format!(
            "{provider} has credits of several kinds in the books, so no sum can be told"
        ));
    }
    let left: i64 = lots.iter().map(|lot| lot.remaining_millionths).sum();
    let bought: i64 = lots.iter().map(|lot| lot.quantity_millionths).sum();
    match adjustment {
        Adjustment::Use(..=0) => refuse("use must be more than 0 credits".to_owned()),
        Adjustment::Balance(..0) => refuse("balance must be 0 credits or more".to_owned()),
        Adjustment::Use(used) if used > left => {
            refuse(format!("only {} credits of {provider} are left", credits(left)))
        }
        Adjustment::Balance(balance) if balance > bought => refuse(format!(
            "only {} credits of {provider} were ever entered; enter the purchase that is missing first: \
             `gallerist credits add {provider} CREDITS PRICE_USD`, or POST /v1/credits",
            credits(bought)
        )),
        Adjustment::Use(used) => Ok(("use", used)),
        Adjustment::Balance(balance) => Ok(("balance", left - balance)),
    }
}

/// A quantity for people.
pub(crate) fn credits(millionths: i64) -> String {
    let text = format!("{}.{:06}", millionths / 1_000_000, millionths % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
