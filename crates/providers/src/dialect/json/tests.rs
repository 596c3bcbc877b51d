use super::*;
use serde_json::json;

fn figure(text: &str) -> Option<Decimal> {
    serde_json::from_str::<Figure<'_>>(text).expect("any JSON is accepted").decimal()
}

fn object(value: Value) -> Map<String, Value> {
    value.as_object().cloned().expect("the test passes objects")
}

#[test]
fn a_figure_keeps_the_digits_that_were_written() {
    assert_eq!(figure("0.1000000000000000055"), "0.1000000000000000055".parse().ok());
    assert_eq!(figure("\"4.5\""), "4.5".parse().ok());
    assert_eq!(figure("1.5e-3"), "0.0015".parse().ok());
    for other in ["null", "true", "[1]", "{}", "\"\"", "\"-\"", "1e999"] {
        assert_eq!(figure(other), None, "{other}");
    }
}

#[test]
fn a_count_is_whole_and_not_negative() {
    let count = |text: &str| serde_json::from_str::<Figure<'_>>(text).expect("any JSON").count();
    assert_eq!(count("12"), Some(12));
    assert_eq!(count("12.0"), Some(12));
    assert_eq!(count("12.5"), None);
    assert_eq!(count("-1"), None);
    assert_eq!(count("99999999999999999999"), None);
    let seed = |text: &str| serde_json::from_str::<Figure<'_>>(text).expect("any JSON").seed();
    assert_eq!(seed("18446744073709551615"), Some(u64::MAX));
    assert_eq!(seed("-1"), None);
}

#[test]
fn options_add_and_never_replace() {
    let mut body = object(json!({"a": 1, "deep": {"x": 1}}));
    merge(&mut body, object(json!({"b": 2, "deep": {"y": 2}}))).expect("nothing collides");
    assert_eq!(Value::Object(body.clone()), json!({"a": 1, "deep": {"x": 1, "y": 2}, "b": 2}));
    let fault = merge(&mut body, object(json!({"deep": {"x": 3}}))).expect_err("x is ours");
    assert_eq!(fault.kind, FaultKind::InvalidRequest);
    assert_eq!(fault.parameter.as_deref(), Some("x"));
    assert!(merge(&mut body, object(json!({"deep": 5}))).is_err());
    assert!(options("[1]").is_err());
    assert!(options("").expect("no text is no options").is_empty());
}

#[test]
fn thousandths_are_written_with_their_digits() {
    for (value, text) in [(3500, "3.5"), (7000, "7"), (1, "0.001"), (12_345, "12.345"), (0, "0")] {
        assert_eq!(thousandths(value).to_string(), text);
    }
}

#[test]
fn millionths_are_rounded_once_and_never_negative() {
    let of = |digits: &str| millionths(digits.parse().expect("a decimal"));
    assert_eq!(of("1.5"), Some(1_500_000));
    assert_eq!(of("2.1234565"), Some(2_123_457));
    assert_eq!(of("0.0000004"), Some(0));
    assert_eq!(of("-1"), None);
    assert_eq!(of("99999999999999999999"), None);
}

#[test]
fn reserved_names_are_refused_even_where_nothing_is_set() {
    let mut body = object(json!({"n": 1}));
    let fault =
        merge_unreserved(&mut body, object(json!({"stream": true})), &["stream"]).expect_err("reserved");
    assert_eq!(fault.parameter.as_deref(), Some("stream"));
    merge_unreserved(&mut body, object(json!({"style": "x"})), &["stream"]).expect("not reserved");
}

#[test]
fn a_list_is_bounded() {
    let list = |count: usize| serde_json::from_value::<Few<u8>>(json!(vec![1; count]));
    assert_eq!(list(ITEMS_MAX).expect("as many as allowed").0.len(), ITEMS_MAX);
    assert!(list(ITEMS_MAX + 1).is_err());
    assert!(serde_json::from_str::<Few<u8>>("null").expect("null is empty").0.is_empty());
}
