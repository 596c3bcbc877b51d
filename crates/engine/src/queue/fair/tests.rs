use super::*;
use proptest::prelude::*;

#[test]
fn parties_take_turns_and_each_is_served_in_its_order() {
    let mut queue = FairQueue::new();
    for item in ["a1", "a2", "a3", "b1", "b2"] {
        queue.push(&item[..1], 1, item);
    }
    assert_eq!(queue.order(), [&"a1", &"b1", &"a2", &"b2", &"a3"]);
    let served: Vec<_> = std::iter::from_fn(|| queue.pop()).collect();
    assert_eq!(served, ["a1", "b1", "a2", "b2", "a3"]);
}

#[test]
fn who_was_away_is_owed_nothing_and_owes_nothing() {
    let mut queue = FairQueue::new();
    (0..100).for_each(|_| queue.push("busy", 1, "busy"));
    (0..50).for_each(|_| assert_eq!(queue.pop(), Some("busy")));
    (0..4).for_each(|_| queue.push("new", 1, "new"));
    let next: Vec<_> = (0..8).filter_map(|_| queue.pop()).collect();
    assert_eq!(next.iter().filter(|item| **item == "new").count(), 4, "{next:?}");
    while queue.pop().is_some() {}
    queue.push("new", 1, "new");
    queue.push("busy", 1, "busy");
    assert_eq!(queue.pop(), Some("new"), "an empty queue remembers nothing");
}

#[test]
fn room_is_made_at_the_cost_of_whoever_has_most() {
    let mut queue = FairQueue::new();
    (0..5).for_each(|number| queue.push("many", 1, number));
    assert_eq!(queue.push_out_for(&"few"), Some(4), "the newest goes");
    assert_eq!(queue.push_out_for(&"many"), None, "nobody pushes out itself");
    queue.push("few", 1, 10);
    queue.push("few", 1, 11);
    assert_eq!(queue.push_out_for(&"few"), Some(3));
    assert_eq!(queue.push_out_for(&"few"), None, "3 and 3 would be no fairer than 2 and 3");
    assert_eq!(queue.len(), 5);
}

#[derive(Clone, Debug)]
enum Step {
    Push { party: u8, cost: u32 },
    Pop,
    Remove { nth: usize },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u8..5, 1u32..11).prop_map(|(party, cost)| Step::Push { party, cost }),
        3 => Just(Step::Pop),
        1 => (0usize..40).prop_map(|nth| Step::Remove { nth }),
    ];
    prop::collection::vec(step, 1..300)
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Call {
    number: usize,
    party: u8,
    cost: u32,
}

const COST_MAX: u64 = 10;

proptest! {
    #[test]
    fn nothing_is_lost_and_each_party_is_served_in_its_order(steps in steps()) {
        let mut queue = FairQueue::new();
        let mut waiting: Vec<Call> = Vec::new();
        for (number, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push { party, cost } => {
                    let call = Call { number, party, cost };
                    queue.push(party, cost, call);
                    waiting.push(call);
                }
                Step::Pop => {
                    let foretold = queue.order().first().copied().copied();
                    prop_assert_eq!(queue.head().copied(), foretold);
                    let served = queue.pop();
                    prop_assert_eq!(served, foretold);
                    prop_assert_eq!(served.is_none(), waiting.is_empty());
                    if let Some(served) = served {
                        let first = waiting.iter().find(|call| call.party == served.party);
                        prop_assert_eq!(first, Some(&served), "first in, first out");
                        waiting.retain(|call| *call != served);
                    }
                }
                Step::Remove { nth } => {
                    if let Some(gone) = waiting.get(nth).copied() {
                        queue.remove(|call| *call == gone);
                        waiting.retain(|call| *call != gone);
                    }
                }
            }
            prop_assert_eq!(queue.len(), waiting.len());
            prop_assert_eq!(queue.order().len(), waiting.len());
        }
    }

    /// Between any two parties, over any stretch in which both wait throughout.
    #[test]
    fn shares_differ_by_at_most_one_item_of_each(
        warm in prop::collection::vec((0u8..4, 1u32..11), 0..40),
        costs in prop::collection::vec(prop::collection::vec(1u32..11, 60), 2..5),
        pops in 1usize..59,
    ) {
        let mut queue = FairQueue::new();
        for (party, cost) in warm {
            queue.push(party, cost, (party, cost));
            if cost % 2 == 0 {
                queue.pop();
            }
        }
        for (party, costs) in costs.iter().enumerate() {
            let party = u8::try_from(party).unwrap();
            costs.iter().for_each(|cost| queue.push(party, *cost, (party, *cost)));
        }
        let mut served = [0u64; 4];
        for _ in 0..pops {
            let (party, cost) = queue.pop().expect("there is more than is taken");
            served[usize::from(party)] += u64::from(cost);
            let waiting = &served[..costs.len()];
            let (least, most) = (waiting.iter().min().unwrap(), waiting.iter().max().unwrap());
            prop_assert!(most - least <= 2 * COST_MAX, "{served:?}");
        }
    }

    /// However others push, an item is served before any of them has had much more than what stood ahead of
    /// it in its own party.
    #[test]
    fn nobody_starves(ahead in prop::collection::vec(1u32..11, 0..6), others in 1u8..5) {
        let mut queue = FairQueue::new();
        for other in 0..others {
            (0..3).for_each(|_| queue.push(other, 10, false));
        }
        ahead.iter().for_each(|cost| queue.push(200, *cost, false));
        queue.push(200, 5, true);
        let own: u64 = ahead.iter().map(|cost| u64::from(*cost)).sum();
        let bound = u64::from(others) * (own + 2 * COST_MAX) / 10 + ahead.len() as u64 + 1;
        for taken in 0.. {
            prop_assert!(taken <= bound, "it waits too long: {taken} were served before it");
            if queue.pop().expect("it is in there") {
                break;
            }
            // Everybody else pushes without end.
            (0..others).for_each(|other| queue.push(other, 10, false));
        }
    }
}
