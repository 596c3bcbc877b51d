//! Whether a provider's balance differs from the books by more than what is under way can explain.

use gallerist_domain::Ticks;

/// The provider's balance less the books, at the provider's prices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Difference {
    pub worth: Ticks,
    /// Maxima of what may be charged already and is not booked: it can make the provider's figure less, never
    /// more.
    pub open: Ticks,
    /// Differences up to this are no news.
    pub threshold: Ticks,
}

/// `None` where the difference is no news; else how often the threshold has doubled before it, so that whoever is
/// told once for each number hears of it again when it grows.
pub fn doublings(Difference { worth, open, threshold }: Difference) -> Option<u32> {
    let explained = if worth.is_negative() { i128::from(open.get().max(0)) } else { 0 };
    let left = i128::from(worth.get()).abs() - explained;
    let threshold = i128::from(threshold.get().max(0));
    if left <= threshold {
        return None;
    }
    Some((left / threshold.max(1)).ilog2())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(worth: i64, open: i64) -> Option<u32> {
        let cents = |cents: i64| Ticks::new(cents * 100_000_000);
        doublings(Difference { worth: cents(worth), open: cents(open), threshold: cents(100) })
    }

    #[test]
    fn what_is_under_way_explains_that_less_is_left_and_never_that_more_is() {
        assert_eq!((of(0, 0), of(-100, 0), of(100, 0)), (None, None, None));
        assert_eq!((of(-101, 0), of(101, 0)), (Some(0), Some(0)));
        assert_eq!(of(-150, 50), None);
        assert_eq!(of(-151, 50), Some(0));
        assert_eq!(of(150, 50), Some(0));
    }

    #[test]
    fn it_is_told_again_when_it_has_doubled() {
        assert_eq!(
            [of(-199, 0), of(-200, 0), of(-399, 0), of(-400, 0)],
            [Some(0), Some(1), Some(1), Some(2)]
        );
        let all = Difference { worth: Ticks::new(i64::MIN), open: Ticks::ZERO, threshold: Ticks::ZERO };
        assert_eq!(doublings(all), Some(63), "every difference is news, and nothing overflows");
    }
}
