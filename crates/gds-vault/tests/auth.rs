//! Each way to log in.

use gds_vault::{
    AppRoleAuth, AuthMethod, CertAuth, Client, Credential, ErrorKind, JwtAuth, KubernetesAuth, SecretId,
    SecretString, TokenAuth, TokenType, UserpassAuth,
};
use serde_json::{Value, json};

use crate::support::{CANARY, Reply, Server, assert_no_canary, client};

fn value(text: &str) -> Credential {
    Credential::Value(SecretString::from(text))
}

/// Logs in, and says what was sent.
async fn logged_in(method: &dyn AuthMethod) -> (String, Value) {
    let server = Server::always(Reply::login("hvs.new")).await;
    let client = client(&server);
    let auth = method.login(&client).await.unwrap();
    assert_eq!(auth.client_token.expose(), "hvs.new");
    assert_eq!(auth.policies, ["app"]);
    assert_eq!(client.token().unwrap().expose(), "hvs.test-token", "the client's token is not touched");
    let request = server.only_request();
    assert_eq!(request.header("x-vault-token"), None);
    (format!("{} {}", request.method, request.target), request.json())
}

#[tokio::test]
async fn each_method_sends_what_its_endpoint_wants() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "jwt-in-file\n").unwrap();
    for (method, name, target, body) in [
        (
            Box::new(AppRoleAuth::new(value("role"), SecretId::Plain(value("secret"))))
                as Box<dyn AuthMethod>,
            "approle",
            "POST /v1/auth/approle/login",
            json!({"role_id": "role", "secret_id": "secret"}),
        ),
        (
            Box::new(AppRoleAuth::new(value("role"), SecretId::None).mount("/auth/team/roles/")),
            "approle",
            "POST /v1/auth/team/roles/login",
            json!({"role_id": "role"}),
        ),
        (
            Box::new(UserpassAuth::new("al ice", value("pass word"))),
            "userpass",
            "POST /v1/auth/userpass/login/al%20ice",
            json!({"password": "pass word"}),
        ),
        (
            Box::new(UserpassAuth::new("bob", value("pw")).mount("ldap")),
            "userpass",
            "POST /v1/auth/ldap/login/bob",
            json!({"password": "pw"}),
        ),
        (
            Box::new(KubernetesAuth::new("app").jwt_file(file.path()).mount("k8s")),
            "kubernetes",
            "POST /v1/auth/k8s/login",
            json!({"role": "app", "jwt": "jwt-in-file"}),
        ),
        (
            Box::new(JwtAuth::new("app", SecretString::from("a.b.c")).mount("oidc")),
            "jwt",
            "POST /v1/auth/oidc/login",
            json!({"role": "app", "jwt": "a.b.c"}),
        ),
        (
            Box::new(CertAuth::new(Some("web".to_owned())).mount("certs")),
            "cert",
            "POST /v1/auth/certs/login",
            json!({"name": "web"}),
        ),
        (Box::new(CertAuth::new(None)), "cert", "POST /v1/auth/cert/login", json!({})),
    ] {
        assert_eq!(logged_in(&*method).await, (target.to_owned(), body));
        assert_eq!(method.name(), name);
        assert!(method.can_log_in_again());
    }
}

#[tokio::test]
async fn no_is_a_refused_login_and_unavailable_stays_unavailable() {
    for (status, message, kind) in [
        (400, "invalid role or secret ID", ErrorKind::LoginRefused),
        (403, "permission denied", ErrorKind::LoginRefused),
        (403, "invalid token", ErrorKind::LoginRefused),
        (404, "no handler", ErrorKind::NotFound),
        (429, "quota", ErrorKind::RateLimited),
        (500, "lookup failed", ErrorKind::ServerError),
        (503, "Vault is sealed", ErrorKind::Sealed),
    ] {
        let server = Server::always(Reply::errors(status, &[message])).await;
        let client = client(&server);
        for method in [
            Box::new(AppRoleAuth::new(value("5d2a"), SecretId::Plain(value(CANARY)))) as Box<dyn AuthMethod>,
            Box::new(UserpassAuth::new("u", value(CANARY))),
            Box::new(JwtAuth::new("r", value(CANARY))),
            Box::new(CertAuth::new(None)),
        ] {
            let error = method.login(&client).await.unwrap_err();
            assert_eq!((error.kind(), error.status()), (kind, Some(status)), "{method:?}");
            assert_eq!(error.messages(), [message]);
            assert_eq!(error.operation(), format!("login ({})", method.name()));
        }
    }
}

#[tokio::test]
async fn refusals_name_roles_and_hide_secrets() {
    let server = Server::always(Reply::errors(400, &[&format!("role \"web-app\" got {CANARY}")])).await;
    let client = client(&server);
    let error = JwtAuth::new("web-app", value(CANARY)).login(&client).await.unwrap_err();
    assert_eq!(error.messages(), ["role \"web-app\" got [redacted]"]);
    for method in [
        Box::new(AppRoleAuth::new(value("role"), SecretId::Plain(value(CANARY)))) as Box<dyn AuthMethod>,
        Box::new(AppRoleAuth::new(value(CANARY), SecretId::None)),
        Box::new(UserpassAuth::new("u", value(CANARY))),
        Box::new(TokenAuth::new(value(CANARY))),
    ] {
        let error = method.login(&client).await.unwrap_err();
        assert_no_canary(&format!("{error} {error:?} {method:?}"));
    }
}

#[tokio::test]
async fn an_answer_without_a_token_is_no_login() {
    for (body, kind) in [
        (json!({"data": {}}), ErrorKind::MalformedAnswer),
        (
            json!({"auth": {"client_token": "", "mfa_requirement": {"mfa_request_id": "x"}}}),
            ErrorKind::LoginRefused,
        ),
    ] {
        let server = Server::always(Reply::json(200, &body)).await;
        let error = CertAuth::new(None).login(&client(&server)).await.unwrap_err();
        assert_eq!((error.kind(), error.operation()), (kind, "login (cert)"));
    }
}

#[tokio::test]
async fn names_that_would_lead_elsewhere_are_refused() {
    let server = Server::script([]).await;
    for name in ["a/b", "..", ""] {
        let error = UserpassAuth::new(name, value("pw")).login(&client(&server)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
    }
    assert!(server.requests().is_empty());
}

mod token {
    use super::*;

    fn lookup(ttl: u64) -> Reply {
        Reply::data(&json!({
            "accessor": "acc", "creation_ttl": 3600, "display_name": "token", "entity_id": "e", "expire_time": null,
            "explicit_max_ttl": 0, "id": "hvs.given", "num_uses": 3, "orphan": true, "path": "auth/token/create",
            "policies": ["app"], "renewable": true, "ttl": ttl, "type": "service"
        }))
    }

    #[tokio::test]
    async fn is_looked_up() {
        let server = Server::always(lookup(1800)).await;
        let method = TokenAuth::new(value(" hvs.given\n"));
        let auth = method.login(&client(&server)).await.unwrap();
        assert_eq!(auth.client_token.expose(), "hvs.given");
        assert_eq!((auth.lease_duration.as_secs(), auth.renewable, auth.num_uses), (1800, true, 3));
        assert_eq!(
            (auth.policies.as_slice(), auth.token_type),
            (&["app".to_owned()][..], TokenType::Service)
        );
        let request = server.only_request();
        assert_eq!(request.target, "/v1/auth/token/lookup-self");
        assert_eq!(request.header("x-vault-token"), Some("hvs.given"));
        assert!(!method.can_log_in_again() && method.name() == "token");
    }

    #[tokio::test]
    async fn that_may_not_look_itself_up_is_accepted_with_an_unknown_lease() {
        let server = Server::always(Reply::errors(403, &["permission denied"])).await;
        let auth = TokenAuth::new(value("hvs.given")).login(&client(&server)).await.unwrap();
        assert_eq!((auth.client_token.expose(), auth.lease_duration.as_secs()), ("hvs.given", 0));
        assert!(!auth.renewable);
    }

    #[tokio::test]
    async fn that_is_invalid_is_refused() {
        let server = Server::always(Reply::errors(403, &["permission denied", "invalid token"])).await;
        let error = TokenAuth::new(value("hvs.given")).login(&client(&server)).await.unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::LoginRefused, "login (token)"));
        let server = Server::always(Reply::errors(503, &[])).await;
        let error = TokenAuth::new(value("hvs.given")).login(&client(&server)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Sealed);
    }

    #[tokio::test]
    async fn whose_last_use_was_the_question_is_refused() {
        let server = Server::always(Reply::data(&json!({"num_uses": -1, "ttl": 60}))).await;
        let error = TokenAuth::new(value("hvs.given")).login(&client(&server)).await.unwrap_err();
        assert_eq!((error.kind(), error.path()), (ErrorKind::LoginRefused, "auth/token/lookup-self"));
        assert!(error.to_string().contains("one use left"), "{error}");
    }

    #[tokio::test]
    async fn in_a_file_is_read_at_each_login() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let server = Server::always(lookup(0)).await;
        let method = TokenAuth::new(Credential::File(file.path().to_owned()));
        assert!(method.can_log_in_again());
        for token in ["hvs.first", "hvs.second"] {
            std::fs::write(file.path(), token).unwrap();
            assert_eq!(method.login(&client(&server)).await.unwrap().client_token.expose(), token);
        }
    }
}

mod approle {
    use super::*;

    const MADE_BY: &str = "auth/approle/role/app/secret-id";

    /// A Vault that knows one wrapping token, and opens it once.
    async fn vault(creation_path: &'static str) -> Server {
        let mut opened = 0;
        Server::answering(move |request| match request.path().as_str() {
            "/v1/sys/wrapping/lookup" if opened == 0 => Reply::data(
                &json!({"creation_path": creation_path, "creation_time": "now", "creation_ttl": 60}),
            ),
            "/v1/sys/wrapping/unwrap" if opened == 0 => {
                opened += 1;
                Reply::data(&json!({"secret_id": CANARY, "secret_id_accessor": "a"}))
            }
            "/v1/auth/approle/login" if request.json()["secret_id"] == CANARY => Reply::login("hvs.new"),
            _ => Reply::errors(400, &["wrapping token is not valid or does not exist"]),
        })
        .await
    }

    fn wrapped(token: Credential) -> AppRoleAuth {
        AppRoleAuth::new(value("role"), SecretId::Wrapped(token))
    }

    #[tokio::test]
    async fn a_wrapped_secret_id_is_checked_then_opened_once() {
        let server = vault(MADE_BY).await;
        let (client, method) = (client(&server), wrapped(value("hvs.wrapping")));
        let (first, second) = tokio::join!(method.login(&client), method.login(&client));
        assert!(first.is_ok() && second.is_ok());
        method.login(&client).await.unwrap();
        let log = server.log();
        assert_eq!(log[..2], ["POST /v1/sys/wrapping/lookup", "POST /v1/sys/wrapping/unwrap"]);
        assert_eq!(log[2..], ["POST /v1/auth/approle/login"; 3]);
        let requests = server.requests();
        assert_eq!(
            (requests[0].header("x-vault-token"), requests[0].json()),
            (None, json!({"token": "hvs.wrapping"}))
        );
        assert_eq!(
            (requests[1].header("x-vault-token"), requests[1].body.as_str()),
            (Some("hvs.wrapping"), "")
        );
        assert_no_canary(&format!("{method:?}"));
    }

    #[tokio::test]
    async fn a_token_made_by_something_else_is_not_opened() {
        for made_by in [
            "sys/wrapping/wrap",
            "auth/other/role/app/secret-id",
            "auth/approle/role/app/role-id",
            "auth/approle/role//secret-id",
            "auth/approle/role/a/b/secret-id",
            "auth/approle/role/secret-id",
            "secret/auth/approle/role/app/secret-id",
            "",
        ] {
            let server = vault(made_by).await;
            let error = wrapped(value("hvs.wrapping")).login(&client(&server)).await.unwrap_err();
            assert_eq!((error.kind(), error.operation()), (ErrorKind::LoginRefused, "login (approle)"));
            assert!(error.to_string().contains("tampered"), "{error}");
            assert_eq!(server.log(), ["POST /v1/sys/wrapping/lookup"], "{made_by}");
        }
    }

    #[tokio::test]
    async fn custom_secret_ids_and_namespaces_are_known() {
        let server = vault("auth/approle/role/app/custom-secret-id").await;
        wrapped(value("hvs.wrapping")).login(&client(&server)).await.unwrap();
        let server = vault("team/a/auth/approle/role/app/secret-id").await;
        let client: Client = client(&server);
        assert!(wrapped(value("hvs.wrapping")).login(&client).await.is_err());
        let namespaced = client.with_namespace(Some("team/a"));
        wrapped(value("hvs.wrapping")).login(&namespaced).await.unwrap();
    }

    #[tokio::test]
    async fn a_spent_token_is_refused_with_a_reason() {
        let server =
            Server::always(Reply::errors(400, &["wrapping token is not valid or does not exist"])).await;
        let error = wrapped(value("hvs.wrapping")).login(&client(&server)).await.unwrap_err();
        assert_eq!((error.kind(), error.operation()), (ErrorKind::LoginRefused, "login (approle)"));
        assert!(error.to_string().contains("someone else has opened it"), "{error}");
        let server = Server::always(Reply::errors(503, &[])).await;
        let error = wrapped(value("hvs.wrapping")).login(&client(&server)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Sealed);
    }

    #[tokio::test]
    async fn an_opened_secret_id_outlives_its_file_and_a_new_token_replaces_it() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_owned();
        let mut opened = 0;
        let server = Server::answering(move |request| match request.path().as_str() {
            "/v1/sys/wrapping/lookup" => Reply::data(&json!({"creation_path": MADE_BY})),
            "/v1/sys/wrapping/unwrap" => {
                opened += 1;
                Reply::data(&json!({"secret_id": format!("secret-{opened}")}))
            }
            _ => Reply::login("hvs.new"),
        })
        .await;
        let (client, method) = (client(&server), wrapped(Credential::File(path.clone())));
        std::fs::write(&path, "hvs.first").unwrap();
        method.login(&client).await.unwrap();
        std::fs::remove_file(&path).unwrap();
        method.login(&client).await.unwrap();
        std::fs::write(&path, "hvs.second\n").unwrap();
        method.login(&client).await.unwrap();
        let used: Vec<Value> = server
            .requests()
            .iter()
            .filter(|request| request.path().ends_with("/login"))
            .map(|request| request.json()["secret_id"].clone())
            .collect();
        assert_eq!(used, ["secret-1", "secret-1", "secret-2"]);
    }

    #[tokio::test]
    async fn a_missing_file_is_told() {
        let server = Server::script([]).await;
        let method = wrapped(Credential::File("/nonexistent/token".into()));
        let error = method.login(&client(&server)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Configuration);
        assert!(error.to_string().contains("/nonexistent/token"), "{error}");
    }

    #[tokio::test]
    async fn something_else_inside_is_malformed() {
        let server = Server::answering(|request| match request.path().as_str() {
            "/v1/sys/wrapping/lookup" => Reply::data(&json!({"creation_path": MADE_BY})),
            _ => Reply::data(&json!({"other": CANARY})),
        })
        .await;
        let error = wrapped(value("hvs.wrapping")).login(&client(&server)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::MalformedAnswer);
        assert_no_canary(&format!("{error:?}"));
    }

    #[tokio::test]
    async fn a_plain_secret_id_file_is_read_at_each_login() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let server = Server::always(Reply::login("hvs.new")).await;
        let secret_id = SecretId::Plain(Credential::File(file.path().to_owned()));
        let (client, method) = (client(&server), AppRoleAuth::new(value("role"), secret_id));
        for secret_id in ["one", "two"] {
            std::fs::write(file.path(), secret_id).unwrap();
            method.login(&client).await.unwrap();
        }
        let used: Vec<Value> =
            server.requests().iter().map(|request| request.json()["secret_id"].clone()).collect();
        assert_eq!(used, ["one", "two"]);
    }
}
