//! Every option once: its key in the file, its variable, what it takes, its default, and why that. The reference
//! configuration and the parser are both made from this table.

use std::ffi::OsString;
use std::time::Duration;

use super::listen_on::ListenOn;
use super::{AgentConfig, Problem};

/// One option of the agent.
pub(super) struct Opt {
    /// `table.key`, as in the file.
    pub(super) key: &'static str,
    pub(super) variable: &'static str,
    takes: Takes,
    /// As it would stand in the file.
    default: Value0,
    /// For the reference: what it does and why the default is what it is.
    pub(super) about: &'static str,
}

#[derive(Clone, Copy)]
enum Takes {
    Text,
    Texts,
    Switch,
    /// From, to.
    Number(u64, u64),
}

/// A default: constants cannot hold a [`Value`].
#[derive(Clone, Copy)]
enum Value0 {
    Text(&'static str),
    Texts(&'static [&'static str]),
    Switch(bool),
    Number(u64),
}

/// A value as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Text(String),
    Texts(Vec<String>),
    Switch(bool),
    Number(u64),
}

const fn opt(
    key: &'static str,
    variable: &'static str,
    takes: Takes,
    default: Value0,
    about: &'static str,
) -> Opt {
    Opt { key, variable, takes, default, about }
}

/// A day: no time here is longer.
const DAY: u64 = 86_400;

pub(super) const ALL: &[Opt] = &[
    opt(
        "listen",
        "SECRETS_AGENT_LISTEN",
        Takes::Texts,
        Value0::Texts(&["127.0.0.1:8100"]),
        "Where clients find the agent; several at once. Loopback addresses and Unix sockets, nothing else.\n\
         127.0.0.1:8100                                  TCP; requests must have the header X-Vault-Request: true\n\
         127.0.0.1:8443?cert=/etc/a.pem&key=/etc/a.key   TLS; both files are read again on SIGHUP\n\
         unix:/run/agent.sock?mode=0660&group=app        a socket; also owner=, and allow_uid= (repeatable): only\n\
                                                         these users may connect, whatever the mode lets\n\
         systemd                                         the sockets that systemd hands over",
    ),
    opt(
        "admin",
        "SECRETS_AGENT_ADMIN",
        Takes::Text,
        Value0::Text("127.0.0.1:8101"),
        "Where probes, Prometheus and operators find /agent/v1/… and /metrics: a loopback address, or \"none\". No\n\
         secret can be had there.",
    ),
    opt(
        "allowed_hosts",
        "SECRETS_AGENT_ALLOWED_HOSTS",
        Takes::Texts,
        Value0::Texts(&[]),
        "Host headers to accept on TCP beside localhost and loopback addresses. Any other is refused, so that no web\n\
         page can reach the agent through a name of its own.",
    ),
    opt(
        "threads",
        "SECRETS_AGENT_THREADS",
        Takes::Number(1, 64),
        Value0::Number(2),
        "Threads that serve requests. One answers some tens of thousands of cached reads a second; the second keeps\n\
         them going while the first does TLS or a large body.",
    ),
    opt(
        "drain_seconds",
        "SECRETS_AGENT_DRAIN_SECONDS",
        Takes::Number(0, 3_600),
        Value0::Number(20),
        "How long requests under way may take to end after SIGTERM. 20 s: less than the 30 s after which Kubernetes\n\
         kills.",
    ),
    opt(
        "own.lend",
        "SECRETS_AGENT_OWN_LEND",
        Takes::Switch,
        Value0::Switch(true),
        "Whether requests without a token are made with the agent's own login. Without it they go on without a token,\n\
         and the agent needs no login.",
    ),
    opt(
        "own.allow",
        "SECRETS_AGENT_OWN_ALLOW",
        Takes::Texts,
        Value0::Texts(&[]),
        "The paths for which the own login is lent, as in Vault's policies: * at the end for anything, + for one\n\
         segment. None given: all that the login's policies allow.",
    ),
    opt(
        "own.revoke_on_stop",
        "SECRETS_AGENT_OWN_REVOKE_ON_STOP",
        Takes::Switch,
        Value0::Switch(false),
        "Whether the own login, and with it every credential made with it, is revoked when the agent stops. Off:\n\
         applications go on working while the agent is restarted.",
    ),
    opt(
        "tokens.most",
        "SECRETS_AGENT_TOKENS_MOST",
        Takes::Number(1, 1_000_000),
        Value0::Number(1_000),
        "For how many tokens of clients secrets are cached, each apart from the others. The least used go first.",
    ),
    opt(
        "tokens.capacity",
        "SECRETS_AGENT_TOKENS_CAPACITY",
        Takes::Number(1, 1_000_000),
        Value0::Number(500),
        "How many secrets are kept for each of them.",
    ),
    opt(
        "tokens.check_seconds",
        "SECRETS_AGENT_TOKENS_CHECK_SECONDS",
        Takes::Number(1, 3_600),
        Value0::Number(30),
        "How long a client's token is believed to be alive after Vault has said so. 30 s: what a revoked token can\n\
         still read from the cache, for one small request to Vault every half minute. (A token that is revoked\n\
         through the agent is doubted at once.)",
    ),
    opt(
        "tokens.idle_seconds",
        "SECRETS_AGENT_TOKENS_IDLE_SECONDS",
        Takes::Number(1, 30 * DAY),
        Value0::Number(DAY),
        "A token that has not been used for so long is forgotten, and what was cached for it. A day, as for stale\n\
         values: an outage is when they are needed.",
    ),
    opt(
        "limits.connections",
        "SECRETS_AGENT_CONNECTIONS",
        Takes::Number(1, 1_000_000),
        Value0::Number(20_000),
        "Connections at once; more wait to be accepted. Each takes some kilobytes and one file descriptor: the limit of\n\
         open files is raised as far as the system lets.",
    ),
    opt(
        "limits.requests",
        "SECRETS_AGENT_REQUESTS",
        Takes::Number(1, 100_000),
        Value0::Number(1_024),
        "Requests being passed through to Vault at once; more are answered 503 with Retry-After.",
    ),
    opt(
        "limits.head_bytes",
        "SECRETS_AGENT_HEAD_BYTES",
        Takes::Number(8_192, 1 << 20),
        Value0::Number(32_768),
        "The largest request head. A token is some hundred bytes, a JWT a few thousand.",
    ),
    opt(
        "limits.head_seconds",
        "SECRETS_AGENT_HEAD_SECONDS",
        Takes::Number(1, 3_600),
        Value0::Number(10),
        "How long a request head may take, TLS handshake included; 10 s, as in Vault.",
    ),
    opt(
        "limits.idle_seconds",
        "SECRETS_AGENT_IDLE_SECONDS",
        Takes::Number(1, DAY),
        Value0::Number(300),
        "How long a connection may lie idle between requests; 5 min, as in Vault.",
    ),
    opt(
        "limits.stall_seconds",
        "SECRETS_AGENT_STALL_SECONDS",
        Takes::Number(1, 3_600),
        Value0::Number(90),
        "How long nothing may move within a request and its answer. Longer than an answer may take to begin.",
    ),
    opt(
        "limits.body_bytes",
        "SECRETS_AGENT_BODY_BYTES",
        Takes::Number(1, 1 << 40),
        Value0::Number(32 << 20),
        "The largest request body; 32 MiB, as in Vault (max_request_size). Restoring a Raft snapshot through the agent\n\
         needs more.",
    ),
    opt(
        "limits.answer_seconds",
        "SECRETS_AGENT_ANSWER_SECONDS",
        Takes::Number(1, 3_600),
        Value0::Number(60),
        "How long Vault may take to begin the answer to a request that is passed through, and how long it may then\n\
         pause; 60 s, as in Vault's own command. Cached reads have limits of their own (VAULT_CLIENT_TIMEOUT).",
    ),
];

impl Opt {
    pub(super) fn default(&self) -> Value {
        match self.default {
            Value0::Text(text) => Value::Text(text.to_owned()),
            Value0::Texts(texts) => Value::Texts(texts.iter().map(|text| (*text).to_owned()).collect()),
            Value0::Switch(on) => Value::Switch(on),
            Value0::Number(number) => Value::Number(number),
        }
    }
}

/// What the environment says about an option: lists are separated by commas.
pub(super) fn from_variable(
    option: &Opt,
    variable: &dyn Fn(&str) -> Option<OsString>,
    problems: &mut Vec<Problem>,
) -> Option<(String, Value)> {
    let text = variable(option.variable).filter(|value| !value.is_empty())?;
    let place = option.variable.to_owned();
    let mut wrong = |what: &str| {
        problems.push(Problem::new(option.variable, what));
        None
    };
    let Ok(text) = text.into_string() else { return wrong("is not valid UTF-8") };
    let text = text.trim();
    let value = match option.takes {
        Takes::Text => Value::Text(text.to_owned()),
        Takes::Texts => {
            let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
            Value::Texts(items.map(str::to_owned).collect())
        }
        Takes::Switch => match text.to_ascii_lowercase().as_str() {
            "1" | "t" | "true" | "yes" | "on" => Value::Switch(true),
            "0" | "f" | "false" | "no" | "off" => Value::Switch(false),
            _ => return wrong("must be true or false"),
        },
        Takes::Number(..) => match text.parse() {
            Ok(number) => Value::Number(number),
            Err(_) => return wrong("must be a whole number"),
        },
    };
    Some((place, value))
}

/// Takes a value over into the settings; the error says what would be right.
pub(super) fn apply(config: &mut AgentConfig, option: &Opt, value: Value) -> Result<(), String> {
    let key = option.key;
    match (option.takes, value) {
        (Takes::Text, Value::Text(text)) => set_text(config, key, &text),
        (Takes::Texts, Value::Texts(texts)) => set_texts(config, key, texts),
        // One item needs no brackets.
        (Takes::Texts, Value::Text(text)) => set_texts(config, key, vec![text]),
        (Takes::Switch, Value::Switch(on)) => {
            set_switch(config, key, on);
            Ok(())
        }
        (Takes::Number(from, to), Value::Number(number)) => {
            if !(from..=to).contains(&number) {
                return Err(format!("{key} must be a whole number from {from} to {to}"));
            }
            set_number(config, key, number);
            Ok(())
        }
        (takes, _) => Err(format!(
            "{key} must be {}",
            match takes {
                Takes::Text => "a text in quotation marks",
                Takes::Texts => "a list of texts",
                Takes::Switch => "true or false",
                Takes::Number(..) => "a whole number",
            }
        )),
    }
}

fn set_text(config: &mut AgentConfig, key: &str, text: &str) -> Result<(), String> {
    // `admin` is the only one.
    config.admin = match text {
        "none" | "" => None,
        text => match text.parse::<std::net::SocketAddr>() {
            Ok(address) if address.ip().is_loopback() => Some(address),
            _ => {
                return Err(format!(
                    "{key} must be a loopback address with a port, such as 127.0.0.1:8101, or \"none\""
                ));
            }
        },
    };
    Ok(())
}

fn set_texts(config: &mut AgentConfig, key: &str, texts: Vec<String>) -> Result<(), String> {
    match key {
        "listen" => {
            config.listen = texts.iter().map(|text| ListenOn::parse(text)).collect::<Result<_, _>>()?;
            if config.listen.is_empty() {
                return Err("listen names no address".to_owned());
            }
        }
        "allowed_hosts" => config.allowed_hosts = texts,
        _ => {
            let wrong = texts.iter().find(|path| path.trim_end_matches('*').contains('*') || path.is_empty());
            if wrong.is_some() {
                return Err(format!("{key} must hold paths, in which * can only be the last character"));
            }
            config.own_paths = texts;
        }
    }
    Ok(())
}

fn set_switch(config: &mut AgentConfig, key: &str, on: bool) {
    match key {
        "own.lend" => config.lend_own = on,
        _ => config.revoke_on_stop = on,
    }
}

fn set_number(config: &mut AgentConfig, key: &str, number: u64) {
    let count = usize::try_from(number).unwrap_or(usize::MAX);
    let seconds = Duration::from_secs(number);
    match key {
        "threads" => config.threads = count,
        "drain_seconds" => config.drain_time = seconds,
        "tokens.most" => config.tokens.most = count,
        "tokens.capacity" => config.tokens.capacity = count,
        "tokens.check_seconds" => config.tokens.check_every = seconds,
        "tokens.idle_seconds" => config.tokens.idle_time = seconds,
        "limits.connections" => config.connections = count,
        "limits.requests" => config.requests = count,
        "limits.head_bytes" => config.connection.head_bytes = count,
        "limits.head_seconds" => config.connection.head_time = seconds,
        "limits.idle_seconds" => config.connection.idle_time = seconds,
        "limits.stall_seconds" => {
            config.connection.stall_time = seconds;
            config.forward.body_pause = seconds;
        }
        "limits.body_bytes" => config.forward.body_bytes = number,
        _ => config.forward.answer_time = seconds,
    }
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
