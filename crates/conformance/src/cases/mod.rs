//! The tests.

mod approle;
mod approle_wrapped;
mod caching;
mod cli;
mod database;
mod database_roles;
mod errors;
mod health;
mod kv1;
mod kv2;
mod kv2_versions;
mod leases;
mod lifecycle;
mod logins;
mod mounts;
mod names;
mod outages;
mod paths;
mod policies;
mod policy;
mod restart;
mod service;
mod static_roles;
mod token;
mod userpass;
mod wrapping;

use std::time::Duration;

use futures::future::BoxFuture;

use crate::corner::Corner;

/// Times that nothing waits for: they only have to be told apart.
const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);

/// One test.
pub(crate) struct Case {
    name: &'static str,
    pub(crate) needs: Needs,
    pub(crate) body: fn(Corner) -> BoxFuture<'static, ()>,
}

/// What a test needs beyond the server that all share.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Needs {
    Nothing,
    /// A server of its own, because it disturbs it.
    OwnServer,
    /// As `OwnServer`, and the server keeps what it knows when it is killed.
    LastingServer,
    /// As `OwnServer`, and the `secrets-service` binary.
    Binary,
}

impl Case {
    pub(crate) const fn new(
        name: &'static str,
        needs: Needs,
        body: fn(Corner) -> BoxFuture<'static, ()>,
    ) -> Self {
        Self { name, needs, body }
    }

    /// The file and the function: `kv1::replaces`.
    pub(crate) fn name(&self) -> String {
        self.name.rsplit_once("cases::").map_or(self.name, |(_, name)| name).to_owned()
    }
}

/// Lists the tests of a file by what they need: `cases! { Nothing: [reads, writes], OwnServer: [seals] }`.
macro_rules! cases {
    ($($needs:ident: [$($name:ident),* $(,)?]),* $(,)?) => {
        pub(super) const CASES: &[$crate::cases::Case] = &[$($(
            $crate::cases::Case::new(
                concat!(module_path!(), "::", stringify!($name)),
                $crate::cases::Needs::$needs,
                |corner| Box::pin($name(corner)),
            ),
        )*)*];
    };
}
use cases;

/// All tests. Those that wait long come first, so that nothing waits for them at the end.
pub(crate) fn all() -> Vec<&'static Case> {
    [
        lifecycle::CASES,
        restart::CASES,
        static_roles::CASES,
        service::CASES,
        logins::CASES,
        cli::CASES,
        database::CASES,
        outages::CASES,
        approle::CASES,
        approle_wrapped::CASES,
        caching::CASES,
        database_roles::CASES,
        errors::CASES,
        health::CASES,
        kv1::CASES,
        kv2::CASES,
        kv2_versions::CASES,
        leases::CASES,
        mounts::CASES,
        names::CASES,
        paths::CASES,
        policies::CASES,
        policy::CASES,
        token::CASES,
        userpass::CASES,
        wrapping::CASES,
    ]
    .into_iter()
    .flatten()
    .collect()
}
