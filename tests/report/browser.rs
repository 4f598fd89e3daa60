//! Headless Chromium, controlled by its DevTools protocol through pipes: it reads commands from
//! descriptor 3 and writes to descriptor 4, in JSON with a zero byte after each message.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

/// The environment variable with the path of Chromium, or `require` to fail without one.
const VARIABLE: &str = "FOVEATE_CHROMIUM";
/// The longest time for any operation.
const PATIENCE: Duration = Duration::from_secs(120);

/// A browser with one page.
pub struct Browser {
    process: Child,
    commands: File,
    messages: Receiver<Value>,
    session: Option<String>,
    last: u64,
    /// What the addresses of its own requests begin with.
    home: String,
    /// Errors and warnings on the page's console, and its uncaught exceptions.
    pub complaints: Vec<String>,
    _profile: TempDir,
}

/// Returns the browser's path; prints a note and returns `None` if there is none.
fn chromium() -> Option<PathBuf> {
    let asked = std::env::var(VARIABLE).unwrap_or_default();
    if !asked.is_empty() && asked != "require" {
        return Some(PathBuf::from(asked));
    }
    let folders = std::env::var_os("PATH").unwrap_or_default();
    let names = ["chromium", "chromium-browser", "google-chrome"];
    let found = std::env::split_paths(&folders)
        .flat_map(|folder| names.map(|name| folder.join(name)))
        .find(|path| path.is_file());
    if found.is_none() {
        assert!(
            asked.is_empty(),
            "{VARIABLE}=require, but there is no {}",
            names.join(", ")
        );
        // Bypasses the capture of the tests' output.
        let note = format!(
            "NOT TESTED: no {}; {VARIABLE}=FILE names one\n",
            names.join(", ")
        );
        std::io::stderr().write_all(note.as_bytes()).unwrap();
    }
    found
}

impl Browser {
    /// Starts a browser; returns `None` if the machine has none.
    pub fn start() -> Option<Browser> {
        let program = chromium()?;
        let profile = TempDir::new().unwrap();
        let pipes = ["commands", "messages"].map(|name| profile.path().join(name));
        let made = Command::new("mkfifo").args(&pipes).status().unwrap();
        assert!(made.success(), "mkfifo: {made}");
        let mut command = Command::new("sh");
        command
            .args(["-c", "exec \"$0\" \"$@\" 3<\"$COMMANDS\" 4>\"$MESSAGES\""])
            .env("COMMANDS", &pipes[0])
            .env("MESSAGES", &pipes[1])
            .arg(program)
            .args([
                "--headless",
                "--no-sandbox",
                "--disable-gpu",
                "--disable-quic",
                "--no-first-run",
            ])
            .args([
                "--disable-background-networking",
                "--disable-component-update",
                "--disable-sync",
            ])
            .args(["--disable-dev-shm-usage", "--remote-debugging-pipe"])
            .arg(format!("--user-data-dir={}", profile.path().display()))
            .arg("about:blank")
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let process = command.spawn().unwrap();
        // In the order in which the shell opens the other ends.
        let commands = File::options().write(true).open(&pipes[0]).unwrap();
        let messages = listen(File::open(&pipes[1]).unwrap());
        let mut browser = Browser {
            process,
            commands,
            messages,
            session: None,
            last: 0,
            home: "file:///".into(),
            complaints: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let attached = browser.call("Target.attachToTarget", attach);
        browser.session = Some(attached["sessionId"].as_str().unwrap().to_string());
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser.size(1280, 900);
        Some(browser)
    }

    /// Calls a command of the protocol and returns its result.
    pub fn call(&mut self, method: &str, params: Value) -> Value {
        self.last += 1;
        let mut command = json!({ "id": self.last, "method": method, "params": params });
        if let Some(session) = &self.session {
            command["sessionId"] = json!(session);
        }
        write!(self.commands, "{command}\0").unwrap();
        loop {
            let message = self.messages.recv_timeout(PATIENCE);
            let message = message.unwrap_or_else(|e| panic!("{method}: no answer: {e}"));
            if message["id"] == self.last {
                assert!(message.get("error").is_none(), "{method}: {message}");
                return message["result"].clone();
            }
            self.hear(&message);
        }
    }

    fn hear(&mut self, event: &Value) {
        let params = &event["params"];
        let bad = match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Runtime.consoleAPICalled") => params["type"] != "log",
            Some("Log.entryAdded") => params["entry"]["level"] != "info",
            // The page may request only its own file or server; pictures are inside it.
            Some("Network.requestWillBeSent") => {
                let url = params["request"]["url"].as_str().unwrap_or_default();
                !url.starts_with(&self.home)
                    && !url.starts_with("data:")
                    && !url.starts_with("about:")
            }
            _ => false,
        };
        if bad {
            self.complaints.push(event.to_string());
        }
    }

    /// Returns the value of an expression in the page.
    pub fn value(&mut self, expression: &str) -> Value {
        let params =
            json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let result = self.call("Runtime.evaluate", params);
        assert!(
            result.get("exceptionDetails").is_none(),
            "{expression}: {result}"
        );
        result["result"]["value"].clone()
    }

    /// Opens a file and returns the time until its script had run.
    pub fn open(&mut self, path: &Path, hash: &str) -> Duration {
        let url = format!("file://{}{hash}", path.display());
        self.visit(&url, "file:///")
    }

    /// Opens an address; the page may request what begins with `home`. Returns the time until its
    /// script had run.
    pub fn visit(&mut self, url: &str, home: &str) -> Duration {
        self.home = home.to_string();
        let start = Instant::now();
        let gone = self.call("Page.navigate", json!({ "url": url }));
        assert!(gone.get("errorText").is_none(), "{gone}");
        let there = json!(home);
        self.until(&format!(
            "document.readyState === 'complete' && location.href.startsWith({there})"
        ));
        start.elapsed()
    }

    /// Waits until an expression holds.
    pub fn until(&mut self, expression: &str) {
        let start = Instant::now();
        while self.value(expression) != json!(true) {
            assert!(
                start.elapsed() < PATIENCE,
                "never: {expression}; {:?}",
                self.complaints
            );
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Presses a key, such as `j` or `Escape`.
    pub fn press(&mut self, key: &str) {
        let code = match key {
            "Escape" => 27,
            "ArrowLeft" => 37,
            "ArrowRight" => 39,
            "Tab" => 9,
            "Enter" => 13,
            _ => key.to_ascii_uppercase().as_bytes()[0],
        };
        let text = if key.len() == 1 { key } else { "" };
        let event =
            |kind| json!({ "type": kind, "key": key, "text": text, "windowsVirtualKeyCode": code });
        self.call("Input.dispatchKeyEvent", event("keyDown"));
        let up = json!({ "type": "keyUp", "key": key, "windowsVirtualKeyCode": code });
        self.call("Input.dispatchKeyEvent", up);
    }

    /// Sets a field like a reader who then leaves it.
    pub fn set(&mut self, id: &str, value: &str) {
        let (id, value) = (json!(id), json!(value));
        self.value(&format!(
            "{{ const field = document.getElementById({id}); field.value = {value};
               for (const kind of ['input', 'change']) \
               field.dispatchEvent(new Event(kind, {{ bubbles: true }})); }}"
        ));
    }

    /// Moves the first slider on the page, 0 to 100.
    pub fn set_range(&mut self, value: &str) {
        self.value(&format!(
            "{{ const slider = document.querySelector('input[type=range]'); slider.value = {};
               slider.dispatchEvent(new Event('input', {{ bubbles: true }})); }}",
            json!(value)
        ));
    }

    /// Sets the window's size in pixels.
    pub fn size(&mut self, width: u32, height: u32) {
        let size =
            json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        self.call("Emulation.setDeviceMetricsOverride", size);
    }

    /// Selects light or dark colours.
    pub fn colours(&mut self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", features);
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Receives the browser's messages.
fn listen(pipe: File) -> Receiver<Value> {
    let (sender, messages) = channel();
    std::thread::spawn(move || {
        for bytes in BufReader::new(pipe).split(0) {
            let Ok(bytes) = bytes else { break };
            let message = serde_json::from_slice(&bytes).unwrap();
            if sender.send(message).is_err() {
                break;
            }
        }
    });
    messages
}
