//! Answers that compete for the room to be held in.

use super::*;
use crate::answer::tests::{meta, state, two_pictures};
use gallerist_domain::RequestId;
use gallerist_engine::AnswerMeta;
use jiff::Timestamp;

/// Room for one of the answers, not for two.
const ROOM: usize = 100_000;

fn answer() -> Answer {
    let meta = AnswerMeta { request_id: RequestId::generate(), ..meta() };
    Answer { meta: Arc::new(meta), ..two_pictures() }
}

async fn on_disk(state: &AppState, answer: &Answer) -> u32 {
    let request = answer.meta.request_id;
    state.engine().store().picture_count(request, Timestamp::now()).await.unwrap()
}

#[tokio::test]
async fn an_answer_waits_for_its_turn_behind_a_fast_client() {
    let state = state(ROOM).await;
    let (first, second) = (answer(), answer());
    let mut sent = state.retention().take(&state, first.clone()).await;
    let mut waiting = pin!(state.retention().take(&state, second.clone()));
    assert!(timeout(TURN / 4, &mut waiting).await.is_err(), "there is no room");
    sent.delivered();
    timeout(TURN, waiting).await.expect("its turn has come").delivered();
    assert_eq!(on_disk(&state, &first).await + on_disk(&state, &second).await, 0);
}

#[tokio::test]
async fn a_slow_client_makes_room_by_way_of_the_disk_and_loses_nothing() {
    let state = state(ROOM).await;
    let (slow, next) = (answer(), answer());
    let held = state.retention().take(&state, slow.clone()).await;
    tokio::time::sleep(SLOW).await;
    let mut sent = state.retention().take(&state, next.clone()).await;
    assert_eq!(on_disk(&state, &slow).await, 2, "it was put on disk while it is sent");
    assert!(held.slot.as_ref().unwrap().held().is_none(), "and is held no more");
    sent.delivered();
    assert_eq!(on_disk(&state, &next).await, 0);
    // Now the slow client goes away after all.
    drop(held);
    state.engine().shut_down(10_000).await;
    let picture = state.engine().store().picture(slow.meta.request_id, 1, Timestamp::now()).await.unwrap();
    assert_eq!(picture.expect("it was kept").data[0], 1);
}

#[tokio::test]
async fn an_answer_whose_client_leaves_while_it_waits_is_kept() {
    let state = state(ROOM).await;
    let (first, second) = (answer(), answer());
    let sent = state.retention().take(&state, first.clone()).await;
    let waited = timeout(TURN / 4, state.retention().take(&state, second.clone())).await;
    assert!(waited.is_err(), "there is no room");
    drop(sent);
    state.engine().shut_down(10_000).await;
    assert_eq!((on_disk(&state, &first).await, on_disk(&state, &second).await), (2, 2));
}
