//! While Vault is away, in one way after the other, under load.

use std::fmt;
use std::path::Path;
use std::time::Duration;

use hyper::StatusCode;
use tokio::time::{Instant, sleep};

use super::contestant::{Contestant, Way};
use super::load::{self, Load};
use super::relay::{Mode, Relay};
use super::stage::Stage;

/// The secrets that the load reads.
const SECRETS: usize = 100;

/// Between two reads of something that nobody has.
const UNCACHED_EVERY: Duration = Duration::from_secs(1);

/// After an outage, nobody needs longer to be back.
const BACK_WITHIN: Duration = Duration::from_secs(90);

/// A way for Vault to be away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outage {
    /// Takes requests and does not answer (`SIGSTOP`).
    Frozen,
    /// Answers 503.
    Sealed,
    /// Answers what is no JSON.
    Garbage,
    /// Answers 429 with `Retry-After`.
    RateLimited,
    /// Answers 500.
    ServerError,
    /// Gone, for good: connections to it are closed.
    Killed,
}

impl Outage {
    /// In this order: nothing comes after the last.
    pub const ALL: [Self; 6] =
        [Self::Frozen, Self::Sealed, Self::Garbage, Self::RateLimited, Self::ServerError, Self::Killed];

    async fn begin(self, stage: &Stage, relay: &Relay) -> anyhow::Result<()> {
        match self {
            Self::Frozen => stage.vault.freeze().await,
            Self::Sealed => stage.seal().await?,
            Self::Garbage => relay.set(Mode::Garbage),
            Self::RateLimited => relay.set(Mode::Status(StatusCode::TOO_MANY_REQUESTS)),
            Self::ServerError => relay.set(Mode::Status(StatusCode::INTERNAL_SERVER_ERROR)),
            Self::Killed => stage.vault.kill().await,
        }
        Ok(())
    }

    async fn end(self, stage: &Stage, relay: &Relay) -> anyhow::Result<()> {
        relay.set(Mode::Pass);
        match self {
            Self::Frozen => stage.vault.thaw().await,
            Self::Sealed => stage.unseal().await?,
            _ => {}
        }
        Ok(())
    }
}

impl fmt::Display for Outage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Frozen => "frozen",
            Self::Sealed => "sealed",
            Self::Garbage => "garbage",
            Self::RateLimited => "429",
            Self::ServerError => "500",
            Self::Killed => "killed",
        })
    }
}

/// How one contestant fared in one outage.
#[derive(Debug)]
pub struct Fared {
    /// Who.
    pub name: &'static str,
    /// In which.
    pub outage: Outage,
    /// Reads of secrets that it had read before.
    pub cached: Load,
    /// How many of these were answered with a value past its time; `None` where nobody counts them.
    pub stale: Option<f64>,
    /// Requests a second that reached Vault, or would have.
    pub upstream_per_second: f64,
    /// Reads of secrets that it had never read, and how many were refused with an error in Vault's form.
    pub uncached: (u32, u32),
    /// The longest of those.
    pub uncached_longest: Duration,
    /// From the end of the outage until such a read succeeded. None came after the last one.
    pub back_after: Option<Duration>,
}

/// The header of [`Fared`]'s lines.
pub const HEADER: &str = "| Vault is | who | cached reads | failed | stale | p99 | to Vault | uncached reads | refused clearly | longest | back after |\n|---|---|---|---|---|---|---|---|---|---|---|";

impl fmt::Display for Fared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, outage, cached, uncached: (asked, clear), .. } = self;
        let stale = self.stale.map_or_else(|| "–".to_owned(), |stale| format!("{stale:.0}"));
        let back =
            self.back_after.map_or_else(|| "–".to_owned(), |back| format!("{:.1} s", back.as_secs_f64()));
        write!(f, "| {outage} | {name} | {} | {} | {stale}", cached.answers, cached.failed)?;
        write!(f, " | {:.2} ms | {:.1}/s | {asked} | {clear}", cached.p99_ms, self.upstream_per_second)?;
        write!(f, " | {:.1} s | {back} |", self.uncached_longest.as_secs_f64())
    }
}

/// The agent and Vault Proxy through every outage, each of this length. Tells each line as it is known.
pub async fn through_all(
    stage: &Stage,
    binary: &Path,
    length: Duration,
    tell: impl Fn(&Fared),
) -> anyhow::Result<Vec<Fared>> {
    stage.store("busy", SECRETS).await?;
    let vault = stage.vault.address().to_string();
    let vault = vault.trim_start_matches("http://").parse()?;
    let relays = [Relay::start(vault).await?, Relay::start(vault).await?];
    // A short TTL, so that what is served in the outage is past it; the metrics tell.
    let ttl = [("VAULT_CACHE_TTL_SECONDS", "5")];
    let agent = Contestant::agent(binary, &Way { vault: relays[0].url(), stage }, &ttl)?;
    let proxy = Contestant::vault_proxy(&Way { vault: relays[1].url(), stage })?;
    let both = [("agent", &agent, &relays[0]), ("Vault Proxy", &proxy, &relays[1])];
    let mut all = Vec::new();
    for outage in Outage::ALL {
        for (_, contestant, _) in both {
            for path in paths() {
                contestant.first(&path).await?;
            }
        }
        // Both at the same outage, one after the other: they share two processors with the load.
        for (name, contestant, relay) in both {
            if outage != Outage::Killed || name == "agent" {
                outage.begin(stage, relay).await?;
            }
            let mut fared = through(name, outage, contestant, relay, length).await?;
            if outage != Outage::Killed {
                outage.end(stage, relay).await?;
                fared.back_after = Some(back(contestant, outage).await?);
            }
            tell(&fared);
            all.push(fared);
        }
    }
    Ok(all)
}

async fn through(
    name: &'static str,
    outage: Outage,
    contestant: &Contestant,
    relay: &Relay,
    length: Duration,
) -> anyhow::Result<Fared> {
    const STALE: &str = "secrets_agent_requests_total{cache=\"stale\"}";
    let counts = !contestant.admin.is_empty();
    let before = if counts { contestant.counter(STALE).await? } else { 0.0 };
    relay.take_requests();
    let started = Instant::now();
    let load = async { load::put(&contestant.url, &paths().collect::<Vec<_>>(), length).await };
    let (cached, (uncached, uncached_longest)) =
        tokio::join!(load, ask_for_unknown(contestant, outage, length));
    let seconds = started.elapsed().as_secs_f64();
    let stale = if counts { Some(contestant.counter(STALE).await? - before) } else { None };
    #[allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    let upstream_per_second = relay.take_requests() as f64 / seconds;
    let cached = cached?;
    Ok(Fared {
        name,
        outage,
        cached,
        stale,
        upstream_per_second,
        uncached,
        uncached_longest,
        back_after: None,
    })
}

/// Asks for what was never read, now and then: how often, how often clearly refused, and the longest it took.
async fn ask_for_unknown(
    contestant: &Contestant,
    outage: Outage,
    length: Duration,
) -> ((u32, u32), Duration) {
    let (mut asked, mut clear, mut longest) = (0, 0, Duration::ZERO);
    let started = Instant::now();
    while started.elapsed() + UNCACHED_EVERY < length {
        let began = Instant::now();
        let answer = contestant.get(&format!("secret/data/unknown/{outage}-{asked}")).await;
        longest = longest.max(began.elapsed());
        asked += 1;
        // Clear: an error status, with words in Vault's form.
        let clearly = |status, body: &[u8]| status >= 429 && body.starts_with(b"{\"errors\":[\"");
        clear += u32::from(answer.is_ok_and(|answer| clearly(answer.status, &answer.body)));
        sleep(UNCACHED_EVERY).await;
    }
    ((asked, clear), longest)
}

/// Waits until Vault is asked again with success.
async fn back(contestant: &Contestant, outage: Outage) -> anyhow::Result<Duration> {
    let started = Instant::now();
    let mut number = 0;
    while started.elapsed() < BACK_WITHIN {
        // Not there, says Vault itself.
        let answer = contestant.get(&format!("secret/data/back/{outage}-{number}")).await;
        if answer.is_ok_and(|answer| answer.status == 404) {
            return Ok(started.elapsed());
        }
        number += 1;
        sleep(Duration::from_millis(50)).await;
    }
    anyhow::bail!("{} is not back after {BACK_WITHIN:?}", contestant.url)
}

fn paths() -> impl Iterator<Item = String> {
    (0..SECRETS).map(|n| format!("/v1/secret/data/busy/{n}"))
}
