//! `vault { … }` and `auto_auth { … }`: the way to Vault, and the login.

use super::draft::{Draft, Sort};
use super::section::Section;
use super::table::{Block, Table};

/// Where Vault's programs look if they are told nothing (Vault documentation, "Vault Agent", `vault` stanza).
const DEFAULT_ADDRESS: &str = "https://127.0.0.1:8200";

/// What `vault.retry.num_retries = 0` means there.
const DEFAULT_RETRIES: i64 = 12;

pub(super) fn vault(draft: &mut Draft, blocks: Vec<Block>) {
    for block in blocks {
        let mut vault = Section::new(draft, "vault", block.line, block.table);
        vault.text_to("address", ("vault", "addr"));
        vault.text_to("namespace", ("vault", "namespace"));
        vault.text_to("ca_cert", ("vault", "cacert"));
        vault.text_to("ca_path", ("vault", "capath"));
        vault.text_to("client_cert", ("vault", "client_cert"));
        vault.text_to("client_key", ("vault", "client_key"));
        vault.text_to("tls_server_name", ("vault", "tls_server_name"));
        vault.switch_to("tls_skip_verify", ("vault", "skip_verify"));
        vault.not_needed(&["transport_dialer"], "connections are made as they are needed");
        let retries = vault.table.take_blocks("retry");
        vault.finish();
        for block in retries {
            retry(draft, block);
        }
    }
    if draft.get("vault", "addr").is_none() {
        draft.set(("vault", "addr"), DEFAULT_ADDRESS, 1, "vault.address (not said: Vault's default)");
    }
}

fn retry(draft: &mut Draft, block: Block) {
    let mut retry = Section::new(draft, "vault.retry", block.line, block.table);
    if let Some((retries, line)) = retry.number("num_retries") {
        let retries = if retries == 0 { DEFAULT_RETRIES } else { retries.max(0) };
        let attempts = u64::try_from(retries).unwrap_or(0).saturating_add(1).min(100);
        retry.draft.set(("vault", "retry_max_attempts"), attempts, line, "vault.retry.num_retries");
    }
    retry.finish();
}

/// Whether there is a login.
pub(super) fn auto_auth(draft: &mut Draft, blocks: Vec<Block>) -> bool {
    let mut has_login = false;
    for block in blocks {
        let mut auto_auth = Section::new(draft, "auto_auth", block.line, block.table);
        let again = "credentials are read again from their files at each login";
        auto_auth.not_needed(&["enable_reauth_on_new_credentials"], again);
        auto_auth.table.unwrap_blocks("sinks");
        let methods = auto_auth.table.take_labelled("method");
        let sinks = auto_auth.table.take_labelled("sink");
        auto_auth.finish();
        for (n, block) in methods.into_iter().enumerate() {
            if n > 0 {
                let what = "there is one login; the first method is taken";
                draft.note(Sort::ToDo, block.line, "auto_auth.method", what);
                continue;
            }
            has_login |= method(draft, block);
        }
        for block in sinks {
            let what = "the login is not handed out, to a file neither; programs ask the agent, without a token \
                        (VAULT_ADDR=http://127.0.0.1:8100, with own.lend = true)";
            draft.note(Sort::ToDo, block.line, "auto_auth.sink", what);
        }
    }
    has_login
}

fn method(draft: &mut Draft, block: Block) -> bool {
    let mut method = Section::new(draft, "auto_auth.method", block.line, block.table);
    let kind = block.label.unwrap_or_default().to_ascii_lowercase();
    if let Some((path, line)) = method.text("mount_path") {
        match path.trim_matches('/').strip_prefix("auth/") {
            Some(mount) if mount == kind => {
                method.note(Sort::NotNeeded, line, "mount_path", "is the usual one");
            }
            Some(mount) => {
                let subject = method.subject("mount_path");
                method.draft.set(("vault", "auth_mount"), mount, line, &subject);
            }
            None => {
                method.note(Sort::ToDo, line, "mount_path", "does not begin with auth/, and was left out");
            }
        }
    }
    method.text_to("namespace", ("vault", "namespace"));
    method.not_needed(&["wrap_ttl"], "the login is not handed out");
    method
        .not_needed(&["min_backoff", "max_backoff"], "logins that fail are tried again less and less often");
    method.not_needed(&["lease_renewal_threshold"], "the login is renewed at two thirds of its time");
    method.differs(
        &["exit_on_err"],
        "a refused login does not end the agent; /agent/v1/ready says so, and it is tried again",
    );
    let config = method.table.take_blocks("config").into_iter().next();
    let line = config.as_ref().map_or(method.line, |block| block.line);
    let config = config.map_or_else(Table::default, |block| block.table);
    method.finish();
    let mut config = Section::new(draft, format!("auto_auth.method.{kind}"), line, config);
    let known = match kind.as_str() {
        "approle" => {
            app_role(&mut config);
            true
        }
        "kubernetes" => {
            config.text_to("role", ("vault", "auth_role"));
            config.text_to("token_path", ("vault", "jwt_file"));
            true
        }
        "jwt" => {
            config.text_to("role", ("vault", "auth_role"));
            config.text_to("path", ("vault", "jwt_file"));
            keeps_its_file(&mut config, "remove_jwt_after_reading");
            config.not_needed(
                &["remove_jwt_follows_symlinks", "jwt_read_period", "skip_jwt_parsing"],
                "the file is read at each login, and left there",
            );
            true
        }
        "cert" => {
            config.text_to("name", ("vault", "auth_role"));
            config.text_to("ca_cert", ("vault", "cacert"));
            config.text_to("client_cert", ("vault", "client_cert"));
            config.text_to("client_key", ("vault", "client_key"));
            config.differs(&["reload"], "certificates are read again on SIGHUP");
            true
        }
        "token_file" => {
            config.text_to("token_file_path", ("vault", "token_file"));
            true
        }
        "userpass" => {
            config.text_to("username", ("vault", "username"));
            config.text_to("password_file_path", ("vault", "password_file"));
            keeps_its_file(&mut config, "remove_password_after_reading");
            config.not_needed(
                &["remove_password_follows_symlinks", "password_read_period"],
                "the file is read at each login, and left there",
            );
            true
        }
        _ => false,
    };
    if known {
        config.finish();
        let ours = if kind == "token_file" { "token" } else { kind.as_str() };
        draft.set(("vault", "auth_method"), ours, block.line, &format!("auto_auth.method \"{kind}\""));
    } else {
        let what = "there is no login of this sort here (there are approle, kubernetes, jwt, cert, userpass and \
                    token_file); the agent would have none of its own";
        draft.note(Sort::ToDo, block.line, format!("auto_auth.method \"{kind}\""), what);
    }
    known
}

fn app_role(config: &mut Section<'_>) {
    config.text_to("role_id_file_path", ("vault", "role_id_file"));
    let wrapped = config.text("secret_id_response_wrapping_path");
    let key = if wrapped.is_some() { "wrapped_secret_id_file" } else { "secret_id_file" };
    if let Some((_, line)) = wrapped {
        let what = "that the token is a wrapping one, and of an AppRole, is looked at before it is used";
        config.note(Sort::Differs, line, "secret_id_response_wrapping_path", what);
    }
    config.text_to("secret_id_file_path", ("vault", key));
    keeps_its_file(config, "remove_secret_id_file_after_reading");
    if config.draft.get("vault", key).is_none() {
        let what = "an AppRole without a secret_id cannot be logged in to here: give it one, and name its file in \
                    vault.secret_id_file";
        config.note_all(Sort::ToDo, what);
    }
    if config.draft.get("vault", "role_id_file").is_none() {
        config.note_all(Sort::ToDo, "the role_id must stand in a file: vault.role_id_file");
    }
    config.missing(
        &["role_id", "secret_id"],
        "must stand in a file of its own: vault.role_id_file, vault.secret_id_file",
    );
}

/// Vault's agent removes these unless it is told not to.
fn keeps_its_file(config: &mut Section<'_>, name: &str) {
    let (removes, line) = config.switch(name).unwrap_or((true, config.line));
    let (sort, what) = if removes {
        (Sort::Differs, "the file is left there: it is read again at each login, also after a restart")
    } else {
        (Sort::Mapped, "is always so")
    };
    config.note(sort, line, name, what);
}
