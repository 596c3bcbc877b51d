//! The ordered offers that a request will try, and every other offer with its reason.
//!
//! Credits that were bought ahead, and hardware that is paid anyway, change the order alone: what is quoted, held
//! and settled are the provider's prices.

use crate::exclusion::{Exclusion, Reason};
use crate::health::{HealthBook, Verdict};
use crate::insight::Insight;
use crate::name_book::NameBook;
use crate::names::{ModelName, Named, Target, UnknownModel, target};
use crate::resolve::{PromptLength, Resolved, SentOn, resolve};
use crate::route::Route;
use gallerist_domain::{Grants, ImageRequest, Objective, QualityClass, Ticks, TierChoice};
use gallerist_pricing::credits::RoutingPrice;
use gallerist_pricing::sheet::PriceSheet;
use gallerist_pricing::{Bounds, Facts, Offer, Unpriced, bounds, marginal};
use jiff::Timestamp;
use std::cmp::Reverse;

/// What a plan is made of besides the request.
#[derive(Clone, Copy, Debug)]
pub struct PlanContext<'a> {
    pub offers: &'a [Offer],
    pub health: &'a HealthBook,
    /// What the books teach; [`NOTHING`](crate::insight::NOTHING) where there are none.
    pub insight: &'a Insight,
    /// Routes and migrations; [`PLAIN`](crate::name_book::PLAIN) where there are none of one's own.
    pub names: &'a NameBook,
    /// What the key of the request may use; [`Grants::ALL`] where nobody limits that.
    pub grants: &'a Grants,
    /// The price instant.
    pub at: Timestamp,
    /// The monotonic clock of `health`.
    pub now_ms: u64,
    /// For the price alone: what the gateway cannot order yet is planned too.
    pub price_only: bool,
}

/// An offer that may be tried.
#[derive(Clone, Copy, Debug)]
pub struct PlannedOffer<'a> {
    /// Index into the offers.
    pub index: usize,
    pub offer: &'a Offer,
    /// The offer that was named, where its provider serves this one for it.
    pub sent_on: Option<SentOn<'a>>,
    pub resolved: Resolved<'a>,
    /// For the whole request: all calls together.
    pub quote: Bounds,
    /// For one full call, and for the last smaller one.
    pub call_quote: Bounds,
    pub rest_quote: Bounds,
    /// The expected cost as offers are ordered by it: what it adds where the hardware is paid anyway, and what
    /// credits that were bought ahead make of that.
    pub routed: Ticks,
    /// What it adds, where the offer's hardware is paid anyway; absent elsewhere.
    pub marginal: Option<Ticks>,
    /// The credits that are why; absent where none are.
    pub credit: Option<&'a RoutingPrice>,
    pub latency_ms: u64,
}

impl PlannedOffer<'_> {
    /// Why it is ordered by another figure than its expected cost.
    pub fn routing_reason(&self) -> Option<String> {
        let expected = self.quote.expected;
        let marginal = self.marginal.filter(|marginal| *marginal != expected).map(|marginal| {
            let (marginal, expected) = (marginal.short(), expected.short());
            format!(
                "ordered by its marginal cost of {marginal} instead of {expected}: the hardware is paid anyway"
            )
        });
        let paid = self.marginal.unwrap_or(expected);
        let credit = self.credit.filter(|_| self.routed != paid).map(|credit| credit.reason(paid));
        match (marginal, credit) {
            (Some(marginal), Some(credit)) => Some(format!("{marginal}; {credit}")),
            (marginal, credit) => marginal.or(credit),
        }
    }
}

/// The plan of a request.
#[derive(Clone, Debug)]
pub struct Plan<'a> {
    pub named: Named<'a>,
    /// The most that the request may hold and charge, by itself and by its route.
    pub max_cost: Option<Ticks>,
    /// Best first.
    pub offers: Vec<PlannedOffer<'a>>,
    asking: Asking<'a>,
    /// Whether offers that rest after failures are in, because nobody else can serve the request.
    resting_in: bool,
}

impl<'a> Plan<'a> {
    /// Orders the offers by what they charge, the cheapest first, as if nothing of it were paid ahead: for a limit
    /// that counts charges.
    pub fn order_by_charge(&mut self) {
        for planned in &mut self.offers {
            (planned.routed, planned.marginal, planned.credit) = (planned.quote.expected, None, None);
        }
        sort(&mut self.offers, Objective::Cost);
    }

    /// The instant of its prices.
    pub fn at(&self) -> Timestamp {
        self.asking.context.at
    }

    /// The one that could cost the least of those that are out for their cost alone, as it would be planned without
    /// the limit.
    pub fn cheapest_over_limit(&self) -> Option<PlannedOffer<'a>> {
        let unlimited = Asking { demands: Demands { max_cost: None, ..self.asking.demands }, ..self.asking };
        let over = |(index, offer): (usize, &'a Offer)| match self.asking.consider(index, offer) {
            Err(Reason::OverMaxCost { .. }) => Some(unlimited.consider(index, offer).ok()?.0),
            _ => None,
        };
        self.asking.offers().filter_map(over).min_by_key(|planned| planned.quote.max)
    }

    /// Every offer that the name speaks of and that is not in, with its reason. Found anew each time: a plan
    /// over the whole catalogue holds nothing of the hundreds that do not match.
    pub fn excluded(&self) -> impl Iterator<Item = Exclusion<'a>> {
        self.asking.offers().filter_map(|(index, offer)| {
            let reason = match self.asking.consider(index, offer) {
                Err(reason) => reason,
                Ok((_, Verdict::Resting { for_ms })) if !self.resting_in => Reason::BreakerOpen { for_ms },
                Ok(_) => return None,
            };
            let by_route = self.asking.demands.route_behind(&reason);
            Some(Exclusion { offer: &offer.id, reason, by_route })
        })
    }
}

/// A request, and what every offer is held against.
#[derive(Clone, Copy, Debug)]
struct Asking<'a> {
    request: &'a ImageRequest,
    demands: Demands<'a>,
    context: PlanContext<'a>,
}

/// What makes a plan impossible before any offer is looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanError {
    UnknownModel(UnknownModel),
    /// On a route, quality is a class word.
    QualityWord(String),
    /// The key may not use what the name says.
    Forbidden(Forbidden),
}

/// A name that the key may not use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forbidden {
    /// `route`, `provider` or `model`.
    pub what: &'static str,
    pub name: String,
    /// What of that the key may use.
    pub allowed: Vec<String>,
}

/// Makes the plan. Offers that the name does not speak of do not appear in it.
///
/// # Errors
/// [`PlanError`] for a name that nothing answers to or that the key may not use, or a quality word that a
/// route does not know.
pub fn plan<'a>(request: &'a ImageRequest, context: PlanContext<'a>) -> Result<Plan<'a>, PlanError> {
    let named = target(&request.model, context.names, context.offers, context.at);
    plan_named(request, named.map_err(PlanError::UnknownModel)?, context)
}

/// As [`plan`], for a name that is understood already; the one in the request is not read.
///
/// # Errors
/// [`PlanError::Forbidden`] and [`PlanError::QualityWord`].
pub fn plan_named<'a>(
    request: &'a ImageRequest,
    named: Named<'a>,
    context: PlanContext<'a>,
) -> Result<Plan<'a>, PlanError> {
    check_name(&named.target, context)?;
    let demands = Demands::of(request, named.target)?;
    let asking = Asking { request, demands, context };
    let mut plan = Plan { named, max_cost: demands.max_cost, offers: Vec::new(), asking, resting_in: false };
    let mut resting = Vec::new();
    for (index, offer) in asking.offers() {
        match asking.consider(index, offer) {
            Ok((planned, Verdict::Resting { .. })) => resting.push(planned),
            Ok((planned, _)) => plan.offers.push(planned),
            // Told when somebody asks.
            Err(_) => {}
        }
    }
    if plan.offers.is_empty() {
        // A rest is no reason to refuse a request that nobody else can serve.
        plan.offers = resting;
        plan.resting_in = true;
    }
    let by_route = named.target.route().and_then(|route| route.objective);
    sort(&mut plan.offers, request.objective.or(by_route).unwrap_or(Objective::Cost));
    Ok(plan)
}

/// Whether the key may use what the name itself says. What else stands in its way is told offer by offer.
fn check_name(target: &Target<'_>, context: PlanContext<'_>) -> Result<(), PlanError> {
    let grants = context.grants;
    let forbidden = |what, name: &str, allowed: &[String]| {
        Err(PlanError::Forbidden(Forbidden { what, name: name.to_owned(), allowed: allowed.to_vec() }))
    };
    match target {
        Target::Route(route) if !grants.allow_route(&route.name) => {
            forbidden("route", &route.name, &grants.routes)
        }
        Target::Model(ModelName { provider: Some(provider), .. }) if !grants.allow_provider(provider) => {
            forbidden("provider", provider, &grants.providers)
        }
        Target::Model(ModelName { model, .. }) if !grants.models.is_empty() => {
            let spoken_of = |offer: &&Offer| target.speaks_of(offer);
            let mut offers = context.offers.iter().filter(spoken_of);
            match offers.any(|offer| grants.allow_model(|name| offer.model.is_named(name))) {
                true => Ok(()),
                false => forbidden("model", model, &grants.models),
            }
        }
        _ => Ok(()),
    }
}

/// What a request and its route demand of an offer together: always the stricter of the two.
#[derive(Clone, Copy, Debug)]
struct Demands<'a> {
    target: Target<'a>,
    /// The least class that a route may choose.
    least: QualityClass,
    max_cost: Option<Ticks>,
    length: PromptLength,
}

impl<'a> Demands<'a> {
    fn of(request: &ImageRequest, target: Target<'a>) -> Result<Demands<'a>, PlanError> {
        let route = target.route();
        let route_class = route.and_then(|route| route.class);
        let from_word = match request.quality.as_deref() {
            None => None,
            Some("low") => Some(QualityClass::Draft),
            // What the route does by itself; standard where it does not say.
            Some("auto") if route_class.is_some() => None,
            Some("auto") => Some(QualityClass::Standard),
            Some("medium" | "standard") => Some(QualityClass::Standard),
            Some("high" | "hd") => Some(QualityClass::High),
            Some(word) if target.is_route() => return Err(PlanError::QualityWord(word.to_owned())),
            Some(_) => None,
        };
        let asked = request.class.max(from_word);
        let route_max = route.and_then(|route| route.max_cost);
        let max_cost = [request.max_cost, route_max].into_iter().flatten().min();
        Ok(Demands {
            target,
            least: asked.max(route_class).unwrap_or(QualityClass::Standard),
            max_cost,
            length: PromptLength::of(request),
        })
    }

    /// The route that demands what the reason says, where no change of the request would be enough.
    fn route_behind(&self, reason: &Reason<'_>) -> Option<&'a str> {
        let demands_it = |route: &&Route| match reason {
            Reason::ClassTooLow { best, .. } => *best < route.class,
            Reason::OverMaxCost { quote_max } => route.max_cost.is_some_and(|max| *quote_max > max),
            Reason::TierUnavailable { .. } => route.tier != TierChoice::Auto,
            _ => false,
        };
        self.target.route().filter(demands_it).map(|route| route.name.as_str())
    }
}

/// Times that a name is sent on at most; more is a circle in the catalogue.
const SENT_ON_MAX: usize = 8;

impl<'a> Asking<'a> {
    /// The offers that the name speaks of, with their index.
    fn offers(&self) -> impl Iterator<Item = (usize, &'a Offer)> + use<'a> {
        let target = self.demands.target;
        self.context.offers.iter().enumerate().filter(move |(_, offer)| target.speaks_of(offer))
    }

    /// What the provider serves for the offer at the plan's instant, if that is another one. Only a model that
    /// is named is sent on: a route finds the other one by itself.
    fn served(&self, named: &'a Offer) -> Result<Option<(usize, SentOn<'a>)>, Reason<'a>> {
        let (offers, at) = (self.context.offers, self.context.at);
        let mut found: Option<(usize, SentOn<'a>)> = None;
        let mut steps = 0;
        while let Some(redirect) = found.map_or(named, |(i, _)| &offers[i]).redirect(at) {
            let other = |offer: &Offer| {
                offer.id.provider == named.id.provider
                    && offer.id.tier == named.id.tier
                    && offer.model.is_named(&redirect.to)
            };
            let may_follow = steps < SENT_ON_MAX && !self.demands.target.is_route();
            let Some(index) = may_follow.then(|| offers.iter().position(other)).flatten() else {
                return Err(match named.is_retired(at) {
                    true => Reason::Retired { successors: &named.model.lifecycle.successors },
                    false => Reason::SentOn { to: &redirect.to },
                });
            };
            steps += 1;
            found = Some((index, SentOn { named, redirect }));
        }
        Ok(found)
    }

    /// The offer as it would serve the request, and whether it may be asked now; else why it is out.
    fn consider(&self, index: usize, offer: &'a Offer) -> Result<(PlannedOffer<'a>, Verdict), Reason<'a>> {
        let Asking { request, demands, context } = *self;
        let sent_on = self.served(offer)?;
        let (index, sent_on) = sent_on.map_or((index, None), |(index, sent_on)| (index, Some(sent_on)));
        let offer = &context.offers[index];
        // What would be bought counts, also where a provider serves it under another name.
        let grants = context.grants;
        if !grants.allow_provider(&offer.id.provider) {
            return Err(Reason::ProviderForbidden { allowed: &grants.providers });
        }
        if !grants.allow_model(|name| offer.model.is_named(name)) {
            return Err(Reason::ModelForbidden { allowed: &grants.models });
        }
        let Demands { target, least, max_cost, length } = demands;
        let mut resolved = resolve(request, &target, least, length, offer, sent_on, context.at)?;
        if let Some(asked) = &request.region {
            resolved.facts.region = region(asked, offer, context.price_only)?;
        }
        let insight = context.insight;
        if !insight.learned.is_empty() {
            resolved.facts.learned = insight.learned(&offer.id, &resolved.facts);
        }
        let ordered = request.ingredients.is_empty() && offer.serves(request.operation);
        if !context.price_only && !ordered {
            return Err(Reason::NotServed);
        }
        let health = &context.health.offers[index];
        let latency_ms = health.latency_ms().unwrap_or(u64::from(offer.latency_ms()));
        if request.max_latency_ms.is_some_and(|max| latency_ms > max) {
            return Err(Reason::TooSlow { expected_ms: latency_ms });
        }
        let Priced { quote, call_quote, rest_quote, rest_facts } = self.priced(offer, &mut resolved)?;
        if max_cost.is_some_and(|max| quote.max > max) {
            return Err(Reason::OverMaxCost { quote_max: quote.max });
        }
        let verdict = health.verdict(context.now_ms);
        let credit = insight.credits.get(&offer.id.provider);
        let sheet = &offer.model.sheet;
        // Most sheets have no such rate, and are not walked again.
        let marginal = match sheet.marginal.is_empty() {
            true => None,
            false => Some(
                marginal_of(sheet, &resolved, rest_facts.as_ref(), context.at)
                    .map_err(Reason::PriceUnknown)?,
            ),
        };
        let paid = marginal.unwrap_or(quote.expected);
        let routed = credit.map_or(paid, |credit| credit.of(paid));
        let planned = PlannedOffer {
            index,
            offer,
            sent_on,
            resolved,
            quote,
            call_quote,
            rest_quote,
            routed,
            marginal,
            credit,
            latency_ms,
        };
        Ok((planned, verdict))
    }
}

/// The region that is priced, of those that the request allows. An account has its own; where there is none, because
/// it is only about prices, any that the prices speak of.
fn region<'a>(asked: &'a str, offer: &'a Offer, price_only: bool) -> Result<&'a str, Reason<'a>> {
    let known = &offer.model.regions;
    let any = price_only && offer.region.is_empty();
    match offer.region == asked || (any && known.iter().any(|region| region == asked)) {
        true => Ok(asked),
        false => Err(Reason::RegionUnavailable { asked, known: if any { known } else { &[] } }),
    }
}

/// A price that is missing may be missing for want of a region.
fn unpriced<'a>(why: Unpriced<'a>, offer: &'a Offer, facts: &Facts<'_>, at: Timestamp) -> Reason<'a> {
    let priced = |region: &&String| bounds(&offer.model.sheet, &Facts { region, ..*facts }, at).is_ok();
    let example = match facts.region.is_empty() {
        true => offer.model.regions.iter().find(priced),
        false => None,
    };
    example.map_or(Reason::PriceUnknown(why), |example| Reason::RegionMissing { example })
}

/// What a request costs at an offer.
struct Priced<'a> {
    quote: Bounds,
    call_quote: Bounds,
    rest_quote: Bounds,
    rest_facts: Option<Facts<'a>>,
}

impl<'a> Asking<'a> {
    fn priced(&self, offer: &'a Offer, resolved: &mut Resolved<'a>) -> Result<Priced<'a>, Reason<'a>> {
        let (sheet, at) = (&offer.model.sheet, self.context.at);
        let mut call_quote = bounds(sheet, &resolved.facts, at);
        // Where charges teach that a call takes nothing, the sheet's own estimate counts: nothing is no price.
        if call_quote == Err(Unpriced::Nothing) && resolved.facts.learned.take().is_some() {
            call_quote = bounds(sheet, &resolved.facts, at);
        }
        let call_quote = call_quote.map_err(|why| match self.context.price_only {
            true => unpriced(why, offer, &resolved.facts, at),
            false => Reason::PriceUnknown(why),
        })?;
        let rest_facts = match resolved.rest {
            0 => None,
            n => Some(Facts { n, ..resolved.facts }),
        };
        let rest_quote = match &rest_facts {
            None => Bounds::default(),
            Some(facts) => bounds(sheet, facts, at).map_err(Reason::PriceUnknown)?,
        };
        let quote = call_quote.times(i64::from(resolved.full_calls)).and_then(|full| full.plus(rest_quote));
        let quote = quote.ok_or(Reason::PriceUnknown(Unpriced::OutOfRange))?;
        Ok(Priced { quote, call_quote, rest_quote, rest_facts })
    }
}

/// What the whole request adds at an offer whose hardware is paid anyway.
fn marginal_of<'a>(
    sheet: &'a PriceSheet,
    resolved: &Resolved<'_>,
    rest: Option<&Facts<'_>>,
    at: Timestamp,
) -> Result<Ticks, Unpriced<'a>> {
    let call = marginal::expected(sheet, &resolved.facts, at)?;
    let rest = rest.map_or(Ok(Ticks::ZERO), |facts| marginal::expected(sheet, facts, at))?;
    let full = call.checked_mul(i64::from(resolved.full_calls));
    full.and_then(|full| full.checked_add(rest)).ok_or(Unpriced::OutOfRange)
}

/// By keys that are set apart, since each offer is some hundred bytes to move: each is moved once.
fn sort(offers: &mut Vec<PlannedOffer<'_>>, objective: Objective) {
    match objective {
        Objective::Cost => sort_by(offers, |o| (o.routed, o.quote.max, o.latency_ms)),
        Objective::Latency => sort_by(offers, |o| (o.latency_ms, o.routed)),
        Objective::Quality => sort_by(offers, |o| (Reverse(o.resolved.class), o.routed)),
    }
}

/// Equals keep their order.
fn sort_by<'a, K: Ord>(offers: &mut Vec<PlannedOffer<'a>>, key: impl Fn(&PlannedOffer<'a>) -> K) {
    let mut order: Vec<(K, usize)> = offers.iter().map(key).zip(0..).collect();
    order.sort_unstable();
    *offers = order.into_iter().map(|(_, index)| offers[index]).collect();
}

#[cfg(test)]
mod tests;
