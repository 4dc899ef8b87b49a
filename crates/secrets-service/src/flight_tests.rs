use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::flight::{Flights, Full, Lost, Outcome};
use crate::sync::{Arc, lock};

type Table = Flights<&'static str, Result<u32, String>>;

#[tokio::test(start_paused = true)]
async fn ten_thousand_callers_make_one_request_and_share_its_answer() {
    let (table, calls) = (Table::new(8), Arc::new(AtomicUsize::new(0)));
    let waits: Vec<_> = (0..10_000)
        .map(|_| {
            let calls = Arc::clone(&calls);
            table
                .join("k", |_| async move {
                    calls.fetch_add(1, Ordering::SeqCst);
                    tokio::time::sleep(Duration::from_millis(10)).await;
                    Ok(7)
                })
                .unwrap()
        })
        .collect();
    for wait in waits {
        assert_eq!(wait.await, Ok(Ok(7)));
    }
    assert_eq!(calls.load(Ordering::SeqCst), 1);
    assert!(table.is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_error_is_shared_too() {
    let table = Table::new(8);
    let first = table.join("k", |_| async { Err("sealed".to_owned()) }).unwrap();
    let second = table.join("k", |_| async { Ok(1) }).unwrap();
    assert_eq!(first.await, Ok(Err("sealed".to_owned())));
    assert_eq!(second.await, Ok(Err("sealed".to_owned())));
}

#[tokio::test(start_paused = true)]
async fn a_caller_that_leaves_does_not_take_the_flight_along() {
    let table = Table::new(8);
    let slow = |_| async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(1)
    };
    let leader = table.join("k", slow).unwrap();
    let follower = table.join("k", slow).unwrap();
    assert!(tokio::time::timeout(Duration::from_millis(5), leader).await.is_err());
    assert_eq!(follower.await, Ok(Ok(1)));
}

#[tokio::test(start_paused = true)]
async fn a_panic_reaches_everyone_as_lost_and_the_key_is_free_again() {
    let table = Table::new(8);
    let panics = table.join("k", |_| async { panic!("a bug in the fetcher") }).unwrap();
    let follower = table.join("k", |_| async { Ok(1) }).unwrap();
    assert_eq!(panics.await, Err(Lost));
    assert_eq!(follower.await, Err(Lost));
    assert_eq!(table.join("k", |_| async { Ok(2) }).unwrap().await, Ok(Ok(2)));
}

#[tokio::test(start_paused = true)]
async fn a_superseded_flight_stores_nothing_but_still_answers() {
    let (table, stored) = (Table::new(8), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&stored);
    let old = table
        .join("k", move |ticket| async move {
            tokio::time::sleep(Duration::from_secs(1)).await;
            ticket.commit(|| {
                count.fetch_add(1, Ordering::SeqCst);
            });
            Ok(1)
        })
        .unwrap();
    table.supersede(&"k", || ());
    let new =
        table.join("k", |ticket| async move { if ticket.commit(|| ()) { Ok(2) } else { Ok(0) } }).unwrap();
    assert_eq!(new.await, Ok(Ok(2)));
    assert_eq!(old.await, Ok(Ok(1)));
    assert_eq!(stored.load(Ordering::SeqCst), 0);
    assert!(table.is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_table_is_bounded() {
    let table = Table::new(1);
    let held = table.join("a", |_| std::future::pending()).unwrap();
    assert_eq!(table.join("b", |_| async { Ok(1) }).err(), Some(Full));
    assert!(table.join("a", |_| async { Ok(1) }).is_ok(), "joining what is under way takes no place");
    drop(held);
}

#[tokio::test(start_paused = true)]
async fn callers_that_come_and_go_do_not_add_up() {
    let table = Table::new(1);
    let held = table.join("a", |_| std::future::pending()).unwrap();
    for _ in 0..1_000 {
        let waiting = table.join("a", |_| async { Ok(1) }).unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(1), waiting).await.is_err());
    }
    let Outcome::Pending(waiters) = &*lock(&held.flight.outcome) else { panic!("still pending") };
    assert!(waiters.places.len() <= 1, "{}", waiters.places.len());
}
