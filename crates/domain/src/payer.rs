//! Who pays for a request, and how its cost is told apart afterwards.

use crate::id::ProjectId;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Characters of an end user's name.
pub const END_USER_CHARACTERS_MAX: usize = 256;
/// Tags of one request.
pub const TAGS_MAX: usize = 16;
/// Characters of a tag's name.
pub const TAG_NAME_CHARACTERS_MAX: usize = 64;
/// Characters of a tag's value.
pub const TAG_VALUE_CHARACTERS_MAX: usize = 256;

/// Who pays: a project, by a key, on behalf of an end user, under tags.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Payer {
    pub project: ProjectId,
    /// Absent for the command line.
    pub key_id: Option<String>,
    /// `safety_identifier`, else `user` of the body: 1 to [`END_USER_CHARACTERS_MAX`] printable characters.
    pub end_user: Option<String>,
    /// Free-form, at most [`TAGS_MAX`].
    pub tags: BTreeMap<String, String>,
}

impl Payer {
    /// A project without key, end user and tags.
    pub fn of(project: ProjectId) -> Payer {
        Payer { project, key_id: None, end_user: None, tags: BTreeMap::new() }
    }
}

/// What is wrong with an end user's name, in words; `None` if nothing is.
pub fn end_user_fault(text: &str) -> Option<String> {
    let fine = (1..=END_USER_CHARACTERS_MAX).contains(&text.chars().count());
    let printable = !text.chars().any(char::is_control);
    (!fine || !printable)
        .then(|| format!("an end user has 1 to {END_USER_CHARACTERS_MAX} printable characters"))
}

/// What is wrong with a tag, in words; `None` if nothing is.
pub fn tag_fault(name: &str, value: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if !(1..=TAG_NAME_CHARACTERS_MAX).contains(&name.chars().count()) || !name.chars().all(allowed) {
        return Some(format!(
            "a tag's name has 1 to {TAG_NAME_CHARACTERS_MAX} characters out of a-z, A-Z, 0-9, -, _ and ."
        ));
    }
    if value.chars().count() > TAG_VALUE_CHARACTERS_MAX || value.chars().any(char::is_control) {
        return Some(format!("a tag's value has at most {TAG_VALUE_CHARACTERS_MAX} printable characters"));
    }
    None
}
