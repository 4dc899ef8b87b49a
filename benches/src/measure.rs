//! Paired measuring: the contestants take turns in every round, and ratios are taken round by round.

use std::time::Duration;

use tokio::time::Instant;

/// Nanoseconds per operation in each round.
#[derive(Debug, Clone, Default)]
pub struct Rounds(pub Vec<f64>);

impl Rounds {
    /// Times `operations` operations.
    pub fn time(&mut self, operations: usize, run: impl FnOnce()) {
        let started = Instant::now();
        run();
        self.add(operations, started.elapsed());
    }

    /// Notes a round timed elsewhere.
    #[allow(clippy::cast_precision_loss, reason = "counts far below 2^52")]
    pub fn add(&mut self, operations: usize, took: Duration) {
        self.0.push(took.as_secs_f64() * 1e9 / operations as f64);
    }

    /// The median.
    pub fn median(&self) -> f64 {
        median(self.0.clone())
    }

    /// The median of the ratios to `other`, round by round.
    pub fn ratio_to(&self, other: &Self) -> f64 {
        median(self.0.iter().zip(&other.0).map(|(a, b)| a / b).collect())
    }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(f64::NAN)
}

/// How far past its target a figure must be to fail the run: half as much again. Figures of a busy machine are to be
/// read, not to break a build, but a real regression should not go unseen.
const REGRESSION: f64 = 1.5;

/// Figures and their targets.
#[derive(Debug, Default)]
pub struct Verdict {
    missed: usize,
    regressed: usize,
}

impl Verdict {
    /// Prints one figure against its limit.
    pub fn at_most(&mut self, what: &str, figure: f64, limit: f64) {
        self.judge(what, figure, figure <= limit, figure <= limit * REGRESSION, &format!("<= {limit}"));
    }

    /// Prints one figure against its limit.
    pub fn at_least(&mut self, what: &str, figure: f64, limit: f64) {
        self.judge(what, figure, figure >= limit, figure >= limit / REGRESSION, &format!(">= {limit}"));
    }

    fn judge(&mut self, what: &str, figure: f64, met: bool, near: bool, target: &str) {
        let word = match (met, near) {
            (true, _) => "PASS",
            (false, true) => "MISSED",
            (false, false) => "REGRESSED",
        };
        println!("  {what:<58} {figure:>9.2}   (target {target}) {word}");
        self.missed += usize::from(!met);
        self.regressed += usize::from(!near);
    }

    /// An error for a figure far past its target; for any that is missed, if `BENCH_STRICT` is set.
    pub fn finish(self) -> anyhow::Result<()> {
        let failed = if std::env::var_os("BENCH_STRICT").is_some() { self.missed } else { self.regressed };
        anyhow::ensure!(failed == 0, "{failed} target(s) missed");
        Ok(())
    }
}
