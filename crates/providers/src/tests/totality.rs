//! Whatever bytes come, an adapter answers with a step: no panic, a bounded detail, pictures in every outcome.
//!
//! The replies and events of the golden cases are cut, changed and mixed with awkward pieces of JSON, in
//! frames of any length and under any status; then random bytes take their place. A new provider is covered
//! by having golden cases.

use super::*;
use gallerist_domain::fault::DETAIL_CHARACTERS_MAX;
use proptest::prelude::*;

/// One change to a body.
#[derive(Clone, Debug)]
enum Change {
    Cut(prop::sample::Index),
    Replace(prop::sample::Index, u8),
    Remove(prop::sample::Index, usize),
    Insert(prop::sample::Index, Vec<u8>),
}

impl Change {
    fn apply(&self, bytes: &mut Vec<u8>) {
        let length = bytes.len();
        if length == 0 {
            return;
        }
        match self {
            Change::Cut(at) => bytes.truncate(at.index(length)),
            Change::Replace(at, byte) => bytes[at.index(length)] = *byte,
            Change::Remove(at, count) => {
                let from = at.index(length);
                bytes.drain(from..(from + count).min(length));
            }
            Change::Insert(at, new) => {
                let from = at.index(length);
                bytes.splice(from..from, new.iter().copied());
            }
        }
    }
}

fn change() -> impl Strategy<Value = Change> {
    let piece = prop_oneof![
        prop::collection::vec(any::<u8>(), 1..6),
        prop::sample::select(vec![
            "null",
            "-1",
            "1e99",
            "[]",
            "{}",
            "\"\"",
            "\\u0001",
            ",",
            "\"",
            "\u{1F600}"
        ])
        .prop_map(|text| text.as_bytes().to_vec()),
    ];
    prop_oneof![
        any::<prop::sample::Index>().prop_map(Change::Cut),
        (any::<prop::sample::Index>(), any::<u8>()).prop_map(|(at, byte)| Change::Replace(at, byte)),
        (any::<prop::sample::Index>(), 1usize..40).prop_map(|(at, count)| Change::Remove(at, count)),
        (any::<prop::sample::Index>(), piece).prop_map(|(at, new)| Change::Insert(at, new)),
    ]
}

fn status() -> impl Strategy<Value = u16> {
    prop_oneof![3 => Just(200u16), 2 => prop::sample::select(vec![201u16, 202, 400, 401, 403, 404, 422, 429, 500, 503]), 1 => 0u16..1000]
}

fn assert_total(provider: &dyn Provider, case: &Case, reply: &HttpReply) {
    let call = case.call();
    for pending in [None, case.pending.as_ref()] {
        match provider.interpret(&call, pending, reply) {
            Step::Fault(fault) => assert!(fault.detail.chars().count() <= DETAIL_CHARACTERS_MAX),
            Step::Done(outcome) => {
                assert!(!outcome.images.is_empty(), "a finished call has pictures");
                assert!(outcome.usage.iter().all(|metered| metered.quantity >= 0));
            }
            Step::Wait { pending, .. } => {
                let _ = provider.look_up(&pending, &case.endpoint());
                let _ = provider.cancel(&pending, &case.endpoint());
            }
        }
    }
    let _ = provider.interpret_cancel(reply);
    let event = ServerEvent { name: String::new(), data: reply.body.clone() };
    let _ = provider.decode_event(&call, &event);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn broken_replies_never_panic(
        changes in prop::collection::vec(change(), 1..5),
        status in status(),
        frame in 1usize..50,
    ) {
        for provider in PROVIDERS {
            for (_, case) in cases(provider.kind()) {
                let replies = case.reply.iter().map(|reply| (reply.bytes(), reply.in_frames(usize::MAX).headers));
                let events = case.events.iter().map(|event| (body_bytes(&event.data), HeaderMap::new()));
                for (mut bytes, headers) in replies.chain(events) {
                    changes.iter().for_each(|change| change.apply(&mut bytes));
                    let body = bytes.chunks(frame).map(Bytes::copy_from_slice).collect();
                    assert_total(*provider, &case, &HttpReply { status, headers, body });
                }
            }
        }
    }

    #[test]
    fn random_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), status in status()) {
        for provider in PROVIDERS {
            for (_, case) in cases(provider.kind()) {
                let body = Chunks::from(bytes.clone());
                assert_total(*provider, &case, &HttpReply { status, headers: HeaderMap::new(), body });
            }
        }
    }
}
