//! A login that outlives its process: written down, and taken up again.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;

use super::{Login, Session};
use crate::disk::moment::{Moment, millis};
use crate::disk::record::{StoredGrant, StoredLogin};
use crate::lease::engine::{Grant, Sort};

impl Login {
    pub(super) fn stored(&self, now: Moment) -> StoredLogin {
        StoredLogin {
            number: self.generation,
            token: self.token.clone(),
            ttl: millis(self.ttl),
            grant: self.grant().map(|grant| StoredGrant {
                at: now.wall_at(grant.at),
                ends: now.wall_at(grant.ends),
                renewable: grant.sort == Sort::Renewable,
            }),
            ours: self.ours,
            role: self.role.clone(),
        }
    }
}

impl Session {
    /// Goes on with the login of an earlier process, until it ends or Vault refuses it. Makes no request.
    pub(crate) fn resume(&self, stored: StoredLogin, grant: Option<Grant>) -> Arc<Login> {
        let login = Arc::new(Login {
            generation: self.generations.fetch_add(1, Ordering::Relaxed) + 1,
            token: stored.token,
            ttl: Duration::from_millis(stored.ttl),
            grant: Mutex::new(grant),
            used: AtomicBool::new(false),
            ours: stored.ours,
            role: stored.role,
        });
        self.client.set_token(Some(login.token.clone()));
        self.note(&login);
        self.current.store(Some(Arc::clone(&login)));
        login
    }

    /// An earlier process was told that its token is dead: if the next login is refused, too, access has been taken
    /// away.
    pub(crate) fn remember_rejection(&self) {
        self.state.lock().token_was_rejected = true;
        self.journal.rejected(None);
    }
}
