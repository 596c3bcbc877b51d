//! The money of prepaid credits, inside the writer's transaction: purchases, what settlements take, expiry.
//!
//! Four accounts a provider, beside what is payable to it. `paid` is the purse (negative: what was paid for
//! credits), `credits` what the credits that are left were bought for, `consumed` and `expired` what the others
//! were; `outside` (`adjust.rs`) what those were that moved without an attempt. So these five sum to zero. A settlement books its charge at the provider's prices as always; the part
//! of it that credits pay then moves from `payable` to `covered`, since nobody will send a bill for it.
//! `covered` less `consumed` is what buying ahead has saved.

use crate::sql::{Row, Sql, params};
use gallerist_domain::credits::{Lot, take};
use gallerist_domain::{FeeRule, LotId, Ticks};
use jiff::Timestamp;
use std::collections::HashSet;

use super::accounts::{Booking, Names};
use crate::StoreError;
use crate::words::{self, Movement, micros, statements};
use crate::writer::Writing;

statements! {
    PREPAID = "SELECT provider FROM credit_lots WHERE remaining > 0";
    LOT_EXISTS = "SELECT 1 FROM credit_lots WHERE id = ?1";
    LOT_INSERT = "INSERT INTO credit_lots (id, provider, currency, quantity, remaining, price_ticks,
        fee_rate_millionths, fee_minimum_ticks, cost_ticks, list_ticks, purchased_at, expires_at, created_at)
        VALUES (?1, ?2, ?3, ?4, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    LOTS_OPEN = "SELECT number, provider, currency, quantity, remaining, price_ticks, fee_rate_millionths,
        fee_minimum_ticks, list_ticks, purchased_at, expires_at
        FROM credit_lots WHERE provider = ?1 AND remaining > 0 ORDER BY number /* FOR UPDATE */";
    LOTS_OVER = "SELECT number, provider, currency, quantity, remaining, price_ticks, fee_rate_millionths,
        fee_minimum_ticks, list_ticks, purchased_at, expires_at
        FROM credit_lots WHERE expires_at <= ?1 AND remaining > 0 ORDER BY number /* FOR UPDATE */";
    LOT_TAKE = "UPDATE credit_lots SET remaining = remaining - ?2 WHERE number = ?1 AND remaining >= ?2";
    LOT_EXPIRE = "UPDATE credit_lots SET remaining = 0, expired = remaining, expired_ticks = ?2
        WHERE number = ?1 AND remaining > 0";
    USE_INSERT = "INSERT INTO credit_uses (attempt, lot, quantity, cost_ticks, covered_ticks)
        VALUES (?1, ?2, ?3, ?4, ?5)";
    ENTRY_INSERT = "INSERT INTO credit_entries (lot, attempt, account, amount, at, kind)
        VALUES (?1, ?2, ?3, ?4, ?5, ?6)";
    LOT_BY_ID = "SELECT number, provider, currency, quantity, remaining, price_ticks, fee_rate_millionths,
        fee_minimum_ticks, list_ticks, purchased_at, expires_at FROM credit_lots WHERE id = ?1 /* FOR UPDATE */";
    LOT_MOVED = "SELECT 1 FROM credit_lots l WHERE l.number = ?1 AND (l.remaining <> l.quantity OR l.expired > 0
        OR EXISTS (SELECT 1 FROM credit_uses u WHERE u.lot = l.number)
        OR EXISTS (SELECT 1 FROM credit_adjustments x WHERE x.lot = l.number)
        OR EXISTS (SELECT 1 FROM lot_openings o WHERE o.lot = l.number))";
    PURCHASE_DELETE = "DELETE FROM credit_entries WHERE lot = ?1 AND kind = 'purchase'";
    LOT_DELETE = "DELETE FROM credit_lots WHERE number = ?1";
    ACCOUNT = "SELECT number FROM accounts WHERE name = ?1";
    ACCOUNT_INSERT = "INSERT INTO accounts (name) VALUES (?1)";
}

/// The providers that have credits left; looked up once, so that settlements at all others stay as they are.
pub(super) fn prepaid(connection: &dyn Sql) -> Result<HashSet<String>, StoreError> {
    connection.query_all(PREPAID, params![], |row| row.get(0))
}

/// Writes a lot and its purchase.
pub(crate) fn add(writing: &mut Writing<'_>, id: LotId, lot: &Lot, now: Timestamp) -> Result<(), StoreError> {
    lot.check().map_err(|error| StoreError::Invalid(error.to_string()))?;
    if lot.remaining_millionths != lot.quantity_millionths {
        return Err(StoreError::Invalid("a new lot is whole".to_owned()));
    }
    let connection = writing.connection;
    if connection.exists(LOT_EXISTS, params![id.uuid().as_bytes()])? {
        return Err(StoreError::Exists(format!("lot {id}")));
    }
    let cost = lot.cost();
    let number = connection.insert(
        LOT_INSERT,
        params![
            id.uuid().as_bytes(),
            lot.provider,
            lot.currency,
            lot.quantity_millionths,
            lot.price.get(),
            lot.fee.rate_millionths,
            lot.fee.minimum.get(),
            cost.get(),
            lot.list.get(),
            micros(lot.purchased_at),
            lot.expires_at.map(micros),
            micros(now)
        ],
    )?;
    let legs = [("paid", -cost), ("credits", cost)];
    book(connection, number, None, (Movement::Purchase, micros(now)), &lot.provider, &legs)?;
    writing.names.forget_prepaid();
    Ok(())
}

/// Takes a lot out of the books, with its purchase, as if it had never been entered: a slip of whoever entered it. What
/// has moved stays, because charges and accounts rest on it.
pub(crate) fn remove(writing: &mut Writing<'_>, id: LotId) -> Result<Lot, StoreError> {
    let connection = writing.connection;
    let found = connection.query_opt(LOT_BY_ID, params![id.uuid().as_bytes()], numbered_lot)?;
    let (number, lot) = found.ok_or(StoreError::UnknownLot(id))?;
    if connection.exists(LOT_MOVED, params![number])? {
        return Err(StoreError::LotMoved(id));
    }
    connection.change(PURCHASE_DELETE, params![number])?;
    connection.change_one(LOT_DELETE, params![number])?;
    writing.names.forget_prepaid();
    Ok(lot)
}

/// Takes a settled charge from the provider's lots, where there are any; what they cannot cover stays payable.
pub(super) fn consume(
    writing: &mut Writing<'_>,
    booking: &Booking,
    provider: &str,
    charge: Ticks,
) -> Result<(), StoreError> {
    let connection = writing.connection;
    if !writing.names.is_prepaid(connection, provider)? {
        return Ok(());
    }
    let (numbers, lots): (Vec<i64>, Vec<Lot>) =
        connection.query_all::<_, Vec<_>>(LOTS_OPEN, params![provider], numbered_lot)?.into_iter().unzip();
    let at = Timestamp::from_microsecond(booking.at).expect("it was made from an instant");
    for taken in take(&lots, charge, at) {
        let lot = numbers[taken.lot];
        // A lot gives at most what it has.
        connection.change_one(LOT_TAKE, params![lot, taken.quantity_millionths])?;
        connection.change_one(
            USE_INSERT,
            params![booking.attempt, lot, taken.quantity_millionths, taken.cost.get(), taken.covered.get()],
        )?;
        let legs = [
            ("credits", -taken.cost),
            ("consumed", taken.cost),
            ("payable", -taken.covered),
            ("covered", taken.covered),
        ];
        let movement = (Movement::Consume, booking.at);
        book(connection, lot, Some(booking.attempt), movement, provider, &legs)?;
    }
    Ok(())
}

/// Books what is left of lots that are over as lost; how many there were, and what they had cost.
pub(crate) fn expire(writing: &mut Writing<'_>, now: Timestamp) -> Result<(u32, Ticks), StoreError> {
    let connection = writing.connection;
    let over: Vec<_> = connection.query_all(LOTS_OVER, params![micros(now)], numbered_lot)?;
    let mut sum = (0, Ticks::ZERO);
    for (number, lot) in over {
        let loss = lot.cost_remaining();
        // A lot expires once.
        connection.change_one(LOT_EXPIRE, params![number, loss.get()])?;
        let legs = [("credits", -loss), ("expired", loss)];
        book(connection, number, None, (Movement::Expire, micros(now)), &lot.provider, &legs)?;
        sum = (sum.0 + 1, sum.1 + loss);
        writing.names.forget_prepaid();
    }
    Ok(sum)
}

/// Books legs of the provider's accounts that sum to zero.
fn book(
    connection: &dyn Sql,
    lot: i64,
    attempt: Option<i64>,
    (kind, at): (Movement, i64),
    provider: &str,
    legs: &[(&str, Ticks)],
) -> Result<(), StoreError> {
    let sum: Ticks = legs.iter().map(|(_, amount)| *amount).sum();
    assert!(sum.is_zero(), "the legs of a movement sum to {sum}, not to zero");
    for (part, amount) in legs {
        let account = account(connection, provider, part)?;
        connection
            .change_one(ENTRY_INSERT, params![lot, attempt, account, amount.get(), at, kind.as_str()])?;
    }
    Ok(())
}

pub(super) fn account(connection: &dyn Sql, provider: &str, part: &str) -> Result<i64, StoreError> {
    let name = format!("provider:{provider}:{part}");
    let found = connection.query_opt(ACCOUNT, params![&name], |row| row.get(0))?;
    if let Some(found) = found {
        return Ok(found);
    }
    connection.insert(ACCOUNT_INSERT, params![&name])
}

pub(super) fn numbered_lot(row: &Row<'_>) -> Result<(i64, Lot), StoreError> {
    Ok((row.get(0)?, lot(row, 1)?))
}

/// A lot from ten columns.
pub(crate) fn lot(row: &Row<'_>, first: usize) -> Result<Lot, StoreError> {
    Ok(Lot {
        provider: row.get(first)?,
        currency: row.get(first + 1)?,
        quantity_millionths: row.get(first + 2)?,
        remaining_millionths: row.get(first + 3)?,
        price: words::ticks(row, first + 4)?,
        fee: FeeRule { rate_millionths: row.get(first + 5)?, minimum: words::ticks(row, first + 6)? },
        list: words::ticks(row, first + 7)?,
        purchased_at: words::timestamp(row, first + 8)?,
        expires_at: words::timestamp_opt(row, first + 9)?,
    })
}

impl Names {
    /// Whether a provider has credits left.
    fn is_prepaid(&mut self, connection: &dyn Sql, provider: &str) -> Result<bool, StoreError> {
        if self.prepaid.is_none() {
            self.prepaid = Some(prepaid(connection)?);
        }
        Ok(self.prepaid.as_ref().is_some_and(|prepaid| prepaid.contains(provider)))
    }

    pub(crate) fn forget_prepaid(&mut self) {
        self.prepaid = None;
    }
}
