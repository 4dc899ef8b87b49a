//! The OpenAPI document, held against what the agent answers.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use vault_dev::{Fault, FaultRule};

use crate::leases::{CREDS, with_database};
use crate::support::{Agent, Answer, Ask, CONFIG, HANG, Setup};

/// The document as the agent serves it, and what of it has been seen.
struct Document {
    text: Value,
    seen: BTreeSet<String>,
}

impl Document {
    async fn of(agent: &Agent) -> Self {
        let text = agent.admin("/agent/v1/openapi.json").await;
        let kept: Value = serde_json::from_str(include_str!("../../../../docs/openapi.json")).unwrap();
        assert_eq!(text, kept, "docs/openapi.json is what is served");
        Self { text, seen: BTreeSet::new() }
    }

    /// A part of it, where it has been put.
    fn resolved<'d>(&'d self, part: &'d Value) -> &'d Value {
        match part["$ref"].as_str() {
            Some(place) => self.text.pointer(place.trim_start_matches('#')).expect(place),
            None => part,
        }
    }

    /// An answer must be as it says for this operation, path and status.
    fn check(&mut self, method: &str, path: &str, answer: &Answer) {
        let what = format!("{method} {path}: {}", answer.status);
        let operation = &self.text["paths"][path][method.to_lowercase()];
        assert!(operation.is_object(), "{what} is not in the document");
        let response = &operation["responses"][answer.status.to_string()];
        assert!(response.is_object(), "{what} is not in the document: {answer:?}");
        let response = self.resolved(response);
        let (sort, _) =
            answer.header("content-type").split_once(';').unwrap_or((answer.header("content-type"), ""));
        let content = &response["content"][sort];
        assert!(content.is_object(), "{what}: {sort} is not in the document");
        for (name, header) in response["headers"].as_object().into_iter().flatten() {
            let header = self.resolved(header);
            let there = answer.headers.contains_key(&name.to_lowercase());
            assert!(there || header["required"] != true, "{what}: {name} is missing");
            if let (true, Some(allowed)) = (there, header["schema"]["enum"].as_array()) {
                assert!(allowed.contains(&json!(answer.header(&name.to_lowercase()))), "{what}: {name}");
            }
        }
        if sort == "application/json" {
            let mut schema = content["schema"].clone();
            schema["$schema"] = json!("https://json-schema.org/draft/2020-12/schema");
            schema["components"] = self.text["components"].clone();
            let validator = jsonschema::validator_for(&schema).unwrap();
            let body = answer.json();
            let wrong: Vec<_> = validator
                .iter_errors(&body)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(wrong.is_empty(), "{what}: {wrong:#?}\n{body:#}");
        }
        self.seen.insert(what);
    }

    /// Asks the admin listener for everything that can be read.
    async fn check_reads(&mut self, agent: &Agent) {
        let paths = self.text["paths"].as_object().unwrap().clone();
        for (path, operations) in &paths {
            if operations.get("get").is_some() && operations.get("servers").is_none() {
                self.check("GET", path, &Ask::get(path).send_to(&agent.admin).await);
            }
        }
    }

    async fn check_post(&mut self, agent: &Agent, path: &str, body: Value, status: u16) {
        let answer = agent.admin_post(path, &body).await;
        assert_eq!(answer.status, status, "{path} {body}: {answer:?}");
        self.check("POST", path, &answer);
    }
}

/// The answer to a request whose body is announced and does not come.
async fn without_its_body(address: &str, path: &str) -> Answer {
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\
         Connection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    tokio::time::timeout(HANG, stream.read_to_string(&mut answer)).await.expect("no answer").unwrap();
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let mut lines = head.lines();
    let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
    let headers = lines.map(|line| line.split_once(": ").unwrap());
    let headers = headers.map(|(name, value)| (name.to_lowercase(), value.to_owned())).collect();
    Answer { status, headers, body: body.to_owned().into() }
}

#[tokio::test]
async fn every_answer_is_as_documented_and_every_documented_answer_is_given() {
    let (vault, _cluster) = with_database().await;
    let folder = tempfile::tempdir().unwrap();
    let agent = crate::restarting::on_disk(vault.agent(), folder.path()).start().await;
    let mut document = Document::of(&agent).await;
    document.check_reads(&agent).await;
    for path in [CONFIG, CREDS, "/v1/secret/data/myapp/config?version=1"] {
        let answer = agent.get(path).await;
        document.check("GET", "/v1/{path}", &answer);
    }
    vault.root.request(http::Method::POST, "sys/namespaces/team").json(&json!({})).send().await.unwrap();
    let elsewhere = Ask::get(CONFIG).token("root").header("x-vault-namespace", "team");
    document.check("GET", "/v1/{path}", &agent.ask(elsewhere).await);
    document.check("GET", "/v1/{path}", &agent.get("/v1/secret/metadata/nothing/here").await);
    document.check("GET", "/v1/{path}", &agent.ask(Ask::get(CONFIG).without("x-vault-request")).await);
    document.check(
        "GET",
        "/v1/{path}",
        &agent.ask(Ask::get(CONFIG).header("origin", "http://a.example")).await,
    );
    document.check("GET", "/v1/{path}", &agent.ask(Ask::get(CONFIG).token("root")).await);
    document.check_reads(&agent).await;

    let paths = document.text["paths"].as_object().unwrap().clone();
    for (path, operations) in paths.iter().filter(|(_, operations)| operations.get("servers").is_none()) {
        for method in operations.as_object().unwrap().keys() {
            let method = method.to_uppercase();
            let foreign = Ask::method(&method, path).header("host", "evil.example");
            document.check(&method, path, &foreign.send_to(&agent.admin).await);
            // What is documented for one method only is refused for others.
            let other = if method == "GET" { "POST" } else { "GET" };
            let refused = Ask::method(other, path).send_to(&agent.admin).await;
            assert_eq!(refused.status, 405, "{other} {path}");
            assert!(refused.header("allow").contains(&method), "{refused:?}");
            document.check(&method, path, &refused);
        }
    }
    for path in ["/agent/v1/refresh", "/agent/v1/purge"] {
        document.check_post(&agent, path, json!({ "path": "secret/data/myapp/config" }), 200).await;
        document.check_post(&agent, path, json!({ "path": 1 }), 400).await;
        let text = Ask::method("POST", path).header("content-type", "text/plain").bytes(b"{}".to_vec());
        document.check("POST", path, &text.send_to(&agent.admin).await);
    }
    agent.ask(Ask::get(CONFIG).token("root")).await.is(200, "MISS");

    vault.server.seal();
    let path = json!({ "path": "secret/data/myapp/config" });
    document.check_post(&agent, "/agent/v1/refresh", path, 502).await;
    let token_read = agent.ask(Ask::get(CONFIG).token("root")).await;
    token_read.is(200, "STALE");
    document.check("GET", "/v1/{path}", &token_read);
    for n in 0..8 {
        let unknown = agent.get(&format!("/v1/secret/data/myapp/unknown-{n}")).await;
        document.check("GET", "/v1/{path}", &unknown);
    }
    document.check_reads(&agent).await;
    let status = agent.admin("/agent/v1/status").await;
    for part in ["/stale_served/0/why", "/breakers/0/mount", "/disk/secrets", "/vault/addresses/0"] {
        assert!(status.pointer(part).is_some(), "{part}: {status:#}");
    }

    let nothing = Setup::new("http://127.0.0.1:1").env("VAULT_TOKEN", "none").start().await;
    nothing.get(CONFIG).await.is(503, "BYPASS");
    document.check_reads(&nothing).await;

    vault.server.unseal();
    let _frozen = vault.server.fault(FaultRule::new(Fault::Frozen).on("secret/data/")).await;
    let hasty = vault.agent().env("VAULT_CLIENT_TIMEOUT", "2").start().await;
    let (read, refresh, purge) = tokio::join!(
        hasty.get(CONFIG),
        without_its_body(&hasty.admin, "/agent/v1/refresh"),
        without_its_body(&hasty.admin, "/agent/v1/purge"),
    );
    document.check("GET", "/v1/{path}", &read);
    document.check("POST", "/agent/v1/refresh", &refresh);
    document.check("POST", "/agent/v1/purge", &purge);

    let mut never: Vec<_> = Vec::new();
    for (path, operations) in &paths {
        for (method, operation) in
            operations.as_object().unwrap().iter().filter(|(_, it)| it["responses"].is_object())
        {
            let answers =
                operation["responses"].as_object().unwrap().keys().filter(|status| *status != "default");
            never.extend(answers.map(|status| format!("{} {path}: {status}", method.to_uppercase())));
        }
    }
    never.retain(|what| !document.seen.contains(what));
    assert_eq!(never, Vec::<String>::new());
}
