//! The servers, and what is set up on them.

use std::time::Duration;

use conformance::{RealVault, eventually};
use gds_vault::{Address, Client, Credential, Method, SecretString};
use secrets_service::{
    AuthSettings, ResilientVaultClient, SecretIdSource, SecretsService, ServiceConfig, VaultConfig,
};
use serde_json::{Value, json};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use vault_dev::example::{Example, set_up_example};
use vault_dev::postgres::Cluster;
use vault_dev::{Fault, FaultGuard, VaultDev};

/// The static role, and its user.
pub const STATIC_ROLE: &str = "legacy";

/// So many rows in the table that the load works on; no two workers change the same one.
pub(super) const ITEMS: i32 = 64;

const RULES: &str = r#"
    path "secret/data/myapp/*" { capabilities = ["read"] }
    path "database/creds/myapp" { capabilities = ["read"] }
    path "database/static-creds/legacy" { capabilities = ["read"] }
    path "sys/leases/renew" { capabilities = ["update"] }
    path "sys/leases/revoke" { capabilities = ["update"] }
    path "auth/token/*" { capabilities = ["read", "update"] }
"#;

enum Server {
    Dev(VaultDev),
    Real(#[allow(dead_code, reason = "it is killed when dropped")] Box<RealVault>),
}

/// How PostgreSQL checks a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Logins {
    /// By SCRAM, as everywhere. It takes a client that was compiled without optimization a third of a second of
    /// processor time: a few connections at once stop everything else.
    Scram,
    /// By MD5, so that a short test is about what it is about.
    Cheap,
}

/// For users made from the next session on.
async fn make_logins_cheap(cluster: &Cluster) {
    let admin = cluster.admin_connect().await.unwrap();
    let file: String = admin.query_one("SHOW hba_file", &[]).await.unwrap().get(0);
    // `md5` takes whichever of the two a user has.
    let rules = format!("COPY (SELECT 'host all all 127.0.0.1/32 md5') TO '{file}'");
    admin.batch_execute(&rules).await.unwrap();
    admin.batch_execute("ALTER DATABASE postgres SET password_encryption = 'md5'").await.unwrap();
    admin.batch_execute("SELECT pg_reload_conf()").await.unwrap();
}

/// A Vault and a PostgreSQL with a table `items`. They end when it is dropped.
pub struct Stage {
    server: Server,
    address: String,
    cluster: Cluster,
    root: Client,
    example: Example,
}

impl Stage {
    /// On the development server.
    pub async fn dev() -> Self {
        let vault = VaultDev::builder().start().await.unwrap();
        let address = vault.url().to_owned();
        Self::on(Server::Dev(vault), address, Logins::Cheap).await
    }

    /// On a real Vault.
    pub async fn real(logins: Logins) -> Self {
        let (vault, _) = RealVault::start_dev().await.unwrap_or_else(|error| panic!("no Vault: {error}"));
        let address = vault.address().to_string();
        Self::on(Server::Real(Box::new(vault)), address, logins).await
    }

    async fn on(server: Server, address: String, logins: Logins) -> Self {
        let cluster = Cluster::start().await.unwrap_or_else(|error| {
            panic!("this test needs PostgreSQL: {error} (`scripts/setup` installs it)")
        });
        if logins == Logins::Cheap {
            make_logins_cheap(&cluster).await;
        }
        let admin = cluster.admin_connect().await.unwrap();
        let table = format!(
            "CREATE TABLE items (id int PRIMARY KEY, n int NOT NULL);
             INSERT INTO items SELECT id, 0 FROM generate_series(1, {ITEMS}) id;
             CREATE ROLE {STATIC_ROLE} WITH LOGIN PASSWORD 'first';
             GRANT SELECT, UPDATE ON items TO {STATIC_ROLE}"
        );
        admin.batch_execute(&table).await.unwrap();
        // PostgreSQL reads its settings again a moment after it was told to.
        eventually("users can log in", || async { cluster.connect_as(STATIC_ROLE, "first").await.ok() })
            .await;
        let example = set_up_example(&address, "root", Some(&cluster)).await.unwrap();
        let root = Client::builder().address(Address::parse(&address).unwrap()).build().unwrap();
        root.set_token(Some(SecretString::new("root")));
        root.sys().put_policy(&example.policy, RULES).await.unwrap();
        Self { server, address, cluster, root, example }
    }

    /// Makes the role whose credentials live so long.
    pub async fn dynamic_role(&self, default_ttl: Duration, max_ttl: Duration) {
        let role = json!({
            "db_name": "postgres",
            "creation_statements": [
                r#"CREATE ROLE "{{name}}" WITH LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"#,
                r#"GRANT SELECT, UPDATE ON items TO "{{name}}""#,
            ],
            "default_ttl": default_ttl.as_secs(),
            "max_ttl": max_ttl.as_secs(),
        });
        self.write("database/roles/myapp", &role).await;
    }

    /// Makes the static role, whose password changes so often.
    pub async fn static_role(&self, period: Duration) {
        let role =
            json!({"db_name": "postgres", "username": STATIC_ROLE, "rotation_period": period.as_secs()});
        self.write("database/static-roles/legacy", &role).await;
    }

    /// Has Vault change the static role's password now.
    pub async fn rotate_static_role(&self) {
        self.write("database/rotate-role/legacy", &json!({})).await;
    }

    /// The static role's password, as Vault has it now.
    pub async fn static_password(&self) -> SecretString {
        let secret = self.root.database("database").static_credentials(STATIC_ROLE).await.unwrap();
        secret.field("password").unwrap().text()
    }

    /// The service under test: another process of the application, so to speak, that logs in for itself.
    pub fn service(&self) -> SecretsService {
        let value = |text: &str| Credential::Value(SecretString::new(text));
        let role_id = value(&self.example.role_id);
        let secret_id = SecretIdSource::Plain(value(&self.example.secret_id));
        let auth = AuthSettings::AppRole { role_id, secret_id, mount: None };
        let config = VaultConfig::new(Address::parse(&self.address).unwrap(), auth);
        SecretsService::new(ResilientVaultClient::new(&config).unwrap(), ServiceConfig::default())
    }

    /// A connection as the database's superuser.
    pub async fn admin(&self) -> tokio_postgres::Client {
        self.cluster.admin_connect().await.unwrap()
    }

    /// The users that Vault has made and not removed.
    pub async fn users(&self) -> Vec<String> {
        let asked = r"SELECT rolname::text FROM pg_roles WHERE rolname LIKE 'v-%'";
        let rows = self.admin().await.query(asked, &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Waits until Vault has removed every user that it made.
    pub async fn no_users(&self) {
        eventually("no user is left in pg_roles", || async { self.users().await.is_empty().then_some(()) })
            .await;
    }

    /// Logs into the database.
    pub async fn log_in(&self, user: &str, password: &SecretString) -> Result<(), String> {
        let login = self.cluster.connect_as(user, password.expose()).await;
        login.map(drop).map_err(|error| error.to_string())
    }

    /// The processes in PostgreSQL that are sessions of this user.
    pub async fn sessions(&self, user: &str) -> Vec<i32> {
        let asked = "SELECT pid FROM pg_stat_activity WHERE usename = $1 ORDER BY pid";
        let rows = self.admin().await.query(asked, &[&user]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }

    /// Waits until there is no session of this user.
    pub async fn no_session(&self, user: &str) {
        let none = || async { self.sessions(user).await.is_empty().then_some(()) };
        eventually(&format!("{user} has no session"), none).await;
    }

    /// Revokes every lease of the dynamic role, as an operator does.
    pub async fn revoke_all(&self) {
        self.write("sys/leases/revoke-prefix/database/creds/myapp", &json!({"sync": true})).await;
        self.no_users().await;
    }

    /// Takes Vault's users away behind its back.
    pub async fn drop_users(&self) {
        let admin = self.admin().await;
        for user in self.users().await {
            admin.batch_execute(&format!(r#"DROP OWNED BY "{user}"; DROP ROLE "{user}""#)).await.unwrap();
        }
    }

    /// Changes the API keys.
    pub async fn set_api_keys(&self, keys: &Value) {
        self.root.kv2("secret").put("myapp/api-keys", keys, None).await.unwrap();
    }

    /// Makes the service reach PostgreSQL through a proxy that keeps its first connection waiting so long.
    pub async fn keep_waiting(&self, delay: Duration) {
        let upstream = (self.cluster.host(), self.cluster.port());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        tokio::spawn(async move {
            let mut delay = delay;
            while let Ok((mut near, _)) = listener.accept().await {
                let wait = std::mem::take(&mut delay);
                tokio::spawn(async move {
                    sleep(wait).await;
                    let mut far = TcpStream::connect(upstream).await.unwrap();
                    copy_bidirectional(&mut near, &mut far).await.ok();
                });
            }
        });
        let config = json!({"db_host": "127.0.0.1", "db_port": port, "db_name": self.cluster.database()});
        self.root.kv2("secret").put("myapp/config", &config, None).await.unwrap();
    }

    /// Nobody answers at Vault's address, until this is dropped. For the development server.
    pub async fn outage(&self) -> FaultGuard {
        match &self.server {
            Server::Dev(vault) => vault.fault(Fault::Refused).await,
            Server::Real(_) => panic!("a real Vault can only be killed"),
        }
    }

    /// Ends an outage, and waits until Vault answers.
    pub async fn recover(&self, outage: FaultGuard) {
        drop(outage);
        eventually("Vault answers", || async { self.root.sys().health().await.ok() }).await;
    }

    /// `VAULT_ADDR` and whatever else a program of this project is told by its environment.
    pub fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("VAULT_ADDR", self.address.clone()),
            ("VAULT_AUTH_METHOD", "approle".to_owned()),
            ("VAULT_ROLE_ID", self.example.role_id.clone()),
            ("VAULT_SECRET_ID", self.example.secret_id.clone()),
        ]
    }

    async fn write(&self, path: &str, body: &Value) {
        self.root.request(Method::POST, path).json(body).send().await.unwrap();
    }
}
