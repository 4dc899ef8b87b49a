//! Who asks: each identity has a cache of its own, so that nothing is ever served to anyone but who was given it.
//!
//! A request without a token is the agent's own identity. A token makes one of its own, per namespace; it is known
//! here by an HMAC under a key that only this process has.

use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use ring::hmac;
use secrets_service::{ErrorKind, OnClose, ResilientVaultClient, SecretString, VaultConfig};
use tokio::time::Instant;

/// What is kept for those who bring a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TokenSettings {
    /// How many identities are remembered; the least used go first.
    pub(crate) most: usize,
    /// How many secrets for each.
    pub(crate) capacity: usize,
    /// How long a token is believed to be alive after Vault has said so.
    pub(crate) check_every: Duration,
    /// An identity that has not asked for so long is forgotten.
    pub(crate) idle_time: Duration,
}

/// How long a question about a token may hold up someone for whom there is a cached value: as for a stale value.
const PATIENCE: Duration = Duration::from_secs(2);

/// Everyone who has asked.
pub(crate) struct Identities {
    own: Arc<Identity>,
    others: quick_cache::sync::Cache<Name, Arc<Identity>>,
    key: hmac::Key,
    config: VaultConfig,
    settings: TokenSettings,
    epoch: Instant,
}

type Name = [u8; 32];

impl Identities {
    /// `config` is that of `own`.
    pub(crate) fn new(
        own: ResilientVaultClient,
        mut config: VaultConfig,
        settings: TokenSettings,
    ) -> Result<Self, ring::error::Unspecified> {
        let key = hmac::Key::generate(hmac::HMAC_SHA256, &ring::rand::SystemRandom::new())?;
        config.cache_capacity = settings.capacity;
        let namespace = own.vault().namespace().map(Into::into);
        let own =
            Arc::new(Identity { client: own, namespace, sort: Sort::Own, last_used: AtomicU64::new(0) });
        let others = quick_cache::sync::Cache::new(settings.most);
        Ok(Self { own, others, key, config, settings, epoch: Instant::now() })
    }

    pub(crate) fn own(&self) -> &Arc<Identity> {
        &self.own
    }

    /// The identity of a request: `token` is who asks (`None`: the agent itself), `namespace` the header's.
    pub(crate) fn of(&self, token: Option<&[u8]>, namespace: Option<&str>) -> Arc<Identity> {
        let namespace = match namespace.map(|name| name.trim_matches('/')) {
            Some("") => None,
            Some(name) => Some(name),
            None => self.own.namespace.as_deref(),
        };
        if token.is_none() && namespace == self.own.namespace.as_deref() {
            return Arc::clone(&self.own);
        }
        let name = self.name(token, namespace);
        let made = self.others.get_or_insert_with::<_, std::convert::Infallible>(&name, || {
            Ok(Arc::new(self.make(token, namespace)))
        });
        let Ok(identity) = made;
        identity.last_used.store(self.now(), Ordering::Relaxed);
        identity
    }

    /// Everyone, the agent itself first.
    pub(crate) fn all(&self) -> impl Iterator<Item = Arc<Identity>> {
        std::iter::once(Arc::clone(&self.own)).chain(self.others.iter().map(|(_, identity)| identity))
    }

    pub(crate) fn len(&self) -> usize {
        self.others.len()
    }

    /// A token has been revoked, and with it perhaps others: none is believed any more without asking.
    pub(crate) fn distrust_all(&self) {
        for identity in self.all() {
            identity.distrust();
        }
    }

    /// Forgets those who have not asked for long. Meant to be called every minute or so.
    pub(crate) fn sweep(&self) {
        let longest = u64::try_from(self.settings.idle_time.as_millis()).unwrap_or(u64::MAX);
        let oldest = self.now().saturating_sub(longest);
        self.others.retain(|_, identity| identity.last_used.load(Ordering::Relaxed) >= oldest);
    }

    fn make(&self, token: Option<&[u8]>, namespace: Option<&str>) -> Identity {
        let (client, sort) = match token {
            None => (self.own.client.for_namespace(&self.config, namespace), Sort::Lent),
            Some(token) => {
                // A header's bytes that are no text are no token that Vault ever made.
                let token = SecretString::from(std::str::from_utf8(token).unwrap_or_default());
                let client = self.own.client.for_token(&self.config, token, namespace);
                (client, Sort::Caller(Caller::new(self.settings.check_every)))
            }
        };
        Identity { client, namespace: namespace.map(Into::into), sort, last_used: AtomicU64::new(self.now()) }
    }

    /// Token and namespace, so joined that no two pairs are alike.
    fn name(&self, token: Option<&[u8]>, namespace: Option<&str>) -> Name {
        let mut context = hmac::Context::with_key(&self.key);
        let token_length = token.map_or(u64::MAX, |token| token.len() as u64);
        context.update(&token_length.to_le_bytes());
        context.update(token.unwrap_or_default());
        context.update(&[u8::from(namespace.is_some())]);
        context.update(namespace.unwrap_or_default().as_bytes());
        let tag = context.sign();
        let mut name = [0; 32];
        name.copy_from_slice(tag.as_ref());
        name
    }

    fn now(&self) -> u64 {
        u64::try_from(self.epoch.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

/// One who asks, and what is cached for them.
pub(crate) struct Identity {
    pub(crate) client: ResilientVaultClient,
    pub(crate) namespace: Option<Box<str>>,
    sort: Sort,
    last_used: AtomicU64,
}

enum Sort {
    /// The agent.
    Own,
    /// The agent, in another namespace than its own.
    Lent,
    /// A token that came with a request.
    Caller(Caller),
}

/// Whether the cache may be used for someone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trust {
    Cache,
    /// Each use of the token counts, or Vault does not tell whether it is alive: all is passed through.
    PassThrough,
}

impl Identity {
    /// Whether it is the agent's login that is used.
    pub(crate) fn is_own(&self) -> bool {
        !matches!(self.sort, Sort::Caller(_))
    }

    /// Whether a fresh value may be served right now. Makes no request; may start one in the background.
    pub(crate) fn may_be_served_at_once(self: &Arc<Self>) -> bool {
        match &self.sort {
            Sort::Own | Sort::Lent => true,
            Sort::Caller(caller) => match caller.believed(Instant::now()) {
                Belief::Firm => true,
                Belief::Ageing => {
                    let identity = Arc::clone(self);
                    tokio::spawn(async move { identity.ask_about_token().await });
                    true
                }
                Belief::None => false,
            },
        }
    }

    /// Whether the cache may be used; asks Vault about the token if that has not been done for a while.
    pub(crate) async fn trust(&self) -> Trust {
        let Sort::Caller(caller) = &self.sort else { return Trust::Cache };
        let now = Instant::now();
        if caller.believed(now) == Belief::None && !caller.known_to_be_unsuitable(now) {
            self.ask_about_token().await;
        }
        caller.trust()
    }

    pub(crate) fn distrust(&self) {
        if let Sort::Caller(caller) = &self.sort {
            caller.standing.lock().checked_at = None;
        }
    }

    /// One question at a time; those who come meanwhile wait for its answer.
    async fn ask_about_token(&self) {
        let Sort::Caller(caller) = &self.sort else { return };
        let asked_at = Instant::now();
        let _one = caller.asking.lock().await;
        if caller.standing.lock().checked_at.is_some_and(|at| at >= asked_at) {
            return;
        }
        let now = Instant::now();
        let asking = self.client.look_up_login();
        let found = if caller.standing.lock().verdict == Verdict::Alive {
            // Something is cached: a frozen Vault must not freeze those who want it.
            tokio::time::timeout(PATIENCE, asking).await.ok()
        } else {
            Some(asking.await)
        };
        caller.standing.lock().asked_again = false;
        let verdict = match found {
            Some(Ok(found)) => {
                let ends = (!found.ttl.is_zero()).then(|| now + found.ttl);
                let verdict = if found.num_uses == 0 { Verdict::Alive } else { Verdict::Unsuitable };
                let mut standing = caller.standing.lock();
                standing.ends = ends;
                standing.verdict = verdict;
                standing.checked_at = Some(now);
                verdict
            }
            Some(Err(error)) => caller.conclude(error.kind(), now),
            None => caller.conclude(ErrorKind::Unavailable, now),
        };
        if verdict != Verdict::Alive {
            self.client.clear();
        }
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity").field("namespace", &self.namespace).finish_non_exhaustive()
    }
}

impl Drop for Identity {
    fn drop(&mut self) {
        // Its leases are its owner's. Closing forgets the values and ends what runs in the background.
        if !matches!(self.sort, Sort::Own)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let client = self.client.clone();
            runtime.spawn(async move { client.close(OnClose::Keep).await });
        }
    }
}

/// What is known of a token.
struct Caller {
    standing: Mutex<Standing>,
    asking: tokio::sync::Mutex<()>,
    check_every: Duration,
}

struct Standing {
    verdict: Verdict,
    /// When Vault last said so.
    checked_at: Option<Instant>,
    /// When Vault will end it.
    ends: Option<Instant>,
    /// Vault is being asked in the background.
    asked_again: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Unknown,
    Alive,
    Dead,
    Unsuitable,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Belief {
    Firm,
    Ageing,
    None,
}

impl Caller {
    fn new(check_every: Duration) -> Self {
        let standing =
            Standing { verdict: Verdict::Unknown, checked_at: None, ends: None, asked_again: false };
        Self { standing: Mutex::new(standing), asking: tokio::sync::Mutex::new(()), check_every }
    }

    fn believed(&self, now: Instant) -> Belief {
        let mut standing = self.standing.lock();
        let Some(checked_at) = standing.checked_at.filter(|_| standing.verdict == Verdict::Alive) else {
            return Belief::None;
        };
        let age = now.saturating_duration_since(checked_at);
        if age >= self.check_every || standing.ends.is_some_and(|ends| now >= ends) {
            return Belief::None;
        }
        if age >= self.check_every.mul_f64(2.0 / 3.0) && !standing.asked_again {
            standing.asked_again = true;
            return Belief::Ageing;
        }
        Belief::Firm
    }

    fn known_to_be_unsuitable(&self, now: Instant) -> bool {
        let standing = self.standing.lock();
        let recent =
            standing.checked_at.is_some_and(|at| now.saturating_duration_since(at) < self.check_every);
        recent && matches!(standing.verdict, Verdict::Unsuitable | Verdict::Dead)
    }

    fn trust(&self) -> Trust {
        match self.standing.lock().verdict {
            // A dead token's client answers what Vault last said, without asking again for each request.
            Verdict::Alive | Verdict::Unknown | Verdict::Dead => Trust::Cache,
            Verdict::Unsuitable => Trust::PassThrough,
        }
    }

    /// Vault did not vouch for the token.
    fn conclude(&self, kind: ErrorKind, now: Instant) -> Verdict {
        let mut standing = self.standing.lock();
        match kind {
            ErrorKind::Authentication => {
                standing.verdict = Verdict::Dead;
                standing.checked_at = Some(now);
            }
            // It may be alive and only not allowed to ask about itself: nobody can tell when it ends.
            ErrorKind::PermissionDenied => {
                standing.verdict = Verdict::Unsuitable;
                standing.checked_at = Some(now);
            }
            // Vault is away: what was known still counts, up to the token's end as far as that is known.
            _ if standing.ends.is_some_and(|ends| now >= ends) => standing.verdict = Verdict::Dead,
            _ if standing.verdict == Verdict::Alive => standing.checked_at = Some(now),
            _ => {}
        }
        // Not asked for the first time, and not answered: nothing is cached that could be forgotten.
        if standing.verdict == Verdict::Unknown { Verdict::Alive } else { standing.verdict }
    }
}
