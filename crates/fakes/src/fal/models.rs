//! The models of the fal stand-in: what each accepts, makes and costs.
//!
//! Megapixels are counted for each picture and rounded up to whole ones. FLUX.2 counts 1024 x 1024; for the
//! older models the definition is open, and here it is 10^6 (the dearer reading, two cost tools agree), so
//! that 1024x1024 is two units. The reported units are always cost divided by unit price, with ten decimals:
//! times the unit price they give the cost to the last tick, for tiered prices too. Next: `input.rs`.

use crate::money::{self, ticks};

/// How the size is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// `image_size`: a word or `{width, height}`; the default word.
    Named(&'static str),
    /// `aspect_ratio` alone; the default, and what becomes of each.
    Ratio(&'static str, Ratios),
}

/// Pixels by ratio.
pub(super) type Ratios = &'static [(&'static str, (u32, u32))];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Image,
    /// Whole megapixels of this many pixels.
    Megapixels(u64),
}

#[derive(Debug)]
pub(super) struct Model {
    pub id: &'static str,
    pub unit: Unit,
    pub unit_ticks: i64,
    /// Price of each megapixel after the first, where it differs.
    pub further_ticks: Option<i64>,
    pub shape: Shape,
    pub steps: Option<(i64, i64)>,
    pub guidance: Option<(f64, f64)>,
    pub formats: &'static [&'static str],
    /// Least and most pixels of a custom size.
    pub pixels: (u64, u64),
    /// Longer sides are shortened without a word (issue 655 of fal-ai/fal on qwen-image).
    pub side_cut: Option<u32>,
}

impl Model {
    /// `owner/app`: the part that status, result and cancel addresses keep.
    pub(super) fn app(&self) -> &'static str {
        let end = self.id.match_indices('/').nth(1).map_or(self.id.len(), |(at, _)| at);
        &self.id[..end]
    }

    /// List price of one picture.
    pub(super) fn image_ticks(&self, width: u32, height: u32) -> i64 {
        let Unit::Megapixels(size) = self.unit else { return self.unit_ticks };
        let pixels = u64::from(width) * u64::from(height);
        let megapixels = i64::try_from(pixels.div_ceil(size).max(1)).expect("a picture's size is small");
        self.unit_ticks + (megapixels - 1) * self.further_ticks.unwrap_or(self.unit_ticks)
    }

    /// Billable units of a cost, as the header and the billing events write them.
    pub(super) fn units(&self, cost_ticks: i64) -> String {
        money::decimal(cost_ticks, self.unit_ticks)
    }

    pub(super) fn unit_name(&self) -> &'static str {
        match self.unit {
            Unit::Image => "images",
            Unit::Megapixels(_) => "megapixels",
        }
    }
}

pub(super) fn find(id: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.id == id)
}

/// The sizes of the `image_size` words.
pub(super) fn named_size(word: &str) -> Option<(u32, u32)> {
    match word {
        "square_hd" => Some((1024, 1024)),
        "square" => Some((512, 512)),
        "portrait_4_3" => Some((768, 1024)),
        "portrait_16_9" => Some((576, 1024)),
        "landscape_4_3" => Some((1024, 768)),
        "landscape_16_9" => Some((1024, 576)),
        "auto" | "auto_2K" => Some((2048, 2048)),
        "auto_4K" => Some((4096, 4096)),
        _ => None,
    }
}

/// What FLUX1.1 [pro] ultra makes of a ratio: about 4 MP, a choice of this stand-in.
const ULTRA_SIZES: Ratios = &[
    ("21:9", (3136, 1344)),
    ("16:9", (2752, 1536)),
    ("4:3", (2368, 1792)),
    ("3:2", (2496, 1664)),
    ("1:1", (2048, 2048)),
    ("2:3", (1664, 2496)),
    ("3:4", (1792, 2368)),
    ("9:16", (1536, 2752)),
    ("9:21", (1344, 3136)),
];

/// Google's first Nano Banana, as Google documents it for 2.5.
const NANO_BANANA_SIZES: Ratios = &[
    ("21:9", (1536, 672)),
    ("16:9", (1344, 768)),
    ("3:2", (1248, 832)),
    ("4:3", (1184, 864)),
    ("5:4", (1152, 896)),
    ("1:1", (1024, 1024)),
    ("4:5", (896, 1152)),
    ("3:4", (864, 1184)),
    ("2:3", (832, 1248)),
    ("9:16", (768, 1344)),
];

/// Nano Banana 2.1 at 1K, as Google makes it.
const NANO_BANANA_3_SIZES: Ratios = &[
    ("21:9", (1584, 672)),
    ("16:9", (1376, 768)),
    ("3:2", (1264, 848)),
    ("4:3", (1200, 896)),
    ("5:4", (1152, 928)),
    ("1:1", (1024, 1024)),
    ("4:5", (928, 1152)),
    ("3:4", (896, 1200)),
    ("2:3", (848, 1264)),
    ("9:16", (768, 1376)),
];

/// The sizes of Ideogram's other ratios are not documented; these are a choice of this stand-in.
const IDEOGRAM_SIZES: Ratios =
    &[("1:1", (1024, 1024)), ("16:9", (1312, 736)), ("9:16", (736, 1312)), ("4:3", (1152, 864))];

const MILLION: Unit = Unit::Megapixels(1_000_000);
const BINARY: Unit = Unit::Megapixels(1 << 20);

const TWO_FORMATS: &[&str] = &["jpeg", "png"];
const THREE_FORMATS: &[&str] = &["jpeg", "png", "webp"];

/// A model of the FLUX.1 kind; the others differ from it in what their rows say.
const FLUX: Model = Model {
    id: "",
    unit: MILLION,
    unit_ticks: 0,
    further_ticks: None,
    shape: Shape::Named("landscape_4_3"),
    steps: Some((1, 50)),
    guidance: Some((1.0, 20.0)),
    formats: TWO_FORMATS,
    pixels: (64 * 64, 4096 * 4096),
    side_cut: None,
};

/// A model of the FLUX.2 kind: larger requests than 4 MP are refused.
const FLUX2: Model = Model { unit: BINARY, steps: None, guidance: None, pixels: (64 * 64, 4 << 20), ..FLUX };

/// Seedream 4.0; the gateway's guides write its id with and without `fal-ai/` and task.
const SEEDREAM: Model = Model {
    unit: Unit::Image,
    unit_ticks: ticks("0.03"),
    shape: Shape::Named("auto_2K"),
    steps: None,
    guidance: None,
    formats: &["png"],
    pixels: (921_600, 16_777_216),
    ..FLUX
};

/// A model that is sold by the picture and knows ratios only.
const BY_RATIO: Model = Model { unit: Unit::Image, steps: None, guidance: None, ..FLUX };

pub(super) const MODELS: &[Model] = &[
    Model { id: "fal-ai/flux/schnell", unit_ticks: ticks("0.003"), steps: Some((1, 12)), ..FLUX },
    Model { id: "fal-ai/flux/dev", unit_ticks: ticks("0.025"), ..FLUX },
    Model { id: "fal-ai/flux-lora", unit_ticks: ticks("0.035"), ..FLUX },
    Model { id: "fal-ai/flux-pro/v1.1", unit_ticks: ticks("0.04"), steps: None, guidance: None, ..FLUX },
    Model {
        id: "fal-ai/flux-pro/v1.1-ultra",
        unit: Unit::Image,
        unit_ticks: ticks("0.06"),
        shape: Shape::Ratio("16:9", ULTRA_SIZES),
        steps: None,
        guidance: None,
        ..FLUX
    },
    Model {
        id: "fal-ai/flux-2-pro",
        unit_ticks: ticks("0.03"),
        further_ticks: Some(ticks("0.015")),
        ..FLUX2
    },
    Model { id: "fal-ai/flux-2-max", unit_ticks: ticks("0.07"), further_ticks: Some(ticks("0.03")), ..FLUX2 },
    Model {
        id: "fal-ai/flux-2-flex",
        unit_ticks: ticks("0.05"),
        steps: Some((2, 50)),
        guidance: Some((1.5, 10.0)),
        ..FLUX2
    },
    // Distilled and base of FLUX.2 klein; the distilled one's unit is unconfirmed, here every megapixel.
    Model {
        id: "fal-ai/flux-2/klein/4b",
        unit_ticks: ticks("0.014"),
        steps: Some((4, 8)),
        formats: THREE_FORMATS,
        ..FLUX2
    },
    Model {
        id: "fal-ai/flux-2/klein/4b/base",
        unit_ticks: ticks("0.009"),
        steps: Some((4, 50)),
        guidance: Some((0.0, 20.0)),
        formats: THREE_FORMATS,
        ..FLUX2
    },
    Model {
        id: "fal-ai/qwen-image",
        unit_ticks: ticks("0.02"),
        steps: Some((2, 250)),
        guidance: Some((0.0, 20.0)),
        formats: &["png", "jpeg"],
        side_cut: Some(1536),
        ..FLUX
    },
    Model {
        id: "fal-ai/nano-banana",
        unit_ticks: ticks("0.039"),
        shape: Shape::Ratio("1:1", NANO_BANANA_SIZES),
        formats: &["png", "jpeg"],
        ..BY_RATIO
    },
    // 0.040 and 0.08 are both told; here it is the dearer. 2K and 4K are not built.
    Model {
        id: "fal-ai/nano-banana-2.1",
        unit_ticks: ticks("0.08"),
        shape: Shape::Ratio("1:1", NANO_BANANA_3_SIZES),
        formats: &["png", "jpeg"],
        ..BY_RATIO
    },
    // Raster only; what the schema leaves no choice of comes as WebP.
    Model {
        id: "fal-ai/recraft/v3/text-to-image",
        unit: Unit::Image,
        unit_ticks: ticks("0.04"),
        shape: Shape::Named("square_hd"),
        steps: None,
        guidance: None,
        formats: &["webp"],
        ..FLUX
    },
    Model {
        id: "fal-ai/ideogram/v2",
        unit_ticks: ticks("0.08"),
        shape: Shape::Ratio("1:1", IDEOGRAM_SIZES),
        formats: &["png"],
        ..BY_RATIO
    },
    Model {
        id: "fal-ai/ideogram/v2/turbo",
        unit_ticks: ticks("0.05"),
        shape: Shape::Ratio("1:1", IDEOGRAM_SIZES),
        formats: &["png"],
        ..BY_RATIO
    },
    Model { id: "bytedance/seedream/v4", ..SEEDREAM },
    Model { id: "fal-ai/bytedance/seedream/v4/text-to-image", ..SEEDREAM },
];
