//! Leaders of a cluster are killed under load: what an application with one [`ResilientVaultClient`] sees of it.

mod application;
mod kill;
mod load;
mod tally;

use std::time::Duration;

use conformance::eventually_within;
use secrets_service::ResilientVaultClient;
use tokio::time::{Instant, sleep};

use self::application::Application;
pub use self::kill::Kill;
use self::load::Load;
use self::tally::seconds;
pub use self::tally::{Round, Tally};
use crate::cluster::{NODES, RaftCluster, Timing};
use crate::scale::tell;

/// A guard against hanging, and no expectation: an election takes seconds.
const AT_MOST: Duration = Duration::from_secs(120);

/// Load before each kill, and after all is well again.
const QUIET: Duration = Duration::from_secs(3);

/// A cluster under load.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    /// How quickly the nodes elect.
    pub timing: Timing,
    /// The client's first address: the node that leads at first, or one that does not.
    pub leader_first: bool,
    /// How many leaders are killed, one after the other. Each is back before the next one goes.
    pub kills: u32,
}

/// A client, its load, and the cluster that it talks to.
struct Scene {
    cluster: RaftCluster,
    client: ResilientVaultClient,
    load: Load,
    /// The nodes in the order of the client's addresses.
    order: [usize; NODES],
}

impl Plan {
    /// Carries it out, and tells of each kill in a line. Panics if a write that was acknowledged is lost.
    pub async fn run(self) -> Vec<Kill> {
        let Self { timing, leader_first, kills } = self;
        let started = Instant::now();
        let cluster = RaftCluster::start(timing).await;
        tell(&format!("\nendurance: ha: {timing:?} timing: three nodes vote after {}", seconds(started)));
        // The first leader is node 0.
        let order = if leader_first { [0, 1, 2] } else { [1, 0, 2] };
        let application = Application::new(&cluster, 0).await;
        let addresses = cluster.addresses();
        let config = application.config(order.iter().map(|node| addresses[*node].clone()).collect());
        let client = ResilientVaultClient::new(&config).unwrap();
        let load = Load::start(client.clone()).await;
        let mut scene = Scene { cluster, client, load, order };

        tell(Kill::HEADER);
        let mut all = Vec::new();
        for number in 1..=kills {
            let kill = scene.kill_the_leader(number).await;
            tell(&kill.to_string());
            all.push(kill);
        }
        scene.load.stop().await;
        tell(&Kill::summary(timing, &all));
        let (newest, acknowledged) =
            (application::newest(&scene.client).await.unwrap(), scene.load.acknowledged());
        assert!(newest >= acknowledged, "version {acknowledged} was acknowledged, {newest} is the newest");
        all
    }
}

impl Scene {
    async fn kill_the_leader(&self, number: u32) -> Kill {
        let Self { cluster, client, load, order } = self;
        let leader = eventually_within(AT_MOST, "a node leads", || cluster.leader()).await;
        let place = order.iter().position(|node| *node == leader).unwrap() + 1;
        let before = client.stats();
        load.begin_round();
        sleep(QUIET).await;
        let killed = Instant::now();
        cluster.kill(leader).await;
        load.leader_is_gone(killed);
        eventually_within(AT_MOST, "another node leads", || cluster.leader()).await;
        let election = killed.elapsed();
        let recovered =
            eventually_within(AT_MOST, "reads and writes succeed again", || async { load.recovered() });
        let (read_again, written_again) = recovered.await;
        cluster.restart(leader).await;
        cluster.settled().await;
        let round = load.begin_round();
        let after = client.stats();
        sleep(QUIET).await;
        Kill {
            number,
            place,
            killed,
            election,
            read_again,
            written_again,
            round,
            afterwards: load.begin_round(),
            requests: after.requests - before.requests,
            retries: after.retries - before.retries,
        }
    }
}
