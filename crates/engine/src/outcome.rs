//! Words for how a request ends: the refusals, the savings, and what is stored of a plan.

use crate::answer::TokenUsage;
use crate::books::Charged;
use crate::refusal::{FailedAttempt, Refusal, RefusalKind};
use gallerist_domain::{BudgetUnit, Fault, FaultKind, Meter, Metered, RequestId, Ticks};
use gallerist_pricing::Unpriced;
use gallerist_pricing::sheet::{Confidence, is_doubtful};
use gallerist_routing::report::ExcludedOffer;
use gallerist_routing::{Exclusion, Forbidden, Plan, PlanError, PlannedOffer, Reason, list_price};
use gallerist_store::{Breach, StoreError};
use jiff::civil::Date;
use jiff::{Timestamp, tz::TimeZone};
use std::fmt::Write as _;

/// When to ask again while the database is away.
const STORE_AWAY_MS: u64 = 2_000;

/// The refusal of a request whose name or quality word means nothing, or whose name is not for its key.
pub(crate) fn plan_refusal(error: PlanError) -> Refusal {
    match error {
        PlanError::UnknownModel(unknown) => {
            let (name, nearest) = (&unknown.name, unknown.nearest.join(", "));
            let led = unknown
                .migrated_to
                .map_or_else(String::new, |to| format!(", nor '{to}', to which the settings migrate it"));
            let partly = unknown.partly.map_or_else(String::new, |partly| format!(": {partly}"));
            let message =
                format!("There is no model '{name}' to order here{led}{partly}. The nearest are: {nearest}.");
            Refusal::new(RefusalKind::ModelNotFound, message).with_parameter("model")
        }
        PlanError::Forbidden(Forbidden { what, name, allowed }) => {
            let allowed = allowed.join(", ");
            let message =
                format!("This key may not use the {what} '{name}'; of {what}s it may use: {allowed}.");
            Refusal::new(RefusalKind::Forbidden, message).with_parameter("model")
        }
        PlanError::QualityWord(word) => {
            let message = format!("'{word}' is not a quality of a route; use low, medium, high or auto.");
            Refusal::new(RefusalKind::InvalidRequest, message).with_parameter("quality")
        }
    }
}

/// The refusal when no offer is left, by the reasons.
pub(crate) fn no_offer(plan: &Plan<'_>) -> Refusal {
    let excluded: Vec<Exclusion<'_>> = plan.excluded().collect();
    let (cheapest, cheapest_trust) = (cheapest(&excluded), cheapest_trust(plan));
    let unknown = is_for_the_price(&excluded);
    let refusal = if let (Some(cheapest), Some(limit)) = (cheapest, plan.max_cost) {
        // The lower limit is in force; whose it is stands in the reasons.
        let mut over = excluded.iter().filter(|exclusion| exclusion.quote_over_limit().is_some());
        let of_route = over.find_map(|exclusion| exclusion.by_route);
        let whose = of_route.map_or("gallerist.max_cost_usd".to_owned(), |route| {
            format!("max_cost_usd of the route '{route}'")
        });
        let (cheapest, limit) = (cheapest.short(), limit.short());
        let doubt = cheapest_trust.and_then(|trust| doubt(trust, plan.at()));
        let doubt = doubt.map_or_else(String::new, |doubt| format!(" ({doubt})"));
        let message =
            format!("The cheapest offer could cost {cheapest} USD{doubt}, more than {whose} ({limit}).");
        let parameter = if of_route.is_some() { "model" } else { "gallerist.max_cost_usd" };
        Refusal::new(RefusalKind::CostLimitExceeded, message).with_parameter(parameter)
    } else if unknown {
        let message = "The offers that could serve this request have no known price, and an unknown price is \
                       never zero. Add it to the catalogue, or ask for another size, quality or model.";
        Refusal::new(RefusalKind::PriceUnknown, message)
    } else if let (Some(route), true) = (plan.named.target.route(), excluded.is_empty()) {
        let name = &route.name;
        let message = format!("No provider that is on offers what the route '{name}' allows.");
        Refusal::new(RefusalKind::NoOffer, message).with_parameter("model")
    } else {
        let message = format!("No offer can serve this request.{}", reasons(&excluded));
        Refusal::new(RefusalKind::NoOffer, message)
    };
    let excluded = excluded.into_iter().map(ExcludedOffer::from).collect();
    Refusal { cheapest, cheapest_trust, excluded, ..refusal }
}

/// What the least maximum of [`cheapest`] rests on.
fn cheapest_trust(plan: &Plan<'_>) -> Option<(Confidence, Date)> {
    list_price::of(&plan.cheapest_over_limit()?, plan.at())?.trust
}

/// The doubt about a figure that rests on this: `third party price of 2026-05-06`. `None` for an official one of late.
pub(crate) fn doubt((confidence, as_of): (Confidence, Date), at: Timestamp) -> Option<String> {
    is_doubtful(confidence, as_of, at.to_zoned(TimeZone::UTC).date())
        .then(|| format!("{} price of {as_of}", confidence.as_str().replace('_', " ")))
}

/// Says of the refusal by a limit in dollars what the sum that was asked for rests on.
pub(crate) fn tell_asked_trust(refusal: &mut Refusal, planned: &PlannedOffer<'_>, at: Timestamp) {
    if refusal.breach.as_ref().is_none_or(|breach| breach.unit != BudgetUnit::Usd) {
        return;
    }
    refusal.asked_trust = list_price::of(planned, at).and_then(|list| list.trust);
    if let Some(doubt) = refusal.asked_trust.and_then(|trust| doubt(trust, at)) {
        let _ = write!(refusal.message, " What it could take rests on a figure in doubt: {doubt}.");
    }
}

/// Whether an offer could serve the request but for its price. A model without any price was held against nothing
/// else, so it proves that only where there is no other offer.
fn is_for_the_price(excluded: &[Exclusion<'_>]) -> bool {
    let of_whole_model =
        |exclusion: &Exclusion<'_>| matches!(exclusion.reason, Reason::PriceUnknown(Unpriced::Unknown(_)));
    let of_request =
        |exclusion: &Exclusion<'_>| exclusion.reason.code() == "price_unknown" && !of_whole_model(exclusion);
    excluded.iter().any(of_request) || (!excluded.is_empty() && excluded.iter().all(of_whole_model))
}

/// The least maximum among the offers that are out only because they could cost too much.
fn cheapest(excluded: &[Exclusion<'_>]) -> Option<Ticks> {
    excluded.iter().filter_map(Exclusion::quote_over_limit).min()
}

/// Reasons that a message tells; the list of all goes with it.
const REASONS_TOLD_MAX: usize = 5;
/// Offers that are named with a reason; the others are counted.
const OFFERS_NAMED_MAX: usize = 2;

/// Each reason once, with the offers that it leaves out and the change that would admit them.
fn reasons(excluded: &[Exclusion<'_>]) -> String {
    let mut grouped: Vec<(String, Vec<String>)> = Vec::new();
    for exclusion in excluded {
        let text = format!("{} ({})", exclusion.why(), exclusion.change());
        let offer = exclusion.offer.to_string();
        match grouped.iter_mut().find(|(known, _)| *known == text) {
            Some((_, offers)) => offers.push(offer),
            None => grouped.push((text, vec![offer])),
        }
    }
    // What keeps most of them out comes first.
    grouped.sort_by_key(|(_, offers)| std::cmp::Reverse(offers.len()));
    let mut message = String::new();
    for (text, offers) in grouped.iter().take(REASONS_TOLD_MAX) {
        let (named, rest) = offers.split_at(offers.len().min(OFFERS_NAMED_MAX));
        let more = if rest.is_empty() { String::new() } else { format!(" and {} more", rest.len()) };
        // Writing to a String cannot fail.
        let _ = write!(message, " {}{more}: {text}.", named.join(", "));
    }
    let untold: usize = grouped.iter().skip(REASONS_TOLD_MAX).map(|(_, offers)| offers.len()).sum();
    if untold > 0 {
        let offers = if untold == 1 { "offer has its" } else { "offers have their" };
        let _ = write!(message, " {untold} more {offers} own reasons: gallerist.excluded lists every one.");
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
pub(crate) fn failure(failed: &Failed<'_>, plan: &Plan<'_>) -> Refusal {
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
    let excluded: Vec<Exclusion<'_>> = plan.excluded().collect();
    refusal.cheapest = cheapest(&excluded);
    refusal.cheapest_trust = cheapest_trust(plan);
    refusal.excluded = excluded.into_iter().map(ExcludedOffer::from).collect();
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

/// `more` where something may have been charged before.
pub(crate) fn store_refusal(error: &StoreError, more: bool) -> Refusal {
    let nothing = if more { "nothing more" } else { "nothing" };
    // Whoever may have paid already is not asked to pay once more.
    let advice = match more {
        true => {
            "What was tried before may have been charged: look at the request before it is asked for again."
        }
        false => "Ask again soon.",
    };
    let unreached = |said: String| {
        let refusal = Refusal::new(RefusalKind::Overloaded, said);
        Refusal { retry_after_ms: Some(STORE_AWAY_MS), ..refusal }
    };
    match error {
        StoreError::BudgetExceeded(breach) => budget_refusal(breach),
        // Nothing can be held, or nobody knows whether it is, so nothing is bought; a moment later it may be back.
        StoreError::Away(_) | StoreError::Unanswered(_) => {
            tracing::error!(error = error as &dyn std::error::Error, "the store cannot be reached");
            unreached(format!("The ledger cannot be reached at the moment; {nothing} was bought. {advice}"))
        }
        // The disk is full, or the database refuses to write: nothing is held, so nothing is bought.
        StoreError::Closed | StoreError::Database(_) | StoreError::File { .. } => {
            tracing::error!(error = error as &dyn std::error::Error, "the books cannot be written");
            unreached(format!("The ledger cannot be written at the moment; {nothing} was bought. {advice}"))
        }
        error => {
            tracing::error!(%error, "the store refused a reservation");
            let message = format!("The ledger could not be written; {nothing} was bought.");
            Refusal::new(RefusalKind::Internal, message)
        }
    }
}

fn budget_refusal(breach: &Breach) -> Refusal {
    let reset = match breach.resets_at {
        Some(at) => format!("It begins anew at {at}"),
        None => "It does not begin anew".to_owned(),
    };
    let mut message = breach.to_string();
    if let Some(first) = message.get_mut(..1) {
        first.make_ascii_uppercase();
    }
    let less = if breach.unit == BudgetUnit::Usd { "something cheaper" } else { "fewer pictures" };
    let message = format!("{message}. {reset}; have it raised, or ask for {less}.");
    let mut refusal = Refusal::new(RefusalKind::BudgetExceeded, message);
    refusal.breach = Some(Box::new(breach.clone()));
    refusal
}

/// The route that a stored plan is one of.
pub(crate) fn planned_route(plan_json: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct OfRoute {
        route: Option<String>,
    }
    serde_json::from_str::<OfRoute>(plan_json).ok()?.route
}

/// The plan as it is stored: offers with their figures, and the excluded with code and reason.
pub(crate) fn plan_json(plan: &Plan<'_>) -> String {
    let mut text = String::with_capacity(96 * plan.offers.len() + 64);
    // Writing to a String cannot fail, here and below.
    text.push_str("{\"requested_model\":\"");
    let _ = write!(Escaped(&mut text), "{}", plan.named.requested);
    text.push('"');
    if let Some(route) = plan.named.target.route() {
        let _ = write!(text, ",\"route\":\"{}\"", route.name);
    }
    if plan.named.migrated {
        text.push_str(",\"migrated_to\":\"");
        let _ = write!(Escaped(&mut text), "{}", plan.named.target);
        text.push('"');
    }
    text.push_str(",\"offers\":[");
    for (index, planned) in plan.offers.iter().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        // Offer ids and figures hold nothing that JSON would have to escape: the catalogue checks names.
        let _ = write!(
            text,
            "{comma}{{\"offer\":\"{}\",\"expected_usd\":\"{}\",\"max_usd\":\"{}\",\"latency_ms\":{}",
            planned.offer.id, planned.quote.expected, planned.quote.max, planned.latency_ms
        );
        if let Some(sent_on) = planned.sent_on {
            let _ = write!(text, ",\"sent_on_from\":\"{}\"", sent_on.named.id);
        }
        if let Some(reason) = planned.routing_reason() {
            // Words and figures of ours.
            let _ = write!(text, ",\"routed_usd\":\"{}\",\"routing\":\"{reason}\"", planned.routed);
        }
        text.push('}');
    }
    text.push_str("],\"excluded\":[");
    for (index, exclusion) in plan.excluded().enumerate() {
        let comma = if index > 0 { "," } else { "" };
        let (offer, code) = (exclusion.offer, exclusion.reason.code());
        let _ = write!(text, "{comma}{{\"offer\":\"{offer}\",\"code\":\"{code}\",\"reason\":\"");
        let _ = write!(Escaped(&mut text), "{}", exclusion.why());
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
pub(crate) fn basis(charges: &[Charged]) -> String {
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

#[cfg(test)]
mod tests {
    use super::*;
    use gallerist_domain::{OfferId, QualityClass};

    #[test]
    fn many_reasons_are_grouped_and_the_rest_is_counted() {
        let slow: Vec<OfferId> = (0..9).map(|at| OfferId::new("fal", &format!("slow-{at}"))).collect();
        let plain: Vec<OfferId> = (0..5).map(|at| OfferId::new("bfl", &format!("plain-{at}"))).collect();
        let mut excluded: Vec<Exclusion<'_>> = slow
            .iter()
            .zip(1_000..)
            .map(|(offer, expected_ms)| Exclusion {
                offer,
                reason: Reason::TooSlow { expected_ms },
                by_route: None,
            })
            .collect();
        excluded.extend(plain.iter().map(|offer| Exclusion {
            offer,
            reason: Reason::ClassTooLow { asked: QualityClass::High, best: Some(QualityClass::Draft) },
            by_route: None,
        }));
        let message = reasons(&excluded);
        let first = " bfl/plain-0, bfl/plain-1 and 3 more: its best class is draft, not high";
        assert!(message.starts_with(first), "{message}");
        let last = "5 more offers have their own reasons: gallerist.excluded lists every one.";
        assert!(message.ends_with(last), "{message}");
        assert!(message.len() < 700, "{}", message.len());
    }
}
