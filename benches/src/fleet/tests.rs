//! Demand "fleet desynchronised": five hundred instances, an outage of five minutes, a bounded recovery.

use std::time::Duration;

use super::agenda::Agenda;
use super::{Policy, Scenario, run};

/// Shorter before and after the outage than what `make fleet` shows, so that it runs in a debug build in seconds.
fn short() -> Scenario {
    Scenario {
        steady_for: Duration::from_secs(2_100),
        afterwards: Duration::from_secs(720),
        ..Scenario::usual()
    }
}

#[test]
fn row09_a_fleet_recovers_without_a_storm() {
    for seed in 1..4 {
        let figures = run(&short(), &Policy::shipped(), seed);
        println!(
            "seed {seed}: steady {:.1}/s, busiest second {} steady, {} in the outage, {} after it",
            figures.steady, figures.steady_peak, figures.outage_peak, figures.recovery_peak
        );
        assert!(figures.steady > 40.0, "every instance keeps 20 secrets fresh");
        assert!(figures.steady_ratio() <= 2.5, "{}", figures.steady_peak);
        // At first each instance finds out for itself, by as many attempts as open a breaker.
        assert!(figures.outage_ratio() <= 6.0, "{}", figures.outage_peak);
        assert!(figures.outage_mean <= 2.0 * figures.steady, "{}", figures.outage_mean);
        assert!(figures.recovery_ratio() <= 3.0, "{}", figures.recovery_peak);
        let healthy_after = figures.healthy_after.expect("all are healthy in the end");
        assert!(healthy_after <= Duration::from_secs(200), "{healthy_after:?}");
    }
}

/// What the test above would see if the rules were of no use.
#[test]
fn without_them_the_recovery_is_a_storm() {
    let fleet = Scenario { instances: 50, ..short() };
    for policy in [Policy::naive(), Policy::shipped().without_jitter()] {
        let figures = run(&fleet, &policy, 1);
        assert!(figures.recovery_ratio() > 10.0, "{}: {}", policy.name, figures.recovery_peak);
    }
}

#[test]
fn the_same_seed_gives_the_same_figures() {
    let fleet = Scenario { instances: 20, ..short() };
    let run = |seed| run(&fleet, &Policy::shipped(), seed);
    assert_eq!(run(7), run(7));
    assert_ne!(run(7), run(8));
}

/// Tokens that end while Vault is away take their leases with them; both are had again.
#[test]
fn short_tokens_come_back_too() {
    let fleet = Scenario { instances: 50, token_ttl: Duration::from_secs(240), ..short() };
    let figures = run(&fleet, &Policy::shipped(), 1);
    assert!(figures.healthy_after.is_some(), "{:?}", figures.noticed_after);
}

#[test]
fn events_come_in_the_order_of_their_time_then_of_their_adding() {
    let start = tokio::time::Instant::now();
    let at = |seconds| start + Duration::from_secs(seconds);
    let mut agenda = Agenda::default();
    for (seconds, name) in [(2, "c"), (1, "a"), (2, "d"), (1, "b")] {
        agenda.add(at(seconds), name);
    }
    let names: Vec<_> = agenda.map(|(_, name)| name).collect();
    assert_eq!(names, ["a", "b", "c", "d"]);
}
