//! A quantity learned from reality: for what only the provider's answer tells, what past answers told.
//!
//! Two kinds of estimate give way to it: `learned`, which is nothing but a first guess, and `work_time`, whose formula
//! stays the bound: what was seen moves a figure within the least and the most that the sheet says, so that a
//! card that hangs does not become what is expected of it, and no reservation grows.
//!
//! **Rule.** From [`OBSERVATIONS_MIN`] observations on, *expected* is their mean, rounded half up; *min* the
//! least seen; *max* the larger of the highest seen and the 95th percentile × 1.25, rounded up. The percentile
//! is the nearest rank: of 40 observations the 38th. With fewer, the catalogue's own range counts.
//!
//! It refuses to choose the observations: whoever has the books brings those of one offer, operation, size and
//! steps, and where guidance decides how long it takes, of one guidance.

use crate::sheet::{Each, Estimate, EstimateForm, PriceSheet, Range, Terms};
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

/// What a sheet learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lesson {
    pub meter: Meter,
    /// Whether a picture or a call is counted.
    pub each: Each,
    /// Whether guidance decides the quantity, so that only charges at the same guidance teach.
    pub guided: bool,
    /// Whether it is time of work, of which a call that broke off tells nothing.
    pub of_work: bool,
}

impl Lesson {
    /// `None` for a sheet that learns nothing: it has no such estimate, or its estimates of the meter are told apart
    /// by more than operation, size, steps, tier and region, so that charges would be mixed that are not alike.
    pub fn of(sheet: &PriceSheet) -> Option<Lesson> {
        let learns = |estimate: &&Estimate| matches!(estimate.form, EstimateForm::Learned(_));
        if let Some(found) = sheet.estimates.iter().find(learns) {
            return Some(Lesson { meter: found.meter, each: found.each, guided: false, of_work: false });
        }
        let works = |estimate: &&Estimate| matches!(estimate.form, EstimateForm::WorkTime { .. });
        let Estimate { meter, each, .. } = *sheet.estimates.iter().find(works)?;
        let mut of_meter = sheet.estimates.iter().filter(|estimate| estimate.meter == meter);
        let guided = of_meter
            .clone()
            .any(|estimate| matches!(estimate.form, EstimateForm::WorkTime { guided: true, .. }));
        let of_canvas = |estimate: &Estimate| estimate.when.terms().is_none_or(Terms::are_of_canvas);
        let alike = of_meter.all(|estimate| estimate.each == each && of_canvas(estimate));
        alike.then_some(Lesson { meter, each, guided, of_work: true })
    }

    /// What observations of this teach.
    pub fn taught(self, range: Range) -> Learned {
        Learned { meter: self.meter, each: self.each, range }
    }
}

/// What past charges taught about calls of one kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learned {
    pub meter: Meter,
    pub each: Each,
    pub range: Range,
}

impl Learned {
    /// The range, where the estimate is of what was learned.
    pub fn about(self, estimate: &Estimate) -> Option<Range> {
        (self.meter == estimate.meter && self.each == estimate.each).then_some(self.range)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{CATALOGUE, find};
    use std::sync::Arc;

    #[test]
    fn a_sheet_learns_its_learned_quantity_else_its_time_of_work() {
        let lesson = |kind: &str, model: &str| Lesson::of(&find(kind, model).1.sheet);
        let seconds = Lesson { meter: Meter::GpuSeconds, each: Each::Image, guided: true, of_work: true };
        assert_eq!(lesson("automatic1111", "sdxl"), Some(seconds));
        // Nobody guides a picture that is made larger.
        assert_eq!(lesson("automatic1111", "real-esrgan"), Some(Lesson { guided: false, ..seconds }));
        // Its cold start is learned; the seconds of its cards are not, and its charges teach nothing of them.
        let cold = Lesson { meter: Meter::ColdStartSeconds, each: Each::Call, guided: false, of_work: false };
        assert_eq!(lesson("gpu-cloud", "flux-1-dev"), Some(cold));
        assert_eq!(lesson("openai", "gpt-image-2"), None);
        assert!(CATALOGUE.providers.iter().any(|provider| provider.kind == "gpu-cloud"));
    }

    #[test]
    fn what_charges_do_not_tell_apart_is_not_learned() {
        let (_, model) = find("automatic1111", "sdxl");
        let with = |change: &dyn Fn(&mut Estimate)| {
            let mut sheet = PriceSheet::clone(&Arc::clone(&model.sheet));
            change(&mut sheet.estimates[0]);
            Lesson::of(&sheet)
        };
        assert!(
            with(&|estimate| estimate.when = Terms { steps_min: Some(10), ..Terms::default() }.into())
                .is_some()
        );
        assert!(
            with(&|estimate| estimate.when =
                Terms { tiers: vec!["spot".to_owned()], ..Terms::default() }.into())
            .is_some()
        );
        assert_eq!(
            with(&|estimate| estimate.when =
                Terms { qualities: vec!["a100".to_owned()], ..Terms::default() }.into()),
            None
        );
        assert_eq!(
            with(&|estimate| estimate.when =
                Terms { options_absent: vec!["styles".to_owned()], ..Terms::default() }.into()),
            None
        );
        assert_eq!(with(&|estimate| estimate.each = Each::Call), None);
    }

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
