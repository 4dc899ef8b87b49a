//! The leader of a Raft cluster is killed under load. Short: once. Long: five times, and five times more in a cluster
//! whose elections take longer.

use std::time::Duration;

use endurance::ha::{Kill, Plan};
use endurance::{Scale, Timing, real_vault_or_skip};

/// Well within a read's deadline of ten seconds.
const SHORT_ELECTION: Duration = Duration::from_secs(5);

/// Three times a read's deadline.
const HANGS: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn leaders_are_killed_under_load() {
    if !real_vault_or_skip("ha") {
        return;
    }
    let quick = |kills| Plan { timing: Timing::Production, leader_first: false, kills };
    match Scale::from_environment() {
        Scale::Short => judge(&quick(1).run().await),
        Scale::Long => {
            judge(&quick(5).run().await);
            judge(&Plan { timing: Timing::Default, leader_first: true, kills: 5 }.run().await);
        }
    }
}

fn judge(kills: &[Kill]) {
    for kill in kills {
        let (round, afterwards) = (&kill.round, &kill.afterwards);
        assert_eq!(round.cached.failures(), 0, "cached reads never fail: {:#?}", round.cached.examples);
        if kill.election < SHORT_ELECTION {
            assert_eq!(
                round.uncached.failures(),
                0,
                "retried until there is a leader: {:#?}",
                round.uncached.examples
            );
        }
        // These may fail: writes that were on their way to the leader, and reads in an election that takes longer than
        // their deadline. They say so, in time.
        for tally in [&round.uncached, &round.writes] {
            assert!(tally.done > 0);
            assert!(tally.answered_no <= round.carried_out, "Vault is away: {:#?}", tally.examples);
            assert!(tally.slowest_failure < HANGS, "{:#?}", tally.examples);
        }
        for tally in [&afterwards.cached, &afterwards.uncached, &afterwards.writes] {
            assert!(tally.done > 0);
            assert_eq!(tally.failures(), 0, "all is well again: {:#?}", tally.examples);
        }
    }
}
