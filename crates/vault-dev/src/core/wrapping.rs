//! Response wrapping: an answer kept behind a single-use token.

use std::time::Duration;

use super::Core;
use super::answer::{Answer, Form, Refusal, Reply, WrapInfo};
use super::request::Request;
use super::tokens::{NewToken, Token, Wrapped};
use super::ttl::Limits;
use super::written::Written;
use crate::clock::rfc3339;
use crate::json::Json;

/// Vault's one message for every wrapping token that will not do.
pub(crate) const INVALID_WRAPPING_TOKEN: &str = "wrapping token is not valid or does not exist";

/// The wrapping token that a request is about: the one in the body, else the one it came with.
pub(super) fn token_of(request: &Request) -> Option<String> {
    match request.data.get("token") {
        Some(Json::String(token)) if !token.is_empty() => Some(token.clone()),
        _ => request.token.clone(),
    }
}

impl Core {
    /// Keeps `answer` and returns what stands for it.
    pub(super) fn wrap(
        &self,
        request: &Request,
        answer: &Answer,
        mount_type: &'static str,
        ttl: Duration,
    ) -> Result<WrapInfo, Refusal> {
        let written = Written::to_be_wrapped(request, answer, mount_type);
        if written.status == 404 {
            return Err(Refusal::new(404, "unsupported path"));
        }
        let wrapped_accessor = answer.auth.as_ref().map(|auth| auth.accessor.clone()).or_else(|| {
            let accessor = answer.data.as_ref()?.get("secret_id_accessor")?;
            accessor.as_str().map(str::to_owned)
        });
        let wrapped = Wrapped { body: written.body, creation_path: request.path.clone(), ttl };
        self.wrapping_token(&request.namespace, wrapped, wrapped_accessor.unwrap_or_default())
    }

    fn wrapping_token(
        &self,
        namespace: &str,
        wrapped: Wrapped,
        wrapped_accessor: String,
    ) -> Result<WrapInfo, Refusal> {
        let now = self.clock.now();
        let (ttl, creation_path) = (wrapped.ttl, wrapped.creation_path.clone());
        let new = NewToken {
            id: None,
            namespace: namespace.to_owned(),
            policies: vec!["response-wrapping".to_owned()],
            path: creation_path.clone(),
            display_name: String::new(),
            meta: None,
            entity_id: String::new(),
            ttl: Some(ttl),
            limits: Limits { explicit_max_ttl: ttl, ..Limits::of_mount(ttl, ttl) },
            num_uses: 1,
            renewable: false,
            batch: false,
            parent: None,
            wrapped: Some(wrapped),
        };
        let token = self.state.lock().tokens.create(new, now)?;
        self.wake.notify_one();
        Ok(WrapInfo {
            token: token.id,
            accessor: token.accessor,
            ttl,
            creation_time: rfc3339(now),
            creation_path,
            wrapped_accessor,
        })
    }

    /// Hands the wrapped answer out, once.
    pub(crate) fn unwrap(&self, request: &Request) -> Reply {
        let wrapped = self.take_wrapped(request)?;
        Ok(Answer { form: Form::Verbatim(wrapped.body), ..Answer::default() })
    }

    /// A new wrapping token for the same answer.
    pub(crate) fn rewrap(&self, request: &Request) -> Reply {
        let wrapped = self.take_wrapped(request)?;
        let info = self.wrapping_token(&request.namespace, wrapped, String::new())?;
        Ok(Answer { wrap_info: Some(info), ..Answer::default() })
    }

    /// What a wrapping token says about itself.
    pub(crate) fn lookup_wrapping(&self, request: &Request) -> Option<(Token, Wrapped)> {
        let state = self.state.lock();
        let token = state.tokens.live(&token_of(request)?, self.clock.now())?;
        Some((token.clone(), token.wrapped.clone()?))
    }

    fn take_wrapped(&self, request: &Request) -> Result<Wrapped, Refusal> {
        let invalid = || Refusal::bad_request(INVALID_WRAPPING_TOKEN);
        let id = token_of(request).ok_or_else(invalid)?;
        let mut state = self.state.lock();
        // When the wrapping token asks itself, its only use is going on: it is no longer live, but still there.
        let wrapped = state.tokens.take_wrapped(&id).ok_or_else(invalid)?;
        state.tokens.remove(&id, false);
        Ok(wrapped)
    }
}
