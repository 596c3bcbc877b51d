//! The variables of the process, taken once, so that tests can hand in their own.

use super::providers::base_url_variable;
use gallerist_pricing::catalogue::Kind;
use gallerist_routing::nearest;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// What begins so is meant for us.
const PREFIX: &str = "GALLERIST_";

/// The variables that mean something whatever the catalogue holds.
const KNOWN: [&str; 9] = [
    "GALLERIST_CONFIG",
    "GALLERIST_DATA_DIR",
    "GALLERIST_LISTEN",
    "GALLERIST_PUBLIC_URL",
    "GALLERIST_STORE_URL",
    "GALLERIST_REDIS_URL",
    "GALLERIST_LOG",
    "GALLERIST_ADMIN_KEY",
    "GALLERIST_API_KEY",
];

/// A remark on each variable that is meant for us and means nothing. `named` are those of the settings file.
/// Values are never repeated: one may be a key.
pub fn slips(environment: &Environment, kinds: &[Kind], named: &[&str]) -> Vec<String> {
    let moved = kinds.iter().map(|kind| base_url_variable(&kind.name));
    let known: Vec<String> = KNOWN.iter().map(|&name| name.to_owned()).chain(moved).collect();
    let ours = environment.0.keys().filter(|name| name.starts_with(PREFIX));
    let slips = ours.filter(|name| !known.contains(name) && !named.contains(&name.as_str()));
    let remark = |name: &String| {
        // The common beginning would make all of them alike.
        let rests = known.iter().map(|known| known[PREFIX.len()..].to_owned());
        let meant = nearest(&name[PREFIX.len()..], rests, 1);
        format!("{name} is set, but means nothing here; the nearest known name is {PREFIX}{}", meant.concat())
    };
    slips.map(remark).collect()
}

/// Variables by name. A value of nothing counts as not set.
#[derive(Clone, Default)]
pub struct Environment(BTreeMap<String, String>);

impl Environment {
    /// Those of this process; what is no text is left out.
    pub fn of_process() -> Environment {
        Environment(
            std::env::vars_os()
                .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
                .collect(),
        )
    }

    pub fn get(&self, name: &str) -> Option<String> {
        self.0.get(name).map(|value| value.trim()).filter(|value| !value.is_empty()).map(str::to_owned)
    }

    pub fn path(&self, name: &str) -> Option<PathBuf> {
        self.get(name).map(PathBuf::from)
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Environment {
    fn from(pairs: [(&str, &str); N]) -> Environment {
        Environment(pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
    }
}
