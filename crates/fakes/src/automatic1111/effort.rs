//! How long the engine says it worked: reckoned in whole microseconds, reported in 1/10,000 seconds.
//!
//! `t0 + k x megapixels x steps x passes x pictures`, where a pass is doubled by guidance. The real engine
//! rounds its clock to four decimals; the bill takes those digits and nothing finer. No floats.

use std::fmt;
use std::ops::Add;

use super::request::Order;
use crate::money;

/// Loading, text encoding, decoding of the picture and saving.
const FIXED_US: u64 = 350_000;
/// One pass over a million pixels: about what a card of 1.10 dollars an hour needs for SDXL.
const MEGAPIXEL_STEP_US: u64 = 70_000;

/// Seconds in the precision of `X-Process-Time`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct TenThousandths(pub u64);

impl TenThousandths {
    pub(super) fn cost(self, gpu_ticks: i64, per_seconds: i64) -> i64 {
        let quantity = i64::try_from(self.0).expect("a job is shorter than an age");
        money::rated(quantity, gpu_ticks, per_seconds * 10_000)
    }
}

impl Add for TenThousandths {
    type Output = TenThousandths;

    fn add(self, other: TenThousandths) -> TenThousandths {
        TenThousandths(self.0 + other.0)
    }
}

impl fmt::Display for TenThousandths {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{:04}", self.0 / 10_000, self.0 % 10_000)
    }
}

/// A whole request.
pub(super) fn seconds(order: &Order) -> TenThousandths {
    part(order, 100)
}

/// A request that was interrupted after `percent` of its steps.
pub(super) fn part(order: &Order, percent: u64) -> TenThousandths {
    let passes = if order.has_guidance { 2 } else { 1 };
    let pictures = u64::from(order.batch_size) * u64::from(order.batches);
    let pixels = u64::from(order.width) * u64::from(order.height);
    let pixel_steps = pixels * u64::from(order.steps) * passes * pictures * percent / 100;
    rounded(FIXED_US + pixel_steps * MEGAPIXEL_STEP_US / 1_000_000)
}

/// What is spent before the first step.
pub(super) fn loading() -> TenThousandths {
    rounded(FIXED_US)
}

fn rounded(microseconds: u64) -> TenThousandths {
    TenThousandths((microseconds + 50) / 100)
}
