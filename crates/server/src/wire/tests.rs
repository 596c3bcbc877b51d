use super::*;
use gallerist_domain::{
    Ingredients, Objective, Operation, OptionWord, QualityClass, Size, Ticks, TierChoice,
};

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

/// Bodies with one mistake: what is written, the parameter that must be named, the code.
const MISTAKES: &[(&str, &str, &str)] = &[
    (r#"{}"#, "prompt", "missing_required_parameter"),
    (r#"{"prompt":null}"#, "prompt", "missing_required_parameter"),
    (r#"{"prompt":5}"#, "prompt", "invalid_type"),
    (r#"{"prompt":["x"]}"#, "prompt", "invalid_type"),
    (r#"{"prompt":{"text":"x"}}"#, "prompt", "invalid_type"),
    (r#"{"prompt":true}"#, "prompt", "invalid_type"),
    (r#"{"prompt":""}"#, "prompt", "invalid_value"),
    (r#"{"prompt":" \n\t "}"#, "prompt", "invalid_value"),
    (r#"{"prompt":"a\u0000b"}"#, "prompt", "invalid_value"),
    (r#"{"prompt":"\ud800"}"#, "prompt", "invalid_value"),
    (r#"{"prompt":"x","prompt":"y"}"#, "prompt", "invalid_value"),
    (r#"{"prompt":"x","pro\u006dpt":"y"}"#, "prompt", "invalid_value"),
    (r#"{"prompt":"x","n":0}"#, "n", "integer_below_min_value"),
    (r#"{"prompt":"x","n":-1}"#, "n", "integer_below_min_value"),
    (r#"{"prompt":"x","n":1.5}"#, "n", "invalid_type"),
    (r#"{"prompt":"x","n":1e1}"#, "n", "invalid_type"),
    (r#"{"prompt":"x","n":"2"}"#, "n", "invalid_type"),
    (r#"{"prompt":"x","n":true}"#, "n", "invalid_type"),
    (r#"{"prompt":"x","n":11}"#, "n", "integer_above_max_value"),
    (r#"{"prompt":"x","n":1000000000}"#, "n", "integer_above_max_value"),
    (r#"{"prompt":"x","n":1000000000000000000000000000000}"#, "n", "integer_above_max_value"),
    (r#"{"prompt":"x","n":-1000000000000000000000000000000}"#, "n", "integer_below_min_value"),
    (r#"{"prompt":"x","size":"0x0"}"#, "size", "invalid_value"),
    (r#"{"prompt":"x","size":"-5x5"}"#, "size", "invalid_value"),
    (r#"{"prompt":"x","size":"1024"}"#, "size", "invalid_value"),
    (r#"{"prompt":"x","size":"1024x"}"#, "size", "invalid_value"),
    (r#"{"prompt":"x","size":"x1024"}"#, "size", "invalid_value"),
    (r#"{"prompt":"x","size":"99999999999x1"}"#, "size", "invalid_value"),
    (r#"{"prompt":"x","size":"1024X1024 "}"#, "size", "invalid_value"),
    (r#"{"prompt":"x","size":"+64x64"}"#, "size", "invalid_value"),
    (r#"{"prompt":"x","size":"1024x1024x1024"}"#, "size", "invalid_value"),
    (r#"{"prompt":"x","size":7}"#, "size", "invalid_type"),
    (r#"{"prompt":"x","size":{}}"#, "size", "invalid_type"),
    (r#"{"prompt":"x","size":""}"#, "size", "invalid_value"),
    (r#"{"prompt":"x","model":""}"#, "model", "invalid_value"),
    (r#"{"prompt":"x","model":3}"#, "model", "invalid_type"),
    (r#"{"prompt":"x","model":"auto\r\nx: y"}"#, "model", "invalid_value"),
    (r#"{"prompt":"x","model":"au to"}"#, "model", "invalid_value"),
    (r#"{"prompt":"x","quality":1}"#, "quality", "invalid_type"),
    (r#"{"prompt":"x","quality":""}"#, "quality", "invalid_value"),
    (r#"{"prompt":"x","quality":"HIGH!"}"#, "quality", "invalid_value"),
    (r#"{"prompt":"x","quality":"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}"#, "quality", "invalid_value"),
    (r#"{"prompt":"x","stream":"yes"}"#, "stream", "invalid_type"),
    (r#"{"prompt":"x","stream":1}"#, "stream", "invalid_type"),
    (r#"{"prompt":"x","partial_images":50}"#, "partial_images", "integer_above_max_value"),
    (r#"{"prompt":"x","partial_images":2}"#, "partial_images", "invalid_value"),
    (r#"{"prompt":"x","stream":true,"response_format":"url"}"#, "response_format", "invalid_value"),
    (r#"{"prompt":"x","response_format":"hex"}"#, "response_format", "invalid_value"),
    (r#"{"prompt":"x","output_format":"exe"}"#, "output_format", "invalid_value"),
    (r#"{"prompt":"x","output_format":"gif"}"#, "output_format", "invalid_value"),
    (r#"{"prompt":"x","output_format":"svg"}"#, "output_format", "invalid_value"),
    (r#"{"prompt":"x","output_compression":400}"#, "output_compression", "integer_above_max_value"),
    (r#"{"prompt":"x","output_compression":"80"}"#, "output_compression", "invalid_type"),
    (r#"{"prompt":"x","background":"blue"}"#, "background", "invalid_value"),
    (r#"{"prompt":"x","background":"transparent","output_format":"jpeg"}"#, "background", "invalid_value"),
    (r#"{"prompt":"x","moderation":"none"}"#, "moderation", "invalid_value"),
    (r#"{"prompt":"x","user":7}"#, "user", "invalid_type"),
    (r#"{"prompt":"x","safety_identifier":"a\u0007"}"#, "safety_identifier", "invalid_value"),
    (r#"{"prompt":"x","style":"vivid"}"#, "style", "unsupported_parameter"),
    (r#"{"prompt":"x","complexity":"low"}"#, "complexity", "unsupported_parameter"),
    (r#"{"prompt":"x","frame_count":4}"#, "frame_count", "unsupported_parameter"),
    (r#"{"prompt":"x","svg":{"model":"gpt"}}"#, "svg", "unsupported_parameter"),
    (r#"{"prompt":"x","input_fidelity":"high"}"#, "input_fidelity", "unsupported_parameter"),
    (r#"{"prompt":"x","seed":7}"#, "seed", "unknown_parameter"),
    (r#"{"prompt":"x","Prompt":"y"}"#, "Prompt", "unknown_parameter"),
    (r#"{"prompt":"x","gallerist":3}"#, "gallerist", "invalid_type"),
    (r#"{"prompt":"x","gallerist":[]}"#, "gallerist", "invalid_type"),
];

/// Values of `gallerist` with one mistake.
const EXTENSION_MISTAKES: &[(&str, &str, &str)] = &[
    (r#"{"unknown_field":1}"#, "gallerist.unknown_field", "unknown_parameter"),
    (r#"{"seed":1,"seed":2}"#, "gallerist.seed", "invalid_value"),
    (r#"{"objective":"cheap"}"#, "gallerist.objective", "invalid_value"),
    (r#"{"max_cost_usd":"-1"}"#, "gallerist.max_cost_usd", "invalid_value"),
    (r#"{"max_cost_usd":"NaN"}"#, "gallerist.max_cost_usd", "invalid_value"),
    (r#"{"max_cost_usd":""}"#, "gallerist.max_cost_usd", "invalid_value"),
    (r#"{"max_cost_usd":0}"#, "gallerist.max_cost_usd", "invalid_value"),
    (r#"{"max_cost_usd":"0.00000000001"}"#, "gallerist.max_cost_usd", "invalid_value"),
    (r#"{"max_cost_usd":1e400}"#, "gallerist.max_cost_usd", "invalid_value"),
    (r#"{"max_cost_usd":99999999999999999999}"#, "gallerist.max_cost_usd", "invalid_value"),
    (r#"{"max_cost_usd":[1]}"#, "gallerist.max_cost_usd", "invalid_type"),
    (r#"{"max_latency_ms":0}"#, "gallerist.max_latency_ms", "integer_below_min_value"),
    (r#"{"max_latency_ms":"1"}"#, "gallerist.max_latency_ms", "invalid_type"),
    (r#"{"providers":["bfl"]}"#, "gallerist.providers", "invalid_type"),
    (r#"{"providers":{"only":"bfl"}}"#, "gallerist.providers.only", "invalid_type"),
    (r#"{"providers":{"only":[3]}}"#, "gallerist.providers.only[0]", "invalid_type"),
    (r#"{"providers":{"exclude":["bfl",null]}}"#, "gallerist.providers.exclude[1]", "invalid_type"),
    (r#"{"providers":{"never":[]}}"#, "gallerist.providers.never", "unknown_parameter"),
    (r#"{"tier":"flex"}"#, "gallerist.tier", "invalid_value"),
    (r#"{"class":"best"}"#, "gallerist.class", "invalid_value"),
    (r#"{"seed":-1}"#, "gallerist.seed", "integer_below_min_value"),
    (r#"{"seed":18446744073709551616}"#, "gallerist.seed", "integer_above_max_value"),
    (r#"{"seed":1.0}"#, "gallerist.seed", "invalid_type"),
    (r#"{"steps":-3}"#, "gallerist.steps", "integer_below_min_value"),
    (r#"{"steps":1001}"#, "gallerist.steps", "integer_above_max_value"),
    (r#"{"guidance":"3.5"}"#, "gallerist.guidance", "invalid_type"),
    (r#"{"guidance":-0.5}"#, "gallerist.guidance", "invalid_value"),
    (r#"{"guidance":3.1415}"#, "gallerist.guidance", "invalid_value"),
    (r#"{"guidance":1e20}"#, "gallerist.guidance", "invalid_value"),
    (r#"{"negative_prompt":7}"#, "gallerist.negative_prompt", "invalid_type"),
    (r#"{"loras":{"id":"x"}}"#, "gallerist.loras", "invalid_type"),
    (r#"{"loras":["x"]}"#, "gallerist.loras[0]", "invalid_type"),
    (r#"{"loras":[{"weight":1}]}"#, "gallerist.loras[0].id", "missing_required_parameter"),
    (r#"{"loras":[{"id":"x","weight":"1"}]}"#, "gallerist.loras[0].weight", "invalid_type"),
    (r#"{"loras":[{"id":"x","weight":11}]}"#, "gallerist.loras[0].weight", "invalid_value"),
    (r#"{"loras":[{"id":"http://10.0.0.1/x"}]}"#, "gallerist.loras[0].id", "invalid_value"),
    (r#"{"loras":[{"id":"x","scale":1}]}"#, "gallerist.loras[0].scale", "unknown_parameter"),
    (
        r#"{"controls":[{"image":"data:image/png;base64,QUJD"}]}"#,
        "gallerist.controls[0].kind",
        "missing_required_parameter",
    ),
    (
        r#"{"controls":[{"kind":"depth","image":"https://127.0.0.1/"}]}"#,
        "gallerist.controls[0].image",
        "invalid_value",
    ),
    (r#"{"references":"data:image/png;base64,QUJD"}"#, "gallerist.references", "invalid_type"),
    (r#"{"references":[null]}"#, "gallerist.references[0]", "invalid_type"),
    (r#"{"references":["http://169.254.169.254/latest"]}"#, "gallerist.references[0]", "invalid_value"),
    (r#"{"references":["file:///etc/passwd"]}"#, "gallerist.references[0]", "invalid_value"),
    (
        r#"{"references":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17]}"#,
        "gallerist.references",
        "array_above_max_length",
    ),
    (r#"{"size_match":"fuzzy"}"#, "gallerist.size_match", "invalid_value"),
    (r#"{"size_match":"aspect"}"#, "gallerist.size_match", "invalid_value"),
    (r#"{"aspect_ratio":"16/9"}"#, "gallerist.aspect_ratio", "invalid_value"),
    (r#"{"aspect_ratio":"0:9"}"#, "gallerist.aspect_ratio", "invalid_value"),
    (r#"{"aspect_ratio":1.5}"#, "gallerist.aspect_ratio", "invalid_type"),
    (r#"{"size_match":"exact","aspect_ratio":"1:1"}"#, "gallerist.aspect_ratio", "invalid_value"),
    (r#"{"resolution":"2K"}"#, "gallerist.resolution", "invalid_value"),
    (r#"{"provider_options":{"bfl":3}}"#, "gallerist.provider_options.bfl", "invalid_type"),
    (r#"{"provider_options":{"B F L":{}}}"#, "gallerist.provider_options.B F L", "unknown_parameter"),
    (r#"{"provider_options":{"bfl":{"a":1,"a":2}}}"#, "gallerist.provider_options.bfl.a", "invalid_value"),
    (
        r#"{"provider_options":{"bfl":{"a":[{"b":1,"b":2}]}}}"#,
        "gallerist.provider_options.bfl.a.b",
        "invalid_value",
    ),
];

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
    let deep = [b"{\"a\":".repeat(5000), b"1".to_vec(), b"}".repeat(5000)].concat();
    let shallow_lie = [b"[".repeat(100_000)].concat();
    let bodies: &[&[u8]] = &[
        b"",
        b" \n",
        b"{",
        b"[]",
        b"null",
        b"\"x\"",
        b"5",
        b"\xff\xfe{}",
        b"{\"prompt\":\"\xff\"}",
        b"{\"prompt\"}",
        b"{\"prompt\":\"x\"} trailing",
        b"{\"prompt\":\"x\",}",
        b"{'prompt':'x'}",
        b"{\"prompt\":\"a\nb\"}",
        b"{\"prompt\":\"x\",\"n\":01}",
        b"{\"prompt\":\"x\",\"n\":NaN}",
        b"{\"prompt\":\"\\x\"}",
        &deep,
        &shallow_lie,
    ];
    for body in bodies {
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
