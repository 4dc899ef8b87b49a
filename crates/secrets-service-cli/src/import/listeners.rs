//! `listener { … }`, `api_proxy { … }` and `cache { … }`: what clients see.

use super::draft::{Draft, Sort};
use super::section::Section;
use super::table::Block;
use crate::agent::config::ListenOn;

/// The port of a listener that names none (Vault documentation, "TCP listener").
const DEFAULT_PORT: u16 = 8200;

const LISTEN: (&str, &str) = ("", "listen");

pub(super) fn listeners(draft: &mut Draft, blocks: Vec<Block>) {
    for block in blocks {
        let kind = block.label.clone().unwrap_or_default().to_ascii_lowercase();
        let mut listener = Section::new(draft, format!("listener \"{kind}\""), block.line, block.table);
        let place = match kind.as_str() {
            "tcp" => Some(tcp(&mut listener)),
            "unix" => unix(&mut listener),
            _ => {
                listener.note_all(Sort::ToDo, "there are listeners of the types tcp and unix");
                continue;
            }
        };
        let role = listener.text("role");
        let for_metrics = role.as_ref().is_some_and(|(role, _)| role == "metrics_only");
        if let Some((_, line)) = role.as_ref().filter(|_| kind == "unix" || !for_metrics) {
            listener.note(Sort::Mapped, *line, "role", "listen");
        }
        common(&mut listener, &kind);
        if let Some((place, line)) = place {
            match ListenOn::parse(&place) {
                Err(why) => listener.note(Sort::ToDo, line, "address", format!("was left out: {why}")),
                Ok(ListenOn::Tcp { address, .. }) if for_metrics => {
                    let subject = listener.subject("address");
                    listener.draft.set(("", "admin"), address.to_string(), line, &subject);
                    let line = role.map_or(line, |(_, line)| line);
                    let what = "the metrics have names of their own, at /metrics there";
                    listener.note(Sort::Differs, line, "role", what);
                }
                Ok(_) => {
                    listener.draft.push(LISTEN, &place);
                    listener.note(Sort::Mapped, line, "address", "listen");
                }
            }
        }
        listener.finish();
    }
}

/// Where to listen, and the line that says so.
fn tcp(listener: &mut Section<'_>) -> (String, usize) {
    let address = listener.text("address");
    let line = address.as_ref().map_or(listener.line, |(_, line)| *line);
    let address = address.map_or_else(|| format!("127.0.0.1:{DEFAULT_PORT}"), |(address, _)| address);
    let (host, port) = split_port(&address);
    let host = match host {
        "localhost" => "127.0.0.1",
        "::1" => "[::1]",
        "" | "0.0.0.0" | "::" | "[::]" => {
            let what =
                "the agent listens on this machine only (127.0.0.1 was taken); run one beside each program";
            listener.note(Sort::ToDo, line, "address", what);
            "127.0.0.1"
        }
        other => other,
    };
    let mut place = format!("{host}:{port}");
    let (cert, key) = (listener.text("tls_cert_file"), listener.text("tls_key_file"));
    let no_tls = listener.switch("tls_disable").is_some_and(|(off, line)| {
        listener.note(Sort::Mapped, line, "tls_disable", "listen: without cert and key");
        off
    });
    match (cert, key) {
        _ if no_tls => {}
        (Some((cert, line)), Some((key, key_line))) => {
            if [&cert, &key].iter().any(|path| path.contains(['&', '?', '='])) {
                let what = "a path with one of & ? = cannot be named here; listens without TLS";
                listener.note(Sort::ToDo, line, "tls_cert_file", what);
            } else {
                place = format!("{place}?cert={cert}&key={key}");
                listener.note(Sort::Mapped, line, "tls_cert_file", "listen: cert");
                listener.note(Sort::Mapped, key_line, "tls_key_file", "listen: key");
            }
        }
        _ => {
            let what = "wants TLS (tls_disable is not set) and has no certificate; listens without TLS";
            listener.note_all(Sort::ToDo, what);
        }
    }
    if let Some((version, line)) = listener.text("tls_min_version") {
        let strict = version == "tls13";
        let (sort, what) = if strict {
            (Sort::ToDo, "TLS 1.2 is spoken as well; that cannot be switched off")
        } else {
            (Sort::NotNeeded, "TLS 1.2 and 1.3 are spoken, nothing older")
        };
        listener.note(sort, line, "tls_min_version", what);
    }
    let ciphers = "TLS 1.2 and 1.3 with the ciphers that are good today";
    listener.not_needed(
        &[
            "tls_max_version",
            "tls_cipher_suites",
            "tls_prefer_server_cipher_suites",
            "tls_disable_client_certs",
        ],
        ciphers,
    );
    let no_client_certificates =
        "clients are not asked for certificates; a Unix socket with allow_uid= lets chosen users in";
    listener.if_on("tls_require_and_verify_client_cert", Sort::ToDo, no_client_certificates);
    listener.missing(&["tls_client_ca_file"], no_client_certificates);
    if let Some((wanted, line)) = listener.switch("require_request_header") {
        let what = "is always so on TCP";
        let sort = if wanted { Sort::Mapped } else { Sort::Differs };
        listener.note(sort, line, "require_request_header", what);
    } else {
        let what = "requests must have the header X-Vault-Request: true, as those of Vault's clients have; with curl, \
                    say -H 'X-Vault-Request: true'";
        listener.note(Sort::Differs, listener.line, "require_request_header", what);
    }
    (place, line)
}

fn split_port(address: &str) -> (&str, u16) {
    match address.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => {
            port.parse().map_or((address, DEFAULT_PORT), |port| (host, port))
        }
        _ => (address, DEFAULT_PORT),
    }
}

fn unix(listener: &mut Section<'_>) -> Option<(String, usize)> {
    let Some((path, line)) = listener.text("address") else {
        listener.note_all(Sort::ToDo, "was left out: it has no address");
        return None;
    };
    let mut options = Vec::new();
    for (name, ours) in [("socket_mode", "mode"), ("socket_user", "owner"), ("socket_group", "group")] {
        if let Some((value, line)) = listener.text(name) {
            listener.note(Sort::Mapped, line, name, format!("listen: {ours}"));
            options.push(format!("{ours}={value}"));
        }
    }
    if path.contains('?') || options.iter().any(|option| option.contains('&')) {
        listener.note(Sort::ToDo, line, "address", "was left out: a path with ? cannot be named here");
        return None;
    }
    listener.not_needed(&["tls_disable"], "a socket has no TLS");
    listener.missing(&["tls_cert_file", "tls_key_file"], "a socket has no TLS here");
    listener.if_on(
        "require_request_header",
        Sort::Differs,
        "is not asked for on a socket: no web page gets to one; its mode says who may use it",
    );
    let start = if options.is_empty() { "" } else { "?" };
    Some((format!("unix:{path}{start}{}", options.join("&")), line))
}

fn common(listener: &mut Section<'_>, kind: &str) {
    listener.seconds_to("http_read_header_timeout", ("limits", "head_seconds"), 1..=3_600);
    listener.seconds_to("http_idle_timeout", ("limits", "idle_seconds"), 1..=86_400);
    listener.number_to("max_request_size", ("limits", "body_bytes"), 1..=1 << 40);
    listener.differs(
        &["http_read_timeout", "http_write_timeout", "max_request_duration"],
        "a request may take as long as something moves; see limits.stall_seconds and limits.answer_seconds",
    );
    listener.differs(
        &["proxy_protocol_behavior", "proxy_protocol_authorized_addrs"],
        "no proxy stands before the agent: it is for programs on the same machine",
    );
    for name in ["agent_api", "proxy_api"] {
        for block in listener.table.take_blocks(name) {
            let subject = format!("listener \"{kind}\".{name}");
            let mut api = Section::new(listener.draft, subject, block.line, block.table);
            api.if_on("enable_quit", Sort::ToDo, "nobody can end the agent over HTTP; send it SIGTERM");
            api.finish();
        }
    }
    for block in listener.table.take_blocks("telemetry") {
        let what = "metrics are at the admin listener, for everyone on this machine";
        listener.draft.note(Sort::Differs, block.line, format!("listener \"{kind}\".telemetry"), what);
    }
}

/// `api_proxy`, and what older files say about it in `cache`.
pub(super) fn proxy(draft: &mut Draft, api_proxy: Vec<Block>, cache: Vec<Block>) {
    let mut lends = false;
    let has_cache = !cache.is_empty();
    for block in cache {
        let mut cache = Section::new(draft, "cache", block.line, block.table);
        lends |= lends_login(&mut cache);
        cache.if_on("cache_static_secrets", Sort::Mapped, "static secrets are always cached");
        cache.seconds_to(
            "static_secret_token_capability_refresh_interval",
            ("tokens", "check_seconds"),
            1..=3_600,
        );
        if let Some((behaviour, line)) = cache.text("static_secret_token_capability_refresh_behavior") {
            let sort = if behaviour == "pessimistic" { Sort::ToDo } else { Sort::Mapped };
            let what = "a token that was alive is believed while Vault is unavailable";
            cache.note(sort, line, "static_secret_token_capability_refresh_behavior", what);
        }
        cache.if_on(
            "disable_caching_dynamic_secrets",
            Sort::ToDo,
            "credentials with a lease are cached; a request with Cache-Control: no-store is not",
        );
        let persist = cache.table.take_labelled("persist");
        cache.finish();
        for block in persist {
            persisted(draft, block);
        }
    }
    for block in api_proxy {
        let mut proxy = Section::new(draft, "api_proxy", block.line, block.table);
        lends |= lends_login(&mut proxy);
        proxy.if_on(
            "prepend_configured_namespace",
            Sort::ToDo,
            "a namespace in a request takes the place of the configured one",
        );
        proxy.finish();
    }
    let serves = draft.get(LISTEN.0, LISTEN.1).is_some();
    if serves && !lends {
        let what = "api_proxy.use_auto_auth_token (not said: false)";
        draft.set(("own", "lend"), false, 1, what);
    }
    if serves && !has_cache {
        let what = "reads are cached though the file has no cache: vault.cache_ttl_seconds says for how long";
        draft.note(Sort::Differs, 1, "cache", what);
    }
}

/// Whether requests without a token are made with the login.
fn lends_login(section: &mut Section<'_>) -> bool {
    for name in ["enforce_consistency", "when_inconsistent"] {
        let what = "requests with X-Vault-Index are passed through uncached; a write through the agent is read back \
                    through the agent";
        section.differs(&[name], what);
    }
    let name = "use_auto_auth_token";
    let Some(item) = section.table.take(name) else { return false };
    let forced = item.text().as_deref() == Some("force");
    if forced {
        let what = "a request that brings a token keeps it: \"force\" is taken for true";
        section.note(Sort::ToDo, item.line, name, what);
    }
    let lends = forced || item.switch() == Some(true);
    if lends {
        let subject = section.subject(name);
        section.draft.set(("own", "lend"), true, item.line, &subject);
    } else if item.switch().is_some() {
        section.note(Sort::Mapped, item.line, name, "own.lend");
    } else {
        section.note(Sort::ToDo, item.line, name, "is not true, false or force, and was left out");
    }
    lends
}

/// The cache on disk.
fn persisted(draft: &mut Draft, block: Block) {
    let has_secret_id = draft.get("vault", "secret_id_file").is_some();
    let mut persist = Section::new(draft, "cache.persist", block.line, block.table);
    let folder = persist.text("path");
    let (folder, line) = folder.unwrap_or_else(|| ("/vault/agent-cache".to_owned(), persist.line));
    let file = format!("{}/secrets-service.cache", folder.trim_end_matches('/'));
    if has_secret_id {
        persist.draft.set(("vault", "cache_file"), file, line, "cache.persist.path");
        persist.draft.set(
            ("vault", "cache_key"),
            "secret_id",
            line,
            "cache.persist (encrypted with the secret_id)",
        );
    } else {
        let what = format!(
            "the cache on disk needs a key: set vault.cache_file = \"{file}\", and vault.cache_key (systemd, keyring) \
             or vault.cache_key_file"
        );
        persist.note_all(Sort::ToDo, what);
    }
    persist.not_needed(
        &["service_account_token_file", "keep_after_import"],
        "the file stays, and is kept current",
    );
    persist.differs(&["exit_on_err"], "a file that cannot be used is an empty cache, and a warning");
    persist.finish();
}
