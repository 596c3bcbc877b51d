//! Ends that come near: a model that retires, credits that are lost or used up. Each is told again when it is
//! nearer.

use crate::credits::{Forecast, Lot};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, Unit};

/// Days ahead at which people are told, the nearest first.
pub const DAYS_AHEAD: [u32; 3] = [1, 7, 30];
/// Credits that run out can be bought in a day; a month ahead is no news.
const RUN_OUT_DAYS_AHEAD_MAX: u32 = 7;
/// A forecast loss is told from this part of the lot on, since forecasts are not exact: a hundredth.
const LOSS_PART: i64 = 100;

/// An end that is near enough to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Near {
    pub days_left: u32,
    /// Which of [`DAYS_AHEAD`] it has come within: told once for each.
    pub within_days: u32,
}

/// Whether a day (in UTC) has come near; `None` when it is past, too.
pub fn near_day(day: Date, now: Timestamp) -> Option<Near> {
    near(days_left(day, now)?.into())
}

/// Days until a day (in UTC); `None` when it is past.
pub fn days_left(day: Date, now: Timestamp) -> Option<u32> {
    let today = now.to_zoned(TimeZone::UTC).date();
    u32::try_from(today.until((Unit::Day, day)).ok()?.get_days()).ok()
}

/// Whether an instant has come near, in started days.
pub fn near_instant(at: Timestamp, now: Timestamp) -> Option<Near> {
    if at <= now {
        return None;
    }
    let day = SignedDuration::from_hours(24).as_secs();
    near(at.duration_since(now).as_secs() / day)
}

fn near(days_left: i64) -> Option<Near> {
    let days_left = u32::try_from(days_left).ok()?;
    let within_days = DAYS_AHEAD.into_iter().find(|days| days_left <= *days)?;
    Some(Near { days_left, within_days })
}

/// Lots, by their place, of which a part worth telling will be lost soon.
pub fn expiring(lots: &[&Lot], forecast: &Forecast, now: Timestamp) -> Vec<(usize, Near)> {
    let told = |(place, lot): (usize, &&Lot)| {
        let lost = forecast.lots.get(place)?.lost_millionths;
        let near = near_instant(lot.expires_at?, now)?;
        (lost > 0 && lost >= lot.quantity_millionths / LOSS_PART).then_some((place, near))
    };
    lots.iter().enumerate().filter_map(told).collect()
}

/// When the last credit is used, where that is near and no loss is what ends them.
pub fn running_out(forecast: &Forecast, now: Timestamp) -> Option<(Timestamp, Near)> {
    let run_out_at = forecast.run_out_at?;
    if forecast.lots.iter().any(|lot| lot.lost_millionths > 0) {
        return None;
    }
    let near = near_instant(run_out_at, now)?;
    (near.within_days <= RUN_OUT_DAYS_AHEAD_MAX).then_some((run_out_at, near))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::credits::{Consumption, FeeRule, forecast};
    use gallerist_domain::Ticks;

    fn now() -> Timestamp {
        "2026-11-28T15:00:00Z".parse().unwrap()
    }

    #[test]
    fn an_end_is_told_a_month_a_week_and_a_day_ahead() {
        let of =
            |day: &str| near_day(day.parse().unwrap(), now()).map(|near| (near.days_left, near.within_days));
        assert_eq!(of("2026-12-29"), None);
        assert_eq!(of("2026-12-28"), Some((30, 30)));
        assert_eq!(of("2026-12-06"), Some((8, 30)));
        assert_eq!(of("2026-12-05"), Some((7, 7)));
        assert_eq!(of("2026-11-29"), Some((1, 1)));
        assert_eq!(of("2026-11-28"), Some((0, 1)));
        assert_eq!(of("2026-11-27"), None);
        let of = |at: &str| near_instant(at.parse().unwrap(), now()).map(|near| near.days_left);
        assert_eq!(of("2026-11-28T15:00:01Z"), Some(0));
        assert_eq!(of("2026-11-28T15:00:00Z"), None);
        assert_eq!(of("2026-11-30T14:59:59Z"), Some(1));
    }

    fn lot(credits: i64, expires_at: Option<&str>) -> Lot {
        Lot {
            provider: "bfl".to_owned(),
            currency: "credit".to_owned(),
            quantity_millionths: credits * 1_000_000,
            remaining_millionths: credits * 1_000_000,
            price: Ticks::new(credits * 90_000_000),
            fee: FeeRule::NONE,
            list: Ticks::new(100_000_000),
            purchased_at: "2026-11-01T00:00:00Z".parse().unwrap(),
            expires_at: expires_at.map(|at| at.parse().unwrap()),
        }
    }

    /// So many credits a day.
    fn foreseen(lots: &[Lot], credits: i64) -> (Vec<(usize, Near)>, Option<Near>) {
        let daily = Consumption { charged: Ticks::new(credits * 100_000_000), days: 1 };
        let forecast = forecast(lots, daily, now());
        let running_out = running_out(&forecast, now()).map(|(_, near)| near);
        (expiring(&lots.iter().collect::<Vec<_>>(), &forecast, now()), running_out)
    }

    #[test]
    fn credits_are_told_of_when_they_will_be_lost_or_used_up_soon() {
        // 100 credits, 10 a day: all of them are used in ten days, but only 50 in five.
        assert_eq!(foreseen(&[lot(100, Some("2027-06-01T00:00:00Z"))], 10), (vec![], None));
        let (lost, out) = foreseen(&[lot(100, Some("2026-12-03T15:00:00Z"))], 10);
        assert_eq!((lost, out), (vec![(0, Near { days_left: 5, within_days: 7 })], None));
        let (lost, out) = foreseen(&[lot(100, None)], 16);
        assert_eq!((lost, out), (vec![], Some(Near { days_left: 6, within_days: 7 })));
        // A loss of less than a hundredth is within what a forecast cannot know.
        assert_eq!(foreseen(&[lot(1_000, Some("2026-12-08T15:00:00Z"))], 100).0, []);
        assert_eq!(foreseen(&[lot(1_000, Some("2026-12-08T14:00:00Z"))], 100).0, []);
        assert_eq!(foreseen(&[lot(1_000, Some("2026-12-08T12:00:00Z"))], 100).0.len(), 1);
    }
}
