//! One request from entry to written answer, in Vault's order of checks.

use std::sync::Arc;

use super::answer::{Answer, Form, Leased, NewLease, Refusal, Reply};
use super::engine::{Call, Caller};
use super::fields::VALIDATION;
use super::leases::{Lease, MAX_LEASES};
use super::mounts::Mount;
use super::request::{Operation, Request};
use super::ttl::Limits;
use super::written::Written;
use super::{Core, wrapping};
use crate::clock::Timestamp;
use crate::random;

/// Where a request goes.
struct Route {
    mount: Arc<Mount>,
    /// Below the mount.
    rest: String,
}

impl Core {
    /// Answers one request. Never panics, never leaves a half-registered lease: it must not be cancelled, so the
    /// server runs it in a task of its own.
    pub(crate) async fn handle(self: &Arc<Self>, mut request: Request) -> Written {
        match self.answer(&mut request).await {
            Ok((answer, mount_type)) => self.write(&request, answer, mount_type),
            Err(refusal) => Written::refusal(&refusal),
        }
    }

    async fn answer(self: &Arc<Self>, request: &mut Request) -> Result<(Answer, &'static str), Refusal> {
        if self.is_sealed() && !works_when_sealed(&request.path) {
            return Err(Refusal::sealed());
        }
        if self.is_sealed() && request.path == "sys/seal" {
            return Ok((Answer::nothing(), ""));
        }
        let route = self.route(request);
        if request.path.ends_with('/')
            && (request.operation.is_write() || request.operation == Operation::Patch)
        {
            return Err(Refusal::bad_request("cannot write to a path ending in '/'"));
        }
        if let Some(path) = request.path.strip_prefix("sys/wrapping/") {
            self.check_wrapping_token(path, request)?;
        }
        let is_login = route.as_ref().is_ok_and(|route| route.mount.engine.is_login(&route.rest));
        if is_login {
            let route = route?;
            let call = Call::new(self, request, &route.mount, below(&route.rest, request.operation), None);
            let reply = route.mount.engine.handle(&call).await.map_err(Refusal::plain);
            return Ok((warned(&call, reply)?, ""));
        }
        let caller = self.authenticate(request)?;
        let outcome = self.authorised(request, &caller, route).await;
        self.spend_use(&caller, outcome).await
    }

    /// Policies first, as in Vault: who may not ask does not learn whether there is a mount.
    async fn authorised(
        self: &Arc<Self>,
        request: &mut Request,
        caller: &Caller,
        route: Result<Route, Refusal>,
    ) -> Result<(Answer, &'static str), Refusal> {
        let route = match route {
            Ok(route) => route,
            Err(refusal) => {
                return Err(if caller.allows(request) { refusal } else { Refusal::permission_denied() });
            }
        };
        let Route { mount, rest } = route;
        let mut exists = None;
        if request.operation.is_write() {
            let call = Call::new(self, request, &mount, below(&rest, request.operation), Some(caller));
            mount.engine.check_name(&call)?;
            exists = mount.engine.exists(&call);
            request.operation = if exists == Some(false) { Operation::Create } else { Operation::Update };
        }
        if !caller.allows(request) || (mount.engine.needs_sudo(&rest) && !caller.has_sudo(request)) {
            return Err(Refusal::permission_denied());
        }
        let call = Call::new(self, request, &mount, below(&rest, request.operation), Some(caller));
        let reply = mount.engine.handle(&call).await;
        let reply = if exists.is_some() {
            reply.map_err(|refusal| refusal.without_prefix(VALIDATION))
        } else {
            reply
        };
        let mut answer = warned(&call, reply)?;
        if let Some(lease) = answer.lease.take() {
            self.register_lease(&call, &mut answer, lease).await?;
        }
        Ok((answer, mount.kind))
    }

    fn route(&self, request: &mut Request) -> Result<Route, Refusal> {
        let state = self.state.lock();
        let Some((namespace, path)) = state.namespaces.resolve(&request.namespace, &request.path) else {
            return Err(Refusal::no_route(&format!("{}{}", request.namespace, request.path)));
        };
        request.namespace = namespace;
        request.path = path;
        let path = request.path.as_str();
        let found = state.namespaces.get(&request.namespace).and_then(|namespace| {
            let (table, below) = match path.strip_prefix("auth/") {
                Some(below) => (&namespace.auth, below),
                None => (&namespace.secrets, path),
            };
            let mount = table.matching(below)?;
            let rest = below.strip_prefix(mount.path.as_str()).unwrap_or_default().to_owned();
            Some(Route { mount: Arc::clone(mount), rest })
        });
        found.ok_or_else(|| Refusal::no_route(path))
    }

    async fn register_lease(
        self: &Arc<Self>,
        call: &Call<'_>,
        answer: &mut Answer,
        new: NewLease,
    ) -> Result<(), Refusal> {
        let now = call.now();
        let mount = call.mount.limits();
        let limits = Limits { role_ttl: new.ttl, role_max_ttl: new.max_ttl, ..mount };
        match self.try_register_lease(call, &new, limits, now) {
            Ok((leased, warnings)) => {
                answer.leased = Some(leased);
                answer.warnings.extend(warnings);
                self.wake.notify_one();
                Ok(())
            }
            Err(refusal) => {
                // The credential exists already: nobody will hear of it, so it must not stay.
                if let Err(complaint) = call.mount.engine.revoke(&new.internal).await {
                    tracing::error!(
                        path = call.request.path,
                        complaint,
                        "a credential without a lease was left behind"
                    );
                }
                Err(refusal)
            }
        }
    }

    fn try_register_lease(
        &self,
        call: &Call<'_>,
        new: &NewLease,
        limits: Limits,
        now: Timestamp,
    ) -> Result<(Leased, Vec<String>), Refusal> {
        let (ttl, warnings) = limits
            .ttl(std::time::Duration::ZERO, now, now)
            .map_err(|complaint| Refusal::new(500, complaint))?;
        let mut state = self.state.lock();
        let caller = call.caller.ok_or_else(Refusal::missing_token)?;
        // The token may have been revoked while the engine was at work; then the lease has nobody to end with.
        if state.tokens.live(&caller.token.id, now).is_none() && caller.token.uses_left != 1 {
            return Err(Refusal::invalid_token());
        }
        Refusal::unless_room(state.leases.len(), MAX_LEASES, "leases")?;
        let request = call.request;
        let suffix = state.namespaces.get(&request.namespace).filter(|_| !request.namespace.is_empty());
        let suffix = suffix.map(|namespace| format!(".{}", namespace.id)).unwrap_or_default();
        let id = format!("{}/{}{suffix}", request.path, random::base62(24));
        state.leases.insert(Lease::new(
            id.clone(),
            &request.namespace,
            &request.path,
            &caller.token.id,
            new.renewable,
            limits,
            new.internal.clone(),
            now,
            ttl,
        ));
        Ok((Leased { id, renewable: new.renewable, ttl }, warnings))
    }

    /// A token with limited uses pays for every request, also for a refused one; its last use ends it.
    async fn spend_use(
        self: &Arc<Self>,
        caller: &Caller,
        outcome: Result<(Answer, &'static str), Refusal>,
    ) -> Result<(Answer, &'static str), Refusal> {
        if caller.token.uses_left != 1 {
            return outcome;
        }
        self.revoke_token(&caller.token.id, false).await;
        match outcome {
            Ok((answer, _)) if answer.leased.as_ref().is_some_and(|leased| !leased.id.is_empty()) => {
                Err(Refusal::bad_request(
                    "Secret cannot be returned; token had one use left, so leased credentials were immediately revoked.",
                ))
            }
            outcome => outcome,
        }
    }

    fn write(&self, request: &Request, answer: Answer, mount_type: &'static str) -> Written {
        let ttl = request.wrap_ttl.filter(|ttl| !ttl.is_zero());
        let wrappable = answer.form == Form::Envelope && answer.wrap_info.is_none() && !answer.is_nothing();
        match ttl.filter(|_| wrappable) {
            Some(ttl) => match self.wrap(request, &answer, mount_type, ttl) {
                Ok(info) => {
                    let wrapped =
                        Answer { wrap_info: Some(info), warnings: answer.warnings, ..Answer::default() };
                    Written::answer(request, &wrapped, "")
                }
                Err(refusal) => Written::refusal(&refusal),
            },
            None => Written::answer(request, &answer, mount_type),
        }
    }

    fn check_wrapping_token(&self, path: &str, request: &Request) -> Result<(), Refusal> {
        if !matches!(path, "lookup" | "unwrap" | "rewrap") {
            return Ok(());
        }
        let token = wrapping::token_of(request).filter(|token| !token.is_empty());
        if token.is_none() {
            return Err(Refusal::new(403, "error validating wrapping token: token is empty"));
        }
        let state = self.state.lock();
        let known = token.and_then(|token| state.tokens.live(&token, self.clock.now()));
        if known.is_some_and(super::tokens::Token::is_wrapping) {
            Ok(())
        } else {
            Err(Refusal::bad_request(wrapping::INVALID_WRAPPING_TOKEN))
        }
    }
}

/// The paths that a sealed Vault answers.
fn works_when_sealed(path: &str) -> bool {
    matches!(path, "sys/health" | "sys/seal-status" | "sys/init" | "sys/leader" | "sys/unseal" | "sys/seal")
}

fn below(rest: &str, operation: Operation) -> &str {
    if operation == Operation::List { rest.strip_suffix('/').unwrap_or(rest) } else { rest }
}

fn warned(call: &Call<'_>, reply: Reply) -> Reply {
    let mut answer = reply?;
    if !answer.is_nothing()
        && let Some(warning) = call.ignored()
    {
        answer.warnings.push(warning);
    }
    Ok(answer)
}
