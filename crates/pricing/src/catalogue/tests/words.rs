//! The words of shapes and sheets: what they do, and what is wrong about them.

use super::{SOUND, plant, read};
use crate::quote::{Bounds, Unpriced, bounds};
use crate::settle::{Evidence, settle};
use crate::testing::instant;
use crate::{Catalogue, ConfiguredProvider, Facts, ModelSheet, offers};
use gallerist_domain::{Billed, ChargeEvent, ImageCall, Operation, OptionWord, Size};
use std::sync::Arc;

const LINE: &str = "    { line = \"picture\", meter = \"images\", amount = \"4\", currency = \"credit\", source = \"page\" },\n]";

fn model(text: &str) -> Arc<ModelSheet> {
    let catalogue = read(text).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    Arc::clone(&catalogue.providers[0].models[0])
}

fn mistake(text: &str) -> String {
    read(text).expect_err("the file has a mistake")[0].message.clone()
}

fn with_sheet(entries: &str) -> String {
    let mut text = SOUND.to_owned();
    plant(&mut text, LINE, &format!("{LINE}\n{entries}"));
    text
}

fn with_shape(entries: &str) -> String {
    let mut text = SOUND.to_owned();
    plant(&mut text, "format_default = \"png\"\n", &format!("format_default = \"png\"\n{entries}\n"));
    text
}

fn price(model: &ModelSheet, change: impl Fn(&mut ImageCall)) -> [String; 3] {
    let mut call = ImageCall::example("easel", Size::new(1024, 1024));
    change(&mut call);
    let bounds = bounds(&model.sheet, &Facts::of(&call), instant("2026-11-22T12:00:00Z")).expect("a price");
    let Bounds { min, expected, max } = bounds;
    [min, expected, max].map(|ticks| ticks.short().to_string())
}

#[test]
fn an_open_factor_expects_its_upper_end_and_records_its_lower_one() {
    let factor = "numerator = 11, numerator_max = 12, denominator = 10, source = \"page\"";
    let text = with_sheet(&format!("factors = [{{ factor = \"zone\", {factor} }}]"));
    assert_eq!(price(&model(&text), |_| {}), ["0.044", "0.048", "0.048"]);
    let text = text.replace("numerator_max = 12", "numerator_max = 10");
    assert!(mistake(&text).contains("numerator_max ≥ numerator"), "{}", mistake(&text));
}

#[test]
fn a_price_may_depend_on_the_shape_of_each_picture_that_goes_in() {
    let mut text = SOUND.to_owned();
    let line = |name: &str, amount: &str, when: &str| {
        let rest = format!("choice = \"picture\"{when}, source = \"page\"");
        format!("{{ line = \"{name}\", meter = \"images\", amount = \"{amount}\", {rest} }},\n")
    };
    let small = ", when = { each_input = { pixels_max = 1048576, ratio_per_mille_max = 2000 } }";
    plant(&mut text, LINE, &format!("{}{}]", line("small", "0.01", small), line("other", "0.03", "")));
    let model = model(&text);
    let with = |sizes: &'static [(u32, u32)]| {
        let inputs: Vec<Size> = sizes.iter().map(|(width, height)| Size::new(*width, *height)).collect();
        price(&model, |call| call.ingredients.inputs.clone_from(&inputs))[1].clone()
    };
    assert_eq!(with(&[]), "0.01", "nothing goes in that would be too large");
    assert_eq!(with(&[(1024, 1024), (512, 1024)]), "0.01");
    assert_eq!(with(&[(1024, 1024), (1025, 1024)]), "0.03", "one of them is too large");
    assert_eq!(with(&[(511, 1024)]), "0.03", "too long");
    let text = text.replace("pixels_max = 1048576", "width_max = 4, width_min = 5");
    let text =
        text.replace("[shapes.plain]", "[shapes.plain]\neach_input = { width_min = 5, width_max = 4 }");
    assert!(mistake(&text).contains("no picture holds the limits of `each_input`: 5 to 4 pixels wide"));
}

#[test]
fn the_model_may_decide_how_many_pictures_come() {
    let able = "format_default = \"png\"\noperations = [\"generate\", \"layerize\"]\noptions = [\"set\"]\n";
    let with_sheet = |entries: &str| with_sheet(entries).replace("format_default = \"png\"\n", able);
    let rule = |rest: &str| format!("outputs = [{{ outputs = \"set\", {rest}, source = \"page\" }}]");
    let layers = model(&with_sheet(&rule("min = 1, max = 17, when = { operations = [\"layerize\"] }")));
    assert_eq!(price(&layers, |_| {}), ["0.04", "0.04", "0.04"]);
    let split = price(&layers, |call| call.operation = Operation::Layerize);
    assert_eq!(split, ["0.04", "0.68", "0.68"], "the most is reserved");
    let fewer = model(&with_sheet(&rule("min = 1, when = { options = { set = [\"yes\"] } }")));
    let word = OptionWord { name: "set".to_owned(), value: "yes".to_owned() };
    let asked = price(&fewer, |call| (call.n, call.option_words) = (4, vec![word.clone()]));
    assert_eq!(asked, ["0.04", "0.16", "0.16"]);
    let room = model(&with_sheet(&rule("min = 1, max = 5, max_includes_inputs = true")));
    let beside = |inputs: usize| {
        price(&room, |call| call.ingredients.inputs = vec![Size::new(64, 64); inputs])[2].clone()
    };
    assert_eq!([beside(0), beside(3), beside(9)], ["0.20", "0.08", "0.04"], "each leaves room for one less");
    let wrong = mistake(&with_sheet(&rule("min = 3, max = 2")));
    assert_eq!(wrong, "`max` is at least 1, and at least `min`");
    let wrong = mistake(&with_sheet(&rule("min = 1, max_includes_inputs = true")));
    assert_eq!(wrong, "`max_includes_inputs` needs a `max` that includes them");
}

#[test]
fn a_word_that_no_model_of_the_sheet_has_is_a_mistake_at_its_line() {
    let with = |when: &str| {
        let mut text = SOUND.to_owned();
        let line = format!(
            "{{ line = \"picture\", meter = \"images\", amount = \"4\", currency = \"credit\", when = {{ {when} }}, source = \"page\" }}"
        );
        plant(&mut text, LINE, &format!("    {line},\n]"));
        text
    };
    for (when, told) in [
        ("qualities = [\"hgh\"]", "\"hgh\" of `qualities`"),
        ("tiers = [\"batch\"]", "\"batch\" of `tiers`, so it never applies; known are standard"),
        ("operations = [\"edit\"]", "\"edit\" of `operations`, so it never applies; known are generate"),
        ("sizes = [\"512x512\"]", "\"512x512\" of `sizes`"),
        ("options = { style = [\"ink\"] }", "\"style\" of `options`"),
        ("options_absent = [\"style\"]", "\"style\" of `options`"),
    ] {
        let text = with(when);
        let mistakes = read(&text).expect_err(when);
        assert_eq!(mistakes.len(), 1, "{mistakes:?}");
        assert!(mistakes[0].message.contains(told), "{}", mistakes[0].message);
        let line = text.lines().position(|line| line.contains(when)).expect("it is planted") + 1;
        assert_eq!(mistakes[0].line, line, "{}", mistakes[0].message);
    }
    assert!(read(&with("tiers = [\"standard\"], qualities = [\"\"], sizes = [\"1024x1024\"]")).is_ok());
}

#[test]
fn a_partner_may_charge_by_rules_of_its_own_when_things_go_wrong() {
    let rows = |failed: &str| {
        let events =
            "success filtered refused rejected cancelled_queued cancelled_running disconnected timed_out";
        let others: String = events.split(' ').map(|event| format!("{event} = \"yes\"\n")).collect();
        format!("{others}failed = \"{failed}\"\n")
    };
    let (partner, edits) = (rows("unknown"), rows("yes"));
    let mut text = SOUND.to_owned();
    plant(
        &mut text,
        "[outcomes.default]",
        &format!("[outcomes.partner]\n{partner}\n[outcomes.edits]\n{edits}\n[outcomes.default]"),
    );
    let own = "outcomes_by_region = { partner = \"partner\" }\noutcomes_by_operation = { edit = \"edits\" }";
    plant(&mut text, "sheet = \"flat\"\n", &format!("sheet = \"flat\"\n{own}\n"));
    let model = model(&text);
    let failed = |operation, region: &str| model.outcomes.of(operation, region).billed(ChargeEvent::Failed);
    assert_eq!(failed(Operation::Generate, "partner"), Billed::Unknown);
    assert_eq!(failed(Operation::Edit, "partner"), Billed::Unknown, "the partner sends the bill");
    assert_eq!(failed(Operation::Edit, ""), Billed::Yes);
    assert_eq!(failed(Operation::Generate, "elsewhere"), Billed::No);
    assert_eq!(model.outcomes.all().count(), 3);
    let unknown = mistake(&text.replace("{ partner = \"partner\" }", "{ partner = \"other\" }"));
    assert!(unknown.contains("\"other\" is not defined in [outcomes]"), "{unknown}");
}

#[test]
fn sheets_share_a_pool_that_lowers_only_the_least() {
    let pool =
        "[[allowances]]\nallowance = \"gift\"\namount = \"0.03\"\nper = \"month\"\nsource = \"page\"\n";
    let sharing = with_sheet("allowances = [\"gift\"]");
    let text = sharing.replace("[outcomes.default]", &format!("{pool}\n[outcomes.default]"));
    assert_eq!(price(&model(&text), |_| {}), ["0.01", "0.04", "0.04"]);
    let other = text.replace("per = \"month\"", "per = \"month\"\nlines = [\"fee\"]");
    assert_eq!(price(&model(&other), |_| {}), ["0.04", "0.04", "0.04"], "it covers another line");
    let twice = text.replace("[outcomes.default]", &format!("{pool}\n[outcomes.default]"));
    assert!(mistake(&twice).contains("stands twice"));
    assert!(mistake(&sharing).contains("\"gift\" is not defined in [[allowances]]"), "{}", mistake(&sharing));
}

#[test]
fn an_operation_takes_what_its_own_table_says_and_else_what_the_shape_says() {
    let shape = "operations = [\"generate\", \"edit\"]\noptions = [\"style\"]\n";
    let own = "by_operation = { edit = { options = [\"style\", \"strength\"], images_per_call_max = 4 } }";
    let text = with_shape(&format!("{shape}{own}"));
    let model = model(&text);
    let (usual, edit) = (model.capabilities.of(Operation::Generate), model.capabilities.of(Operation::Edit));
    assert_eq!((usual.options.len(), usual.images_per_call_max), (1, 1));
    assert_eq!((edit.options.len(), edit.images_per_call_max), (2, 4));
    assert_eq!(edit.size_default, usual.size_default);
    let unknown = mistake(&text.replace("{ edit = {", "{ upscale = {"));
    assert!(unknown.contains("one of its operations (generate, edit), not \"upscale\""), "{unknown}");
    let wrong = mistake(&text.replace("images_per_call_max = 4", "images_per_call_max = 0"));
    assert_eq!(wrong, "shape \"plain.by_operation.edit\": `images_per_call_max` is at least 1");
    let nested = mistake(&text.replace("images_per_call_max = 4", "operations = [\"edit\"]"));
    assert_eq!(nested, "`operations` belong to the shape, not to one of them");
    let misspelt = mistake(&text.replace("images_per_call_max = 4", "image_per_call_max = 4"));
    assert!(misspelt.contains("unknown field `image_per_call_max`"), "{misspelt}");
}

#[test]
fn a_drawing_has_a_price_and_cannot_be_ordered() {
    let text = SOUND.replace("\"png\"", "\"svg\"");
    assert_eq!(price(&model(&text), |_| {})[1], "0.04");
    let served = text.replace("concurrency_max = 4", "concurrency_max = 4\nserves = [\"generate\"]");
    let shop = [ConfiguredProvider::new("shop", "shop")];
    let offered = offers(&read(&served).expect("it may stand beside what can be ordered"), &shop);
    assert!(!offered[0].serves(Operation::Generate), "nobody can order it");
    let either = served.replace("formats = [\"svg\"]", "formats = [\"svg\", \"png\"]");
    assert!(mistake(&either).contains("answers with svg, which no adapter can order"));
}

#[test]
fn a_price_that_nobody_knows_is_said_with_its_reason_and_never_forgotten() {
    let unknown = |why: &str| SOUND.replace("sheet = \"flat\"\n", &format!("price_unknown = \"{why}\"\n"));
    let model = model(&unknown("the sheet names no price"));
    let call = ImageCall::example("easel", Size::new(1024, 1024));
    let (facts, at) = (Facts::of(&call), instant("2026-11-22T12:00:00Z"));
    let refused = Some(Unpriced::Unknown("the sheet names no price"));
    assert_eq!(bounds(&model.sheet, &facts, at).err(), refused);
    let evidence = Evidence { images: 1, usage: &[], reported: None };
    assert_eq!(
        settle(&model.sheet, &[], &facts, evidence, at).err(),
        refused,
        "nor is it settled as nothing"
    );
    // What nobody can buy needs neither a class nor a successor.
    let bare = unknown("gone").replace("classes = [{ class = \"standard\", source = \"page\" }]\n", "");
    let gone = bare.replace("latency_ms", "retires_on = \"2026-07-31\"\nlatency_ms");
    assert!(read(&gone).is_ok());

    let forgotten = mistake(&SOUND.replace("sheet = \"flat\"\n", ""));
    assert!(
        forgotten.contains("needs `sheet`") && forgotten.contains("`price_unknown` says why"),
        "{forgotten}"
    );
    assert!(mistake(&unknown(" ")).contains("says why"));
    let both = SOUND.replace("sheet = \"flat\"\n", "sheet = \"flat\"\nprice_unknown = \"hm\"\n");
    assert!(mistake(&both).contains("leave one of the two out"), "{}", mistake(&both));
}

#[test]
fn a_resale_may_have_the_limits_of_its_base_without_a_price_of_its_own() {
    let reseller = SOUND.replace("kind = \"shop\"", "kind = \"stall\"").replace(
        "shape = \"plain\"\nsheet = \"flat\"\n",
        "resale_of = \"shop/easel\"\nprice_unknown = \"it is haggled over\"\n",
    );
    let released = SOUND.replace("latency_ms", "released_on = \"2026-11-04\"\nlatency_ms");
    let files = vec![("shop.toml".to_owned(), released), ("stall.toml".to_owned(), reseller)];
    let catalogue = Catalogue::from_files(files).unwrap_or_else(|mistakes| panic!("{mistakes:?}"));
    let stall = &catalogue.provider("stall").expect("it was read").models[0];
    assert!(stall.sheet.lines.is_empty() && stall.sheet.unknown.as_deref() == Some("it is haggled over"));
    assert_eq!(stall.capabilities.prompt_characters_max, 1000);
    // Nobody resells what its maker does not offer yet.
    let offer = &offers(&catalogue, &[ConfiguredProvider::new("stall", "stall")])[0];
    let day = |at: &str| offer.not_released(instant(at)).map(|day| day.to_string());
    assert_eq!(day("2026-11-03T23:59:59Z").as_deref(), Some("2026-11-04"));
    assert_eq!(day("2026-11-04T00:00:00Z"), None);
}

#[test]
fn a_model_may_be_deprecated_on_a_day_that_nobody_knows() {
    let of = |words: &str| SOUND.replace("latency_ms", &format!("{words}\nlatency_ms"));
    let life = |words: &str| model(&of(words)).lifecycle.clone();
    assert_eq!((life("").deprecated, life("").deprecated_on), (false, None));
    assert_eq!((life("deprecated = true").deprecated, life("deprecated = true").deprecated_on), (true, None));
    assert!(life("deprecated_on = \"2026-10-06\"").deprecated);
    let backwards = "released_on = \"2026-10-07\"\ndeprecated_on = \"2026-10-06\"";
    assert_eq!(mistake(&of(backwards)), "model \"easel\" ends before it is released");
}

#[test]
fn a_fee_may_fall_on_everybody_but_those_of_one_plan() {
    let fee =
        "numerator = 11, denominator = 10, when = { regions_absent = [\"own-keys\"] }, source = \"page\"";
    let model = model(&with_sheet(&format!("factors = [{{ factor = \"fee\", {fee} }}]")));
    let of = |region: &str| price(&model, |call| call.region = region.to_owned())[1].clone();
    assert_eq!([of(""), of("eu"), of("own-keys")], ["0.044", "0.044", "0.04"]);
}

#[test]
fn guidance_of_one_leaves_one_pass_of_two() {
    let time = "    { line = \"time\", meter = \"gpu_seconds\", amount = \"0.01\", source = \"page\" },\n]\n";
    let of = |guided: &str, guidance_milli: Option<u32>| {
        let work = "base = 1000000, per_megapixel_step = 1000000, min_per_mille = 1000, max_per_mille = 1000";
        let form = format!("form = {{ work_time = {{ {work}{guided} }} }}, source = \"page\"");
        let estimate = format!("estimates = [{{ meter = \"gpu_seconds\", each = \"image\", {form} }}]");
        let mut text = SOUND.to_owned();
        plant(&mut text, LINE, &format!("{time}{estimate}"));
        price(&model(&text), |call| (call.steps, call.guidance_milli) = (10, guidance_milli))[1].clone()
    };
    // 1 s, and 1.048576 s for each of ten steps.
    assert_eq!(of(", guided = true", None), "0.1148576", "the engine's own guidance");
    assert_eq!(of(", guided = true", Some(1_001)), "0.1148576");
    assert_eq!(of(", guided = true", Some(1_000)), "0.0624288");
    assert_eq!(of("", Some(1_000)), "0.1148576", "a distilled model has one pass anyway");
}

#[test]
fn a_minimum_is_a_line_and_a_bare_amount_is_told_how_it_is_written() {
    let minimum = "minimum = { line = \"least\", meter = \"calls\", amount = \"0.05\", source = \"page\" }";
    assert_eq!(price(&model(&with_sheet(minimum)), |_| {}), ["0.05", "0.05", "0.05"]);
    for bare in ["minimum = \"0.05\"", "minimum = 5"] {
        let told = mistake(&with_sheet(bare));
        assert!(told.ends_with(minimum), "{told}");
    }
}
