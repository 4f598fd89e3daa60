//! Stream capture and graphs: a graph is a list of operations, replayed in order.

use std::ffi::{c_int, c_uint};
use std::sync::Arc;
use std::thread::{self, ThreadId};

use crate::calls::driver_calls;
use crate::driver::{Driver, Out};
use crate::status::{Outcome, Status};
use crate::stream::Operation;

/// The operations that a capture recorded.
pub type Graph = Arc<Vec<Operation>>;

/// A capture in progress.
pub struct Capture {
    id: u64,
    mode: Mode,
    thread: ThreadId,
    operations: Vec<Operation>,
    invalidated: bool,
}

/// The threads that may make calls that are unsafe during a capture, such as allocations.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    /// No thread.
    Global,
    /// Other threads.
    ThreadLocal,
    /// All threads.
    Relaxed,
}

const STATUS_NONE: c_int = 0;
const STATUS_ACTIVE: c_int = 1;
const STATUS_INVALIDATED: c_int = 2;

impl Capture {
    /// Returns whether the capture forbids unsafe calls by the calling thread.
    pub fn forbids_unsafe_calls(&self) -> bool {
        match self.mode {
            Mode::Global => true,
            Mode::ThreadLocal => self.thread == thread::current().id(),
            Mode::Relaxed => false,
        }
    }

    /// Invalidates the capture: it can only be ended, and returns no graph.
    pub fn invalidate(&mut self) {
        self.invalidated = true;
    }

    /// Records an operation.
    pub fn push(&mut self, operation: Operation) -> Outcome {
        if self.invalidated {
            return Err(Status::STREAM_CAPTURE_INVALIDATED);
        }
        self.operations.push(operation);
        Ok(())
    }

    fn status(&self) -> c_int {
        if self.invalidated {
            STATUS_INVALIDATED
        } else {
            STATUS_ACTIVE
        }
    }
}

impl Driver {
    /// Invalidates the captures for which `of` returns true; returns whether there was any.
    pub fn invalidate_captures(&mut self, of: impl Fn(&Capture) -> bool) -> bool {
        let mut captures = self
            .streams
            .values_mut()
            .filter_map(|stream| stream.capture.as_mut())
            .filter(|capture| of(capture))
            .peekable();
        let any = captures.peek().is_some();
        captures.for_each(Capture::invalidate);
        any
    }

    fn begin_capture(&mut self, stream: usize, mode: c_int) -> Outcome {
        if stream < 2 {
            return Err(Status::STREAM_CAPTURE_UNSUPPORTED);
        }
        let mode = match mode {
            0 => Mode::Global,
            1 => Mode::ThreadLocal,
            2 => Mode::Relaxed,
            _ => return Err(Status::INVALID_VALUE),
        };
        let id = self.handle() as u64;
        let stream = self.stream(stream)?;
        if stream.capture.is_some() {
            return Err(Status::INVALID_VALUE);
        }
        stream.capture = Some(Capture {
            id,
            mode,
            thread: thread::current().id(),
            operations: Vec::new(),
            invalidated: false,
        });
        Ok(())
    }

    fn end_capture(&mut self, stream: usize, graph: Out<usize>) -> Outcome {
        let stream = self.stream(stream)?;
        let capture = stream.capture.take().ok_or(Status::INVALID_VALUE)?;
        if capture.mode != Mode::Relaxed && capture.thread != thread::current().id() {
            stream.capture = Some(capture);
            return Err(Status::STREAM_CAPTURE_WRONG_THREAD);
        }
        if capture.invalidated {
            graph.put(0)?;
            return Err(Status::STREAM_CAPTURE_INVALIDATED);
        }
        let handle = self.handle();
        self.graphs.insert(handle, Arc::new(capture.operations));
        graph.put(handle)
    }

    fn instantiate(&mut self, graph: usize, executable: Out<usize>) -> Outcome {
        let graph = self
            .graphs
            .get(&graph)
            .cloned()
            .ok_or(Status::INVALID_HANDLE)?;
        let handle = self.handle();
        self.executables.insert(handle, graph);
        executable.put(handle)
    }

    fn capture_info(&mut self, stream: usize, status: Out<c_int>, id: Out<u64>) -> Outcome {
        let capture = self.stream(stream)?.capture.as_ref();
        id.put_if_wanted(capture.map_or(0, |capture| capture.id));
        status.put(capture.map_or(STATUS_NONE, Capture::status))
    }
}

driver_calls! {
    /// Starts recording a stream's work instead of running it.
    Context fn cuStreamBeginCapture_v2(driver, stream: usize, mode: c_int) {
        driver.begin_capture(stream, mode)
    }
    /// Ends the capture and returns the graph.
    Context fn cuStreamEndCapture(driver, stream: usize, graph: Out<usize>) {
        driver.end_capture(stream, graph)
    }
    /// Returns 0 for no capture, 1 for a capture, 2 for an invalidated one.
    Context fn cuStreamIsCapturing(driver, stream: usize, status: Out<c_int>) {
        let capture = driver.stream(stream)?.capture.as_ref();
        status.put(capture.map_or(STATUS_NONE, Capture::status))
    }
    /// Like cuStreamIsCapturing, with the capture's number; the incomplete graph and its
    /// dependencies are not returned.
    Context fn cuStreamGetCaptureInfo_v2(
        driver, stream: usize, status: Out<c_int>, id: Out<u64>, graph: Out<usize>,
        dependencies: Out<usize>, count: Out<usize>,
    ) {
        graph.put_if_wanted(0);
        dependencies.put_if_wanted(0);
        count.put_if_wanted(0);
        driver.capture_info(stream, status, id)
    }
    /// The same under its name in CUDA 13.
    Context fn cuStreamGetCaptureInfo_v3(
        driver, stream: usize, status: Out<c_int>, id: Out<u64>, graph: Out<usize>,
        dependencies: Out<usize>, edges: Out<usize>, count: Out<usize>,
    ) {
        graph.put_if_wanted(0);
        dependencies.put_if_wanted(0);
        edges.put_if_wanted(0);
        count.put_if_wanted(0);
        driver.capture_info(stream, status, id)
    }
    /// Creates a graph that can be launched.
    Context fn cuGraphInstantiateWithFlags(
        driver, executable: Out<usize>, graph: usize, _flags: u64,
    ) {
        driver.instantiate(graph, executable)
    }
    /// Replays a graph in stream order.
    Context fn cuGraphLaunch(driver, executable: usize, stream: usize) {
        let graph = driver.executables.get(&executable).cloned().ok_or(Status::INVALID_HANDLE)?;
        driver.submit(stream, Operation::Graph(graph))
    }
    /// Has no effect.
    Context fn cuGraphUpload(driver, executable: usize, stream: usize) {
        driver.stream(stream)?;
        driver.executables.get(&executable).map(drop).ok_or(Status::INVALID_HANDLE)
    }
    /// Destroys a launchable graph.
    Context fn cuGraphExecDestroy(driver, executable: usize) {
        driver.executables.remove(&executable).map(drop).ok_or(Status::INVALID_HANDLE)
    }
    /// Destroys a graph.
    Context fn cuGraphDestroy(driver, graph: usize) {
        driver.graphs.remove(&graph).map(drop).ok_or(Status::INVALID_HANDLE)
    }
    /// Returns the number of a graph's nodes, or all of them by number.
    Context fn cuGraphGetNodes(driver, graph: usize, nodes: *mut usize, count: *mut usize) {
        let known = driver.graphs.get(&graph).ok_or(Status::INVALID_HANDLE)?.len();
        if count.is_null() {
            return Err(Status::INVALID_VALUE);
        }
        // SAFETY: the caller gives room for `count` nodes, and count itself.
        unsafe {
            if !nodes.is_null() {
                (0..known.min(*count)).for_each(|i| nodes.add(i).write(graph + 1 + i));
            }
            *count = known;
        }
        Ok(())
    }
    /// Exchanges the mode of the calling thread's captures; has no effect.
    Context fn cuThreadExchangeStreamCaptureMode(_driver, _mode: *mut c_uint) { Ok(()) }
}
