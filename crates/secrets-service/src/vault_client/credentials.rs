//! Database credentials: dynamic ones, which Vault makes on demand, and static ones, which it rotates in place.

use std::fmt;
use std::time::Duration;

use gds_vault::{Lease, SecretString};

use super::{ReadOptions, ResilientVaultClient};
use crate::error::{Error, ErrorKind};
use crate::secret_read::SecretRead;

/// A user name and password for a database, and for how long.
#[derive(Clone)]
pub struct DatabaseCredentials {
    username: String,
    password: SecretString,
    read: SecretRead,
}

impl DatabaseCredentials {
    /// What `read` has at `path`, or an error if that is not a database role.
    pub(crate) fn from_read(path: &str, read: SecretRead) -> Result<Self, Error> {
        let field = |name: &str| {
            read.field(name).and_then(|field| field.as_string()).ok_or_else(|| {
                let what = format!("Vault's answer has no {name}: is this a database role?");
                Error::new(ErrorKind::InvalidSecret, path, what)
            })
        };
        let (username, password) = (field("username")?.expose().to_owned(), field("password")?);
        Ok(Self { username, password, read })
    }

    /// Whether the user name and password are those.
    pub(crate) fn same_as(&self, other: &Self) -> bool {
        self.username == other.username && self.password.expose() == other.password.expose()
    }

    /// The user name. Not a secret: it shows in the database's own logs and in `pg_stat_activity`.
    pub fn username(&self) -> &str {
        &self.username
    }

    /// The password.
    pub fn password(&self) -> &SecretString {
        &self.password
    }

    /// The lease of dynamic credentials; static ones have none.
    pub fn lease(&self) -> Option<&Lease> {
        self.read.lease()
    }

    /// How long they can be used from now: to the end of the lease (or of the login that it hangs on), or to the
    /// next rotation.
    pub fn usable_for(&self) -> Duration {
        self.read.usable_for()
    }

    /// The read that they came from, with its label.
    pub fn read(&self) -> &SecretRead {
        &self.read
    }
}

impl fmt::Debug for DatabaseCredentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DatabaseCredentials")
            .field("username", &self.username)
            .field("password", &self.password)
            .field("lease", &self.lease())
            .finish_non_exhaustive()
    }
}

impl ResilientVaultClient {
    /// Credentials of a dynamic role (`database/creds/ROLE`): one lease, shared by all who ask, until a little
    /// before it ends.
    pub async fn get_database_credentials(&self, role: &str) -> Result<DatabaseCredentials, Error> {
        self.credentials("creds", role).await
    }

    /// Credentials of a static role (`database/static-creds/ROLE`): one user whose password Vault rotates.
    pub async fn get_static_database_credentials(&self, role: &str) -> Result<DatabaseCredentials, Error> {
        self.credentials("static-creds", role).await
    }

    async fn credentials(&self, sort: &str, role: &str) -> Result<DatabaseCredentials, Error> {
        let path = self.credentials_path(sort, role)?;
        self.credentials_at(&path).await
    }

    pub(super) fn credentials_path(&self, sort: &str, role: &str) -> Result<String, Error> {
        if role.is_empty() || role.contains('/') {
            let what = "a database role is a name, without slashes";
            return Err(Error::new(ErrorKind::InvalidRequest, role, what));
        }
        Ok(format!("{}/{sort}/{role}", self.shared.database_mount))
    }

    pub(super) async fn credentials_at(&self, path: &str) -> Result<DatabaseCredentials, Error> {
        let read = if let Some(read) = self.cached(path) {
            read
        } else {
            // Under its own mount and no other: if that cannot be seen, the error should be about it.
            let mount = self.shared.database_mount.as_ref();
            self.read_under(Some(mount), path, ReadOptions::default()).await?
        };
        DatabaseCredentials::from_read(path, read)
    }
}
