//! The writer panics over the books: who asks is told, whoever watches hears of it, and the next opening goes on.

use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::timeout;

use super::support::*;
use crate::*;

const SOON: Duration = Duration::from_secs(10);

/// A command as no rule has one.
async fn panic_over(store: &Store) {
    let broken = store.clone();
    let panicking = tokio::spawn(async move {
        broken.write(|_| -> Result<(), StoreError> { panic!("a fault of a rule") }).await
    });
    let outcome = timeout(SOON, panicking).await.expect("nobody waits for ever");
    assert!(matches!(outcome, Ok(Err(StoreError::Closed))), "{outcome:?}");
}

#[tokio::test]
async fn a_panic_of_the_writer_breaks_the_store_for_everybody_to_hear_and_another_opening_goes_on() {
    let place = place();
    let store = place.open();
    let (request, attempt) = reserved(&store, &default(), 100).await;
    assert!(timeout(Duration::from_millis(50), store.broken()).await.is_err(), "all is well");
    panic_over(&store).await;
    timeout(SOON, store.broken()).await.expect("whoever watches hears of it");
    let end = || conclusion(request, vec![(attempt, settled(5, 1))], Some(finish(RequestStatus::Succeeded)));
    let refused = timeout(SOON, store.conclude(end())).await.expect("it is answered");
    assert!(matches!(refused, Err(StoreError::Closed)), "{refused:?}");
    assert!(matches!(timeout(SOON, store.books()).await, Ok(Err(StoreError::Closed))));
    let told = Arc::new(Mutex::new(None));
    let tell = Arc::clone(&told);
    store.conclude_later(end(), move |kept, error| *tell.lock().unwrap() = Some((kept.request, error)));
    let told = told.lock().unwrap().take();
    assert!(matches!(told, Some((of, StoreError::Closed)) if of == request), "{told:?}");
    drop(store);

    let store = place.open();
    store.take_over().await.unwrap();
    let open = store.open_attempts().await.unwrap();
    assert_eq!(open.iter().map(|open| open.id).collect::<Vec<_>>(), [attempt], "it is on disk");
    store.conclude(end()).await.unwrap();
    check_books(&store).await;
}

fn default() -> gallerist_domain::ProjectId {
    gallerist_domain::ProjectId::default_project()
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_patiently_or_in_the_queue_is_answered_when_it_breaks() {
    let store = store();
    let (request, attempt) = reserved(&store, &default(), 100).await;
    let (tell, told) = tokio::sync::oneshot::channel();
    let end = conclusion(request, vec![(attempt, settled(5, 1))], None);
    // It rides with the group that breaks, or is found waiting.
    store.conclude_later(end, move |_, error| drop(tell.send(error)));
    let asking = (0..64).map(|_| {
        let store = Store::clone(&store);
        tokio::spawn(async move { store.flush().await })
    });
    let asking: Vec<_> = asking.collect();
    panic_over(&store).await;
    for asked in asking {
        // Before it broke, or not at all.
        let answer = timeout(SOON, asked).await.expect("nobody waits for ever");
        assert!(matches!(answer, Ok(Ok(()) | Err(StoreError::Closed))), "{answer:?}");
    }
    // Written before it broke, gone with the group that broke, or told: nobody waits for ever.
    let _ = timeout(SOON, told).await.expect("it is let go of");
    timeout(SOON, store.broken()).await.expect("it is heard of");
}

#[tokio::test]
async fn closing_in_order_is_no_break() {
    let store = store();
    store.close().await.unwrap();
    assert!(timeout(Duration::from_millis(50), store.broken()).await.is_err());
}
