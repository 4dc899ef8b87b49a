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
async fn a_panic_after_a_while_is_lost_too_and_the_caller_lives() {
    let table = Table::new(8);
    let panics = |_| async {
        tokio::task::yield_now().await;
        panic!("a bug in the fetcher")
    };
    assert_eq!(table.join("k", panics).unwrap().await, Err(Lost));
    assert!(table.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_panic_before_the_work_exists_frees_the_key() {
    let table = Table::new(8);
    let broken = std::panic::AssertUnwindSafe(|| {
        table.join("k", |_| -> std::future::Ready<_> { panic!("a bug in the fetcher") }).is_ok()
    });
    assert!(std::panic::catch_unwind(broken).is_err());
    assert!(table.is_empty());
}

/// Which task the work ends in: the caller's own (1) or another (0).
async fn ends_in_the_task(callers: tokio::task::Id, after: Duration) -> Result<u32, String> {
    tokio::time::sleep(after).await;
    Ok(u32::from(tokio::task::id() == callers))
}

#[tokio::test(start_paused = true)]
async fn a_caller_alone_does_the_work_itself_unless_it_takes_long() {
    let table = Table::new(8);
    for (after, in_own_task) in [(Duration::from_millis(2), 1), (Duration::from_millis(200), 0)] {
        let table = table.clone();
        let caller = tokio::spawn(async move {
            let own = tokio::task::id();
            table.join("k", move |_| ends_in_the_task(own, after)).unwrap().await
        });
        assert_eq!(caller.await.unwrap(), Ok(Ok(in_own_task)), "{after:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_first_caller_that_is_not_polled_does_not_hold_up_the_next_one() {
    let table = Table::new(8);
    let work = |_| async {
        tokio::task::yield_now().await;
        Ok(1)
    };
    let start = tokio::time::Instant::now();
    let mut busy = Box::pin(table.join("k", work).unwrap());
    assert!(still_pending(busy.as_mut()));
    assert_eq!(table.join("k", work).unwrap().await, Ok(Ok(1)));
    assert_eq!(start.elapsed(), Duration::ZERO, "it did not even have to wait for the alarm");
    assert!(!still_pending(busy.as_mut()));
}

#[tokio::test(start_paused = true)]
async fn work_begun_in_one_runtime_is_finished_when_its_caller_is_dropped_outside_of_it() {
    let table = Table::new(8);
    let (told, hears) = tokio::sync::oneshot::channel();
    let mut waiting = Box::pin(
        table
            .join("k", |_| async {
                tokio::task::yield_now().await;
                told.send(()).ok();
                Ok(1)
            })
            .unwrap(),
    );
    assert!(still_pending(waiting.as_mut()));
    std::thread::spawn(move || drop(waiting)).join().unwrap();
    hears.await.unwrap();
}

/// Polls once; says whether it is still pending.
fn still_pending<F: Future>(future: std::pin::Pin<&mut F>) -> bool {
    future.poll(&mut std::task::Context::from_waker(std::task::Waker::noop())).is_pending()
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
    let Outcome::Pending(aloft) = &*lock(&held.flight.outcome) else { panic!("still pending") };
    assert!(aloft.waiters.places.len() <= 1, "{}", aloft.waiters.places.len());
}
