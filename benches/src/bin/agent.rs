//! Compares the agent with Vault Proxy and nginx: prints a table and which targets were met. Given a file name, draws
//! the picture there. `AGENT_BENCH_SECONDS` is the length of each outage: 60.
#![allow(clippy::print_stdout, reason = "it prints its results")]

use std::time::Duration;

use anyhow::Context as _;
use benches::agent::outage::{self, Fared};
use benches::agent::serving::{self, Contest, Served};
use benches::agent::{plot, stage::Stage};
use benches::measure::Verdict;

const ROUNDS: usize = 5;
const ROUND: Duration = Duration::from_secs(6);

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let length = match std::env::var("AGENT_BENCH_SECONDS") {
        Ok(seconds) => {
            Duration::from_secs(seconds.parse().context("AGENT_BENCH_SECONDS: a number of seconds")?)
        }
        Err(_) => Duration::from_secs(60),
    };
    let binary = benches::release_binary()?;
    let stage = Stage::start().await?;

    let served = serving::under_load(&stage, &binary, ROUNDS, ROUND).await?;
    let Contest { agent, nginx, proxy_dynamic, proxy_kv } = &served;
    let all = [agent, nginx, proxy_dynamic, proxy_kv];
    println!("16 connections, {ROUNDS} rounds of {} s in turn, medians\n", ROUND.as_secs());
    println!("| | answers per second | p99 | agent / it |\n|---|---|---|---|");
    for one in all {
        let (rate, p99, times) = (one.per_second(), one.p99_ms(), agent.times(one));
        println!("| {} | {rate:.0} | {p99:.2} ms | {times:.2} |", one.name);
    }
    if let Some(file) = std::env::args_os().nth(1) {
        std::fs::write(file, picture(&all))?;
    }
    let weight = serving::weigh(&stage, &binary).await?;
    let (agent_start, proxy_start) = serving::start_up(&stage, &binary).await?;
    println!("\nmemory: {:.1} MB idle, {:.1} MB with 10,000 secrets", weight.idle, weight.full);
    println!("start to first secret: {agent_start:.1} ms; Vault Proxy: {proxy_start:.1} ms");

    println!("\nVault away for {} s under load\n\n{}", length.as_secs(), outage::HEADER);
    let fared = outage::through_all(&stage, &binary, length, |fared| println!("{fared}")).await?;

    println!("\ntargets");
    let mut verdict = Verdict::default();
    verdict.at_least("agent / Vault Proxy, KV", agent.times(proxy_kv), 50.0);
    verdict.at_least("agent / Vault Proxy, cached lease", agent.times(proxy_dynamic), 4.0);
    verdict.at_least("agent / nginx", agent.times(nginx), 0.85);
    verdict.at_most("agent's p99 (ms)", agent.p99_ms(), 1.0);
    verdict.at_most("memory, idle (MB)", weight.idle, 10.0);
    verdict.at_most("memory, 10,000 secrets (MB)", weight.full, 50.0);
    verdict.at_most("start, of Vault Proxy's", agent_start / proxy_start, 0.25);
    let ours = || fared.iter().filter(|fared| fared.name == "agent");
    #[allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let failed = ours().map(|fared| fared.cached.failed).sum::<u64>() as f64;
    verdict.at_most("cached reads that failed while Vault was away", failed, 0.0);
    let unclear: u32 = ours().map(|Fared { uncached: (asked, clear), .. }| asked - clear).sum();
    verdict.at_most("uncached reads not clearly refused", f64::from(unclear), 0.0);
    let longest = ours().map(|fared| fared.uncached_longest).max().unwrap_or_default();
    // Ten seconds is the deadline; the rest is for a busy machine.
    verdict.at_most("longest uncached read (s)", longest.as_secs_f64(), 11.0);
    verdict.finish()
}

fn picture(all: &[&Served]) -> String {
    let bars: Vec<_> =
        all.iter().map(|one| (one.name, one.per_second(), one.name.starts_with("agent"))).collect();
    plot::svg(
        "Cached reads: the agent, nginx, Vault Proxy",
        "wrk, 16 connections, on two processors shared with the load",
        &bars,
    )
}
