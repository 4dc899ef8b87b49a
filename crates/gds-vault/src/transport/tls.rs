//! TLS: which certificates to trust, and which to show.

use std::path::PathBuf;
use std::sync::Arc;

use hyper_rustls::{FixedServerNameResolver, HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use rustls::ClientConfig;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{DigitallySignedStruct, SignatureScheme};

use super::roots;
use crate::error::{Error, ErrorKind};

/// How to trust a server, and how to be trusted. The fields are named as Vault names its variables.
///
/// All files are PEM, and are read when the client is built.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// A file of certificate authorities to trust (`VAULT_CACERT`), instead of the system's.
    pub ca_cert: Option<PathBuf>,
    /// A folder of such files (`VAULT_CAPATH`), instead of the system's.
    pub ca_path: Option<PathBuf>,
    /// A certificate chain to show to the server (`VAULT_CLIENT_CERT`). Needs the key.
    pub client_cert: Option<PathBuf>,
    /// The key of that certificate (`VAULT_CLIENT_KEY`).
    pub client_key: Option<PathBuf>,
    /// The name the server's certificate must have, if not the address's host (`VAULT_TLS_SERVER_NAME`). Also sent
    /// as SNI.
    pub server_name: Option<String>,
    /// Trusts every certificate (`VAULT_SKIP_VERIFY`): anyone in between can read every secret. Warned about once
    /// per client.
    pub skip_verify: bool,
}

/// A connector for `http` and `https`. Roots are only looked for if an address is `encrypted`, so that plain http
/// works on a machine that has none.
pub(super) fn connector(
    http: HttpConnector,
    tls: &TlsConfig,
    encrypted: bool,
) -> Result<HttpsConnector<HttpConnector>, Error> {
    let builder =
        HttpsConnectorBuilder::new().with_tls_config(client_config(tls, encrypted)?).https_or_http();
    let builder = match &tls.server_name {
        Some(name) => {
            let name = ServerName::try_from(name.clone())
                .map_err(|_| configuration("the TLS server name is neither a host name nor an IP address"))?;
            builder.with_server_name_resolver(FixedServerNameResolver::new(name))
        }
        None => builder,
    };
    Ok(builder.enable_http1().wrap_connector(http))
}

fn client_config(tls: &TlsConfig, encrypted: bool) -> Result<ClientConfig, Error> {
    let provider = Arc::new(ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(|error| configuration(&error.to_string()))?;
    let builder = if tls.skip_verify && encrypted {
        tracing::warn!("TLS certificates of Vault are NOT verified: anyone in between can read every secret");
        builder.dangerous().with_custom_certificate_verifier(Arc::new(TrustAnyone(provider)))
    } else {
        builder.with_root_certificates(roots::load(tls, encrypted)?)
    };
    match (&tls.client_cert, &tls.client_key) {
        (None, None) => Ok(builder.with_no_client_auth()),
        (Some(cert), Some(key)) => {
            let chain = roots::certificates(cert)?;
            let private = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| roots::unreadable("client key", key, &error))?;
            builder.with_client_auth_cert(chain, private).map_err(|error| {
                configuration(&format!("the client certificate and its key cannot be used: {error}"))
            })
        }
        (Some(_), None) => Err(configuration("a client certificate is given, but not its key")),
        (None, Some(_)) => Err(configuration("a client key is given, but not its certificate")),
    }
}

fn configuration(what: &str) -> Error {
    Error::new(ErrorKind::Configuration, what)
}

/// For `skip_verify`: any certificate will do, if only the server has its key.
#[derive(Debug)]
struct TrustAnyone(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustAnyone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, cert, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
