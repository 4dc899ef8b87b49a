#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use proptest::prelude::*;

use super::*;

impl Engine<u32> {
    /// What the parts say of each other.
    fn assert_consistent(&self) {
        let mut planned: HashMap<i64, u32> = HashMap::new();
        let mut busy = BusySeconds { start: self.busy.start, attempts: HashMap::new() };
        for (key, tracked) in &self.tracked {
            let on_agenda = self.agenda.get(&tracked.slot) == Some(key);
            assert_eq!(on_agenda, tracked.next().is_some(), "{key} {tracked:?}");
            assert!(!on_agenda || Some(tracked.slot.0) == tracked.next());
            if let Some(attempt) = tracked.attempt_at {
                *planned.entry(busy.second(attempt)).or_default() += 1;
            }
        }
        assert_eq!(self.agenda.len(), self.tracked.values().filter(|t| t.next().is_some()).count());
        assert_eq!(self.busy.attempts, planned);
    }
}

fn engine(seed: u64) -> Engine<u32> {
    Engine::with_random(fastrand::Rng::with_seed(seed))
}

fn seconds(seconds: f64) -> Duration {
    Duration::from_secs_f64(seconds)
}

#[derive(Debug, Clone)]
enum Step {
    Grant(u32, f64, Sort),
    Extend(f64),
    Fail,
    Hasten(u32, f64),
    End(u32),
    Forget(u32),
    Wait(f64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let key = 0u32..5;
    let life = prop_oneof![0.0..3.0f64, 3.0..4_000.0, 1e5..1e9];
    let sort = prop_oneof![Just(Sort::Renewable), Just(Sort::Fixed), Just(Sort::Rotating)];
    let step = prop_oneof![
        3 => (key.clone(), life.clone(), sort).prop_map(|(k, l, s)| Step::Grant(k, l, s)),
        3 => life.prop_map(Step::Extend),
        3 => Just(Step::Fail),
        1 => (key.clone(), 0.0..100.0f64).prop_map(|(k, w)| Step::Hasten(k, w)),
        1 => key.clone().prop_map(Step::End),
        1 => key.prop_map(Step::Forget),
        6 => prop_oneof![0.0..2.0f64, 0.0..2_000.0, 0.0..1e8].prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..120)
}

/// The same rules, kept in the plainest way: what each lease has been told since its grant, and nothing else.
#[derive(Debug, Default)]
struct Model {
    leases: HashMap<u32, Modelled>,
}

#[derive(Debug)]
struct Modelled {
    grant: Grant,
    under_way: bool,
    warned: bool,
    ended: bool,
}

impl Model {
    fn granted(&mut self, key: u32, grant: Grant) {
        self.leases.insert(key, Modelled { grant, under_way: false, warned: false, ended: false });
    }

    fn told(&mut self, key: u32, due: Due, now: Instant) {
        let lease = self.leases.get_mut(&key).expect("only what is tracked is due");
        match due {
            Due::Attend => {
                assert!(!lease.under_way, "attended to twice at once");
                lease.under_way = true;
            }
            Due::Expiring => {
                assert!(!lease.warned && !lease.ended && now < lease.grant.ends);
                assert!(now >= lease.grant.ends - margin(lease.grant.ends - lease.grant.at));
                lease.warned = true;
            }
            Due::Ended => {
                assert!(!lease.ended && lease.grant.ends <= now);
                lease.ended = true;
            }
        }
    }

    fn assert_nothing_was_missed(&self, now: Instant) {
        for (key, lease) in &self.leases {
            if lease.grant.sort != Sort::Rotating {
                assert_eq!(lease.ended, lease.grant.ends <= now, "{key}: {lease:?}");
            }
        }
    }
}

proptest! {
    #[test]
    fn agrees_with_the_model_whatever_happens(seed: u64, steps in steps()) {
        let start = Instant::now();
        let (mut engine, mut model, mut now) = (engine(seed), Model::default(), start);
        let mut under_way: Vec<u32> = Vec::new();
        for step in steps {
            match step {
                Step::Grant(key, life, sort) => {
                    let grant = Grant::new(now, seconds(life), sort);
                    engine.granted(key, grant);
                    model.granted(key, grant);
                }
                Step::Extend(life) => {
                    if let Some(key) = under_way.pop().filter(|key| model.leases.contains_key(key)) {
                        let grant = Grant::new(now, seconds(life), Sort::Renewable);
                        engine.extended(key, grant);
                        model.granted(key, grant);
                    }
                }
                Step::Fail => {
                    if let Some(key) = under_way.pop()
                        && let Some(lease) = model.leases.get_mut(&key).filter(|lease| lease.under_way)
                    {
                        engine.failed(&key, now);
                        lease.under_way = false;
                    }
                }
                Step::Hasten(key, within) => engine.hasten(&key, now, seconds(within)),
                Step::End(key) => {
                    prop_assert_eq!(engine.ended(&key, now), model.leases.contains_key(&key));
                    if let Some(lease) = model.leases.get_mut(&key) {
                        lease.grant.ends = lease.grant.ends.min(now);
                        lease.ended = true;
                    }
                }
                Step::Forget(key) => {
                    prop_assert_eq!(engine.forget(&key), model.leases.remove(&key).is_some());
                }
                Step::Wait(length) => now += seconds(length),
            }
            while let Some((key, due)) = engine.pop(now) {
                model.told(key, due, now);
                if due == Due::Attend {
                    under_way.push(key);
                }
                engine.assert_consistent();
            }
            engine.assert_consistent();
            prop_assert!(engine.next().is_none_or(|next| next > now));
            prop_assert_eq!(engine.len(), model.leases.len());
            model.assert_nothing_was_missed(now);
        }
    }

    /// A Vault that does not answer for 60 % of a lease: there is an attempt after it and before the end.
    #[test]
    fn row07_the_same_lease_survives_an_outage_of_most_of_its_life(seed: u64, life in 4.0..3e6f64, at in 0.0..0.16f64) {
        let start = Instant::now();
        let mut engine = engine(seed);
        engine.granted(1, Grant::new(start, seconds(life), Sort::Renewable));
        let (gone, back) = (start + seconds(life * at), start + seconds(life * (at + 0.6)));
        let mut attempts = 0;
        loop {
            let now = engine.next().expect("a live lease is always due at some time");
            match engine.pop(now) {
                Some((_, Due::Attend)) if now < gone || now >= back => break,
                Some((_, Due::Attend)) => {
                    attempts += 1;
                    engine.failed(&1, now);
                }
                Some((_, Due::Expiring)) => {}
                other => panic!("{other:?} after {attempts} attempts"),
            }
        }
        prop_assert!(attempts < 80_000, "bounded, however long the lease: {}", attempts);
    }

    #[test]
    fn attempts_are_spread_within_their_windows(seed: u64, life in 1.0..1e6f64) {
        let start = Instant::now();
        let mut engine = engine(seed);
        let first_attempt = |engine: &Engine<u32>| {
            let tracked = engine.tracked[&1].attempt_at.unwrap();
            (tracked - start).as_secs_f64() / life
        };
        let within = |share: f64, from: f64, to: f64| (from - 1e-6..=to + 1e-6).contains(&share);
        engine.granted(1, Grant::new(start, seconds(life), Sort::Renewable));
        prop_assert!(within(first_attempt(&engine), 1.0 / 6.0, 2.0 / 3.0));
        engine.extended(1, Grant::new(start, seconds(life), Sort::Renewable));
        prop_assert!(within(first_attempt(&engine), 0.5, 2.0 / 3.0));
        prop_assert!(engine.cannot_be_renewed(&1, start + seconds(life * 0.66)));
        prop_assert!(within(first_attempt(&engine), 2.0 / 3.0, 5.0 / 6.0));
        prop_assert!(!engine.cannot_be_renewed(&1, start + seconds(life * 0.67)), "too late to wait");
    }
}

#[test]
fn after_the_end_it_is_tried_for_at_growing_intervals_until_forgotten() {
    let start = Instant::now();
    let mut engine = engine(7);
    engine.granted(1, Grant::new(start, seconds(10.0), Sort::Renewable));
    let mut now = start;
    let mut attempts = Vec::new();
    while now < start + seconds(610.0) {
        now = engine.next().unwrap();
        if let Some((_, Due::Attend)) = engine.pop(now) {
            attempts.push(now);
            engine.failed(&1, now);
        }
    }
    let after: Vec<_> = attempts.iter().filter(|at| **at > start + seconds(10.0)).collect();
    assert!((20..=40).contains(&after.len()), "{} attempts in the ten minutes after the end", after.len());
    assert!(engine.forget(&1));
    assert_eq!(engine.next(), None);
}

#[test]
fn a_rotating_password_is_looked_for_twice_a_second_from_its_announced_time_on() {
    let start = Instant::now();
    let mut engine = engine(7);
    engine.granted(1, Grant::new(start, seconds(5.0), Sort::Rotating));
    assert_eq!(engine.next(), Some(start + seconds(5.0)), "not before");
    let mut now = start + seconds(5.0);
    for _ in 0..10 {
        assert_eq!(engine.pop(now), Some((1, Due::Attend)));
        // Vault has not rotated it yet, and says that no time is left.
        engine.granted(1, Grant::new(now, Duration::ZERO, Sort::Rotating));
        let pause = engine.next().unwrap() - now;
        assert!((seconds(0.375)..=seconds(0.5)).contains(&pause), "{pause:?}");
        now += pause;
    }
}

#[test]
fn what_is_hastened_comes_at_random_moments_of_the_time_given() {
    let start = Instant::now();
    let mut engine = engine(7);
    for key in 0..1_000 {
        engine.granted(key, Grant::new(start, seconds(3_600.0), Sort::Renewable));
        engine.hasten(&key, start, seconds(60.0));
    }
    let due_by = |engine: &mut Engine<u32>, at: f64| {
        std::iter::from_fn(|| engine.pop(start + seconds(at)))
            .inspect(|(_, due)| assert_eq!(*due, Due::Attend))
            .count()
    };
    let thirds: Vec<usize> = [20.0, 40.0, 60.0].map(|at| due_by(&mut engine, at)).into();
    assert_eq!(thirds.iter().sum::<usize>(), 1_000);
    assert!(thirds.iter().all(|third| (250..=420).contains(third)), "{thirds:?}");
}

/// A hundred thousand leases, all made in the same second, through twelve hours.
#[test]
fn a_hundred_thousand_leases_are_renewed_evenly() {
    const LEASES: u32 = 100_000;
    let start = Instant::now();
    let mut engine = engine(42);
    let life = seconds(3_600.0);
    for key in 0..LEASES {
        engine.granted(key, Grant::new(start, life, Sort::Renewable));
    }
    let mut per_second: HashMap<u64, u32> = HashMap::new();
    let end = start + seconds(12.0 * 3_600.0);
    while let Some(now) = engine.next().filter(|next| *next < end) {
        let (key, due) = engine.pop(now).unwrap();
        assert_eq!(due, Due::Attend, "none comes near its end");
        *per_second.entry((now - start).as_secs()).or_default() += 1;
        engine.extended(key, Grant::new(now, life, Sort::Renewable));
    }
    let total: u32 = per_second.values().sum();
    let mean = f64::from(total) / (end - start).as_secs_f64();
    let busiest = f64::from(*per_second.values().max().unwrap());
    println!(
        "100,000 leases of an hour: {total} renewals in 12 h, {mean:.1}/s, busiest second {busiest} = {:.2} x",
        busiest / mean
    );
    assert!(busiest <= 2.0 * mean, "busiest second {busiest}, mean {mean}");
}
