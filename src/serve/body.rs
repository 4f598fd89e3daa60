//! Bodies of requests, within limits of size and time.

use std::time::Duration;

use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::Incoming;

use super::refusal::Refusal;

/// The longest time in which a body must arrive.
const PATIENCE: Duration = Duration::from_secs(120);
/// How much of a body is received at all. A browser reads an answer only when it has sent its
/// request, so what is beyond a limit is received and thrown away up to here.
const RECEIVED: u64 = 1 << 30;

/// Reads a body of at most `most` bytes; `what` names it in errors.
///
/// # Errors
/// 413 for a larger one, 408 for a late one, 400 for one that breaks off.
pub(super) async fn read(body: Incoming, most: usize, what: &str) -> Result<Vec<u8>, Refusal> {
    let read = tokio::time::timeout(PATIENCE, received(body, most, what)).await;
    read.unwrap_or_else(|_| {
        Err(Refusal::new(
            StatusCode::REQUEST_TIMEOUT,
            format!("expected the {what} within {} s", PATIENCE.as_secs()),
        ))
    })
}

async fn received(mut body: Incoming, most: usize, what: &str) -> Result<Vec<u8>, Refusal> {
    let (mut bytes, mut total) = (Vec::new(), 0);
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Refusal::bad(format!("{what}: {error}")))?;
        let Ok(data) = frame.into_data() else {
            continue;
        };
        total += data.len() as u64;
        if total > RECEIVED {
            break;
        }
        if total <= most as u64 {
            bytes.extend_from_slice(&data);
        } else {
            bytes = Vec::new();
        }
    }
    if total > most as u64 {
        return Err(Refusal::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("expected a {what} of at most {}, found more", size(most)),
        ));
    }
    Ok(bytes)
}

/// Formats a limit, a whole number of kibibytes.
fn size(bytes: usize) -> String {
    match bytes >> 20 {
        0 => format!("{} KiB", bytes >> 10),
        mebibytes => format!("{mebibytes} MiB"),
    }
}
