//! A real Chromium, driven through chromedriver (W3C WebDriver, and Chrome's own commands where that has none).

use std::io::Write;
use std::path::PathBuf;
use std::process::Stdio;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use http::Method;
use nix::sys::signal::{Signal, kill, killpg};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Mutex, MutexGuard};

use crate::support::{Ask, HANG, eventually};

/// One at a time is enough for a small machine.
static TURN: Mutex<()> = Mutex::const_new(());

/// A browser with an empty profile, ended when dropped.
pub(crate) struct Browser {
    driver: Child,
    address: String,
    session: String,
    profile: TempDir,
    _turn: MutexGuard<'static, ()>,
}

impl Browser {
    /// `None`, and a word about it, if there is none on this machine; with `REQUIRE_BROWSER=1` that is a failure.
    pub(crate) async fn start() -> Option<Self> {
        let (Some(chromium), Some(driver)) =
            (program(&["chromium", "google-chrome"]), program(&["chromedriver"]))
        else {
            let what = "status page: NOT tried in a browser: chromium and chromedriver are not on PATH";
            assert!(std::env::var_os("REQUIRE_BROWSER").is_none_or(|value| value != "1"), "{what}");
            let _ = writeln!(std::io::stderr(), "{what} (Debian: chromium chromium-driver)");
            return None;
        };
        let turn = TURN.lock().await;
        let profile = tempfile::tempdir().unwrap();
        let mut command = Command::new(driver);
        command
            .arg("--port=0")
            .env("HOME", profile.path())
            .env("TMPDIR", profile.path())
            .process_group(0)
            .kill_on_drop(true);
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut driver = command.spawn().unwrap();
        let mut lines = BufReader::new(driver.stdout.take().unwrap()).lines();
        let port = async {
            loop {
                let line = lines.next_line().await.unwrap().expect("chromedriver ended");
                if let Some((_, port)) = line.split_once("successfully on port ") {
                    return port.trim_end_matches('.').to_owned();
                }
            }
        };
        let port = tokio::time::timeout(HANG, port).await.expect("chromedriver does not start");
        tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
        let address = format!("127.0.0.1:{port}");
        let mut browser = Self { driver, address, session: String::new(), profile, _turn: turn };
        let arguments = [
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--window-size=1360,1000",
        ];
        let mut arguments: Vec<_> = arguments.map(str::to_owned).into();
        arguments.push(format!("--user-data-dir={}", browser.profile.path().join("data").display()));
        let wanted = json!({
            "browserName": "chrome",
            "goog:chromeOptions": { "binary": chromium, "args": arguments },
            "goog:loggingPrefs": { "browser": "ALL" },
        });
        let made = browser.command("session", &json!({ "capabilities": { "alwaysMatch": wanted } })).await;
        browser.session.push_str(made["sessionId"].as_str().unwrap());
        Some(browser)
    }

    pub(crate) async fn open(&self, url: &str) {
        self.ask("url", json!({ "url": url })).await;
    }

    /// The value of an expression in the page.
    pub(crate) async fn value(&self, expression: &str) -> Value {
        self.run(&format!("return {expression};")).await
    }

    pub(crate) async fn text(&self, selector: &str) -> String {
        let text = self.value(&format!("document.querySelector({selector:?})?.textContent ?? ''")).await;
        text.as_str().unwrap().to_owned()
    }

    /// What a function body returns.
    pub(crate) async fn run(&self, script: &str) -> Value {
        self.ask("execute/sync", json!({ "script": script, "args": [] })).await
    }

    /// Waits until an expression in the page is true.
    pub(crate) async fn becomes(&self, expression: &str) {
        eventually(expression, async || self.value(expression).await == true).await;
    }

    /// One key, or a text, as from the keyboard. The names are those of WebDriver: `\u{E004}` is Tab.
    pub(crate) async fn keys(&self, keys: &str) {
        let strokes: Vec<_> = keys
            .chars()
            .flat_map(|key| ["keyDown", "keyUp"].map(|way| json!({ "type": way, "value": key })))
            .collect();
        let keyboard = json!({ "type": "key", "id": "keyboard", "actions": strokes });
        self.ask("actions", json!({ "actions": [keyboard] })).await;
    }

    pub(crate) async fn click(&self, selector: &str) {
        let found = self.ask("element", json!({ "using": "css selector", "value": selector })).await;
        let element = found.as_object().unwrap().values().next().unwrap().as_str().unwrap().to_owned();
        self.ask(&format!("element/{element}/click"), json!({})).await;
    }

    /// As if the system were set like this: `prefers-color-scheme`, `dark`.
    pub(crate) async fn prefer(&self, feature: &str, value: &str) {
        let features = json!([{ "name": feature, "value": value }]);
        self.chrome("Emulation.setEmulatedMedia", json!({ "features": features })).await;
    }

    /// A command of the Chrome DevTools Protocol.
    pub(crate) async fn chrome(&self, command: &str, parameters: Value) -> Value {
        self.ask("goog/cdp/execute", json!({ "cmd": command, "params": parameters })).await
    }

    /// A picture of the window, a PNG.
    pub(crate) async fn picture(&self) -> Vec<u8> {
        let taken = self.chrome("Page.captureScreenshot", json!({ "captureBeyondViewport": true })).await;
        BASE64_STANDARD.decode(taken["data"].as_str().unwrap()).unwrap()
    }

    /// What the browser complained of since the last time: blocked content, errors in scripts, failed requests.
    pub(crate) async fn complaints(&self) -> Vec<String> {
        let said = self.ask("se/log", json!({ "type": "browser" })).await;
        let severe = said.as_array().unwrap().iter().filter(|entry| entry["level"] == "SEVERE");
        severe.map(|entry| entry["message"].as_str().unwrap().to_owned()).collect()
    }

    /// Ends it in good order.
    pub(crate) async fn close(self) {
        let target = format!("/session/{}", self.session);
        Ask::new(Method::DELETE, &target).send_to(&self.address).await;
    }

    async fn ask(&self, what: &str, body: Value) -> Value {
        self.command(&format!("session/{}/{what}", self.session), &body).await
    }

    async fn command(&self, target: &str, body: &Value) -> Value {
        let answer = Ask::new(Method::POST, &format!("/{target}")).json(body).send_to(&self.address).await;
        assert_eq!(answer.status, 200, "{body}: {answer:?}");
        answer.json()["value"].clone()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let Some(driver) = self.driver.id().and_then(|id| i32::try_from(id).ok()) else { return };
        let _ = killpg(Pid::from_raw(driver), Signal::SIGKILL);
        // The browser, should it have left the group: its profile is in its command line.
        let profile = self.profile.path().to_string_lossy().into_owned();
        for process in std::fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok) {
            let Ok(id) = process.file_name().to_string_lossy().parse() else { continue };
            let line = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
            if String::from_utf8_lossy(&line).contains(&profile) {
                let _ = kill(Pid::from_raw(id), Signal::SIGKILL);
            }
        }
    }
}

fn program(names: &[&str]) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<_> = std::env::split_paths(&path).collect();
    let mut all = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
    all.find(|file| file.is_file())
}
