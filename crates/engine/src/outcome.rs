//! Words for how a request ends: the refusals, the savings, and what is stored of a plan.

use crate::answer::TokenUsage;
use crate::market::Market;
use crate::refusal::{FailedAttempt, Refusal, RefusalKind};
use crate::shared::Shared;
use gallerist_domain::{Fault, FaultKind, ImageRequest, Meter, Metered, RequestId, Ticks};
use gallerist_pricing::{Charge, Offer};
use gallerist_routing::insight::NOTHING;
use gallerist_routing::{Exclusion, HealthBook, Plan, PlanContext, PlanError, Reason, Target, plan};
use gallerist_store::StoreError;
use jiff::Timestamp;
use std::fmt::Write as _;

/// The refusal of a request whose name or quality word means nothing.
pub(crate) fn plan_refusal(error: PlanError) -> Refusal {
    match error {
        PlanError::UnknownModel(unknown) => {
            let nearest = unknown.nearest.join(", ");
            let message = format!("The model '{}' does not exist. The nearest are: {nearest}.", unknown.name);
            Refusal::new(RefusalKind::ModelNotFound, message).with_parameter("model")
        }
        PlanError::QualityWord(word) => {
            let message = format!("'{word}' is not a quality of a route; use low, medium, high or auto.");
            Refusal::new(RefusalKind::InvalidRequest, message).with_parameter("quality")
        }
    }
}

/// The refusal when no offer is left, by the reasons.
pub(crate) fn no_offer(request: &ImageRequest, excluded: Vec<Exclusion>) -> Refusal {
    let over: Vec<Ticks> = excluded
        .iter()
        .filter_map(|exclusion| match exclusion.reason {
            Reason::OverMaxCost { quote_max } => Some(quote_max),
            _ => None,
        })
        .collect();
    let unknown = excluded.iter().filter(|exclusion| matches!(exclusion.reason, Reason::PriceUnknown(_)));
    let mut refusal = if let (Some(cheapest), Some(limit)) = (over.iter().min(), request.max_cost) {
        let message = format!(
            "The cheapest offer could cost {} USD, more than gallerist.max_cost_usd ({}).",
            cheapest.short(),
            limit.short()
        );
        Refusal::new(RefusalKind::CostLimitExceeded, message).with_parameter("gallerist.max_cost_usd")
    } else if unknown.count() > 0 {
        let message = "The offers that could serve this request have no known price, and an unknown price is \
                       never zero. Add it to the catalogue, or ask for another size, quality or model.";
        Refusal::new(RefusalKind::PriceUnknown, message)
    } else {
        let message = format!("No offer can serve this request.{}", reasons(&excluded));
        Refusal::new(RefusalKind::NoOffer, message)
    };
    refusal.excluded = excluded;
    refusal
}

/// Each reason once, with the offers that it leaves out and the change that would admit them.
fn reasons(excluded: &[Exclusion]) -> String {
    let mut grouped: Vec<(String, Vec<String>)> = Vec::new();
    for Exclusion { offer, reason } in excluded {
        let text = format!("{reason} ({})", reason.change());
        match grouped.iter_mut().find(|(known, _)| *known == text) {
            Some((_, offers)) => offers.push(offer.to_string()),
            None => grouped.push((text, vec![offer.to_string()])),
        }
    }
    let mut message = String::new();
    for (text, offers) in grouped.iter().take(8) {
        let more = if offers.len() > 3 { format!(" and {} more", offers.len() - 3) } else { String::new() };
        let named = offers.iter().take(3).cloned().collect::<Vec<_>>().join(", ");
        // Writing to a String cannot fail.
        let _ = write!(message, " {named}{more}: {text}.");
    }
    message
}

/// A request whose offers all failed, with what that cost.
pub(crate) struct Failed<'a> {
    pub request: RequestId,
    pub attempts: &'a [FailedAttempt],
    pub charged: Ticks,
    pub disputed: Ticks,
}

/// The refusal of a request whose offers all failed.
pub(crate) fn failure(failed: &Failed<'_>, excluded: Vec<Exclusion>) -> Refusal {
    let faults: Vec<&Fault> = failed.attempts.iter().map(|failed| &failed.fault).collect();
    let filter = |fault: &&&Fault| {
        matches!(
            fault.kind,
            FaultKind::ModerationInput | FaultKind::ModerationOutput | FaultKind::ModerationUnknown
        )
    };
    let all =
        |kinds: &[FaultKind]| !faults.is_empty() && faults.iter().all(|fault| kinds.contains(&fault.kind));
    let said = said(failed.attempts);
    let mut refusal = if let Some(fault) = faults.iter().find(filter) {
        let message = format!("The request was refused by the provider's content filter: {}", fault.detail);
        Refusal::new(RefusalKind::ModerationBlocked, message)
    } else if all(&[FaultKind::InvalidRequest]) {
        let mut refusal =
            Refusal::new(RefusalKind::InvalidRequest, format!("The request was refused. {said}"));
        refusal.parameter = faults.iter().find_map(|fault| fault.parameter.clone());
        refusal
    } else if all(&[FaultKind::RateLimited, FaultKind::Overloaded, FaultKind::HeldBack]) {
        let mut refusal =
            Refusal::new(RefusalKind::RateLimited, format!("Every offer is at its limit. {said}"));
        let shortest = faults.iter().filter_map(|fault| fault.retry_after_ms).min();
        refusal.retry_after_ms = Some(shortest.unwrap_or(1_000));
        refusal
    } else if faults.last().is_some_and(|fault| fault.kind == FaultKind::Timeout) {
        Refusal::new(RefusalKind::UpstreamTimeout, format!("No offer answered in time. {said}"))
    } else {
        Refusal::new(RefusalKind::UpstreamFailed, format!("Every offer of the plan failed. {said}"))
    };
    if failed.attempts.is_empty() {
        // Offers were planned, but the cost limit held back every one of them.
        let message = "The request's cost limit leaves no offer that may be tried.";
        refusal = Refusal::new(RefusalKind::CostLimitExceeded, message);
    }
    if !failed.disputed.is_zero() {
        let _ = write!(
            refusal.message,
            " Whether {} USD were charged is not known; the amount stays held.",
            failed.disputed.short()
        );
    }
    refusal.charged = failed.charged;
    refusal.disputed = failed.disputed;
    refusal.attempts = failed.attempts.to_vec();
    refusal.excluded = excluded;
    refusal.request_id = Some(failed.request);
    refusal
}

/// What each offer said.
fn said(failed: &[FailedAttempt]) -> String {
    let mut text = String::new();
    for attempt in failed {
        let _ = write!(text, "{}: {}. ", attempt.offer, attempt.fault.detail.trim_end_matches(['.', '!']));
    }
    text.trim_end().to_owned()
}

pub(crate) fn store_refusal(error: &StoreError) -> Refusal {
    match error {
        StoreError::BudgetExceeded { project, cap, settled, held, disputed, asked } => {
            let left = (*cap - *settled - *held - *disputed).max(Ticks::ZERO);
            let message = format!(
                "The cap of project {project} is {} USD: {} are spent, {} held, {} disputed, so {} are left, and \
                 this request could cost {}. The cap does not reset; raise it, or ask for something cheaper.",
                cap.short(),
                settled.short(),
                held.short(),
                disputed.short(),
                left.short(),
                asked.short()
            );
            Refusal::new(RefusalKind::BudgetExceeded, message)
        }
        error => {
            tracing::error!(%error, "the store refused a reservation");
            Refusal::new(RefusalKind::Internal, "The ledger could not be written; nothing was bought.")
        }
    }
}

/// What the baseline would have cost, and what was saved against it.
pub(crate) fn saving(
    shared: &Shared,
    market: &Market,
    request: &ImageRequest,
    target: &Target<'_>,
    spent: Ticks,
    at: Timestamp,
) -> (Option<Ticks>, Option<Ticks>) {
    let offer = match target {
        Target::Route(_) => shared.baseline.as_ref().and_then(|id| {
            let known = market.offers.iter().chain(&market.maker_offers);
            known.into_iter().find(|offer| offer.id == *id)
        }),
        Target::Model { model, .. } => market.maker_offers.iter().find(|offer| offer.model.is_named(model)),
    };
    let list = offer.and_then(|offer| expected(offer, request, target, at));
    (list, list.map(|list| list - spent))
}

/// The expected price of the request at one offer, if that can serve it.
fn expected(offer: &Offer, request: &ImageRequest, target: &Target<'_>, at: Timestamp) -> Option<Ticks> {
    let health = HealthBook::new(1);
    let offers = std::slice::from_ref(offer);
    let context = PlanContext { offers, health: &health, insight: &NOTHING, at, now_ms: 0, price_only: true };
    // The baseline stands for what one would have bought, wherever the request was allowed to go.
    let unrestricted = ImageRequest {
        model: if target.is_route() { request.model.clone() } else { offer.model.id.clone() },
        providers_only: Vec::new(),
        providers_exclude: Vec::new(),
        max_cost: None,
        max_latency_ms: None,
        prompt: request.prompt.clone(),
        ..request.clone()
    };
    let plan = plan(&unrestricted, context).ok()?;
    plan.offers.first().map(|planned| planned.quote.expected)
}

/// The plan as it is stored: offers with their figures, and the excluded with code and reason.
pub(crate) fn plan_json(plan: &Plan<'_>) -> String {
    let mut text = String::with_capacity(96 * plan.offers.len() + 144 * plan.excluded.len() + 32);
    text.push_str("{\"offers\":[");
    for (index, planned) in plan.offers.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        // Offer ids and figures hold nothing that JSON would have to escape: the catalogue checks names.
        let _ = write!(
            text,
            "{comma}{{\"offer\":\"{}\",\"expected_usd\":\"{}\",\"max_usd\":\"{}\",\"latency_ms\":{}",
            planned.offer.id, planned.quote.expected, planned.quote.max, planned.latency_ms
        );
        if let Some(reason) = planned.routing_reason() {
            // Words and figures of ours.
            let _ = write!(text, ",\"routed_usd\":\"{}\",\"routing\":\"{reason}\"", planned.routed);
        }
        text.push('}');
    }
    text.push_str("],\"excluded\":[");
    for (index, exclusion) in plan.excluded.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let (offer, code) = (&exclusion.offer, exclusion.reason.code());
        let _ = write!(text, "{comma}{{\"offer\":\"{offer}\",\"code\":\"{code}\",\"reason\":\"");
        let _ = write!(Escaped(&mut text), "{}", exclusion.reason);
        text.push_str("\"}");
    }
    text.push_str("]}");
    text
}

/// Writes into a JSON text: reasons may quote what the client said.
struct Escaped<'a>(&'a mut String);

impl std::fmt::Write for Escaped<'_> {
    fn write_str(&mut self, part: &str) -> std::fmt::Result {
        if part.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\') {
            self.0.push_str(part);
            return Ok(());
        }
        let quoted = serde_json::to_string(part).map_err(|_| std::fmt::Error)?;
        self.0.push_str(&quoted[1..quoted.len() - 1]);
        Ok(())
    }
}

/// A refusal as it is stored, for replays.
pub(crate) fn refusal_json(refusal: &Refusal) -> String {
    serde_json::json!({
        "code": refusal.kind.code(),
        "message": refusal.message,
        "parameter": refusal.parameter,
        "charged_usd": refusal.charged,
        "disputed_usd": refusal.disputed,
    })
    .to_string()
}

/// The weakest basis among the charges, because the sum is no better than that.
pub(crate) fn basis(charges: &[Charge]) -> String {
    charges.iter().map(|charge| charge.basis).max().map_or("computed", |basis| basis.as_str()).to_owned()
}

/// Token counts in OpenAI's words; `None` where the provider counts no tokens.
pub(crate) fn token_usage(usage: &[Metered]) -> Option<TokenUsage> {
    let sum = |meters: &[Meter]| {
        let counted = usage.iter().filter(|metered| meters.contains(&metered.meter));
        // Anything may be counted by a provider; what cannot be priced is disputed elsewhere.
        counted.fold(0i64, |sum, metered| sum.saturating_add(metered.quantity))
    };
    let tokens = TokenUsage {
        text_input_tokens: sum(&[Meter::TextInputTokens, Meter::TextInputCachedTokens]),
        image_input_tokens: sum(&[Meter::ImageInputTokens, Meter::ImageInputCachedTokens]),
        text_output_tokens: sum(&[Meter::TextOutputTokens, Meter::ThinkingTokens]),
        image_output_tokens: sum(&[Meter::ImageOutputTokens]),
    };
    (tokens != TokenUsage::default()).then_some(tokens)
}
