//! The face towards the clients: Vault's own API, answered from the cache where that is right, passed through where
//! it is not.
//!
//! A hit is answered without waiting for anything, and without a future on the heap; all else is boxed.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};

use arc_swap::ArcSwap;
use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::Service;
use secrets_service::{Error, ErrorKind, Origin, ReadOptions, gds_vault};
use tokio::sync::Semaphore;
use tokio::time::Instant;

use super::answer::{self, AnswerBody};
use super::cacheable::{Keep, Read, decoded};
use super::facts::{CacheUse, Facts};
use super::forward::{self, ForwardLimits, Unfit};
use super::guard::{self, AllowList, Hosts, Reach, Refusal};
use super::identity::{Identities, Identity, Trust};
use super::metrics::Metrics;
use super::purge::{Change, Outcome};
use super::stale::StaleServed;

/// A short answer, as those are that have to be looked into.
const SHORT_ANSWER: usize = 64 * 1024;

/// What decides about requests, and can be changed while the agent runs.
#[derive(Debug, Default)]
pub(crate) struct Rules {
    pub(crate) hosts: Hosts,
    /// Whether those who bring no token may use the agent's login, and for what.
    pub(crate) lend_own: bool,
    pub(crate) own_paths: AllowList,
}

/// What all connections share.
pub(crate) struct Shared {
    pub(crate) identities: Arc<Identities>,
    pub(crate) rules: ArcSwap<Rules>,
    pub(crate) limits: ForwardLimits,
    /// Requests that may be under way to Vault at once.
    pub(crate) turns: Arc<Semaphore>,
    pub(crate) metrics: Metrics,
    pub(crate) stale: StaleServed,
}

/// Answers the requests of one listener. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    reach: Reach,
}

/// What becomes of a request.
enum Step {
    Answer(Response<AnswerBody>),
    /// A read that may be cached, to be asked for.
    Read {
        who: Arc<Identity>,
        path: String,
        version: Option<u64>,
        anew: bool,
    },
    Pass(Via),
}

/// With whose token a request goes on.
enum Via {
    /// The agent's.
    Own(Arc<Identity>),
    /// That of the request.
    Caller(Arc<Identity>),
    /// None: the path needs none, or the agent's is not lent.
    Nobody,
}

impl Proxy {
    pub(crate) fn new(shared: Arc<Shared>, reach: Reach) -> Self {
        Self { shared, reach }
    }

    /// Decides, without waiting.
    fn decide(&self, request: &Request<Incoming>) -> Step {
        let facts = Facts::of(request.headers());
        let rules = self.shared.rules.load();
        if let Err(refusal) = guard::check(self.reach, request.version(), request.uri(), &facts, &rules.hosts)
        {
            return self.refuse(refusal);
        }
        if !request.uri().path().starts_with("/v1/") {
            return self.refuse(guard::BAD_PATH);
        }
        let namespace = facts.namespace.and_then(|value| value.to_str().ok());
        let token = facts.token_bytes();
        if token.is_none() {
            match self.may_borrow(&rules, request.uri().path(), namespace) {
                Ok(true) => {}
                Ok(false) => return Step::Pass(Via::Nobody),
                Err(refusal) => return self.refuse(refusal),
            }
        }
        let who = self.shared.identities.of(token, namespace);
        let Some(read) = Read::of(request.method(), request.uri(), &facts) else {
            return Step::Pass(Via::of(who));
        };
        if facts.cache == CacheUse::Full
            && read.version.is_none()
            && let Some(hit) = hit(&who, &read)
        {
            return Step::Answer(hit);
        }
        Step::Read {
            path: read.path.into_owned(),
            version: read.version,
            anew: facts.cache != CacheUse::Full,
            who,
        }
    }

    /// Whether a request without a token goes on with the agent's.
    fn may_borrow(&self, rules: &Rules, path: &str, namespace: Option<&str>) -> Result<bool, Refusal> {
        let path = decoded(path).ok_or(guard::BAD_PATH)?;
        if !rules.lend_own || needs_no_token(&path) {
            return Ok(false);
        }
        if path.trim_end_matches('/').split('/').any(|segment| matches!(segment, "" | "." | "..")) {
            return Err(guard::BAD_PATH);
        }
        if guard::is_about_the_own_token(&path) {
            return Err(guard::OWN_TOKEN);
        }
        let own = self.shared.identities.own().namespace.as_deref();
        let elsewhere = namespace.map(|name| name.trim_matches('/')).filter(|name| Some(*name) != own);
        let allowed = match elsewhere {
            Some(namespace) if !namespace.is_empty() => {
                rules.own_paths.allows(&format!("{namespace}/{path}"))
            }
            _ => rules.own_paths.allows(&path),
        };
        if allowed { Ok(true) } else { Err(guard::NOT_ALLOWED) }
    }

    fn refuse(&self, refusal: Refusal) -> Step {
        self.shared.metrics.refused(refusal.reason);
        tracing::info!(reason = refusal.reason, "request refused");
        Step::Answer(answer::refusal(refusal))
    }

    /// A read whose answer is, or should come into, the cache.
    async fn read(
        &self,
        request: Request<Incoming>,
        who: Arc<Identity>,
        path: &str,
        version: Option<u64>,
        anew: bool,
    ) -> Response<AnswerBody> {
        if who.trust().await == Trust::PassThrough {
            return self.pass(request, Via::of(who)).await;
        }
        let resolved = match who.client.find_mount(path).await {
            Ok(resolved) => resolved,
            // No such mount, or none that this token may know of: Vault itself should say so.
            Err(error) if is_an_answer(&error) => return self.pass(request, Via::of(who)).await,
            Err(error) => return answer::failure(&error, who.is_own()),
        };
        let keep = Read { path: path.into(), version }.keep(&resolved);
        if keep == Keep::No {
            return self.pass(request, Via::of(who)).await;
        }
        let options = ReadOptions { version, bypass_cache: anew, ..ReadOptions::default() };
        let started = Instant::now();
        let outcome = who.client.get_secret_with(path, options).await;
        if !outcome.as_ref().is_ok_and(|read| read.origin() == Origin::Cache) {
            self.shared.metrics.asked(started.elapsed());
        }
        match outcome {
            Ok(read) => {
                if keep == Keep::IfLeased && read.lease().is_none() {
                    who.client.invalidate(path);
                }
                if let Some(reason) = read.stale_reason() {
                    self.shared.stale.note(&who, &resolved, version, read.age(), reason);
                }
                answer::secret(&read)
            }
            Err(error) => {
                if error.kind() == ErrorKind::Authentication {
                    who.distrust();
                }
                answer::failure(&error, who.is_own())
            }
        }
    }

    /// A request that goes on as it came.
    async fn pass(&self, request: Request<Incoming>, via: Via) -> Response<AnswerBody> {
        let (head, body) = request.into_parts();
        let keep_token = matches!(via, Via::Caller(_));
        let outgoing = match forward::outgoing(&head, body, keep_token, &self.shared.limits).await {
            Ok(outgoing) => outgoing,
            Err(unfit) => return unfit.answer(),
        };
        // Taken now, and not before: whoever sends slowly keeps nobody else from being served.
        let Ok(turn) = Arc::clone(&self.shared.turns).try_acquire_owned() else {
            self.shared.metrics.busy();
            return answer::busy();
        };
        let change = self.change(&head, outgoing.body.as_ref());
        let too_large = outgoing.too_large();
        let started = Instant::now();
        let answer = match &via {
            Via::Own(who) => who.client.forward(outgoing.forward).await,
            Via::Caller(_) | Via::Nobody => {
                let vault = self.shared.identities.own().client.vault();
                let path = outgoing.forward.path().to_owned();
                vault.forward(outgoing.forward).await.map_err(|error| Error::from_vault(&path, error))
            }
        };
        self.shared.metrics.asked(started.elapsed());
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                if let (Some(change), Some(false)) =
                    (change, error.vault_error().map(gds_vault::Error::was_sent))
                {
                    change.done(Outcome::Refused, None);
                }
                if too_large.load(Ordering::Relaxed) {
                    return Unfit::TooLarge.answer();
                }
                return answer::failure(&error, true);
            }
        };
        if answer.status == 403
            && let Via::Caller(who) = &via
        {
            who.distrust();
        }
        let Some(change) = change else { return forward::passed(answer, turn) };
        let outcome = Outcome::of(answer.status);
        if !change.wants_answer() {
            change.done(outcome, None);
            return forward::passed(answer, turn);
        }
        match answer.collect(SHORT_ANSWER).await {
            Ok(answer) => {
                change.done(outcome, answer.collected());
                forward::passed(answer, turn)
            }
            Err(error) => {
                drop(change);
                answer::failure(&Error::from_vault(head.uri.path(), error), true)
            }
        }
    }

    fn change(&self, head: &Parts, body: Option<&bytes::Bytes>) -> Option<Change> {
        let path = decoded(head.uri.path())?;
        let namespace = head.headers.get("x-vault-namespace").and_then(|value| value.to_str().ok());
        let namespace = namespace.or(self.shared.identities.own().namespace.as_deref());
        Change::of(&head.method, &path, namespace, body, &self.shared.identities)
    }
}

impl Via {
    fn of(who: Arc<Identity>) -> Self {
        if who.is_own() { Self::Own(who) } else { Self::Caller(who) }
    }
}

/// A fresh value from the cache, if there is one that may be served right now.
fn hit(who: &Arc<Identity>, read: &Read<'_>) -> Option<Response<AnswerBody>> {
    let resolved = who.client.vault().mounts().known(&read.path, None)?;
    if read.keep(&resolved) == Keep::No || !who.may_be_served_at_once() {
        return None;
    }
    who.client.cached(&read.path).map(|read| answer::secret(&read))
}

/// What Vault answers without a token: sending one would only make it depend on a login, which may be what is being
/// mended (Vault API, "Health", "Seal", "Initialize", the logins of the auth methods).
fn needs_no_token(path: &str) -> bool {
    const OPEN: [&str; 7] = [
        "sys/health",
        "sys/seal-status",
        "sys/init",
        "sys/unseal",
        "sys/leader",
        "sys/generate-root",
        "sys/rekey",
    ];
    let below =
        |prefix: &str| path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let login = || {
        let mut segments = path.split('/').skip(1);
        path.starts_with("auth/") && segments.any(|segment| segment == "login")
    };
    OPEN.iter().any(|open| below(open)) || login()
}

/// Vault has answered, with a no.
fn is_an_answer(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::PermissionDenied | ErrorKind::NotFound | ErrorKind::InvalidRequest)
}

impl Service<Request<Incoming>> for Proxy {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Answering;

    fn call(&self, request: Request<Incoming>) -> Answering {
        match self.decide(&request) {
            Step::Answer(answer) => {
                self.shared.metrics.answered(&answer);
                Answering::Ready(Some(answer))
            }
            Step::Read { who, path, version, anew } => {
                let proxy = self.clone();
                Answering::Asking(Box::pin(async move {
                    let answer = proxy.read(request, who, &path, version, anew).await;
                    proxy.shared.metrics.answered(&answer);
                    tracing::debug!(path, status = answer.status().as_u16(), "read");
                    answer
                }))
            }
            Step::Pass(via) => {
                let proxy = self.clone();
                Answering::Asking(Box::pin(async move {
                    let method = request.method().clone();
                    let answer = proxy.pass(request, via).await;
                    proxy.shared.metrics.answered(&answer);
                    tracing::debug!(%method, status = answer.status().as_u16(), "passed through");
                    answer
                }))
            }
        }
    }
}

/// An answer, there already or on its way.
pub(crate) enum Answering {
    Ready(Option<Response<AnswerBody>>),
    Asking(Pin<Box<dyn Future<Output = Response<AnswerBody>> + Send>>),
}

impl Future for Answering {
    type Output = Result<Response<AnswerBody>, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut *self {
            // Nothing comes after the end.
            Self::Ready(answer) => answer.take().map_or(Poll::Pending, |answer| Poll::Ready(Ok(answer))),
            Self::Asking(asking) => asking.as_mut().poll(context).map(Ok),
        }
    }
}
