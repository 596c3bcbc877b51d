//! JSON objects that are the bodies of admin calls: what is wrong with one, by its field and in words.
//!
//! The reader's own texts are for programmers (`expected a sequence at line 1 column 14`), so they are told anew. It
//! refuses to judge values; that is each wish's own.

use crate::failure::Failure;
use http::StatusCode;
use serde::de::DeserializeOwned;
use serde_json::error::Category;

/// Longest part of a body that is repeated, in characters.
const SHOWN_CHARACTERS_MAX: usize = 80;

/// What an admin call reads.
pub(crate) trait Object: DeserializeOwned {
    /// A body that is taken, for whoever sent another.
    const EXAMPLE: &'static str;
}

/// # Errors
/// 400 with the field at fault, and an example.
pub(crate) fn read<T: Object>(bytes: &[u8]) -> Result<T, Failure> {
    // Derived readers take an array for an object, its fields in the order of our source.
    if !bytes.trim_ascii_start().starts_with(b"{") {
        return Err(invalid::<T>(None, "The body must be a JSON object"));
    }
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let read = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let path = error.path().to_string();
        (Some(path).filter(|path| path != "."), error.into_inner())
    });
    let read = read.and_then(|value| reader.end().map(|()| value).map_err(|error| (None, error)));
    read.map_err(|(path, error)| match error.classify() {
        Category::Data => mistaken::<T>(path, &error),
        _ => invalid::<T>(None, &format!("The body is no JSON object: {error}")),
    })
}

fn invalid<T: Object>(parameter: Option<String>, what: &str) -> Failure {
    let message = format!("{what}. A body that is taken: {}", T::EXAMPLE);
    Failure { parameter, ..Failure::new(StatusCode::BAD_REQUEST, "invalid_value", message) }
}

/// A field that is missing, unknown or of another kind. The reader has no more of it than a text, of which the form is
/// serde's.
fn mistaken<T: Object>(path: Option<String>, error: &serde_json::Error) -> Failure {
    let text = error.to_string();
    let text = text.rsplit_once(" at line ").map_or(text.as_str(), |(said, _)| said);
    let quoted =
        |start: &str| text.strip_prefix(start)?.split_once('`').map(|(name, rest)| (short(name), rest));
    if let Some((name, _)) = quoted("missing field `") {
        let name = path.map_or_else(|| name.clone(), |path| format!("{path}.{name}"));
        return invalid::<T>(Some(name.clone()), &format!("{name} is missing"));
    }
    if let Some((name, rest)) = quoted("unknown field `") {
        let name = path.map_or(name, |path| short(&path));
        let known = rest.trim_start_matches(", expected ").trim_start_matches("one of ").replace('`', "");
        return invalid::<T>(Some(name.clone()), &format!("{name} is not a field here; known are {known}"));
    }
    let name = path.map(|path| short(&path));
    let subject = name.clone().unwrap_or_else(|| "The body".to_owned());
    let what = match text.strip_prefix("invalid type: ").and_then(|said| said.rsplit_once(", expected ")) {
        Some((found, expected)) => format!("{subject} must be {}, not {}", kind(expected), kind(found)),
        None => format!("{subject}: {}", short(text)),
    };
    invalid::<T>(name, &what)
}

fn short(text: &str) -> String {
    text.chars().take(SHOWN_CHARACTERS_MAX).collect()
}

/// A kind of value in JSON's words.
fn kind(serde: &str) -> String {
    let whole = |word: &str| {
        let digits = word.trim_start_matches(['u', 'i']);
        digits.len() < word.len() && digits.parse::<u8>().is_ok()
    };
    match serde {
        "a sequence" | "sequence" => "a list".to_owned(),
        "a map" | "map" => "an object".to_owned(),
        "a string" | "string" => "a text".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "null" | "unit" => "null".to_owned(),
        word if word.starts_with("struct ") => "an object".to_owned(),
        // Some say themselves what they are: `limits as an object such as {…}`.
        word if word.contains(" as an object") => {
            word.split_once(" as an object").map_or_else(String::new, |(_, rest)| format!("an object{rest}"))
        }
        word if whole(word) => "a whole number".to_owned(),
        word => {
            let told = word.strip_prefix("string ").map(|text| format!("the text {text}"));
            let bare = word.split_once(" `").map(|(_, value)| value.trim_end_matches('`').to_owned());
            short(&told.or(bare).unwrap_or_else(|| word.to_owned()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "it is only read")]
    struct Thing {
        price_usd: String,
        lines: Vec<String>,
        count: Option<u32>,
        on: Option<bool>,
        part: Option<Part>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "it is only read")]
    struct Part {
        name: String,
    }

    impl Object for Thing {
        const EXAMPLE: &'static str = r#"{"price_usd": "9.00", "lines": ["a b"]}"#;
    }

    #[test]
    fn a_mistake_is_told_by_its_field_and_in_words() {
        let table = [
            (r#"{"lines":[]}"#, "price_usd", "price_usd is missing"),
            (r#"{"price_usd":"1","lines":"all"}"#, "lines", "lines must be a list, not the text \"all\""),
            (r#"{"price_usd":5,"lines":[]}"#, "price_usd", "price_usd must be a text, not 5"),
            (r#"{"price_usd":null,"lines":[]}"#, "price_usd", "price_usd must be a text, not null"),
            (r#"{"price_usd":"1","lines":[5]}"#, "lines[0]", "lines[0] must be a text, not 5"),
            (r#"{"price_usd":"1","lines":{}}"#, "lines", "lines must be a list, not an object"),
            (
                r#"{"price_usd":"1","lines":[],"count":"5"}"#,
                "count",
                "must be a whole number, not the text \"5\"",
            ),
            (r#"{"price_usd":"1","lines":[],"on":1}"#, "on", "on must be true or false, not 1"),
            (r#"{"price_usd":"1","lines":[],"part":5}"#, "part", "part must be an object, not 5"),
            (r#"{"price_usd":"1","lines":[],"part":{}}"#, "part.name", "part.name is missing"),
            (
                r#"{"price_usd":"1","lines":[],"price":1}"#,
                "price",
                "price is not a field here; known are price_usd, lines",
            ),
            (
                r#"{"price_usd":"1","lines":[],"part":{"n":1}}"#,
                "part.n",
                "part.n is not a field here; known are name",
            ),
        ];
        for (body, parameter, words) in table {
            let failure = read::<Thing>(body.as_bytes()).expect_err(body);
            assert_eq!(failure.parameter.as_deref(), Some(parameter), "{body}: {}", failure.message);
            assert!(failure.message.contains(words), "{body}: {}", failure.message);
            assert!(!failure.message.contains("column"), "{}", failure.message);
            assert!(failure.message.ends_with(Thing::EXAMPLE), "{}", failure.message);
            assert_eq!((failure.status, failure.code), (StatusCode::BAD_REQUEST, "invalid_value"));
        }
    }

    #[test]
    fn what_is_no_object_names_no_field_and_a_long_name_is_not_repeated() {
        for body in ["", "[1]", "5", "{", r#"{"price_usd":}"#, r#"{"price_usd":"1","lines":[]} x"#] {
            let failure = read::<Thing>(body.as_bytes()).expect_err(body);
            assert_eq!(failure.parameter, None, "{body}: {}", failure.message);
        }
        let long = format!(r#"{{"{}":1}}"#, "a".repeat(5_000));
        assert!(read::<Thing>(long.as_bytes()).expect_err("unknown").message.len() < 400);
        assert!(read::<Thing>(Thing::EXAMPLE.as_bytes()).is_ok());
    }

    fn is_taken<T: Object>() {
        if let Err(failure) = read::<T>(T::EXAMPLE.as_bytes()) {
            panic!("{}: {}", std::any::type_name::<T>(), failure.message);
        }
    }

    #[test]
    fn the_examples_are_taken() {
        is_taken::<crate::alerts::ChangeWish>();
        is_taken::<crate::alerts::WebhookWish>();
        is_taken::<crate::budgets::BudgetChangeWish>();
        is_taken::<crate::budgets::BudgetWish>();
        is_taken::<crate::credits::AdjustmentWish>();
        is_taken::<crate::credits::BalanceWish>();
        is_taken::<crate::credits::LotWish>();
        is_taken::<crate::reconciliation::ReconciliationWish>();
        is_taken::<crate::tenants::KeyWish>();
    }
}
