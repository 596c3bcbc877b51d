//! Faults of parameters: each with its path, a stable code and a sentence that says what to do.
//!
//! The codes are OpenAI's where it has one. Whatever a client wrote is shown shortened and escaped, so that
//! no message grows with the body or carries line breaks.

/// Most faults that are reported at once; a hostile body could hold thousands.
pub const FAULTS_MAX: usize = 20;

/// Most characters of a client's text that a message repeats.
const SHOWN_CHARACTERS_MAX: usize = 48;

/// Codes of faults; clients compare them.
pub(crate) mod code {
    pub(crate) const JSON: &str = "invalid_json";
    pub(crate) const TYPE: &str = "invalid_type";
    pub(crate) const VALUE: &str = "invalid_value";
    pub(crate) const MISSING: &str = "missing_required_parameter";
    pub(crate) const UNKNOWN: &str = "unknown_parameter";
    pub(crate) const UNSUPPORTED: &str = "unsupported_parameter";
    pub(crate) const TOO_LONG: &str = "string_above_max_length";
    pub(crate) const TOO_HIGH: &str = "integer_above_max_value";
    pub(crate) const TOO_LOW: &str = "integer_below_min_value";
    pub(crate) const TOO_MANY: &str = "array_above_max_length";
}

/// One thing that is wrong with a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParameterFault {
    /// The path, as `size` or `gallerist.references[0]`; absent when the body as a whole is at fault.
    pub parameter: Option<String>,
    /// Stable, OpenAI's word where it has one.
    pub code: &'static str,
    /// For people: what is wrong and what to do.
    pub message: String,
}

/// The faults found so far.
#[derive(Default)]
pub(crate) struct Faults {
    list: Vec<ParameterFault>,
}

impl Faults {
    pub(crate) fn add(&mut self, path: &str, code: &'static str, message: impl Into<String>) {
        if self.list.len() < FAULTS_MAX {
            self.list.push(ParameterFault {
                parameter: Some(shortened(path)),
                code,
                message: message.into(),
            });
        }
    }

    /// `inside` is the path of the object with its point, or empty; `known` are the names that it may hold.
    pub(crate) fn unknown(&mut self, inside: &str, name: &str, known: &[&str]) {
        if self.list.len() >= FAULTS_MAX {
            return;
        }
        let path = format!("{inside}{}", shortened(name));
        let advice = match gallerist_routing::slip_of(name, known.iter().map(|&known| known.to_owned())) {
            Some(meant) => format!("is {inside}{meant} meant? Else leave it out"),
            None => "leave it out".to_owned(),
        };
        let message = format!("{inside}{} is not a known parameter: {advice}", shown(name));
        self.add(&path, code::UNKNOWN, message);
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(crate) fn into_list(self) -> Vec<ParameterFault> {
        self.list
    }
}

/// A client's text for a message: quoted, escaped and shortened.
pub(crate) fn shown(text: &str) -> String {
    let short = text.chars().nth(SHOWN_CHARACTERS_MAX).is_none();
    if short {
        return format!("{text:?}");
    }
    let head: String = text.chars().take(SHOWN_CHARACTERS_MAX).collect();
    format!("{head:?}…")
}

/// A path for the answer: control characters would be of no use in it, nor would thousands of characters.
fn shortened(path: &str) -> String {
    path.chars().filter(|character| !character.is_control()).take(120).collect()
}
