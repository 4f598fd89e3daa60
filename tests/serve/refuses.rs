//! Requests that are refused; the server answers others afterwards.

use std::io::Write;
use std::net::Shutdown;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::http::{connect, head, request};
use crate::server::{Server, endless, quick};
use crate::support::{Folder, scenes};

#[test]
fn only_the_page_itself_is_answered() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[]);
    let (port, path, host) = (server.port, server.path.as_str(), server.host.as_str());
    let get = |path: &str, headers: &[(&str, &str)]| request(port, "GET", path, headers, b"");
    let page = get(path, &[("Host", host)]);
    assert_eq!(page.status, 200);
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'") && !policy.contains("unsafe"),
        "{policy}"
    );
    for (name, value) in [
        ("cache-control", "no-store"),
        ("referrer-policy", "no-referrer"),
        ("x-content-type-options", "nosniff"),
    ] {
        assert_eq!(page.header(name), Some(value), "{name}");
    }
    let text = String::from_utf8(page.body).unwrap();
    assert!(text.starts_with("<!DOCTYPE html>"), "{text}");

    let other = format!("/{}/", "0".repeat(path.len() - 2));
    let local = format!("localhost:{port}");
    let own = format!("http://{host}");
    for (path, headers, status) in [
        ("/", vec![("Host", host)], 403),
        (path.trim_end_matches('/'), vec![("Host", host)], 403),
        (other.as_str(), vec![("Host", host)], 403),
        (path, vec![], 403),
        (path, vec![("Host", "127.0.0.1")], 403),
        (path, vec![("Host", "rebound.example")], 403),
        (path, vec![("Host", host), ("Host", "rebound.example")], 403),
        (
            path,
            vec![("Host", host), ("Origin", "http://other.example")],
            403,
        ),
        (path, vec![("Host", host), ("Origin", "null")], 403),
        (path, vec![("Host", host), ("Origin", own.as_str())], 200),
        (path, vec![("Host", local.as_str())], 200),
    ] {
        let answer = get(path, &headers);
        assert_eq!(answer.status, status, "{path} {headers:?}");
        if status == 403 {
            assert!(answer.error().starts_with("expected"), "{}", answer.error());
            assert!(!String::from_utf8_lossy(&answer.body).contains(server.path.trim_matches('/')));
        }
    }
    assert_eq!(server.request("GET", "nothing", b"").status, 404);
    assert_eq!(server.request("PUT", "pictures", b"").status, 405);
    assert_eq!(server.request("POST", "", b"").status, 405);
}

#[test]
fn a_bad_picture_is_a_message() {
    let folder = Folder::new();
    let server = Server::start(&folder, &["--max-pixels", "100000"]);
    for bytes in [&b""[..], b"no picture", b"\x89PNG\r\n\x1a\n\0\0"] {
        let refused = server.request("POST", "pictures", bytes);
        assert_eq!(refused.status, 422);
        assert!(
            refused.error().starts_with("picture: "),
            "{}",
            refused.error()
        );
    }
    // The picture has more pixels than are allowed: 100,000 x 1.
    let wide = [&b"P5 100001 1 255\n"[..], &vec![0; 100_001]].concat();
    let refused = server.request("POST", "pictures", &wide);
    assert_eq!(refused.status, 422, "{}", refused.error());
    let refused = server.request("POST", "pictures", &vec![0; 65 << 20]);
    assert_eq!(refused.status, 413);
    assert!(
        refused.error().contains("at most 64 MiB"),
        "{}",
        refused.error()
    );
    server.lives();
}

#[test]
fn a_bad_question_is_a_message() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[]);
    let scene = &scenes()[0];
    let picture = server.picture(scene);
    let question = &scene.question;
    let with =
        |settings: Value| json!({ "picture": picture, "question": question, "settings": settings });
    for (body, status, words) in [
        ("{".to_string(), 400, "JSON"),
        (json!({ "question": "?" }).to_string(), 400, "picture"),
        (" ".repeat((1 << 20) + 1), 413, "at most 1 MiB"),
        (
            quick(&json!(99), "?").to_string(),
            404,
            "picture that is still kept, found 99",
        ),
        (with(json!({ "stpes": 1 })).to_string(), 422, "found stpes"),
        (
            with(json!({ "steps": 0 })).to_string(),
            422,
            "steps: expected 1 to",
        ),
        (
            with(json!({ "lr": 1 })).to_string(),
            422,
            "a method that reads it",
        ),
        (
            with(json!({ "quality": "draft", "method": "rise" })).to_string(),
            422,
            "cannot be used with",
        ),
        (
            with(json!({ "device": "cpu" })).to_string(),
            422,
            "found device",
        ),
        (
            with(json!({ "max-pixels": 9 })).to_string(),
            422,
            "option of foveate serve",
        ),
        (
            with(json!({ "steps": [1] })).to_string(),
            400,
            "expected a string",
        ),
    ] {
        let refused = server.request("POST", "jobs", body.as_bytes());
        let shown = &body[..body.len().min(200)];
        assert_eq!(refused.status, status, "{shown}: {}", refused.error());
        assert!(
            refused.error().contains(words),
            "{shown}: {}",
            refused.error()
        );
    }
    for (method, path) in [
        ("GET", "jobs/7"),
        ("GET", "jobs/-1"),
        ("GET", "jobs/x/events"),
        ("DELETE", "jobs/7"),
        ("POST", "jobs/7/files"),
    ] {
        let refused = server.request(method, path, b"");
        assert_eq!(refused.status, 404, "{method} {path}");
        assert!(
            refused.error().contains("expected the number of a job"),
            "{}",
            refused.error()
        );
    }
    // What only the model can say ends the job.
    let end = server.end(&quick(&picture, "   "));
    assert!(end["error"].as_str().unwrap().contains("question"), "{end}");
    let mut beyond = quick(&picture, &scene.question);
    beyond["keys"] = json!([999]);
    let end = server.end(&beyond);
    assert!(
        end["error"].as_str().unwrap().contains("found 999"),
        "{end}"
    );
    // There is no --output, and no explanation in that job.
    let job = server.ask(&quick(&picture, &scene.question));
    server.until(&job, |known| known.get("end").is_some());
    let refused = server.request("POST", &format!("jobs/{job}/files"), b"");
    assert!(
        refused.error().contains("--output DIR"),
        "{}",
        refused.error()
    );
    let refused = server.request("POST", "jobs/1/files", b"");
    assert_eq!(refused.status, 409, "{}", refused.error());
    server.lives();
}

#[test]
fn connections_that_break_off_and_crowds_end_nothing() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[]);
    let scene = &scenes()[0];
    let picture = server.picture(scene);
    let path = |below: &str| format!("{}{below}", server.path);
    let host = [("Host", server.host.as_str())];
    let mut left = Vec::new();
    for text in [
        String::new(),
        "GET /".into(),
        "\0\u{1}\r\n\r\n".into(),
        head("POST", &path("pictures"), &host, 1000) + "half",
        head("POST", &path("jobs"), &host, 1000) + "{",
    ] {
        let mut stream = connect(server.port);
        stream.write_all(text.as_bytes()).unwrap();
        stream.shutdown(Shutdown::Both).unwrap();
        left.push(stream);
    }
    // A reader of events that leaves, while the work goes on.
    let job = server.ask(&endless(&picture, &scene.question));
    let mut reader = connect(server.port);
    let events = head("GET", &path(&format!("jobs/{job}/events")), &host, 0);
    reader.write_all(events.as_bytes()).unwrap();
    server.until(&job, |known| known.get("map").is_some());
    drop(reader);
    // More questions than may wait.
    let question = quick(&picture, &scene.question).to_string();
    let ask = |_| server.request("POST", "jobs", question.as_bytes());
    let many: Vec<_> = (0..12).map(ask).collect();
    let statuses: Vec<u16> = many.iter().map(|answer| answer.status).collect();
    assert_eq!(statuses, [[201; 8].as_slice(), &[429; 4]].concat());
    assert!(
        many[11].error().contains("at most 8 questions"),
        "{}",
        many[11].error()
    );
    // Cancelling ends at the next batch, and then the others have their turn.
    let since = Instant::now();
    assert_eq!(
        server.request("DELETE", &format!("jobs/{job}"), b"").status,
        200
    );
    let known = server.until(&job, |known| known.get("end").is_some());
    assert_eq!(known["end"], json!({ "cancelled": true }));
    assert!(
        since.elapsed() < Duration::from_secs(30),
        "{:?}",
        since.elapsed()
    );
    let last = many[7].json()["job"].to_string();
    let known = server.until(&last, |known| known.get("end").is_some());
    assert!(known["end"]["detail"]["map"].is_object(), "{known}");
    server.lives();
}
