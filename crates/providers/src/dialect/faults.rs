//! From an error reply to a fault with attributes.
//!
//! [`said`] finds message, code, type and parameter in the shapes that providers use; [`by_status`] gives
//! the customary fault of an HTTP status. Adapters correct the kind where their protocol says more, by
//! codes and never by the message. `billed` stays open: the outcome matrix of the catalogue answers, unless
//! a reply proves it. The message is for people; what looks like a key is taken out of it.

use crate::HttpReply;
use crate::dialect::held_json::{HeldText, Skeleton};
use gallerist_domain::{Chunks, Fault, FaultKind};
use http::HeaderMap;
use serde_json::Value;

/// Error bodies with more small text than this are not read, only quoted.
const ERROR_BYTES_MAX: usize = 64 << 10;
/// Characters of a message that are looked at.
const MESSAGE_BYTES_MAX: usize = 600;
/// Longest code, type or parameter that is kept.
const WORD_BYTES_MAX: usize = 200;
/// Words of at least this many key characters with a digit are taken for keys in messages about keys.
const KEY_CHARACTERS_MIN: usize = 12;

/// What an error reply says, whatever its shape.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// For people.
    pub message: String,
    /// `code` as text, also where it is a number.
    pub code: Option<String>,
    /// `type`, else `name`.
    pub kind: Option<String>,
    /// `status` inside the error object (Google's canonical code).
    pub status: Option<String>,
    /// `param`, else the last step of the first `loc`.
    pub parameter: Option<String>,
}

/// The customary fault of a reply that is an error by its status.
pub fn by_status(reply: &HttpReply) -> Fault {
    fault(kind_of_status(reply.status), reply, &said(&reply.body))
}

/// A fault of `kind` with everything else that the reply says.
pub fn fault(kind: FaultKind, reply: &HttpReply, said: &Said) -> Fault {
    let said_nothing = said.message.is_empty();
    let message = if said_nothing {
        format!("status {} without a message", reply.status)
    } else {
        said.message.clone()
    };
    let mut detail = without_keys(&message, kind == FaultKind::Unauthorized);
    if let Some(code) = said.code.as_ref().filter(|code| !said_nothing && code.len() < 60) {
        detail = format!("{code}: {detail}");
    }
    Fault::new(kind, detail)
        .with_status(reply.status)
        .with_retry_after_ms(retry_after_ms(&reply.headers))
        .with_parameter(said.parameter.clone())
}

/// What an HTTP status means where a protocol says nothing more.
pub fn kind_of_status(status: u16) -> FaultKind {
    match status {
        401 | 403 => FaultKind::Unauthorized,
        402 => FaultKind::PaymentRequired,
        404 | 410 => FaultKind::UnknownModel,
        // The provider gave up while it worked, or a proxy before it did: it may have been made.
        408 | 504 | 524 => FaultKind::Timeout,
        429 => FaultKind::RateLimited,
        400..=499 => FaultKind::InvalidRequest,
        503 | 529 => FaultKind::Overloaded,
        500..=599 => FaultKind::UpstreamError,
        _ => FaultKind::Malformed,
    }
}

/// The wait that the headers ask for: `retry-after-ms`, else `retry-after` in whole seconds or as a date.
/// This room has no clock, so a date counts from the reply's own `date`; without that it says nothing.
pub fn retry_after_ms(headers: &HeaderMap) -> Option<u64> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let whole = |name: &str| text(name)?.parse::<u64>().ok();
    let date = |name: &str| httpdate::parse_http_date(text(name)?).ok();
    let until_date = || {
        // A date that has passed is no wait at all.
        let wait = date("retry-after")?.duration_since(date("date")?).unwrap_or_default();
        u64::try_from(wait.as_millis()).ok()
    };
    whole("retry-after-ms").or_else(|| Some(whole("retry-after")?.saturating_mul(1000))).or_else(until_date)
}

/// Reads the error fields of a body of any shape; total.
pub fn said(body: &Chunks) -> Said {
    let parsed = Skeleton::scan(body).ok().filter(|skeleton| skeleton.len() <= ERROR_BYTES_MAX);
    let read = parsed.and_then(|skeleton| skeleton.read::<Value>().ok().map(|value| (skeleton, value)));
    match read {
        Some((skeleton, value)) => said_in(&skeleton, &value),
        None => Said { message: quoted(body), ..Said::default() },
    }
}

/// The same for a document that was read already.
pub fn said_in(skeleton: &Skeleton, value: &Value) -> Said {
    let reader = Reader { skeleton };
    let inner = value.get("error").filter(|error| error.is_object()).unwrap_or(value);
    let messages = ["message", "detail", "details", "errors", "error", "title", "name"];
    Said {
        message: messages.iter().find_map(|name| reader.message(inner.get(name)?)).unwrap_or_default(),
        code: reader.word(inner, "code"),
        kind: reader.word(inner, "type").or_else(|| reader.word(inner, "name")),
        status: reader.word(inner, "status"),
        parameter: reader.word(inner, "param").or_else(|| {
            let first = inner.get("detail")?.get(0)?;
            let step = first.get("loc")?.as_array()?.last()?;
            reader.short(step)
        }),
    }
}

struct Reader<'a> {
    skeleton: &'a Skeleton,
}

impl Reader<'_> {
    /// A text, or the first text in a list or in an object's `msg`, `message` or `description`.
    fn message(&self, value: &Value) -> Option<String> {
        match value {
            Value::String(text) if text.is_empty() => None,
            Value::String(text) => {
                Some(self.skeleton.text_head(&HeldText::from(text.as_str()), MESSAGE_BYTES_MAX))
            }
            Value::Array(items) => self.message(items.first()?),
            Value::Object(fields) => {
                ["msg", "message", "description"].iter().find_map(|name| self.message(fields.get(*name)?))
            }
            _ => None,
        }
    }

    fn word(&self, object: &Value, name: &str) -> Option<String> {
        self.short(object.get(name)?)
    }

    fn short(&self, value: &Value) -> Option<String> {
        match value {
            Value::String(text) => {
                crate::dialect::reply::id(text).filter(|text| text.len() <= WORD_BYTES_MAX)
            }
            Value::Number(number) => Some(number.to_string()),
            _ => None,
        }
    }
}

/// The beginning of a body that is no JSON, on one line.
fn quoted(body: &Chunks) -> String {
    let head = body.head(MESSAGE_BYTES_MAX);
    String::from_utf8_lossy(&head).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Takes out words that look like keys: known prefixes always, any long mixed word where the message is
/// about a key.
fn without_keys(message: &str, about_a_key: bool) -> String {
    let is_key = |word: &str| {
        let word = word.trim_matches(|c: char| !c.is_ascii_alphanumeric());
        let prefixed = ["sk-", "sk_", "AIza", "key-"].iter().any(|prefix| word.starts_with(prefix));
        let mixed = word.len() >= KEY_CHARACTERS_MIN && word.bytes().any(|b| b.is_ascii_digit());
        prefixed || (about_a_key && mixed)
    };
    let words = message.split(' ').map(|word| if is_key(word) { "[removed]" } else { word });
    words.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
