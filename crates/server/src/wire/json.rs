//! JSON as it is needed here: one level at a time, values left as the text they came in.
//!
//! An object is a list of names and raw values, so repeated names are seen and numbers keep their digits.
//! Depth is bounded before anything is parsed. It refuses to build trees of values.

use super::fault::{Faults, ParameterFault, code, shown};
use memchr::memchr2;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

/// Deepest nesting of a body; the deepest meaningful one has about five levels.
pub(crate) const DEPTH_MAX: usize = 32;
/// Most fields of an object.
const MEMBERS_MAX: usize = 128;
/// Characters that a name adds to the path of what is inside it.
const PATH_PART_CHARACTERS_MAX: usize = 64;

/// A field: its name, and its value unparsed.
pub(crate) type Member<'a> = (Cow<'a, str>, &'a RawValue);

/// The fields of a body that must be one object.
pub(crate) fn body(body: &[u8]) -> Result<Vec<Member<'_>>, ParameterFault> {
    let whole = |message: String| ParameterFault { parameter: None, code: code::JSON, message };
    if body.iter().all(u8::is_ascii_whitespace) {
        return Err(whole(
            "the body is empty: send a JSON object such as {\"prompt\":\"a red kite\"}".into(),
        ));
    }
    let text = std::str::from_utf8(body)
        .map_err(|error| whole(format!("the body is not UTF-8 (byte {})", error.valid_up_to())))?;
    if depth(body) > DEPTH_MAX {
        return Err(whole(format!("the body is nested more than {DEPTH_MAX} levels deep")));
    }
    if !text.trim_start().starts_with('{') {
        return Err(whole("the body must be a JSON object such as {\"prompt\":\"a red kite\"}".into()));
    }
    members(text).map_err(|error| whole(format!("the body is not valid JSON: {error}")))
}

/// The fields of the object that `text` must be.
pub(crate) fn members(text: &str) -> Result<Vec<Member<'_>>, serde_json::Error> {
    serde_json::from_str::<Members<'_>>(text).map(|members| members.0)
}

/// The items of the array that `text` must be; at most `count_max` + 1 of them are kept.
pub(crate) fn items(text: &str, count_max: usize) -> Result<Vec<&RawValue>, serde_json::Error> {
    let mut deserializer = serde_json::Deserializer::from_str(text);
    deserializer.deserialize_seq(ItemsVisitor { count_max })
}

/// The text of a JSON string.
pub(crate) fn string(text: &str) -> Result<Cow<'_, str>, serde_json::Error> {
    serde_json::from_str::<Text<'_>>(text).map(|text| text.0)
}

/// One fault per name that occurs again in the same object.
pub(crate) fn refuse_repeated(inside: &str, members: &[Member<'_>], faults: &mut Faults) {
    for (at, (name, _)) in members.iter().enumerate() {
        if members[..at].iter().any(|(earlier, _)| earlier == name) {
            let message = format!("{inside}{} is given more than once", shown(name));
            faults.add(&format!("{inside}{}", shortened(name)), code::VALUE, message);
        }
    }
}

/// As [`refuse_repeated`], for every object inside `value`. The depth of the body has been checked.
pub(crate) fn refuse_repeated_inside(path: &str, value: &RawValue, faults: &mut Faults) {
    match value.get().as_bytes().first() {
        Some(b'{') => {
            let Ok(members) = members(value.get()) else {
                faults.add(path, code::VALUE, format!("{path} has more than {MEMBERS_MAX} fields"));
                return;
            };
            if members.len() > 1 {
                refuse_repeated(&format!("{path}."), &members, faults);
            }
            for (name, value) in &members {
                if matches!(value.get().as_bytes().first(), Some(b'{' | b'[')) {
                    refuse_repeated_inside(&format!("{path}.{}", shortened(name)), value, faults);
                }
            }
        }
        Some(b'[') => {
            for item in items(value.get(), usize::MAX).unwrap_or_default() {
                refuse_repeated_inside(path, item, faults);
            }
        }
        _ => {}
    }
}

/// The start of a name: a path grows by no more than this with each level, whatever was sent.
pub(crate) fn shortened(name: &str) -> Cow<'_, str> {
    match name.char_indices().nth(PATH_PART_CHARACTERS_MAX) {
        None => Cow::Borrowed(name),
        Some((end, _)) => Cow::Owned(format!("{}…", &name[..end])),
    }
}

/// How deep arrays and objects are nested, without parsing: brackets outside strings.
fn depth(body: &[u8]) -> usize {
    let (mut open, mut deepest, mut at) = (0usize, 0usize, 0);
    while at < body.len() {
        match body[at] {
            b'{' | b'[' => {
                open += 1;
                deepest = deepest.max(open);
            }
            b'}' | b']' => open = open.saturating_sub(1),
            b'"' => at = string_end(body, at + 1),
            _ => {}
        }
        at += 1;
    }
    deepest
}

/// Where the quote is that ends the string whose text begins at `at`; the end of `body` if there is none.
fn string_end(body: &[u8], mut at: usize) -> usize {
    while let Some(found) = body.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if body[at] == b'"' {
            return at;
        }
        at += 2;
    }
    body.len()
}

struct Members<'a>(Vec<Member<'a>>);

impl<'de> Deserialize<'de> for Members<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;
        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::with_capacity(8);
                while let Some((name, value)) = map.next_entry::<Text<'de>, &'de RawValue>()? {
                    if members.len() == MEMBERS_MAX {
                        return Err(A::Error::custom(format!("more than {MEMBERS_MAX} fields")));
                    }
                    members.push((name.0, value));
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct ItemsVisitor {
    count_max: usize,
}

impl<'de> Visitor<'de> for ItemsVisitor {
    type Value = Vec<&'de RawValue>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Self::Value, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = sequence.next_element()? {
            if items.len() <= self.count_max {
                items.push(item);
            }
        }
        Ok(items)
    }
}

/// A string, borrowed when it has no escapes.
struct Text<'a>(Cow<'a, str>);

impl<'de> Deserialize<'de> for Text<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E: Error>(self, text: &'de str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Borrowed(text)))
            }

            fn visit_str<E: Error>(self, text: &str) -> Result<Self::Value, E> {
                Ok(Text(Cow::Owned(text.to_owned())))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}
