//! Which providers are on: those of the settings file, and those that the environment switches on.
//!
//! A kind is on when one of its customary key variables is set; an engine of one's own, when its base URL
//! is. `GALLERIST_<KIND>_BASE_URL` moves the provider that is named like its kind.

use super::typed::{Typed, TypedProvider, Written};
use super::{Environment, Mistakes};
use gallerist_engine::ProviderSettings;
use gallerist_pricing::catalogue::{Kind, ProviderSheet};
use gallerist_pricing::{Catalogue, ConfiguredProvider};
use gallerist_routing::slip_of;
use secrecy::SecretString;
use std::path::Path;

/// Every kind of the catalogue, as if it were configured; and what is configured under another name.
pub fn everything(catalogue: &Catalogue, configured: &[ProviderSettings]) -> Vec<ConfiguredProvider> {
    let configured: Vec<_> = configured.iter().map(ProviderSettings::configured).collect();
    gallerist_pricing::everything(catalogue, &configured)
}

/// The providers that are on, those of the file first. `kinds` are all that there are, also those whose prices
/// alone are known.
pub(super) fn switched_on(
    typed: &Typed,
    catalogue: &Catalogue,
    kinds: &[Kind],
    environment: &Environment,
    mistakes: &mut Mistakes,
    remarks: &mut Vec<String>,
) -> Vec<ProviderSettings> {
    let mut on: Vec<ProviderSettings> = Vec::new();
    for written in &typed.providers {
        let Some(settings) = from_file(written, (catalogue, kinds), environment, mistakes) else { continue };
        if on.iter().any(|earlier| earlier.name == settings.name) {
            let advice = "give each its own name";
            mistakes.add(&written.place, format!("provider {:?} stands twice: {advice}", settings.name));
        }
        on.push(settings);
    }
    let in_file =
        |kind: &str| typed.providers.iter().any(|p| p.kind.as_ref().is_some_and(|k| k.value == kind));
    for sheet in catalogue.providers.iter().filter(|sheet| !in_file(&sheet.kind)) {
        if let Some(settings) = from_environment(sheet, environment, mistakes, remarks) {
            on.push(settings);
        }
    }
    remarks.extend(priced_only(kinds, environment));
    on
}

/// What the environment seems to switch on, but cannot be ordered from.
fn priced_only(kinds: &[Kind], environment: &Environment) -> Vec<String> {
    let mut remarks = Vec::new();
    let mut by_key = Vec::new();
    for kind in kinds.iter().filter(|kind| !kind.served) {
        let variable = base_url_variable(&kind.name);
        if environment.get(&variable).is_some() {
            remarks.push(format!(
                "{variable} is set, but {} has prices here and no adapter yet: nothing can be ordered there",
                kind.name
            ));
        } else if let Some(key) = kind.key_variables.iter().find(|name| environment.get(name).is_some()) {
            // The key may well be there for other software, or for a kind that shares it.
            let shared = kinds.iter().any(|other| other.served && other.key_variables.contains(key));
            if !shared {
                by_key.push(format!("{} ({key})", kind.name));
            }
        }
    }
    if !by_key.is_empty() {
        let list = by_key.join(", ");
        remarks.push(format!(
            "keys are set for kinds that have prices here and no adapter yet, so nothing is ordered there: {list}"
        ));
    }
    remarks
}

fn from_environment(
    sheet: &ProviderSheet,
    environment: &Environment,
    mistakes: &mut Mistakes,
    remarks: &mut Vec<String>,
) -> Option<ProviderSettings> {
    let variable = base_url_variable(&sheet.kind);
    let moved = environment.get(&variable);
    let key = customary_key(sheet, environment);
    if sheet.serves.is_empty() {
        // The key may well be there for other software.
        return None;
    }
    if !sheet.self_hosted && key.is_none() {
        if moved.is_some() {
            let names = sheet.key_variables.join(" or ");
            remarks.push(format!("{} is off: {variable} is set, but {names} is not", sheet.kind));
        }
        return None;
    }
    if sheet.self_hosted && moved.is_none() {
        return None;
    }
    let base_url = match moved {
        Some(address) => checked_address(&variable, &address, mistakes)?,
        None => sheet.base_url.clone(),
    };
    if path(&base_url).is_empty() && !path(&sheet.base_url).is_empty() {
        let customary = path(&sheet.base_url);
        remarks.push(format!("{variable} has no path; that of {} ends in {customary}", sheet.title));
    }
    Some(ProviderSettings {
        name: sheet.kind.clone(),
        kind: sheet.kind.clone(),
        base_url,
        key: key.unwrap_or_default(),
        region: String::new(),
        concurrency_max: None,
        images_per_minute: None,
    })
}

fn from_file(
    written: &TypedProvider,
    (catalogue, kinds): (&Catalogue, &[Kind]),
    environment: &Environment,
    mistakes: &mut Mistakes,
) -> Option<ProviderSettings> {
    if let Some(name) = written.name.as_ref().filter(|name| !is_name(&name.value)) {
        mistakes.add(&name.place, "a provider's name has 1 to 64 characters out of a-z, 0-9, - and _");
    }
    let concurrency_max = written.concurrency_max.as_ref().map(|limit| {
        if !(1..=10_000).contains(&limit.value) {
            mistakes.add(&limit.place, "concurrency_max is 1 to 10,000");
        }
        limit.value
    });
    let images_per_minute = written.images_per_minute.as_ref().map(|limit| {
        if !(1..=1_000_000).contains(&limit.value) {
            mistakes.add(&limit.place, "images_per_minute is 1 to 1,000,000");
        }
        limit.value
    });
    let written_url = written.base_url.as_ref();
    let base_url = written_url.map(|url| checked_address(&url.place, &url.value, mistakes));
    let Some(sheet) = sheet(written, catalogue, kinds, mistakes) else {
        check_variable(written, environment, mistakes);
        return None;
    };
    let name = written.name.as_ref().map_or(&sheet.kind, |name| &name.value).clone();
    let key = key(written, sheet, environment, mistakes);
    let variable = base_url_variable(&sheet.kind);
    let moved = environment.get(&variable).filter(|_| name == sheet.kind);
    let base_url = match (moved, base_url) {
        (Some(address), _) => checked_address(&variable, &address, mistakes),
        (None, Some(checked)) => checked,
        (None, None) => Some(sheet.base_url.clone()),
    };
    let region = written.region.as_ref().map(|region| region.value.clone()).unwrap_or_default();
    let kind = sheet.kind.clone();
    Some(ProviderSettings {
        name,
        kind,
        region,
        base_url: base_url?,
        key: key?,
        concurrency_max,
        images_per_minute,
    })
}

/// The catalogue's file of the kind that is written.
fn sheet<'a>(
    written: &TypedProvider,
    catalogue: &'a Catalogue,
    kinds: &[Kind],
    mistakes: &mut Mistakes,
) -> Option<&'a ProviderSheet> {
    let Some(kind) = &written.kind else {
        mistakes.add(&written.place, format!("kind is missing; known are {}", orderable(catalogue)));
        return None;
    };
    let sheet = catalogue.provider(&kind.value).map(|sheet| &**sheet);
    let known = orderable(catalogue);
    if kinds.iter().any(|one| one.name == kind.value && !one.served) {
        let message = format!(
            "{:?} has prices here and no adapter yet, so nothing can be ordered there; kinds that can are {known}",
            kind.value
        );
        mistakes.add(&kind.place, message);
        return None;
    }
    if sheet.is_none() {
        let names = catalogue.providers.iter().map(|sheet| sheet.kind.clone());
        let meant =
            slip_of(&kind.value, names).map_or_else(String::new, |meant| format!(": is {meant:?} meant?"));
        mistakes.add(&kind.place, format!("there is no kind {:?}{meant}; known are {known}", kind.value));
    }
    sheet
}

/// Whether the variable of `key_env` is set.
fn check_variable(written: &TypedProvider, environment: &Environment, mistakes: &mut Mistakes) {
    if let Some(variable) = written.key_env.as_ref().filter(|name| environment.get(&name.value).is_none()) {
        mistakes.add(&variable.place, format!("the variable {} is not set", variable.value));
    }
}

fn key(
    written: &TypedProvider,
    sheet: &ProviderSheet,
    environment: &Environment,
    mistakes: &mut Mistakes,
) -> Option<SecretString> {
    match (&written.key_env, &written.key_file) {
        (Some(variable), Some(_)) => {
            mistakes.add(&variable.place, "key_env and key_file exclude each other: keep one");
            None
        }
        (Some(variable), None) => {
            check_variable(written, environment, mistakes);
            environment.get(&variable.value).map(SecretString::from)
        }
        (None, Some(file)) => key_from_file(file, mistakes),
        (None, None) => {
            let key = customary_key(sheet, environment);
            if key.is_none() && !sheet.self_hosted {
                let names = sheet.key_variables.join(" or ");
                let advice = format!("set {names}, or name a variable in key_env or a file in key_file");
                mistakes.add(&written.place, format!("provider kind {} needs a key: {advice}", sheet.kind));
                return None;
            }
            Some(key.unwrap_or_default())
        }
    }
}

fn key_from_file(file: &Written<std::path::PathBuf>, mistakes: &mut Mistakes) -> Option<SecretString> {
    let path: &Path = &file.value;
    match std::fs::read_to_string(path) {
        Ok(text) if !text.trim().is_empty() && !text.trim().contains(char::is_whitespace) => {
            Some(SecretString::from(text.trim()))
        }
        Ok(_) => {
            mistakes.add(&file.place, format!("{} does not hold one key and nothing else", path.display()));
            None
        }
        Err(error) => {
            mistakes.add(&file.place, format!("{} cannot be read: {error}", path.display()));
            None
        }
    }
}

fn customary_key(sheet: &ProviderSheet, environment: &Environment) -> Option<SecretString> {
    sheet.key_variables.iter().find_map(|name| environment.get(name)).map(SecretString::from)
}

/// `GALLERIST_OPENAI_BASE_URL` for `openai`.
pub(crate) fn base_url_variable(kind: &str) -> String {
    format!("GALLERIST_{}_BASE_URL", kind.to_uppercase().replace('-', "_"))
}

/// The address without its last slash, when it is one that paths can be appended to.
fn checked_address(place: impl std::fmt::Display, address: &str, mistakes: &mut Mistakes) -> Option<String> {
    let rest = address.strip_prefix("https://").or_else(|| address.strip_prefix("http://"));
    let host = rest.map(|rest| rest.split('/').next().unwrap_or_default());
    let plain = address.bytes().all(|byte| byte.is_ascii_graphic());
    match host {
        Some(host) if !host.is_empty() && !host.contains('@') && plain && !address.contains(['?', '#']) => {
            Some(address.trim_end_matches('/').to_owned())
        }
        // It is not repeated: people paste keys into the wrong place.
        _ => {
            mistakes.add(place, "this is no base URL: write http(s)://HOST[:PORT][/PATH]");
            None
        }
    }
}

/// What follows the host; empty when nothing does.
pub(crate) fn path(base_url: &str) -> &str {
    let rest = base_url.split_once("://").map_or(base_url, |(_, rest)| rest);
    rest.find('/').map_or("", |at| rest[at..].trim_end_matches('/'))
}

/// Whether a word may be the name of a provider or a route.
pub(super) fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

fn orderable(catalogue: &Catalogue) -> String {
    let orderable = catalogue.providers.iter().filter(|sheet| !sheet.serves.is_empty());
    orderable.map(|sheet| sheet.kind.as_str()).collect::<Vec<_>>().join(", ")
}
