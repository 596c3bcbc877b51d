//! Price lists of others: compared, planned, written, and what is refused.

use crate::support::{Ran, gallerist, run};
use serde_json::{Value, json};
use std::path::Path;

const LIST: &str = r#"{
    "black_forest_labs/flux-pro-1.1": {"litellm_provider": "black_forest_labs", "mode": "image_generation", "output_cost_per_image": 0.05},
    "black_forest_labs/flux-dev": {"litellm_provider": "black_forest_labs", "mode": "image_generation", "output_cost_per_image": 2.5},
    "aiml/paint": {"litellm_provider": "aiml", "mode": "image_generation", "output_cost_per_image": 5e-03},
    "aiml/free": {"litellm_provider": "aiml", "mode": "image_generation"}}"#;

fn import(home: &Path, arguments: &[&str]) -> Value {
    std::fs::write(home.join("list.json"), LIST).unwrap();
    let list = ["prices", "import", "list.json", "--format", "litellm", "--json"];
    run(gallerist(home).args(list).args(arguments)).json()
}

#[test]
fn a_foreign_list_is_compared_without_writing_anything() {
    let home = tempfile::tempdir().unwrap();
    let report = import(home.path(), &["--compare", "--at", "2026-11-25"]);
    assert_eq!(report["entries"].as_array().unwrap().len(), 4);
    let of = |entry: &str| {
        let findings = report["findings"].as_array().unwrap();
        findings.iter().find(|finding| finding["entry"] == entry).unwrap().clone()
    };
    let dearer = of("black_forest_labs/flux-pro-1.1");
    assert_eq!((&dearer["standing"], &dearer["percent"]), (&json!("dearer"), &json!("+25.00")));
    assert_eq!(of("black_forest_labs/flux-dev")["standing"], "held");
    assert_eq!(of("aiml/paint")["standing"], "only_there");
    assert_eq!(of("aiml/free")["standing"], "unpriced");
}

#[test]
fn an_import_says_what_it_would_write_and_writes_a_sound_catalogue() {
    let home = tempfile::tempdir().unwrap();
    let would = import(home.path(), &["--prefer-imported"]);
    assert_eq!(would["written"], false);
    assert!(!home.path().join("made").exists());
    let written = import(home.path(), &["--prefer-imported", "--write", "made"]);
    assert_eq!(would["entries"], written["entries"]);
    assert_eq!(written["entries"], json!(["aiml/paint", "black_forest_labs/flux-pro-1.1"]));
    assert_eq!(written["files"], json!(["litellm-aiml.toml", "litellm-black-forest-labs.toml"]));
    assert_eq!(run(gallerist(home.path()).args(["prices", "check", "made"])).code, 0);
    std::fs::write(home.path().join("settings.toml"), "catalogue_dir = \"made\"\n").unwrap();
    let show = ["prices", "show", "litellm-aiml/paint", "--config", "settings.toml"];
    let shown = run(gallerist(home.path()).args(show));
    assert!(shown.out.contains("0.005"), "{}{}", shown.out, shown.err);
}

fn ran(home: &Path, arguments: &[&str]) -> Ran {
    run(gallerist(home).args(["prices", "import"]).args(arguments))
}

/// Asked wrongly, and says so.
fn refused(home: &Path, arguments: &[&str], why: &[&str]) {
    let ran = ran(home, arguments);
    assert_eq!((ran.code, ran.out.as_str()), (2, ""), "{arguments:?}: {}", ran.err);
    for word in why {
        assert!(ran.err.contains(word), "{arguments:?}: {word:?} in {}", ran.err);
    }
}

#[test]
fn the_plan_says_old_new_and_why_before_anything_is_written() {
    let home = tempfile::tempdir().unwrap();
    std::fs::write(home.path().join("list.json"), LIST).unwrap();
    let at = ["--prefer-imported", "--at", "2026-11-25"];
    let plan = ran(home.path(), &[&["list.json", "--format", "litellm"], &at[..]].concat());
    assert_eq!(plan.code, 0, "{}", plan.err);
    let of = |entry: &str| {
        let line = plan.out.lines().find(|line| line.starts_with(entry)).unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    let dearer = "black_forest_labs/flux-pro-1.1 image $0.04 $0.05 +25.00 would be written; dearer";
    assert_eq!(of("black_forest_labs/flux-pro-1.1"), dearer);
    let held = of("black_forest_labs/flux-dev");
    assert!(held.contains("$0.025 $2.50") && held.contains("left out: held: "), "{held}");
    assert!(held.contains("cents against dollars?"), "{held}");
    assert_eq!(of("aiml/paint"), "aiml/paint image $0.005 would be written; ours has no such model");
    assert_eq!(of("aiml/free"), "aiml/free left out: the list names no price");
    assert!(plan.out.contains("2 entries would be written as "), "{}", plan.out);
    assert!(plan.out.contains(": 2 price lines; 2 left out"), "{}", plan.out);
}

#[test]
fn files_that_are_there_stay_unless_it_is_forced() {
    let home = tempfile::tempdir().unwrap();
    import(home.path(), &["--prefer-imported", "--write", "made"]);
    let made = |name: &str| home.path().join("made").join(name);
    let mine = "# mine\n";
    std::fs::write(made("litellm-black-forest-labs.toml"), mine).unwrap();
    std::fs::remove_file(made("litellm-aiml.toml")).unwrap();
    let again = ["list.json", "--format", "litellm", "--prefer-imported", "--write", "made"];
    refused(
        home.path(),
        &again,
        &["made has litellm-black-forest-labs.toml already", "nothing is written", "--force"],
    );
    assert_eq!(std::fs::read_to_string(made("litellm-black-forest-labs.toml")).unwrap(), mine);
    assert!(!made("litellm-aiml.toml").exists(), "all or nothing");

    std::fs::write(made("litellm-old.toml"), "").unwrap();
    let broken = ran(home.path(), &[&again[..], &["--force"]].concat());
    assert_eq!(broken.code, 1, "{}{}", broken.out, broken.err);
    assert!(
        broken.err.contains("litellm-old.toml") && broken.err.contains("nothing is written"),
        "{}",
        broken.err
    );
    assert_eq!(std::fs::read_to_string(made("litellm-black-forest-labs.toml")).unwrap(), mine);

    std::fs::remove_file(made("litellm-old.toml")).unwrap();
    let forced = ran(home.path(), &[&again[..], &["--force"]].concat());
    assert_eq!(forced.code, 0, "{}", forced.err);
    assert!(
        std::fs::read_to_string(made("litellm-black-forest-labs.toml")).unwrap().contains("flux-pro-1.1")
    );
    let mut names: Vec<_> = std::fs::read_dir(home.path().join("made"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    names.sort();
    assert_eq!(names, ["litellm-aiml.toml", "litellm-black-forest-labs.toml"], "nothing else is left there");

    // A smaller list leaves the file of the other provider as it is, and says so.
    let small = LIST.replace("black_forest_labs", "tencent");
    std::fs::write(home.path().join("small.json"), small).unwrap();
    let small = ["small.json", "--format", "litellm", "--write", "made", "--force"];
    let told = ran(home.path(), &small);
    assert_eq!(told.code, 0, "{}", told.err);
    assert!(told.err.contains("keeps litellm-black-forest-labs.toml"), "{}", told.err);
    refused(home.path(), &["small.json", "--format", "litellm", "--write", "small.json"], &["is no folder"]);
}

#[test]
fn a_wrong_file_format_or_provider_is_told_with_the_remedy() {
    let home = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &[u8]| std::fs::write(home.path().join(name), text).unwrap();
    file("list.json", LIST.as_bytes());
    file("empty.json", b"{}");
    file("binary.json", &[0xff, 0xfe, 0]);
    file(
        "openai.json",
        br#"{"dall-e-3": {"pricing_config": {"pay_as_you_go": {"image": {"default": {"default": {"price": 4}}}}}}}"#,
    );
    let home = home.path();
    let none = "none of its 4 entries can be understood";
    refused(
        home,
        &["list.json", "--format", "portkey", "--compare"],
        &["list.json", none, "try: --format litellm"],
    );
    refused(home, &["openai.json", "--format", "litellm"], &["mode are missing", "try: --format portkey"]);
    refused(home, &["list.json", "--format", "openrouter"], &["no list named data", "try: --format litellm"]);
    refused(home, &["empty.json", "--format", "litellm"], &["empty.json", "it has no entry"]);
    refused(home, &["gone.json", "--format", "litellm"], &["gone.json cannot be read", "try: name the file"]);
    refused(home, &["binary.json", "--format", "litellm"], &["binary.json is no text"]);
    let provider = ["openai.json", "--format", "portkey", "--provider"];
    refused(home, &[&provider[..], &["opnai"]].concat(), &["there is no provider \"opnai\"", "try: openai"]);
    refused(home, &[&provider[..], &["nope"]].concat(), &["there is no provider \"nope\""]);
    refused(
        home,
        &["list.json", "--format", "litellm", "--provider", "fal"],
        &["--provider is for Portkey's"],
    );
    for name in ["openai", "open-ai", "fal-ai", "seedream"] {
        let ran = ran(home, &[&provider[..], &[name]].concat());
        assert_eq!((ran.code, ran.err.as_str()), (0, ""), "{name}");
    }
    std::fs::copy(home.join("openai.json"), home.join("prices.json")).unwrap();
    let guessed = ran(home, &["prices.json", "--format", "portkey"]);
    assert_eq!(guessed.code, 0, "{}", guessed.err);
    assert!(guessed.err.contains("\"prices\"") && guessed.err.contains("--provider NAME"), "{}", guessed.err);
}
