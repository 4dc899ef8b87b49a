//! What a policy may allow on a path.

use crate::core::Operation;

/// A set of capabilities. `deny` excludes all others.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Capabilities(u16);

/// In the order in which Vault lists them.
const NAMES: &[(&str, Capabilities)] = &[
    ("create", Capabilities::CREATE),
    ("delete", Capabilities::DELETE),
    ("list", Capabilities::LIST),
    ("patch", Capabilities::PATCH),
    ("read", Capabilities::READ),
    ("recover", Capabilities::RECOVER),
    ("subscribe", Capabilities::SUBSCRIBE),
    ("sudo", Capabilities::SUDO),
    ("update", Capabilities::UPDATE),
];

impl Capabilities {
    pub(crate) const NONE: Self = Self(0);
    pub(crate) const DENY: Self = Self(1);
    pub(crate) const CREATE: Self = Self(1 << 1);
    pub(crate) const READ: Self = Self(1 << 2);
    pub(crate) const UPDATE: Self = Self(1 << 3);
    pub(crate) const DELETE: Self = Self(1 << 4);
    pub(crate) const LIST: Self = Self(1 << 5);
    pub(crate) const SUDO: Self = Self(1 << 6);
    pub(crate) const PATCH: Self = Self(1 << 7);
    const SUBSCRIBE: Self = Self(1 << 8);
    const RECOVER: Self = Self(1 << 9);

    pub(super) fn named(name: &str) -> Option<Self> {
        if name == "deny" {
            return Some(Self::DENY);
        }
        NAMES.iter().find(|(known, _)| *known == name).map(|(_, capability)| *capability)
    }

    /// The `policy = "write"` of Vault before 0.5.
    pub(super) fn of_old_policy(path: &str, names: &[String]) -> Result<Self, String> {
        let write = [Self::CREATE, Self::READ, Self::UPDATE, Self::DELETE, Self::LIST];
        let all = |capabilities: &[Self]| Self(capabilities.iter().fold(0, |all, one| all | one.0));
        match names.concat().as_str() {
            "deny" => Ok(Self::DENY),
            "read" => Ok(all(&[Self::READ, Self::LIST])),
            "write" => Ok(all(&write)),
            "sudo" => Ok(Self(all(&write).0 | Self::SUDO.0)),
            other => Err(format!("path {path:?}: invalid policy {other:?}")),
        }
    }

    pub(crate) fn has(self, wanted: Self) -> bool {
        self.0 & wanted.0 == wanted.0
    }

    /// Denied, or never granted anything.
    pub(crate) fn is_denied(self) -> bool {
        self == Self::NONE || self.has(Self::DENY)
    }

    /// Union, except that `deny` on either side leaves only `deny`.
    pub(super) fn add_all(&mut self, other: Self) {
        *self =
            if self.has(Self::DENY) || other.has(Self::DENY) { Self::DENY } else { Self(self.0 | other.0) };
    }

    pub(super) fn allows(self, operation: Operation) -> bool {
        let wanted = match operation {
            Operation::Read => Self::READ,
            Operation::List => Self::LIST,
            Operation::Create => Self::CREATE,
            Operation::Update => Self::UPDATE,
            Operation::Patch => Self::PATCH,
            Operation::Delete => Self::DELETE,
            Operation::Other => return false,
        };
        self.has(wanted)
    }

    /// As `sys/capabilities-self` lists them.
    pub(crate) fn names(self) -> Vec<&'static str> {
        if self.is_denied() {
            return vec!["deny"];
        }
        NAMES.iter().filter(|(_, capability)| self.has(*capability)).map(|(name, _)| *name).collect()
    }
}
