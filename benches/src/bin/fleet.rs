//! Simulates a fleet of services through an outage of Vault under different rules. Prints a table for each scenario;
//! given a file name, writes the picture there. See docs/fleet.md.
#![allow(clippy::print_stdout, reason = "it prints its results")]

use benches::fleet::{Figures, Policy, Scenario, figures, plot, worst_of};

/// Each figure is that of the worst of these runs.
const SEEDS: std::ops::Range<u64> = 1..4;

/// What the picture shows, of all that is compared.
const STRIPS: [&str; 5] = [
    "naive client",
    "refreshes at 80 %, no patience",
    "as shipped",
    "as shipped, without jitter",
    "as shipped, without breaker, without budget",
];

/// What is simulated in the less usual scenarios.
const ELSEWHERE: [&str; 2] = ["refreshes at 80 %, no patience", "as shipped"];

fn main() -> anyhow::Result<()> {
    let all = Policy::compared();
    let some: Vec<Policy> =
        all.iter().filter(|policy| ELSEWHERE.contains(&policy.name.as_str())).cloned().collect();
    let rows = simulate("500 instances started at once", &Scenario::usual(), all);
    simulate("500 instances started over a minute", &Scenario::deployed(), some.clone());
    simulate("500 instances started at once, tokens of four minutes", &Scenario::short_tokens(), some);
    if let Some(file) = std::env::args_os().nth(1) {
        let strips: Vec<(String, Figures)> =
            rows.into_iter().filter(|(name, _)| STRIPS.contains(&name.as_str())).collect();
        let title = "Requests at Vault before, during and after five minutes without it";
        let subtitle = "500 instances, started at once; 20 static secrets (TTL 300 s), 2 database leases and a token (1 h) each";
        std::fs::write(file, plot::svg(title, subtitle, &strips))?;
    }
    Ok(())
}

fn simulate(title: &str, scenario: &Scenario, policies: Vec<Policy>) -> Vec<(String, Figures)> {
    let rows: Vec<(String, Figures)> = policies
        .into_iter()
        .filter_map(|policy| worst_of(SEEDS, scenario, &policy).map(|figures| (policy.name, figures)))
        .collect();
    println!("{title} (the worst of {} runs)\n\n{}\n", SEEDS.count(), figures::table(&rows));
    rows
}
