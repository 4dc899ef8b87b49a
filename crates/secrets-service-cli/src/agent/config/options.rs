//! Every option once: its key in the file, its variable, what it takes, its default, and why that. The reference
//! configuration and the parser are both made from this table.

use std::ffi::OsString;
use std::ops::RangeInclusive;
use std::time::Duration;

use super::listen_on::ListenOn;
use super::{AgentConfig, Problem};

/// One option of the agent.
pub(super) struct Opt {
    /// `table.key`, as in the file.
    pub(super) key: &'static str,
    takes: Takes,
    /// For the reference: what it does and why the default is what it is.
    pub(super) about: &'static str,
}

/// What an option takes, its default, and where it goes.
enum Takes {
    Text(&'static str, fn(&mut AgentConfig, &str) -> Result<(), String>),
    Texts(&'static [&'static str], fn(&mut AgentConfig, &[String]) -> Result<(), String>),
    Switch(bool, fn(&mut AgentConfig, bool)),
    Count(RangeInclusive<u64>, u64, fn(&mut AgentConfig, usize)),
    Seconds(RangeInclusive<u64>, u64, fn(&mut AgentConfig, Duration)),
}

/// A value as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Texts(Vec<String>),
    Switch(bool),
    Number(u64),
}

const fn opt(key: &'static str, takes: Takes, about: &'static str) -> Opt {
    Opt { key, takes, about }
}

/// A day: no time here is longer.
const DAY: u64 = 86_400;

pub(super) const ALL: &[Opt] = &[
    opt(
        "listen",
        Takes::Texts(&["127.0.0.1:8100"], set_listen),
        "Where clients find the agent; several at once. Loopback addresses and Unix sockets, nothing else.\n\
         127.0.0.1:8100                                  TCP; requests must have the header X-Vault-Request: true\n\
         127.0.0.1:8443?cert=/etc/a.pem&key=/etc/a.key   TLS; both files are read again on SIGHUP\n\
         unix:/run/agent.sock?mode=0660&group=app        a socket; also owner=, and allow_uid= (repeatable): only\n\
                                                         these users may connect, whatever the mode lets\n\
         systemd                                         the sockets that systemd hands over",
    ),
    opt(
        "admin",
        Takes::Text("127.0.0.1:8101", set_admin),
        "Where probes, Prometheus and operators find /ui, /agent/v1/… and /metrics: a loopback address, or \"none\". No\n\
         secret can be had there.",
    ),
    opt(
        "allowed_hosts",
        Takes::Texts(&[], set_allowed_hosts),
        "Host headers to accept on TCP beside localhost and loopback addresses. Any other is refused, so that no web\n\
         page can reach the agent through a name of its own.",
    ),
    opt(
        "threads",
        Takes::Count(0..=64, 0, |config, n| config.threads = if n == 0 { half_the_processors() } else { n }),
        "Threads that serve requests; 0: half as many as there are processors, from 1 to 4. One answers a hundred\n\
         thousand cached reads a second, and the other half is for those who read: with more threads than processors\n\
         all take turns, and one answer in a hundred takes milliseconds.",
    ),
    opt(
        "drain_seconds",
        Takes::Seconds(0..=3_600, 20, |config, time| config.drain_time = time),
        "How long requests under way may take to end after SIGTERM. 20 s: less than the 30 s after which Kubernetes\n\
         kills.",
    ),
    opt(
        "own.lend",
        Takes::Switch(true, |config, on| config.lend_own = on),
        "Whether requests without a token are made with the agent's own login. Without it they go on without a token,\n\
         and the agent needs no login.",
    ),
    opt(
        "own.allow",
        Takes::Texts(&[], set_own_paths),
        "The paths for which the own login is lent, as in Vault's policies: * at the end for anything, + for one\n\
         segment. None given: all that the login's policies allow.",
    ),
    opt(
        "own.revoke_on_stop",
        Takes::Switch(false, |config, on| config.revoke_on_stop = on),
        "Whether the own login, and with it every credential made with it, is revoked when the agent stops. Off:\n\
         applications go on working while the agent is restarted.",
    ),
    opt(
        "tokens.most",
        Takes::Count(1..=1_000_000, 1_000, |config, n| config.tokens.most = n),
        "For how many tokens of clients secrets are cached, each apart from the others. The least used go first.",
    ),
    opt(
        "tokens.capacity",
        Takes::Count(1..=1_000_000, 500, |config, n| config.tokens.capacity = n),
        "How many secrets are kept for each of them.",
    ),
    opt(
        "tokens.check_seconds",
        Takes::Seconds(1..=3_600, 30, |config, time| config.tokens.check_every = time),
        "How long a client's token is believed to be alive after Vault has said so. 30 s: what a revoked token can\n\
         still read from the cache, for one small request to Vault every half minute. (A token that is revoked\n\
         through the agent is doubted at once.)",
    ),
    opt(
        "tokens.idle_seconds",
        Takes::Seconds(1..=30 * DAY, DAY, |config, time| config.tokens.idle_time = time),
        "A token that has not been used for so long is forgotten, and what was cached for it. A day, as for stale\n\
         values: an outage is when they are needed.",
    ),
    opt(
        "limits.connections",
        Takes::Count(1..=1_000_000, 20_000, |config, n| config.connections = n),
        "Connections at once; more wait to be accepted. Each takes some kilobytes and one file descriptor: the limit of\n\
         open files is raised as far as the system lets.",
    ),
    opt(
        "limits.requests",
        Takes::Count(1..=100_000, 1_024, |config, n| config.requests = n),
        "Requests being passed through to Vault at once; more are answered 503 with Retry-After.",
    ),
    opt(
        "limits.head_bytes",
        Takes::Count(8_192..=1 << 20, 32_768, |config, n| config.connection.head_bytes = n),
        "The largest request head. A token is some hundred bytes, a JWT a few thousand.",
    ),
    opt(
        "limits.head_seconds",
        Takes::Seconds(1..=3_600, 10, |config, time| config.connection.head_time = time),
        "How long a request head may take, TLS handshake included; 10 s, as in Vault.",
    ),
    opt(
        "limits.idle_seconds",
        Takes::Seconds(1..=DAY, 300, |config, time| config.connection.idle_time = time),
        "How long a connection may lie idle between requests; 5 min, as in Vault.",
    ),
    opt(
        "limits.stall_seconds",
        Takes::Seconds(1..=3_600, 90, |config, time| {
            config.connection.stall_time = time;
            config.forward.body_pause = time;
        }),
        "How long nothing may move within a request and its answer. Longer than an answer may take to begin.",
    ),
    opt(
        "limits.body_bytes",
        Takes::Count(1..=1 << 40, 32 << 20, |config, n| config.forward.body_bytes = n as u64),
        "The largest request body; 32 MiB, as in Vault (max_request_size). Restoring a Raft snapshot through the agent\n\
         needs more.",
    ),
    opt(
        "limits.answer_seconds",
        Takes::Seconds(1..=3_600, 60, |config, time| config.forward.answer_time = time),
        "How long Vault may take to begin the answer to a request that is passed through, and how long it may then\n\
         pause; 60 s, as in Vault's own command. Cached reads have limits of their own (VAULT_CLIENT_TIMEOUT).",
    ),
];

impl Opt {
    /// `SECRETS_AGENT_TOKENS_MOST` for `tokens.most`; `limits` is left out, as nobody would miss it.
    pub(super) fn variable(&self) -> String {
        let name = self.key.strip_prefix("limits.").unwrap_or(self.key);
        format!("SECRETS_AGENT_{}", name.replace('.', "_").to_ascii_uppercase())
    }

    pub(super) fn default(&self) -> Value {
        match self.takes {
            Takes::Text(text, _) => Value::Text(text.to_owned()),
            Takes::Texts(texts, _) => Value::Texts(texts.iter().map(|text| (*text).to_owned()).collect()),
            Takes::Switch(on, _) => Value::Switch(on),
            Takes::Count(_, number, _) | Takes::Seconds(_, number, _) => Value::Number(number),
        }
    }

    /// What the environment says about it: lists are separated by commas.
    pub(super) fn in_environment(
        &self,
        variable: &dyn Fn(&str) -> Option<OsString>,
        problems: &mut Vec<Problem>,
    ) -> Option<(String, Value)> {
        let place = self.variable();
        let text = variable(&place).filter(|value| !value.is_empty())?;
        match self.read(text) {
            Ok(value) => Some((place, value)),
            Err(what) => {
                problems.push(Problem::new(place, what));
                None
            }
        }
    }

    fn read(&self, text: OsString) -> Result<Value, &'static str> {
        let text = text.into_string().map_err(|_| "is not valid UTF-8")?;
        let text = text.trim();
        Ok(match self.takes {
            Takes::Text(..) => Value::Text(text.to_owned()),
            Takes::Texts(..) => {
                let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
                Value::Texts(items.map(str::to_owned).collect())
            }
            Takes::Switch(..) => match text.to_ascii_lowercase().as_str() {
                "1" | "t" | "true" | "yes" | "on" => Value::Switch(true),
                "0" | "f" | "false" | "no" | "off" => Value::Switch(false),
                _ => return Err("must be true or false"),
            },
            Takes::Count(..) | Takes::Seconds(..) => {
                Value::Number(text.parse().map_err(|_| "must be a whole number")?)
            }
        })
    }

    /// Takes a value over into the settings; the error says what would be right.
    pub(super) fn apply(&self, config: &mut AgentConfig, value: Value) -> Result<(), String> {
        let key = self.key;
        let in_range = |range: &RangeInclusive<u64>, number: u64| {
            let told = || format!("{key} must be a whole number from {} to {}", range.start(), range.end());
            if range.contains(&number) { Ok(number) } else { Err(told()) }
        };
        match (&self.takes, value) {
            (Takes::Text(_, set), Value::Text(text)) => return set(config, &text),
            (Takes::Texts(_, set), Value::Texts(texts)) => return set(config, &texts),
            // One item needs no brackets.
            (Takes::Texts(_, set), Value::Text(text)) => return set(config, &[text]),
            (Takes::Switch(_, set), Value::Switch(on)) => set(config, on),
            (Takes::Count(range, _, set), Value::Number(number)) => {
                set(config, usize::try_from(in_range(range, number)?).unwrap_or(usize::MAX));
            }
            (Takes::Seconds(range, _, set), Value::Number(number)) => {
                set(config, Duration::from_secs(in_range(range, number)?));
            }
            (takes, _) => {
                let right = match takes {
                    Takes::Text(..) => "a text in quotation marks",
                    Takes::Texts(..) => "a list of texts",
                    Takes::Switch(..) => "true or false",
                    Takes::Count(..) | Takes::Seconds(..) => "a whole number",
                };
                return Err(format!("{key} must be {right}"));
            }
        }
        Ok(())
    }
}

/// From 1 to 4: four threads answer more than any client on one machine asks.
fn half_the_processors() -> usize {
    std::thread::available_parallelism().map_or(1, |processors| (processors.get() / 2).clamp(1, 4))
}

fn set_admin(config: &mut AgentConfig, text: &str) -> Result<(), String> {
    config.admin = match text {
        "none" | "" => None,
        text => match text.parse::<std::net::SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => Some(address),
            _ => {
                let right = "a loopback address with a port, such as 127.0.0.1:8101, or \"none\"";
                return Err(format!("admin must be {right}"));
            }
        },
    };
    Ok(())
}

fn set_listen(config: &mut AgentConfig, places: &[String]) -> Result<(), String> {
    if places.is_empty() {
        return Err("listen names no address".to_owned());
    }
    config.listen = places.iter().map(|place| ListenOn::parse(place)).collect::<Result<_, _>>()?;
    Ok(())
}

#[allow(clippy::unnecessary_wraps, reason = "as the others of its sort")]
fn set_allowed_hosts(config: &mut AgentConfig, hosts: &[String]) -> Result<(), String> {
    config.allowed_hosts = hosts.to_vec();
    Ok(())
}

fn set_own_paths(config: &mut AgentConfig, paths: &[String]) -> Result<(), String> {
    let wrong = |path: &String| path.trim_end_matches('*').contains('*') || path.is_empty();
    if paths.iter().any(wrong) {
        return Err("own.allow must hold paths, in which * can only be the last character".to_owned());
    }
    config.own_paths = paths.to_vec();
    Ok(())
}

/// The message about a key that is none.
pub(super) fn unknown(key: &str) -> String {
    let last = key.rsplit('.').next().unwrap_or(key);
    let mut known = ALL.iter().map(|option| option.key);
    match known.find(|known| known.ends_with(&format!(".{last}")) || alike(known, key)) {
        Some(meant) => format!("there is no option {key}; is {meant} meant?"),
        None => format!("there is no option {key}"),
    }
}

/// One letter more, less or other.
pub(super) fn alike(a: &str, b: &str) -> bool {
    let common = a.bytes().zip(b.bytes()).take_while(|(a, b)| a == b).count();
    let (a, b) = (&a[common..], &b[common..]);
    let tail = |text: &str, from: usize| text.get(from..).map(str::to_owned);
    tail(a, 1) == tail(b, 1) || tail(a, 1).as_deref() == Some(b) || tail(b, 1).as_deref() == Some(a)
}
