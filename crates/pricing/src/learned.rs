//! A quantity learned from reality: for what only the provider's answer tells, what past answers told.
//!
//! **Rule.** From [`OBSERVATIONS_MIN`] observations on, *expected* is their mean, rounded half up; *min* the
//! least seen; *max* the larger of the highest seen and the 95th percentile × 1.25, rounded up. The percentile
//! is the nearest rank: of 40 observations the 38th. With fewer, the catalogue's own range counts.
//!
//! It refuses to choose the observations: whoever has the books brings those of one offer, size and steps.

use crate::sheet::{Each, EstimateForm, PriceSheet, Range};
use gallerist_domain::Meter;
use gallerist_domain::money::divide_half_up;

/// Fewer are no distribution.
pub const OBSERVATIONS_MIN: usize = 5;

/// The range that observed quantities teach; `None` while they are too few.
pub fn learned(quantities: &[i64]) -> Option<Range> {
    if quantities.len() < OBSERVATIONS_MIN {
        return None;
    }
    let mut sorted = quantities.to_vec();
    sorted.sort_unstable();
    let count = sorted.len();
    let sum: i128 = sorted.iter().map(|quantity| i128::from(*quantity)).sum();
    let expected = i64::try_from(divide_half_up(sum, i128::try_from(count).ok()?)?).ok()?;
    let percentile = i128::from(sorted[(count * 95).div_ceil(100) - 1]);
    let stretched = i64::try_from((percentile * 5 + 3) / 4).unwrap_or(i64::MAX);
    let (min, highest) = (sorted[0], sorted[count - 1]);
    Some(Range { min, expected, max: highest.max(stretched) })
}

/// The meter that a sheet learns, and whether a picture or a call is counted; `None` for a sheet that learns
/// nothing.
pub fn learned_meter(sheet: &PriceSheet) -> Option<(Meter, Each)> {
    let learns = |form: &EstimateForm| matches!(form, EstimateForm::Learned(_));
    sheet.estimates.iter().find(|estimate| learns(&estimate.form)).map(|found| (found.meter, found.each))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_than_five_teach_nothing() {
        assert_eq!(learned(&[]), None);
        assert_eq!(learned(&[1, 2, 3, 4]), None);
        assert!(learned(&[1, 2, 3, 4, 5]).is_some());
    }

    #[test]
    fn the_mean_is_rounded_half_up_and_the_maximum_is_bounded() {
        // Mean 17 ÷ 6 = 2.83 → 3; 95th percentile is the 6th of 6: 4 × 1.25 = 5 > 4.
        assert_eq!(learned(&[2, 2, 4, 3, 3, 3]), Some(Range { min: 2, expected: 3, max: 5 }));
        // Mean 15 ÷ 6 = 2.5 → 3.
        assert_eq!(learned(&[2, 3, 2, 3, 2, 3]).unwrap().expected, 3);
        // Nineteen of 100 and one of 1,000: the 19th of 20 is 100 × 1.25 = 125, but 1,000 was seen.
        let mut seen = vec![100; 19];
        seen.push(1_000);
        // (1,900 + 1,000) ÷ 20 = 145
        assert_eq!(learned(&seen), Some(Range { min: 100, expected: 145, max: 1_000 }));
        // 7 × 1.25 = 8.75 → 9
        assert_eq!(learned(&[7; 5]), Some(Range { min: 7, expected: 7, max: 9 }));
    }

    proptest::proptest! {
        #[test]
        fn a_range_is_in_order_and_bounds_all_that_was_seen(seen in proptest::collection::vec(0i64..i64::MAX / 2, 5..60)) {
            let range = learned(&seen).unwrap();
            proptest::prop_assert!(range.min <= range.expected && range.expected <= range.max);
            proptest::prop_assert!(seen.iter().all(|one| (range.min..=range.max).contains(one)));
        }
    }
}
