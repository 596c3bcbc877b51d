//! Keys, projects and the audit log in the form of the API: what may be wished, and what is shown.
//!
//! The command line writes the same form where no gateway runs, so it is made here once. It refuses to store
//! anything.

use gallerist_domain::{Grants, ProjectId, RateLimits, Scopes, Ticks};
use gallerist_pricing::Catalogue;
use gallerist_routing::NameBook;
use gallerist_routing::nearest::nearest;
use gallerist_store::{
    ACTIONS, AuditRecord, GrantsChange, KeyChange, KeyRecord, LimitsChange, NewKey, ProjectRecord,
    ProjectUsage,
};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;

use crate::keys::FreshKey;
use crate::routes::Object;

/// Characters of a key's name.
const NAME_CHARACTERS_MAX: usize = 120;
/// How long an old secret stays good beside its successor, unless a rotation says otherwise: a day.
pub const GRACE_SECONDS: i64 = 86_400;
/// The most that a rotation can say: thirty days.
pub const GRACE_SECONDS_MAX: i64 = 30 * 86_400;

/// A field at fault, and a sentence.
pub type WishFault = (&'static str, String);

/// The body of `POST /v1/keys` and `PATCH /v1/keys/{id}`; all of it is optional.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct KeyWish {
    /// Default `default`; it cannot be changed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub project: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// `generate` (makes pictures and reads), `read` or `admin`: short for scopes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub role: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub routes: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub providers: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
    /// An instant or a day; null: never.
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Option<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limits: Option<LimitsWish>,
}

impl Object for KeyWish {
    const EXAMPLE: &'static str = r#"{"project": "shop", "name": "web", "role": "generate"}"#;
}

/// Limits as they are wished: null removes one, what is absent stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(
    default,
    deny_unknown_fields,
    expecting = "limits as an object such as {\"requests_per_minute\": 60}"
)]
pub struct LimitsWish {
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    pub requests_per_minute: Option<Option<u32>>,
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    pub images_per_minute: Option<Option<u32>>,
    #[serde(deserialize_with = "some", skip_serializing_if = "Option::is_none")]
    pub images_at_once: Option<Option<u32>>,
}

/// Tells null (`Some(None)`) from absent (`None`).
fn some<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::<T>::deserialize(deserializer).map(Some)
}

impl LimitsWish {
    pub fn is_empty(&self) -> bool {
        *self == LimitsWish::default()
    }

    /// The limits of what is new.
    ///
    /// # Errors
    /// The limit that is out of its range.
    pub fn fresh(&self) -> Result<RateLimits, WishFault> {
        Ok(self.change()?.over(RateLimits::NONE))
    }

    /// What becomes of the limits that are there.
    ///
    /// # Errors
    /// The limit that is out of its range.
    pub fn change(&self) -> Result<LimitsChange, WishFault> {
        let LimitsWish { requests_per_minute, images_per_minute, images_at_once } = *self;
        let change = LimitsChange { requests_per_minute, images_per_minute, images_at_once };
        change.over(RateLimits::NONE).check()?;
        Ok(change)
    }
}

impl KeyWish {
    /// The record of a new key.
    ///
    /// # Errors
    /// The field at fault.
    pub fn record(&self, fresh: &FreshKey, now: Timestamp) -> Result<NewKey, WishFault> {
        let project = match &self.project {
            Some(name) => name.parse().map_err(|message: String| ("project", message))?,
            None => ProjectId::default_project(),
        };
        let expires_at = self.expiry()?.flatten();
        if expires_at.is_some_and(|at| at <= now) {
            return Err(("expires_at", "expires_at must be in the future".to_owned()));
        }
        let record = fresh.record(project, &self.checked_name()?, self.checked_scopes()?, expires_at);
        let limits = self.limits.unwrap_or_default().fresh()?;
        Ok(NewKey { grants: self.grants()?.over(Grants::ALL), limits, ..record })
    }

    /// What becomes of a key that is there.
    ///
    /// # Errors
    /// The field at fault.
    pub fn change(&self) -> Result<KeyChange, WishFault> {
        if self.project.is_some() {
            return Err(("project", "a key stays in its project; make another key".to_owned()));
        }
        Ok(KeyChange {
            name: self.name.is_some().then(|| self.checked_name()).transpose()?,
            scopes: (self.role.is_some() || self.scopes.is_some())
                .then(|| self.checked_scopes())
                .transpose()?,
            expires_at: self.expiry()?,
            grants: self.grants()?,
            limits: self.limits.unwrap_or_default().change()?,
        })
    }

    fn checked_name(&self) -> Result<String, WishFault> {
        let name = self.name.clone().unwrap_or_default();
        if name.chars().count() > NAME_CHARACTERS_MAX || name.chars().any(char::is_control) {
            return Err(("name", format!("name has at most {NAME_CHARACTERS_MAX} printable characters")));
        }
        Ok(name)
    }

    fn checked_scopes(&self) -> Result<Scopes, WishFault> {
        match (&self.role, &self.scopes) {
            (Some(_), Some(_)) => Err(("scopes", "role is short for scopes: give one of them".to_owned())),
            (Some(role), None) => Scopes::of_role(role)
                .ok_or_else(|| ("role", "role must be generate, read or admin".to_owned())),
            (None, Some(words)) => {
                Scopes::of_words(words.iter().map(String::as_str)).map_err(|message| ("scopes", message))
            }
            (None, None) => Ok(Scopes::USUAL),
        }
    }

    fn expiry(&self) -> Result<Option<Option<Timestamp>>, WishFault> {
        let instant = |text: &String| {
            crate::routes::instant_of(text).ok_or_else(|| {
                let message = "expires_at must be an instant such as 2027-01-01T00:00:00Z or a day";
                ("expires_at", message.to_owned())
            })
        };
        self.expires_at.as_ref().map(|at| at.as_ref().map(instant).transpose()).transpose()
    }

    /// Whether the lists could be names.
    ///
    /// # Errors
    /// The list at fault.
    pub fn checked_grants(&self) -> Result<(), WishFault> {
        self.grants().map(drop)
    }

    fn grants(&self) -> Result<GrantsChange, WishFault> {
        let KeyWish { routes, providers, models, .. } = self.clone();
        let change = GrantsChange { routes, providers, models };
        change.clone().over(Grants::ALL).check()?;
        Ok(change)
    }
}

/// The names that a key may be granted.
#[derive(Clone, Copy, Debug)]
pub struct KnownNames<'a> {
    /// Everything that has a price: a model, or a kind of provider, may be ordered from only later.
    pub catalogue: &'a Catalogue,
    /// Those that are on, by their configured names.
    pub providers: &'a [&'a str],
    pub names: &'a NameBook,
}

impl KeyWish {
    /// Refuses a grant of a name that nobody has: a key that is allowed only that may use nothing.
    ///
    /// # Errors
    /// The list, and the nearest names.
    pub fn check_names(&self, known: KnownNames<'_>) -> Result<(), WishFault> {
        let KnownNames { catalogue, providers, names } = known;
        let sheets = || catalogue.providers.iter();
        let models = || sheets().flat_map(|sheet| &sheet.models);
        let routes = || names.routes().iter().map(|route| route.name.clone());
        if let Some(name) = self.routes.iter().flatten().find(|name| !routes().any(|known| known == **name)) {
            return Err(("routes", unknown("route", name, routes().collect())));
        }
        let is_provider =
            |name: &String| providers.contains(&name.as_str()) || catalogue.provider(name).is_some();
        if let Some(name) = self.providers.iter().flatten().find(|name| !is_provider(name)) {
            let kinds = sheets().map(|sheet| sheet.kind.clone());
            let all = providers.iter().map(|name| (*name).to_owned()).chain(kinds).collect();
            return Err(("providers", unknown("provider", name, all)));
        }
        let is_model = |name: &String| models().any(|model| model.is_named(name));
        if let Some(name) = self.models.iter().flatten().find(|name| !is_model(name)) {
            return Err(("models", unknown("model", name, models().map(|model| model.id.clone()).collect())));
        }
        Ok(())
    }
}

fn unknown(what: &str, name: &str, known: Vec<String>) -> String {
    format!("there is no {what} {name:?}; the nearest: {}", nearest(name, known, 3).join(", "))
}

/// Until when the old secret of a key that is rotated at `now` stays good.
///
/// # Errors
/// A grace time beyond [`GRACE_SECONDS_MAX`] or below zero.
pub fn grace_end(seconds: Option<i64>, now: Timestamp) -> Result<Timestamp, WishFault> {
    let seconds = seconds.unwrap_or(GRACE_SECONDS);
    if !(0..=GRACE_SECONDS_MAX).contains(&seconds) {
        return Err(("grace_seconds", format!("grace_seconds is 0 to {GRACE_SECONDS_MAX} (thirty days)")));
    }
    Ok(now.checked_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX))
}

/// A key without its secret, or with it in the one answer that makes it.
#[derive(Debug, Serialize)]
pub struct KeyShown<'a> {
    id: &'a str,
    object: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    prefix: &'a str,
    project: &'a ProjectId,
    name: &'a str,
    role: &'static str,
    scopes: Vec<&'static str>,
    routes: &'a [String],
    providers: &'a [String],
    models: &'a [String],
    limits: RateLimits,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    revoked_at: Option<Timestamp>,
    rotated_at: Option<Timestamp>,
    /// Until when the secret before the last rotation is good too.
    previous_until: Option<Timestamp>,
}

impl<'a> KeyShown<'a> {
    pub fn of(record: &'a KeyRecord, secret: Option<&'a str>) -> KeyShown<'a> {
        let grants = &record.allowance.grants;
        KeyShown {
            id: &record.id,
            object: "key",
            key: secret,
            prefix: &record.prefix,
            project: &record.project,
            name: &record.name,
            role: record.scopes.role(),
            scopes: record.scopes.words(),
            routes: &grants.routes,
            providers: &grants.providers,
            models: &grants.models,
            limits: record.allowance.key_limits,
            created_at: record.created_at,
            expires_at: record.expires_at,
            revoked_at: record.revoked_at,
            rotated_at: record.rotated_at,
            previous_until: record.previous_until,
        }
    }
}

/// A project with its money, its limits and, where it is asked for alone, what it does now.
#[derive(Debug, Serialize)]
pub struct ProjectShown {
    id: ProjectId,
    object: &'static str,
    created_at: Timestamp,
    /// Settled, held and disputed never pass it; null: no limit.
    cap_usd: Option<Ticks>,
    settled_usd: Ticks,
    held_usd: Ticks,
    disputed_usd: Ticks,
    /// The part of what is settled that rests on prices below official, or read long before.
    doubtful_usd: Ticks,
    left_usd: Option<Ticks>,
    limits: RateLimits,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageShown>,
}

#[derive(Debug, Serialize)]
struct UsageShown {
    requests_last_minute: u64,
    images_last_minute: u64,
    requests_running: u64,
    keys: u64,
}

impl ProjectShown {
    pub fn of(record: ProjectRecord, usage: Option<ProjectUsage>) -> ProjectShown {
        ProjectShown {
            left_usd: record.left(),
            id: record.id,
            object: "project",
            created_at: record.created_at,
            cap_usd: record.cap,
            settled_usd: record.settled,
            held_usd: record.held,
            disputed_usd: record.disputed,
            doubtful_usd: record.doubtful,
            limits: record.limits,
            usage: usage.map(|usage| UsageShown {
                requests_last_minute: usage.requests_last_minute,
                images_last_minute: usage.images_last_minute,
                requests_running: usage.requests_running,
                keys: usage.keys,
            }),
        }
    }
}

/// An action that the audit log is asked for.
///
/// # Errors
/// A sentence with the nearest that there are.
pub fn asked_action(text: &str) -> Result<String, String> {
    if ACTIONS.contains(&text) {
        return Ok(text.to_owned());
    }
    let near = nearest(text, ACTIONS.map(str::to_owned), 3).join(", ");
    let shown: String = text.chars().take(64).collect();
    Err(format!("action: nothing is written down as {shown:?}; the nearest: {near}."))
}

/// An administrative change.
#[derive(Debug, Serialize)]
pub struct ChangeShown<'a> {
    id: String,
    object: &'static str,
    at: Timestamp,
    /// `key`, `command_line` or `gateway`.
    actor: &'a str,
    /// Of an actor that is a key.
    key: Option<&'a str>,
    action: &'a str,
    subject: &'a str,
    project: Option<&'a str>,
    before: Option<Box<RawValue>>,
    after: Option<Box<RawValue>>,
}

impl<'a> From<&'a AuditRecord> for ChangeShown<'a> {
    fn from(record: &'a AuditRecord) -> ChangeShown<'a> {
        let kept = |text: &Option<String>| text.as_deref().and_then(|text| serde_json::from_str(text).ok());
        ChangeShown {
            id: record.id.to_string(),
            object: "change",
            at: record.at,
            actor: &record.actor,
            key: record.key_id.as_deref(),
            action: &record.action,
            subject: &record.subject,
            project: record.project.as_deref(),
            before: kept(&record.before_json),
            after: kept(&record.after_json),
        }
    }
}
