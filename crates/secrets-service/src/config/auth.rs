//! How to log in: which method, with which credentials.

use std::path::PathBuf;
use std::sync::Arc;

use gds_vault::{
    AppRoleAuth, AuthMethod, CertAuth, Credential, JwtAuth, KubernetesAuth, SecretId, TokenAuth, UserpassAuth,
};

use super::environment::Environment;

/// A way to log in. Files are read again at each login.
#[non_exhaustive]
#[derive(Debug, Clone)]
pub enum AuthSettings {
    /// `VAULT_TOKEN`; nothing else set: `~/.vault-token`. For development.
    Token {
        /// The token; `None`: `~/.vault-token`.
        token: Option<Credential>,
    },
    /// `VAULT_ROLE_ID` and `VAULT_SECRET_ID` or `VAULT_WRAPPED_SECRET_ID`. For production.
    AppRole {
        /// Which role.
        role_id: Credential,
        /// The proof.
        secret_id: SecretIdSource,
        /// `VAULT_AUTH_MOUNT`; `approle`.
        mount: Option<String>,
    },
    /// `VAULT_USERNAME` and `VAULT_PASSWORD`.
    Userpass {
        /// The user.
        username: String,
        /// Their password.
        password: Credential,
        /// `VAULT_AUTH_MOUNT`; `userpass`.
        mount: Option<String>,
    },
    /// `VAULT_AUTH_ROLE`; the pod's own token, or the one in `VAULT_JWT_FILE`.
    Kubernetes {
        /// The role.
        role: String,
        /// Another file than the pod's own.
        jwt_file: Option<PathBuf>,
        /// `VAULT_AUTH_MOUNT`; `kubernetes`.
        mount: Option<String>,
    },
    /// `VAULT_AUTH_ROLE` and `VAULT_JWT`.
    Jwt {
        /// The role.
        role: String,
        /// The signed token.
        jwt: Credential,
        /// `VAULT_AUTH_MOUNT`; `jwt`.
        mount: Option<String>,
    },
    /// The client certificate of the connection; `VAULT_AUTH_ROLE` chooses among several roles.
    Cert {
        /// The role; `None`: whichever fits.
        role: Option<String>,
        /// `VAULT_AUTH_MOUNT`; `cert`.
        mount: Option<String>,
    },
}

/// The second half of an AppRole login.
#[derive(Debug, Clone)]
pub enum SecretIdSource {
    /// The role is set up to need none (`bind_secret_id=false`).
    None,
    /// The secret_id itself.
    Plain(Credential),
    /// A wrapping token around it, checked before it is unwrapped.
    Wrapped(Credential),
}

impl AuthSettings {
    /// `VAULT_AUTH_METHOD`'s word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Token { .. } => "token",
            Self::AppRole { .. } => "approle",
            Self::Userpass { .. } => "userpass",
            Self::Kubernetes { .. } => "kubernetes",
            Self::Jwt { .. } => "jwt",
            Self::Cert { .. } => "cert",
        }
    }

    pub(super) fn method(&self) -> Arc<dyn AuthMethod> {
        match self.clone() {
            Self::Token { token } => Arc::new(TokenAuth::new(token.unwrap_or_else(home_token))),
            Self::AppRole { role_id, secret_id, mount } => {
                let secret_id = match secret_id {
                    SecretIdSource::None => SecretId::None,
                    SecretIdSource::Plain(credential) => SecretId::Plain(credential),
                    SecretIdSource::Wrapped(credential) => SecretId::Wrapped(credential),
                };
                let auth = AppRoleAuth::new(role_id, secret_id);
                Arc::new(mount.iter().fold(auth, gds_vault::AppRoleAuth::mount))
            }
            Self::Userpass { username, password, mount } => {
                let auth = UserpassAuth::new(username, password);
                Arc::new(mount.iter().fold(auth, gds_vault::UserpassAuth::mount))
            }
            Self::Kubernetes { role, jwt_file, mount } => {
                let auth = KubernetesAuth::new(role);
                let auth = jwt_file.into_iter().fold(auth, gds_vault::KubernetesAuth::jwt_file);
                Arc::new(mount.iter().fold(auth, gds_vault::KubernetesAuth::mount))
            }
            Self::Jwt { role, jwt, mount } => {
                let auth = JwtAuth::new(role, jwt);
                Arc::new(mount.iter().fold(auth, gds_vault::JwtAuth::mount))
            }
            Self::Cert { role, mount } => {
                let auth = CertAuth::new(role);
                Arc::new(mount.iter().fold(auth, gds_vault::CertAuth::mount))
            }
        }
    }
}

/// Where `vault login` leaves its token. Read at the login, not now: it may not be there yet.
pub(crate) fn home_token() -> Credential {
    let home = std::env::var_os("HOME").map(PathBuf::from).unwrap_or_default();
    Credential::File(home.join(".vault-token"))
}

pub(super) fn read(env: &mut Environment<'_>) -> Option<AuthSettings> {
    let method = env.text("VAULT_AUTH_METHOD").map(|method| method.trim().to_ascii_lowercase());
    let mount = env.mount("VAULT_AUTH_MOUNT");
    let role_id = env.secret("VAULT_ROLE_ID");
    let method = method.unwrap_or_else(|| if role_id.is_some() { "approle" } else { "token" }.to_owned());
    match method.as_str() {
        "token" => token(env),
        "approle" => app_role(env, role_id, mount),
        "userpass" => {
            let username = required(env, "VAULT_USERNAME", "userpass");
            let password = required_secret(env, "VAULT_PASSWORD", "userpass");
            Some(AuthSettings::Userpass { username: username?, password: password?, mount })
        }
        "kubernetes" => {
            let role = required(env, "VAULT_AUTH_ROLE", "kubernetes");
            let jwt_file = env.readable_file("VAULT_JWT_FILE");
            Some(AuthSettings::Kubernetes { role: role?, jwt_file, mount })
        }
        "jwt" => {
            let role = required(env, "VAULT_AUTH_ROLE", "jwt");
            let jwt = required_secret(env, "VAULT_JWT", "jwt");
            Some(AuthSettings::Jwt { role: role?, jwt: jwt?, mount })
        }
        "cert" => Some(AuthSettings::Cert { role: env.text("VAULT_AUTH_ROLE"), mount }),
        _ => {
            env.problem("VAULT_AUTH_METHOD", "must be token, approle, userpass, kubernetes, jwt or cert");
            None
        }
    }
}

fn token(env: &mut Environment<'_>) -> Option<AuthSettings> {
    let token = env.secret("VAULT_TOKEN");
    let in_home =
        env.text("HOME").map(|home| PathBuf::from(home).join(".vault-token")).filter(|f| f.is_file());
    match (token, in_home) {
        (Some(token), _) => Some(AuthSettings::Token { token: Some(token) }),
        (None, Some(file)) => Some(AuthSettings::Token { token: Some(Credential::File(file)) }),
        // A variable that is set but wrong has had its problem told.
        (None, None) if env.is_set("VAULT_TOKEN") => None,
        (None, None) => {
            env.problem(
                "VAULT_TOKEN",
                "is not set, nor is there a ~/.vault-token (for AppRole set VAULT_ROLE_ID and VAULT_SECRET_ID)",
            );
            None
        }
    }
}

fn app_role(
    env: &mut Environment<'_>,
    role_id: Option<Credential>,
    mount: Option<String>,
) -> Option<AuthSettings> {
    if role_id.is_none() && !env.is_set("VAULT_ROLE_ID") {
        env.problem("VAULT_ROLE_ID", "is not set; the approle method needs it");
    }
    let plain = env.secret("VAULT_SECRET_ID");
    let wrapped = env.secret("VAULT_WRAPPED_SECRET_ID");
    let secret_id = match (plain, wrapped) {
        (Some(plain), None) => SecretIdSource::Plain(plain),
        (None, Some(wrapped)) => SecretIdSource::Wrapped(wrapped),
        (Some(_), Some(_)) => {
            env.problem("VAULT_SECRET_ID", "and VAULT_WRAPPED_SECRET_ID are both set; which one is meant?");
            return None;
        }
        (None, None) if env.is_set("VAULT_SECRET_ID") || env.is_set("VAULT_WRAPPED_SECRET_ID") => {
            return None;
        }
        (None, None) => {
            env.problem(
                "VAULT_SECRET_ID",
                "is not set; the approle method needs it (or VAULT_WRAPPED_SECRET_ID)",
            );
            return None;
        }
    };
    Some(AuthSettings::AppRole { role_id: role_id?, secret_id, mount })
}

fn required(env: &mut Environment<'_>, name: &str, method: &str) -> Option<String> {
    let value = env.text(name);
    if value.is_none() && !env.is_set(name) {
        env.problem(name, format!("is not set; the {method} method needs it"));
    }
    value
}

fn required_secret(env: &mut Environment<'_>, name: &str, method: &str) -> Option<Credential> {
    let value = env.secret(name);
    if value.is_none() && !env.is_set(name) {
        env.problem(name, format!("is not set; the {method} method needs it"));
    }
    value
}
