//! The loop that accepts connections.

use std::io;
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::runtime::Builder;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::address::Address;
use super::jobs::Jobs;
use super::page::Page;
use super::pictures::Pictures;
use super::program::Program;
use super::routes::{Shared, answer};
use super::worker::work;

/// The most connections at a time; others wait to be accepted.
const CONNECTIONS: usize = 64;
/// The most pictures that are received and decoded at a time.
const UPLOADS: usize = 2;
/// The longest time in which the head of a request must arrive.
const HEAD: Duration = Duration::from_secs(10);
/// The most bytes of a head.
const HEAD_BYTES: usize = 64 << 10;
/// How often the loop looks whether the server is to end.
const TICK: Duration = Duration::from_millis(100);

/// Serves the page of `program` at `address` until [`Program::stopped`]. The explanation in work is
/// then cancelled, and files that are being written are finished.
///
/// # Errors
/// If the system gives no thread or no asynchronous sockets, or the page cannot be rendered.
pub fn serve(listener: TcpListener, address: Address, program: Arc<dyn Program>) -> io::Result<()> {
    listener.set_nonblocking(true)?;
    let jobs = Arc::new(Jobs::default());
    let shared = Arc::new(Shared {
        address,
        page: Page::new(&*program).map_err(io::Error::other)?,
        program: program.clone(),
        jobs: jobs.clone(),
        pictures: Pictures::default(),
        uploads: Semaphore::new(UPLOADS),
    });
    let runtime = Builder::new_current_thread()
        .enable_io()
        .enable_time()
        .max_blocking_threads(UPLOADS + 2)
        .build()?;
    let queue = jobs.clone();
    let worker = std::thread::Builder::new().name("explain".into());
    let worker = worker.spawn(move || work(&queue, &*program))?;
    let accepted = runtime.block_on(accept(listener, shared));
    jobs.close();
    // Waits for files that are being written.
    drop(runtime);
    // It catches panics, so there is nothing to hear of it.
    let _ = worker.join();
    accepted
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let places = Arc::new(Semaphore::new(CONNECTIONS));
    while !shared.program.stopped() {
        let Ok(Ok(place)) = timeout(TICK, places.clone().acquire_owned()).await else {
            continue;
        };
        let stream = match timeout(TICK, listener.accept()).await {
            Ok(Ok((stream, _))) => stream,
            // Out of descriptors, or gone already.
            Ok(Err(_)) => {
                sleep(TICK).await;
                continue;
            }
            Err(_) => continue,
        };
        // Events are small.
        let _ = stream.set_nodelay(true);
        let shared = shared.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(shared.clone(), request));
            let connection = http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(HEAD)
                .max_buf_size(HEAD_BYTES)
                .serve_connection(TokioIo::new(stream), service);
            // A reader that left is no event.
            let _ = connection.await;
            drop(place);
        });
    }
    Ok(())
}
