//! `sys/`: the server's own endpoints.

mod capabilities;
mod leases;
mod mounts;
mod namespaces;
mod policies;
mod remount;
mod status;
mod tune;
mod ui;
mod wrapping;

pub(crate) use status::health_body;

use crate::core::{BoxFuture, Call, Engine, Refusal, Reply};

/// The system backend. All its state is the core's.
pub(crate) struct Sys;

impl Engine for Sys {
    fn handle<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Reply> {
        let (first, rest) = call.path.split_once('/').unwrap_or((call.path, ""));
        Box::pin(async move {
            match first {
                "health" | "seal-status" | "init" | "leader" | "seal" | "unseal" if rest.is_empty() => {
                    status::handle(call, first)
                }
                "mounts" | "auth" => mounts::handle(call, first == "auth", rest).await,
                "policy" => policies::handle(call, rest, policies::Style::Old),
                "policies" => match rest.strip_prefix("acl") {
                    Some(name) => policies::handle(call, name.trim_start_matches('/'), policies::Style::New),
                    None => Err(Refusal::unsupported_path()),
                },
                "capabilities-self" | "capabilities" | "capabilities-accessor" if rest.is_empty() => {
                    capabilities::handle(call, first)
                }
                "internal" => ui::handle(call, rest),
                "leases" => leases::handle(call, rest).await,
                // The names these endpoints had before Vault 0.9; clients still use them.
                "renew" | "revoke" | "revoke-prefix" | "revoke-force" => {
                    leases::handle(call, call.path).await
                }
                "remount" => remount::handle(call, rest).await,
                "wrapping" => wrapping::handle(call, rest),
                "namespaces" => namespaces::handle(call, rest),
                _ => Err(Refusal::unsupported_path()),
            }
        })
    }

    fn is_login(&self, path: &str) -> bool {
        matches!(
            path,
            "health"
                | "seal-status"
                | "init"
                | "leader"
                | "unseal"
                | "wrapping/lookup"
                | "internal/ui/mounts"
        ) || path.starts_with("internal/ui/mounts/")
    }

    fn needs_sudo(&self, path: &str) -> bool {
        matches!(path, "seal" | "step-down" | "remount" | "rotate" | "leases")
            || [
                "auth/",
                "revoke-prefix/",
                "revoke-force/",
                "leases/revoke-prefix/",
                "leases/revoke-force/",
                "leases/lookup/",
            ]
            .iter()
            .any(|prefix| path.starts_with(prefix))
    }
}
