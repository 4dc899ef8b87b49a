//! The status page, in a real browser.

use std::path::Path;

use nix::sys::signal::Signal;
use serde_json::json;

use crate::browser::Browser;
use crate::leases::{CREDS, with_database};
use crate::support::{Agent, Ask, CONFIG, HANG, Vault, eventually};

const TAB: &str = "\u{E004}";
const ENTER: &str = "\u{E007}";
const RIGHT: &str = "\u{E014}";

/// A path that would run if it were taken for markup.
const MARKUP: &str = "myapp/<img src=x onerror=\"window.hacked=1\">";
const MARKUP_URL: &str = "/v1/secret/data/myapp/%3Cimg%20src=x%20onerror=%22window.hacked=1%22%3E";

#[tokio::test]
async fn the_page_runs_nothing_but_its_own() {
    let vault = Vault::start().await;
    let agent = vault.agent().start().await;
    let ask = || Ask::get("/ui").without("x-vault-request");
    let page = ask().send_to(&agent.admin).await;
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    let policy = page.header("content-security-policy");
    for part in [
        "default-src 'none'",
        "script-src 'sha256-",
        "style-src 'sha256-",
        "connect-src 'self'",
        "frame-ancestors 'none'",
        "trusted-types 'none'",
    ] {
        assert!(policy.contains(part), "{part}: {policy}");
    }
    assert!(!policy.contains("unsafe") && !policy.contains('*'), "{policy}");
    assert_eq!(page.header("x-content-type-options"), "nosniff");
    let text = String::from_utf8(page.body.to_vec()).unwrap();
    // A namespace is a name; nothing is fetched from there.
    let text = text.replace("http://www.w3.org/2000/svg", "");
    for foreign in
        ["http:", "https:", "src=", "@import", "url(", "innerHTML", "insertAdjacent", "eval(", "style=\""]
    {
        assert!(!text.contains(foreign), "{foreign}");
    }
    assert_eq!(ask().header("host", "evil.example").send_to(&agent.admin).await.status, 403);
    assert_eq!(agent.ask(Ask::get("/ui")).await.status, 404, "not on the clients' listener");
}

/// Several secrets, one of them at a hostile path, a lease, and one more reader.
async fn with_something_to_show(vault: &Vault) -> (Agent, String) {
    vault.store(MARKUP, &json!({ "a": "canary-value-2" })).await;
    vault.store("myapp/api-keys", &json!({ "stripe": "canary-value-3" })).await;
    let rules = r#"path "secret/data/*" { capabilities = ["read"] }"#;
    let token = vault.token("reporting", rules, &json!({})).await;
    let agent = vault.agent().start().await;
    for path in [CONFIG, CREDS, "/v1/secret/data/myapp/api-keys", MARKUP_URL] {
        agent.get(path).await.is(200, "MISS");
        for _ in 0..8 {
            agent.get(path).await.is(200, "HIT");
        }
    }
    agent.ask(Ask::get(CONFIG).token(&token)).await.is(200, "MISS");
    (agent, token)
}

/// Vault is sealed; one secret is served past its time, and the breaker opens.
async fn outage(vault: &Vault, agent: &Agent, token: &str) {
    vault.server.seal();
    let path = json!({ "path": "secret/data/myapp/config" });
    assert_eq!(agent.admin_post("/agent/v1/refresh", &path).await.status, 502);
    for _ in 0..3 {
        agent.ask(Ask::get(CONFIG).token(token)).await.is(200, "STALE");
    }
    for n in 0..8 {
        agent.get(&format!("/v1/secret/data/myapp/unknown-{n}")).await;
    }
}

#[tokio::test]
async fn what_is_shown_is_how_it_is() {
    let Some(browser) = Browser::start().await else { return };
    let (vault, _cluster) = with_database().await;
    let (agent, token) = with_something_to_show(&vault).await;
    browser.open(&format!("http://{}/ui", agent.admin)).await;
    browser.becomes("document.querySelector('#overall').textContent === 'All is well'").await;
    assert_eq!(browser.text("#vault").await, "Active");
    assert_eq!(browser.text("#breaker").await, "Closed");
    assert_eq!(browser.text("#login").await, "Logged in");
    assert_eq!(browser.text("#rate").await, "86.4 %", "32 of 37");
    assert_eq!(browser.text("#cached").await, "5 secrets");
    assert_eq!(browser.value("document.querySelectorAll('#secrets tbody tr').length").await, 5);
    assert_eq!(browser.value("document.querySelector('#no-stale').hidden").await, false);
    assert_eq!(browser.text("#leases tbody th").await, "database/creds/myapp");

    // Text stays text.
    assert!(browser.text("#secrets").await.contains("<img src=x onerror=\"window.hacked=1\">"));
    assert_eq!(browser.value("document.images.length").await, 0);
    assert_eq!(browser.value("window.hacked === undefined").await, true);
    assert!(!browser.value("document.documentElement.outerHTML").await.to_string().contains("canary"));

    // Countdowns run, and are read out to nobody.
    let left = browser.text("#leases td.time").await;
    browser.becomes(&format!("document.querySelector('#leases td.time').textContent !== {left:?}")).await;
    assert_eq!(browser.value("[...document.querySelectorAll('td.time')].every(c => !c.closest('[aria-live],[role=status],[role=alert],[role=timer]'))").await, true);
    assert_eq!(browser.text("#said").await, "", "nothing has changed");

    outage(&vault, &agent, &token).await;
    browser.becomes("document.querySelector('#vault').textContent === 'Sealed'").await;
    browser.becomes("/open/i.test(document.querySelector('#breaker').textContent)").await;
    browser.becomes("document.querySelector('#said').textContent.includes('the breaker of secret')").await;
    browser.becomes("document.querySelectorAll('#stale tbody tr').length === 1").await;
    let served = browser.text("#stale tbody").await;
    for part in ["secret/myapp/config", "a client’s token", "sealed"] {
        assert!(served.contains(part), "{part}: {served}");
    }
    browser.becomes("document.querySelectorAll('#secrets tbody .pill[data-sort=warn]').length === 1").await;
    assert_eq!(browser.value("document.title").await, "Degraded – secrets-service agent");
    looks_well(&browser).await;
    keep_pictures(&browser, &agent).await;
    has_its_parts_named(&browser).await;

    vault.server.unseal();
    eventually("back", async || agent.ask(Ask::get(CONFIG).token(&token)).await.cache() == "MISS").await;
    eventually("the breaker lets through", async || {
        agent.get("/v1/secret/data/myapp/none").await.status == 404
    })
    .await;
    browser.becomes("document.querySelector('#said').textContent === 'All is well.'").await;
    assert_eq!(browser.value("performance.getEntriesByType('resource').every(e => new URL(e.name).origin === location.origin)").await, true);
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.close().await;
}

/// The contrast of all text with what is behind it, in both schemes (WCAG 2.2, 1.4.3).
const CONTRAST: &str = r"
    const rgb = (text) => text.match(/[\d.]+/g).map(Number);
    const light = ([r, g, b]) => [r, g, b].map((c) => c / 255)
        .map((c) => (c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4))
        .reduce((sum, c, n) => sum + c * [0.2126, 0.7152, 0.0722][n], 0);
    const behind = (element) => {
        for (let at = element; at; at = at.parentElement) {
            const [r, g, b, a = 1] = rgb(getComputedStyle(at).backgroundColor);
            if (a === 1) return [r, g, b];
            if (a !== 0) throw new Error('half transparent: ' + at.tagName);
        }
        throw new Error('nothing behind');
    };
    const low = [];
    let seen = 0;
    for (const element of document.body.querySelectorAll('*')) {
        const own = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
        if (!own || !element.checkVisibility() || element.closest('.unseen,script,style,noscript')) continue;
        const [a, b] = [light(rgb(getComputedStyle(element).color)), light(behind(element))].sort((x, y) => y - x);
        const ratio = (a + 0.05) / (b + 0.05);
        seen += 1;
        if (ratio < 4.5) low.push(`${element.tagName} ${element.className} ${element.textContent.slice(0, 30)}: ${ratio}`);
    }
    return [seen, low];
";

/// Readable in both schemes, without motion where none is wanted, and at the width of a telephone.
async fn looks_well(browser: &Browser) {
    for scheme in ["light", "dark"] {
        browser.prefer("prefers-color-scheme", scheme).await;
        let measured = browser.run(CONTRAST).await;
        assert!(measured[0].as_u64().unwrap() > 60, "{measured}");
        assert_eq!(measured[1], json!([]), "{scheme}");
    }
    browser.prefer("prefers-reduced-motion", "reduce").await;
    let moving = "[...document.querySelectorAll('*')].filter(e => parseFloat(getComputedStyle(e).transitionDuration)).length";
    assert_eq!(browser.value(moving).await, 0);
    let size = |width: u32| json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": false });
    browser.chrome("Emulation.setDeviceMetricsOverride", size(360)).await;
    let wide = "document.documentElement.scrollWidth <= innerWidth";
    assert_eq!(browser.value(wide).await, true, "tables scroll on their own");
    browser.chrome("Emulation.clearDeviceMetricsOverride", json!({})).await;
}

/// For the guide, where they are wanted: `KEEP_PICTURES=docs`, a folder.
async fn keep_pictures(browser: &Browser, agent: &Agent) {
    let Some(folder) = std::env::var_os("KEEP_PICTURES") else { return };
    let hostile = json!({ "path": format!("secret/{MARKUP}") });
    agent.admin_post("/agent/v1/purge", &hostile).await.is(200, "BYPASS");
    browser.becomes("document.querySelectorAll('#secrets tbody tr').length === 4").await;
    for (scheme, name) in [("light", "status-page.png"), ("dark", "status-page-dark.png")] {
        browser.prefer("prefers-color-scheme", scheme).await;
        let height = browser.value("document.documentElement.scrollHeight").await;
        let size = json!({ "width": 1280, "height": height, "deviceScaleFactor": 1, "mobile": false });
        browser.chrome("Emulation.setDeviceMetricsOverride", size).await;
        std::fs::write(Path::new(&folder).join(name), browser.picture().await).unwrap();
        browser.chrome("Emulation.clearDeviceMetricsOverride", json!({})).await;
    }
}

/// What a screen reader is given.
async fn has_its_parts_named(browser: &Browser) {
    let tree = browser.chrome("Accessibility.getFullAXTree", json!({})).await;
    let nodes: Vec<_> =
        tree["nodes"].as_array().unwrap().iter().filter(|node| node["ignored"] == false).collect();
    let of = |role: &str| -> Vec<&str> {
        let found = nodes.iter().filter(|node| node["role"]["value"] == role);
        found.map(|node| node["name"]["value"].as_str().unwrap_or_default()).collect()
    };
    for landmark in ["banner", "main", "contentinfo", "navigation"] {
        assert_eq!(of(landmark).len(), 1, "{landmark}");
    }
    assert_eq!(of("status").len(), 1, "one place that is read out");
    assert_eq!(of("table").len(), 3);
    for role in
        ["table", "region", "button", "radio", "searchbox", "link", "columnheader", "rowheader", "heading"]
    {
        let names = of(role);
        assert!(!names.is_empty() && names.iter().all(|name| !name.is_empty()), "{role}: {names:?}");
    }
    let structure = "
        const levels = [...document.querySelectorAll('h1,h2,h3')].map((h) => +h.tagName[1]);
        const ids = [...document.querySelectorAll('[id]')].map((e) => e.id);
        return [
            document.documentElement.lang === 'en',
            levels.filter((l) => l === 1).length === 1 && levels.every((l, n) => n === 0 || l <= levels[n - 1] + 1),
            new Set(ids).size === ids.length,
            [...document.querySelectorAll('table')].every((t) => t.caption && [...t.tHead.rows[0].cells].every((c) => c.scope === 'col')),
            [...document.querySelectorAll('tbody tr')].every((r) => r.cells[0].scope === 'row'),
            !document.querySelector('[tabindex]:not([tabindex=\"0\"],[tabindex=\"-1\"])'),
        ];";
    assert_eq!(browser.run(structure).await, json!([true, true, true, true, true, true]));
}

#[tokio::test]
async fn all_of_it_can_be_used_from_the_keyboard() {
    let Some(browser) = Browser::start().await else { return };
    let (vault, _cluster) = with_database().await;
    let (agent, _) = with_something_to_show(&vault).await;
    browser.open(&format!("http://{}/ui", agent.admin)).await;
    browser.becomes("document.querySelectorAll('#secrets tbody tr').length === 5").await;
    let focused = "
        const at = document.activeElement;
        const shown = at.matches('input[type=radio]') ? at.nextElementSibling : at;
        const name = at.id || at.name || at.getAttribute('aria-labelledby') || at.textContent;
        return [name, at.matches(':focus-visible') && getComputedStyle(shown).outlineStyle !== 'none'];";
    let mut visited = Vec::new();
    for _ in 0..30 {
        browser.keys(TAB).await;
        let at = browser.run(focused).await;
        let name = at[0].as_str().unwrap().trim().to_owned();
        if at[0] == ""
            || visited.contains(&name)
            || browser.value("document.activeElement === document.body").await == true
        {
            break;
        }
        assert_eq!(at[1], true, "{name}: one sees where one is");
        visited.push(name);
    }
    let expected =
        ["Skip to the content", "pause", "h-leases", "show", "find", "h-secrets", "status", "cache"];
    assert_eq!(visited[..expected.len()], expected, "{visited:?}");

    browser.run("document.activeElement.blur(); document.querySelector('.skip').focus();").await;
    browser.keys(ENTER).await;
    assert_eq!(browser.value("document.activeElement.id").await, "main");
    browser.run("document.querySelector('#pause').focus();").await;
    browser.keys(" ").await;
    assert_eq!(browser.value("document.querySelector('#pause').getAttribute('aria-pressed')").await, "true");
    let stands = browser.text("#leases td.time").await;
    browser.run("document.querySelector('input[name=show]').focus();").await;
    browser.keys(&RIGHT.repeat(2)).await;
    assert_eq!(browser.value("document.querySelector('input[name=show]:checked').value").await, "stale");
    assert_eq!(browser.text("#no-secrets").await, "None fits.");
    assert_eq!(browser.value("document.querySelector('#no-secrets').hidden").await, false);
    browser.keys(&RIGHT.repeat(2)).await;
    browser.keys(TAB).await;
    browser.keys("API-k").await;
    assert_eq!(
        browser.value("[...document.querySelectorAll('#secrets tbody th')].map(c => c.textContent)").await,
        json!(["secret/myapp/api-keys"])
    );
    assert_eq!(browser.text("#shown").await, "1 of 5 secrets shown");
    assert_eq!(browser.text("#leases td.time").await, stands, "paused: nothing moves by itself");

    // A row keeps its element, and with it the reading position, when the page is brought up to date.
    browser.run("document.querySelector('#secrets tbody tr').dataset.mark = 'mine';").await;
    browser.click("#pause").await;
    let asked = "performance.getEntriesByType('resource').length";
    let before = browser.value(asked).await;
    browser.becomes(&format!("{asked} >= {before} + 4")).await;
    assert_eq!(browser.value("document.querySelector('#secrets tbody tr').dataset.mark").await, "mine");
    assert_eq!(browser.complaints().await, Vec::<String>::new());
    browser.close().await;
}

#[tokio::test]
async fn it_says_when_the_agent_is_gone_and_when_it_is_back() {
    let Some(browser) = Browser::start().await else { return };
    let vault = Vault::start().await;
    let mut agent = vault.agent().start().await;
    agent.get(CONFIG).await.is(200, "MISS");
    browser.open(&format!("http://{}/ui", agent.admin)).await;
    let shown = "document.querySelector('#overall').textContent";
    browser.becomes(&format!("{shown} === 'All is well'")).await;
    agent.send(Signal::SIGSTOP);
    browser.becomes(&format!("{shown} === 'Agent gone'")).await;
    assert_eq!(browser.value("document.querySelector('#away').checkVisibility()").await, true);
    assert_eq!(browser.text("#said").await, "The agent does not answer.");
    assert_eq!(browser.text("#secrets tbody th").await, "secret/myapp/config", "what it last said stays");
    agent.send(Signal::SIGCONT);
    browser.becomes(&format!("{shown} === 'All is well'")).await;
    assert_eq!(browser.value("document.querySelector('#away').hidden").await, true);
    tokio::time::timeout(HANG, agent.child.kill()).await.unwrap().unwrap();
    browser.becomes(&format!("{shown} === 'Agent gone'")).await;
    browser.close().await;
}
