use std::path::PathBuf;

use nix::sys::signal::Signal;

use super::super::spec::Syntax;
use super::*;

#[test]
fn everything_that_can_be_said() {
    let text = r#"
        listen = ["127.0.0.1:8100"]

        [run]
        command = ["./server", "--port", "80"]
        db_url = "DATABASE_URL"
        role = "reader"
        on_change = "signal:SIGHUP"
        grace_seconds = 30
        settle_seconds = 0
        settle_at_most_seconds = 5
        keep_vault_login = true

        [run.env]
        STRIPE_KEY = "secret/myapp/api-keys#stripe"

        [[template]]
        source = "app.conf.j2"
        destination = "/run/app/app.conf"
        mode = "0640"
        owner = "root"
        group = 0
        "#
    .replace("group = 0", "group = \"0\"\nsyntax = \"consul\"\non_change = \"restart\"");
    let sections = RunSections::parse("f.toml", &text).unwrap();
    assert_eq!(sections.command, ["./server", "--port", "80"]);
    assert_eq!(sections.env["STRIPE_KEY"], "secret/myapp/api-keys#stripe");
    assert_eq!(sections.on_change, Some(OnChange::Signal(Signal::SIGHUP)));
    assert_eq!(sections.grace, Some(Duration::from_secs(30)));
    assert_eq!(sections.settle, Some(Duration::ZERO));
    assert_eq!(sections.keep_vault_login, Some(true));
    let template = &sections.templates[0];
    assert_eq!(template.destination, PathBuf::from("/run/app/app.conf"));
    assert_eq!((template.mode, template.syntax), (0o640, Syntax::Consul));
    assert_eq!(template.on_change, Some(OnChange::Restart));
    assert!(template.owner.is_some() && template.group.is_some());
}

#[test]
fn row27_every_mistake_is_told_with_its_line() {
    let text = "[run]\n\
        grace_secs = 3\n\
        grace_seconds = \"canary\"\n\
        on_change = \"reload\"\n\
        env = { A = 1 }\n\
        [[template]]\n\
        source = \"a\"\n\
        [[template]]\n\
        source = \"a\"\n\
        destination = \"b\"\n\
        mode = \"0666\"\n\
        owner = \"no such user\"\n\
        [[templates]]\n\
        x = 1\n";
    let problems = RunSections::parse("f.toml", text).unwrap_err();
    let mut places: Vec<_> = problems.iter().map(|problem| problem.place.as_str()).collect();
    places.sort_by_key(|place| place.rsplit(':').next().and_then(|line| line.parse::<usize>().ok()));
    let expected: Vec<_> = [2, 3, 4, 5, 6, 11, 12, 13].iter().map(|line| format!("f.toml:{line}")).collect();
    assert_eq!(places, expected, "{problems:?}");
    assert!(!format!("{problems:?}").contains("canary"));
    assert_eq!(RunSections::parse("f.toml", "[run\n").unwrap_err()[0].place, "f.toml:1");
}

#[test]
fn templates_are_checked_without_a_request() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("good.j2"), "{{ secret('a').b }}").unwrap();
    std::fs::write(path("bad.j2"), "\n{% if %}").unwrap();
    std::fs::write(path("typo.j2"), "a\n\n{{ secrte('a').b }}").unwrap();
    std::fs::write(path("bad.ctmpl"), "\n{{ with secrte \"a\" }}{{ end }}").unwrap();
    let config = ["good.j2", "bad.j2", "typo.j2", "bad.ctmpl", "none.j2"].map(|name| {
        format!("[[template]]\nsource = {:?}\ndestination = {:?}\n", path(name), path(&format!("{name}.out")))
    });
    std::fs::write(path("f.toml"), config.concat()).unwrap();
    let Checked { problems, templates, says_more } = check(std::path::Path::new(&path("f.toml")));
    assert_eq!((templates, says_more), (1, false));
    let places: Vec<_> = problems.iter().map(|problem| problem.place.clone()).collect();
    let expected = [path("bad.j2:2"), path("typo.j2:3"), path("bad.ctmpl:2"), path("none.j2")];
    assert_eq!(places, expected, "{problems:?}");
    assert!(!std::path::Path::new(&path("good.j2.out")).exists());
}

#[test]
fn a_template_may_stand_in_the_file_itself() {
    let parse = |text: &str| RunSections::parse("f.toml", text);
    let text = "[[template]]\ncontents = '''\na\n{{ b }}'''\ndestination = \"/run/b\"\nsyntax = \"consul\"\n";
    let sections = parse(text).unwrap();
    let template = &sections.templates[0];
    assert_eq!(template.read().as_deref(), Ok("a\n{{ b }}"));
    assert_eq!((template.name().as_str(), template.syntax), ("the contents for /run/b", Syntax::Consul));
    for wrong in
        ["source = \"a\"\ncontents = \"b\"\ndestination = \"c\"", "contents = \"b\"", "destination = \"c\""]
    {
        let problems = parse(&format!("[[template]]\n{wrong}\n")).unwrap_err();
        assert!(problems[0].what.contains("needs a source (or contents) and a destination"), "{problems:?}");
    }
}
