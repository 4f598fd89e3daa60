//! What is at which path.

use std::convert::Infallible;
use std::sync::Arc;

use hyper::body::Incoming;
use hyper::header::{HOST, ORIGIN};
use hyper::{Method, Request, StatusCode};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

use super::address::Address;
use super::body;
use super::events::events;
use super::job::Job;
use super::jobs::Jobs;
use super::page::Page;
use super::pictures::Pictures;
use super::program::Program;
use super::question::Question;
use super::refusal::Refusal;
use super::response::{self, Answer};
use crate::picture::Picture;
use crate::report::html;

/// The largest file of a picture.
pub(super) const PICTURE_BYTES: usize = 64 << 20;
/// The largest question.
const QUESTION_BYTES: usize = 1 << 20;
/// The longest side of a picture on the page, in pixels.
const SHOWN: u32 = 800;

/// What all requests share.
pub(super) struct Shared {
    pub address: Address,
    pub program: Arc<dyn Program>,
    pub page: Page,
    pub jobs: Arc<Jobs>,
    pub pictures: Pictures,
    /// Pictures that are received and decoded at the same time.
    pub uploads: Semaphore,
}

/// Answers a request.
pub(super) async fn answer(
    shared: Arc<Shared>,
    request: Request<Incoming>,
) -> Result<Answer, Infallible> {
    let answered = routed(&shared, request).await;
    Ok(answered.unwrap_or_else(|refusal| response::refused(&refusal)))
}

async fn routed(shared: &Arc<Shared>, request: Request<Incoming>) -> Result<Answer, Refusal> {
    allowed(&shared.address, &request)?;
    let (head, body) = request.into_parts();
    let Some(path) = shared.address.below(head.uri.path()) else {
        return Err(Refusal::new(
            StatusCode::FORBIDDEN,
            "expected the address that foveate serve has printed, with its token",
        ));
    };
    let parts: Vec<&str> = path.split('/').collect();
    match (&head.method, parts.as_slice()) {
        (&Method::GET, [""]) => Ok(response::page(&shared.page)),
        (&Method::POST, ["pictures"]) => picture(shared, body).await,
        (&Method::POST, ["jobs"]) => ask(shared, body).await,
        (&Method::GET, ["jobs", id]) => {
            let job = job(shared, id)?;
            Ok(response::json(StatusCode::OK, &job.all()))
        }
        (&Method::DELETE, ["jobs", id]) => {
            job(shared, id)?.cancel();
            Ok(response::json(StatusCode::OK, &json!({})))
        }
        (&Method::GET, ["jobs", id, "events"]) => Ok(events(job(shared, id)?)),
        (&Method::POST, ["jobs", id, "files"]) => save(shared, job(shared, id)?).await,
        (_, [""] | ["pictures" | "jobs"] | ["jobs", _] | ["jobs", _, "events" | "files"]) => {
            Err(Refusal::new(
                StatusCode::METHOD_NOT_ALLOWED,
                format!("expected another method than {} here", head.method),
            ))
        }
        _ => Err(Refusal::new(StatusCode::NOT_FOUND, "there is nothing here")),
    }
}

/// Checks that a request comes from this page, or from no page: another site must neither lead its
/// name here nor send requests here.
fn allowed(address: &Address, request: &Request<Incoming>) -> Result<(), Refusal> {
    let all = |name, own: fn(&Address, &[u8]) -> bool| {
        let mut values = request.headers().get_all(name).iter();
        values.all(|value| own(address, value.as_bytes()))
    };
    let forbidden = |message| Err(Refusal::new(StatusCode::FORBIDDEN, message));
    if !request.headers().contains_key(HOST) || !all(HOST, Address::is_host) {
        return forbidden(
            "expected the address that foveate serve has printed, found another host",
        );
    }
    if !all(ORIGIN, Address::is_origin) {
        return forbidden("expected a request of this page, found one of another site");
    }
    Ok(())
}

/// Receives, decodes and keeps a picture, and returns its number, its size, and the reduced picture
/// as a `data:` URL.
async fn picture(shared: &Arc<Shared>, body: Incoming) -> Result<Answer, Refusal> {
    let permit = shared.uploads.acquire().await;
    let bytes = body::read(body, PICTURE_BYTES, "picture").await?;
    let limits = shared.program.limits();
    let decoded = spawn_blocking(move || {
        let picture = Picture::decode_within(&bytes, "picture", &limits);
        let picture = picture.map_err(|error| Refusal::unusable(error.to_string()))?;
        let (width, height) = (picture.width(), picture.height());
        let address = html::address(picture.rgb(), width, height, SHOWN);
        let address = address.map_err(|error| Refusal::failed(error.to_string()))?;
        Ok::<_, Refusal>((Arc::new(picture), address))
    });
    let (picture, address) = decoded.await.map_err(unfinished)??;
    drop(permit);
    let (width, height) = (picture.width(), picture.height());
    let id = shared.pictures.keep(picture);
    let kept = json!({ "picture": id, "width": width, "height": height, "address": address });
    Ok(response::json(StatusCode::CREATED, &kept))
}

/// Queues a question and returns its number.
async fn ask(shared: &Shared, body: Incoming) -> Result<Answer, Refusal> {
    let bytes = body::read(body, QUESTION_BYTES, "question").await?;
    let question = Question::read(&bytes)?;
    let settings = shared.program.settings(&question.options()?);
    let settings = settings.map_err(Refusal::unusable)?;
    let picture = shared.pictures.get(question.picture);
    let picture =
        picture.ok_or_else(|| Refusal::unknown("picture", &question.picture.to_string()))?;
    let job = shared.jobs.queue(question, settings, picture)?;
    Ok(response::json(
        StatusCode::CREATED,
        &json!({ "job": job.id }),
    ))
}

/// Returns the job of that number.
fn job(shared: &Shared, id: &str) -> Result<Arc<Job>, Refusal> {
    let job = id.parse().ok().and_then(|id| shared.jobs.get(id));
    job.ok_or_else(|| Refusal::unknown("job", id))
}

/// Writes the files of an explanation.
async fn save(shared: &Arc<Shared>, job: Arc<Job>) -> Result<Answer, Refusal> {
    let id = job.question.picture;
    let picture = shared.pictures.get(id);
    let picture = picture.ok_or_else(|| Refusal::unknown("picture", &id.to_string()))?;
    let program = shared.program.clone();
    let saved = spawn_blocking(move || {
        let Some(explanation) = job.explanation.get() else {
            let status = StatusCode::CONFLICT;
            let message = "expected a job with an explanation, found one that has none";
            return Err(Refusal::new(status, message));
        };
        let saved = program.save(&job.request(&picture), explanation);
        saved.map_err(Refusal::failed)
    });
    let folder = saved.await.map_err(unfinished)??;
    let folder = folder.to_string_lossy();
    Ok(response::json(
        StatusCode::CREATED,
        &json!({ "folder": folder }),
    ))
}

/// The refusal for work that was ended by a mistake in the program.
fn unfinished(error: tokio::task::JoinError) -> Refusal {
    Refusal::failed(format!("the work was not finished: {error}"))
}
