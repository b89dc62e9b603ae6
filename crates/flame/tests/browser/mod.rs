//! Browser: a real Chromium without a window, driven by its DevTools protocol.
//!
//! ```text
//! chromium --remote-debugging-port=0 ── "DevTools listening on ws://..." ── one tab ── call(method, parameters) -> result
//! ```
//! Clicks and keys are input events of the browser, not calls into the page.

use std::io::{BufRead, BufReader};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use base64::Engine;
use serde_json::{Value, json};
use tungstenite::stream::MaybeTlsStream;
use tungstenite::{Message, WebSocket};

/// Far above what anything takes on a slow machine.
const PATIENCE: Duration = Duration::from_secs(120);
const NAMES: [&str; 4] = [
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
];

/// A browser with one tab.
pub(crate) struct Browser {
    process: Child,
    socket: WebSocket<MaybeTlsStream<TcpStream>>,
    session: String,
    number: u64,
    _folder: tempfile::TempDir,
}

impl Browser {
    /// Starts it; `None` where there is none, which is said loudly.
    pub(crate) fn start() -> Option<Self> {
        let folder = tempfile::tempdir().expect("a folder");
        let mut words = vec![
            "--headless=new".to_owned(),
            "--disable-gpu".to_owned(),
            "--disable-dev-shm-usage".to_owned(),
            "--no-first-run".to_owned(),
            "--remote-debugging-port=0".to_owned(),
            format!("--user-data-dir={}", folder.path().display()),
            "about:blank".to_owned(),
        ];
        if is_root() {
            words.insert(0, "--no-sandbox".to_owned());
        }
        let started = NAMES.iter().find_map(|name| {
            let mut command = Command::new(name);
            command
                .args(&words)
                .stdout(Stdio::null())
                .stderr(Stdio::piped());
            command.spawn().ok()
        });
        let Some(mut process) = started else {
            println!(
                "NOT TESTED: there is no Chromium here (Debian: apt-get install chromium); the page was not opened"
            );
            return None;
        };
        let lines = BufReader::new(process.stderr.take().expect("piped")).lines();
        let address = lines
            .map_while(Result::ok)
            .find_map(|line| {
                line.strip_prefix("DevTools listening on ")
                    .map(str::to_owned)
            })
            .expect("Chromium tells where it listens");
        let (socket, _) = tungstenite::connect(address).expect("it answers");
        let mut browser = Self {
            process,
            socket,
            session: String::new(),
            number: 0,
            _folder: folder,
        };
        let tab = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": tab["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", attach);
        browser.session = session["sessionId"].as_str().expect("a session").to_owned();
        browser.call("Page.enable", json!({}));
        Some(browser)
    }

    /// Calls a method of the protocol.
    pub(crate) fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let mut message = json!({ "id": self.number, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = self.session.clone().into();
        }
        self.socket
            .send(Message::text(message.to_string()))
            .expect("sent");
        loop {
            let Message::Text(text) = self.socket.read().expect("answered") else {
                continue;
            };
            let answer: Value = serde_json::from_str(text.as_str()).expect("JSON");
            if answer["id"] == self.number {
                assert!(answer["error"].is_null(), "{method}: {answer}");
                return answer["result"].clone();
            }
        }
    }

    /// Opens a file in a window of that size.
    pub(crate) fn open(&mut self, file: &Path, width: u32, height: u32) {
        self.resize(width, height);
        let url = format!("file://{}", file.display());
        self.call("Page.navigate", json!({ "url": url }));
        self.until(
            "the page",
            "document.readyState === 'complete' && !!document.querySelector('.frame')",
        );
    }

    pub(crate) fn resize(&mut self, width: u32, height: u32) {
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false }),
        );
    }

    /// The value of an expression in the page.
    pub(crate) fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "returnByValue": true });
        let answer = self.call("Runtime.evaluate", parameters);
        assert!(
            answer["exceptionDetails"].is_null(),
            "{expression}: {answer}"
        );
        answer["result"]["value"].clone()
    }

    pub(crate) fn text(&mut self, selector: &str) -> String {
        let value = self.value(&format!("document.querySelector({selector:?}).textContent"));
        value.as_str().expect("text").to_owned()
    }

    /// Waits until the expression is true.
    pub(crate) fn until(&mut self, what: &str, expression: &str) {
        let begun = Instant::now();
        while self.value(expression) != true {
            assert!(
                begun.elapsed() < PATIENCE,
                "{what} does not come: {expression}"
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Clicks into the middle of what the expression gives.
    pub(crate) fn click(&mut self, element: &str) {
        let place = self.value(&format!(
            "(() => {{ const at = ({element}).getBoundingClientRect();
               return [at.x + at.width / 2, at.y + at.height / 2]; }})()"
        ));
        for kind in ["mouseMoved", "mousePressed", "mouseReleased"] {
            self.call(
                "Input.dispatchMouseEvent",
                json!({ "type": kind, "x": place[0], "y": place[1], "button": "left", "clickCount": 1 }),
            );
        }
    }

    /// Types text, as if by an input method.
    pub(crate) fn type_text(&mut self, text: &str) {
        self.call("Input.insertText", json!({ "text": text }));
    }

    pub(crate) fn press(&mut self, key: &str) {
        for kind in ["keyDown", "keyUp"] {
            self.call(
                "Input.dispatchKeyEvent",
                json!({ "type": kind, "key": key }),
            );
        }
    }

    /// Writes a picture of what is shown to `file`.
    pub(crate) fn picture(&mut self, file: &Path) {
        let answer = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let text = answer["data"].as_str().expect("a picture");
        let bytes = base64::engine::general_purpose::STANDARD.decode(text);
        std::fs::write(file, bytes.expect("base64")).expect("writable");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn is_root() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    status.lines().any(|line| line.starts_with("Uid:\t0\t"))
}
