//! What a key may do, what it may use, and how much at a time.
//!
//! This module owns the words and the pure questions. Keys are made in `server`, kept in `store`; rates are
//! counted in `engine`, and offers left out in `routing`.

use serde::{Deserialize, Serialize};
use std::fmt;

/// Names in one list of a key's grants.
pub const GRANTS_MAX: usize = 64;
/// Characters of one such name.
pub const GRANT_CHARACTERS_MAX: usize = 128;
/// The largest rate that can be set; more is no limit in practice.
pub const RATE_MAX: u32 = 1_000_000;

/// One thing that a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope {
    /// Makes pictures, in its project's name, and asks for quotes.
    Generate,
    /// Sees its project: requests, usage, limits.
    Read,
    /// Everything, in all projects.
    Admin,
}

impl Scope {
    pub const ALL: &'static [Scope] = &[Scope::Generate, Scope::Read, Scope::Admin];

    pub const fn as_str(self) -> &'static str {
        match self {
            Scope::Generate => "generate",
            Scope::Read => "read",
            Scope::Admin => "admin",
        }
    }

    pub fn from_word(word: &str) -> Option<Scope> {
        Self::ALL.iter().copied().find(|scope| scope.as_str() == word)
    }
}

/// What a key may do: at least one [`Scope`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Scopes {
    generate: bool,
    read: bool,
    admin: bool,
}

impl Scopes {
    /// What a key may do that nobody said more of: makes pictures and sees its project.
    pub const USUAL: Scopes = Scopes { generate: true, read: true, admin: false };
    pub const ADMIN: Scopes = Scopes { generate: false, read: false, admin: true };

    /// # Errors
    /// A sentence, for a word that is no scope and for none at all.
    pub fn of_words<'a>(words: impl IntoIterator<Item = &'a str>) -> Result<Scopes, String> {
        let mut scopes = Scopes { generate: false, read: false, admin: false };
        for word in words {
            match Scope::from_word(word) {
                Some(Scope::Generate) => scopes.generate = true,
                Some(Scope::Read) => scopes.read = true,
                Some(Scope::Admin) => scopes.admin = true,
                None => return Err(format!("{word:?} is no scope; there are generate, read and admin")),
            }
        }
        let some = scopes.generate || scopes.read || scopes.admin;
        some.then_some(scopes).ok_or_else(|| "a key needs a scope: generate, read or admin".to_owned())
    }

    /// The scopes that a role stands for: `generate` also reads.
    pub fn of_role(role: &str) -> Option<Scopes> {
        match role {
            "generate" => Some(Scopes::USUAL),
            "read" => Some(Scopes { generate: false, read: true, admin: false }),
            "admin" => Some(Scopes::ADMIN),
            _ => None,
        }
    }

    /// The widest role that these scopes hold.
    pub const fn role(self) -> &'static str {
        match self {
            Scopes { admin: true, .. } => "admin",
            Scopes { generate: true, .. } => "generate",
            _ => "read",
        }
    }

    /// Admin keys may do everything.
    pub const fn allow(self, scope: Scope) -> bool {
        self.admin
            || match scope {
                Scope::Generate => self.generate,
                Scope::Read => self.read,
                Scope::Admin => false,
            }
    }

    /// The scopes as they were given, in the order of [`Scope::ALL`].
    pub fn words(self) -> Vec<&'static str> {
        let given = [self.generate, self.read, self.admin];
        Scope::ALL.iter().zip(given).filter(|(_, given)| *given).map(|(scope, _)| scope.as_str()).collect()
    }
}

impl fmt::Display for Scopes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words().join(", "))
    }
}

/// What a key may use. An empty list means everything of its kind.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Grants {
    /// Routes by name, `auto` among them.
    pub routes: Vec<String>,
    /// Providers by their configured name.
    pub providers: Vec<String>,
    /// Models by canonical name or alias.
    pub models: Vec<String>,
}

impl Grants {
    /// Everything.
    pub const ALL: &'static Grants =
        &Grants { routes: Vec::new(), providers: Vec::new(), models: Vec::new() };

    pub fn allow_route(&self, route: &str) -> bool {
        self.routes.is_empty() || self.routes.iter().any(|name| name == route)
    }

    pub fn allow_provider(&self, provider: &str) -> bool {
        self.providers.is_empty() || self.providers.iter().any(|name| name == provider)
    }

    /// `is_named` says whether the model answers to a name.
    pub fn allow_model(&self, is_named: impl Fn(&str) -> bool) -> bool {
        self.models.is_empty() || self.models.iter().any(|name| is_named(name))
    }

    /// # Errors
    /// The list at fault and a sentence.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let lists = [("routes", &self.routes), ("providers", &self.providers), ("models", &self.models)];
        for (list, names) in lists {
            if names.len() > GRANTS_MAX {
                return Err((list, format!("{list} has at most {GRANTS_MAX} names")));
            }
            let fine = |name: &String| {
                (1..=GRANT_CHARACTERS_MAX).contains(&name.len())
                    && name.bytes().all(|byte| byte.is_ascii_graphic())
                    && !name.contains([',', '#'])
            };
            if let Some(bad) = names.iter().find(|name| !fine(name)) {
                let short: String = bad.chars().take(40).collect();
                return Err((list, format!("{short:?} in {list} is no name")));
            }
        }
        if let Some(path) = self.models.iter().find(|name| name.contains(['/', '@'])) {
            let advice = "models are named without provider and version, as \"flux-2-pro\"";
            return Err(("models", format!("{path:?} is not a model's name: {advice}; use providers too")));
        }
        Ok(())
    }
}

/// How much may be asked at a time; absent: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct RateLimits {
    /// Requests for pictures.
    pub requests_per_minute: Option<u32>,
    /// Pictures: a request of n takes n.
    pub images_per_minute: Option<u32>,
    /// Pictures that are being made.
    pub images_at_once: Option<u32>,
}

impl RateLimits {
    pub const NONE: RateLimits =
        RateLimits { requests_per_minute: None, images_per_minute: None, images_at_once: None };

    pub fn is_none(&self) -> bool {
        *self == RateLimits::NONE
    }

    /// # Errors
    /// The field at fault and a sentence.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let fields = [
            ("requests_per_minute", self.requests_per_minute),
            ("images_per_minute", self.images_per_minute),
            ("images_at_once", self.images_at_once),
        ];
        for (field, limit) in fields {
            if limit.is_some_and(|limit| !(1..=RATE_MAX).contains(&limit)) {
                return Err((field, format!("{field} is 1 to {RATE_MAX}; leave it out for no limit")));
            }
        }
        Ok(())
    }
}

/// Everything that holds for the requests of one key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Allowance {
    pub grants: Grants,
    pub key_limits: RateLimits,
    /// Shared by all keys of the project.
    pub project_limits: RateLimits,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_a_synonym_of_scopes() {
        assert_eq!(Scopes::of_words(["generate", "read"]), Ok(Scopes::of_role("generate").unwrap()));
        assert_eq!(Scopes::of_words(["admin"]), Ok(Scopes::ADMIN));
        for role in ["generate", "read", "admin"] {
            assert_eq!(Scopes::of_role(role).unwrap().role(), role);
        }
        assert!(Scopes::ADMIN.allow(Scope::Generate) && Scopes::ADMIN.allow(Scope::Read));
        assert!(!Scopes::USUAL.allow(Scope::Admin));
        let only = Scopes::of_words(["generate"]).unwrap();
        assert!(only.allow(Scope::Generate) && !only.allow(Scope::Read));
        assert!(Scopes::of_words(["write"]).unwrap_err().contains("generate, read and admin"));
        assert!(Scopes::of_words([]).is_err());
    }

    #[test]
    fn empty_lists_allow_everything() {
        assert!(Grants::ALL.allow_route("auto") && Grants::ALL.allow_provider("bfl"));
        let grants = Grants { models: vec!["flux-2-pro".into()], ..Grants::default() };
        assert!(grants.allow_model(|name| name == "flux-2-pro") && !grants.allow_model(|name| name == "x"));
        assert!(grants.allow_route("auto"));
    }

    #[test]
    fn faults_name_the_list_and_the_field() {
        let of = |name: &str| Grants { models: vec![name.into()], ..Grants::default() }.check();
        assert_eq!(of("flux-2-pro"), Ok(()));
        assert_eq!(of("bfl/flux-2-pro").unwrap_err().0, "models");
        assert_eq!(of("").unwrap_err().0, "models");
        let many = Grants { routes: vec!["auto".into(); GRANTS_MAX + 1], ..Grants::default() };
        assert_eq!(many.check().unwrap_err().0, "routes");
        let zero = RateLimits { images_at_once: Some(0), ..RateLimits::NONE };
        assert_eq!(zero.check().unwrap_err().0, "images_at_once");
    }
}
