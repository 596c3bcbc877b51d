//! When a limit is reached if spending goes on as it did since its window began.

use jiff::{SignedDuration, Timestamp};

/// A window says nothing about its end before this part of it has passed: a tenth.
const PART_SEEN: i128 = 10;
/// A limit without an end of its window is looked at after so long …
const ENDLESS_SEEN: SignedDuration = SignedDuration::from_hours(24);
/// … and told of when it is reached within this time.
const ENDLESS_AHEAD: SignedDuration = SignedDuration::from_hours(7 * 24);

/// What was spent of a limit, in its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// When counting began.
    pub start: Timestamp,
    /// When it begins anew; absent: never.
    pub end: Option<Timestamp>,
    pub spent: i64,
    pub limit: i64,
}

/// When the limit is reached at the pace of the window so far, if that is before the window ends (without an
/// end: within a week). `None` too where the limit is reached already, and where too little of the window has
/// passed to tell a pace from a beginning.
pub fn reached_at(Spent { start, end, spent, limit }: Spent, now: Timestamp) -> Option<Timestamp> {
    if spent <= 0 || spent >= limit || now <= start {
        return None;
    }
    let elapsed = now.duration_since(start);
    let before = match end {
        Some(end) => {
            let whole = end.duration_since(start);
            if elapsed.as_micros() * PART_SEEN < whole.as_micros() {
                return None;
            }
            end
        }
        None if elapsed < ENDLESS_SEEN => return None,
        None => now.checked_add(ENDLESS_AHEAD).ok()?,
    };
    // Microseconds of all of time times any amount stay below 2^122.
    let product = elapsed.as_micros() * i128::from(limit);
    let after = i64::try_from((product + i128::from(spent) - 1) / i128::from(spent)).ok()?;
    let reached = start.checked_add(SignedDuration::from_micros(after)).ok()?;
    (reached < before).then_some(reached)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn november(spent: i64, limit: i64) -> Spent {
        Spent { start: at("2026-11-01T00:00:00Z"), end: Some(at("2026-12-01T00:00:00Z")), spent, limit }
    }

    #[test]
    fn at_this_pace_the_cap_is_reached_on_the_23rd() {
        // 50 of 110 in ten days: ten days more make 100, two more the rest.
        let now = at("2026-11-11T00:00:00Z");
        assert_eq!(reached_at(november(50, 110), now), Some(at("2026-11-23T00:00:00Z")));
        // A third of the limit in a third of the month ends with it.
        assert_eq!(reached_at(november(50, 150), now), None);
        assert_eq!(reached_at(november(50, 149), now), Some(at("2026-11-30T19:12:00Z")));
    }

    #[test]
    fn a_beginning_is_no_pace_and_what_is_reached_is_not_foretold() {
        assert_eq!(reached_at(november(90, 100), at("2026-11-03T23:59:59Z")), None);
        assert!(reached_at(november(90, 100), at("2026-11-04T00:00:00Z")).is_some());
        assert_eq!(reached_at(november(100, 100), at("2026-11-20T00:00:00Z")), None);
        assert_eq!(reached_at(november(0, 100), at("2026-11-20T00:00:00Z")), None);
        assert_eq!(reached_at(november(50, 100), at("2026-10-20T00:00:00Z")), None);
    }

    #[test]
    fn a_limit_without_an_end_is_told_of_a_week_ahead() {
        let forever = |spent| Spent { end: None, ..november(spent, 100) };
        let now = at("2026-11-11T00:00:00Z");
        assert_eq!(reached_at(forever(58), now), None);
        assert_eq!(reached_at(forever(60), now), Some(at("2026-11-17T16:00:00Z")));
        assert_eq!(reached_at(forever(99), at("2026-11-01T23:59:59Z")), None);
    }

    proptest! {
        #[test]
        fn it_lies_ahead_in_the_window_and_more_spending_never_delays_it(
            length in 1_i64..40_000_000,
            passed in 0_i64..40_000_000,
            spent in i64::MIN..i64::MAX,
            more in 0_i64..i64::MAX,
            limit in 0_i64..i64::MAX,
            endless in any::<bool>(),
        ) {
            let start = at("2026-11-01T00:00:00Z");
            let end = start + SignedDuration::from_secs(length);
            let now = start + SignedDuration::from_secs(passed);
            let of = |spent| reached_at(Spent { start, end: (!endless).then_some(end), spent, limit }, now);
            if let Some(reached) = of(spent) {
                prop_assert!(reached > now, "{reached} is not after {now}");
                prop_assert!(endless || reached < end);
                let later = spent.saturating_add(more);
                if later < limit {
                    prop_assert!(of(later).is_some_and(|sooner| sooner <= reached));
                }
            }
        }
    }
}
