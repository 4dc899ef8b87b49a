//! The `token_…` parameters that roles of all auth methods share.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::core::{Fields, Login, Refusal};
use crate::json::{Json, Object, object};

/// How the tokens of a role are made.
#[derive(Debug, Clone, Default)]
pub(super) struct TokenParams {
    policies: Vec<String>,
    ttl: Duration,
    max_ttl: Duration,
    explicit_max_ttl: Duration,
    period: Duration,
    num_uses: u64,
    no_default_policy: bool,
    kind: TokenKind,
    pub(super) bound_cidrs: Vec<String>,
    /// Parameters that were set by the names of Vault before 1.2; they are shown by those, too.
    by_old_name: BTreeSet<&'static str>,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum TokenKind {
    #[default]
    Default,
    Service,
    Batch,
}

/// The names, for the warning about unknown parameters.
pub(super) const NAMES: &[&str] = &[
    "token_policies",
    "policies",
    "token_ttl",
    "ttl",
    "token_max_ttl",
    "max_ttl",
    "token_explicit_max_ttl",
    "token_period",
    "period",
    "token_num_uses",
    "token_no_default_policy",
    "token_type",
    "token_bound_cidrs",
];

const OLD_NAMES: &[(&str, &str)] = &[
    ("token_policies", "policies"),
    ("token_period", "period"),
    ("token_ttl", "ttl"),
    ("token_max_ttl", "max_ttl"),
];

impl TokenParams {
    /// Takes over what the request sets; the rest stays.
    pub(super) fn update(&mut self, fields: Fields<'_>) -> Result<(), Refusal> {
        for (new, old) in OLD_NAMES {
            if fields.get(new).is_some() {
                self.by_old_name.remove(old);
            } else if fields.get(old).is_some() {
                self.by_old_name.insert(old);
            }
        }
        if let Some(policies) = fields.list("token_policies")?.or(fields.list("policies")?) {
            self.policies = policies.iter().map(|policy| policy.to_lowercase()).collect();
        }
        let durations = [
            ("token_ttl", &mut self.ttl),
            ("token_max_ttl", &mut self.max_ttl),
            ("token_explicit_max_ttl", &mut self.explicit_max_ttl),
            ("token_period", &mut self.period),
        ];
        for (name, into) in durations {
            if let Some(duration) = fields.duration(name)?.or(fields.duration(&name[6..])?) {
                *into = duration;
            }
        }
        if let Some(uses) = fields.integer("token_num_uses")? {
            self.num_uses = u64::try_from(uses)
                .map_err(|_| Refusal::bad_request("'token_num_uses' cannot be negative"))?;
        }
        self.no_default_policy = fields.boolean("token_no_default_policy")?.unwrap_or(self.no_default_policy);
        if let Some(cidrs) = fields.list("token_bound_cidrs")? {
            self.bound_cidrs = cidrs;
        }
        if let Some(kind) = fields.string("token_type")? {
            self.kind = match kind.as_str() {
                "" | "default" => TokenKind::Default,
                "service" | "default-service" => TokenKind::Service,
                "batch" | "default-batch" => TokenKind::Batch,
                other => return Err(Refusal::bad_request(format!("invalid 'token_type' value {other:?}"))),
            };
        }
        if self.kind == TokenKind::Batch {
            let impossible = |what: &str| {
                Err(Refusal::bad_request(format!(
                    "'token_type' cannot be 'batch' or 'default_batch' when set to generate {what}"
                )))
            };
            if !self.period.is_zero() {
                return impossible("periodic tokens");
            }
            if self.num_uses != 0 {
                return impossible("tokens with limited use count");
            }
        }
        if !self.max_ttl.is_zero() && self.ttl > self.max_ttl {
            return Err(Refusal::bad_request("'token_ttl' cannot be greater than 'token_max_ttl'"));
        }
        Ok(())
    }

    pub(super) fn describe(&self) -> Object {
        let mut data = object! {
            "token_bound_cidrs" => self.bound_cidrs.clone(),
            "token_explicit_max_ttl" => self.explicit_max_ttl.as_secs(),
            "token_max_ttl" => self.max_ttl.as_secs(),
            "token_no_default_policy" => self.no_default_policy,
            "token_num_uses" => self.num_uses,
            "token_period" => self.period.as_secs(),
            "token_policies" => Json::from(self.policies.clone()),
            "token_ttl" => self.ttl.as_secs(),
            "token_type" => match self.kind {
                TokenKind::Default => "default",
                TokenKind::Service => "service",
                TokenKind::Batch => "batch",
            },
        };
        for (new, old) in OLD_NAMES.iter().filter(|(_, old)| self.by_old_name.contains(old)) {
            if let Some(value) = data.get(*new).cloned() {
                data.insert((*old).to_owned(), value);
            }
        }
        data
    }

    pub(super) fn login(&self) -> Login {
        Login {
            policies: self.policies.clone(),
            no_default_policy: self.no_default_policy,
            ttl: self.ttl,
            max_ttl: self.max_ttl,
            explicit_max_ttl: self.explicit_max_ttl,
            period: self.period,
            num_uses: self.num_uses,
            batch: self.kind == TokenKind::Batch,
            ..Login::default()
        }
    }
}
