//! A cached read of one of 10,000 secrets, keys in random order: ours against moka's TTL cache and against the
//! limit, a bare `quick_cache` get and one clock read.
#![allow(clippy::print_stdout, missing_docs, reason = "a benchmark prints its results")]

use std::alloc::System;
use std::hint::black_box;
use std::sync::Arc;
use std::time::Duration;

use benches::measure::{Rounds, Verdict};
use benches::{client, fake_vault, path};
use gds_vault::Secret;
use secrets_service::ResilientVaultClient;
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::time::Instant;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const SECRETS: usize = 10_000;
const READS: usize = 400_000;
const ROUNDS: usize = 15;

fn main() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let address = runtime.block_on(fake_vault::start())?;
    let ours = client(&address, SECRETS * 2)?;
    let paths: Vec<String> = (0..SECRETS).map(path).collect();
    let moka = moka::sync::Cache::builder()
        .max_capacity(SECRETS as u64 * 2)
        .time_to_live(Duration::from_secs(300))
        .build();
    let bare = quick_cache::sync::Cache::<Box<str>, Arc<Secret>>::new(SECRETS * 2);
    for path in &paths {
        let read = runtime.block_on(ours.get_secret(path))?;
        let secret = Arc::new(read.secret().clone());
        moka.insert(path.clone(), Arc::clone(&secret));
        bare.insert(path.as_str().into(), secret);
    }
    moka.run_pending_tasks();
    let order: Vec<&str> = (0..READS).map(|_| paths[fastrand::usize(..SECRETS)].as_str()).collect();

    let _inside = runtime.enter();
    let read_ours = |order: &[&str]| {
        futures_block_on(&runtime, async {
            for path in order {
                black_box(ours.get_secret(path).await.is_ok());
            }
        });
    };
    let read_cached = |order: &[&str]| order.iter().for_each(|path| drop(black_box(ours.cached(path))));
    let read_moka = |order: &[&str]| order.iter().for_each(|path| drop(black_box(moka.get(*path))));
    let read_bare = |order: &[&str]| {
        for path in order {
            black_box(Instant::now());
            drop(black_box(bare.get(*path)));
        }
    };

    let region = Region::new(ALLOCATOR);
    read_cached(&order);
    let allocations = region.change().allocations;

    let [mut get_secret, mut cached, mut by_moka, mut by_bare, mut two] =
        std::array::from_fn(|_| Rounds::default());
    for _ in 0..ROUNDS {
        get_secret.time(READS, || read_ours(&order));
        cached.time(READS, || read_cached(&order));
        by_moka.time(READS, || read_moka(&order));
        by_bare.time(READS, || read_bare(&order));
        two.add(READS * 2, on_two_threads(&ours, &order));
    }

    println!("cached read, {SECRETS} secrets, random order, median of {ROUNDS} rounds of {READS} reads (ns)");
    for (name, rounds) in [
        ("get_secret(path).await", &get_secret),
        ("cached(path)", &cached),
        ("moka get, TTL", &by_moka),
        ("quick_cache get + one clock read", &by_bare),
        ("cached(path), two threads, per read of both", &two),
    ] {
        println!("  {name:<58} {:>9.1}", rounds.median());
    }
    let mut verdict = Verdict::default();
    verdict.at_most("get_secret / moka", get_secret.ratio_to(&by_moka), 0.7);
    verdict.at_most("get_secret / (quick_cache + clock)", get_secret.ratio_to(&by_bare), 1.2);
    verdict.at_least("throughput of two threads / one", cached.ratio_to(&two), 1.8);
    #[allow(clippy::cast_precision_loss, reason = "a small count")]
    verdict.at_most("allocations in 400,000 cached reads", allocations as f64, 0.0);
    verdict.finish()
}

fn futures_block_on(runtime: &tokio::runtime::Runtime, work: impl Future<Output = ()>) {
    tokio::task::block_in_place(|| runtime.handle().block_on(work));
}

fn on_two_threads(ours: &ResilientVaultClient, order: &[&str]) -> Duration {
    let started = Instant::now();
    std::thread::scope(|scope| {
        for half in 0..2 {
            scope.spawn(move || {
                // The second thread goes through the same keys from the middle on.
                let (first, second) = order.split_at(order.len() / 2 * half);
                second.iter().chain(first).for_each(|path| drop(black_box(ours.cached(path))));
            });
        }
    });
    started.elapsed()
}
