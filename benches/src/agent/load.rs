//! wrk, and what it says.

use std::fs;
use std::time::Duration;

use anyhow::Context as _;
use tempfile::TempDir;
use tokio::process::Command;

/// As many as there are readers at a time.
pub const CONNECTIONS: usize = 16;

/// What one load saw.
#[derive(Debug, Clone, Copy, Default)]
pub struct Load {
    /// Answers, good and bad.
    pub answers: u64,
    /// Answers with another status than 2xx or 3xx, and requests without an answer.
    pub failed: u64,
    /// Answers per second.
    pub per_second: f64,
    /// 99 of 100 answers came within so many milliseconds.
    pub p99_ms: f64,
}

/// Puts a load of [`CONNECTIONS`] connections on these paths, one after the other, for so long.
pub async fn put(url: &str, paths: &[String], length: Duration) -> anyhow::Result<Load> {
    let folder = TempDir::with_prefix("bench-agent-wrk-")?;
    let script = folder.path().join("load.lua");
    fs::write(&script, self::script(paths))?;
    let first = paths.first().context("a path to ask for")?;
    let output = Command::new("wrk")
        .args(["--threads", "1", "--connections", &CONNECTIONS.to_string()])
        .args(["--duration", &format!("{}s", length.as_secs()), "--timeout", "90s"])
        .args(["--header", "X-Vault-Request: true", "--script"])
        .arg(&script)
        .arg(format!("{url}{first}"))
        .kill_on_drop(true)
        .output()
        .await
        .context("running wrk (`apt-get install wrk`)")?;
    let said = String::from_utf8_lossy(&output.stdout);
    let figures = said.lines().find_map(|line| line.strip_prefix("FIGURES "));
    let figures =
        figures.with_context(|| format!("wrk said: {said}{}", String::from_utf8_lossy(&output.stderr)))?;
    let figures: Vec<f64> = figures.split(' ').map(str::parse).collect::<Result<_, _>>()?;
    let [answers, microseconds, p99, failed] = *figures.as_slice() else {
        anyhow::bail!("wrk said: {said}");
    };
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counts")]
    let count = |figure: f64| figure as u64;
    Ok(Load {
        answers: count(answers),
        failed: count(failed),
        per_second: answers / (microseconds / 1e6),
        p99_ms: p99 / 1e3,
    })
}

/// Written for wrk's Lua. Requests are made once: the load is to be light beside what it is put on.
fn script(paths: &[String]) -> String {
    let several = if paths.len() < 2 {
        String::new()
    } else {
        let paths: Vec<_> = paths.iter().map(|path| format!("{path:?}")).collect();
        format!(
            "local paths, made, n = {{{}}}, {{}}, 0
             init = function() for i, path in ipairs(paths) do made[i] = wrk.format('GET', path) end end
             request = function() n = n % #made + 1; return made[n] end\n",
            paths.join(",")
        )
    };
    several
        + "done = function(summary, latency)
               local e = summary.errors
               io.write(string.format('FIGURES %d %d %d %d\\n', summary.requests, summary.duration,
                   latency:percentile(99), e.status + e.connect + e.read + e.write + e.timeout))
           end\n"
}
