//! The agent beside Vault Proxy and nginx, on one machine in one run: how fast they serve what they have, how much
//! memory they take, how soon they are there, and what they do while Vault is away. `make bench-agent`.
//!
//! | | |
//! |---|---|
//! | [`stage`] | a real Vault with secrets, a PostgreSQL, and a login |
//! | [`relay`] | stands before that Vault, counts what reaches it, and spoils it on demand |
//! | [`contestant`] | the agent, Vault Proxy, nginx: started, asked, weighed |
//! | [`load`] | wrk |
//! | [`serving`] | the comparison while all is well |
//! | [`outage`] | the comparison while Vault is away |
//! | [`plot`] | the first of these as a picture |

pub mod contestant;
pub mod load;
pub mod outage;
pub mod plot;
pub mod relay;
pub mod serving;
pub mod stage;
