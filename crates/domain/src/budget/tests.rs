//! Which counter, and which window.

use super::*;
use crate::id::ProjectId;

fn payer(project: &str, user: Option<&str>, tags: &[(&str, &str)]) -> Payer {
    Payer {
        project: project.parse::<ProjectId>().unwrap(),
        key_id: Some("key_1".to_owned()),
        end_user: user.map(str::to_owned),
        tags: tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
    }
}

fn subject(scope: &BudgetScope, payer: &Payer) -> Option<String> {
    scope.subject(&Spending { payer, provider: "bfl", model: "flux-2-pro" })
}

fn window(window: BudgetWindow, zone: &str, at: &str) -> (String, Option<String>) {
    let found = window.around(at.parse().unwrap(), &TimeZone::get(zone).unwrap());
    (found.start.to_string(), found.end.map(|end| end.to_string()))
}

#[test]
fn a_scope_speaks_only_of_what_all_its_parts_match() {
    let everything = BudgetScope::default();
    assert_eq!(subject(&everything, &payer("shop", None, &[])).as_deref(), Some(""));
    let shop = BudgetScope { project: Part::Only("shop".to_owned()), ..BudgetScope::default() };
    assert_eq!(subject(&shop, &payer("shop", None, &[])).as_deref(), Some(""));
    assert_eq!(subject(&shop, &payer("blog", None, &[])), None);
    let elsewhere = BudgetScope { provider: Part::Only("fal".to_owned()), ..shop };
    assert_eq!(subject(&elsewhere, &payer("shop", None, &[])), None);
}

#[test]
fn each_has_a_counter_of_its_own_and_nobody_shares_it_by_quoting() {
    let each = BudgetScope {
        end_user: Part::Each,
        tag: Some(("team".to_owned(), Part::Each)),
        ..BudgetScope::default()
    };
    assert_eq!(
        subject(&each, &payer("shop", Some("ann"), &[("team", "red")])).as_deref(),
        Some(r#"user="ann",tag="red""#)
    );
    assert_eq!(subject(&each, &payer("shop", None, &[("team", "red")])), None);
    assert_eq!(subject(&each, &payer("shop", Some("ann"), &[])), None);
    let users = BudgetScope { end_user: Part::Each, ..BudgetScope::default() };
    let sly = subject(&users, &payer("shop", Some(r#"ann",tag="red"#), &[])).unwrap();
    assert_eq!(sly, r#"user="ann\",tag=\"red""#);
}

#[test]
fn a_counter_of_one_project_alone_is_known_as_its_own() {
    let each = BudgetScope { project: Part::Each, end_user: Part::Each, ..BudgetScope::default() };
    let counter = subject(&each, &payer("shop", Some("ann"), &[])).unwrap();
    assert_eq!(each.project_of(&counter).as_ref().map(ProjectId::as_str), Some("shop"));
    let only = BudgetScope { project: Part::Only("shop".to_owned()), ..BudgetScope::default() };
    assert_eq!(only.project_of("").as_ref().map(ProjectId::as_str), Some("shop"));
    assert_eq!(BudgetScope::default().project_of("project=shop"), None);
}

#[test]
fn windows_follow_the_calendar_of_their_zone() {
    let of = |word, zone, at| window(word, zone, at);
    let pair = |start: &str, end: &str| (start.to_owned(), Some(end.to_owned()));
    assert_eq!(
        of(BudgetWindow::Month, "UTC", "2026-02-28T23:59:59Z"),
        pair("2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z")
    );
    // In Vienna it is March already.
    assert_eq!(
        of(BudgetWindow::Month, "Europe/Vienna", "2026-02-28T23:30:00Z"),
        pair("2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z")
    );
    // The day on which clocks go forward has 23 hours.
    assert_eq!(
        of(BudgetWindow::Day, "Europe/Vienna", "2026-03-29T12:00:00Z"),
        pair("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z")
    );
    // 2026-11-29 is a Sunday.
    assert_eq!(
        of(BudgetWindow::Week, "UTC", "2026-11-29T10:00:00Z"),
        pair("2026-11-23T00:00:00Z", "2026-11-30T00:00:00Z")
    );
    assert_eq!(
        of(BudgetWindow::Hour, "Asia/Kolkata", "2026-11-29T10:45:00Z"),
        pair("2026-11-29T10:30:00Z", "2026-11-29T11:30:00Z")
    );
    assert_eq!(of(BudgetWindow::Forever, "UTC", "2026-11-29T10:45:00Z").1, None);
}

#[test]
fn every_instant_lies_in_exactly_one_window() {
    for zone in ["UTC", "Europe/Vienna", "America/Sao_Paulo", "Australia/Lord_Howe", "Asia/Beirut"] {
        let zone = TimeZone::get(zone).unwrap();
        for word in [BudgetWindow::Hour, BudgetWindow::Day, BudgetWindow::Week, BudgetWindow::Month] {
            let mut at: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
            for _ in 0..60 {
                let found = word.around(at, &zone);
                let end = found.end.unwrap();
                assert!(found.start <= at && at < end, "{word:?} {at}");
                assert_eq!(word.around(end, &zone).start, end, "{word:?} {at}");
                let last = end.checked_sub(1.microsecond()).unwrap();
                assert_eq!(word.around(last, &zone), found, "{word:?} {at}");
                at = end;
            }
        }
    }
}

#[test]
fn a_budget_out_of_range_names_its_field() {
    let fine = Budget {
        id: BudgetId::generate(),
        name: String::new(),
        scope: BudgetScope::default(),
        unit: BudgetUnit::Images,
        limit: 10,
        window: BudgetWindow::Day,
        zone: "UTC".to_owned(),
        mode: BudgetMode::Hard,
        thresholds_percent: THRESHOLDS_PERCENT.to_vec(),
        created_at: Timestamp::UNIX_EPOCH,
    };
    assert_eq!(fine.check(), Ok(()));
    assert_eq!(fine.words(), "10 images per day for everything");
    let field = |budget: Budget| budget.check().unwrap_err().field;
    assert_eq!(field(Budget { limit: -1, ..fine.clone() }), "limit");
    assert_eq!(field(Budget { zone: "Mars/Crater".to_owned(), ..fine.clone() }), "zone");
    let mode = BudgetMode::Degrade { share_percent: 100 };
    assert_eq!(field(Budget { mode, ..fine.clone() }), "share_percent");
    assert_eq!(field(Budget { thresholds_percent: vec![80, 50], ..fine.clone() }), "thresholds_percent");
    assert_eq!(field(Budget { name: "a\nb".to_owned(), ..fine }), "name");
}
