//! While all is well: how fast, how large, how soon.

use std::path::Path;
use std::time::Duration;

use futures::StreamExt as _;
use futures::TryStreamExt as _;
use futures::stream;
use tokio::time::Instant;

use super::contestant::{Contestant, Way};
use super::load::{self, Load};
use super::stage::Stage;

/// The secret that the load reads.
const KV: &str = "/v1/secret/data/myapp/config";
const DYNAMIC: &str = "/v1/database/creds/myapp";

/// So many secrets fill a cache.
const MANY: usize = 10_000;

/// Starts of each, for the median.
const STARTS: usize = 7;

/// One contestant under load, a figure for each round.
pub struct Served {
    /// Who, and what.
    pub name: &'static str,
    /// A round each.
    pub rounds: Vec<Load>,
}

impl Served {
    /// Answers per second, the median of the rounds.
    pub fn per_second(&self) -> f64 {
        median(self.rounds.iter().map(|load| load.per_second).collect())
    }

    /// The median of the rounds' 99th percentiles, in milliseconds.
    pub fn p99_ms(&self) -> f64 {
        median(self.rounds.iter().map(|load| load.p99_ms).collect())
    }

    /// How many times as fast as `other`: the median of the ratios, round by round.
    pub fn times(&self, other: &Self) -> f64 {
        median(self.rounds.iter().zip(&other.rounds).map(|(a, b)| a.per_second / b.per_second).collect())
    }
}

/// Who is compared under load.
pub struct Contest {
    /// The agent's cached read of a KV secret.
    pub agent: Served,
    /// nginx with the same body.
    pub nginx: Served,
    /// Vault Proxy, from its cache: a lease.
    pub proxy_dynamic: Served,
    /// Vault Proxy, the same KV secret: it asks Vault each time.
    pub proxy_kv: Served,
}

/// Puts a load on each in turn, in so many rounds.
pub async fn under_load(
    stage: &Stage,
    binary: &Path,
    rounds: usize,
    length: Duration,
) -> anyhow::Result<Contest> {
    let way = Way { vault: stage.vault.address().to_string(), stage };
    let agent = Contestant::agent(binary, &way, &[])?;
    let body = agent.first(KV).await?;
    let nginx = Contestant::nginx(&body)?;
    nginx.first(KV).await?;
    let proxy = Contestant::vault_proxy(&way)?;
    proxy.first(KV).await?;
    proxy.first(DYNAMIC).await?;
    let mut all = [
        ("agent: KV, cached", &agent, KV),
        ("nginx, 1 worker: the same body", &nginx, KV),
        ("Vault Proxy: database lease, cached", &proxy, DYNAMIC),
        ("Vault Proxy: KV, not cached", &proxy, KV),
    ]
    .map(|(name, contestant, path)| (Served { name, rounds: Vec::new() }, contestant, path));
    for _ in 0..rounds {
        for (served, contestant, path) in &mut all {
            let load = load::put(&contestant.url, &[(*path).to_owned()], length).await?;
            anyhow::ensure!(load.failed == 0, "{}: {} of {} failed", served.name, load.failed, load.answers);
            served.rounds.push(load);
        }
    }
    let [agent, nginx, proxy_dynamic, proxy_kv] = all.map(|(served, ..)| served);
    Ok(Contest { agent, nginx, proxy_dynamic, proxy_kv })
}

/// Memory in MB.
pub struct Weight {
    /// Logged in, one secret read.
    pub idle: f64,
    /// With ten thousand secrets.
    pub full: f64,
}

/// Weighs the agent.
pub async fn weigh(stage: &Stage, binary: &Path) -> anyhow::Result<Weight> {
    stage.store("many", MANY).await?;
    let way = Way { vault: stage.vault.address().to_string(), stage };
    let agent = Contestant::agent(binary, &way, &[])?;
    agent.first(KV).await?;
    let idle = agent.megabytes()?;
    let reads = stream::iter(0..MANY).map(|n| {
        let agent = &agent;
        async move {
            let answer = agent.get(&format!("secret/data/many/{n}")).await?;
            anyhow::ensure!(answer.status == 200, "status {}", answer.status);
            Ok(())
        }
    });
    reads.buffer_unordered(load::CONNECTIONS).try_collect::<()>().await?;
    Ok(Weight { idle, full: agent.megabytes()? })
}

/// Milliseconds from the start of the process to its first secret, medians: the agent's and Vault Proxy's.
pub async fn start_up(stage: &Stage, binary: &Path) -> anyhow::Result<(f64, f64)> {
    let way = Way { vault: stage.vault.address().to_string(), stage };
    let (mut agent, mut proxy) = (Vec::new(), Vec::new());
    for _ in 0..STARTS {
        let started = Instant::now();
        Contestant::agent(binary, &way, &[])?.first(KV).await?;
        agent.push(started.elapsed().as_secs_f64() * 1e3);
        let started = Instant::now();
        Contestant::vault_proxy(&way)?.first(KV).await?;
        proxy.push(started.elapsed().as_secs_f64() * 1e3);
    }
    Ok((median(agent), median(proxy)))
}

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures.get(figures.len() / 2).copied().unwrap_or(f64::NAN)
}
