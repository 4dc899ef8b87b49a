//! A cluster of three real Vaults with integrated storage (Raft).

use std::time::Duration;

use conformance::{Keys, RealVault, eventually, eventually_within};
use futures::future::join_all;
use gds_vault::{Address, Client, Method, SecretString};
use serde::Deserialize;
use serde_json::json;

/// The smallest that survives the loss of one.
pub(crate) const NODES: usize = 3;

/// A guard against hanging. With the default timing an election takes up to 20 s, and each lost vote as long again.
const SETTLED_WITHIN: Duration = Duration::from_secs(120);

/// How quickly the nodes notice that their leader is gone (Vault configuration, "Integrated storage":
/// `performance_multiplier`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Timing {
    /// 1: what Vault's documentation recommends for production. A second or two.
    Production,
    /// 5: what a cluster has whose operator set nothing. Five to ten seconds, and more if a vote is lost.
    Default,
}

impl Timing {
    fn multiplier(self) -> u32 {
        match self {
            Self::Production => 1,
            Self::Default => 5,
        }
    }
}

/// Three nodes on this machine, unsealed, all of which vote. Killed when dropped, also by a panic.
pub struct RaftCluster {
    nodes: Vec<RealVault>,
    keys: Keys,
}

/// What the leader thinks of its cluster (Vault API, "sys/storage/raft/autopilot").
#[derive(Debug, Deserialize)]
struct Autopilot {
    healthy: bool,
    failure_tolerance: u32,
    voters: Option<Vec<String>>,
}

impl RaftCluster {
    /// Starts three nodes and makes them one cluster. Its first leader is node 0.
    pub async fn start(timing: Timing) -> Self {
        let node = |number: usize| {
            RealVault::start_with_storage(move |folder| {
                json!({"raft": {
                    "path": folder,
                    "node_id": format!("node-{number}"),
                    "performance_multiplier": timing.multiplier(),
                    // How often it is looked for new nodes that may vote, instead of every 10 s.
                    "autopilot_reconcile_interval": "1s",
                    "autopilot_update_interval": "1s",
                }})
            })
        };
        let nodes = join_all((0..NODES).map(node)).await.into_iter().collect::<Result<Vec<_>, _>>();
        let nodes = nodes.unwrap_or_else(|error| panic!("a node did not start: {error}"));
        let keys = nodes[0].initialize().await.unwrap();
        let cluster = Self { nodes, keys };
        eventually("the first node leads", || async { cluster.is_leader(0).await.then_some(()) }).await;
        // How long a new node must have been healthy before it votes, instead of 10 s.
        let settings = json!({"server_stabilization_time": "1s"});
        let path = "sys/storage/raft/autopilot/configuration";
        cluster.root(0).request(Method::POST, path).json(&settings).send().await.unwrap();
        for node in 1..NODES {
            cluster.join(node).await;
        }
        cluster.settled().await;
        cluster
    }

    /// Where the nodes listen, by number.
    pub fn addresses(&self) -> Vec<Address> {
        self.nodes.iter().map(|node| node.address().clone()).collect()
    }

    /// May do everything.
    pub fn root_token(&self) -> &SecretString {
        &self.keys.root_token
    }

    /// A client of one node alone, that may do everything.
    pub fn root(&self, node: usize) -> Client {
        let client = self.nodes[node].client();
        client.set_token(Some(self.keys.root_token.clone()));
        client
    }

    /// The number of the node that leads; `None` while none does.
    pub async fn leader(&self) -> Option<usize> {
        let all = join_all((0..NODES).map(|node| self.is_leader(node))).await;
        all.into_iter().position(|leads| leads)
    }

    /// Ends a node as a power cut does.
    pub async fn kill(&self, node: usize) {
        self.nodes[node].kill().await;
    }

    /// Starts a node that was [killed](Self::kill), and unseals it.
    pub async fn restart(&self, node: usize) {
        self.nodes[node].start_again().await.unwrap();
        self.unseal(node).await;
    }

    /// Waits until all nodes vote and have what the leader has: the cluster can lose any one of them.
    pub async fn settled(&self) {
        eventually_within(SETTLED_WITHIN, "all nodes vote and are healthy", || async {
            let leader = self.root(self.leader().await?);
            let state = leader.request(Method::GET, "sys/storage/raft/autopilot/state").read().await.ok()?;
            let state: Autopilot = state.decode().ok()?;
            let voters = state.voters.map_or(0, |voters| voters.len());
            (state.healthy && state.failure_tolerance == 1 && voters == NODES).then_some(())
        })
        .await;
    }

    async fn is_leader(&self, node: usize) -> bool {
        let health = self.nodes[node].client().sys().health().await;
        health.is_ok_and(|health| health.initialized && !health.sealed && !health.standby)
    }

    /// Makes a new node a part of the cluster.
    async fn join(&self, node: usize) {
        let leader = json!({"leader_api_addr": self.nodes[0].address().to_string()});
        let join = self.nodes[node].client().request(Method::POST, "sys/storage/raft/join").json(&leader);
        join.send().await.unwrap();
        self.unseal(node).await;
    }

    async fn unseal(&self, node: usize) {
        let client = self.nodes[node].client();
        client.sys().unseal(&self.keys.unseal_key).await.unwrap();
        // A new node joins after it has answered.
        eventually("a node is unsealed", || async {
            client.sys().health().await.is_ok_and(|health| !health.sealed).then_some(())
        })
        .await;
    }
}
