//! The comparison of a stand-in's bill with our books, to the last digit.
//!
//! Also used, by path, by the test that kills the whole program.

use gallerist_domain::Ticks;
use gallerist_store::{AttemptRecord, AttemptStatus};

/// Each settled charge must be one entry of the bill, each remaining entry must fit one disputed attempt.
/// With `bounded`, no entry may be larger than what its dispute holds. Returns the number of disputes.
pub fn compare(kind: &str, mut bill: Vec<i64>, attempts: &[AttemptRecord], bounded: bool) -> usize {
    let ours = || attempts.iter().filter(|attempt| attempt.offer.provider == kind);
    let total: i64 = bill.iter().sum();
    let mut settled = 0;
    for attempt in
        ours().filter(|attempt| attempt.status == AttemptStatus::Settled && !attempt.charged.is_zero())
    {
        settled += attempt.charged.get();
        take(kind, &mut bill, attempt);
    }
    // What is left on the bill was ambiguous when it happened: the largest must fit the largest.
    bill.retain(|ticks| *ticks != 0);
    bill.sort_unstable();
    let mut held: Vec<i64> = ours()
        .filter(|attempt| attempt.status == AttemptStatus::Disputed)
        .map(|attempt| {
            assert!(attempt.dispute_reason.is_some(), "a dispute has no reason: {attempt:?}");
            attempt.reserved.get()
        })
        .collect();
    held.sort_unstable();
    assert!(
        bill.len() <= held.len(),
        "{kind}: billed but neither settled nor disputed: {bill:?}, held {held:?}"
    );
    for (billed, held) in bill.iter().rev().zip(held.iter().rev()) {
        assert!(!bounded || billed <= held, "{kind}: billed {billed} beyond what a dispute holds ({held})");
    }
    assert_eq!(total - settled, bill.iter().sum::<i64>(), "{kind}: the difference is not the disputed part");
    held.len()
}

/// Takes the charge of an attempt from the bill: as one entry, or as one entry per picture.
fn take(kind: &str, bill: &mut Vec<i64>, attempt: &AttemptRecord) {
    let charged = attempt.charged.get();
    if let Some(at) = bill.iter().position(|ticks| *ticks == charged) {
        bill.swap_remove(at);
        return;
    }
    for parts in 2..=10 {
        let part = charged / parts;
        let count = bill.iter().filter(|ticks| **ticks == part).count();
        if charged % parts == 0 && count as i64 >= parts {
            for _ in 0..parts {
                let at = bill.iter().position(|ticks| *ticks == part).expect("it was counted");
                bill.swap_remove(at);
            }
            return;
        }
    }
    panic!(
        "{kind}: {} settled {} USD, which is not on the bill: {attempt:?}",
        attempt.offer,
        Ticks::new(charged)
    );
}
