//! Who asks, and may they.

use super::answer::Refusal;
use super::engine::Caller;
use super::request::{Operation, Request};
use super::tokens::Token;
use super::{Core, State};
use crate::policy::{Acl, Attempt};

impl Core {
    /// Finds the token, counts the use, and collects its policies.
    pub(crate) fn authenticate(&self, request: &Request) -> Result<Caller, Refusal> {
        let id = request.token.as_deref().filter(|id| !id.is_empty()).ok_or_else(Refusal::missing_token)?;
        let mut state = self.state.lock();
        let token = state.tokens.live(id, self.clock.now()).cloned().ok_or_else(Refusal::invalid_token)?;
        let acl = state.acl_of(&token);
        state.tokens.take_use(id);
        // The snapshot keeps the number of uses before this one, so that 1 means "this is the last".
        Ok(Caller { token, acl })
    }

    /// The caller of a path that needs no token but looks at one (`sys/internal/ui/mounts`).
    pub(crate) fn peek_caller(&self, request: &Request) -> Result<Caller, Refusal> {
        let id = request.token.as_deref().filter(|id| !id.is_empty()).ok_or_else(Refusal::missing_token)?;
        let state = self.state.lock();
        let token = state.tokens.live(id, self.clock.now()).cloned().ok_or_else(Refusal::invalid_token)?;
        let acl = state.acl_of(&token);
        Ok(Caller { token, acl })
    }
}

impl State {
    pub(crate) fn acl_of(&self, token: &Token) -> Acl {
        if token.is_root() {
            return if token.namespace.is_empty() { Acl::root() } else { Acl::root_of(&token.namespace) };
        }
        let mut acl = Acl::default();
        if let Some(namespace) = self.namespaces.get(&token.namespace) {
            for policy in token.policies.iter().filter_map(|name| namespace.policies.get(name)) {
                acl.add(&token.namespace, policy);
            }
        }
        acl
    }
}

impl Caller {
    pub(crate) fn allows(&self, request: &Request) -> bool {
        let Some(path) = self.full_path(request) else { return false };
        self.acl.allows(Attempt {
            operation: request.operation,
            path: &path,
            data: &request.data,
            wrap_ttl: request.wrap_ttl,
        })
    }

    pub(crate) fn has_sudo(&self, request: &Request) -> bool {
        self.full_path(request).is_some_and(|path| self.acl.has_sudo(request.operation, &path))
    }

    pub(crate) fn has_sudo_on(&self, namespace: &str, path: &str) -> bool {
        self.acl.has_sudo(Operation::Update, &format!("{namespace}{path}"))
    }

    /// `None`: outside of the token's namespace, where no policy of it counts. A wrapping token is good anywhere.
    fn full_path(&self, request: &Request) -> Option<String> {
        let Request { namespace, path, .. } = request;
        if self.token.is_wrapping() && path.starts_with("sys/wrapping/") {
            return Some(format!("{}{path}", self.token.namespace));
        }
        namespace.starts_with(self.token.namespace.as_str()).then(|| format!("{namespace}{path}"))
    }
}
