//! Black Forest Labs' models that make pictures from text: fields, sizes, prices, lifetimes of samples.
//!
//! FLUX.2 bills megapixels of 2^20, rounded up for the output and for each input (inputs above 4 are taken
//! as 4). FLUX.1 is flat; FLUX 3 goes by resolution. Prices of FLUX 3 Klein are known at 1k only: 768sq is
//! taken as 1k, 1.5k as 2k, and 2k and 4k are what resellers ask. flex is taken at six cents, the newer and
//! dearer of two figures. Any finetune counts as one's own. Refuses fill, expand and tools: not built.
//! Next: `request.rs`.

use super::request::Rule;
use crate::money::{TICKS_PER_CENT, ticks};
use crate::picture::PictureFormat;

/// Pixels of a megapixel.
const MEGAPIXEL: u64 = 1 << 20;

/// How the size of the picture is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sizing {
    /// Width and height in steps of 16, 64 and more, up to 4 megapixels; absent or 0: the first input's.
    Free,
    /// Width and height in steps of 32 from 256 to 1440; absent: 1024x768.
    Steps,
    /// A ratio from 21:9 to 9:21 (the default is given) at about this many megapixels.
    Ratio(&'static str, u32),
    /// A ratio of a list and a resolution.
    Resolution,
}

/// What a picture costs.
#[derive(Clone, Copy, Debug)]
pub(super) enum Pricing {
    Flat(i64),
    /// First megapixel, each further one, each one sent in.
    Megapixels(i64, i64, i64),
    /// By resolution, in the order of [`RESOLUTIONS`].
    Resolution([i64; 5]),
}

/// One path below `/v1/`.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) path: &'static str,
    /// Unknown keys are an error; elsewhere they are ignored.
    pub(super) strict: bool,
    pub(super) sizing: Sizing,
    pub(super) pricing: Pricing,
    /// Pictures that can be sent as `input_image`, `input_image_2` and so on.
    pub(super) inputs: usize,
    pub(super) fields: &'static [(&'static str, Rule)],
    /// The format when none is asked for.
    pub(super) format: PictureFormat,
    pub(super) sample_s: u64,
}

impl Model {
    /// FLUX 3 names its stages while it works.
    pub(super) fn reasons(&self) -> bool {
        self.sizing == Sizing::Resolution
    }
}

pub(super) const RESOLUTIONS: [(&str, u32); 5] =
    [("768sq", 768), ("1k", 1024), ("1.5k", 1536), ("2k", 2048), ("4k", 4096)];

pub(super) const RATIOS: &[&str] = &[
    "auto", "21:9", "2:1", "16:9", "3:2", "7:5", "4:3", "5:4", "1:1", "4:5", "3:4", "5:7", "2:3", "9:16",
    "1:2", "9:21",
];

const FORMATS: Rule = Rule::Word(&["jpeg", "png", "webp"]);
const TWO_FORMATS: Rule = Rule::Word(&["jpeg", "png"]);

const FLUX_2: &[(&str, Rule)] = &[("safety_tolerance", Rule::Whole(0, 5)), ("output_format", FORMATS)];
const FLUX_2_PUP: &[(&str, Rule)] =
    &[("safety_tolerance", Rule::Whole(0, 5)), ("output_format", FORMATS), ("disable_pup", Rule::Flag)];
const FLUX_2_FLEX: &[(&str, Rule)] = &[
    ("safety_tolerance", Rule::Whole(0, 5)),
    ("output_format", FORMATS),
    ("steps", Rule::Whole(1, 50)),
    ("guidance", Rule::Number(1.5, 10.0)),
    ("prompt_upsampling", Rule::Flag),
];
const FLUX_1: &[(&str, Rule)] = &[
    ("safety_tolerance", Rule::Whole(0, 6)),
    ("output_format", TWO_FORMATS),
    ("prompt_upsampling", Rule::Flag),
    ("image_prompt", Rule::Picture),
];
const FLUX_1_DEV: &[(&str, Rule)] = &[
    ("safety_tolerance", Rule::Whole(0, 6)),
    ("output_format", TWO_FORMATS),
    ("prompt_upsampling", Rule::Flag),
    ("image_prompt", Rule::Picture),
    ("steps", Rule::Whole(1, 50)),
    ("guidance", Rule::Number(1.5, 5.0)),
];
const FLUX_1_ULTRA: &[(&str, Rule)] = &[
    ("safety_tolerance", Rule::Whole(0, 6)),
    ("output_format", TWO_FORMATS),
    ("prompt_upsampling", Rule::Flag),
    ("image_prompt", Rule::Picture),
    ("image_prompt_strength", Rule::Number(0.0, 1.0)),
    ("raw", Rule::Flag),
];
const FLUX_1_ULTRA_FINETUNED: &[(&str, Rule)] = &[
    ("finetune_id", Rule::Required),
    ("finetune_strength", Rule::Number(0.0, 2.0)),
    ("safety_tolerance", Rule::Whole(0, 6)),
    ("output_format", TWO_FORMATS),
    ("prompt_upsampling", Rule::Flag),
    ("image_prompt", Rule::Picture),
    ("image_prompt_strength", Rule::Number(0.0, 1.0)),
    ("raw", Rule::Flag),
];
const FLUX_3: &[(&str, Rule)] = &[
    ("safety_tolerance", Rule::Whole(0, 4)),
    ("images", Rule::Pictures(10)),
    ("aspect_ratio", Rule::Word(RATIOS)),
    ("resolution", Rule::Word(&["768sq", "1k", "1.5k", "2k", "4k"])),
    ("grounding", Rule::Flag),
    ("version", Rule::Word(&["latest"])),
];
const FLUX_3_KLEIN: &[(&str, Rule)] = &[
    ("safety_tolerance", Rule::Whole(0, 4)),
    ("images", Rule::Pictures(10)),
    ("aspect_ratio", Rule::Word(RATIOS)),
    ("resolution", Rule::Word(&["768sq", "1k", "1.5k", "2k", "4k"])),
    ("version", Rule::Word(&["latest"])),
    ("seed", Rule::Whole(0, 4_294_967_295)),
    ("steps", Rule::Whole(1, 16)),
    ("output_format", TWO_FORMATS),
];

const fn two(
    path: &'static str,
    inputs: usize,
    tenths: (i64, i64),
    fields: &'static [(&'static str, Rule)],
) -> Model {
    let (first, further) = (tenths.0 * TICKS_PER_CENT / 10, tenths.1 * TICKS_PER_CENT / 10);
    let pricing = Pricing::Megapixels(first, further, further);
    let (sizing, format) = (Sizing::Free, PictureFormat::Jpeg);
    Model { path, strict: false, sizing, pricing, inputs, fields, format, sample_s: 600 }
}

const fn one(
    path: &'static str,
    sizing: Sizing,
    usd: &str,
    fields: &'static [(&'static str, Rule)],
) -> Model {
    let (pricing, format) = (Pricing::Flat(ticks(usd)), PictureFormat::Jpeg);
    Model { path, strict: false, sizing, pricing, inputs: 0, fields, format, sample_s: 600 }
}

const fn kontext(path: &'static str, usd: &str) -> Model {
    let sizing = Sizing::Ratio("1:1", 1);
    Model { inputs: 4, format: PictureFormat::Png, ..one(path, sizing, usd, FLUX_1) }
}

const fn three(path: &'static str, usd: [&str; 5], fields: &'static [(&'static str, Rule)]) -> Model {
    let prices = [ticks(usd[0]), ticks(usd[1]), ticks(usd[2]), ticks(usd[3]), ticks(usd[4])];
    Model {
        path,
        strict: true,
        sizing: Sizing::Resolution,
        pricing: Pricing::Resolution(prices),
        inputs: 0,
        fields,
        format: PictureFormat::Png,
        sample_s: 3600,
    }
}

pub(super) const MODELS: &[Model] = &[
    three("flux-3-image", ["0.041", "0.048", "0.070", "0.100", "0.607"], FLUX_3),
    three("flux-3-image-klein", ["0.009", "0.009", "0.014", "0.014", "0.036"], FLUX_3_KLEIN),
    two("flux-2-klein-4b", 4, (14, 1), FLUX_2),
    two("flux-2-klein-9b", 4, (15, 2), FLUX_2),
    two("flux-2-klein-9b-preview", 4, (15, 2), FLUX_2),
    two("flux-2-pro", 8, (30, 15), FLUX_2_PUP),
    two("flux-2-pro-preview", 8, (30, 15), FLUX_2_PUP),
    two("flux-2-max", 8, (70, 30), FLUX_2_PUP),
    two("flux-2-flex", 8, (60, 60), FLUX_2_FLEX),
    one("flux-pro-1.1", Sizing::Steps, "0.04", FLUX_1),
    one("flux-pro-1.1-ultra", Sizing::Ratio("16:9", 4), "0.06", FLUX_1_ULTRA),
    one("flux-pro-1.1-ultra-finetuned", Sizing::Ratio("16:9", 4), "0.07", FLUX_1_ULTRA_FINETUNED),
    one("flux-dev", Sizing::Steps, "0.025", FLUX_1_DEV),
    kontext("flux-kontext-pro", "0.04"),
    kontext("flux-kontext-max", "0.08"),
];

pub(super) fn find(path: &str) -> Option<&'static Model> {
    MODELS.iter().find(|model| model.path == path)
}

impl Pricing {
    /// The list price; `inputs` are the pixels of each picture sent in, `resolution` an index.
    pub(super) fn list_ticks(&self, pixels: u64, inputs: &[u64], resolution: usize) -> i64 {
        match *self {
            Pricing::Flat(price) => price,
            Pricing::Resolution(prices) => prices[resolution],
            Pricing::Megapixels(first, further, input) => {
                let sent: i64 = inputs.iter().map(|pixels| megapixels((*pixels).min(4 * MEGAPIXEL))).sum();
                first + (megapixels(pixels) - 1) * further + sent * input
            }
        }
    }
}

/// Started megapixels, at least one.
fn megapixels(pixels: u64) -> i64 {
    i64::try_from(pixels.div_ceil(MEGAPIXEL).max(1)).expect("a picture is small")
}

/// Hundredths of a megapixel as the answers show them: `1.98`, `1.0`, `0`.
pub(super) fn shown_megapixels(pixels: u64) -> String {
    let hundredths = (pixels * 100 + MEGAPIXEL / 2) / MEGAPIXEL;
    match (hundredths / 100, hundredths % 100) {
        (0, 0) => "0".to_owned(),
        (whole, rest) if rest % 10 == 0 => format!("{whole}.{}", rest / 10),
        (whole, rest) => format!("{whole}.{rest:02}"),
    }
}

/// Edges in steps of 16 of a picture with this ratio and about `side` squared pixels.
pub(super) fn edges(ratio: (u32, u32), side: u32) -> (u32, u32) {
    let stretch = (f64::from(ratio.0) / f64::from(ratio.1)).sqrt();
    let step = |edge: f64| (edge / 16.0).round().max(1.0) as u32 * 16;
    (step(f64::from(side) * stretch), step(f64::from(side) / stretch))
}
