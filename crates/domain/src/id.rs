//! Identifiers: UUIDv7 for requests and attempts, names for projects, and the offer id that people type.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Uuid);

        impl $name {
            pub const fn from_uuid(uuid: Uuid) -> Self {
                Self(uuid)
            }

            pub const fn uuid(self) -> Uuid {
                self.0
            }

            /// A new id that sorts by time (UUIDv7); the random part comes from the system.
            pub fn generate() -> Self {
                Self(Uuid::now_v7())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = uuid::Error;
            fn from_str(text: &str) -> Result<Self, uuid::Error> {
                Uuid::parse_str(text).map(Self)
            }
        }
    };
}

uuid_id!(
    /// One client request, from admission to the end of its books.
    RequestId
);
uuid_id!(
    /// One try at one offer; each reservation belongs to exactly one attempt.
    AttemptId
);
uuid_id!(
    /// Credits that were bought together.
    LotId
);
uuid_id!(
    /// A limit on spending.
    BudgetId
);
uuid_id!(
    /// Something that people were told of once.
    AlertId
);
uuid_id!(
    /// One administrative change.
    AuditId
);
uuid_id!(
    /// An address that alerts are delivered to.
    WebhookId
);

/// A project's name: who pays. Lower-case letters, digits, `-` and `_`, 1 to 64 characters.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ProjectId(String);

impl ProjectId {
    /// The project that exists on every store.
    pub fn default_project() -> Self {
        ProjectId("default".to_owned())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for ProjectId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let allowed = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
        if (1..=64).contains(&text.len()) && text.bytes().all(allowed) {
            Ok(ProjectId(text.to_owned()))
        } else {
            Err("a project name has 1 to 64 characters out of a-z, 0-9, - and _".to_owned())
        }
    }
}

impl fmt::Display for ProjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// `provider/model[@version][#tier]`: the thing that is bought. The tier is left out when standard.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfferId {
    pub provider: String,
    pub model: String,
    pub version: Option<String>,
    pub tier: String,
}

/// The tier that an offer id leaves out.
pub const STANDARD_TIER: &str = "standard";

impl OfferId {
    pub fn new(provider: &str, model: &str) -> Self {
        OfferId {
            provider: provider.to_owned(),
            model: model.to_owned(),
            version: None,
            tier: STANDARD_TIER.to_owned(),
        }
    }
}

impl fmt::Display for OfferId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.provider, self.model)?;
        if let Some(version) = &self.version {
            write!(f, "@{version}")?;
        }
        if self.tier != STANDARD_TIER {
            write!(f, "#{}", self.tier)?;
        }
        Ok(())
    }
}

impl FromStr for OfferId {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let (rest, tier) = text.split_once('#').unwrap_or((text, STANDARD_TIER));
        let (rest, version) = match rest.split_once('@') {
            Some((rest, version)) => (rest, Some(version.to_owned())),
            None => (rest, None),
        };
        match rest.split_once('/') {
            Some((provider, model)) if !provider.is_empty() && !model.is_empty() && !model.contains('/') => {
                Ok(OfferId { provider: provider.into(), model: model.into(), version, tier: tier.into() })
            }
            _ => Err(format!("{text:?} is not an offer id such as bfl/flux-2-pro")),
        }
    }
}

impl Serialize for OfferId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for OfferId {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
