//! Routes: named policies of which offers a request may go to, in which order, and how good they must be.
//!
//! What a request says narrows what its route allows and never widens it. A route is data, made from the
//! settings and passed in; there is no global one.

use crate::names::ModelName;
use gallerist_domain::{Depth, Objective, OfferId, QualityClass, Ticks, TierChoice};
use gallerist_pricing::Offer;

/// The route that always exists.
pub const AUTO: &str = "auto";

/// A named policy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Route {
    /// What requests call it.
    pub name: String,
    /// Only these offers; empty for all.
    pub models_only: Vec<Member>,
    pub models_exclude: Vec<Member>,
    /// Names of configured providers; empty for all.
    pub providers_only: Vec<String>,
    pub providers_exclude: Vec<String>,
    /// The order, unless the request names another; default by cost.
    pub objective: Option<Objective>,
    /// The least class; a request can only raise it. Default `standard`, unless the request names one.
    pub class: Option<QualityClass>,
    /// The most that a request may hold and charge; a request can only lower it.
    pub max_cost: Option<Ticks>,
    pub tier: TierChoice,
    /// The three below are the gateway's where the route does not say.
    pub check: Option<Depth>,
    /// Whether a prompt that one provider refused is tried at another.
    pub moderation_failover: Option<bool>,
    /// What savings are measured against; it need not be an offer of the route.
    pub baseline: Option<OfferId>,
}

impl Route {
    /// A route of this name that allows everything.
    pub fn named(name: &str) -> Route {
        Route {
            name: name.to_owned(),
            models_only: Vec::new(),
            models_exclude: Vec::new(),
            providers_only: Vec::new(),
            providers_exclude: Vec::new(),
            objective: None,
            class: None,
            max_cost: None,
            tier: TierChoice::Auto,
            check: None,
            moderation_failover: None,
            baseline: None,
        }
    }

    /// Its quality bar alone: as the baseline, which may lie outside of the route, is judged.
    pub fn unrestricted(&self) -> Route {
        Route { class: self.class, ..Route::named(&self.name) }
    }

    /// Whether the offer is one of those that it may choose among.
    pub fn allows(&self, offer: &Offer) -> bool {
        let provider = |list: &[String]| list.contains(&offer.id.provider);
        let member = |list: &[Member]| list.iter().any(|member| member.name().speaks_of(offer));
        (self.providers_only.is_empty() || provider(&self.providers_only))
            && !provider(&self.providers_exclude)
            && (self.models_only.is_empty() || member(&self.models_only))
            && !member(&self.models_exclude)
    }

    /// The name by which the route allows this offer, where it names models at all.
    pub fn name_at(&self, offer: &Offer) -> Option<ModelName<'_>> {
        self.models_only.iter().map(Member::name).find(|name| name.speaks_of(offer))
    }

    /// Whether it speaks of a service tier at this offer by name.
    pub fn names_tier_at(&self, offer: &Offer) -> bool {
        self.models_only.iter().any(|member| member.tier.is_some() && member.name().speaks_of(offer))
    }
}

/// A [`ModelName`] that a route owns, taken apart once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    provider: Option<String>,
    model: String,
    version: Option<String>,
    tier: Option<String>,
}

impl Member {
    pub fn parse(text: &str) -> Member {
        let ModelName { provider, model, version, tier } = ModelName::parse(text);
        let owned = |part: Option<&str>| part.map(str::to_owned);
        Member {
            provider: owned(provider),
            model: model.to_owned(),
            version: owned(version),
            tier: owned(tier),
        }
    }

    pub fn name(&self) -> ModelName<'_> {
        ModelName {
            provider: self.provider.as_deref(),
            model: &self.model,
            version: self.version.as_deref(),
            tier: self.tier.as_deref(),
        }
    }
}
