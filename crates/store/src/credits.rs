//! Prepaid credits: lots as they are bought, listed and lost, and the charges that forecasts look back on.
//!
//! Settlements take from them by themselves (`ledger/credits.rs`, where their money is booked). It refuses to
//! foresee anything, and to know a price: a lot brings what a credit counts.

use gallerist_domain::credits::Lot;
use gallerist_domain::{LotId, Ticks};
use jiff::{SignedDuration, Timestamp};
use serde_json::json;
use std::collections::BTreeMap;

use crate::audit::{self, Act};
use crate::ledger::adjust::{Adjustment, adjust, credits};
use crate::ledger::credits as rules;
use crate::sql::{Row, Sql, params};
use crate::words::{self, micros, statements};
use crate::{Store, StoreError};

/// A lot with what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LotRecord {
    pub id: LotId,
    pub lot: Lot,
    pub created_at: Timestamp,
    /// What the credits that were used had been bought for.
    pub consumed: Ticks,
    /// The charges that they paid.
    pub covered: Ticks,
    pub expired_millionths: i64,
    /// What the credits that nobody used in time had been bought for.
    pub expired: Ticks,
    /// Credits that moved without an attempt: used outside, or corrected; negative where more came back.
    pub outside_millionths: i64,
    /// What they had been bought for.
    pub outside: Ticks,
}

/// What became lost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Expired {
    pub lots: u32,
    /// What the credits had been bought for.
    pub loss: Ticks,
}

/// What a provider charged on each of the last days in UTC, oldest first, today's last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DailyCharges {
    pub provider: String,
    pub days: Vec<Ticks>,
}

/// Maxima of attempts at a provider of which the charge is not known yet.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OpenAmounts {
    /// Of those under way.
    pub held: Ticks,
    /// Of those that are disputed.
    pub disputed: Ticks,
}

statements! {
    // A request with an attempt under way runs; so its index is of use.
    HELD_AT = "SELECT coalesce(sum(a.reserved_ticks), 0) FROM requests r JOIN attempts a ON a.request = r.number
        WHERE r.status = 'running' AND a.status = 'reserved' AND a.provider = ?1 /* OPEN a */";
    DISPUTED_AT = "SELECT coalesce(sum(a.reserved_ticks), 0) FROM attempts a
        WHERE a.status = 'disputed' AND a.provider = ?1 /* OPEN a */";
    LOTS = "SELECT l.id, l.created_at,
            coalesce((SELECT sum(cost_ticks) FROM credit_uses u WHERE u.lot = l.number), 0),
            coalesce((SELECT sum(covered_ticks) FROM credit_uses u WHERE u.lot = l.number), 0),
            l.expired, l.expired_ticks,
            l.provider, l.currency, l.quantity, l.remaining, l.price_ticks, l.fee_rate_millionths,
            l.fee_minimum_ticks, l.list_ticks, l.purchased_at, l.expires_at,
            coalesce((SELECT sum(quantity) FROM credit_adjustments x WHERE x.lot = l.number), 0),
            coalesce((SELECT sum(cost_ticks) FROM credit_adjustments x WHERE x.lot = l.number), 0)
        FROM credit_lots l ORDER BY l.provider, l.expires_at IS NULL, l.expires_at, l.number";
    // A settlement counts on the day on which its request was accepted; so the index of those is of use.
    DAILY = "SELECT a.provider, (r.created_at - ?1) / 86400000000, sum(a.charged_ticks)
        FROM requests r JOIN attempts a ON a.request = r.number
        WHERE r.created_at >= ?1 AND r.created_at < ?2 AND a.charged_ticks > 0
            AND a.provider IN (SELECT provider FROM credit_lots WHERE remaining > 0)
        GROUP BY 1, 2";
}

impl Store {
    /// Enters credits that were bought. Refused with [`StoreError::Invalid`] where no provider sells that.
    pub async fn add_lot(&self, id: LotId, lot: Lot, now: Timestamp) -> Result<(), StoreError> {
        let actor = self.actor.clone();
        self.write(move |writing| {
            rules::add(writing, id, &lot, now)?;
            let after = json!({
                "provider": lot.provider,
                "price_usd": lot.price,
                "expires_at": lot.expires_at,
            });
            let subject = &id.to_string();
            let (action, after) = ("credits.add", Some(after));
            let act = Act { actor: &actor, action, subject, project: None, before: None, after, at: now };
            audit::write(writing.connection, &act)
        })
        .await
    }

    /// Takes back the entry of a lot of which nothing was used.
    ///
    /// # Errors
    /// [`StoreError::UnknownLot`], or [`StoreError::LotMoved`] where something was.
    pub async fn remove_lot(&self, id: LotId, now: Timestamp) -> Result<(), StoreError> {
        let actor = self.actor.clone();
        self.write(move |writing| {
            let lot = rules::remove(writing, id)?;
            let before = json!({
                "provider": lot.provider,
                "currency": lot.currency,
                "credits": credits(lot.quantity_millionths),
                "price_usd": lot.price,
                "purchased_at": lot.purchased_at,
                "expires_at": lot.expires_at,
            });
            let (subject, action, before) = (&id.to_string(), "credits.remove", Some(before));
            let act = Act { actor: &actor, action, subject, project: None, before, after: None, at: now };
            audit::write(writing.connection, &act)
        })
        .await
    }

    /// Books credits of a provider that moved without an attempt. Refused with [`StoreError::Invalid`] where the
    /// lots cannot bear it.
    pub async fn adjust_credits(
        &self,
        provider: &str,
        adjustment: Adjustment,
        note: &str,
        now: Timestamp,
    ) -> Result<(), StoreError> {
        let (provider, note, actor) = (provider.to_owned(), note.to_owned(), self.actor.clone());
        self.write(move |writing| {
            adjust(writing, &provider, adjustment, &note, now)?;
            let after = match adjustment {
                Adjustment::Use(used) => json!({"use": credits(used), "note": note}),
                Adjustment::Balance(left) => json!({"balance": credits(left), "note": note}),
            };
            let (action, after) = ("credits.adjust", Some(after));
            let act = Act {
                actor: &actor,
                action,
                subject: &provider,
                project: None,
                before: None,
                after,
                at: now,
            };
            audit::write(writing.connection, &act)
        })
        .await
    }

    /// All lots, also those that are used or lost: by provider, what expires first in front.
    pub async fn lots(&self) -> Result<Vec<LotRecord>, StoreError> {
        self.read(all_lots).await
    }

    /// What a provider may have charged already without our knowing.
    pub async fn open_at(&self, provider: &str) -> Result<OpenAmounts, StoreError> {
        let provider = provider.to_owned();
        self.read(move |connection| {
            let sum = |sql| connection.query_row(sql, params![provider], |row| words::ticks(row, 0));
            Ok(OpenAmounts { held: sum(HELD_AT)?, disputed: sum(DISPUTED_AT)? })
        })
        .await
    }

    /// Books what is left of lots that are over as lost. Repeating it does nothing.
    pub async fn expire_lots(&self, now: Timestamp) -> Result<Expired, StoreError> {
        let (lots, loss) = self.write(move |writing| rules::expire(writing, now)).await?;
        Ok(Expired { lots, loss })
    }

    /// What the providers that have credits left charged on each of the last `days`, today included. A provider
    /// without charges is not in it.
    pub async fn daily_charges(&self, days: u32, now: Timestamp) -> Result<Vec<DailyCharges>, StoreError> {
        self.read(move |connection| daily(connection, days, now)).await
    }
}

pub(crate) fn all_lots(connection: &dyn Sql) -> Result<Vec<LotRecord>, StoreError> {
    connection.query_all(LOTS, params![], record)
}

pub(crate) fn daily(
    connection: &dyn Sql,
    days: u32,
    now: Timestamp,
) -> Result<Vec<DailyCharges>, StoreError> {
    let midnight = now.as_second() - now.as_second().rem_euclid(86_400);
    let today = Timestamp::from_second(midnight).expect("it lies a day before an instant at most");
    let since = today - SignedDuration::from_hours(24 * (i64::from(days.max(1)) - 1));
    let until = today + SignedDuration::from_hours(24);
    let rows: Vec<_> = connection.query_all(DAILY, params![micros(since), micros(until)], |row| {
        Ok((row.get::<String>(0)?, row.get::<u32>(1)?, words::ticks(row, 2)?))
    })?;
    let mut found: BTreeMap<String, Vec<Ticks>> = BTreeMap::new();
    for (provider, day, charged) in rows {
        let daily = found.entry(provider).or_insert_with(|| vec![Ticks::ZERO; days.max(1) as usize]);
        daily[day as usize] = charged;
    }
    Ok(found.into_iter().map(|(provider, days)| DailyCharges { provider, days }).collect())
}

fn record(row: &Row<'_>) -> Result<LotRecord, StoreError> {
    Ok(LotRecord {
        id: words::lot_id(row, 0)?,
        created_at: words::timestamp(row, 1)?,
        consumed: words::ticks(row, 2)?,
        covered: words::ticks(row, 3)?,
        expired_millionths: row.get(4)?,
        expired: words::ticks(row, 5)?,
        lot: rules::lot(row, 6)?,
        outside_millionths: row.get(16)?,
        outside: words::ticks(row, 17)?,
    })
}
