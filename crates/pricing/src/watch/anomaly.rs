//! Whether a figure of a day lies outside the range of the days before it.
//!
//! The range is the median with a distance on both sides: 3.5 standard deviations as the median absolute
//! deviation estimates them (it is 1/1.4826 of one where days scatter evenly), and at least a tenth of the
//! median, so that days which were all alike do not make the smallest change an alarm. Half of the days may be
//! as odd as they like without moving it much.

use gallerist_domain::alert::{CostAnomaly, WatchedFigure};
use gallerist_domain::money::divide_half_up;
use gallerist_domain::{Decimal, Ticks};
use jiff::civil::Date;

/// Days that a range rests on at least.
pub const DAYS_MIN: usize = 7;
/// Pictures that a day delivered at least, to count as one of them.
pub const IMAGES_MIN: u64 = 5;
/// Attempts of the day that is judged, at least.
pub const ATTEMPTS_MIN: u64 = 10;

/// 3.5 × 1.4826 in hundredths: median absolute deviations that are still usual.
const DEVIATIONS_HUNDREDTHS: i128 = 519;
/// The least distance, as a part of the median.
const DISTANCE_PART: i128 = 10;

/// What a model did for a project on a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DayFigures {
    pub charged: Ticks,
    /// The part of it that rests on prices below official, or read long before.
    pub doubtful: Ticks,
    /// Delivered.
    pub images: u64,
    /// That have ended, however.
    pub attempts: u64,
}

impl DayFigures {
    /// In ticks or thousandths of an attempt. Where nothing was delivered, what a first picture would have had:
    /// the figure is then at least that.
    fn of(&self, figure: WatchedFigure) -> i64 {
        match figure {
            WatchedFigure::CostPerImage => self.per_image(i128::from(self.charged.get())),
            WatchedFigure::AttemptsPerImage => self.per_image(i128::from(self.attempts) * 1_000),
        }
    }

    fn per_image(&self, sum: i128) -> i64 {
        let value = divide_half_up(sum, i128::from(self.images.max(1)));
        value.and_then(|value| i64::try_from(value).ok()).unwrap_or(i64::MAX)
    }
}

/// Where a figure usually lies, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UsualRange {
    pub low: i64,
    pub median: i64,
    pub high: i64,
    pub days: u32,
}

/// The range of what was seen, none of it negative; `None` for fewer than [`DAYS_MIN`] values.
pub fn usual_range(values: &[i64]) -> Option<UsualRange> {
    if values.len() < DAYS_MIN {
        return None;
    }
    let median = median(values);
    let deviations: Vec<i64> =
        values.iter().map(|value| value.abs_diff(median).try_into()).collect::<Result<_, _>>().ok()?;
    let spread = i128::from(self::median(&deviations)) * DEVIATIONS_HUNDREDTHS / 100;
    let distance = spread.max(i128::from(median) / DISTANCE_PART);
    let end = |value: i128| i64::try_from(value).unwrap_or(i64::MAX);
    Some(UsualRange {
        low: end((i128::from(median) - distance).max(0)),
        median,
        high: end(i128::from(median) + distance),
        days: u32::try_from(values.len()).unwrap_or(u32::MAX),
    })
}

/// Of an even number the mean of the middle two, rounded down; of none zero.
fn median(values: &[i64]) -> i64 {
    let mut sorted = values.to_vec();
    sorted.sort_unstable();
    let middle = sorted.len() / 2;
    match sorted.as_slice() {
        [] => 0,
        sorted if sorted.len() % 2 == 1 => sorted[middle],
        // The mean of two lies between them.
        sorted => sorted[middle - 1] + (sorted[middle] - sorted[middle - 1]) / 2,
    }
}

/// The figures of `day` that lie outside the range of the days before it.
pub fn anomalies(model: &str, day: Date, past: &[DayFigures], today: &DayFigures) -> Vec<CostAnomaly> {
    if today.attempts < ATTEMPTS_MIN {
        return Vec::new();
    }
    let counted: Vec<&DayFigures> = past.iter().filter(|day| day.images >= IMAGES_MIN).collect();
    let judge = |figure| {
        let values: Vec<i64> = counted.iter().map(|day| day.of(figure)).collect();
        let range = usual_range(&values)?;
        let observed = today.of(figure);
        // Without a picture the figure is a least one, which says nothing about being low.
        let low = observed < range.low && today.images > 0;
        let doubtful = Ticks::new(today.per_image(i128::from(today.doubtful.get())));
        let (digits, doubtful) = match figure {
            WatchedFigure::CostPerImage => (10, Some(doubtful)),
            WatchedFigure::AttemptsPerImage => (3, None),
        };
        let shown = |value: i64| Decimal::new(i128::from(value), digits);
        (low || observed > range.high).then(|| CostAnomaly {
            model: model.to_owned(),
            figure,
            day,
            observed: shown(observed),
            usual_low: shown(range.low),
            usual_high: shown(range.high),
            usual: shown(range.median),
            doubtful,
            days: range.days,
            images: today.images,
            attempts: today.attempts,
        })
    };
    [WatchedFigure::CostPerImage, WatchedFigure::AttemptsPerImage].into_iter().filter_map(judge).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn day(cents: i64, images: u64, attempts: u64) -> DayFigures {
        let charged = Ticks::new(cents * 100_000_000);
        DayFigures { charged, doubtful: Ticks::new(charged.get() / 4), images, attempts }
    }

    fn judged(past: &[DayFigures], today: DayFigures) -> Vec<CostAnomaly> {
        anomalies("flux-1.1-pro", "2026-11-28".parse().unwrap(), past, &today)
    }

    #[test]
    fn the_range_is_worked_out_by_hand() {
        // Median 41; distances 3 1 0 1 2 9 1 with the median 1; 5.19 rounds down to 5 and beats 4.1.
        let range = usual_range(&[38, 40, 41, 42, 43, 50, 40]).unwrap();
        assert_eq!(range, UsualRange { low: 36, median: 41, high: 46, days: 7 });
        // Days that are all alike leave a tenth on both sides.
        let range = usual_range(&[400; 10]).unwrap();
        assert_eq!(range, UsualRange { low: 360, median: 400, high: 440, days: 10 });
        assert_eq!(usual_range(&[400; 6]), None);
        assert_eq!(usual_range(&[0; 8]).unwrap(), UsualRange { low: 0, median: 0, high: 0, days: 8 });
    }

    #[test]
    fn a_model_that_costs_more_or_needs_more_tries_is_told_with_its_usual_range() {
        let past = [day(400, 100, 104); 10];
        assert_eq!(judged(&past, day(200, 50, 53)), []);
        let dearer = judged(&past, day(300, 50, 53));
        assert_eq!(dearer.len(), 1);
        assert_eq!((dearer[0].figure, dearer[0].is_below()), (WatchedFigure::CostPerImage, false));
        assert_eq!(dearer[0].observed.to_string(), "0.0600000000");
        assert_eq!(dearer[0].usual_high.to_string(), "0.0440000000");
        assert_eq!(dearer[0].doubtful, Some(Ticks::new(150_000_000)), "a quarter of it");
        let failing = judged(&past, day(200, 50, 90));
        assert_eq!(failing.len(), 1);
        assert_eq!((failing[0].figure, failing[0].doubtful), (WatchedFigure::AttemptsPerImage, None));
        assert_eq!(
            (failing[0].observed.to_string(), failing[0].usual.to_string()),
            ("1.800".to_owned(), "1.040".to_owned())
        );
        let cheaper = judged(&past, day(100, 50, 52));
        assert!(cheaper.len() == 1 && cheaper[0].is_below());
    }

    #[test]
    fn nothing_is_said_from_too_little_and_a_day_without_pictures_counts_from_below() {
        let past = [day(400, 100, 100); 10];
        assert_eq!(judged(&past, day(900, 9, 9)), []);
        assert_eq!(judged(&past[..6], day(9_000, 50, 50)), []);
        // Days with a picture or two say nothing about what is usual.
        assert_eq!(judged(&[day(8, 2, 2); 10], day(9_000, 50, 50)), []);
        // Twenty tries, no picture and no charge: only the tries are known to be many.
        let figures: Vec<_> = judged(&past, day(0, 0, 20)).iter().map(|found| found.figure).collect();
        assert_eq!(figures, [WatchedFigure::AttemptsPerImage]);
    }

    proptest! {
        #[test]
        fn the_range_holds_its_median_and_most_days_and_ignores_order_and_single_days(
            mut values in prop::collection::vec(0_i64..1_000_000_000_000, 7..40),
            odd in 0_i64..i64::MAX,
        ) {
            let range = usual_range(&values).unwrap();
            prop_assert!(0 <= range.low && range.low <= range.median && range.median <= range.high);
            let inside = values.iter().filter(|value| (range.low..=range.high).contains(value)).count();
            prop_assert!(inside * 2 >= values.len(), "{inside} of {}", values.len());
            values.reverse();
            prop_assert_eq!(usual_range(&values), Some(range));
            // Whatever one day does, the median stays between its neighbours.
            let mut sorted = values.clone();
            sorted.sort_unstable();
            let middle = sorted.len() / 2;
            values[0] = odd;
            let moved = usual_range(&values).unwrap();
            prop_assert!(moved.median >= sorted[middle.saturating_sub(2)]);
            prop_assert!(moved.median <= sorted[(middle + 1).min(sorted.len() - 1)]);
        }

        #[test]
        fn no_figures_break_it(
            past in prop::collection::vec((0_i64..i64::MAX, any::<u64>(), any::<u64>()), 0..12),
            today in (0_i64..i64::MAX, any::<u64>(), any::<u64>()),
        ) {
            let figures = |(charged, images, attempts)| DayFigures {
                charged: Ticks::new(charged), doubtful: Ticks::new(charged / 2), images, attempts,
            };
            let past: Vec<_> = past.into_iter().map(figures).collect();
            for found in judged(&past, figures(today)) {
                prop_assert!(found.is_below() || found.observed.mantissa() > found.usual_high.mantissa());
            }
        }
    }
}
