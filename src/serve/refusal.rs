//! Requests that are not answered as asked.

use hyper::StatusCode;

/// The status of a refused request, and what was expected and found.
#[derive(Debug)]
pub(super) struct Refusal {
    pub status: StatusCode,
    pub message: String,
}

impl Refusal {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Refusal {
        Refusal {
            status,
            message: message.into(),
        }
    }

    /// The request is wrong: 400.
    pub fn bad(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::BAD_REQUEST, message)
    }

    /// The request is right, what is in it is not: 422.
    pub fn unusable(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::UNPROCESSABLE_ENTITY, message)
    }

    /// There is nothing of that number: 404.
    pub fn unknown(what: &str, id: &str) -> Refusal {
        Refusal::new(
            StatusCode::NOT_FOUND,
            format!("expected the number of a {what} that is still kept, found {id}"),
        )
    }

    /// The server cannot do it: 500.
    pub fn failed(message: impl Into<String>) -> Refusal {
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }
}
