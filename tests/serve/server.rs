//! The program as a server.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::{self, Response};
use crate::support::{Folder, Scene};

pub struct Server {
    pub child: Child,
    /// The address of the page, as it was printed.
    pub address: String,
    pub port: u16,
    /// The path of the page: the token between slashes.
    pub path: String,
    /// The name that its own requests are for.
    pub host: String,
}

impl Server {
    /// Starts the program in a folder.
    pub fn start(folder: &Folder, more: &[&str]) -> Server {
        let usual = ["serve", "--port", "0", "--device", "cpu", "--threads", "2"];
        let mut command = folder.command(&[&usual[..], more].concat(), &[]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut line = String::new();
        let read = BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line);
        read.unwrap();
        let address = line.trim_end().to_string();
        let rest = address.strip_prefix("http://").unwrap_or_else(|| {
            let mut text = String::new();
            let _ = child.stderr.as_mut().unwrap().read_to_string(&mut text);
            panic!("expected an address, found {line:?}: {text}")
        });
        let (host, token) = rest.split_once('/').unwrap();
        let port = host.strip_prefix("127.0.0.1:").unwrap();
        Server {
            port: port.parse().unwrap(),
            path: format!("/{token}"),
            host: host.to_string(),
            address,
            child,
        }
    }

    /// Sends a request to a path below the token.
    pub fn request(&self, method: &str, path: &str, body: &[u8]) -> Response {
        let path = format!("{}{path}", self.path);
        http::request(self.port, method, &path, &[("Host", &self.host)], body)
    }

    /// Sends a picture and returns its number.
    pub fn picture(&self, scene: &Scene) -> Value {
        let bytes = std::fs::read(scene.path()).unwrap();
        let kept = self.request("POST", "pictures", &bytes);
        assert_eq!(kept.status, 201);
        kept.json()["picture"].clone()
    }

    /// Asks a question and returns the job's number.
    pub fn ask(&self, question: &Value) -> String {
        let asked = self.request("POST", "jobs", question.to_string().as_bytes());
        assert_eq!(asked.status, 201, "{}", asked.json());
        asked.json()["job"].to_string()
    }

    /// Returns what is known of a job once that fulfils a condition.
    pub fn until(&self, job: &str, holds: impl Fn(&Value) -> bool) -> Value {
        let since = Instant::now();
        loop {
            let known = self.request("GET", &format!("jobs/{job}"), b"").json();
            if holds(&known) {
                return known;
            }
            assert!(since.elapsed() < Duration::from_secs(120), "never: {known}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Asks a question and returns how it ended.
    pub fn end(&self, question: &Value) -> Value {
        let job = self.ask(question);
        self.until(&job, |known| known.get("end").is_some())["end"].clone()
    }

    /// Checks that it still answers questions.
    pub fn lives(&self) {
        let scene = &crate::support::scenes()[0];
        let picture = self.picture(scene);
        let end = self.end(&quick(&picture, &scene.question));
        assert!(end["detail"]["map"].is_object(), "{end}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A question with settings that take little time.
pub fn quick(picture: &Value, question: &str) -> Value {
    json!({
        "picture": picture, "question": question,
        "settings": { "mask-size": 8, "steps": 2, "no-curves": true },
    })
}

/// A question that takes longer than any test.
pub fn endless(picture: &Value, question: &str) -> Value {
    json!({
        "picture": picture, "question": question,
        "settings": { "method": "igos+", "iterations": 10_000, "no-curves": true },
    })
}
