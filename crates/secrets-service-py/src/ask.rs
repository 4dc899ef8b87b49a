//! What can be asked of the core, and what comes back: one list for threads, event loops and the service.

use std::collections::BTreeMap;

use py_support::json;
use pyo3::prelude::*;
use pyo3::types::PyDict;
use secrets_service::gds_vault::SecretString;
use secrets_service::{
    DatabaseCredentials, Error, OnClose, Patch, ReadOptions, ResilientVaultClient, Rotation, SecretRead,
    SecretsService, ServiceConfig,
};
use serde_json::value::RawValue;
use zeroize::Zeroizing;

use crate::errors;
use crate::read::Read;
use crate::rotating::{PyRotation, Wanted};

/// One operation that has not begun.
pub(crate) enum Ask {
    Secret { path: String, options: ReadOptions },
    Read { path: String, options: ReadOptions },
    Credentials { role: String, fixed: bool },
    Put { path: String, json: Zeroizing<String>, cas: Option<u64> },
    Patch { path: String, patch: Patch },
    Delete { path: String },
    List { path: String },
    Rotation(Wanted),
    LogIn,
    Close(OnClose),
    ConnectionString { service: ServiceConfig, role: Option<String> },
    ApiKey { service: ServiceConfig, name: String },
    SetApiKey { service: ServiceConfig, name: String, key: SecretString },
}

/// What an operation came to.
pub(crate) enum Answer {
    Secret(SecretRead),
    Read(SecretRead),
    Credentials(DatabaseCredentials),
    /// `None`: there was none in time.
    Rotation(Option<Rotation>),
    Text(SecretString),
    Version(Option<u64>),
    Names(Vec<String>),
    Done,
}

impl Ask {
    /// The path whose prepared answer is no longer to be trusted once this is done.
    pub(crate) fn changes(&self) -> Option<&str> {
        match self {
            Self::Put { path, .. } | Self::Patch { path, .. } | Self::Delete { path } => Some(path),
            Self::SetApiKey { service, .. } => Some(&service.api_keys_path),
            _ => None,
        }
    }

    /// Does it.
    pub(crate) async fn answer(self, vault: ResilientVaultClient) -> Result<Answer, Error> {
        Ok(match self {
            Self::Secret { path, options } if options == ReadOptions::default() => {
                Answer::Secret(vault.get_secret(&path).await?)
            }
            Self::Secret { path, options } => Answer::Secret(vault.get_secret_with(&path, options).await?),
            Self::Read { path, options } => Answer::Read(vault.get_secret_with(&path, options).await?),
            Self::Credentials { role, fixed: false } => {
                Answer::Credentials(vault.get_database_credentials(&role).await?)
            }
            Self::Credentials { role, fixed: true } => {
                Answer::Credentials(vault.get_static_database_credentials(&role).await?)
            }
            Self::Put { path, json, cas } => {
                // It was written as JSON a moment ago.
                let raw: &RawValue = serde_json::from_str(&json).unwrap_or(RawValue::NULL);
                Answer::Version(vault.put_secret(&path, raw, cas).await?)
            }
            Self::Patch { path, patch } => Answer::Version(vault.patch_secret(&path, &patch).await?),
            Self::Delete { path } => done(vault.delete_secret(&path).await?),
            Self::List { path } => Answer::Names(vault.list_secrets(&path).await?),
            Self::Rotation(wanted) => Answer::Rotation(wanted.rotation(vault).await?),
            Self::LogIn => done(vault.log_in().await?),
            Self::Close(on_close) => done(vault.close(on_close).await?),
            Self::ConnectionString { service, role } => {
                let service = SecretsService::new(vault, service);
                Answer::Text(match role {
                    Some(role) => service.get_database_connection_string_for(&role).await?,
                    None => service.get_database_connection_string().await?,
                })
            }
            Self::ApiKey { service, name } => {
                Answer::Text(SecretsService::new(vault, service).get_api_key(&name).await?)
            }
            Self::SetApiKey { service, name, key } => {
                done(SecretsService::new(vault, service).set_api_key(&name, &key).await?)
            }
        })
    }
}

fn done((): ()) -> Answer {
    Answer::Done
}

impl Answer {
    /// As Python wants it. [`Answer::Secret`] comes as a dictionary that belongs to the caller.
    pub(crate) fn into_python(self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        Ok(match self {
            Self::Secret(read) => json::load(py, read.data().expose_json())?.unbind(),
            Self::Read(read) => Py::new(py, Read::new(read))?.into_any(),
            Self::Credentials(credentials) => {
                let pair = PyDict::new(py);
                pair.set_item("username", credentials.username())?;
                pair.set_item("password", credentials.password().expose())?;
                pair.into_any().unbind()
            }
            Self::Rotation(Some(rotation)) => Py::new(py, PyRotation(rotation))?.into_any(),
            Self::Text(text) => text.expose().into_pyobject(py)?.into_any().unbind(),
            Self::Version(version) => version.into_pyobject(py)?.unbind(),
            Self::Names(names) => names.into_pyobject(py)?.unbind(),
            Self::Rotation(None) | Self::Done => py.None(),
        })
    }
}

/// How to read.
pub(crate) fn options(bypass_cache: bool, version: Option<u64>) -> ReadOptions {
    ReadOptions { bypass_cache, version, ..ReadOptions::default() }
}

/// The end of a client.
pub(crate) fn close(revoke: bool) -> Ask {
    Ask::Close(if revoke { OnClose::Revoke } else { OnClose::Keep })
}

/// Fields to set; `None` removes a field, as JSON merge patches have it.
pub(crate) fn patch(changes: &Bound<'_, PyDict>) -> PyResult<Patch> {
    let py = changes.py();
    let mut fields = BTreeMap::new();
    for (name, value) in changes.iter() {
        let value =
            if value.is_none() { None } else { Some(SecretString::from(json::dump(&value)?.as_str())) };
        fields.insert(name.extract::<String>()?, value);
    }
    fields.into_iter().try_fold(Patch::new(), |patch, (name, value)| match value {
        None => Ok(patch.remove(name)),
        Some(json) => patch.set_json(name, json).map_err(|error| errors::to_python(py, &error)),
    })
}
