//! Responses, all with the headers that keep them on this machine.

use std::convert::Infallible;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use hyper::{Response, StatusCode};
use serde::Serialize;
use serde_json::json;

use super::page::Page;
use super::refusal::Refusal;

pub(super) type Body = UnsyncBoxBody<Bytes, Infallible>;
pub(super) type Answer = Response<Body>;

/// Headers of every response. A policy that allows nothing is replaced for the page alone.
const HEADERS: [(HeaderName, &str); 5] = [
    (CACHE_CONTROL, "no-store"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; frame-ancestors 'none'",
    ),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (
        HeaderName::from_static("cross-origin-resource-policy"),
        "same-origin",
    ),
];

/// Returns a response of that media type.
pub(super) fn of(status: StatusCode, kind: &'static str, body: Body) -> Answer {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

fn whole(bytes: Bytes) -> Body {
    Full::new(bytes).boxed_unsync()
}

/// Returns data as JSON.
pub(super) fn json(status: StatusCode, data: &impl Serialize) -> Answer {
    match serde_json::to_vec(data) {
        Ok(bytes) => of(status, "application/json", whole(bytes.into())),
        Err(error) => refused(&Refusal::failed(error.to_string())),
    }
}

/// Returns a refusal as `{"error": message}`.
pub(super) fn refused(refusal: &Refusal) -> Answer {
    let text = json!({ "error": refusal.message }).to_string();
    of(refusal.status, "application/json", whole(text.into()))
}

/// Returns the page, with the policy that allows its own script and style.
pub(super) fn page(page: &Page) -> Answer {
    let body = whole(page.html.clone());
    let mut response = of(StatusCode::OK, "text/html; charset=utf-8", body);
    let policy = page.policy.clone();
    response
        .headers_mut()
        .insert(CONTENT_SECURITY_POLICY, policy);
    response
}
