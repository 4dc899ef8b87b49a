use proptest::prelude::*;

use super::*;

fn breaker() -> Breaker {
    Breaker::new(BreakerSettings::default())
}

fn fail(breaker: &Breaker, now: Instant, times: u32) {
    for _ in 0..times {
        breaker.acquire(now).expect("closed").failure(now);
    }
}

#[test]
fn four_failures_do_not_open_and_a_success_forgets_them() {
    let (breaker, now) = (breaker(), Instant::now());
    fail(&breaker, now, 4);
    assert_eq!(breaker.state(), BreakerState::Closed);
    assert_eq!(breaker.failing_since(), Some(now));
    breaker.acquire(now).unwrap().success();
    assert_eq!(breaker.failing_since(), None);
    fail(&breaker, now, 4);
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn an_open_breaker_says_since_when_and_lets_one_probe_through() {
    let (breaker, start) = (breaker(), Instant::now());
    fail(&breaker, start, 5);
    let Err(Refusal::Open { since, retry_in }) = breaker.acquire(start) else { panic!("must refuse") };
    assert_eq!(since, start);
    assert!(
        retry_in >= Duration::from_millis(750) && retry_in <= Duration::from_millis(1_250),
        "{retry_in:?}"
    );

    let later = start + retry_in;
    let probe = breaker.acquire(later).expect("one probe");
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    assert!(breaker.acquire(later).is_err(), "only one");
    probe.success();
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn a_failed_probe_opens_for_longer() {
    let (breaker, start) = (breaker(), Instant::now());
    fail(&breaker, start, 5);
    let at = start + Duration::from_millis(1_250);
    breaker.acquire(at).unwrap().failure(at);
    let Err(Refusal::Open { retry_in, .. }) = breaker.acquire(at) else { panic!("must refuse") };
    assert!(retry_in >= Duration::from_millis(1_500), "{retry_in:?}");
}

#[test]
fn a_cancelled_probe_gives_its_place_back() {
    let (breaker, start) = (breaker(), Instant::now());
    fail(&breaker, start, 5);
    let at = start + Duration::from_secs(2);
    drop(breaker.acquire(at).unwrap());
    assert!(breaker.acquire(at).is_ok());
}

#[test]
fn a_straggler_neither_closes_nor_reopens() {
    let (breaker, start) = (breaker(), Instant::now());
    let (early_ok, early_bad) = (breaker.acquire(start).unwrap(), breaker.acquire(start).unwrap());
    fail(&breaker, start, 5);
    early_ok.success();
    assert_eq!(breaker.state(), BreakerState::Open);
    let at = start + Duration::from_secs(2);
    let probe = breaker.acquire(at).unwrap();
    early_bad.failure(at);
    assert_eq!(breaker.state(), BreakerState::HalfOpen);
    probe.success();
    assert_eq!(breaker.state(), BreakerState::Closed);
}

#[test]
fn a_pause_holds_everything_back_but_is_no_failure() {
    let (breaker, start) = (breaker(), Instant::now());
    breaker.pause(start, Duration::from_secs(7));
    breaker.pause(start, Duration::from_secs(1));
    let almost = start + Duration::from_millis(6_999);
    assert_eq!(breaker.acquire(almost).unwrap_err(), Refusal::Paused { retry_in: Duration::from_millis(1) });
    assert_eq!(breaker.state(), BreakerState::Closed);
    assert!(breaker.acquire(start + Duration::from_secs(7)).is_ok());
}

#[test]
fn silence_counts_from_the_first_request_without_a_good_answer() {
    let (breaker, start) = (breaker(), Instant::now());
    let second = start + Duration::from_secs(1);
    assert_eq!(breaker.unserved_since(), None);
    let waiting = breaker.acquire(start).unwrap();
    assert_eq!(breaker.unserved_since(), Some(start), "it waits");
    breaker.acquire(second).unwrap().failure(second);
    assert_eq!((breaker.unserved_since(), breaker.failing_since()), (Some(start), Some(second)));
    waiting.turned_away(second);
    assert_eq!((breaker.unserved_since(), breaker.failing_since()), (Some(start), None), "429 is no service");
    let early = breaker.acquire(start).unwrap();
    breaker.acquire(second).unwrap().success();
    assert_eq!(breaker.unserved_since(), None);
    early.turned_away(second);
    assert_eq!(breaker.unserved_since(), Some(second), "there was a good answer meanwhile");
}

#[test]
fn a_cancelled_request_says_nothing_about_vault() {
    let (breaker, start) = (breaker(), Instant::now());
    drop(breaker.acquire(start).unwrap());
    assert_eq!(breaker.unserved_since(), None);
    let second = start + Duration::from_secs(1);
    fail(&breaker, start, 1);
    drop(breaker.acquire(second).unwrap());
    assert_eq!(breaker.unserved_since(), Some(start), "what has failed before stays known");
}

/// The simplest thing that could be right: what the breaker must look like after a sequence of answers,
/// each given at once to whoever is let through.
#[derive(Debug)]
enum Model {
    Closed(u32),
    Open { earliest: Instant, latest: Instant },
}

proptest! {
    #[test]
    fn behaves_as_the_model_says(steps in proptest::collection::vec((0u64..3_000, any::<bool>()), 1..200)) {
        let breaker = breaker();
        let mut now = Instant::now();
        let (mut model, mut openings) = (Model::Closed(0), 0u32);
        for (ms, ok) in steps {
            now += Duration::from_millis(ms);
            let permit = breaker.acquire(now);
            match model {
                Model::Closed(_) => prop_assert!(permit.is_ok()),
                Model::Open { earliest, .. } if now < earliest => prop_assert!(permit.is_err()),
                Model::Open { latest, .. } if now >= latest => prop_assert!(permit.is_ok()),
                Model::Open { .. } => {} // inside the jitter: either is right
            }
            let Ok(permit) = permit else { continue };
            if ok {
                permit.success();
                (model, openings) = (Model::Closed(0), 0);
                prop_assert_eq!(breaker.state(), BreakerState::Closed);
                continue;
            }
            permit.failure(now);
            model = match model {
                Model::Closed(n) if n + 1 < 5 => Model::Closed(n + 1),
                _ => {
                    let settings = BreakerSettings::default();
                    let (low, high) = (settings.open_for.delay_with(openings, 0.0), settings.open_for.delay_with(openings, 1.0));
                    openings += 1;
                    Model::Open { earliest: now + low, latest: now + high }
                }
            };
            let expected = if matches!(model, Model::Closed(_)) { BreakerState::Closed } else { BreakerState::Open };
            prop_assert_eq!(breaker.state(), expected);
        }
    }
}
