//! Golden files of each form, hostile ones, and matching as a property.

use super::bill::{Form, Mapping, read};
use super::matching::{How, matching};
use super::*;
use gallerist_domain::{AttemptId, OfferId, RequestId};
use gallerist_pricing::Catalogue;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(1_795_000_000 + second).unwrap()
}

fn mapping() -> Mapping {
    Mapping {
        time: "at".to_owned(),
        amount: "usd".to_owned(),
        request_id: Some("request_id".to_owned()),
        model: Some("model".to_owned()),
        ..Mapping::default()
    }
}

fn csv(text: &str) -> Result<Bill, BillFault> {
    read(text.as_bytes(), &Form::Csv(mapping()), &[])
}

fn usd(text: &str) -> Ticks {
    text.parse().unwrap()
}

#[test]
fn a_csv_is_read_by_its_mapping_to_the_last_digit() {
    let bill = read(include_bytes!("golden/generic.csv"), &Form::Csv(mapping()), &[]).unwrap();
    let amounts: Vec<Ticks> = bill.lines.iter().map(|line| line.amount).collect();
    assert_eq!(amounts, [usd("0.0300000001"), usd("1234.5"), usd("-0.03"), usd("0.0000000002")]);
    assert_eq!(bill.lines[0].at, "2026-11-25T08:00:00Z".parse().unwrap());
    assert_eq!(bill.lines[1].at, bill.lines[0].at, "without a zone it is UTC");
    assert_eq!(bill.lines[2].at, "2026-11-25T00:00:00Z".parse().unwrap());
    assert_eq!(bill.lines[3].at, bill.lines[0].at, "seconds since 1970");
    assert_eq!(bill.lines[0].request_id.as_deref(), Some("req-1"));
    assert_eq!((bill.lines[1].request_id.as_deref(), bill.lines[1].place), (None, 3));
}

#[test]
fn commas_that_separate_thousands_are_read_and_a_decimal_comma_is_not() {
    let amount = |text: &str| {
        let row = format!("at,usd,request_id,model\n2026-11-25,\"{text}\",a,b\n");
        csv(&row).map(|bill| bill.lines[0].amount)
    };
    for (text, expected) in [
        ("1,234", "1234"),
        ("$1,234.5678", "1234.5678"),
        ("-1,234,567.89", "-1234567.89"),
        ("12,345.", "12345"),
        ("0.04", "0.04"),
    ] {
        // A point without a digit behind it is refused or read, never misread.
        match amount(text) {
            Ok(found) => assert_eq!(found, usd(expected), "{text}"),
            Err(error) => assert!(text.ends_with('.'), "{text}: {error}"),
        }
    }
    amount("0,04").expect_err("it is four cents where it was written, and was four dollars here");
}

#[test]
fn a_currency_is_converted_at_the_catalogues_rate_and_an_unknown_one_is_refused() {
    let catalogue = Catalogue::embedded();
    let currencies = &catalogue.provider("stability").unwrap().currencies;
    let form = |currency: &str| {
        Form::Csv(Mapping { currency: Some(currency.to_owned()), request_id: None, ..mapping() })
    };
    let text = b"at,usd,model\n2026-11-25,8,sd3.5-large\n";
    assert_eq!(read(text, &form("=credit"), currencies).unwrap().lines[0].amount, usd("0.08"));
    let error = read(text, &form("=EUR"), currencies).unwrap_err().to_string();
    assert!(error.starts_with("row 2: usd: the catalogue has no rate of \"EUR\""), "{error}");
}

#[test]
fn openais_costs_are_sums_of_days() {
    let bill = read(include_bytes!("golden/openai_costs.json"), &Form::Openai, &[]).unwrap();
    assert!(bill.lines.is_empty());
    let sums: Vec<(Option<&str>, Ticks)> =
        bill.sums.iter().map(|sum| (sum.item.as_deref(), sum.amount)).collect();
    assert_eq!(
        sums,
        [
            (Some("gpt-image-1, image output"), usd("0.1500000000")),
            (Some("gpt-image-1, text input"), usd("0.0000420000")),
            (None, usd("0.06")),
        ]
    );
    assert_eq!(bill.sums[0].to.duration_since(bill.sums[0].from), SignedDuration::from_hours(24));
}

#[test]
fn fals_billing_events_are_read_from_their_digits() {
    let bill = read(include_bytes!("golden/fal_billing_events.json"), &Form::Fal, &[]).unwrap();
    assert_eq!(bill.lines.len(), 2);
    assert_eq!(bill.lines[0].amount, usd("0.025"));
    assert_eq!(bill.lines[0].model.as_deref(), Some("fal-ai/flux/dev"));
    assert_eq!(bill.lines[0].quantity.as_deref(), Some("1.5"));
    assert_eq!(bill.lines[1].amount, usd("0.003"), "from nano dollars, where the total is null");
}

#[test]
fn a_hostile_file_is_refused_with_its_row_and_field() {
    let refused = |text: &str| csv(text).unwrap_err().to_string();
    assert!(refused("when,usd\n1,1\n").contains("there is no column \"at\"; the file has when, usd"));
    let head = "at,usd,request_id,model\n";
    for (row, expected) in [
        ("yesterday,1,a,b", "row 2: at is \"yesterday\", which is no time"),
        ("2026-11-25,NaN,a,b", "row 2: usd:"),
        ("2026-11-25,=1+1,a,b", "row 2: usd:"),
        ("2026-11-25,1e99,a,b", "row 2: usd:"),
        ("2026-11-25,1", "row 2: CSV error"),
        ("2026-11-25,99999999999,a,b", "row 2: usd: 99999999999 is out of range"),
        ("2026-11-25,200000000,a,b", "more than a hundred million dollars"),
        ("2026-11-25,\"0,04\",a,b", "row 2: usd: \"0,04\" has a comma that separates no thousands"),
        ("2026-11-25,\"0,040\",a,b", "row 2: usd: \"0,040\" has a comma"),
        ("2026-11-25,\"1.234,50\",a,b", "row 2: usd: \"1.234,50\" has a comma"),
        ("2026-11-25,\"1,2345\",a,b", "row 2: usd: \"1,2345\" has a comma"),
        ("2026-11-25,\"12,34,567\",a,b", "row 2: usd: \"12,34,567\" has a comma"),
        ("2026-11-25,\"1234,567\",a,b", "row 2: usd: \"1234,567\" has a comma"),
        ("2026-11-25,\",123\",a,b", "row 2: usd: \",123\" has a comma"),
        ("2026-11-25,\"1,é00\",a,b", "row 2: usd: \"1,é00\" has a comma"),
    ] {
        let error = refused(&format!("{head}{row}\n"));
        assert!(error.contains(expected), "{row}: {error}");
    }
    let long = format!("{head}2026-11-25,1,{},b\n", "x".repeat(5_000));
    assert!(refused(&long).contains("more than 4096 bytes"));
    assert!(refused(&format!("at,usd{}\n", ",x".repeat(300))).contains("more than 200 columns"));
    let many = format!("{head}{}", "2026-11-25,1,a,b\n".repeat(bill::BILL_LINES_MAX + 1));
    assert!(refused(&many).contains("more than 500000 rows"));
    assert!(csv("at,usd,request_id,model\n2026-11-25,\"1,a\n").is_err());
    for text in
        ["", "{}", "[]]", "{\"data\": 1}", "{\"data\":[{\"start_time\":2,\"end_time\":1,\"results\":[]}]}"]
    {
        assert!(read(text.as_bytes(), &Form::Openai, &[]).is_err(), "{text}");
    }
}

fn attempt(status: AttemptStatus, charged: i64, created: i64, id: Option<&str>) -> BilledAttempt {
    BilledAttempt {
        id: AttemptId::generate(),
        request: RequestId::generate(),
        number: 1,
        offer: OfferId::new("fal", "one"),
        status,
        reserved: Ticks::new(100),
        charged: Ticks::new(charged),
        doubtful: Ticks::new(charged / 2),
        created_at: at(created),
        ended_at: Some(at(created + 2)),
        provider_request_id: id.map(str::to_owned),
        charge_json: None,
    }
}

fn line(amount: i64, second: i64, id: Option<&str>, model: Option<&str>) -> BillLine {
    BillLine {
        place: 1,
        at: at(second),
        amount: Ticks::new(amount),
        request_id: id.map(str::to_owned),
        model: model.map(str::to_owned),
        quantity: None,
    }
}

use super::bill::BillLine;

const WINDOW: SignedDuration = SignedDuration::from_secs(30);

#[test]
fn an_exact_charge_is_preferred_to_a_dispute_and_a_dispute_to_another_amount() {
    let ours = [
        attempt(AttemptStatus::Disputed, 0, 0, None),
        attempt(AttemptStatus::Settled, 40, 1, None),
        attempt(AttemptStatus::Settled, 50, 2, None),
        attempt(AttemptStatus::Released, 0, 500, None),
    ];
    let bill = [
        line(40, 1, None, None),
        line(60, 1, None, Some("one")),
        line(61, 1, None, Some("one")),
        line(62, 1, None, Some("two")),
        line(101, 9_000, None, None),
    ];
    let found = matching(&bill, &ours, WINDOW, str::to_owned);
    let pairs: Vec<_> = found.pairs.iter().map(|pair| (pair.lines[0], pair.attempt, pair.how)).collect();
    assert_eq!(pairs, [(0, 1, How::Amount), (1, 0, How::Time), (2, 2, How::Time)]);
    assert_eq!((found.theirs_only, found.ours_only), (vec![3, 4], vec![3]));
}

#[test]
fn a_line_of_nothing_or_of_money_back_decides_no_dispute_by_its_time_alone() {
    let ours =
        [attempt(AttemptStatus::Disputed, 0, 0, None), attempt(AttemptStatus::Disputed, 0, 1, Some("b"))];
    for amount in [0, -5] {
        let found = matching(&[line(amount, 1, None, Some("one"))], &ours, WINDOW, str::to_owned);
        assert_eq!((found.pairs.len(), found.theirs_only.as_slice()), (0, &[0][..]), "{amount}");
        let named = matching(&[line(amount, 1, Some("b"), None)], &ours, WINDOW, str::to_owned);
        assert_eq!((named.pairs[0].attempt, named.pairs[0].how), (1, How::RequestId), "its id still does");
    }
}

#[test]
fn a_sum_of_what_is_no_model_of_ours_keeps_disputes_although_the_rest_agrees() {
    let ours = [attempt(AttemptStatus::Disputed, 0, 0, None), attempt(AttemptStatus::Settled, 40, 1, None)];
    let order = Order {
        provider: "fal",
        bill: b"",
        form: Form::Openai,
        from: None,
        to: None,
        window: WINDOW,
        close: true,
        dry_run: true,
        drift_basis_points: 100,
    };
    let (from, to) = (at(-100), at(100));
    let sum = |item: &str, amount: i64| bill::BillSum {
        from,
        to,
        item: Some(item.to_owned()),
        amount: Ticks::new(amount),
    };
    let decided = |sums: Vec<bill::BillSum>| {
        let bill = Bill { sums, ..Bill::default() };
        let matching = matching(&bill.lines, &ours, WINDOW, str::to_owned);
        let report = Report::of(&order, &bill, &ours, &matching, (from, to), &str::to_owned, to);
        let mut disputes = disputes(&order, &ours, &matching, &report, (from, to));
        assert_eq!(disputes.len(), 1);
        disputes.remove(0)
    };
    assert_eq!(decided(vec![sum("one", 40)]).action, Action::Release);
    assert_eq!(decided(vec![sum("one", 40), sum("chat, input", 0)]).action, Action::Release);
    // The dispute may be what the foreign item is for.
    let kept = decided(vec![sum("one", 40), sum("one-2026-11-25, image output", 60)]);
    assert_eq!(kept.action, Action::Stays);
    assert!(kept.why.contains("one-2026-11-25"), "{}", kept.why);
}

#[test]
fn a_charge_of_another_known_request_is_never_taken_for_an_attempts_own() {
    // A call broke off before its id was told; its charge stands on the bill beside one that the bill lacks.
    let ours = [
        attempt(AttemptStatus::Settled, 40, 0, Some("a")),
        attempt(AttemptStatus::Settled, 40, 10, Some("b")),
        attempt(AttemptStatus::Disputed, 0, 20, None),
    ];
    let bill = [line(40, 1, Some("a"), Some("one")), line(40, 21, Some("c"), Some("one"))];
    let found = matching(&bill, &ours, SignedDuration::from_secs(120), str::to_owned);
    let pairs: Vec<_> = found.pairs.iter().map(|pair| (pair.lines[0], pair.attempt, pair.how)).collect();
    assert_eq!(pairs, [(0, 0, How::RequestId), (1, 2, How::Time)], "the dispute was charged");
    assert_eq!(found.ours_only, [1], "and the invoice lacks another");
    // Where no id of the bill is known, ids are of another kind and say nothing.
    let strange = [line(40, 1, Some("x-1"), Some("one")), line(40, 11, Some("x-2"), Some("one"))];
    let found = matching(&strange, &ours, SignedDuration::from_secs(120), str::to_owned);
    assert_eq!(found.pairs.iter().filter(|pair| pair.how == How::Amount).count(), 2);
}

#[test]
fn lines_of_one_request_id_are_one_charge() {
    let ours =
        [attempt(AttemptStatus::Settled, 40, 0, Some("a")), attempt(AttemptStatus::Settled, 40, 0, None)];
    let bill = [line(15, 90_000, Some("a"), None), line(25, 90_000, Some("a"), None)];
    let found = matching(&bill, &ours, WINDOW, str::to_owned);
    assert_eq!(found.pairs.len(), 1);
    assert_eq!((found.pairs[0].lines.as_slice(), found.pairs[0].billed), (&[0, 1][..], Ticks::new(40)));
    assert_eq!(found.ours_only, [1]);
}

mod property {
    use super::*;
    use proptest::prelude::*;

    fn id() -> impl Strategy<Value = Option<String>> {
        prop::option::of((0u8..6).prop_map(|number| format!("id-{number}")))
    }

    fn ours() -> impl Strategy<Value = BilledAttempt> {
        (0usize..4, 0i64..4, 0i64..200, id()).prop_map(|(status, charged, created, id)| {
            let statuses = [
                AttemptStatus::Settled,
                AttemptStatus::Disputed,
                AttemptStatus::Released,
                AttemptStatus::Reserved,
            ];
            let status = statuses[status];
            let charged = if status == AttemptStatus::Settled { charged } else { 0 };
            attempt(status, charged, created, id.as_deref())
        })
    }

    fn theirs() -> impl Strategy<Value = BillLine> {
        (0i64..4, 0i64..200, id(), prop::option::of(Just("one")))
            .prop_map(|(amount, second, id, model)| line(amount, second, id.as_deref(), model))
    }

    proptest! {
        #[test]
        fn matching_is_one_to_one_and_loses_nothing(
            bill in prop::collection::vec(theirs(), 0..25),
            ours in prop::collection::vec(ours(), 0..25),
        ) {
            let found = matching(&bill, &ours, WINDOW, str::to_owned);
            let mut lines: Vec<usize> = found.pairs.iter().flat_map(|pair| pair.lines.clone()).collect();
            lines.extend(&found.theirs_only);
            lines.sort_unstable();
            prop_assert_eq!(lines, (0..bill.len()).collect::<Vec<_>>());
            let mut attempts: Vec<usize> = found.pairs.iter().map(|pair| pair.attempt).collect();
            attempts.extend(&found.ours_only);
            attempts.sort_unstable();
            prop_assert_eq!(attempts, (0..ours.len()).collect::<Vec<_>>());
            for pair in &found.pairs {
                let attempt = &ours[pair.attempt];
                let billed: Ticks = pair.lines.iter().map(|at| bill[*at].amount).sum();
                prop_assert_eq!(billed, pair.billed);
                match pair.how {
                    How::RequestId => prop_assert!(attempt.provider_request_id.is_some()),
                    How::Amount => prop_assert_eq!(attempt.charged, pair.billed),
                    How::Time => prop_assert!(attempt.status != AttemptStatus::Reserved),
                }
            }
        }
    }
}
