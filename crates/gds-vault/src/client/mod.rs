//! [`Client`]: the way to one Vault.

mod builder;
mod forward;
mod headers;
mod token_header;

use std::fmt;
use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderValue, Method};

pub use builder::ClientBuilder;
pub use forward::{Forward, Forwarded, ForwardedBody};
pub(crate) use headers::{Headers, Standing};
use headers::{TRUE, X_VAULT_NAMESPACE, X_VAULT_REQUEST};
pub(crate) use token_header::{TokenHeader, X_VAULT_TOKEN};

use crate::address::Address;
use crate::engines::{Database, Kv1, Kv2, Leases, Tokens, Wrapping};
use crate::error::{Error, ErrorKind};
use crate::mounts::{MountKind, MountTable, Mounts, SecretPath};
use crate::request::Request;
use crate::secret::Secret;
use crate::secret_string::SecretString;
use crate::sys::Sys;
use crate::transport::Transport;

/// A client of one Vault (one server, or several of one cluster).
///
/// Cheap to clone; clones share connections, the token and what was learnt of the mounts. It neither caches secrets
/// nor retries, and it never logs in by itself: see [`AuthMethod`](crate::AuthMethod) and
/// [`set_token`](Self::set_token).
///
/// ```no_run
/// # async fn example() -> Result<(), gds_vault::Error> {
/// use gds_vault::{Address, Client, SecretString};
///
/// let client = Client::builder()
///     .address(Address::parse("http://127.0.0.1:8200")?)
///     .token(SecretString::from("root"))
///     .build()?;
/// let secret = client.kv2("secret").read("myapp/config").await?;
/// println!("{:?}", secret.data().names().collect::<Vec<_>>());
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Client {
    transport: Arc<Transport>,
    handle: Arc<Handle>,
}

/// What clones of one client share, and clients of other namespaces do not.
struct Handle {
    namespace: Option<Namespace>,
    standing: ArcSwap<Standing>,
    mounts: MountTable,
}

impl Handle {
    fn new(namespace: Option<&str>, token: Option<TokenHeader>) -> Self {
        let namespace = namespace.map(|name| name.trim_matches('/')).filter(|name| !name.is_empty());
        let namespace = namespace.map(Namespace::new);
        let standing = ArcSwap::from_pointee(Standing::new(namespace.as_ref(), token));
        Self { namespace, standing, mounts: MountTable::default() }
    }
}

/// A namespace and its header value, made once; `None` if the name holds what no header can hold.
struct Namespace {
    name: Box<str>,
    header: Option<HeaderValue>,
}

impl Namespace {
    fn new(name: &str) -> Self {
        Self { name: name.into(), header: HeaderValue::from_str(name).ok() }
    }

    fn header(&self) -> Result<HeaderValue, Error> {
        let mistake = || Error::new(ErrorKind::Configuration, "the namespace has a control character in it");
        self.header.clone().ok_or_else(mistake)
    }
}

impl Client {
    /// Starts to set up a client.
    pub fn builder() -> ClientBuilder {
        ClientBuilder::default()
    }

    /// The token sent with requests.
    pub fn token(&self) -> Option<Arc<SecretString>> {
        self.handle.standing.load().token().map(|header| Arc::clone(header.secret()))
    }

    /// Sets the token for all requests from now on, of this client and its clones. Those under way keep the old one.
    pub fn set_token(&self, token: Option<SecretString>) {
        let standing = Standing::new(self.handle.namespace.as_ref(), token.map(TokenHeader::new));
        self.handle.standing.store(Arc::new(standing));
    }

    /// The configured servers, in order.
    pub fn addresses(&self) -> &[Address] {
        self.transport.addresses()
    }

    /// The namespace of all requests (Vault Enterprise, `OpenBao`).
    pub fn namespace(&self) -> Option<&str> {
        self.handle.namespace.as_ref().map(|namespace| &*namespace.name)
    }

    /// A client for another namespace (`None` = the root) over the same connections.
    ///
    /// It starts with this client's present token. From then on the two are apart: setting the token of one does not
    /// change the other's, and each learns its own mounts. A name that cannot be a namespace makes every request
    /// fail with [`ErrorKind::Configuration`](crate::ErrorKind::Configuration).
    pub fn with_namespace(&self, namespace: Option<&str>) -> Self {
        let handle = Handle::new(namespace, self.handle.standing.load().token().cloned());
        Self { transport: Arc::clone(&self.transport), handle: Arc::new(handle) }
    }

    /// Starts a request to any path: `secret/data/app`, with or without a leading `v1/` and slashes around it.
    ///
    /// The path is given plainly: it is percent-encoded here, so that names with spaces, `+`, `%`, `#`, `?` and the
    /// like arrive as they are. Empty, `.` and `..` segments and control characters are refused when it is sent. The
    /// method `LIST` is sent as `GET` with `list=true`, which proxies let through.
    pub fn request(&self, method: Method, path: impl Into<String>) -> Request {
        Request::new(self.clone(), method, path.into())
    }

    /// Lists what is directly under a path.
    pub(crate) fn list_request(&self, path: impl Into<String>) -> Request {
        self.request(Method::GET, path).query("list", "true").label("LIST")
    }

    /// Reads what a resolved path names: for KV v2 the secret's data, at a version if one is given; for anything
    /// else the path as it is.
    pub async fn read_path(&self, path: &SecretPath<'_>, version: Option<u64>) -> Result<Secret, Error> {
        let request = self.request(Method::GET, path.api_path());
        match version {
            Some(version) if path.kind == MountKind::Kv2 => request.query("version", version.to_string()),
            _ => request,
        }
        .read()
        .await
    }

    /// The KV v1 engine at a mount (`secret`).
    pub fn kv1(&self, mount: impl Into<String>) -> Kv1 {
        Kv1::new(self.clone(), mount.into())
    }

    /// The KV v2 engine at a mount (`secret`).
    pub fn kv2(&self, mount: impl Into<String>) -> Kv2 {
        Kv2::new(self.clone(), mount.into())
    }

    /// The database engine at a mount (`database`).
    pub fn database(&self, mount: impl Into<String>) -> Database {
        Database::new(self.clone(), mount.into())
    }

    /// Leases: `sys/leases`.
    pub fn leases(&self) -> Leases {
        Leases::new(self.clone())
    }

    /// Tokens: `auth/token`.
    pub fn tokens(&self) -> Tokens {
        Tokens::new(self.clone())
    }

    /// Wrapped answers: `sys/wrapping`.
    pub fn wrapping(&self) -> Wrapping {
        Wrapping::new(self.clone())
    }

    /// Health, seal, mounts, policies: `sys`.
    pub fn sys(&self) -> Sys {
        Sys::new(self.clone())
    }

    /// What is known of the mounts, and how to learn more.
    pub fn mounts(&self) -> Mounts {
        Mounts::new(self.clone())
    }

    pub(crate) fn mount_table(&self) -> &MountTable {
        &self.handle.mounts
    }

    pub(crate) fn transport(&self) -> &Transport {
        &self.transport
    }

    pub(crate) fn standing(&self) -> Arc<Standing> {
        self.handle.standing.load_full()
    }

    /// The headers of a request that has some of its own, or another token than the client's.
    pub(crate) fn headers(
        &self,
        own: HeaderMap,
        token: Option<&TokenHeader>,
        in_namespace: bool,
    ) -> Result<Headers, Error> {
        let namespace = self.handle.namespace.as_ref().filter(|_| in_namespace);
        headers::complete(own, namespace, token).map(Headers::Own)
    }
}

impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("addresses", &self.addresses())
            .field("namespace", &self.namespace())
            .field("has_token", &self.handle.standing.load().token().is_some())
            .finish_non_exhaustive()
    }
}
