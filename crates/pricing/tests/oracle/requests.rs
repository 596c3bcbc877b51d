//! Generated requests: what a model's capabilities allow, from a seed that is the model's own name.

use crate::question::Question;
use gallerist_domain::{Capabilities, ImageCall, Ingredients, Operation, OptionWord, Size, Sizes};
use gallerist_pricing::ModelSheet;

/// Sizes at the edges that sheets name, and their neighbours; those that a model does not make are left out.
const EDGES: &[(u32, u32)] = &[
    (64, 64),
    (512, 512),
    (768, 768),
    (1000, 1000),
    (1008, 992),
    (1024, 1024),
    (1040, 1024),
    (1088, 960),
    (1025, 1024),
    (1536, 1024),
    (1024, 1536),
    (1440, 1440),
    (1500, 1500),
    (1501, 1500),
    (1536, 1536),
    (1537, 1536),
    (1733, 1500),
    (1735, 1500),
    (1740, 1500),
    (1741, 1500),
    (1552, 1536),
    (2048, 1024),
    (2048, 2048),
    (2064, 2032),
    (2560, 1440),
    (2848, 1600),
    (3840, 2160),
    (2880, 2880),
    (4096, 4096),
    (4096, 1024),
];

/// Pictures that are sent in: small ones, those at a whole number of megapixels and one step beyond, those of a
/// whole number of tiles and beyond, and some that are shrunk before they are counted. The first is the largest
/// that Workers AI takes for FLUX.2 [dev].
const INPUTS: &[(u32, u32)] = &[
    (512, 512),
    (64, 64),
    (640, 480),
    (1000, 1000),
    (1024, 1024),
    (1025, 1024),
    (1024, 1040),
    (1024, 512),
    (1026, 512),
    (1536, 1536),
    (1920, 1080),
    (2048, 2048),
    (2049, 2048),
    (3008, 2000),
    (4096, 4096),
];

/// A sequence of numbers that is the same every time (splitmix64).
pub struct Dice(u64);

impl Dice {
    pub fn named(name: &str) -> Dice {
        Dice(name.bytes().fold(20_261_122, |seed, byte| seed.wrapping_mul(31).wrapping_add(byte.into())))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// From `least` to `most`, both possible.
    pub fn between(&mut self, least: u32, most: u32) -> u32 {
        let span = u64::from(most - least) + 1;
        least + u32::try_from(self.next() % span).expect("within the span")
    }

    pub fn one_of<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        let last = u32::try_from(choices.len() - 1).expect("few choices");
        &choices[self.between(0, last) as usize]
    }
}

fn makes(sizes: &Sizes, size: Size) -> bool {
    let Sizes::Free { multiple, edge_min, edge_max, pixels_min, pixels_max, ratio_max } = sizes else {
        return false;
    };
    let (short, long) = (size.width.min(size.height), size.width.max(size.height));
    size.width.is_multiple_of(*multiple)
        && size.height.is_multiple_of(*multiple)
        && short >= *edge_min
        && long <= *edge_max
        && (*pixels_min..=*pixels_max).contains(&size.pixels())
        && (*ratio_max == 0 || long <= ratio_max * short)
}

/// A size that the model makes, with its resolution word.
fn size(dice: &mut Dice, shape: &Capabilities) -> (Size, String) {
    match &shape.sizes {
        Sizes::Listed(sizes) => (*dice.one_of(sizes), String::new()),
        Sizes::Ratios(rows) => {
            let row = dice.one_of(rows);
            (row.size, row.resolution.clone())
        }
        Sizes::Free { multiple, edge_min, edge_max, .. } => {
            let edge =
                |dice: &mut Dice| dice.between(edge_min.div_ceil(*multiple), edge_max / multiple) * multiple;
            for _ in 0..40 {
                let (width, height) = *dice.one_of(EDGES);
                let known = Size::new(width, height);
                let any = Size::new(edge(dice), edge(dice));
                let chosen = if dice.between(0, 2) > 0 { known } else { any };
                if makes(&shape.sizes, chosen) {
                    return (chosen, String::new());
                }
            }
            (shape.size_default, String::new())
        }
    }
}

const HARDWARE: &[&str] = &[
    "cpu-small",
    "cpu",
    "gpu-t4",
    "gpu-a40-small",
    "gpu-a40-large",
    "gpu-l40s",
    "gpu-l40s-2x",
    "gpu-l40s-4x",
    "gpu-l40s-8x",
    "gpu-a100-large",
    "gpu-a100-large-2x",
    "gpu-a100-large-4x",
    "gpu-a100-large-8x",
    "gpu-h100",
    "gpu-h100-2x",
    "gpu-h100-4x",
    "gpu-h100-8x",
];

/// The values that a sheet gives a price to, or names as changing nothing.
fn values(option: &str) -> &'static [&'static str] {
    match option {
        "sequential_image_generation" => &["auto", "disabled"],
        "prompt_extend" | "enable_sequential" | "zeroDataRetention" => &["true", "false"],
        "hardware" => HARDWARE,
        "upscale_factor" => &["X1", "X2", "X4"],
        "input_fidelity" => &["low", "high"],
        "scale" => &["2", "4"],
        "gpus" => &["1", "2", "8"],
        "concurrency" => &["1", "4"],
        "utilisation_percent" => &["30", "100"],
        "acceleration" => &["none", "low", "medium", "high"],
        "true_cfg_scale" => &["1", "4"],
        "safety_tolerance" | "magic_prompt" | "style_preset" | "watermark" | "go_fast" => &["2"],
        _ => &[],
    }
}

fn options(dice: &mut Dice, shape: &Capabilities) -> Vec<OptionWord> {
    let mut words = Vec::new();
    for name in &shape.options {
        let known = values(name);
        if !known.is_empty() && dice.between(0, 1) == 1 {
            words.push(OptionWord { name: name.clone(), value: (*dice.one_of(known)).to_owned() });
        }
    }
    words
}

fn ingredients(dice: &mut Dice, model: &ModelSheet, operation: Operation, size: Size) -> Ingredients {
    let shape = model.capabilities.of(operation);
    let mut ingredients = Ingredients::default();
    let count = match operation {
        Operation::Generate => 0,
        Operation::Layerize => 1,
        _ => dice.between(1, shape.inputs_max.max(1)),
    };
    let taken = |(width, height): &&(u32, u32)| shape.each_input.hold(Size::new(*width, *height));
    let choices: Vec<_> = INPUTS.iter().filter(taken).copied().collect();
    for _ in 0..count {
        let (width, height) = *dice.one_of(&choices);
        ingredients.inputs.push(Size::new(width, height));
    }
    // One in four has no mask of its own: the picture's transparent part is meant, or nobody counted.
    if matches!(operation, Operation::Inpaint | Operation::Erase) && dice.between(0, 3) > 0 {
        ingredients.mask_pixels = Some(size.pixels() / i64::from(dice.between(1, 9)));
    }
    let least = u32::from(operation == Operation::Control).min(shape.controls_max);
    ingredients.controls = dice.between(least, shape.controls_max.min(2));
    ingredients.ip_adapters = dice.between(0, shape.ip_adapters_max.min(2));
    ingredients.loras = dice.between(0, shape.loras_max.min(2));
    ingredients.tool_calls = if shape.tools { dice.between(0, 3) } else { 0 };
    ingredients
}

/// Regions, accounts and partners that a kind tells apart.
fn regions(kind: &str, model: &str) -> &'static [&'static str] {
    match (kind, model) {
        ("azure", _) => &["", "global", "datazone", "regional"],
        ("bedrock", _) => &["", "us-west-2", "us-east-1", "us-east-2"],
        ("xai", _) => &["", "us"],
        ("portkey", _) => &["", "production"],
        ("openrouter", _) => &["", "byok"],
        ("seedream", _) => &["", "eu", "cn"],
        ("qwen", _) => &["", "cn"],
        ("huggingface", "flux-1-schnell" | "flux-1-dev") => &["", "replicate", "together"],
        ("huggingface", "qwen-image" | "sd3-medium") => &["", "together"],
        ("huggingface", "sdxl") => &["", "hf-inference"],
        ("midjourney", _) => &[
            "",
            "pro",
            "basic",
            "basic-yearly",
            "mega-yearly",
            "extra-hours",
            "maxapi",
            "goapi",
            "no1",
            "apimart",
        ],
        ("vllm-omni", "qwen-image" | "qwen-image-edit") => {
            &["", "tea-cache", "cache-dit", "ulysses-4", "ulysses-8", "shared-2", "shared-4"]
        }
        ("sglang", _) => &["", "shared-2", "shared-4", "shared-8"],
        ("gpu-cloud", _) => &["", "runpod-community", "lambda", "nebius", "vast", "akash", "fal"],
        _ => &[""],
    }
}

/// Cards whose guessed work the worked cases publish.
fn qualities<'a>(kind: &str, model: &'a ModelSheet) -> Vec<&'a str> {
    match (kind, model.id.as_str()) {
        ("gpu-cloud", "sdxl") => vec!["a100-pcie", "h200"],
        ("gpu-cloud", _) => vec!["h100-sxm", "a100-sxm"],
        _ if model.capabilities.qualities.is_empty() => vec![""],
        _ => model.capabilities.qualities.iter().map(String::as_str).collect(),
    }
}

/// Tiers that a sheet prices though the gateway does not offer them yet.
fn half_price_tiers(kind: &str, model: &str) -> &'static [&'static str] {
    match (kind, model) {
        // Of 2.1 the discount is not confirmed.
        ("google", "gemini-nano-banana-2.1") => &[],
        ("google", _) if model.starts_with("gemini") => &["batch", "flex"],
        ("openai", "gpt-image-2" | "gpt-image-1.5" | "gpt-image-1-mini" | "chatgpt-image-latest") => {
            &["batch"]
        }
        _ => &[],
    }
}

/// One call that the model can be asked for.
pub fn call(dice: &mut Dice, kind: &str, model: &ModelSheet) -> ImageCall {
    let operation = *dice.one_of(&model.capabilities.operations);
    let shape = model.capabilities.of(operation);
    let (mut size, mut resolution) = size(dice, shape);
    // The labels of 5.5 are prices of their own; a label comes with its square.
    if model.upstream == "seedream-5-5-261028" && dice.between(0, 1) == 1 {
        let (label, edge) = *dice.one_of(&[("1K", 1024), ("1.5K", 1536), ("2K", 2048)]);
        (size, resolution) = (Size::new(edge, edge), label.to_owned());
    }
    let mut call = ImageCall::example(&model.upstream, size);
    call.operation = operation;
    call.resolution = resolution;
    call.n = dice.between(1, shape.images_per_call_max);
    call.quality = (*dice.one_of(&qualities(kind, model))).to_owned();
    let letter = *dice.one_of(&["a", "ö"]);
    call.prompt = letter.repeat(dice.between(1, 400) as usize);
    if let Some(limit) = shape.steps {
        let any = dice.between(limit.min, limit.max);
        call.steps = *dice.one_of(&[limit.min, limit.default, limit.max, any]);
    }
    if let Some(limit) = shape.guidance_milli {
        call.guidance_milli = *dice.one_of(&[None, Some(limit.min), Some(limit.default), Some(limit.max)]);
    }
    call.partial_images = u8::try_from(dice.between(0, shape.partial_images_max.into())).expect("few");
    call.stream = call.partial_images > 0;
    let mut tiers = vec!["standard"];
    if kind != "gpu-cloud" {
        tiers.extend(model.tiers.iter().map(|row| row.tier.as_str()));
    }
    tiers.extend(half_price_tiers(kind, &model.id));
    call.tier = (*dice.one_of(&tiers)).to_owned();
    call.region = (*dice.one_of(regions(kind, &model.id))).to_owned();
    call.option_words = options(dice, shape);
    call.ingredients = ingredients(dice, model, operation, size);
    // A system's fixed beginning of the prompt, perhaps all of it; one in three calls knows of it.
    if dice.between(0, 2) == 0 {
        call.ingredients.cached_characters = dice.between(0, 400);
    }
    call
}

/// What to print of a question that is answered wrongly.
pub fn described(question: &Question) -> String {
    let call = question.call;
    let words: Vec<_> =
        call.option_words.iter().map(|word| format!("{}={}", word.name, word.value)).collect();
    format!(
        "{:?} n={} {} q={} r={} steps={} tier={} region={} partial={} prompt={} bytes, \
         inputs={:?} loras={} controls={} adapters={} searches={} mask={:?} cached={} {}",
        call.operation,
        call.n,
        call.size,
        call.quality,
        call.resolution,
        call.steps,
        call.tier,
        call.region,
        call.partial_images,
        call.prompt.len(),
        call.ingredients.inputs,
        call.ingredients.loras,
        call.ingredients.controls,
        call.ingredients.ip_adapters,
        call.ingredients.tool_calls,
        call.ingredients.mask_pixels,
        call.ingredients.cached_characters,
        words.join(" "),
    )
}
