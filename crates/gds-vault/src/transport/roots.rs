//! The certificate authorities to trust.

use std::fmt::Display;
use std::path::Path;

use rustls::RootCertStore;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

use super::TlsConfig;
use crate::error::{Error, ErrorKind};

/// Those that are given, else the system's, else (nothing is encrypted) none.
pub(super) fn load(tls: &TlsConfig, encrypted: bool) -> Result<RootCertStore, Error> {
    let mut roots = RootCertStore::empty();
    if let Some(file) = &tls.ca_cert {
        add_file(&mut roots, file)?;
    }
    if let Some(folder) = &tls.ca_path {
        add_folder(&mut roots, folder)?;
    }
    if encrypted && tls.ca_cert.is_none() && tls.ca_path.is_none() {
        let found = rustls_native_certs::load_native_certs();
        roots.add_parsable_certificates(found.certs);
        if roots.is_empty() {
            return Err(Error::new(
                ErrorKind::Configuration,
                "this system has no certificate authorities: give a CA file for the https address",
            ));
        }
    }
    Ok(roots)
}

/// The certificates in a PEM file; at least one.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_file_iter(file).and_then(Iterator::collect);
    match found {
        Ok(certificates) if certificates.is_empty() => {
            Err(unreadable("certificate", file, &"there is no certificate in it"))
        }
        Ok(certificates) => Ok(certificates),
        Err(error) => Err(unreadable("certificate", file, &error)),
    }
}

pub(super) fn unreadable(what: &str, file: &Path, why: &dyn Display) -> Error {
    Error::new(ErrorKind::Configuration, format!("the {what} file {} cannot be used: {why}", file.display()))
}

fn add_file(roots: &mut RootCertStore, file: &Path) -> Result<(), Error> {
    for certificate in certificates(file)? {
        roots.add(certificate).map_err(|error| unreadable("certificate", file, &error))?;
    }
    Ok(())
}

/// Adds every PEM file of a folder. Other files may lie there too, but there must be one that is good.
fn add_folder(roots: &mut RootCertStore, folder: &Path) -> Result<(), Error> {
    let entries = std::fs::read_dir(folder).map_err(|error| unreadable("certificate", folder, &error))?;
    let before = roots.len();
    for entry in entries.flatten() {
        if entry.path().is_file() && add_file(roots, &entry.path()).is_err() {
            tracing::warn!(file = %entry.path().display(), "not a certificate file: passed over");
        }
    }
    if roots.len() == before {
        return Err(unreadable("certificate", folder, &"there is no certificate in the folder"));
    }
    Ok(())
}
