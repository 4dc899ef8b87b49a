//! What a simulation shows.

use std::ops::Range;
use std::time::Duration;

use super::RECOVERY;
use super::vault::Vault;

/// The steady state is looked at for so long before the outage, in seconds.
const STEADY: usize = 1_800;

/// Requests per second at Vault, and how long the recovery took.
#[derive(Debug, Clone, PartialEq)]
pub struct Figures {
    /// Requests in each second since the start.
    pub per_second: Vec<u32>,
    /// The seconds of the outage.
    pub outage: Range<usize>,
    /// The mean of the half hour before the outage.
    pub steady: f64,
    /// The busiest second of that half hour.
    pub steady_peak: u32,
    /// The busiest second while Vault is away. (Attempts count: they reach its machine, or the load balancer.)
    pub outage_peak: u32,
    /// The mean while Vault is away.
    pub outage_mean: f64,
    /// The busiest second of the ten minutes after its return.
    pub recovery_peak: u32,
    /// Until the last instance had an answer; `None`: one had none.
    pub noticed_after: Option<Duration>,
    /// Until the last value that was stale or lost had been replaced; `None`: not by the end of the simulation.
    pub healthy_after: Option<Duration>,
}

impl Figures {
    pub(super) fn of(vault: &Vault, healthy: bool) -> Self {
        let outage = vault.outage();
        let recovery = usize::try_from(RECOVERY.as_secs()).unwrap_or(usize::MAX);
        let of = |range: Range<usize>| vault.per_second.get(range).unwrap_or_default();
        let before = of(outage.start.saturating_sub(STEADY)..outage.start);
        let after = of(outage.end..outage.end + recovery);
        Self {
            steady: mean(before),
            steady_peak: peak(before),
            outage_peak: peak(of(outage.clone())),
            outage_mean: mean(of(outage.clone())),
            recovery_peak: peak(after),
            noticed_after: vault.noticed_after(),
            healthy_after: healthy.then(|| vault.healed_after()),
            per_second: vault.per_second.clone(),
            outage,
        }
    }

    /// The busiest second of the recovery, against the steady state.
    pub fn recovery_ratio(&self) -> f64 {
        f64::from(self.recovery_peak) / self.steady
    }

    /// The busiest second of the outage, against the steady state.
    pub fn outage_ratio(&self) -> f64 {
        f64::from(self.outage_peak) / self.steady
    }

    /// The busiest second of the steady state, against its mean.
    pub fn steady_ratio(&self) -> f64 {
        f64::from(self.steady_peak) / self.steady
    }
}

fn peak(seconds: &[u32]) -> u32 {
    seconds.iter().copied().max().unwrap_or(0)
}

#[allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
fn mean(seconds: &[u32]) -> f64 {
    seconds.iter().map(|count| f64::from(*count)).sum::<f64>() / seconds.len() as f64
}

/// A table in Markdown, one line per policy.
pub fn table(rows: &[(String, Figures)]) -> String {
    let mut lines = vec![
        "| policy | steady, mean/s | steady, busiest s | outage, mean/s | outage, busiest s | recovery, busiest s | recovery / steady | all answered after | all healthy after |"
            .to_owned(),
        "|---|---|---|---|---|---|---|---|---|".to_owned(),
    ];
    let after = |time: Option<Duration>| {
        time.map_or("never".to_owned(), |time| format!("{:.0} s", time.as_secs_f64()))
    };
    for (name, figures) in rows {
        lines.push(format!(
            "| {name} | {:.1} | {} | {:.0} | {} | {} | {:.1} | {} | {} |",
            figures.steady,
            figures.steady_peak,
            figures.outage_mean,
            figures.outage_peak,
            figures.recovery_peak,
            figures.recovery_ratio(),
            after(figures.noticed_after),
            after(figures.healthy_after),
        ));
    }
    lines.join("\n")
}
