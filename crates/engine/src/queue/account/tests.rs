use super::*;
use proptest::prelude::*;

fn party(name: &str) -> Party {
    Party::Project(name.parse().expect("a name"))
}

fn call(images: u32) -> CallSize {
    CallSize { images, expected_ms: 1_000 }
}

fn account(places: u32, images_per_minute: Option<u32>) -> Account {
    Account::new(AccountLimits { places, images_per_minute, waiting_max: 100 })
}

fn join(account: &mut Account, name: &str, images: u32) -> Ticket {
    account.join(party(name), call(images), 0).expect("there is room").ticket
}

#[test]
fn as_many_run_as_there_are_places() {
    let mut account = account(2, None);
    let tickets: Vec<Ticket> = (0..3).map(|_| join(&mut account, "shop", 1)).collect();
    assert_eq!(account.start_due(0), tickets[..2]);
    assert!(account.start_due(0).is_empty());
    account.leave(tickets[0]);
    assert_eq!(account.start_due(0), tickets[2..]);
    account.leave(tickets[2]);
    account.leave(tickets[2]);
    assert_eq!(account.opens_at(0), None, "nobody waits");
}

#[test]
fn pictures_wait_for_the_minute_to_the_millisecond() {
    let mut account = account(10, Some(3));
    let first = join(&mut account, "shop", 2);
    assert_eq!(account.start_due(1_000), [first]);
    let second = join(&mut account, "shop", 1);
    assert_eq!(account.start_due(5_000), [second]);
    let third = join(&mut account, "shop", 2);
    assert!(account.start_due(60_999).is_empty());
    assert_eq!(account.opens_at(60_999), Some(61_000));
    assert_eq!(account.start_due(61_000), [third]);
    let look_up = account.join(Party::LookUps, call(0), 61_000).unwrap().ticket;
    assert_eq!(account.start_due(61_000), [look_up], "a question makes no picture");
}

#[test]
fn a_call_larger_than_the_limit_goes_alone() {
    let mut account = account(10, Some(3));
    let small = join(&mut account, "shop", 1);
    let large = join(&mut account, "shop", 8);
    assert_eq!(account.start_due(0), [small]);
    assert_eq!(account.opens_at(10), Some(60_000));
    assert_eq!(account.start_due(60_000), [large]);
    let next = join(&mut account, "shop", 1);
    assert!(account.start_due(119_999).is_empty());
    assert_eq!(account.start_due(120_000), [next]);
}

#[test]
fn a_full_queue_makes_room_for_whoever_has_less() {
    let mut account = Account::new(AccountLimits { places: 1, images_per_minute: None, waiting_max: 3 });
    let running = join(&mut account, "many", 1);
    assert_eq!(account.start_due(0), [running]);
    let waiting: Vec<Ticket> = (0..3).map(|_| join(&mut account, "many", 1)).collect();
    assert_eq!(account.join(party("many"), call(1), 0), None);
    let joined = account.join(party("few"), call(1), 0).unwrap();
    assert_eq!(joined.pushed_out, Some(waiting[2]));
    assert_eq!(account.forecast(waiting[2], 0), None);
}

#[test]
fn position_and_start_follow_from_what_calls_usually_take() {
    let mut account = account(2, None);
    let calls: Vec<Ticket> = (0..6).map(|_| join(&mut account, "shop", 1)).collect();
    assert_eq!(account.start_due(0), calls[..2]);
    let other = join(&mut account, "other", 1);
    let told = |ticket: Ticket, now_ms| {
        let forecast = account.forecast(ticket, now_ms).expect("it waits");
        (forecast.position, forecast.starts_at_ms)
    };
    assert_eq!(told(other, 400), (1, 1_000), "the others have had their turn");
    assert_eq!(told(calls[2], 400), (2, 1_000));
    assert_eq!(told(calls[3], 400), (3, 2_000));
    assert_eq!(told(calls[5], 1_700), (5, 3_700), "what is overdue may end at any moment");
}

#[derive(Clone, Debug)]
enum Step {
    Join { party: u8, images: u32 },
    Leave { nth: usize },
    Wait { ms: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u8..3, 0u32..6).prop_map(|(party, images)| Step::Join { party, images }),
        2 => (0usize..20).prop_map(|nth| Step::Leave { nth }),
        2 => (1u64..40_000).prop_map(|ms| Step::Wait { ms }),
    ];
    prop::collection::vec(step, 1..200)
}

proptest! {
    /// A plain list of everything that was started is the reference.
    #[test]
    fn no_limit_is_ever_passed_and_nobody_waits_without_a_reason(steps in steps(), limit in 5u32..12) {
        let places: usize = 3;
        let limits = AccountLimits { places: 3, images_per_minute: Some(limit), waiting_max: 10 };
        let mut account = Account::new(limits);
        let mut now_ms = 0;
        let mut here: Vec<(Ticket, u32)> = Vec::new();
        let mut running: Vec<Ticket> = Vec::new();
        let mut begun: Vec<(u64, u32)> = Vec::new();
        for step in steps {
            match step {
                Step::Join { party: number, images } => {
                    if let Some(joined) = account.join(party(&format!("p{number}")), call(images), now_ms) {
                        here.retain(|(ticket, _)| Some(*ticket) != joined.pushed_out);
                        here.push((joined.ticket, images));
                    }
                }
                Step::Leave { nth } => {
                    if let Some((ticket, _)) = here.get(nth).copied() {
                        account.leave(ticket);
                        here.retain(|(one, _)| *one != ticket);
                        running.retain(|one| *one != ticket);
                    }
                }
                Step::Wait { ms } => now_ms += ms,
            }
            let foretold = account.head().and_then(|head| account.forecast(head, now_ms));
            let started = account.start_due(now_ms);
            let next = started.first().copied();
            if let (Some(foretold), Some(_)) = (foretold, next) {
                prop_assert_eq!((foretold.position, foretold.starts_at_ms), (1, now_ms));
            }
            for ticket in started {
                let images = here.iter().find(|(one, _)| *one == ticket).expect("it is here").1;
                running.push(ticket);
                begun.push((now_ms, images));
            }
            prop_assert!(running.len() <= places);
            let within: u32 = begun.iter().filter(|(at, _)| at + MINUTE_MS > now_ms).map(|(_, n)| n).sum();
            prop_assert!(within <= limit, "{within} pictures in a minute");
            let waiting = here.len() - running.len();
            if waiting > 0 && running.len() < places {
                let opens = account.opens_at(now_ms).expect("a place is free and somebody waits");
                prop_assert!(opens > now_ms && opens <= now_ms + MINUTE_MS, "they wait for the minute");
            }
        }
    }
}
