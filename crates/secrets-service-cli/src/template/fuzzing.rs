//! Templates of arbitrary bytes, rendered with what a real read of a development server gave.
#![expect(
    clippy::unwrap_used,
    clippy::missing_panics_doc,
    reason = "for fuzzers only: what fails is to be seen"
)]

use std::sync::{Arc, OnceLock};

use secrets_service::gds_vault::{Address, Client, Credential};
use secrets_service::{AuthSettings, Error, ResilientVaultClient, SecretString, VaultConfig};
use serde_json::json;
use vault_dev::VaultDev;

use super::{Engine, LARGEST, Outside, Reading, Readings, Rendering, Source, Syntax, Template, TemplateSpec};
use crate::failure::Exit;

/// In every secret here. No message may have it.
const CANARY: &str = "c4n4ry-8d1f0a7e";

/// More sources than this only repeat what has been tried.
const MOST_ROUNDS: usize = 12;

/// The first byte chooses the syntax, the rest is the template.
pub fn template(input: &[u8]) {
    let Some((&sort, text)) = input.split_first() else { return };
    let Ok(text) = std::str::from_utf8(text) else { return };
    let syntax = if sort % 2 == 0 { Syntax::Jinja } else { Syntax::Consul };
    let Ok(engine) = Engine::parse(text.to_owned(), syntax) else { return };
    let spec = TemplateSpec::new("template", "file").unwrap();
    let template = Template { spec, engine: Arc::new(engine) };
    let outside = Outside { default_role: "myapp".to_owned(), hidden_variables: &["VAULT_TOKEN"] };
    let mut readings = Readings::new();
    for _ in 0..MOST_ROUNDS {
        match template.render(readings.clone(), &outside) {
            Rendering::Needs(source) => {
                assert!(!readings.contains_key(&source), "asks again for {source}");
                let reading = fake(&source);
                readings.insert(source, reading);
            }
            Rendering::Done { content, .. } => {
                assert!(content.len() <= LARGEST, "{} bytes", content.len());
                return;
            }
            Rendering::Failed(trouble) => {
                let told = trouble.told("template");
                assert!(trouble.exit != Exit::Ok, "{told}");
                assert!(trouble != super::sudden_end(), "came to a sudden end");
                assert!(text.contains(CANARY) || !told.contains(CANARY), "a value is told: {told}");
                return;
            }
        }
    }
}

struct Fakes {
    secret: Arc<Reading>,
    none: Error,
}

/// The same secret wherever it is looked for, except where there is none.
fn fake(source: &Source) -> Result<Arc<Reading>, Error> {
    static FAKES: OnceLock<Fakes> = OnceLock::new();
    let fakes = FAKES.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(read_of_a_server())
    });
    match source {
        Source::Secret { version: Some(_), .. } | Source::Database { .. } | Source::StaticDatabase { .. } => {
            Err(fakes.none.clone())
        }
        Source::Secret { path, .. } if path.contains("none") => Err(fakes.none.clone()),
        Source::Secret { .. } => Ok(Arc::clone(&fakes.secret)),
        Source::Names { .. } => Ok(Arc::new(Reading::Names(vec!["a".to_owned(), "b/".to_owned()]))),
    }
}

async fn read_of_a_server() -> Fakes {
    let server = VaultDev::builder().start().await.unwrap();
    let address = Address::parse(server.url()).unwrap();
    let root = SecretString::from(server.root_token());
    let client = Client::builder().address(address.clone()).token(root.clone()).build().unwrap();
    let data = json!({
        "a": CANARY,
        "number": 42,
        "float": 1.5e300,
        "on": true,
        "null": null,
        "list": [CANARY, 1, [null], {}],
        "object": { "b": CANARY, "": "" },
        "text": format!("{CANARY}\u{0}\n\"'`\\{{{{ }}}} $(x) \u{2028}ß"),
        "base64": "eyJhIjogMX0=",
        "": "",
    });
    client.kv2("secret").put("a", &data, None).await.unwrap();
    let auth = AuthSettings::Token { token: Some(Credential::Value(root)) };
    let vault = ResilientVaultClient::new(&VaultConfig::new(address, auth)).unwrap();
    let secret = vault.get_secret("secret/a").await.unwrap();
    let none = vault.get_secret("secret/none").await.map(drop).unwrap_err();
    Fakes { secret: Arc::new(Reading::Secret(secret)), none }
}
