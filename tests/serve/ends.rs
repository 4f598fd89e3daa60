//! How the program begins and ends.

#![cfg(unix)]

use std::process::Command;

use crate::http::connect;

use crate::server::{Server, endless};
use crate::support::{Folder, ended, scenes};

#[test]
fn a_port_in_use_is_a_message() {
    let folder = Folder::new();
    let server = Server::start(&folder, &[]);
    let port = server.port.to_string();
    let output = folder.foveate(&["serve", "--port", &port], &[]);
    ended(&output, 2, &["--port", &port, "another program"]);
    folder.write("file", "");
    let output = folder.foveate(&["serve", "--port", "0", "--output", "file/x"], &[]);
    ended(&output, 2, &["file is no folder"]);
    let output = folder.foveate(&["serve", "nowhere", "--port", "0"], &[]);
    ended(&output, 2, &["nowhere"]);
}

#[test]
fn a_signal_ends_it_in_order_also_in_the_middle_of_work() {
    for (signal, code) in [("INT", 130), ("TERM", 143)] {
        let folder = Folder::new();
        let mut server = Server::start(&folder, &[]);
        let scene = &scenes()[0];
        let picture = server.picture(scene);
        let job = server.ask(&endless(&picture, &scene.question));
        server.until(&job, |known| known.get("map").is_some());
        let _idle = connect(server.port);
        let script = format!("kill -{signal} {}", server.child.id());
        let sent = Command::new("sh").args(["-c", &script]).status().unwrap();
        assert!(sent.success());
        assert_eq!(server.child.wait().unwrap().code(), Some(code));
    }
}
