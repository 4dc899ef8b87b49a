//! Every snippet of docs/run.md does what it says.

use secrets_service::gds_vault::{Address, Client};
use vault_dev::VaultDev;
use vault_dev::example::set_up_example;
use vault_dev::postgres::Cluster;

use crate::support::secrets_service;
use crate::world::Folder;

/// Language and text of each fenced block.
fn blocks(document: &str) -> Vec<(&str, String)> {
    let mut blocks = Vec::new();
    let mut lines = document.lines();
    while let Some(line) = lines.next() {
        if let Some(language) = line.strip_prefix("```") {
            let text = lines.by_ref().take_while(|line| *line != "```").map(|line| format!("{line}\n"));
            blocks.push((language, text.collect()));
        }
    }
    blocks
}

#[tokio::test]
async fn every_snippet_works() {
    let vault = VaultDev::builder().start().await.unwrap();
    let cluster = Cluster::start().await.unwrap();
    let example = set_up_example(vault.url(), vault.root_token(), Some(&cluster)).await.unwrap();
    let address = Address::parse(vault.url()).unwrap();
    let root = Client::builder().address(address).token("root".into()).build().unwrap();
    let config = serde_json::json!({ "db_host": "localhost", "db_name": "mydb" });
    root.kv2("secret").put("myapp/config", &config, None).await.unwrap();
    let document = include_str!("../../../../docs/run.md");
    let blocks = blocks(document);
    let mut templates = 0;
    for (n, (language, text)) in blocks.iter().enumerate() {
        let folder = Folder::new();
        let name = match *language {
            "jinja" => "snippet.j2",
            "ctmpl" => "snippet.ctmpl",
            _ => continue,
        };
        let template = folder.template(name, text);
        let ended = secrets_service(&["render", "--once", "-t", &template])
            .env("VAULT_ADDR", vault.url())
            .env("VAULT_ROLE_ID", &example.role_id)
            .env("VAULT_SECRET_ID", &example.secret_id)
            .run()
            .await;
        assert_eq!(ended.code(), 0, "{text}: {ended:?}");
        if let Some(("text", expected)) = blocks.get(n + 1).map(|(language, text)| (*language, text)) {
            assert_eq!(folder.out(name).as_ref(), Some(expected), "{text}");
        }
        templates += 1;
    }
    assert!(templates >= 8, "{templates}");
}

#[tokio::test]
async fn the_configuration_is_right() {
    let folder = Folder::new();
    std::fs::create_dir(folder.path("etc")).unwrap();
    std::fs::create_dir(folder.path("run")).unwrap();
    folder.put("etc/app.conf.j2", "{{ secret('myapp/config').db_host }}\n");
    let document = include_str!("../../../../docs/run.md");
    let (_, config) = blocks(document).into_iter().find(|(language, _)| *language == "toml").unwrap();
    let config = config.replace("/etc/app", &folder.name("etc")).replace("/run/app", &folder.name("run"));
    folder.put("run.toml", &config);
    let ended = secrets_service(&["check", "--config", &folder.name("run.toml")]).run().await;
    assert!(ended.succeeded().contains("templates"), "{ended:?}");
    folder.put("etc/app.conf.j2", "\n{{ secrte('a').b }}\n");
    let ended = secrets_service(&["check", "--config", &folder.name("run.toml")]).run().await;
    assert_eq!(ended.code(), 2, "{ended:?}");
    assert!(ended.stdout.contains("app.conf.j2:2"), "{ended:?}");
    folder.put("run.toml", "[run]\non_chnage = \"none\"\n");
    let ended = secrets_service(&["check", "--config", &folder.name("run.toml")]).run().await;
    assert_eq!(ended.code(), 2, "{ended:?}");
    assert!(ended.stdout.contains("run.toml:2"), "{ended:?}");
}
