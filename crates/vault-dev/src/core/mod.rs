//! The server behind the wire: routes a request to an engine and looks after tokens, policies and leases.

mod answer;
mod authorise;
mod deadlines;
mod engine;
mod expiry;
mod fields;
mod handle;
mod leases;
mod mounts;
mod namespaces;
mod request;
mod tokens;
mod ttl;
mod wrapping;
mod written;

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::clock::Clock;
use crate::{policy, random};

pub(crate) use answer::{Answer, Form, Leased, NewLease, Refusal, Reply};
pub(crate) use engine::{BoxFuture, Call, Caller, Engine};
pub(crate) use expiry::OnFailure;
pub(crate) use fields::{Fields, go_bool};
pub(crate) use leases::Leases;
pub(crate) use mounts::{Mount, MountTable};
pub(crate) use namespaces::{Namespace, Namespaces};
pub(crate) use request::{Operation, Request};
pub(crate) use tokens::{NewToken, Token, Tokens};
pub(crate) use ttl::{Limits, SYSTEM_TTL};
pub(crate) use wrapping::INVALID_WRAPPING_TOKEN;
pub(crate) use written::Written;

/// The Vault whose answers these are.
pub(crate) const VERSION: &str = "1.21.0";

/// Of anything that has a name (secrets, roles, users, policies, mounts), how many there may be per mount or
/// namespace.
pub(crate) const MAX_ENTRIES: usize = 100_000;

/// Everything but the engines' own contents.
pub(crate) struct State {
    pub(crate) namespaces: Namespaces,
    pub(crate) tokens: Tokens,
    pub(crate) leases: Leases,
}

pub(crate) struct Core {
    pub(crate) clock: Clock,
    pub(crate) state: Mutex<State>,
    /// Rings when something may be due earlier than the timer believes.
    pub(crate) wake: Notify,
    pub(crate) cluster_name: String,
    pub(crate) cluster_id: String,
    pub(crate) unseal_key: String,
    sealed: AtomicBool,
}

impl Core {
    pub(crate) fn new(root_token: &str) -> Self {
        let clock = Clock::start();
        let mut tokens = Tokens::default();
        let root = NewToken {
            id: Some(root_token.to_owned()),
            namespace: String::new(),
            policies: vec!["root".to_owned()],
            path: "auth/token/create".to_owned(),
            display_name: "token".to_owned(),
            meta: None,
            entity_id: String::new(),
            ttl: None,
            limits: Limits::of_mount(Duration::ZERO, Duration::ZERO),
            num_uses: 0,
            renewable: false,
            batch: false,
            parent: None,
            wrapped: None,
        };
        // Cannot fail: the store is empty.
        let _ = tokens.create(root, clock.now());
        Self {
            state: Mutex::new(State { namespaces: Namespaces::new(), tokens, leases: Leases::default() }),
            clock,
            wake: Notify::new(),
            cluster_name: format!("vault-cluster-{}", random::hex8()),
            cluster_id: random::uuid(),
            unseal_key: random::key(),
            sealed: AtomicBool::new(false),
        }
    }

    pub(crate) fn is_sealed(&self) -> bool {
        self.sealed.load(Ordering::Acquire)
    }

    pub(crate) fn set_sealed(&self, sealed: bool) {
        self.sealed.store(sealed, Ordering::Release);
        self.wake.notify_one();
    }

    /// Makes a token out of a successful login.
    pub(crate) fn log_in(&self, call: &Call<'_>, login: Login) -> Reply {
        let now = self.clock.now();
        let mount = call.mount.limits();
        let limits = Limits {
            role_ttl: login.ttl,
            role_max_ttl: login.max_ttl,
            period: login.period,
            explicit_max_ttl: login.explicit_max_ttl,
            ..mount
        };
        let (ttl, warnings) = limits.ttl(Duration::ZERO, now, now).map_err(Refusal::bad_request)?;
        let token = NewToken {
            id: None,
            namespace: call.request.namespace.clone(),
            policies: policy::sanitize(&login.policies, !login.no_default_policy),
            path: call.request.path.clone(),
            display_name: login.display_name,
            meta: Some(login.metadata),
            entity_id: login.entity_id,
            ttl: Some(ttl),
            limits,
            num_uses: if login.batch { 0 } else { login.num_uses },
            renewable: true,
            batch: login.batch,
            parent: None,
            wrapped: None,
        };
        let token = self.state.lock().tokens.create(token, now)?;
        self.wake.notify_one();
        Ok(Answer { auth: Some(token.auth(ttl)), warnings, ..Answer::default() })
    }
}

/// What an auth method knows about somebody who has proved who they are.
#[derive(Default)]
pub(crate) struct Login {
    pub(crate) policies: Vec<String>,
    pub(crate) no_default_policy: bool,
    pub(crate) display_name: String,
    pub(crate) metadata: std::collections::BTreeMap<String, String>,
    pub(crate) entity_id: String,
    pub(crate) ttl: Duration,
    pub(crate) max_ttl: Duration,
    pub(crate) period: Duration,
    pub(crate) explicit_max_ttl: Duration,
    pub(crate) num_uses: u64,
    pub(crate) batch: bool,
}
