//! Server-sent events: what becomes known of a job.

use std::sync::Arc;
use std::time::Duration;

use http_body_util::BodyExt;
use http_body_util::channel::{Channel, Sender};
use hyper::StatusCode;
use hyper::body::Bytes;

use super::job::{Job, Part};
use super::response::{self, Answer};

/// Events that wait for a reader. A slow one gets the last value of each part only.
const BUFFERED: usize = 4;
/// After so long without an event a comment is sent, by which a reader that left is noticed.
const QUIET: Duration = Duration::from_secs(15);

/// Returns the events of a job: all that is known, then all that becomes known, until its end.
pub(super) fn events(job: Arc<Job>) -> Answer {
    let (sender, body) = Channel::<Bytes>::new(BUFFERED);
    tokio::spawn(send(job, sender));
    response::of(StatusCode::OK, "text/event-stream", body.boxed_unsync())
}

async fn send(job: Arc<Job>, mut reader: Sender<Bytes>) {
    let mut versions = job.versions();
    let mut seen = 0;
    loop {
        versions.mark_unchanged();
        for known in job.since(seen) {
            let event = format!("event: {}\ndata: {}\n\n", known.part.name(), known.value);
            if reader.send_data(event.into()).await.is_err() || known.part == Part::End {
                return;
            }
            seen = known.version;
        }
        if let Ok(changed) = tokio::time::timeout(QUIET, versions.changed()).await {
            if changed.is_err() {
                return;
            }
        } else if reader
            .send_data(Bytes::from_static(b":\n\n"))
            .await
            .is_err()
        {
            return;
        }
    }
}
