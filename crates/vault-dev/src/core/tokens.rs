//! The tokens: who they are, when they end, and what ends with them.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Duration;

use super::answer::{Auth, Refusal};
use super::deadlines::Deadlines;
use super::ttl::Limits;
use crate::clock::{Timestamp, after};
use crate::random;

/// More tokens than any test makes; a runaway login loop gets errors instead of all memory.
const MAX_TOKENS: usize = 200_000;

#[derive(Clone)]
pub(crate) struct Token {
    pub(crate) id: String,
    /// Empty for batch tokens.
    pub(crate) accessor: String,
    /// The path of its namespace, `""` for the root.
    pub(crate) namespace: String,
    pub(crate) policies: Vec<String>,
    /// Where it was made: `auth/approle/login`.
    pub(crate) path: String,
    pub(crate) display_name: String,
    pub(crate) meta: Option<BTreeMap<String, String>>,
    pub(crate) entity_id: String,
    pub(crate) issued: Timestamp,
    pub(crate) last_renewal: Option<Timestamp>,
    pub(crate) creation_ttl: Duration,
    /// `None`: never.
    pub(crate) expires: Option<Timestamp>,
    pub(crate) limits: Limits,
    /// 0: unlimited. -1: its last use is going on.
    pub(crate) uses_left: i64,
    pub(crate) num_uses: u64,
    pub(crate) renewable: bool,
    pub(crate) batch: bool,
    /// `None`: an orphan.
    pub(crate) parent: Option<String>,
    pub(crate) orphan: bool,
    /// This token stands for an answer.
    pub(crate) wrapped: Option<Wrapped>,
}

/// A wrapped answer.
#[derive(Clone)]
pub(crate) struct Wrapped {
    pub(crate) body: String,
    pub(crate) creation_path: String,
    pub(crate) ttl: Duration,
}

/// A token to be made.
#[derive(Clone)]
pub(crate) struct NewToken {
    pub(crate) id: Option<String>,
    pub(crate) namespace: String,
    pub(crate) policies: Vec<String>,
    pub(crate) path: String,
    pub(crate) display_name: String,
    pub(crate) meta: Option<BTreeMap<String, String>>,
    pub(crate) entity_id: String,
    /// `None`: it never ends.
    pub(crate) ttl: Option<Duration>,
    pub(crate) limits: Limits,
    pub(crate) num_uses: u64,
    pub(crate) renewable: bool,
    pub(crate) batch: bool,
    pub(crate) parent: Option<String>,
    pub(crate) wrapped: Option<Wrapped>,
}

impl Token {
    pub(crate) fn is_root(&self) -> bool {
        self.policies.iter().any(|policy| policy == "root")
    }

    pub(crate) fn is_wrapping(&self) -> bool {
        self.wrapped.is_some()
    }

    /// The lease under which Vault lists this token; a batch token has none.
    pub(crate) fn lease_id(&self) -> String {
        format!("{}/h{}", self.path, self.accessor)
    }

    pub(crate) fn auth(&self, ttl: Duration) -> Auth {
        Auth {
            client_token: self.id.clone(),
            accessor: self.accessor.clone(),
            policies: self.policies.clone(),
            metadata: self.meta.clone(),
            ttl,
            renewable: self.renewable,
            entity_id: self.entity_id.clone(),
            batch: self.batch,
            orphan: self.orphan,
            num_uses: self.num_uses,
        }
    }
}

#[derive(Default)]
pub(crate) struct Tokens {
    by_id: HashMap<String, Token>,
    by_accessor: HashMap<String, String>,
    children: HashMap<String, HashSet<String>>,
    deadlines: Deadlines<String>,
}

impl Tokens {
    pub(crate) fn create(&mut self, new: NewToken, now: Timestamp) -> Result<Token, Refusal> {
        Refusal::unless_room(self.by_id.len(), MAX_TOKENS, "tokens")?;
        let id = match new.id {
            Some(id) if self.by_id.contains_key(&id) => {
                return Err(Refusal::bad_request("cannot create a token with a duplicate ID"));
            }
            Some(id) => id,
            None if new.batch => format!("hvb.AAAAAQ{}", random::base62(120)),
            None => format!("hvs.{}", random::base62(24)),
        };
        let expires = new.ttl.map(|ttl| after(now, ttl));
        let token = Token {
            accessor: if new.batch { String::new() } else { random::base62(24) },
            id,
            namespace: new.namespace,
            policies: new.policies,
            path: new.path,
            display_name: new.display_name,
            meta: new.meta,
            entity_id: new.entity_id,
            issued: now,
            last_renewal: None,
            creation_ttl: new.ttl.unwrap_or_default(),
            expires,
            limits: new.limits,
            uses_left: i64::try_from(new.num_uses).unwrap_or(i64::MAX),
            num_uses: new.num_uses,
            renewable: new.renewable && !new.batch && expires.is_some(),
            batch: new.batch,
            orphan: new.parent.is_none(),
            parent: new.parent,
            wrapped: new.wrapped,
        };
        if !token.accessor.is_empty() {
            self.by_accessor.insert(token.accessor.clone(), token.id.clone());
        }
        if let Some(parent) = &token.parent {
            self.children.entry(parent.clone()).or_default().insert(token.id.clone());
        }
        self.deadlines.set(&token.id, token.expires);
        self.by_id.insert(token.id.clone(), token.clone());
        Ok(token)
    }

    /// A token that is known and has not ended.
    pub(crate) fn live(&self, id: &str, now: Timestamp) -> Option<&Token> {
        self.by_id.get(id).filter(|token| token.expires.is_none_or(|end| end > now) && token.uses_left != -1)
    }

    pub(crate) fn by_accessor(&self, accessor: &str, now: Timestamp) -> Option<&Token> {
        self.live(self.id_of(accessor)?, now)
    }

    /// The token with this accessor, be it live or not.
    pub(crate) fn id_of(&self, accessor: &str) -> Option<&String> {
        self.by_accessor.get(accessor)
    }

    /// The token that is listed under this lease id.
    pub(crate) fn by_lease_id(&self, lease_id: &str, now: Timestamp) -> Option<&Token> {
        let (_, tail) = lease_id.rsplit_once("/h")?;
        self.by_accessor(tail, now).filter(|token| token.lease_id() == lease_id)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Token> {
        self.by_id.values()
    }

    /// Takes the wrapped answer out of a wrapping token, also during the token's last use.
    pub(crate) fn take_wrapped(&mut self, id: &str) -> Option<Wrapped> {
        self.by_id.get_mut(id)?.wrapped.take()
    }

    /// Counts one use. `true` if it was the last: the caller revokes the token when the request is over.
    pub(crate) fn take_use(&mut self, id: &str) -> bool {
        let Some(token) = self.by_id.get_mut(id) else { return false };
        match token.uses_left {
            1 => {
                token.uses_left = -1;
                true
            }
            2.. => {
                token.uses_left -= 1;
                false
            }
            _ => false,
        }
    }

    pub(crate) fn renew(
        &mut self,
        id: &str,
        increment: Duration,
        now: Timestamp,
    ) -> Result<(Auth, Vec<String>), Refusal> {
        let token = self.by_id.get_mut(id).ok_or_else(|| Refusal::bad_request("token not found"))?;
        if token.batch {
            return Err(Refusal::bad_request("batch tokens cannot be renewed"));
        }
        if !token.renewable {
            return Err(Refusal::bad_request("lease is not renewable"));
        }
        let (ttl, warnings) = token.limits.ttl(increment, token.issued, now).map_err(Refusal::bad_request)?;
        if token.path.starts_with("auth/token/") {
            // No role says how long: the last TTL goes on.
            token.limits.role_ttl = ttl;
        }
        token.expires = Some(after(now, ttl));
        token.last_renewal = Some(now);
        self.deadlines.set(&token.id, token.expires);
        Ok((token.auth(ttl), warnings))
    }

    /// Forgets the token and, unless `spare_children`, everything it made. Returns the ids that are gone.
    pub(crate) fn remove(&mut self, id: &str, spare_children: bool) -> Vec<String> {
        let mut gone = Vec::new();
        let mut doomed = vec![id.to_owned()];
        while let Some(id) = doomed.pop() {
            let Some(token) = self.by_id.remove(&id) else { continue };
            self.by_accessor.remove(&token.accessor);
            self.deadlines.set(&id, None);
            if let Some(siblings) = token.parent.and_then(|parent| self.children.get_mut(&parent)) {
                siblings.remove(&id);
            }
            for child in self.children.remove(&id).unwrap_or_default() {
                if !spare_children {
                    doomed.push(child);
                } else if let Some(child) = self.by_id.get_mut(&child) {
                    child.parent = None;
                    child.orphan = true;
                }
            }
            gone.push(id);
        }
        gone
    }

    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        self.deadlines.next()
    }

    pub(crate) fn due(&self, now: Timestamp) -> Vec<String> {
        self.deadlines.due(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::ttl::SYSTEM_TTL;

    fn new(parent: Option<&str>, num_uses: u64) -> NewToken {
        NewToken {
            id: None,
            namespace: String::new(),
            policies: vec!["default".to_owned()],
            path: "auth/token/create".to_owned(),
            display_name: "token".to_owned(),
            meta: None,
            entity_id: String::new(),
            ttl: Some(Duration::from_secs(60)),
            limits: Limits::of_mount(SYSTEM_TTL, SYSTEM_TTL),
            num_uses,
            renewable: true,
            batch: false,
            parent: parent.map(str::to_owned),
            wrapped: None,
        }
    }

    #[test]
    fn revoking_takes_the_family() {
        let now = Timestamp::UNIX_EPOCH;
        let mut tokens = Tokens::default();
        let parent = tokens.create(new(None, 0), now).unwrap();
        let child = tokens.create(new(Some(&parent.id), 0), now).unwrap();
        let grandchild = tokens.create(new(Some(&child.id), 0), now).unwrap();
        let mut gone = tokens.remove(&parent.id, false);
        let mut all = vec![parent.id, child.id, grandchild.id];
        gone.sort();
        all.sort();
        assert_eq!(gone, all);
        assert_eq!(tokens.next_due(), None);
    }

    #[test]
    fn revoking_an_orphan_maker_spares_children() {
        let now = Timestamp::UNIX_EPOCH;
        let mut tokens = Tokens::default();
        let parent = tokens.create(new(None, 0), now).unwrap();
        let child = tokens.create(new(Some(&parent.id), 0), now).unwrap();
        assert_eq!(tokens.remove(&parent.id, true), [parent.id]);
        assert!(tokens.live(&child.id, now).unwrap().orphan);
    }

    #[test]
    fn ends_by_time_and_by_use() {
        let now = Timestamp::UNIX_EPOCH;
        let mut tokens = Tokens::default();
        let token = tokens.create(new(None, 2), now).unwrap();
        assert!(tokens.live(&token.id, after(now, Duration::from_secs(59))).is_some());
        assert!(tokens.live(&token.id, after(now, Duration::from_secs(60))).is_none());
        assert_eq!(tokens.due(after(now, Duration::from_secs(60))), std::slice::from_ref(&token.id));
        assert!(!tokens.take_use(&token.id));
        assert!(tokens.take_use(&token.id));
        assert!(tokens.live(&token.id, now).is_none());
    }
}
