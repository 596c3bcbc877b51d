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
    /// `aspect_ratio` alone, from [`ULTRA_SIZES`].
    Ratio,
}

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
pub(super) const ULTRA_SIZES: &[(&str, (u32, u32))] = &[
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

pub(super) const MODELS: &[Model] = &[
    Model { id: "fal-ai/flux/schnell", unit_ticks: ticks("0.003"), steps: Some((1, 12)), ..FLUX },
    Model { id: "fal-ai/flux/dev", unit_ticks: ticks("0.025"), ..FLUX },
    Model { id: "fal-ai/flux-lora", unit_ticks: ticks("0.035"), ..FLUX },
    Model { id: "fal-ai/flux-pro/v1.1", unit_ticks: ticks("0.04"), steps: None, guidance: None, ..FLUX },
    Model {
        id: "fal-ai/flux-pro/v1.1-ultra",
        unit: Unit::Image,
        unit_ticks: ticks("0.06"),
        shape: Shape::Ratio,
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
    Model { id: "bytedance/seedream/v4", ..SEEDREAM },
    Model { id: "fal-ai/bytedance/seedream/v4/text-to-image", ..SEEDREAM },
];
