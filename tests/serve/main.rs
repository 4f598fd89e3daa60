//! Tests of `foveate serve`: what it answers over HTTP, and its page in a browser.

#[path = "../report/browser.rs"]
#[expect(dead_code, reason = "the tests of `report` use all of it")]
mod browser;
mod ends;
mod explains;
mod http;
mod page;
#[path = "../program/mod.rs"]
mod program;
mod refuses;
mod server;
#[path = "../run/support.rs"]
#[expect(dead_code, reason = "the tests of `run` use all of it")]
mod support;
