use super::*;
use gallerist_domain::{
    Ingredients, Objective, Operation, OptionWord, QualityClass, Size, Ticks, TierChoice,
};
use mistakes::{EXTENSION_MISTAKES, MISTAKES, no_objects};

mod mistakes;

/// The parameter and code of each fault.
fn faults(body: &[u8]) -> Vec<(Option<String>, &'static str)> {
    let faults = parse_generation(body).expect_err("the body is malformed");
    assert!(!faults.is_empty() && faults.len() <= FAULTS_MAX);
    for fault in &faults {
        assert!(!fault.message.is_empty() && fault.message.len() < 700, "{}", fault.message);
        assert!(!fault.message.contains(['\n', '\r', '\0']), "{:?}", fault.message);
    }
    faults.into_iter().map(|fault| (fault.parameter, fault.code)).collect()
}

#[test]
fn each_mistake_names_its_parameter() {
    for (body, parameter, code) in MISTAKES {
        assert_eq!(faults(body.as_bytes()), [(Some((*parameter).to_owned()), *code)], "{body}");
    }
}

#[test]
fn each_mistake_in_the_extension_names_its_path() {
    for (extension, parameter, code) in EXTENSION_MISTAKES {
        let body = format!(r#"{{"prompt":"x","gallerist":{extension}}}"#);
        let found = faults(body.as_bytes());
        assert_eq!(found, [(Some((*parameter).to_owned()), *code)], "{extension}");
    }
}

#[test]
fn a_body_that_is_no_object_is_refused_as_a_whole() {
    for body in &no_objects() {
        let found = faults(body);
        let head = String::from_utf8_lossy(&body[..body.len().min(40)]);
        // A string with a bad escape may be seen as the fault of its field instead.
        assert!(matches!(found[0], (None, "invalid_json") | (Some(_), "invalid_value")), "{head}: {found:?}");
    }
}

#[test]
fn limits_count_characters_not_bytes() {
    let body = |text: &str| format!(r#"{{"prompt":"{text}"}}"#);
    assert!(parse_generation(body(&"é".repeat(32_000)).as_bytes()).is_ok());
    let found = faults(body(&"é".repeat(32_001)).as_bytes());
    assert_eq!(found, [(Some("prompt".to_owned()), "string_above_max_length")]);
    let model = format!(r#"{{"prompt":"x","model":"{}"}}"#, "a".repeat(5_000));
    assert_eq!(faults(model.as_bytes())[0], (Some("model".to_owned()), "string_above_max_length"));
}

#[test]
fn all_mistakes_are_reported_at_once_and_boundedly() {
    let found = faults(br#"{"prompt":7,"n":0,"size":"big","what":1,"gallerist":{"steps":0,"why":2}}"#);
    let names: Vec<_> = found.into_iter().filter_map(|(parameter, _)| parameter).collect();
    assert_eq!(names, ["prompt", "n", "size", "what", "gallerist.steps", "gallerist.why"]);

    let many: String = (0..100).map(|at| format!(",\"u{at}\":1")).collect();
    assert_eq!(faults(format!(r#"{{"prompt":"x"{many}}}"#).as_bytes()).len(), FAULTS_MAX);
    let too_many: String = (0..100_000).map(|at| format!(",\"u{at}\":1")).collect();
    assert_eq!(faults(format!(r#"{{"prompt":"x"{too_many}}}"#).as_bytes()), [(None, "invalid_json")]);
}

#[test]
fn a_prompt_alone_is_a_whole_request() {
    let request = parse_generation(br#"{"prompt":"a red kite"}"#).unwrap();
    assert_eq!(request, ImageRequest::new("auto", "a red kite"));
    let with_nulls =
        br#"{"prompt":"a red kite","n":null,"size":null,"model":null,"gallerist":null,"user":null}"#;
    assert_eq!(parse_generation(with_nulls).unwrap(), request);
}

#[test]
fn every_field_arrives() {
    let body = br#" {"model":"flux-1.1-pro","prompt":"line\r\nbreak \u00e9","n":3,"size":"1536x1024","quality":"xhigh",
        "output_format":"webp","output_compression":85,"background":"transparent","moderation":"low","stream":true,
        "partial_images":2,"response_format":"b64_json","user":"u","safety_identifier":"s",
        "gallerist":{"objective":"latency","max_cost_usd":"0.05","max_latency_ms":20000,
          "providers":{"only":["bfl","fal"],"exclude":["x"]},"tier":"batch","seed":18446744073709551615,"steps":30,
          "guidance":3.5,"negative_prompt":"text","class":"high",
          "loras":[{"id":"a/b","weight":0.8}],
          "controls":[{"kind":"depth","image":"data:image/png;base64,QUJD","weight":-1e0}],
          "references":["https://example.com/a.png?x=1","data:image/jpeg;base64,QUI="],
          "provider_options":{"bfl":{"safety_tolerance": 2,"x":{"y":[1]}},"fal":{}}}} "#;
    let request = parse_generation(body).unwrap();
    let expected = ImageRequest {
        n: 3,
        size: SizeChoice::Exact(Size::new(1536, 1024)),
        quality: Some("xhigh".into()),
        output_format: Some(OutputFormat::Webp),
        output_compression: Some(85),
        background: Some(Background::Transparent),
        moderation: Some(Moderation::Low),
        user: Some("s".into()),
        stream: true,
        partial_images: 2,
        objective: Some(Objective::Latency),
        max_cost: Some("0.05".parse().unwrap()),
        max_latency_ms: Some(20_000),
        providers_only: vec!["bfl".into(), "fal".into()],
        providers_exclude: vec!["x".into()],
        tier: TierChoice::Batch,
        seed: Some(u64::MAX),
        steps: Some(30),
        guidance_milli: Some(3_500),
        negative_prompt: Some("text".into()),
        references: 2,
        ingredients: Ingredients { loras: 1, controls: 1, ..Ingredients::default() },
        class: Some(QualityClass::High),
        provider_options: [
            ("bfl".to_owned(), r#"{"safety_tolerance": 2,"x":{"y":[1]}}"#.to_owned()),
            ("fal".to_owned(), "{}".to_owned()),
        ]
        .into(),
        provider_option_words: [
            ("bfl".to_owned(), vec![option("safety_tolerance", "2"), option("x", "")]),
            ("fal".to_owned(), vec![]),
        ]
        .into(),
        ..ImageRequest::new("flux-1.1-pro", "line\r\nbreak é")
    };
    assert_eq!(request, expected);
}

fn option(name: &str, value: &str) -> OptionWord {
    OptionWord { name: name.to_owned(), value: value.to_owned() }
}

#[test]
fn ingredients_are_said_in_numbers() {
    let body = r#"{"prompt":"x","gallerist":{"operation":"inpaint","ingredients":{
        "inputs":["1024x768"],"mask_pixels":4096,"ip_adapters":1,"tool_calls":2,"cached_characters":9}}}"#;
    let request = parse_generation(body.as_bytes()).unwrap();
    assert_eq!(request.operation, Operation::Inpaint);
    let expected = Ingredients {
        inputs: vec![Size::new(1024, 768)],
        mask_pixels: Some(4096),
        ip_adapters: 1,
        tool_calls: 2,
        cached_characters: 9,
        ..Ingredients::default()
    };
    assert_eq!(request.ingredients, expected);
    for (written, path) in [
        (r#"{"inputs":["12"]}"#, "gallerist.ingredients.inputs[0]"),
        (r#"{"loras":17}"#, "gallerist.ingredients.loras"),
        (r#"{"masks":1}"#, "gallerist.ingredients.masks"),
    ] {
        let body = format!(r#"{{"prompt":"x","gallerist":{{"ingredients":{written}}}}}"#);
        let faults = parse_generation(body.as_bytes()).unwrap_err();
        assert_eq!(faults[0].parameter.as_deref(), Some(path), "{written}");
    }
}

#[test]
fn costs_are_read_from_their_digits() {
    let cost = |written: &str| {
        let body = format!(r#"{{"prompt":"x","gallerist":{{"max_cost_usd":{written}}}}}"#);
        parse_generation(body.as_bytes()).unwrap().max_cost.unwrap()
    };
    assert_eq!(cost("0.05"), cost("\"0.05\""));
    assert_eq!(cost("5e-2"), Ticks::new(500_000_000));
    assert_eq!(cost("1e-10"), Ticks::new(1));
    // The sum of 0.1 and 0.2 in binary: what is finer than a tick is cut off.
    assert_eq!(cost("0.30000000000000004"), Ticks::new(3_000_000_000));
    assert_eq!(cost("0.29999999999999999"), Ticks::new(2_999_999_999));
}

#[test]
fn sizes_and_ratios_combine() {
    let size =
        |fields: &str| parse_generation(format!(r#"{{"prompt":"x",{fields}}}"#).as_bytes()).unwrap().size;
    let aspect = |ratio, resolution: Option<&str>| SizeChoice::Aspect {
        ratio,
        resolution: resolution.map(str::to_owned),
    };
    assert_eq!(size(r#""size":"auto""#), SizeChoice::Auto);
    assert_eq!(size(r#""size":"1x1""#), SizeChoice::Exact(Size::new(1, 1)));
    assert_eq!(size(r#""size":"1536x1024","gallerist":{"size_match":"aspect"}"#), aspect((3, 2), None));
    assert_eq!(
        size(r#""gallerist":{"size_match":"aspect","aspect_ratio":"1920:1080"}"#),
        aspect((16, 9), None)
    );
    assert_eq!(size(r#""gallerist":{"aspect_ratio":"4:3","resolution":"2K"}"#), aspect((4, 3), Some("2K")));
    assert_eq!(
        faults(br#"{"prompt":"x","size":"8x8","gallerist":{"size_match":"aspect","aspect_ratio":"1:1"}}"#),
        [(Some("gallerist.aspect_ratio".to_owned()), "invalid_value")]
    );
}

#[test]
fn only_public_addresses_are_references() {
    let good = [
        "https://example.com/a.png",
        "https://example.com",
        "HTTPS://Example.COM:8443/a?b#c",
        "https://93.184.216.34/x",
        "https://[2606:2800:220:1::1]:443/",
        "data:image/png;base64,QUJD",
        "DATA:image/webp;charset=x;base64,QQ==",
        "https://example.com./",
    ];
    for text in good {
        assert_eq!(address::check(text), Ok(()), "{text}");
    }
    let bad = [
        "",
        "x",
        "ftp://example.com/",
        "http://example.com/a.png",
        "file:///etc/passwd",
        "https://",
        "https:///x",
        "https://localhost/",
        "https://foo.localhost/",
        "https://metadata.google.internal/",
        "https://intranet/",
        "https://user:secret@example.com/",
        "https://example.com\\@127.0.0.1/",
        "https://exa mple.com/",
        "https://é.com/",
        "https://127.0.0.1/",
        "https://127.1/",
        "https://2130706433/",
        "https://0x7f000001/",
        "https://0177.0.0.1/",
        "https://10.1.2.3/",
        "https://172.31.0.1/",
        "https://192.168.0.1/",
        "https://169.254.169.254/",
        "https://100.64.0.1/",
        "https://0.0.0.0/",
        "https://255.255.255.255/",
        "https://198.18.0.1/",
        "https://[::1]/",
        "https://[::]/",
        "https://[::ffff:127.0.0.1]/",
        "https://[fd00::1]/",
        "https://[fe80::1]/",
        "https://[64:ff9b::7f00:1]/",
        "https://[2002:7f00:1::]/",
        "https://[::1",
        "https://example.com:0/",
        "https://example.com:99999/",
        "https://example.com:+1/",
        "https://a..b/",
        "https://printer.local/",
        "data:",
        "data:image/png;base64,",
        "data:image/png,abc",
        "data:text/html;base64,QUJD",
        "data:image/png;base64,QUJ",
        "data:image/png;base64,QU D",
        "data:image/png;base64,A===",
    ];
    for text in bad {
        assert!(address::check(text).is_err(), "{text}");
    }
    assert!(address::check(&format!("https://example.com/{}", "a".repeat(5_000))).is_err());
    assert!(address::check("https://127.0.0.1/").unwrap_err().contains("127.0.0.1"));
}

#[test]
fn an_unknown_parameter_says_which_was_meant() {
    let message = |body: &str| parse_generation(body.as_bytes()).unwrap_err().remove(0).message;
    assert!(message(r#"{"prompt":"x","qualty":"low"}"#).contains("is quality meant?"));
    assert!(
        message(r#"{"prompt":"x","gallerist":{"maxCostUsd":1}}"#)
            .contains("is gallerist.max_cost_usd meant?")
    );
    let inside = message(r#"{"prompt":"x","steps":30}"#);
    assert!(inside.contains("write {\"gallerist\": {\"steps\": …}}"), "{inside}");
    assert!(message(r#"{"prompt":"x","whatever":1}"#).ends_with(": leave it out"));
}

/// What is suggested must be understood.
#[test]
fn every_suggested_name_is_known() {
    let unknown = |body: String| {
        let faults = parse_generation(body.as_bytes()).err().unwrap_or_default();
        faults.iter().any(|fault| fault.code == "unknown_parameter")
    };
    for name in super::KNOWN.iter().filter(|name| **name != "prompt") {
        assert!(!unknown(format!(r#"{{"prompt":"x","{name}":[]}}"#)), "{name}");
    }
    for name in super::extension::KNOWN {
        assert!(!unknown(format!(r#"{{"prompt":"x","gallerist":{{"{name}":7}}}}"#)), "{name}");
    }
}
