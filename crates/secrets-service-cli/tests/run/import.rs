//! From a configuration of Vault Agent to files and a program's variables, without a variable that says where Vault is.

use serde_json::json;

use crate::support::{Vault, secrets_service};
use crate::world::Folder;

/// `at` is where Vault is.
fn agent_hcl(folder: &Folder, at: &str) -> String {
    let name = |name: &str| folder.name(name);
    format!(
        r#"
        pid_file = "{pid}"
        vault {{ address = "{at}" }}
        auto_auth {{
          method "approle" {{
            config = {{
              role_id_file_path   = "{role_id}"
              secret_id_file_path = "{secret_id}"
            }}
          }}
        }}
        api_proxy {{ use_auto_auth_token = true }}
        listener "unix" {{ address = "{socket}" }}
        template {{
          source      = "{source}"
          destination = "{from_source}"
          perms       = "0640"
        }}
        template {{
          contents    = "{{{{ with secret \"secret/data/myapp/config\" }}}}[{{{{ .Data.data.db_host }}}}]{{{{ end }}}}"
          destination = "{from_contents}"
        }}
        env_template "DB_NAME" {{
          contents = "{{{{ with secret \"secret/data/myapp/config\" }}}}{{{{ .Data.data.db_name }}}}{{{{ end }}}}"
        }}
        exec {{ command = ["/bin/sh", "-c", "printf %s \"$DB_NAME\" >{out}"] }}
        "#,
        pid = name("pid"),
        role_id = name("role_id"),
        secret_id = name("secret_id"),
        socket = name("agent.sock"),
        source = name("a.ctmpl"),
        from_source = name("from_source"),
        from_contents = name("from_contents"),
        out = name("out"),
    )
}

#[tokio::test]
async fn what_was_imported_passes_the_check_and_works() {
    let vault = Vault::start().await;
    vault.store("myapp/config", &json!({ "db_host": "localhost", "db_name": "mydb" })).await;
    let folder = Folder::new();
    folder.put("role_id", &vault.role_id);
    folder.put("secret_id", &vault.secret_id);
    folder.put("a.ctmpl", "{{ with secret \"secret/data/myapp/config\" }}{{ .Data.data.db_name }}{{ end }}");
    folder.put("agent.hcl", &agent_hcl(&folder, vault.server.url()));
    let imported = secrets_service(&["agent", "import", &folder.name("agent.hcl")]).run().await;
    folder.put("agent.toml", imported.succeeded());
    assert!(!imported.stderr.contains("the result:"), "{}", imported.stderr);
    let config = folder.name("agent.toml");
    let checked = secrets_service(&["check", "--config", &config]).run().await;
    assert!(checked.succeeded().contains("templates: 2 can be parsed"), "{checked:?}");
    secrets_service(&["render", "--once", "--config", &config]).run().await.succeeded();
    assert_eq!(folder.read("from_source").as_deref(), Some("mydb"));
    assert_eq!(folder.read("from_contents").as_deref(), Some("[localhost]"));
    secrets_service(&["run", "--config", &config]).run().await.succeeded();
    assert_eq!(folder.read("out").as_deref(), Some("mydb"));
}

#[tokio::test]
async fn what_is_to_do_is_told_with_its_line() {
    let folder = Folder::new();
    folder.put(
        "agent.hcl",
        "listener \"tcp\" {\n  address = \"127.0.0.1:8100\"\n  tls_disable = true\n}\nspeed = 5\n",
    );
    let file = folder.name("agent.hcl");
    let imported = secrets_service(&["agent", "import", &file]).run().await;
    assert_eq!(imported.code(), 1, "{imported:?}");
    assert!(imported.stdout.contains("listen = [\"127.0.0.1:8100\"]"), "{imported:?}");
    assert!(imported.stdout.contains("#   line 5, speed: is not known here"), "{imported:?}");
    assert!(imported.stderr.contains(&format!("{file}:5: to do: speed: is not known here")), "{imported:?}");
    assert!(imported.stderr.ends_with("error: 1 thing to do, told above\n"), "{imported:?}");
}

#[tokio::test]
async fn what_cannot_be_read_is_told_with_its_line() {
    let folder = Folder::new();
    folder.put("agent.hcl", "vault {\n  address = canary\n}\n");
    let file = folder.name("agent.hcl");
    let failed = secrets_service(&["agent", "import", &file]).run().await;
    assert!(
        failed.failed(2).contains(&format!("{file}:2: a text must stand in quotation marks")),
        "{failed:?}"
    );
    assert!(!failed.stderr.contains("canary"));
    folder.put("large.hcl", &"#".repeat(1 << 21));
    let failed = secrets_service(&["agent", "import", &folder.name("large.hcl")]).run().await;
    assert!(failed.failed(2).contains("is larger than 1 MiB"), "{failed:?}");
    secrets_service(&["agent", "import", &folder.name("none.hcl")]).run().await.failed(2);
}

#[tokio::test]
async fn variables_come_before_the_file() {
    let vault = Vault::start().await;
    vault.store("myapp/config", &json!({ "db_host": "localhost" })).await;
    let folder = Folder::new();
    folder.put("a.j2", "{{ secret('secret/myapp/config').db_host }}");
    let (source, out) = (folder.name("a.j2"), folder.name("out"));
    let template = format!("[[template]]\nsource = {source:?}\ndestination = {out:?}\n");
    folder.put(
        "run.toml",
        &format!("{template}[vault]\naddr = \"http://127.0.0.1:1\"\nretry_max_attempts = 1\n"),
    );
    let config = folder.name("run.toml");
    vault.run(&["render", "--once", "--config", &config]).run().await.succeeded();
    assert_eq!(folder.read("out").as_deref(), Some("localhost"));
    folder.put("run.toml", &format!("{template}[vault]\nadr = \"x\"\nretry_max_attempts = 0\n"));
    let failed = vault.run(&["render", "--once", "--config", &config]).run().await;
    let said = failed.failed(2);
    assert!(said.contains("run.toml:5: there is no option vault.adr; is vault.addr meant?"), "{said}");
    assert!(said.contains("run.toml:6: must be a whole number from 1 to 100"), "{said}");
}

#[tokio::test]
async fn a_configuration_of_vault_agent_is_used_as_it_is() {
    let vault = Vault::start().await;
    vault.store("myapp/config", &json!({ "db_host": "localhost", "db_name": "mydb" })).await;
    let folder = Folder::new();
    folder.put("role_id", &vault.role_id);
    folder.put("secret_id", &vault.secret_id);
    folder.put("a.ctmpl", "{{ with secret \"secret/data/myapp/config\" }}{{ .Data.data.db_name }}{{ end }}");
    let text = agent_hcl(&folder, vault.server.url()) + "\nspeed = 5\n";
    folder.put("agent.hcl", &text);
    let told = format!("agent.hcl:{}: speed: is not known here", text.lines().count());
    let config = folder.name("agent.hcl");
    let checked = secrets_service(&["check", "--config", &config]).run().await;
    assert!(checked.succeeded().contains(&told), "{checked:?}");
    let rendered = secrets_service(&["render", "--once", "--config", &config]).run().await;
    rendered.succeeded();
    assert!(rendered.stderr.contains("warning: ") && rendered.stderr.contains(&told), "{rendered:?}");
    assert_eq!(folder.read("from_source").as_deref(), Some("mydb"));
    folder.put("agent.hcl", "listener \"tcp\" {\n address = \"127.0.0.1:8100\"\n\n");
    let failed = secrets_service(&["render", "--once", "--config", &config]).run().await;
    assert!(failed.failed(2).contains("agent.hcl:4: the file ends before a }"), "{failed:?}");
}

#[tokio::test]
async fn the_agents_cache_on_disk_is_left_to_the_agent() {
    let vault = Vault::start().await;
    vault.store("myapp/config", &json!({ "db_host": "localhost" })).await;
    let folder = Folder::new();
    folder.put("role_id", &vault.role_id);
    folder.put("secret_id", &vault.secret_id);
    folder.put("a.j2", "{{ secret('secret/myapp/config').db_host }}");
    let name = |name: &str| folder.name(name);
    let rest = format!(
        "[vault]\naddr = {:?}\nrole_id_file = {:?}\nsecret_id_file = {:?}\ncache_file = {:?}\ncache_key = \"secret_id\"\n\
         [[template]]\nsource = {:?}\ndestination = {:?}\n",
        vault.server.url(),
        name("role_id"),
        name("secret_id"),
        name("cache"),
        name("a.j2"),
        name("out"),
    );
    for (listen, has_cache) in [("listen = [\"127.0.0.1:8100\"]\n", false), ("", true)] {
        folder.put("run.toml", &format!("{listen}{rest}"));
        let rendered = secrets_service(&["render", "--once", "--config", &name("run.toml")]).run().await;
        rendered.succeeded();
        assert_eq!(folder.path("cache").exists(), has_cache, "{listen} {rendered:?}");
    }
}
