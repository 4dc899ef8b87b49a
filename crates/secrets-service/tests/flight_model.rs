//! The single flight under a model checker: in every interleaving that the scheduler tries each caller gets
//! an answer, no second flight runs beside a current one, and no superseded flight stores.
//!
//! The module under test is compiled into this test once more, on top of the checker's own primitives.
#![allow(
    clippy::expect_used,
    missing_docs,
    unreachable_pub,
    dead_code,
    clippy::unused_self,
    clippy::unnecessary_wraps,
    reason = "a test; and one module of the crate, seen alone"
)]

#[path = "../src/flight.rs"]
mod flight;

/// The model checker's primitives, in the place of `src/sync.rs`.
mod sync {
    use std::time::Duration;

    use shuttle::sync::MutexGuard;
    pub(crate) use shuttle::sync::{Arc, Mutex};

    pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    pub(crate) struct Home;

    impl Home {
        pub(crate) fn here() -> Self {
            Self
        }

        pub(crate) fn spawn(self, work: impl Future<Output = ()> + Send + 'static) {
            drop(shuttle::future::spawn(work));
        }
    }

    /// The checker ends its own tasks by panics, which must not be caught.
    pub(crate) fn uncaught<R>(f: impl FnOnce() -> R) -> Option<R> {
        Some(f())
    }

    #[derive(Debug)]
    pub(crate) struct Alarm;

    /// The clock may strike at any point, even a little after nobody wants it any more.
    pub(crate) fn alarm(_after: Duration, then: impl Fn() + Send + Sync + 'static) -> Alarm {
        drop(shuttle::future::spawn(async move { then() }));
        Alarm
    }
}

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use flight::{Flights, Lost, Ticket};
use shuttle::future;
use shuttle::sync::Arc;
use shuttle::sync::atomic::{AtomicUsize, Ordering};

const SCHEDULES: usize = 10_000;

type Table = Flights<&'static str, usize>;

/// Random and priority-based (PCT) schedules: the second finds bugs that need few but unlikely switches.
fn check(body: impl Fn() + Send + Sync + Clone + 'static) {
    shuttle::check_random(body.clone(), SCHEDULES);
    shuttle::check_pct(body, SCHEDULES, 3);
}

async fn takes_a_while(value: usize) -> usize {
    future::yield_now().await;
    future::yield_now().await;
    value
}

#[test]
fn overlapping_callers_share_one_flight_at_a_time() {
    check(|| {
        let (table, running) = (Table::new(4), Arc::new(AtomicUsize::new(0)));
        let caller = || {
            let (table, running) = (table.clone(), Arc::clone(&running));
            future::spawn(async move {
                let wait = table.join("k", move |_| async move {
                    assert_eq!(running.fetch_add(1, Ordering::SeqCst), 0, "two flights at once");
                    let value = takes_a_while(5).await;
                    running.fetch_sub(1, Ordering::SeqCst);
                    value
                });
                assert_eq!(wait.expect("not full").await, Ok(5));
            })
        };
        let callers = [caller(), caller(), caller()];
        for caller in callers {
            future::block_on(caller).expect("no caller panics");
        }
        assert!(table.is_empty());
    });
}

#[test]
fn a_cancelled_leader_strands_nobody() {
    check(|| {
        let table = Table::new(4);
        let caller = || {
            let table = table.clone();
            future::spawn(async move { table.join("k", |_| takes_a_while(9)).expect("not full").await })
        };
        let (leader, follower) = (caller(), caller());
        leader.abort();
        // Waited for, so that it is dropped inside the schedule and not after it.
        let _ = future::block_on(leader);
        assert_eq!(future::block_on(follower).expect("not cancelled"), Ok(9));
    });
}

/// Polls once, with a waker that wakes nobody: a caller that is then busy with something else.
fn poll_once<F: Future>(future: std::pin::Pin<&mut F>) -> Poll<F::Output> {
    future.poll(&mut Context::from_waker(Waker::noop()))
}

#[test]
fn a_first_caller_that_is_never_polled_again_holds_up_nobody() {
    check(|| {
        let table = Table::new(4);
        let mut busy = pin!(table.join("k", |_| takes_a_while(6)).expect("not full"));
        let follower = {
            let table = table.clone();
            future::spawn(async move { table.join("k", |_| takes_a_while(7)).expect("not full").await })
        };
        let _ = poll_once(busy.as_mut());
        // 7: the first flight had landed before it came.
        assert!(matches!(future::block_on(follower).expect("not cancelled"), Ok(6 | 7)));
        assert_eq!(future::block_on(busy), Ok(6));
        assert!(table.is_empty());
    });
}

#[test]
fn work_whose_only_caller_is_never_polled_again_ends_all_the_same() {
    check(|| {
        let (table, done) = (Table::new(4), Arc::new(AtomicUsize::new(0)));
        let count = Arc::clone(&done);
        let work = move |_| async move {
            let value = takes_a_while(8).await;
            count.fetch_add(1, Ordering::SeqCst);
            value
        };
        let mut busy = pin!(table.join("k", work).expect("not full"));
        let _ = poll_once(busy.as_mut());
        while done.load(Ordering::SeqCst) == 0 {
            shuttle::thread::yield_now();
        }
        assert_eq!(future::block_on(busy), Ok(8));
    });
}

#[test]
fn the_answer_arrives_though_its_only_caller_has_left_at_any_point() {
    check(|| {
        let (table, stored) = (Table::new(4), Arc::new(AtomicUsize::new(0)));
        let store = Arc::clone(&stored);
        let caller = {
            let table = table.clone();
            future::spawn(async move {
                let work = move |ticket: Ticket<_, _>| async move {
                    let value = takes_a_while(9).await;
                    ticket.commit(|| store.store(value, Ordering::SeqCst));
                    value
                };
                table.join("k", work).expect("not full").await
            })
        };
        caller.abort();
        let began = future::block_on(caller).is_ok() || !table.is_empty();
        while began && stored.load(Ordering::SeqCst) == 0 {
            shuttle::thread::yield_now();
        }
        assert!(!began || stored.load(Ordering::SeqCst) == 9);
    });
}

/// What a panic and a runtime's shutdown do to a task: it is dropped at some point, and its guard with it.
/// (A real panic would end the checker's run; that one is in `flight_tests.rs`.)
#[test]
fn a_task_that_dies_at_any_point_strands_nobody() {
    check(|| {
        let table = Table::new(4);
        let (leader, ticket) = table.enter("k").expect("not full");
        let task = future::spawn(ticket.expect("first to come").run(takes_a_while(3)));
        let follower = {
            let table = table.clone();
            future::spawn(async move { table.join("k", |_| takes_a_while(4)).expect("not full").await })
        };
        task.abort();
        let _ = future::block_on(task);
        assert!(matches!(future::block_on(leader), Ok(3) | Err(Lost)));
        assert!(matches!(future::block_on(follower).expect("not cancelled"), Ok(3 | 4) | Err(Lost)));
    });
}

#[test]
fn a_read_that_overlaps_a_write_never_leaves_the_old_value_in_the_cache() {
    const EMPTY: usize = 0;
    const OLD: usize = 1;
    const NEW: usize = 2;
    check(|| {
        let table = Table::new(4);
        let (vault, cache) = (Arc::new(AtomicUsize::new(OLD)), Arc::new(AtomicUsize::new(EMPTY)));
        let reader = || {
            let (table, vault, cache) = (table.clone(), Arc::clone(&vault), Arc::clone(&cache));
            future::spawn(async move {
                let work = move |ticket: Ticket<_, _>| async move {
                    let value = vault.load(Ordering::SeqCst);
                    future::yield_now().await;
                    ticket.commit(|| cache.store(value, Ordering::SeqCst));
                    value
                };
                table.join("k", work).expect("not full").await
            })
        };
        let writer = {
            let (table, vault, cache) = (table.clone(), Arc::clone(&vault), Arc::clone(&cache));
            future::spawn(async move {
                vault.store(NEW, Ordering::SeqCst);
                future::yield_now().await;
                table.supersede(&"k", || cache.store(EMPTY, Ordering::SeqCst));
            })
        };
        let readers = [reader(), reader()];
        future::block_on(writer).expect("writes");
        for reader in readers {
            assert!(future::block_on(reader).expect("reads").is_ok());
        }
        assert_ne!(cache.load(Ordering::SeqCst), OLD, "the old value outlived the write");
    });
}
