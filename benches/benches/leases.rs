//! The lease engine with 100,000 leases: memory for each, the cost of a renewal, and how even the load is through twelve
//! hours, all leases having been made at once.
#![allow(clippy::print_stdout, missing_docs, reason = "a benchmark prints its results")]
#![allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]

use std::alloc::System;
use std::sync::Arc;
use std::time::Duration;

use benches::measure::{Rounds, Verdict};
use secrets_service::lease::engine::{Due, Engine, Grant, Sort};
use stats_alloc::{INSTRUMENTED_SYSTEM, Region, StatsAlloc};
use tokio::time::Instant;

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const LEASES: usize = 100_000;
/// What Vault grants each time.
const LIFE: Duration = Duration::from_secs(3_600);
const HOURS: u64 = 12;
/// Renewals that are timed together: few, so that on a busy machine most rounds run without an interruption.
const ROUND: usize = 100;

/// Paths, shared, as in the product: a lease is known by where it was read.
type Key = Arc<str>;

fn main() -> anyhow::Result<()> {
    let keys: Vec<Key> = (0..LEASES).map(|n| format!("database/creds/role-{n:06}").into()).collect();
    let start = Instant::now();

    let region = Region::new(ALLOCATOR);
    let mut engine = Engine::with_random(fastrand::Rng::with_seed(42));
    for key in &keys {
        engine.granted(Arc::clone(key), Grant::new(start, LIFE, Sort::Renewable));
    }
    let change = region.change();
    let bytes = (change.bytes_allocated as f64 - change.bytes_deallocated as f64) / LEASES as f64;

    let end = start + Duration::from_secs(HOURS * 3_600);
    let mut renewals = Rounds::default();
    let mut per_second = vec![0_u32; usize::try_from(HOURS * 3_600)?];
    let (mut total, mut round, mut began) = (0_usize, 0, Instant::now());
    while let Some(now) = engine.next().filter(|next| *next < end) {
        let Some((key, due)) = engine.pop(now) else { anyhow::bail!("nothing was due at the next moment") };
        anyhow::ensure!(due == Due::Attend, "{key}: {due:?}, though it was renewed each time");
        engine.extended(key, Grant::new(now, LIFE, Sort::Renewable));
        per_second[usize::try_from((now - start).as_secs())?] += 1;
        (total, round) = (total + 1, round + 1);
        if round == ROUND {
            renewals.add(ROUND, began.elapsed());
            (round, began) = (0, Instant::now());
        }
    }
    let mean = total as f64 / per_second.len() as f64;
    let busiest = f64::from(per_second.iter().copied().max().unwrap_or(0));

    println!("the lease engine, {LEASES} leases of an hour, made at once, {HOURS} simulated hours");
    for (name, figure) in [
        ("renewals", total as f64),
        ("renewals per second, mean", mean),
        ("renewals in the busiest second", busiest),
    ] {
        println!("  {name:<58} {figure:>9.1}");
    }
    let mut verdict = Verdict::default();
    verdict.at_most("bytes per lease, the path not counted", bytes, 512.0);
    verdict.at_most("ns per renewal (next, pop, extended)", renewals.median(), 5_000.0);
    verdict.at_most("busiest second / mean", busiest / mean, 2.0);
    verdict.finish()
}
