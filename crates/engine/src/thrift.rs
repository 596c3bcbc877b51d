//! What budgets change about a plan: below a degrading one routes buy drafts, or the cheapest of their own class,
//! and a refusal names what would still fit.

use crate::refusal::Fitting;
use crate::request::Incoming;
use crate::shared::Shared;
use gallerist_domain::{Budget, BudgetUnit, ImageRequest, Objective, Payer, QualityClass, Ticks};
use gallerist_routing::{PlanContext, Route, plan, target};
use gallerist_store::Breach;
use jiff::Timestamp;

/// The request as a degrading budget lets it be bought, with what to tell of it; `None` where none does.
pub(crate) async fn thrifty(
    shared: &Shared,
    incoming: &Incoming,
    context: PlanContext<'_>,
) -> Option<(ImageRequest, String)> {
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

/// The request as it is bought above a degrading budget's share, with what to tell of it: the cheapest draft, or
/// the cheapest of the class below which its route never goes. `None` where the client has named the class, since
/// nothing is dropped silently, and where the route buys as cheaply anyway.
fn degrade(request: &ImageRequest, route: &Route, budget: &Budget) -> Option<(ImageRequest, String)> {
    let named = request.class.is_some() || request.quality.as_deref().is_some_and(|word| word != "auto");
    let least = route.class.unwrap_or(QualityClass::Draft);
    let by_cost = request.objective.or(route.objective).unwrap_or(Objective::Cost) == Objective::Cost;
    if named || (route.class.is_some() && by_cost) {
        return None;
    }
    // The word `auto` would ask for a class of its own beside `least`.
    let thrifty = ImageRequest {
        class: Some(least),
        quality: None,
        objective: Some(Objective::Cost),
        ..request.clone()
    };
    let bought = match least {
        QualityClass::Draft => "draft".to_owned(),
        class => format!("of class {class}"),
    };
    let told =
        format!("the budget of {} is nearly used up, so the cheapest {bought} was bought", budget.words());
    Some((thrifty, told))
}

/// The cheapest that would still fit under a limit in dollars: as many pictures in the least class, else one.
pub(crate) fn fitting(request: &ImageRequest, context: PlanContext<'_>, breach: &Breach) -> Option<Fitting> {
    let left = Ticks::new(breach.left());
    if breach.unit != BudgetUnit::Usd || left.is_zero() {
        return None;
    }
    let is_route = target(&request.model, context.names, context.offers, context.at)
        .is_ok_and(|named| named.target.is_route());
    let counts = if request.n > 1 { vec![request.n, 1] } else { vec![1] };
    counts.into_iter().find_map(|n| {
        let mut wish = ImageRequest { n, ..request.clone() };
        if is_route {
            (wish.class, wish.quality) = (Some(QualityClass::Draft), None);
        }
        let plan = plan(&wish, context).ok()?;
        let fits = plan.offers.iter().filter(|planned| planned.quote.max <= left);
        let cheapest = fits.min_by_key(|planned| planned.quote.max)?;
        Some(Fitting { offer: cheapest.offer.id.clone(), n, maximum: cheapest.quote.max })
    })
}
