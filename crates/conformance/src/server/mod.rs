//! The server under test: either one, started and disturbed in the same words.

mod child;
mod real;

use std::time::Duration;

use gds_vault::{Address, Client, SecretString};
use vault_dev::VaultDev;

pub use real::{Keys, NoVault, RealVault, real_vault};

/// Which server the suite runs on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// The embedded development server.
    VaultDev,
    /// A process of HashiCorp Vault (or OpenBao).
    RealVault,
}

/// A running server, unsealed, with KV v2 at `secret/`. Stopped when dropped, also by a panic.
pub(crate) struct Server {
    kind: Kind,
    address: Address,
    root_token: SecretString,
    unseal_key: SecretString,
}

enum Kind {
    Dev(VaultDev),
    Real(RealVault),
}

impl Server {
    /// A server as its users start it for development.
    pub(crate) async fn start(target: Target) -> Result<Self, String> {
        match target {
            Target::VaultDev => Self::start_dev().await,
            Target::RealVault => {
                let (real, keys) = RealVault::start_dev().await?;
                Ok(Self::of_real(real, keys))
            }
        }
    }

    /// A server that can be [killed](Self::kill) and [started again](Self::start_again) with all that it knew. A real
    /// Vault in development mode forgets everything, so this one has its storage in files.
    pub(crate) async fn start_lasting(target: Target) -> Result<Self, String> {
        match target {
            Target::VaultDev => Self::start_dev().await,
            Target::RealVault => {
                let (real, keys) = RealVault::start_lasting().await?;
                let server = Self::of_real(real, keys);
                let sys = server.client(Some(server.root_token.clone())).sys();
                sys.enable_secrets("secret", "kv", &[("version", "2")]).await.map_err(|e| e.to_string())?;
                Ok(server)
            }
        }
    }

    async fn start_dev() -> Result<Self, String> {
        let dev = VaultDev::builder().start().await.map_err(|error| error.to_string())?;
        Ok(Self {
            address: Address::parse(dev.url()).map_err(|error| error.to_string())?,
            root_token: dev.root_token().into(),
            unseal_key: dev.unseal_key().into(),
            kind: Kind::Dev(dev),
        })
    }

    fn of_real(real: RealVault, keys: Keys) -> Self {
        let Keys { root_token, unseal_key } = keys;
        Self { address: real.address().clone(), root_token, unseal_key, kind: Kind::Real(real) }
    }

    pub(crate) fn address(&self) -> &Address {
        &self.address
    }

    pub(crate) fn root_token(&self) -> &SecretString {
        &self.root_token
    }

    pub(crate) fn unseal_key(&self) -> &SecretString {
        &self.unseal_key
    }

    /// A client of its own: its own connections, token and knowledge of mounts.
    pub(crate) fn client(&self, token: Option<SecretString>) -> Client {
        let builder = Client::builder().address(self.address.clone()).timeout(Duration::from_secs(30));
        token.into_iter().fold(builder, gds_vault::ClientBuilder::token).build().unwrap()
    }

    /// How many requests the server has taken, with this method (`*`: any), to paths that start so. `None` for the
    /// real one, which does not count.
    pub(crate) fn count(&self, method: &str, path_prefix: &str) -> Option<u64> {
        match &self.kind {
            Kind::Dev(dev) => Some(dev.count(method, path_prefix)),
            Kind::Real(_) => None,
        }
    }

    /// Takes requests and does not answer them, until [`thaw`](Self::thaw).
    pub(crate) async fn freeze(&self) {
        match &self.kind {
            Kind::Dev(dev) => dev.freeze(),
            Kind::Real(real) => real.freeze().await,
        }
    }

    /// Ends [`freeze`](Self::freeze).
    pub(crate) async fn thaw(&self) {
        match &self.kind {
            Kind::Dev(dev) => dev.thaw(),
            Kind::Real(real) => real.thaw().await,
        }
    }

    /// Nobody listens any more, and open connections are cut.
    pub(crate) async fn kill(&self) {
        match &self.kind {
            Kind::Dev(dev) => dev.refuse().await,
            Kind::Real(real) => real.kill().await,
        }
    }

    /// After [`kill`](Self::kill): listens again at the same address. Only for a
    /// [lasting](Self::start_lasting) server.
    pub(crate) async fn start_again(&self) {
        match &self.kind {
            Kind::Dev(dev) => dev.accept().await,
            Kind::Real(real) => {
                real.start_again().await.unwrap();
                self.unseal().await;
            }
        }
    }

    /// Seals, as an operator does.
    pub(crate) async fn seal(&self) {
        self.client(Some(self.root_token.clone())).sys().seal().await.unwrap();
    }

    /// Unseals, as an operator does.
    pub(crate) async fn unseal(&self) {
        let status = self.client(None).sys().unseal(&self.unseal_key).await.unwrap();
        assert!(!status.sealed, "one key unseals");
    }
}
