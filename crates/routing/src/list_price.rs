//! What a request costs at an offer by its price list, and what that figure rests on: a saving is told against it.

use crate::plan::PlannedOffer;
use gallerist_domain::Ticks;
use gallerist_pricing::sheet::{Confidence, is_doubtful};
use gallerist_pricing::{Facts, Weakest, quote};
use jiff::Timestamp;
use jiff::civil::Date;

/// The expected price of a whole request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListPrice {
    pub amount: Ticks,
    /// The part of it that rests on figures below official, or read long before.
    pub doubtful: Ticks,
    /// How sure the least sure of all that it rests on is, and when the oldest of it was read; absent where it costs nothing
    /// because no line speaks of it.
    pub trust: Option<(Confidence, Date)>,
}

/// The list price of a planned offer; `None` if the offer has no price at this instant.
pub fn of(planned: &PlannedOffer<'_>, at: Timestamp) -> Option<ListPrice> {
    let today = at.to_zoned(jiff::tz::TimeZone::UTC).date();
    let (sheet, resolved) = (&planned.offer.model.sheet, &planned.resolved);
    let rest = (resolved.rest > 0).then_some((Facts { n: resolved.rest, ..resolved.facts }, 1));
    let mut doubtful = Ticks::ZERO;
    let mut trust: Option<(Confidence, Date)> = None;
    for (facts, calls) in [(resolved.facts, i64::from(resolved.full_calls))].into_iter().chain(rest) {
        for quoted in quote(sheet, &facts, at).ok()?.lines {
            let weakest = Weakest::of_amount(sheet, quoted.line, &facts, at);
            let (confidence, read) = (weakest.source.confidence, weakest.oldest);
            if is_doubtful(confidence, read, today) {
                doubtful += quoted.amount.expected.scaled(calls, 1)?;
            }
            trust = Some(
                trust.map_or((confidence, read), |(worst, oldest)| (worst.max(confidence), oldest.min(read))),
            );
        }
    }
    let amount = planned.quote.expected;
    // Lines are rounded one by one, and some give back.
    let doubtful = doubtful.max(Ticks::ZERO).min(amount);
    Some(ListPrice { amount, doubtful, trust })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{ask, instant, now, planned};

    #[test]
    fn a_list_price_is_as_sure_as_the_least_sure_line_of_its_quote() {
        for model in ["auto", "openai/gpt-image-2", "bfl/flux-2-pro", "stability/stable-image-core"] {
            for n in [1, 3] {
                let request = gallerist_domain::ImageRequest { n, ..ask(model) };
                let report = crate::report::quotes(&request, crate::testing::context(now())).expect("known");
                for (planned, told) in planned(&request).offers.iter().zip(&report.offers) {
                    let list = of(planned, now()).expect("it is planned, so it has a price");
                    assert_eq!(list.amount, told.expected_usd);
                    let today = now().to_zoned(jiff::tz::TimeZone::UTC).date();
                    let read = |as_of: &str| as_of.parse::<Date>().expect("a day");
                    let sure = |word: &str| word == "official";
                    let doubtful = told.lines.iter().filter(|line| {
                        let old = read(&line.as_of).until(today).expect("a span").get_days() > 90;
                        !sure(line.confidence) || old
                    });
                    assert_eq!(list.doubtful, doubtful.map(|line| line.amount_usd).sum(), "{}", told.offer);
                    let (confidence, as_of) = list.trust.expect("something is charged for");
                    let is_least = |line: &crate::report::LineQuote| line.confidence == confidence.as_str();
                    assert!(told.lines.iter().any(is_least), "{}: {list:?}", told.offer);
                    let oldest = told.lines.iter().map(|line| read(&line.as_of)).min();
                    assert_eq!(oldest, Some(as_of), "{}: {list:?}", told.offer);
                }
            }
        }
    }

    #[test]
    fn an_official_price_becomes_doubtful_with_time() {
        let request = ask("bfl/flux-2-pro");
        let plan = planned(&request);
        let early = of(&plan.offers[0], now()).expect("a price");
        assert_eq!(
            (early.doubtful, early.trust.map(|(word, _)| word)),
            (Ticks::ZERO, Some(Confidence::Official))
        );
        let late = of(&plan.offers[0], instant("2027-11-25T12:00:00Z")).expect("a price");
        assert_eq!(late.doubtful, late.amount);
    }
}
