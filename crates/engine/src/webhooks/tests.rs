use super::*;

#[test]
fn an_address_must_be_public_and_have_tls_unless_private_ones_are_allowed() {
    for url in ["https://hooks.example/x", "https://8.8.8.8:8443/x?token=1"] {
        assert_eq!(check_url(url, false), Ok(()), "{url}");
        assert_eq!(check_url(url, true), Ok(()), "{url}");
    }
    for url in ["http://hooks.example/x", "http://127.0.0.1:9/x", "https://10.0.0.1/x", "https://localhost/"]
    {
        assert!(check_url(url, false).is_err(), "{url}");
        assert_eq!(check_url(url, true), Ok(()), "{url}");
    }
    for url in ["ftp://hooks.example/x", "hooks.example", "", "file:///etc/passwd", "https://"] {
        assert!(check_url(url, false).is_err() && check_url(url, true).is_err(), "{url}");
    }
}

#[test]
fn an_outcome_decides_what_becomes_of_a_delivery() {
    let now: Timestamp = "2026-11-28T12:00:00Z".parse().unwrap();
    let of = |status, attempt| {
        let sent = Sent::Answered { status, retry_after_seconds: None };
        conclude(&sent, attempt, now, 0)
    };
    assert_eq!(of(200, 1), DeliveryEnd::Delivered);
    assert_eq!(of(204, 10), DeliveryEnd::Delivered);
    assert!(matches!(of(410, 1), DeliveryEnd::Gone { .. }));
    for status in [301, 400, 404, 429, 500] {
        let DeliveryEnd::Later { at, why } = of(status, 1) else { panic!("{status}") };
        assert_eq!(at.duration_since(now).as_secs(), 4);
        assert!(why.contains(&status.to_string()));
    }
    assert!(matches!(of(500, 10), DeliveryEnd::Failed { .. }));
    let silent = conclude(&Sent::Failed("no answer came in time".to_owned()), 2, now, 0);
    assert!(matches!(silent, DeliveryEnd::Later { why, .. } if why == "no answer came in time"));
}

#[test]
fn chat_programs_get_a_text_and_others_the_figures() {
    let alert = AlertRecord {
        id: AlertId::generate(),
        at: "2026-11-28T12:00:00Z".parse().unwrap(),
        project: Some("shop".parse().unwrap()),
        kind: "charge.overrun".to_owned(),
        severity: "critical".to_owned(),
        message: "It \"cost\" more.".to_owned(),
        fact_json: r#"{"maximum_usd":"0.0400000000"}"#.to_owned(),
    };
    let slack = body(&alert, WebhookFormat::Slack);
    assert_eq!(slack, r#"{"text":"critical: It \"cost\" more."}"#);
    let id = alert.id;
    let expected = format!(
        r#"{{"type":"charge.overrun","timestamp":"2026-11-28T12:00:00Z","data":{{"id":"{id}","severity":"critical","project":"shop","message":"It \"cost\" more.","fact":{{"maximum_usd":"0.0400000000"}}}}}}"#
    );
    assert_eq!(body(&alert, WebhookFormat::Standard), expected);
}
