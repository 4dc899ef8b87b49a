//! A configuration of Vault Agent, used as it is.

use nix::sys::signal::Signal;

use crate::support::{CONFIG, Setup, Vault};

#[tokio::test]
async fn a_configuration_of_vault_agent_will_do() {
    let vault = Vault::start().await;
    let setup = Setup::new(vault.server.url());
    let (role_id, secret_id) =
        (setup.file("role_id", &vault.role_id), setup.file("secret_id", &vault.secret_id));
    let template = setup.file("a.ctmpl", "x");
    let hcl = format!(
        r#"
        vault {{ address = "http://127.0.0.1:1" }}
        auto_auth {{
          method "approle" {{
            config = {{ role_id_file_path = {role_id:?} secret_id_file_path = {secret_id:?} }}
          }}
          sink "file" {{ config = {{ path = "/nowhere" }} }}
        }}
        api_proxy {{ use_auto_auth_token = true }}
        listener "tcp" {{ address = "127.0.0.1:1" tls_disable = true }}
        template {{ source = {template:?} destination = "/nowhere" }}
        "#
    );
    let config = setup.file("agent.hcl", hcl);
    let agent = setup.arg("--config").arg(&config.display().to_string()).start().await;
    agent.get(CONFIG).await.is(200, "MISS");
    assert!(agent.said("agent.hcl:7: auto_auth.sink: the login is not handed out"), "{}", agent.log());
    assert!(agent.said("its files are made by `secrets-service render`, not here"), "{}", agent.log());
    agent.send(Signal::SIGHUP);
    agent.says("settings read again").await;
}
