//! [`TokenAuth`]: a token that is simply given.

use std::env;
use std::path::{Path, PathBuf};

use http::Method;

use super::{AuthMethod, BoxFuture, Credential, refused};
use crate::client::Client;
use crate::engines::TokenLookup;
use crate::error::{Error, ErrorKind};
use crate::secret::AuthInfo;

const LOOKUP_SELF: &str = "auth/token/lookup-self";

/// Uses a token that was made elsewhere. Good for development, and with a file that something else keeps fresh.
#[derive(Debug, Clone)]
pub struct TokenAuth {
    token: Credential,
}

impl TokenAuth {
    /// A token, or a file that holds one.
    pub fn new(token: impl Into<Credential>) -> Self {
        Self { token: token.into() }
    }

    /// The file that `vault login` writes, `~/.vault-token`, if it is there.
    pub fn from_home_file() -> Option<Self> {
        Self::in_home(&PathBuf::from(env::var_os("HOME").filter(|home| !home.is_empty())?))
    }

    fn in_home(home: &Path) -> Option<Self> {
        let file = home.join(".vault-token");
        file.is_file().then(|| Self::new(Credential::File(file)))
    }

    /// Asks Vault about the token, to know how long it is good for.
    async fn look_up(&self, client: &Client) -> Result<AuthInfo, Error> {
        let token = self.token.read().await?;
        let request = client.request(Method::GET, LOOKUP_SELF).token(&token);
        let mut auth = AuthInfo::new(token);
        match request.label("login (token)").fields::<TokenLookup>().await {
            Ok(found) => {
                // -1 instead of 0, which would mean "no limit".
                let Ok(num_uses) = found.num_uses.try_into() else {
                    let used_up = "the token had one use left, and asking about it was that";
                    let error = Error::new(ErrorKind::LoginRefused, used_up).with_path(LOOKUP_SELF);
                    return Err(error.with_operation("login (token)"));
                };
                auth.accessor = found.accessor;
                auth.token_policies.clone_from(&found.policies);
                auth.policies = found.policies;
                auth.lease_duration = found.ttl;
                auth.renewable = found.renewable;
                auth.token_type = found.token_type;
                auth.entity_id = found.entity_id;
                auth.orphan = found.orphan;
                auth.num_uses = num_uses;
                Ok(auth)
            }
            // The token is good, it only may not ask about itself.
            Err(error) if error.kind() == ErrorKind::PermissionDenied => Ok(auth),
            Err(error) => Err(refused(error)),
        }
    }
}

impl AuthMethod for TokenAuth {
    fn name(&self) -> &'static str {
        "token"
    }

    /// Reads the token and looks it up. A token that may not look itself up is accepted, with a lease duration of 0
    /// (not known).
    fn login<'a>(&'a self, client: &'a Client) -> BoxFuture<'a, Result<AuthInfo, Error>> {
        Box::pin(self.look_up(client))
    }

    /// Only if it comes from a file, which may have changed.
    fn can_log_in_again(&self) -> bool {
        matches!(self.token, Credential::File(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_home_file_is_used_if_it_is_there() {
        let home = tempfile::tempdir().unwrap();
        assert!(TokenAuth::in_home(home.path()).is_none());
        std::fs::write(home.path().join(".vault-token"), "hvs.of-home\n").unwrap();
        let method = TokenAuth::in_home(home.path()).unwrap();
        assert_eq!(method.token.read().await.unwrap().expose(), "hvs.of-home");
    }
}
