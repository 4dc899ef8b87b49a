use std::collections::HashMap;

use proptest::prelude::*;

use super::*;

type Cache = SecretCache<u32>;

const TTL: Duration = Duration::from_secs(300);
const MAX_STALE: Duration = Duration::from_secs(3_600);

fn cache() -> Cache {
    SecretCache::new(100, TTL, MAX_STALE)
}

fn kind(lookup: &Lookup<u32>) -> (&'static str, Option<u32>) {
    match lookup {
        Lookup::Fresh(entry) => ("fresh", Some(*entry.value())),
        Lookup::Ageing(entry) => ("ageing", Some(*entry.value())),
        Lookup::Stale(entry) => ("stale", Some(*entry.value())),
        Lookup::Absent => ("absent", None),
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_is_fresh_then_stale_then_gone() {
    let cache = cache();
    cache.set("k", 1, None);
    let mut seen = Vec::new();
    for wait in [0, 149, 121, 29, 1, 3_299, 1] {
        tokio::time::advance(Duration::from_secs(wait)).await;
        seen.push(kind(&cache.lookup("k", Instant::now())).0);
    }
    assert_eq!(seen, ["fresh", "fresh", "ageing", "ageing", "stale", "stale", "absent"]);
}

#[tokio::test(start_paused = true)]
async fn a_key_can_have_its_own_ttl() {
    let cache = cache();
    cache.set("short", 1, Some(Duration::from_secs(1)));
    cache.set("long", 2, Some(Duration::from_secs(10_000)));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(cache.get("short").is_none());
    assert_eq!(cache.get("long").map(|e| *e.value()), Some(2));
}

#[tokio::test(start_paused = true)]
async fn a_ttl_of_zero_is_never_fresh_but_can_be_fallen_back_on() {
    let cache = cache();
    cache.set("k", 1, Some(Duration::ZERO));
    assert_eq!(kind(&cache.lookup("k", Instant::now())), ("stale", Some(1)));
}

#[tokio::test(start_paused = true)]
async fn max_stale_of_zero_means_no_fallback() {
    let cache = Cache::new(10, TTL, Duration::ZERO);
    cache.set("k", 1, None);
    tokio::time::advance(TTL).await;
    assert_eq!(kind(&cache.lookup("k", Instant::now())), ("absent", None));
}

#[tokio::test(start_paused = true)]
async fn absurd_ttls_are_clamped_not_a_panic() {
    let cache = Cache::new(10, Duration::MAX, Duration::MAX);
    cache.set("k", 1, Some(Duration::MAX));
    assert!(cache.get("k").is_some());
}

#[test]
fn it_stays_within_its_capacity() {
    let cache = Cache::new(100, TTL, MAX_STALE);
    (0..10_000).for_each(|n| drop(cache.set(&format!("k{n}"), n, None)));
    assert!(cache.len() <= 100, "{}", cache.len());
}

#[test]
fn many_threads_read_and_write_whole_values() {
    let cache = SecretCache::<(u32, u32)>::new(1_000, TTL, MAX_STALE);
    std::thread::scope(|scope| {
        for seed in 0..8u32 {
            let cache = &cache;
            scope.spawn(move || {
                for n in 0..20_000u32 {
                    let key = format!("k{}", n.wrapping_mul(31).wrapping_add(seed) % 64);
                    if n % 3 == 0 {
                        cache.set(&key, (n, !n), None);
                    } else if let Some(entry) = cache.get(&key) {
                        assert_eq!(entry.value().0, !entry.value().1);
                    }
                }
            });
        }
    });
    assert_eq!(cache.len(), 64);
}

#[test]
fn two_keys_with_one_hash_are_never_mistaken_for_each_other() {
    let cache = cache();
    // As if "b" had the hash of "a".
    let entry = Entry::new("b", 2, Lifetime::new(Instant::now(), TTL, MAX_STALE));
    cache.table.insert(cache.seed.hash_one("a".as_bytes()), entry);
    assert!(cache.get("a").is_none());
    assert!(!cache.delete("a"));
    cache.set("a", 1, None);
    assert_eq!(cache.get("a").map(|e| *e.value()), Some(1));
}

#[derive(Debug, Clone)]
enum Step {
    Set { key: u8, value: u32, ttl: Option<u64> },
    Delete { key: u8 },
    Clear,
    Wait { secs: u64 },
    Look { key: u8 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        4 => (0u8..6, any::<u32>(), proptest::option::of(0u64..5_000))
            .prop_map(|(key, value, ttl)| Step::Set { key, value, ttl }),
        1 => (0u8..6).prop_map(|key| Step::Delete { key }),
        1 => Just(Step::Clear),
        4 => (0u64..2_000).prop_map(|secs| Step::Wait { secs }),
        8 => (0u8..6).prop_map(|key| Step::Look { key }),
    ];
    proptest::collection::vec(step, 1..120)
}

proptest! {
    /// The reference model is a plain map of (value, fetched, ttl) and the words of the module's first lines.
    #[test]
    fn agrees_with_the_reference_model(steps in steps(), max_stale in 0u64..8_000) {
        let max_stale = Duration::from_secs(max_stale);
        let cache = SecretCache::<u32>::new(100, TTL, max_stale);
        let mut model: HashMap<u8, (u32, Instant, Duration)> = HashMap::new();
        let mut now = Instant::now();
        for step in steps {
            match step {
                Step::Set { key, value, ttl } => {
                    let ttl = ttl.map_or(TTL, Duration::from_secs);
                    cache.insert(Entry::new(&key.to_string(), value, Lifetime::new(now, ttl, max_stale)));
                    model.insert(key, (value, now, ttl));
                }
                Step::Delete { key } => prop_assert_eq!(cache.delete(&key.to_string()), model.remove(&key).is_some()),
                Step::Clear => {
                    cache.clear();
                    model.clear();
                }
                Step::Wait { secs } => now += Duration::from_secs(secs),
                Step::Look { key } => {
                    let found = kind(&cache.lookup(&key.to_string(), now));
                    let expected = match model.get(&key) {
                        None => ("absent", None),
                        Some(&(value, fetched, ttl)) => {
                            let age = now - fetched;
                            // Between the two by chance, but not both ways.
                            let fresh_until = ttl.mul_f64(if found.0 == "fresh" { 0.9 } else { 0.5 });
                            if age < fresh_until { ("fresh", Some(value)) }
                            else if age < ttl { ("ageing", Some(value)) }
                            else if age < max_stale { ("stale", Some(value)) }
                            else { ("absent", None) }
                        }
                    };
                    prop_assert_eq!(found, expected);
                }
            }
            prop_assert_eq!(cache.len(), model.len());
        }
    }
}

/// A fleet that was started together does not refresh together.
#[test]
fn refreshes_are_spread_over_the_ttl() {
    let now = Instant::now();
    let shares: Vec<f64> = (0..10_000)
        .map(|_| Lifetime::new(now, TTL, MAX_STALE).refresh_from - now)
        .map(|after| after.div_duration_f64(TTL))
        .collect();
    assert!(shares.iter().all(|share| (0.5..=0.9).contains(share)));
    for tenth in [0.5, 0.6, 0.7, 0.8] {
        let within = shares.iter().filter(|share| (tenth..tenth + 0.1).contains(*share)).count();
        assert!(
            (2_200..=2_800).contains(&within),
            "{within} of 10,000 between {tenth} and {} of the TTL",
            tenth + 0.1
        );
    }
}
