//! What an engine is: everything behind one mount.

use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;

use parking_lot::Mutex;

use super::Core;
use super::answer::{Refusal, Reply};
use super::fields::Fields;
use super::mounts::Mount;
use super::request::{Operation, Request};
use super::tokens::Token;
use crate::clock::Timestamp;
use crate::json::Json;
use crate::policy::Acl;

pub(crate) type BoxFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// A secrets engine, an auth method or the system backend. To add one: implement this, and name it in
/// `sys::catalog`.
pub(crate) trait Engine: Send + Sync {
    fn handle<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Reply>;

    /// Paths that need no token.
    fn is_login(&self, _path: &str) -> bool {
        false
    }

    /// Paths that need `sudo`.
    fn needs_sudo(&self, _path: &str) -> bool {
        false
    }

    /// Names under which a write cannot even look for what is there. Asked before the policies, as in Vault.
    fn check_name(&self, _call: &Call<'_>) -> Result<(), Refusal> {
        Ok(())
    }

    /// Whether a write would be an update. `None`: the engine does not tell creation from update, so all are updates.
    fn exists(&self, _call: &Call<'_>) -> Option<bool> {
        None
    }

    /// Tells the outside world that a lease now lasts until `expires`.
    fn renew<'a>(&'a self, _internal: &'a Json, _expires: Timestamp) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(ready(Ok(())))
    }

    /// Makes a leased secret useless.
    fn revoke<'a>(&'a self, _internal: &'a Json) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(ready(Ok(())))
    }

    /// When the engine has work of its own to do (a rotation).
    fn next_due(&self) -> Option<Timestamp> {
        None
    }

    /// Does the work that is due.
    fn work(&self, _now: Timestamp) -> BoxFuture<'_, ()> {
        Box::pin(ready(()))
    }

    /// Something ended that the engine may keep things for (a token's cubbyhole).
    fn token_ended(&self, _token: &str) {}
}

/// Who asks.
pub(crate) struct Caller {
    pub(crate) token: Token,
    pub(crate) acl: Acl,
}

/// One request as its engine sees it.
pub(crate) struct Call<'a> {
    pub(crate) core: &'a Arc<Core>,
    pub(crate) request: &'a Request,
    pub(crate) mount: &'a Mount,
    /// Below the mount, without the trailing slash of a list.
    pub(crate) path: &'a str,
    /// `None` on paths that need no token.
    pub(crate) caller: Option<&'a Caller>,
    ignored: Mutex<Vec<String>>,
}

impl<'a> Call<'a> {
    pub(crate) fn new(
        core: &'a Arc<Core>,
        request: &'a Request,
        mount: &'a Mount,
        path: &'a str,
        caller: Option<&'a Caller>,
    ) -> Self {
        Self { core, request, mount, path, caller, ignored: Mutex::new(Vec::new()) }
    }

    pub(crate) fn operation(&self) -> Operation {
        self.request.operation
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.core.clock.now()
    }

    pub(crate) fn segments(&self) -> Vec<&'a str> {
        self.path.split('/').collect()
    }

    /// The request's members. Those not `known` earn the caller a warning, as in Vault.
    pub(crate) fn fields(&self, known: &[&str]) -> Fields<'_> {
        let unknown = self.request.data.keys().filter(|name| !known.contains(&name.as_str()));
        *self.ignored.lock() = unknown.cloned().collect();
        self.request.fields()
    }

    /// The warning about members that the endpoint does not know.
    pub(crate) fn ignored(&self) -> Option<String> {
        let ignored = self.ignored.lock();
        let list = ignored.join(" ");
        (!ignored.is_empty()).then(|| format!("Endpoint ignored these unrecognized parameters: [{list}]"))
    }
}
