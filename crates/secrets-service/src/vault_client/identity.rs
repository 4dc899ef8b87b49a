//! Clients for other identities: someone else's token, or another namespace. Each has a cache of its own, so that
//! nothing is ever served to anyone but who was given it; all share connections, breaker and retry budget.

use std::sync::Arc;

use gds_vault::{AuthInfo, AuthMethod, BoxFuture, Client, SecretString, TokenAuth, TokenLookup};
use tokio::time::Instant;

use super::ResilientVaultClient;
use crate::config::VaultConfig;
use crate::disk::Journal;
use crate::error::{Error, ErrorKind};
use crate::upstream::{Operation, Repeat};

impl ResilientVaultClient {
    /// A client that asks with `token` in `namespace` (`None`: the root). The token stays its owner's: it is neither
    /// renewed nor revoked. `config` says how much is cached and for how long.
    pub fn for_token(&self, config: &VaultConfig, token: SecretString, namespace: Option<&str>) -> Self {
        let auth = Arc::new(Borrowed { auth: TokenAuth::new(token) });
        self.sibling(config, namespace, auth)
    }

    /// A client that asks with this client's login in another namespace.
    pub fn for_namespace(&self, config: &VaultConfig, namespace: Option<&str>) -> Self {
        self.sibling(config, namespace, Arc::new(Lent { by: self.clone() }))
    }

    fn sibling(&self, config: &VaultConfig, namespace: Option<&str>, auth: Arc<dyn AuthMethod>) -> Self {
        let client = self.shared.client.with_namespace(namespace);
        client.set_token(None);
        // Someone else's secrets are never written down.
        Self::with_upstream(config, client, auth, Arc::clone(&self.shared.upstream), Journal::none())
    }

    /// Asks Vault about the token of the current login (logging in if there is none): is it alive, and how long
    /// will it be? Never answered from memory.
    pub async fn look_up_login(&self) -> Result<TokenLookup, Error> {
        self.check_open()?;
        let operation = Operation {
            name: "lookup-self",
            path: "auth/token/lookup-self",
            mount: crate::session::LOGIN,
            repeat: Repeat::Safe,
            deadline: Instant::now() + self.shared.read_deadline,
        };
        let client = &self.shared.client;
        let asked = self.shared.with_login(operation, || async { client.tokens().lookup_self().await });
        asked.await.map(|(found, _)| found)
    }
}

/// A token that belongs to someone else.
#[derive(Debug)]
struct Borrowed {
    auth: TokenAuth,
}

impl AuthMethod for Borrowed {
    fn name(&self) -> &'static str {
        "token"
    }

    fn login<'a>(&'a self, client: &'a Client) -> BoxFuture<'a, Result<AuthInfo, gds_vault::Error>> {
        Box::pin(async move {
            // How long it lives is its owner's affair.
            let mut auth = self.auth.login(client).await?;
            auth.renewable = false;
            Ok(auth)
        })
    }

    fn can_log_in_again(&self) -> bool {
        false
    }
}

/// The login of another client, for a namespace below that client's.
#[derive(Debug)]
struct Lent {
    by: ResilientVaultClient,
}

impl AuthMethod for Lent {
    fn name(&self) -> &'static str {
        "lent login"
    }

    fn login<'a>(&'a self, _: &'a Client) -> BoxFuture<'a, Result<AuthInfo, gds_vault::Error>> {
        Box::pin(async move {
            // Asked, not remembered: if the lender's token is dead, the lender learns it here and logs in anew.
            let found = self.by.look_up_login().await.map_err(|error| as_vault(&error))?;
            let token = self.by.shared.client.token();
            let token = token.ok_or_else(|| {
                gds_vault::Error::new(gds_vault::ErrorKind::LoginRefused, "the login has just been given up")
            })?;
            let mut auth = AuthInfo::new(SecretString::clone(&token));
            auth.lease_duration = found.ttl;
            Ok(auth)
        })
    }

    fn can_log_in_again(&self) -> bool {
        false
    }
}

fn as_vault(error: &Error) -> gds_vault::Error {
    if let Some(error) = error.vault_error() {
        return error.clone();
    }
    let kind = match error.kind() {
        ErrorKind::Unavailable => gds_vault::ErrorKind::Connect,
        _ => gds_vault::ErrorKind::LoginRefused,
    };
    gds_vault::Error::new(kind, error.to_string())
}
