//! What is written: one change after the other, each a few fields in a fixed order.
//!
//! Numbers are little-endian, texts and bodies have their length before them (`u32`), times are milliseconds since
//! 1970. Nothing here is secret by itself; `seal.rs` makes it so.

use std::sync::Arc;

use gds_vault::{KnownMounts, MountKind, SecretString};
use zeroize::{Zeroize as _, Zeroizing};

/// Milliseconds since 1970.
pub(crate) type WallTime = u64;

/// One change. The last one about the same thing counts.
#[derive(Debug)]
pub(crate) enum Record {
    /// A secret under its key.
    Put(StoredSecret),
    /// There is nothing under this key any more.
    Delete(String),
    /// There is nothing any more, the login excepted.
    Clear,
    /// That is the login now.
    Login(StoredLogin),
    /// There is no login. `rejected`: Vault has called it dead.
    NoLogin { rejected: bool },
    /// Where things are mounted; all that is known.
    Mounts(KnownMounts),
    /// When this was written: the clock cannot have been earlier afterwards.
    Written(WallTime),
}

/// A secret with its deadlines.
#[derive(PartialEq, Eq)]
pub(crate) struct StoredSecret {
    pub(crate) key: String,
    pub(crate) fetched_at: WallTime,
    pub(crate) refresh_from: WallTime,
    pub(crate) fresh_until: WallTime,
    pub(crate) stale_until: WallTime,
    pub(crate) hold: Option<StoredHold>,
    /// As it came from Vault.
    pub(crate) body: Zeroizing<Vec<u8>>,
}

impl std::fmt::Debug for StoredSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("StoredSecret").field("key", &self.key).finish_non_exhaustive()
    }
}

/// What a lease hangs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredHold {
    /// The number of the login.
    pub(crate) login: u64,
    pub(crate) granted_at: WallTime,
}

/// A login.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct StoredLogin {
    pub(crate) number: u64,
    pub(crate) token: SecretString,
    /// Milliseconds that Vault gave it at the login.
    pub(crate) ttl: u64,
    /// `None`: it never ends.
    pub(crate) grant: Option<StoredGrant>,
    pub(crate) ours: bool,
    pub(crate) role: Option<String>,
}

/// What Vault granted last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredGrant {
    pub(crate) at: WallTime,
    pub(crate) ends: WallTime,
    pub(crate) renewable: bool,
}

const PUT: u8 = 1;
const DELETE: u8 = 2;
const CLEAR: u8 = 3;
const LOGIN: u8 = 4;
const NO_LOGIN: u8 = 5;
const MOUNTS: u8 = 6;
const WRITTEN: u8 = 7;

/// Bytes of a secret's record beside its key and body.
const PUT_FRAME: usize = 1 + 4 + 4 * 8 + 1 + 2 * 8 + 4;

/// Puts records together, in memory that is wiped.
pub(crate) struct Encoder {
    bytes: Zeroizing<Vec<u8>>,
}

impl Encoder {
    pub(crate) fn new() -> Self {
        Self { bytes: Zeroizing::new(Vec::new()) }
    }

    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }

    /// With room for `seal.rs` to put its tag, so that nothing has to move.
    pub(crate) fn finish(mut self, spare: usize) -> Zeroizing<Vec<u8>> {
        self.reserve(spare);
        self.bytes
    }

    pub(crate) fn put(&mut self, secret: &SecretParts<'_>) {
        self.reserve(PUT_FRAME + secret.key.len() + secret.body.len());
        self.byte(PUT);
        self.text(secret.key);
        for time in [secret.fetched_at, secret.refresh_from, secret.fresh_until, secret.stale_until] {
            self.number(time);
        }
        self.byte(u8::from(secret.hold.is_some()));
        if let Some(hold) = secret.hold {
            self.number(hold.login);
            self.number(hold.granted_at);
        }
        self.block(secret.body);
    }

    pub(crate) fn delete(&mut self, key: &str) {
        self.reserve(5 + key.len());
        self.byte(DELETE);
        self.text(key);
    }

    pub(crate) fn clear(&mut self) {
        self.reserve(1);
        self.byte(CLEAR);
    }

    pub(crate) fn login(&mut self, login: &StoredLogin) {
        self.reserve(64 + login.token.len() + login.role.as_ref().map_or(0, String::len));
        self.byte(LOGIN);
        self.number(login.number);
        self.text(login.token.expose());
        self.number(login.ttl);
        self.byte(u8::from(login.grant.is_some()));
        if let Some(grant) = login.grant {
            self.number(grant.at);
            self.number(grant.ends);
            self.byte(u8::from(grant.renewable));
        }
        self.byte(u8::from(login.ours));
        self.byte(u8::from(login.role.is_some()));
        if let Some(role) = &login.role {
            self.text(role);
        }
    }

    pub(crate) fn no_login(&mut self, rejected: bool) {
        self.reserve(2);
        self.byte(NO_LOGIN);
        self.byte(u8::from(rejected));
    }

    pub(crate) fn mounts(&mut self, known: &KnownMounts) {
        let names = known.mounts.keys().chain(&known.unmounted);
        self.reserve(9 + names.map(|name| name.len() + 5).sum::<usize>());
        self.byte(MOUNTS);
        self.length(known.mounts.len());
        for (mount, kind) in &known.mounts {
            self.text(mount);
            self.byte(match kind {
                MountKind::Kv1 => 1,
                MountKind::Kv2 => 2,
                MountKind::Database => 3,
                _ => 0,
            });
        }
        self.length(known.unmounted.len());
        for folder in &known.unmounted {
            self.text(folder);
        }
    }

    pub(crate) fn written(&mut self, at: WallTime) {
        self.reserve(9);
        self.byte(WRITTEN);
        self.number(at);
    }

    /// Grows by hand: `Vec` would leave what it outgrows behind, unwiped.
    fn reserve(&mut self, more: usize) {
        let needed = self.bytes.len() + more;
        if needed > self.bytes.capacity() {
            let mut bigger = Zeroizing::new(Vec::with_capacity(needed.max(self.bytes.capacity() * 2)));
            bigger.extend_from_slice(&self.bytes);
            self.bytes.as_mut_slice().zeroize();
            self.bytes = bigger;
        }
    }

    fn byte(&mut self, byte: u8) {
        self.bytes.push(byte);
    }

    fn number(&mut self, number: u64) {
        self.bytes.extend_from_slice(&number.to_le_bytes());
    }

    fn length(&mut self, length: usize) {
        // What is longer than 4 GiB is not written at all: see `LONGEST_BODY`.
        self.bytes.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
    }

    fn block(&mut self, block: &[u8]) {
        self.length(block.len());
        self.bytes.extend_from_slice(block);
    }

    fn text(&mut self, text: &str) {
        self.block(text.as_bytes());
    }
}

/// [`StoredSecret`], borrowed.
pub(crate) struct SecretParts<'a> {
    pub(crate) key: &'a str,
    pub(crate) fetched_at: WallTime,
    pub(crate) refresh_from: WallTime,
    pub(crate) fresh_until: WallTime,
    pub(crate) stale_until: WallTime,
    pub(crate) hold: Option<StoredHold>,
    pub(crate) body: &'a [u8],
}

/// A larger secret is not kept on disk. Vault itself takes no request beyond 32 MiB.
pub(crate) const LONGEST_BODY: usize = 48 << 20;

/// Takes records apart. Ends at the first thing that is none; what follows is then of no use.
pub(crate) struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// `Ok(None)`: that was all. `Err`: that is no record.
    pub(crate) fn next(&mut self) -> Result<Option<Record>, NotARecord> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        self.record().map(Some).ok_or(NotARecord)
    }

    fn record(&mut self) -> Option<Record> {
        Some(match self.byte()? {
            PUT => Record::Put(StoredSecret {
                key: self.text()?,
                fetched_at: self.number()?,
                refresh_from: self.number()?,
                fresh_until: self.number()?,
                stale_until: self.number()?,
                hold: if self.flag()? {
                    Some(StoredHold { login: self.number()?, granted_at: self.number()? })
                } else {
                    None
                },
                body: Zeroizing::new(self.block()?.to_vec()),
            }),
            DELETE => Record::Delete(self.text()?),
            CLEAR => Record::Clear,
            LOGIN => Record::Login(StoredLogin {
                number: self.number()?,
                token: SecretString::from(std::str::from_utf8(self.block()?).ok()?),
                ttl: self.number()?,
                grant: if self.flag()? {
                    Some(StoredGrant { at: self.number()?, ends: self.number()?, renewable: self.flag()? })
                } else {
                    None
                },
                ours: self.flag()?,
                role: if self.flag()? { Some(self.text()?) } else { None },
            }),
            NO_LOGIN => Record::NoLogin { rejected: self.flag()? },
            MOUNTS => Record::Mounts(self.known_mounts()?),
            WRITTEN => Record::Written(self.number()?),
            _ => return None,
        })
    }

    fn known_mounts(&mut self) -> Option<KnownMounts> {
        let mut known = KnownMounts::default();
        for _ in 0..self.length()? {
            let mount: Arc<str> = self.text()?.into();
            let kind = match self.byte()? {
                0 => MountKind::Other,
                1 => MountKind::Kv1,
                2 => MountKind::Kv2,
                3 => MountKind::Database,
                _ => return None,
            };
            known.mounts.insert(mount, kind);
        }
        for _ in 0..self.length()? {
            known.unmounted.insert(self.text()?.into());
        }
        Some(known)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn flag(&mut self) -> Option<bool> {
        match self.byte()? {
            0 => Some(false),
            1 => Some(true),
            _ => None,
        }
    }

    fn number(&mut self) -> Option<u64> {
        self.take(8)?.try_into().ok().map(u64::from_le_bytes)
    }

    fn length(&mut self) -> Option<usize> {
        let bytes = self.take(4)?.try_into().ok()?;
        usize::try_from(u32::from_le_bytes(bytes)).ok()
    }

    fn block(&mut self) -> Option<&'a [u8]> {
        let length = self.length()?;
        self.take(length)
    }

    fn text(&mut self) -> Option<String> {
        std::str::from_utf8(self.block()?).ok().map(str::to_owned)
    }
}

/// Bytes that were not written by this program in this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotARecord;
