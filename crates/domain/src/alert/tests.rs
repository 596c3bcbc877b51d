use super::*;
use crate::budget::BudgetUnit;
use crate::id::BudgetId;

fn standing(unit: BudgetUnit) -> BudgetStanding {
    BudgetStanding {
        budget: Some(BudgetId::from_uuid(uuid::Uuid::nil())),
        name: "shop".to_owned(),
        words: "20 USD per month for project shop".to_owned(),
        subject: String::new(),
        unit,
        limit: 200_000_000_000,
        settled: 160_000_000_000,
        held: 0,
        disputed: 4,
        doubtful: 30_000_000_000,
        window_start: None,
        window_end: Some("2026-12-01T00:00:00Z".parse().unwrap()),
    }
}

fn refusal(asked: i64, unit: BudgetUnit) -> BudgetRefusal {
    BudgetRefusal { asked, standing: standing(unit) }
}

fn retirement(days_left: u32) -> AlertFact {
    AlertFact::ModelRetires {
        offers: vec!["openai/dall-e-2".to_owned()],
        model: "dall-e-2".to_owned(),
        retires_on: "2026-12-01".parse().unwrap(),
        days_left,
        successors: vec!["gpt-image-2".to_owned()],
    }
}

fn anomaly(observed: i128) -> AlertFact {
    AlertFact::CostAnomaly(CostAnomaly {
        model: "flux-1.1-pro".to_owned(),
        figure: WatchedFigure::AttemptsPerImage,
        day: "2026-11-28".parse().unwrap(),
        observed: Decimal::new(observed, 3),
        usual_low: Decimal::new(1_000, 3),
        usual_high: Decimal::new(1_150, 3),
        usual: Decimal::new(1_050, 3),
        doubtful: None,
        days: 14,
        images: 20,
        attempts: 52,
    })
}

fn silence(lines: &[&str]) -> FeedSilence {
    FeedSilence {
        feed: "gpu".to_owned(),
        last_told_at: Some("2026-11-23T09:20:30Z".parse().unwrap()),
        allowed_minutes: 30,
        lines: lines.iter().map(|line| (*line).to_owned()).collect(),
    }
}

fn overrun(attempt: AttemptId) -> AlertFact {
    AlertFact::ChargeOverrun {
        attempt,
        offer: "bfl/flux-2-pro".to_owned(),
        maximum: Ticks::new(300_000_000),
        charge: Ticks::new(400_000_000),
        doubtful: Ticks::new(100_000_000),
    }
}

fn drift() -> AlertFact {
    AlertFact::PriceDrift {
        provider: "bfl".to_owned(),
        offer: "bfl/flux-2-pro".to_owned(),
        line: "first_megapixel".to_owned(),
        attempts: 40,
        predicted: Ticks::new(300_000_000),
        doubtful: Ticks::ZERO,
        billed: Ticks::new(450_000_000),
        error_basis_points: 5_000,
    }
}

fn credits_drift(told_at: Timestamp) -> CreditsDrift {
    CreditsDrift {
        provider: "bfl".to_owned(),
        unit: "credits".to_owned(),
        told: "90".to_owned(),
        booked: "120.5".to_owned(),
        entered: "1000".to_owned(),
        purchase_missing: false,
        difference: "-30.5".to_owned(),
        worth: Ticks::new(-3_050_000_000),
        told_at,
    }
}

fn one_of_each() -> Vec<AlertFact> {
    let attempt = AttemptId::from_uuid(uuid::Uuid::nil());
    let at: Timestamp = "2026-11-23T10:20:30Z".parse().unwrap();
    let price = PriceMove {
        offer: "bfl/flux-2-pro".to_owned(),
        line: "first_megapixel".to_owned(),
        old: Ticks::new(300_000_000),
        new: Ticks::new(450_000_000),
        per: "1".to_owned(),
        meter: Some("images"),
        percent: Some("+50.00".to_owned()),
        confidence: Some("official".to_owned()),
        as_of: Some("2026-11-20".parse().unwrap()),
        doubtful: false,
    };
    let (offer, maximum) = ("bfl/flux-2-pro".to_owned(), Ticks::new(300_000_000));
    vec![
        AlertFact::BudgetThreshold { threshold_percent: 80, standing: standing(BudgetUnit::Usd) },
        AlertFact::BudgetProjection { reached_at: at, standing: standing(BudgetUnit::Usd) },
        AlertFact::BudgetRefused(refusal(60_000_000_000, BudgetUnit::Usd)),
        AlertFact::BudgetOverrun { attempt, standing: standing(BudgetUnit::Images) },
        overrun(attempt),
        AlertFact::Disputed {
            attempt,
            offer: offer.clone(),
            maximum,
            doubtful: Some(Ticks::new(50_000_000)),
            reason: "timeout".to_owned(),
        },
        AlertFact::PriceChanged(price.clone()),
        AlertFact::PriceSpike(price),
        retirement(7),
        AlertFact::CreditsExpire {
            provider: "bfl".to_owned(),
            lot: LotId::from_uuid(uuid::Uuid::nil()),
            expires_at: at,
            days_left: 1,
            unused: "120.5".to_owned(),
            loss: Ticks::new(10_000_000_000),
        },
        AlertFact::CreditsRunOut { provider: "bfl".to_owned(), run_out_at: at, days_left: 0, left: maximum },
        AlertFact::CreditsDrift(credits_drift(at)),
        anomaly(2_600),
        AlertFact::FeedHeld(HeldNews {
            feed: "gpu".to_owned(),
            line: "bfl/flux-2-pro first_megapixel".to_owned(),
            old: Some(Ticks::new(300_000_000)),
            new: Some(Ticks::new(3_000_000_000)),
            per: Some("1".to_owned()),
            percent: Some("+900.00".to_owned()),
            old_confidence: Some("third_party".to_owned()),
            old_as_of: Some(jiff::civil::date(2026, 5, 6)),
            old_doubtful: true,
            retires_on: None,
            why: "more than 3 times off the last known price".to_owned(),
        }),
        AlertFact::FeedFailing {
            feed: "gpu".to_owned(),
            why: "it answered 500".to_owned(),
            last_told_at: None,
        },
        AlertFact::FeedStale(silence(&[])),
        AlertFact::FeedSilent(silence(&["bfl/flux-1.1-pro picture"])),
        AlertFact::OfferOutage { offer: offer.clone() },
        AlertFact::ProviderOutage { provider: "bfl".to_owned(), offers: vec![offer] },
        drift(),
    ]
}

#[test]
fn every_fact_has_its_kind_and_a_sentence() {
    let facts = one_of_each();
    let kinds: Vec<&str> = facts.iter().map(AlertFact::kind).collect();
    assert_eq!(kinds, AlertFact::KINDS);
    for fact in &facts {
        let message = fact.message();
        assert!(message.ends_with('.') && message.len() > 40, "{message}");
    }
    let told = |fact: &AlertFact| fact.message();
    assert!(
        told(&facts[1])
            .contains("is reached on 2026-11-23 10:20 UTC: 16.0000000004 USD (~3.00 USD of it) of 20.00 USD")
    );
    assert_eq!(
        told(&facts[2]),
        "The budget \"shop\" (20 USD per month for project shop) has begun to refuse: a request that could take \
         6.00 USD would pass it, with 16.00 USD (~3.00 USD of it) settled, 0.00 USD held and 0.0000000004 USD disputed of 20.00 \
         USD; it begins anew at 2026-12-01T00:00:00Z."
    );
    let cap =
        BudgetStanding { budget: None, name: String::new(), window_end: None, ..standing(BudgetUnit::Usd) };
    let cap = told(&AlertFact::BudgetThreshold { threshold_percent: 80, standing: cap });
    assert_eq!(
        cap,
        "80 % of the cap (20 USD per month for project shop) is spent: 16.0000000004 USD (~3.00 USD of it) of 20.00 USD."
    );
    assert!(
        told(&facts[4]).contains("0.04 USD (~0.01 USD of it), more than the 0.03 USD"),
        "{}",
        told(&facts[4])
    );
    assert!(
        told(&facts[5]).contains("timeout. 0.03 USD (~0.005 USD of it) stay held"),
        "{}",
        told(&facts[5])
    );
    assert!(told(&facts[6]).ends_with("first_megapixel was 0.03 USD and is 0.045 USD per image (+50.00 %)."));
    let drift = told(&facts[11]);
    assert!(
        drift.contains("bfl says that 90 credits are left, the books say 120.5 (-30.5, worth -0.305 USD)")
    );
    assert!(drift.contains("`gallerist credits balance bfl --apply` books the difference"), "{drift}");
    let held = told(&facts[13]);
    assert!(
        held.contains("costs 0.30 USD instead of 0.03 USD (third party, read on 2026-05-06) (+900.00 %). It is held: more"),
        "{held}"
    );
    assert!(told(&facts[14]).contains("told nothing: it answered 500. It has never told"));
    assert!(
        told(&facts[16])
            .contains("bfl/flux-1.1-pro picture is unknown: the feed \"gpu\" last told it on 2026")
    );
    assert!(told(&facts[12]).contains("2.60 on 2026-11-28, usually 1.00 to 1.15 (median 1.05 over 14 days"));
}

#[test]
fn money_is_written_as_decimal_strings_under_names_with_units() {
    let json = serde_json::to_string(&one_of_each()[0]).unwrap();
    assert!(json.starts_with(r#"{"threshold_percent":80,"budget":"00000000"#), "{json}");
    assert!(json.contains(r#""limit_usd":"20.0000000000","settled_usd":"16.0000000000""#), "{json}");
    let json = serde_json::to_string(&one_of_each()[3]).unwrap();
    assert!(json.contains(r#""limit_images":200000000000,"#), "{json}");
    let json = serde_json::to_string(&one_of_each()[2]).unwrap();
    assert!(json.starts_with(r#"{"asked_usd":"6.0000000000","budget":"00000000"#), "{json}");
    let images = refusal(4, BudgetUnit::Images);
    assert!(serde_json::to_string(&images).unwrap().starts_with(r#"{"asked_images":4,"#));
    for fact in one_of_each() {
        let json = serde_json::to_string(&fact).unwrap();
        assert!(json.starts_with('{') && !json.contains("e+"), "{json}");
    }
}

/// The command refuses to book credits that nobody has bought, so the alert does not advise it.
#[test]
fn more_credits_than_were_ever_entered_are_a_purchase() {
    let AlertFact::CreditsDrift(drift) = one_of_each().remove(11) else { panic!("another order") };
    let beyond = CreditsDrift { told: "1500".to_owned(), purchase_missing: true, ..drift };
    let told = AlertFact::CreditsDrift(beyond).message();
    let advice = "more than the 1000 that were ever entered: enter the purchase that is missing with `gallerist \
                  credits add bfl CREDITS PRICE_USD`.";
    assert!(told.ends_with(advice) && !told.contains("--apply"), "{told}");
}

#[test]
fn what_rests_on_doubtful_prices_is_marked() {
    let AlertFact::PriceSpike(spike) = one_of_each().remove(7) else { panic!("another order") };
    let hearsay = PriceMove { confidence: Some("third_party".to_owned()), doubtful: true, ..spike };
    let told = AlertFact::PriceSpike(hearsay).message();
    assert!(
        told.ends_with(
            "is ~0.045 USD per image (+50.00 %); the new price is third party, read on 2026-11-20."
        ),
        "{told}"
    );
    let AlertFact::CostAnomaly(tries) = anomaly(2_600) else { panic!("it is one") };
    let cost =
        CostAnomaly { figure: WatchedFigure::CostPerImage, doubtful: Some(Ticks::new(300_000_000)), ..tries };
    let json = serde_json::to_value(&cost).unwrap();
    assert_eq!(json["doubtful_usd"], "0.0300000000");
    let told = AlertFact::CostAnomaly(cost).message();
    assert!(told.contains("2.60 USD (~0.03 USD of it) on 2026-11-28"), "{told}");
}

#[test]
fn what_is_near_or_dear_matters_more() {
    let severities: Vec<Severity> = [30, 8, 7, 2, 1, 0].map(|days| retirement(days).severity()).into();
    use Severity::{Critical, Info, Warning};
    assert_eq!(severities, [Info, Info, Warning, Warning, Critical, Critical]);
    assert_eq!((anomaly(999).severity(), anomaly(1_151).severity()), (Info, Warning));
}

#[test]
fn a_filter_names_kinds_or_groups() {
    let filter = |kinds: &[&str]| KindFilter(kinds.iter().map(|kind| (*kind).to_owned()).collect());
    assert!(filter(&[]).admits("price.spike"));
    let budgets = filter(&["budget.*", "charge.overrun"]);
    assert_eq!(budgets.check(), Ok(()));
    let admitted: Vec<_> = AlertFact::KINDS.into_iter().filter(|kind| budgets.admits(kind)).collect();
    let expected =
        ["budget.threshold", "budget.projection", "budget.refused", "budget.overrun", "charge.overrun"];
    assert_eq!(admitted, expected);
    for wrong in
        [&["budgets"][..], &["*"], &["bud*"], &[".*"], &["nothing.*"], &[""], &["budget.*", "budget.*"]]
    {
        assert!(filter(wrong).check().is_err(), "{wrong:?}");
    }
}
