//! What budgets change about a plan: below a degrading one routes buy drafts, or the cheapest of their own class,
//! and a refusal names what would still fit.

use crate::outcome::doubt;
use crate::refusal::{Fitting, Refusal};
use crate::request::Incoming;
use crate::shared::Shared;
use gallerist_domain::{Budget, BudgetMode, BudgetUnit, ImageRequest, Objective, Payer, QualityClass, Ticks};
use gallerist_pricing::sheet::Confidence;
use gallerist_routing::{PlanContext, Route, list_price, plan, target};
use gallerist_store::{Breach, Candidate};
use jiff::Timestamp;
use jiff::civil::Date;
use std::sync::Arc;

/// How a request is bought above a degrading budget's share.
pub(crate) struct Thrift {
    pub request: ImageRequest,
    /// Whether its plan is ordered by what is charged against the budget, whatever of that is paid already: credits
    /// that were bought ahead do not spare a limit in dollars.
    pub by_charge: bool,
    /// What to tell of it; nothing where the route buys like that anyway.
    pub told: Option<String>,
}

/// The request as a degrading budget lets it be bought; `None` where none does.
pub(crate) async fn thrifty(
    shared: &Shared,
    incoming: &Incoming,
    context: PlanContext<'_>,
) -> Option<Thrift> {
    let budget = degrading(shared, &incoming.payer, context.at).await?;
    let named = target(&incoming.request.model, context.names, context.offers, context.at).ok()?;
    degrade(&incoming.request, named.target.route()?, &budget)
}

/// The degrading budget whose share this payer has used up.
async fn degrading(shared: &Shared, payer: &Payer, at: Timestamp) -> Option<Budget> {
    match shared.store.degraded(payer, at).await {
        Ok(found) => found,
        Err(error) => {
            // The reservation asks the same store, and refuses if it must.
            tracing::warn!(error = &error as &dyn std::error::Error, "a degrading budget could not be asked");
            None
        }
    }
}

/// The request as it is bought above a degrading budget's share: the cheapest draft, or the cheapest of the class below
/// which its route never goes. `None` where the client has named the class, since nothing is dropped silently.
fn degrade(request: &ImageRequest, route: &Route, budget: &Budget) -> Option<Thrift> {
    let BudgetMode::Degrade { share_percent } = budget.mode else { return None };
    let named = request.class.is_some() || request.quality.as_deref().is_some_and(|word| word != "auto");
    let least = route.class.unwrap_or(QualityClass::Draft);
    let by_cost = request.objective.or(route.objective).unwrap_or(Objective::Cost) == Objective::Cost;
    if named {
        return None;
    }
    let by_charge = budget.unit == BudgetUnit::Usd;
    if route.class.is_some() && by_cost {
        return Some(Thrift { request: request.clone(), by_charge, told: None });
    }
    // The word `auto` would ask for a class of its own beside `least`.
    let request = ImageRequest {
        class: Some(least),
        quality: None,
        objective: Some(Objective::Cost),
        ..request.clone()
    };
    let bought = match least {
        QualityClass::Draft => "draft".to_owned(),
        class => format!("of class {class}"),
    };
    // How much more it is would tell one project of a budget what the others spend.
    let told = format!(
        "at least {share_percent} % of the budget of {} is used or held, so the cheapest {bought} was bought",
        budget.words()
    );
    Some(Thrift { request, by_charge, told: Some(told) })
}

/// Has a refusal by a limit name what would still fit.
pub(crate) async fn name_fitting(
    shared: &Shared,
    refusal: &mut Refusal,
    (payer, request): (&Arc<Payer>, &ImageRequest),
    context: PlanContext<'_>,
) {
    let Some(breach) = &refusal.breach else { return };
    let Some(fitting) = fitting(shared, payer, request, context, breach).await else { return };
    refusal.message = format!("{} {}", refusal.message, fitting.words(context.at));
    refusal.fitting = Some(Box::new(fitting));
}

/// The cheapest that every limit would still leave room for, though this one refused the request: under a limit in
/// dollars as many pictures in the least class, else one; under one in pictures as many as are left of it.
async fn fitting(
    shared: &Shared,
    payer: &Arc<Payer>,
    request: &ImageRequest,
    context: PlanContext<'_>,
    breach: &Breach,
) -> Option<Fitting> {
    let mut candidates = candidates(request, context, breach);
    let asked = candidates.iter().map(|(_, candidate)| candidate.clone()).collect();
    match shared.store.first_with_room(Arc::clone(payer), asked, shared.clock.now()).await {
        Ok(place) => place.map(|place| {
            let fitting = candidates.swap_remove(place).0;
            Fitting { trust: trust_of(request, &fitting, context, breach), ..fitting }
        }),
        Err(error) => {
            tracing::warn!(error = &error as &dyn std::error::Error, "what would fit could not be asked");
            None
        }
    }
}

impl Fitting {
    /// What a client may ask for instead, for people.
    fn words(&self, at: Timestamp) -> String {
        let Fitting { offer, n, maximum, quality, trust } = self;
        let quality = quality.as_ref().map_or_else(String::new, |word| format!(" with quality {word:?}"));
        let pictures = if *n == 1 { "1 picture" } else { &format!("{n} pictures") };
        let doubt = trust.and_then(|trust| doubt(trust, at));
        let trust = doubt.map_or_else(String::new, |doubt| format!(" ({doubt})"));
        format!("{pictures} by {offer}{quality} would still fit, for at most {} USD{trust}.", maximum.short())
    }
}

/// What the price of the one that is named rests on: planned once more, because the many that are not named need not
/// be looked at for it.
fn trust_of(
    request: &ImageRequest,
    fitting: &Fitting,
    context: PlanContext<'_>,
    breach: &Breach,
) -> Option<(Confidence, Date)> {
    let wish = wish(request, fitting.n, context, breach);
    let plan = plan(&wish, context).ok()?;
    let planned = plan.offers.iter().find(|planned| planned.offer.id == fitting.offer)?;
    list_price::of(planned, context.at)?.trust
}

/// The request as it may fit: fewer pictures, and by a route under a limit in dollars in the least class.
fn wish(request: &ImageRequest, n: u32, context: PlanContext<'_>, breach: &Breach) -> ImageRequest {
    let mut wish = ImageRequest { n, ..request.clone() };
    let is_route = target(&request.model, context.names, context.offers, context.at)
        .is_ok_and(|named| named.target.is_route());
    if is_route && breach.unit == BudgetUnit::Usd {
        (wish.class, wish.quality) = (Some(QualityClass::Draft), None);
    }
    wish
}

/// What may fit by this limit, the cheapest first, the larger number of pictures first.
fn candidates(
    request: &ImageRequest,
    context: PlanContext<'_>,
    breach: &Breach,
) -> Vec<(Fitting, Candidate)> {
    let left = breach.left();
    let in_dollars = breach.unit == BudgetUnit::Usd;
    // A limit of some providers or models says nothing of the others.
    let bound = (in_dollars && !breach.about_offers).then(|| Ticks::new(left));
    let counts = match in_dollars {
        true if request.n > 1 => vec![request.n, 1],
        true => vec![1],
        false => u32::try_from(left).ok().filter(|left| (1..request.n).contains(left)).into_iter().collect(),
    };
    let mut found = Vec::new();
    for n in counts {
        let wish = wish(request, n, context, breach);
        let Ok(plan) = plan(&wish, context) else { continue };
        let fits = |maximum: Ticks| bound.is_none_or(|bound| maximum <= bound);
        let mut offers: Vec<_> = plan.offers.iter().filter(|planned| fits(planned.quote.max)).collect();
        offers.sort_by_key(|planned| planned.quote.max);
        found.extend(offers.into_iter().map(|planned| {
            let (offer, maximum) = (planned.offer.id.clone(), planned.quote.max);
            let call = planned.resolved.call(&wish, planned.offer, 0, planned.resolved.facts.n, context.at);
            let quality = Some(call.quality).filter(|word| !word.is_empty());
            let (provider, model) = (offer.provider.clone(), offer.model.clone());
            let candidate = Candidate { provider, model, maximum, images: n };
            (Fitting { offer, n, maximum, trust: None, quality }, candidate)
        }));
    }
    found
}
