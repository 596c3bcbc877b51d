//! Prices and picture sizes of the stand-in for Stability.
//!
//! One credit is one cent; fractions exist (6.5), so prices are in thousandths of a credit. A price depends on
//! operation and model alone, never on the size. The provider publishes megapixels, not a table of sizes:
//! Ultra and SD 3.5 make about 1 MP (sides are multiples of 64), Core about 1.5 MP (multiples of 8); the
//! tables here are this stand-in's choice. SDXL's current price is unconfirmed (0.9 credits and up to 4 are
//! reported): here the higher figure, 4 credits for each picture.

use crate::money::TICKS_PER_CENT;

pub(super) const TICKS_PER_MILLI_CREDIT: i64 = TICKS_PER_CENT / 1000;

/// The three ways to make a picture from words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Operation {
    Ultra,
    Core,
    Sd3,
}

impl Operation {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Ultra => "generate/ultra",
            Self::Core => "generate/core",
            Self::Sd3 => "generate/sd3",
        }
    }

    pub(super) fn default_model(self) -> Model {
        match self {
            Self::Ultra => Model { executed: "stable-image-ultra", milli_credits: 8_000 },
            Self::Core => Model { executed: "stable-image-core", milli_credits: 3_000 },
            Self::Sd3 => SD35_LARGE,
        }
    }

    pub(super) fn size(self, aspect_ratio: &str) -> Option<(u32, u32)> {
        let (_, usual, larger) = SIZES.iter().find(|(ratio, ..)| *ratio == aspect_ratio)?;
        Some(if self == Self::Core { *larger } else { *usual })
    }

    /// The size for a picture made from another one: the nearest shape in the table.
    pub(super) fn size_like(self, width: u32, height: u32) -> (u32, u32) {
        // Distance of two shapes without floats: how far the cross products are apart, per mille of their sum.
        let distance = |(w, h): (u32, u32)| {
            let (a, b) = (u64::from(w) * u64::from(height), u64::from(h) * u64::from(width));
            a.abs_diff(b) * 1000 / (a + b)
        };
        let sizes = SIZES.iter().map(|(_, usual, larger)| if self == Self::Core { *larger } else { *usual });
        sizes.min_by_key(|size| distance(*size)).expect("the table of sizes is not empty")
    }
}

/// A priced model under the name that is really executed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Model {
    pub executed: &'static str,
    pub milli_credits: i64,
}

impl Model {
    pub(super) fn ticks(self) -> i64 {
        self.milli_credits * TICKS_PER_MILLI_CREDIT
    }
}

const SD35_LARGE: Model = Model { executed: "sd3.5-large", milli_credits: 6_500 };
const SD35_TURBO: Model = Model { executed: "sd3.5-large-turbo", milli_credits: 4_000 };
const SD35_MEDIUM: Model = Model { executed: "sd3.5-medium", milli_credits: 3_500 };
const SD35_FLASH: Model = Model { executed: "sd3.5-flash", milli_credits: 2_500 };

/// The `model` field of `generate/sd3`. The SD 3.0 names are answered by their successors.
pub(super) fn sd3_model(name: &str) -> Option<Model> {
    match name {
        "sd3.5-large" | "sd3-large" => Some(SD35_LARGE),
        "sd3.5-large-turbo" | "sd3-large-turbo" => Some(SD35_TURBO),
        "sd3.5-medium" | "sd3-medium" => Some(SD35_MEDIUM),
        "sd3.5-flash" => Some(SD35_FLASH),
        _ => None,
    }
}

/// Price of one SDXL picture.
pub(super) const SDXL_TICKS: i64 = 4_000 * TICKS_PER_MILLI_CREDIT;

pub(super) type Size = (u32, u32);

/// Aspect ratio, size at 1 MP, size of Core at 1.5 MP.
pub(super) const SIZES: &[(&str, Size, Size)] = &[
    ("21:9", (1536, 640), (1872, 800)),
    ("16:9", (1344, 768), (1632, 920)),
    ("3:2", (1216, 832), (1504, 1000)),
    ("5:4", (1088, 896), (1368, 1096)),
    ("1:1", (1024, 1024), (1224, 1224)),
    ("4:5", (896, 1088), (1096, 1368)),
    ("2:3", (832, 1216), (1000, 1504)),
    ("9:16", (768, 1344), (920, 1632)),
    ("9:21", (640, 1536), (800, 1872)),
];
