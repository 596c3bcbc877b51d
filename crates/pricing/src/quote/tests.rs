//! Prices worked by hand from the providers' sheets. Each case says its arithmetic; none of the figures was
//! taken from what the code printed. A prompt has 40 characters: 10 tokens and the overhead of its sheet.

use super::*;
use crate::testing::{default_call, find, instant, now, price, resize, sold, some_sizes, usd};
use gallerist_domain::{ImageCall, Size};
use proptest::prelude::*;

mod firm;
mod nothing;

struct Case {
    kind: &'static str,
    model: &'static str,
    change: fn(&mut ImageCall),
    size: &'static str,
    /// min, expected, max.
    usd: [&'static str; 3],
}

const fn case(
    kind: &'static str,
    model: &'static str,
    size: &'static str,
    change: fn(&mut ImageCall),
    usd: [&'static str; 3],
) -> Case {
    Case { kind, model, change, size, usd }
}

fn as_is(_: &mut ImageCall) {}

fn check(cases: &[Case], at: &str) {
    for Case { kind, model, change, size, usd: expected } in cases {
        let (_, sheet) = find(kind, model);
        let mut call = default_call(&sheet);
        resize(&mut call, &sheet, size.parse().expect("a size"));
        change(&mut call);
        let bounds = price(&sheet, &call, instant(at)).expect("has a price");
        let expected = expected.map(usd);
        assert_eq!(
            [bounds.min, bounds.expected, bounds.max],
            expected,
            "{kind}/{model} {size} {}",
            call.quality
        );
    }
}

const TODAY: &str = "2026-11-22T12:00:00Z";

/// The whole token table of the OpenAI sheet, section 10: tokens per factor and size.
#[test]
fn openai_canvas_tokens_are_those_of_the_table() {
    let table: [(&str, [i64; 5]); 7] = [
        ("1024x1024", [196, 439, 1756, 3122, 7024]),
        ("1536x1024", [158, 343, 1372, 2459, 5488]),
        ("1024x1536", [158, 343, 1372, 2459, 5488]),
        ("2048x2048", [397, 892, 3568, 6343, 14272]),
        ("2560x1440", [205, 478, 1843, 3276, 7370]),
        ("3840x2160", [371, 865, 3336, 5930, 13342]),
        ("2880x2880", [659, 1483, 5930, 10542, 23719]),
    ];
    let labels = ["low", "medium", "high", "xhigh", "max"];
    for (size, tokens) in table {
        for (label, tokens) in labels.into_iter().zip(tokens) {
            expect_tokens("gpt-image-2.5-flare", size, label, tokens);
        }
        // gpt-image-2 knows the factors 16, 48 and 96.
        for (label, tokens) in [("low", tokens[0]), ("medium", tokens[2]), ("high", tokens[4])] {
            expect_tokens("gpt-image-2", size, label, tokens);
        }
    }
    // Observed beside the table: 5063 at 1792x1024 and 12329 at 3584x2048, factor 96.
    expect_tokens("gpt-image-2", "1792x1024", "high", 5063);
    expect_tokens("gpt-image-2", "3584x2048", "high", 12329);
}

/// One picture is `tokens` × 30 dollars a million.
fn expect_tokens(model: &str, size: &str, label: &str, tokens: i64) {
    let (_, sheet) = find("openai", model);
    let mut call = default_call(&sheet);
    call.size = size.parse().expect("a size");
    call.quality = label.to_owned();
    let facts = Facts::of(&call);
    let quote = quote(&sheet.sheet, &facts, now()).expect("has a price");
    let line = quote.lines.iter().find(|line| line.line.id == "image-out").expect("a picture costs");
    assert_eq!(line.quantity, Range::exact(tokens), "{model} {size} {label}");
    assert_eq!(line.amount.expected, Ticks::new(tokens * 300_000), "{model} {size} {label}");
}

/// Text: 1, 26 (= 10 + 16) and 56 (= 40 + 16) tokens × 5 a million = 0.000005, 0.00013, 0.00028.
#[test]
fn openai_calls() {
    let cases = [
        // Sheet, section 10: 196 × 30 = 0.00588, 1756 × 30 = 0.05268, 7024 × 30 = 0.21072 a picture.
        case(
            "openai",
            "gpt-image-2",
            "1024x1024",
            |c| c.quality = "low".into(),
            ["0.005885", "0.00601", "0.00616"],
        ),
        case("openai", "gpt-image-2", "1024x1024", as_is, ["0.052685", "0.05281", "0.05296"]),
        case(
            "openai",
            "gpt-image-2",
            "1024x1024",
            |c| c.quality = "high".into(),
            ["0.210725", "0.21085", "0.211"],
        ),
        // Three pictures: 3 × 0.05268 = 0.15804; the prompt counts once.
        case("openai", "gpt-image-2", "1024x1024", |c| c.n = 3, ["0.158045", "0.15817", "0.15832"]),
        // Two partial pictures: 1756 + 200 tokens = 0.05868; none may come.
        case(
            "openai",
            "gpt-image-2",
            "1024x1024",
            |c| (c.stream, c.partial_images) = (true, 2),
            ["0.052685", "0.05881", "0.05896"],
        ),
        // Batch at half: 0.0000025 + 0.02634, 0.000065 + 0.02634, 0.00014 + 0.02634.
        case(
            "openai",
            "gpt-image-2",
            "1024x1024",
            |c| c.tier = "batch".into(),
            ["0.0263425", "0.026405", "0.02648"],
        ),
    ];
    check(&cases, TODAY);
}

/// Text as above.
#[test]
fn openai_calls_of_the_two_newest_families() {
    let cases = [
        // 2.5: medium is 439 × 30 = 0.01317, not gpt-image-2's medium; no batch price is proven.
        case("openai", "gpt-image-2.5-flare", "1024x1024", as_is, ["0.013175", "0.0133", "0.01345"]),
        case("openai", "gpt-image-2.5-sunburst", "1024x1024", as_is, ["0.013175", "0.0133", "0.01345"]),
        case(
            "openai",
            "gpt-image-2.5-flare",
            "1024x1024",
            |c| c.tier = "batch".into(),
            ["0.013175", "0.0133", "0.01345"],
        ),
        // 2.6 low, factor 32: 32 × 32 × 3,048,576 / 4,000,000 = 780.4 → 781; 750 ‰ = 585, 1250 ‰ → 977.
        // 585 × 30 = 0.01755, 781 × 30 = 0.02343, 977 × 30 = 0.02931.
        case(
            "openai",
            "gpt-image-2.6-flare",
            "1024x1024",
            |c| c.quality = "low".into(),
            ["0.017555", "0.02356", "0.02959"],
        ),
        // 2.6 high as 2.5: 1756; 950 ‰ = 1668, 1050 ‰ → 1844: 0.05004, 0.05268, 0.05532.
        case(
            "openai",
            "gpt-image-2.6-sunburst",
            "1024x1024",
            |c| c.quality = "high".into(),
            ["0.050045", "0.05281", "0.0556"],
        ),
    ];
    check(&cases, TODAY);
}

/// Text as above; the older models take their tokens from a table.
#[test]
fn openai_calls_of_older_families() {
    let cases = [
        // 1.5 medium portrait: 1584 × 32 a million = 0.050688 (published as 0.051).
        case("openai", "gpt-image-1.5", "1024x1536", as_is, ["0.050693", "0.050818", "0.050968"]),
        // 1.5 high square: 4160 × 32 = 0.13312 (published as 0.133); low landscape 400 × 32 = 0.0128.
        case(
            "openai",
            "gpt-image-1.5",
            "1024x1024",
            |c| c.quality = "high".into(),
            ["0.133125", "0.13325", "0.1334"],
        ),
        case(
            "openai",
            "chatgpt-image-latest",
            "1536x1024",
            |c| c.quality = "low".into(),
            ["0.012805", "0.01293", "0.01308"],
        ),
        // Mini: 272 × 8 = 0.002176 was seen, 0.005 is published; text 1, 26, 56 × 2 a million.
        case(
            "openai",
            "gpt-image-1-mini",
            "1024x1024",
            |c| c.quality = "low".into(),
            ["0.002178", "0.005052", "0.005112"],
        ),
        // Dead prices per picture.
        case("openai", "dall-e-3", "1792x1024", |c| c.quality = "hd".into(), ["0.12", "0.12", "0.12"]),
        case("openai", "dall-e-3", "1024x1024", as_is, ["0.04", "0.04", "0.04"]),
        case("openai", "dall-e-2", "512x512", |c| c.n = 2, ["0.036", "0.036", "0.036"]),
    ];
    check(&cases, TODAY);
}

/// The measured 664 tokens of 2.6 at 1536x1024 low, and 1353 of high, lie within what is quoted.
#[test]
fn openai_measurements_of_2_6_are_within_the_bounds() {
    let (_, sheet) = find("openai", "gpt-image-2.6-flare");
    for (label, tokens) in [("low", 664), ("high", 1353)] {
        let mut call = default_call(&sheet);
        call.size = Size::new(1536, 1024);
        call.quality = label.to_owned();
        let facts = Facts::of(&call);
        let quote = quote(&sheet.sheet, &facts, now()).expect("has a price");
        let line = quote.lines.iter().find(|line| line.line.id == "image-out").expect("is there");
        assert!((line.quantity.min..=line.quantity.max).contains(&tokens), "{label}: {:?}", line.quantity);
    }
}

/// Text: 1, 18 (= 10 + 8) and 48 (= 40 + 8) tokens; thinking: 0, what the sheet expects, 1024 at most.
#[test]
fn google_calls() {
    let cases = [
        // 2.1: 1120 × 30 = 0.0336; 18 × 1.50 = 0.000027; 200 × 7.50 = 0.0015; at most 0.000072 + 0.00768.
        case("google", "nano-banana-2.1", "1024x1024", as_is, ["0.0336015", "0.035127", "0.041352"]),
        // 2K: 1680 × 30 = 0.0504; 4K: 3780 × 30 = 0.1134. The ratio changes nothing.
        case("google", "nano-banana-2.1", "2048x2048", as_is, ["0.0504015", "0.051927", "0.058152"]),
        case("google", "nano-banana-2.1", "2752x1536", as_is, ["0.0504015", "0.051927", "0.058152"]),
        case("google", "nano-banana-2.1", "4096x4096", as_is, ["0.1134015", "0.114927", "0.121152"]),
        // 3.1: 1120 × 60 = 0.0672; 18 × 0.50 = 0.000009; 200 × 3 = 0.0006; max 0.000024 + 0.003072.
        case("google", "gemini-3.1-flash-image", "1024x1024", as_is, ["0.0672005", "0.067809", "0.070296"]),
        // 512: 747 × 60 = 0.04482.
        case("google", "gemini-3.1-flash-image", "512x512", as_is, ["0.0448205", "0.045429", "0.047916"]),
        // Lite: 1120 × 30 = 0.0336; 18 × 0.25 = 0.0000045; 200 × 1.50 = 0.0003; max 0.000012 + 0.001536.
        case(
            "google",
            "gemini-3.1-flash-lite-image",
            "1024x1024",
            as_is,
            ["0.03360025", "0.0339045", "0.035148"],
        ),
        // Pro: 1120 × 120 = 0.1344; 18 × 2 = 0.000036; 400 × 12 = 0.0048; max 0.000096 + 0.012288.
        case("google", "gemini-3-pro-image", "1024x1024", as_is, ["0.134402", "0.139236", "0.146784"]),
        case("google", "gemini-3-pro-image", "2048x2048", as_is, ["0.134402", "0.139236", "0.146784"]),
        // 4K: 2000 × 120 = 0.24.
        case("google", "gemini-3-pro-image", "4096x4096", as_is, ["0.240002", "0.244836", "0.252384"]),
        // Batch at half, line by line.
        case(
            "google",
            "gemini-3-pro-image",
            "1024x1024",
            |c| c.tier = "batch".into(),
            ["0.067201", "0.069618", "0.073392"],
        ),
        // 2.5: 1290 × 30 = 0.0387; 18 × 0.30 = 0.0000054.
        case("google", "gemini-2.5-flash-image", "1024x1024", as_is, ["0.0387003", "0.0387054", "0.0387144"]),
        // Imagen 4, four pictures at 0.04.
        case("google", "imagen-4", "1024x1024", |c| c.n = 4, ["0.16", "0.16", "0.16"]),
    ];
    check(&cases, TODAY);
}

/// first + (ceil(W × H / 2^20) − 1) × further, in credits of a cent.
#[test]
fn bfl_calls() {
    let cases = [
        case("bfl", "flux-2-pro", "1024x1024", as_is, ["0.03", "0.03", "0.03"]),
        // 1.98 MP, rounded up to 2: 3 + 1.5 = 4.5 credits, as the observed answer.
        case("bfl", "flux-2-pro", "1440x1440", as_is, ["0.045", "0.045", "0.045"]),
        // One row of 16 over a megapixel is two; less than one is one.
        case("bfl", "flux-2-pro", "1024x1040", as_is, ["0.045", "0.045", "0.045"]),
        case("bfl", "flux-2-pro", "512x512", as_is, ["0.03", "0.03", "0.03"]),
        // 4 MP: 3 + 3 × 1.5 = 7.5 and 7 + 3 × 3 = 16 credits.
        case("bfl", "flux-2-pro", "2048x2048", as_is, ["0.075", "0.075", "0.075"]),
        case("bfl", "flux-2-max", "2048x2048", as_is, ["0.16", "0.16", "0.16"]),
        case("bfl", "flux-2-flex", "1440x1440", as_is, ["0.12", "0.12", "0.12"]),
        // 1.4 + 3 × 0.1 = 1.7 and 1.5 + 0.2 = 1.7 credits.
        case("bfl", "flux-2-klein-4b", "1024x1024", as_is, ["0.014", "0.014", "0.014"]),
        case("bfl", "flux-2-klein-4b", "2048x2048", as_is, ["0.017", "0.017", "0.017"]),
        case("bfl", "flux-2-klein-9b", "1440x1440", as_is, ["0.017", "0.017", "0.017"]),
        case("bfl", "flux-3-image", "768x768", as_is, ["0.041", "0.041", "0.041"]),
        case("bfl", "flux-3-image", "1024x1024", as_is, ["0.048", "0.048", "0.048"]),
        case("bfl", "flux-3-image", "1536x1536", as_is, ["0.07", "0.07", "0.07"]),
        case("bfl", "flux-3-image", "4096x4096", as_is, ["0.607", "0.607", "0.607"]),
        // Known from resellers only: from the price at 1k to theirs.
        case("bfl", "flux-3-image-klein", "2048x2048", as_is, ["0.009", "0.014", "0.014"]),
        case("bfl", "flux-3-image-klein", "4096x4096", as_is, ["0.009", "0.036", "0.036"]),
        case("bfl", "flux-1.1-pro", "1440x1440", as_is, ["0.04", "0.04", "0.04"]),
        case("bfl", "flux-1.1-pro-ultra", "2752x1536", as_is, ["0.06", "0.06", "0.06"]),
        case("bfl", "flux-1-dev", "1024x1024", as_is, ["0.025", "0.025", "0.025"]),
        case("bfl", "flux-kontext-max", "1024x1024", as_is, ["0.08", "0.08", "0.08"]),
    ];
    check(&cases, TODAY);
}

/// Half price for tasks accepted from 2026-10-01 15:00 to 2026-10-08 15:00 UTC, exclusive.
#[test]
fn the_launch_week_is_half_open() {
    let one = |usd: &'static str| [case("bfl", "flux-3-image", "1024x1024", as_is, [usd; 3])];
    check(&one("0.048"), "2026-10-01T14:59:59.999Z");
    check(&one("0.024"), "2026-10-01T15:00:00Z");
    check(&one("0.024"), "2026-10-08T14:59:59Z");
    check(&one("0.048"), "2026-10-08T15:00:00Z");
}

#[test]
fn stability_calls() {
    let cases = [
        case("stability", "stable-image-ultra", "1024x1024", as_is, ["0.08"; 3]),
        case("stability", "stable-image-core", "1632x920", as_is, ["0.03"; 3]),
        case("stability", "sd3.5-large", "1344x768", as_is, ["0.065"; 3]),
        case("stability", "sd3.5-large-turbo", "1024x1024", as_is, ["0.04"; 3]),
        case("stability", "sd3.5-medium", "1024x1024", as_is, ["0.035"; 3]),
        case("stability", "sd3.5-flash", "1024x1024", as_is, ["0.025"; 3]),
        // From 0.9 to 4 credits a picture, nobody knows: two are 0.018 to 0.08.
        case("stability", "sdxl", "1024x1024", |c| c.n = 2, ["0.018", "0.08", "0.08"]),
    ];
    check(&cases, TODAY);
}

#[test]
fn fal_calls() {
    let cases = [
        // 1024 × 1024 is one megapixel of 2^20, but two started ones of 10^6: the higher is expected.
        case("fal", "flux-1-schnell", "1024x1024", as_is, ["0.003", "0.006", "0.006"]),
        case("fal", "flux-1-schnell", "640x480", as_is, ["0.003"; 3]),
        case("fal", "flux-1-dev", "1024x1024", |c| c.n = 2, ["0.05", "0.1", "0.1"]),
        // 1280 × 1440 = 1,843,200: two of either kind.
        case("fal", "flux-1.1-pro", "1280x1440", as_is, ["0.08"; 3]),
        case("fal", "flux-1.1-pro-ultra", "2048x2048", as_is, ["0.06"; 3]),
        // 0.03 for the first, 0.015 for each further one: as units of 0.03 they are 1.5 and 2.5.
        case("fal", "flux-2-pro", "1024x1024", as_is, ["0.03"; 3]),
        case("fal", "flux-2-pro", "1440x1440", as_is, ["0.045"; 3]),
        case("fal", "flux-2-pro", "2048x2048", as_is, ["0.075"; 3]),
        // 0.07 + 0.03 and 0.07 + 3 × 0.03.
        case("fal", "flux-2-max", "1440x1440", as_is, ["0.1"; 3]),
        case("fal", "flux-2-max", "2048x2048", as_is, ["0.16"; 3]),
        case("fal", "flux-2-flex", "1440x1440", as_is, ["0.1"; 3]),
        case("fal", "flux-2-klein-4b", "1024x1024", as_is, ["0.014"; 3]),
        case("fal", "flux-2-klein-4b-base", "1024x1024", |c| c.n = 4, ["0.036"; 3]),
        // 1536 × 1536 = 2,359,296: three of either kind.
        case("fal", "qwen-image", "1536x1536", as_is, ["0.06"; 3]),
        case("fal", "seedream-4", "4096x4096", as_is, ["0.03"; 3]),
    ];
    check(&cases, TODAY);
}

/// 0.5 s + 0.15 s × 1.048576 MP × 30 = 5.218592 s, at 1.10 / 3600 = 0.00159456977… ; 600 ‰ = 3.131155 s =
/// 0.000956741805…; 1250 ‰ = 6.52324 s = 0.0019932122….
#[test]
fn gpu_time_calls() {
    let cases = [
        case("automatic1111", "sdxl", "1024x1024", as_is, ["0.0009567418", "0.0015945698", "0.0019932122"]),
        // 512 × 512 with 10 steps: 0.5 + 0.15 × 0.262144 × 10 = 0.893216 s = 0.00027292711…
        case(
            "automatic1111",
            "sdxl",
            "512x512",
            |c| c.steps = 10,
            ["0.0001637561", "0.0002729271", "0.0003411589"],
        ),
    ];
    check(&cases, TODAY);
}

#[test]
fn an_unknown_combination_is_refused_and_never_free() {
    let (_, sheet) = find("openai", "gpt-image-1.5");
    let mut call = default_call(&sheet);
    call.size = Size::new(2048, 2048);
    let refused = price(&sheet, &call, now());
    assert!(matches!(refused, Err(Unpriced::NoQuantity { .. })), "{refused:?}");
    let (_, sheet) = find("openai", "dall-e-2");
    call.size = Size::new(640, 640);
    assert_eq!(price(&sheet, &call, now()), Err(Unpriced::NoChoice("picture")));
    let (_, sheet) = find("bfl", "flux-3-image");
    call.resolution = "8k".to_owned();
    assert_eq!(price(&sheet, &call, now()), Err(Unpriced::NoChoice("picture")));
}

/// One rounding per line, half up, after the factors.
#[test]
fn rounding_happens_once_per_line() {
    let text = include_str!("rounding.toml");
    let files = vec![("shop.toml".to_owned(), text.to_owned())];
    let catalogue = crate::Catalogue::from_files(files).unwrap_or_else(|m| panic!("{m:#?}"));
    let sheet = &catalogue.providers[0].models[0].sheet;
    let ticks = |change: fn(&mut ImageCall)| -> Vec<i64> {
        let mut call = ImageCall::example("easel", Size::new(1024, 1024));
        change(&mut call);
        let facts = Facts::of(&call);
        let quote = quote(sheet, &facts, now()).expect("has a price");
        assert_eq!(quote.bounds.expected, quote.lines.iter().map(|line| line.amount.expected).sum());
        quote.lines.iter().map(|line| line.amount.expected.get()).collect()
    };
    // 1 tick per 2 pictures: half a tick is one, 1 is 1 (2 / 2), 1.5 is 2. Seven thirds: 2.33, 4.67, 7.
    assert_eq!(ticks(as_is), [1, 2]);
    assert_eq!(ticks(|c| c.n = 2), [1, 5]);
    assert_eq!(ticks(|c| c.n = 3), [2, 7]);
    // Half price: 0.25 is 0 (a line of nothing stays for its quantity), 7/6 is 1; never a half of a rounded.
    assert_eq!(ticks(|c| c.tier = "batch".into()), [0, 1]);
    // 3/4 of 7/3 × 3 = 5.25 is 5; of the unrounded product, with both factors.
    assert_eq!(ticks(|c| (c.n, c.tier) = (3, "late".into())), [1, 5]);
}

#[test]
fn quantities_are_shown_as_people_say_them() {
    assert_eq!(display_quantity(Meter::GpuSeconds, 5_218_592), "5.218592");
    assert_eq!(display_quantity(Meter::BillableUnits, 1_500_000), "1.5");
    assert_eq!(display_quantity(Meter::BillableUnits, 2_000_000), "2");
    assert_eq!(display_quantity(Meter::ImageOutputTokens, 1756), "1756");
}

prop_compose! {
    /// A model that is on sale and a call that it takes.
    pub(crate) fn any_call()(
        model in 0..sold(now()).len(),
        size in any::<prop::sample::Index>(),
        label in any::<prop::sample::Index>(),
        n in 1..=10u32,
        steps in any::<prop::sample::Index>(),
        partials in 0..=3u8,
        prompt in "\\PC{1,300}",
    ) -> (std::sync::Arc<crate::ModelSheet>, ImageCall) {
        let (_, model) = sold(now()).swap_remove(model);
        let shape = &model.capabilities;
        let mut call = default_call(&model);
        resize(&mut call, &model, *size.get(&some_sizes(&model)));
        if !shape.qualities.is_empty() {
            call.quality = label.get(&shape.qualities).clone();
        }
        if let Some(limit) = shape.steps {
            let span = usize::try_from(limit.max - limit.min).expect("small") + 1;
            call.steps = limit.min + u32::try_from(steps.index(span)).expect("small");
        }
        call.n = n.min(shape.images_per_call_max);
        if shape.streaming && partials > 0 {
            (call.stream, call.partial_images) = (true, partials.min(shape.partial_images_max));
        }
        call.prompt = prompt;
        (model, call)
    }
}

proptest! {
    #[test]
    fn bounds_are_ordered_and_the_sum_of_the_lines((model, call) in any_call()) {
        let facts = Facts::of(&call);
        let bounds = bounds(&model.sheet, &facts, now()).expect("has a price");
        prop_assert!(Ticks::ZERO < bounds.min);
        prop_assert!(bounds.min <= bounds.expected && bounds.expected <= bounds.max);
        let quote = quote(&model.sheet, &facts, now()).expect("has a price");
        prop_assert_eq!(quote.bounds, bounds);
        prop_assert_eq!(bounds.min, quote.lines.iter().map(|line| line.amount.min).sum());
        prop_assert_eq!(bounds.expected, quote.lines.iter().map(|line| line.amount.expected).sum());
        prop_assert_eq!(bounds.max, quote.lines.iter().map(|line| line.amount.max).sum());
    }

    /// What counts per picture is n times that of one, what counts per call stays; the rounding of each line
    /// moves its amount by less than n ticks.
    #[test]
    fn adding_pictures_adds((model, call) in any_call()) {
        let one = ImageCall { n: 1, ..call.clone() };
        let (facts, facts_one) = (Facts::of(&call), Facts::of(&one));
        let many = quote(&model.sheet, &facts, now()).expect("has a price");
        let one = quote(&model.sheet, &facts_one, now()).expect("has a price");
        prop_assert_eq!(many.lines.len(), one.lines.len());
        let n = i64::from(call.n);
        for (many, one) in many.lines.iter().zip(&one.lines) {
            let times = if many.line.meter == Meter::TextInputTokens { 1 } else { n };
            prop_assert_eq!(many.quantity.expected, one.quantity.expected * times, "{}", many.line.id);
            let drift = many.amount.max.get() - one.amount.max.get() * times;
            prop_assert!(drift.abs() <= n, "{}: {drift}", many.line.id);
        }
    }

    /// An instant matters only to a sheet that has something dated.
    #[test]
    fn time_changes_only_what_is_dated((model, call) in any_call(), second in 1_700_000_000..1_900_000_000i64) {
        let at = Timestamp::from_second(second).expect("in range");
        let sheet = &model.sheet;
        let facts = Facts::of(&call);
        let (then, today) = (bounds(sheet, &facts, at), bounds(sheet, &facts, now()));
        let (first, last) = (at.min(now()), at.max(now()));
        let periods = sheet.lines.iter().map(|l| l.period).chain(sheet.factors.iter().map(|f| f.period));
        let mut turns = periods.flat_map(|period| [period.since, period.until]).flatten();
        let turned = turns.any(|turn| first < turn && turn <= last);
        // No price that is sold today depends on the time of the day.
        prop_assert!(sheet.lines.iter().filter_map(|line| line.when.terms()).all(|terms| terms.window.is_none()));
        if !turned {
            prop_assert_eq!(then, today);
        } else if model.id == "flux-3-image" {
            let inside = sheet.factors.iter().any(|factor| factor.period.contains(at));
            let (then, today) = (then.expect("priced").expected, today.expect("priced").expected);
            prop_assert_eq!(then.get() * if inside { 2 } else { 1 }, today.get());
        }
    }
}
