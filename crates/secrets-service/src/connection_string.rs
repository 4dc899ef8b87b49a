//! A PostgreSQL connection string (libpq URI, RFC 3986) from a config secret and a user's credentials.
//!
//! Source: PostgreSQL documentation, "Connection Strings" (34.1.1.2).

use gds_vault::{Data, SecretString};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use crate::error::{Error, ErrorKind};
use crate::vault_client::DatabaseCredentials;

/// Everything but RFC 3986's unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

const DEFAULT_PORT: u16 = 5432;

/// Where a database is and how to connect to it: what the config secret says, without user and password.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatabaseTarget {
    host: String,
    port: u16,
    name: String,
    sslmode: Option<String>,
    params: Vec<(String, String)>,
}

impl DatabaseTarget {
    /// Reads `db_host`, `db_port` (5432), `db_name`, `db_sslmode` and `db_params` (`a=b&c=d`) of the secret at
    /// `path`, telling all that is wrong in one error.
    pub(crate) fn from_secret(path: &str, config: &Data) -> Result<Self, Error> {
        let mut problems = Vec::new();
        let text = |name: &str| {
            config
                .get(name)
                .filter(|field| !field.is_null())
                .map(|field| field.text().expose().trim().to_owned())
        };
        let mut required = |name: &str| match text(name) {
            Some(value) if !value.is_empty() => value,
            Some(_) => {
                problems.push(format!("{name} is empty"));
                String::new()
            }
            None => {
                problems.push(format!("{name} is missing"));
                String::new()
            }
        };
        let host = required("db_host");
        let name = required("db_name");
        if host.contains(char::is_whitespace) {
            problems.push("db_host contains a space".to_owned());
        }
        let port = match text("db_port").filter(|port| !port.is_empty()) {
            None => DEFAULT_PORT,
            Some(port) => port.parse().ok().filter(|port| *port > 0).unwrap_or_else(|| {
                problems.push("db_port is not a port (1 to 65535)".to_owned());
                DEFAULT_PORT
            }),
        };
        let sslmode = text("db_sslmode").filter(|mode| !mode.is_empty());
        if sslmode.as_deref().is_some_and(|mode| !SSL_MODES.contains(&mode)) {
            problems.push(format!("db_sslmode is not one of {}", SSL_MODES.join(", ")));
        }
        let params = match text("db_params").as_deref().map_or(Ok(Vec::new()), parse_params) {
            Ok(params) => params,
            Err(problem) => {
                problems.push(problem);
                Vec::new()
            }
        };
        if problems.is_empty() {
            return Ok(Self { host, port, name, sslmode, params });
        }
        Err(Error::new(ErrorKind::InvalidSecret, path, problems.join("; ")))
    }

    /// The connection string for these credentials. It holds the password, so it is a secret itself.
    pub fn connection_string(&self, credentials: &DatabaseCredentials) -> SecretString {
        self.url(credentials.username(), credentials.password())
    }

    /// The host's name or address, or the folder of a Unix socket.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port; 5432, PostgreSQL's own default, unless the secret says otherwise.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The database's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// For a client that knows only `disable`, `prefer` and `require`, and leaves it to the TLS connector what to
    /// verify: as strict as what the secret says, or stricter.
    #[cfg(any(feature = "deadpool-postgres", test))]
    pub(crate) fn without_verifying_modes(mut self) -> Self {
        self.sslmode = self.sslmode.map(|mode| match mode.as_str() {
            "verify-ca" | "verify-full" => "require".to_owned(),
            "allow" => "prefer".to_owned(),
            _ => mode,
        });
        self
    }

    pub(crate) fn url(&self, username: &str, password: &SecretString) -> SecretString {
        let encode = |text: &str| utf8_percent_encode(text, ENCODED).to_string();
        let authority = if self.host.starts_with('/') {
            // A folder with a Unix socket has no place in a URI's host.
            String::new()
        } else if self.host.contains(':') {
            let address = self.host.trim_matches(['[', ']']);
            // A scope (`fe80::1%eth0`) has its `%` written as `%25` (RFC 6874).
            format!("[{}]:{}", address.replace('%', "%25"), self.port)
        } else {
            format!("{}:{}", encode(&self.host), self.port)
        };
        let mut params = Vec::new();
        if authority.is_empty() {
            params.push(("host", self.host.clone()));
            params.push(("port", self.port.to_string()));
        }
        if let Some(mode) = &self.sslmode {
            params.push(("sslmode", mode.clone()));
        }
        params.extend(self.params.iter().map(|(name, value)| (name.as_str(), value.clone())));
        let query: Vec<_> =
            params.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let query = if query.is_empty() { String::new() } else { format!("?{}", query.join("&")) };
        // One allocation of the right size: a String that grows leaves unwiped pieces of the password behind.
        let password = zeroize::Zeroizing::new(encode(password.expose()));
        let (user, name) = (encode(username), encode(&self.name));
        let pieces = ["postgresql://", &user, ":", &password, "@", &authority, "/", &name, &query];
        SecretString::new(pieces.concat())
    }
}

/// libpq's `sslmode` values.
const SSL_MODES: [&str; 6] = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"];

/// `a=b&c=d`, with or without a leading `?`, values percent-encoded or not.
fn parse_params(text: &str) -> Result<Vec<(String, String)>, String> {
    let text = text.trim_start_matches('?');
    if text.is_empty() {
        return Ok(Vec::new());
    }
    let pair = |pair: &str| {
        let (name, value) = pair.split_once('=').filter(|(name, _)| !name.is_empty())?;
        let decode = |text: &str| {
            percent_encoding::percent_decode_str(text).decode_utf8().ok().map(std::borrow::Cow::into_owned)
        };
        Some((decode(name)?, decode(value)?))
    };
    text.split('&')
        .map(|text| pair(text).ok_or_else(|| "db_params is not of the form name=value&name=value".to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use gds_vault::Secret;
    use proptest::prelude::*;

    use super::*;

    fn url(config: &serde_json::Value, user: &str, password: &str) -> Result<String, String> {
        let secret = Secret::parse(serde_json::json!({ "data": config }).to_string().into_bytes()).unwrap();
        let database =
            DatabaseTarget::from_secret("secret/myapp/config", secret.data()).map_err(|e| e.to_string())?;
        Ok(database.url(user, &SecretString::new(password)).expose().to_owned())
    }

    #[test]
    fn every_shape_of_database() {
        let cases = [
            (
                serde_json::json!({"db_host": "localhost", "db_name": "mydb"}),
                "postgresql://u:p@localhost:5432/mydb",
            ),
            (
                serde_json::json!({"db_host": "db", "db_port": 6543, "db_name": "m"}),
                "postgresql://u:p@db:6543/m",
            ),
            (
                serde_json::json!({"db_host": "db", "db_port": "6543", "db_name": "m"}),
                "postgresql://u:p@db:6543/m",
            ),
            (serde_json::json!({"db_host": "::1", "db_name": "m"}), "postgresql://u:p@[::1]:5432/m"),
            (
                serde_json::json!({"db_host": "[2001:db8::7]", "db_name": "m"}),
                "postgresql://u:p@[2001:db8::7]:5432/m",
            ),
            (
                serde_json::json!({"db_host": "fe80::1%eth0", "db_name": "m"}),
                "postgresql://u:p@[fe80::1%25eth0]:5432/m",
            ),
            (
                serde_json::json!({"db_host": "/var/run/postgresql", "db_name": "m"}),
                "postgresql://u:p@/m?host=%2Fvar%2Frun%2Fpostgresql&port=5432",
            ),
            (
                serde_json::json!({"db_host": "db", "db_name": "my db/ü", "db_sslmode": "verify-full"}),
                "postgresql://u:p@db:5432/my%20db%2F%C3%BC?sslmode=verify-full",
            ),
            (
                serde_json::json!({"db_host": "db", "db_name": "m", "db_params": "connect_timeout=3&options=-c%20a%3Db"}),
                "postgresql://u:p@db:5432/m?connect_timeout=3&options=-c%20a%3Db",
            ),
        ];
        for (config, expected) in cases {
            assert_eq!(url(&config, "u", "p").as_deref(), Ok(expected));
        }
    }

    #[test]
    fn every_sslmode_has_one_as_strict_that_tokio_postgres_knows() {
        let cases = [
            ("disable", "disable"),
            ("allow", "prefer"),
            ("prefer", "prefer"),
            ("require", "require"),
            ("verify-ca", "require"),
            ("verify-full", "require"),
        ];
        for (mode, expected) in cases {
            let config = serde_json::json!({"data": {"db_host": "db", "db_name": "m", "db_sslmode": mode}});
            let secret = Secret::parse(config.to_string().into_bytes()).unwrap();
            let database = DatabaseTarget::from_secret("secret/myapp/config", secret.data()).unwrap();
            let url = database.without_verifying_modes().url("u", &SecretString::new("p"));
            assert!(url.expose().ends_with(&format!("sslmode={expected}")), "{mode}");
            url.expose().parse::<tokio_postgres::Config>().unwrap();
        }
    }

    #[test]
    fn all_that_is_wrong_is_told_at_once() {
        let config = serde_json::json!({
            "db_name": "", "db_port": "canary", "db_sslmode": "canary", "db_params": "canary",
        });
        let error = url(&config, "u", "p").unwrap_err();
        for part in [
            "secret/myapp/config",
            "db_host is missing",
            "db_name is empty",
            "db_port",
            "db_sslmode",
            "db_params",
        ] {
            assert!(error.contains(part), "{part}: {error}");
        }
        assert!(!error.contains("canary"), "{error}");
    }

    proptest! {
        /// Whatever Vault chose as user and password, PostgreSQL's own parser reads it back.
        #[test]
        fn postgres_reads_back_what_went_in(
            user in "[^\0]{1,20}", password in "[^\0]{1,40}", name in "[^\0]{1,20}", port in 1u16..,
        ) {
            prop_assume!(!name.trim().is_empty());
            let config = serde_json::json!({"db_host": "db.example.com", "db_port": port, "db_name": name});
            let url = url(&config, &user, &password).unwrap();
            let parsed: tokio_postgres::Config = url.parse().unwrap();
            prop_assert_eq!(parsed.get_user(), Some(user.as_str()));
            prop_assert_eq!(parsed.get_password(), Some(password.as_bytes()));
            prop_assert_eq!(parsed.get_dbname(), Some(name.trim()));
            prop_assert_eq!(parsed.get_ports(), &[port]);
        }
    }
}
