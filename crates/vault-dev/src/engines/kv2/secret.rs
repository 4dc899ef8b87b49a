//! One secret with its versions.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::Config;
use crate::clock::{Timestamp, after, rfc3339};
use crate::core::{Call, Fields, Operation, Refusal};
use crate::go_duration;
use crate::json::{Json, Object, object};

/// What Vault keeps when neither the mount nor the secret says how many.
const DEFAULT_MAX_VERSIONS: u64 = 10;

pub(super) struct Secret {
    pub(super) versions: BTreeMap<u64, Version>,
    pub(super) current: u64,
    pub(super) oldest: u64,
    pub(super) created: Timestamp,
    pub(super) updated: Timestamp,
    pub(super) updated_by: Option<Attribution>,
    pub(super) max_versions: u64,
    pub(super) cas_required: bool,
    pub(super) delete_after: DeleteAfter,
    pub(super) custom_metadata: Option<BTreeMap<String, String>>,
}

pub(super) struct Version {
    /// `None` once destroyed.
    pub(super) data: Option<Object>,
    pub(super) created: Timestamp,
    pub(super) created_by: Option<Attribution>,
    /// When it is (or will be) deleted; undeletion takes it away.
    pub(super) deletion: Option<Timestamp>,
    pub(super) deleted_by: Option<Attribution>,
    pub(super) destroyed: bool,
}

/// Who did something last.
#[derive(Debug, Clone)]
pub(super) struct Attribution {
    actor: String,
    operation: &'static str,
    client_id: String,
}

/// `delete_version_after`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum DeleteAfter {
    /// `0s`: nothing is said here.
    #[default]
    Unset,
    /// Negative: versions stay, whatever the other level says.
    Never,
    After(Duration),
}

impl DeleteAfter {
    /// As the mount's `config` takes it; a secret's own metadata refuses negative values.
    pub(super) fn of(fields: Fields<'_>, name: &str) -> Result<Option<Self>, Refusal> {
        if matches!(fields.get(name), Some(Json::String(text) | Json::Number(text)) if text.starts_with('-'))
        {
            return Ok(Some(Self::Never));
        }
        Ok(fields.duration(name)?.map(Self::after))
    }

    pub(super) fn after(wait: Duration) -> Self {
        if wait.is_zero() { Self::Unset } else { Self::After(wait) }
    }
}

impl fmt::Display for DeleteAfter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unset => f.write_str("0s"),
            Self::Never => f.write_str("-1s"),
            Self::After(after) => f.write_str(&go_duration::full(*after)),
        }
    }
}

impl Attribution {
    pub(super) fn of(call: &Call<'_>) -> Option<Self> {
        let token = &call.caller?.token;
        let client_id = if token.entity_id.is_empty() { &token.accessor } else { &token.entity_id };
        let operation = match call.operation() {
            Operation::Create => "create",
            Operation::Patch => "patch",
            Operation::Delete => "delete",
            _ => "update",
        };
        Some(Self { actor: token.display_name.clone(), operation, client_id: client_id.clone() })
    }

    fn describe(by: Option<&Self>) -> Json {
        by.map_or(Json::Null, |by| {
            Json::Object(object! {
                "actor" => by.actor.as_str(),
                "operation" => by.operation,
                "client_id" => by.client_id.as_str(),
            })
        })
    }
}

impl Secret {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            versions: BTreeMap::new(),
            current: 0,
            oldest: 0,
            created: now,
            updated: now,
            updated_by: None,
            max_versions: 0,
            cas_required: false,
            delete_after: DeleteAfter::Unset,
            custom_metadata: None,
        }
    }

    /// The version asked for; 0 (or less) is the latest.
    pub(super) fn version(&self, wanted: u64) -> Option<(u64, &Version)> {
        let number = if wanted == 0 { self.current } else { wanted };
        self.versions.get(&number).map(|version| (number, version))
    }

    /// Adds a version and drops those that are too many.
    pub(super) fn add(&mut self, data: Object, config: &Config, call: &Call<'_>) {
        let now = call.now();
        let by = Attribution::of(call);
        self.current += 1;
        self.updated = now;
        self.updated_by.clone_from(&by);
        let deletion = self.delete_after(config).map(|wait| after(now, wait));
        let version = Version {
            data: Some(data),
            created: now,
            created_by: by,
            deletion,
            deleted_by: None,
            destroyed: false,
        };
        self.versions.insert(self.current, version);
        let kept = match self.max_versions.max(config.max_versions) {
            0 => DEFAULT_MAX_VERSIONS,
            kept => kept,
        };
        if self.current - self.oldest >= kept {
            self.oldest = self.current - kept + 1;
            self.versions = self.versions.split_off(&self.oldest);
        }
    }

    fn delete_after(&self, config: &Config) -> Option<Duration> {
        match (config.delete_after, self.delete_after) {
            (DeleteAfter::Never, _) | (_, DeleteAfter::Never) | (DeleteAfter::Unset, DeleteAfter::Unset) => {
                None
            }
            (DeleteAfter::After(one), DeleteAfter::After(other)) => Some(one.min(other)),
            (DeleteAfter::After(after), _) | (_, DeleteAfter::After(after)) => Some(after),
        }
    }

    /// The `metadata` of an answer about one version.
    pub(super) fn describe(&self, number: u64, version: &Version) -> Object {
        object! {
            "created_time" => rfc3339(version.created),
            "custom_metadata" => self.describe_custom(),
            "deletion_time" => version.deletion.map(rfc3339).unwrap_or_default(),
            "destroyed" => version.destroyed,
            "version" => number,
        }
    }

    pub(super) fn describe_custom(&self) -> Json {
        self.custom_metadata.as_ref().map_or(Json::Null, |metadata| {
            Json::Object(metadata.iter().map(|(name, value)| (name.clone(), value.as_str().into())).collect())
        })
    }

    /// The answer of `metadata/…`.
    pub(super) fn describe_all(&self) -> Object {
        let versions: Object = self
            .versions
            .iter()
            .map(|(number, version)| {
                let about = object! {
                    "created_by" => Attribution::describe(version.created_by.as_ref()),
                    "created_time" => rfc3339(version.created),
                    "deleted_by" => Attribution::describe(version.deleted_by.as_ref()),
                    "deletion_time" => version.deletion.map(rfc3339).unwrap_or_default(),
                    "destroyed" => version.destroyed,
                };
                (number.to_string(), Json::Object(about))
            })
            .collect();
        object! {
            "cas_required" => self.cas_required,
            "created_time" => rfc3339(self.created),
            "current_version" => self.current,
            "custom_metadata" => self.describe_custom(),
            "delete_version_after" => self.delete_after.to_string(),
            "last_updated_by" => Attribution::describe(self.updated_by.as_ref()),
            "max_versions" => self.max_versions,
            "oldest_version" => self.oldest,
            "updated_time" => rfc3339(self.updated),
            "versions" => versions,
        }
    }
}

impl Version {
    pub(super) fn is_deleted(&self, now: Timestamp) -> bool {
        self.deletion.is_some_and(|at| at <= now)
    }

    /// The data, unless deleted or destroyed.
    pub(super) fn readable(&self, now: Timestamp) -> Option<&Object> {
        self.data.as_ref().filter(|_| !self.destroyed && !self.is_deleted(now))
    }
}
