//! What must hold when all is over: nothing lost, nothing paid twice, every answer true.

use crate::client::{Got, bytes, fingerprint};
use crate::comparison::{Dispute, compare, hits};
use crate::world::World;
use gallerist_store::{AttemptStatus, RequestDetail, RequestFilter, RequestStatus, Store};
use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// Faults of the stand-ins after which nobody can know what was charged.
const AMBIGUOUS: &[&str] = &[
    "reset_before",
    "reset_after",
    "truncated",
    "stream_cut",
    "malformed",
    "500",
    "502",
    "task_error",
    "completed_error",
    "stream_error",
    "oom",
    "moderation",
    "moderation_billed",
    "content_moderated",
    "moderation_output",
    "hang",
];

/// Everything that the store holds of requests, the oldest first.
pub async fn requests(store: &Store) -> Vec<RequestDetail> {
    let filter = RequestFilter { limit: 1_000, ..RequestFilter::default() };
    let page = store.requests(filter).await.expect("the store reads");
    assert!(!page.has_more, "a run has fewer requests");
    let mut details = Vec::new();
    for request in page.requests.iter().rev() {
        details.push(store.request(request.id).await.expect("the store reads").expect("it is listed"));
    }
    details
}

/// Looks at the books, and notes what is wrong.
pub async fn check(world: &World, store: &Store, got: &[Got]) {
    let transcript = &world.transcript;
    let books = store.books().await.expect("the store reads");
    if !books.balance() {
        transcript.violation(format!("the books do not balance: {books:?}"));
    }
    let details = requests(store).await;
    for detail in &details {
        summary(world, detail);
        if detail.request.status == RequestStatus::Running {
            transcript.violation("a request has not ended");
        }
        if detail.attempts.iter().any(|attempt| attempt.status == AttemptStatus::Reserved) {
            transcript.violation("a reservation is left open");
        }
    }
    bills(world, &details);
    bought_once(world, &details);
    answers(world, &details, got);
}

/// The end of each request in the transcript.
fn summary(world: &World, detail: &RequestDetail) {
    let request = &detail.request;
    let wish = wish_of(world, detail);
    let attempts: Vec<String> = detail
        .attempts
        .iter()
        .map(|attempt| {
            format!("{} {} {} of {}", attempt.offer, attempt.status, attempt.charged, attempt.reserved)
        })
        .collect();
    let (status, charged, images) = (request.status, request.charged, request.images_delivered);
    world.transcript.note(format!(
        "wish {wish} in the books: {status}, {charged} USD, {images} pictures; {}",
        attempts.join("; ")
    ));
}

fn wish_of(world: &World, detail: &RequestDetail) -> usize {
    let wishes = world.scenario.wishes.iter();
    let found =
        wishes.map(|wish| wish.number).find(|number| fingerprint(*number) == detail.request.fingerprint);
    found.expect("each request is of a wish")
}

/// Each stand-in's bill is what the ledger charged, but for what is disputed; each dispute has its cause.
fn bills(world: &World, details: &[RequestDetail]) {
    let attempts: Vec<_> = details.iter().flat_map(|detail| detail.attempts.clone()).collect();
    for provider in &world.providers {
        let bill = provider.ctx.bill.entries();
        let compared = catch_unwind(AssertUnwindSafe(|| compare(provider.kind, &bill, &attempts, true)));
        match compared {
            Ok(disputes) => causes(world, provider.kind, &disputes),
            Err(panic) => {
                let words = panic.downcast_ref::<String>().map_or("a bill does not match", String::as_str);
                world.transcript.violation(words);
            }
        }
    }
}

/// A dispute is an event after which nobody could know, or a call that was cut off by an end.
fn causes(world: &World, kind: &str, disputes: &[Dispute]) {
    let cuts = world.cuts.lock().expect("no holder panics").clone();
    let mut events: u64 = {
        let struck = hits(&world.provider(kind).ctx.faults.to_json());
        struck.iter().filter(|(name, _)| AMBIGUOUS.contains(&name.as_str())).map(|(_, count)| count).sum()
    };
    let met = world.transcript.met();
    events +=
        ["request lost", "reply lost", "redirect"].iter().filter_map(|event| met.get(event)).sum::<u64>();
    let mut by_faults = 0;
    for Dispute { attempt, .. } in disputes {
        world.transcript.meet("dispute");
        let ended = attempt.ended_at.expect("no attempt is open");
        let cut = cuts.iter().any(|(from, to)| attempt.created_at <= *to && *from <= ended);
        let timed_out = attempt.fault_json.as_deref().is_some_and(|fault| fault.contains("\"timeout\""));
        match (&attempt.fault_json, cut, timed_out) {
            (_, true, _) | (_, _, true) => {}
            (None, false, _) => {
                world.transcript.violation(format!("{kind}: nothing ended during {attempt:?}"))
            }
            (Some(_), false, false) => by_faults += 1,
        }
    }
    if by_faults > events {
        world
            .transcript
            .violation(format!("{kind}: {by_faults} disputes, but only {events} events explain one"));
    }
}

/// One payment for one wish: of the requests that it became, at most one has or may have cost something. So for
/// wishes under one key, too.
fn bought_once(world: &World, details: &[RequestDetail]) {
    let mut costly: BTreeMap<String, u32> = BTreeMap::new();
    for detail in details {
        let wish = &world.scenario.wishes[wish_of(world, detail)];
        let name = wish.key.clone().unwrap_or_else(|| format!("wish {}", wish.number));
        let request = &detail.request;
        let cost = !request.charged.is_zero() || !request.disputed.is_zero();
        *costly.entry(name).or_default() += u32::from(cost);
    }
    for (name, times) in costly {
        if times > 1 {
            world.transcript.violation(format!("{name} was or may have been bought {times} times"));
        }
    }
}

/// Whoever got an answer got the pictures of the own wish, at the price that the books say.
fn answers(world: &World, details: &[RequestDetail], got: &[Got]) {
    let transcript = &world.transcript;
    for Got { wish, meta, images } in got {
        let Some(detail) = details.iter().find(|detail| detail.request.id == meta.request_id) else {
            transcript.violation(format!("wish {wish} was answered by a request that is not in the books"));
            continue;
        };
        let request = &detail.request;
        if request.fingerprint != fingerprint(*wish) {
            transcript.violation(format!("wish {wish} was answered by another wish's request"));
        }
        let prompt = world.scenario.wishes[*wish].request.prompt.as_bytes();
        for image in images {
            if !bytes(image).windows(prompt.len()).any(|part| part == prompt) {
                transcript.violation(format!("wish {wish} got the picture of another prompt"));
            }
        }
        if images.is_empty() || images.len() > request.n as usize {
            transcript.violation(format!("wish {wish} got {} pictures of {}", images.len(), request.n));
        }
        let (told, booked) = (meta.cost.charged_usd, request.charged);
        let in_doubt = meta.cost.disputed_usd.unwrap_or_default();
        // A dispute holds the maximum, and knows no more.
        let beyond = meta.cost.overrun_usd.unwrap_or_default();
        // What was in doubt when it was answered may have been cleared up since; what could not be written down
        // is in doubt now.
        let fits = told - beyond <= booked + request.disputed && booked <= told + in_doubt;
        if !fits {
            transcript.violation(format!(
                "wish {wish} was told {told} USD, the books say {booked} USD: {detail:?}"
            ));
        }
    }
}
