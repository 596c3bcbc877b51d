//! What the calculators are asked, and the counting that several sheets share.

use crate::exact::{Fraction, whole};
use gallerist_domain::{ImageCall, Operation, Size};
use jiff::Timestamp;

/// 1024 × 1024 pixels: a megapixel as BFL, fal and Replicate count it.
pub const BINARY_MEGAPIXEL: i64 = 1_048_576;
/// A megapixel as Together counts it, and perhaps fal for the older models.
pub const DECIMAL_MEGAPIXEL: i64 = 1_000_000;

/// One generated call at one row of the catalogue.
#[derive(Clone, Copy)]
pub struct Question<'a> {
    pub kind: &'a str,
    /// Canonical name of the model.
    pub model: &'a str,
    pub call: &'a ImageCall,
    pub at: Timestamp,
}

impl Question<'_> {
    pub fn images(&self) -> Fraction {
        whole(self.call.n)
    }

    /// A vendor's own parameter; empty where it was not sent.
    pub fn word(&self, name: &str) -> &str {
        let words = &self.call.option_words;
        words.iter().find(|word| word.name == name).map_or("", |word| word.value.as_str())
    }

    pub fn generates(&self) -> bool {
        self.call.operation == Operation::Generate
    }

    pub fn inputs(&self) -> &[Size] {
        &self.call.ingredients.inputs
    }

    pub fn input_count(&self) -> Fraction {
        whole(i64::try_from(self.inputs().len()).expect("few pictures"))
    }

    pub fn is_before(&self, instant: &str) -> bool {
        self.at < instant.parse().expect("the oracle's own instants are instants")
    }

    /// Megapixels of the output that were begun, at least one.
    pub fn output_megapixels(&self, unit: i64) -> Fraction {
        whole(begun(self.call.size.pixels(), unit))
    }

    /// Megapixels of all inputs, each begun on its own; inputs above 4 MP are shrunk to 4 MP first.
    pub fn input_megapixels(&self) -> Fraction {
        whole(self.inputs().iter().map(|size| begun(size.pixels(), BINARY_MEGAPIXEL).min(4)).sum::<i64>())
    }
}

/// Units that were begun, at least one.
pub fn begun(pixels: i64, unit: i64) -> i64 {
    pixels.div_euclid(unit) + i64::from(pixels.rem_euclid(unit) > 0 || pixels == 0)
}
