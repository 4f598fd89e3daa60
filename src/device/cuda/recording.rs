//! Operations recorded as a CUDA graph and replayed.
//!
//! The first time, work runs operation by operation, which allocates its memory and uploads its
//! tables. The second time it is captured, and from then on replayed with one launch. No other work
//! uses the buffers of recordings, since a replay writes to all of them.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use cudarc::driver::{CudaGraph, sys};

use super::error::{During, is_out_of_memory};
use super::gpu::Gpu;
use super::pool::Buffer;
use crate::device::DeviceError;

/// Repeated work, and the handles of its results.
pub struct CudaRecording<T> {
    results: Option<T>,
    graph: Option<Graph>,
    /// Whether there was no memory for a graph: the work then runs operation by operation every
    /// time.
    without_graph: bool,
    /// Tables that the work reads.
    tables: Vec<Arc<Buffer>>,
    /// Set by the first work; its count of live recordings includes this one.
    gpu: Option<Arc<Gpu>>,
}

struct Graph(CudaGraph);

// SAFETY: a graph may be used from any thread, by one at a time; it is only used through `&mut` of
// its recording.
unsafe impl Send for Graph {}
// SAFETY: it is never used through `&`.
unsafe impl Sync for Graph {}

impl<T> Default for CudaRecording<T> {
    fn default() -> Self {
        CudaRecording {
            results: None,
            graph: None,
            without_graph: false,
            tables: Vec::new(),
            gpu: None,
        }
    }
}

impl<T> Drop for CudaRecording<T> {
    fn drop(&mut self) {
        self.results = None;
        self.graph = None;
        if let Some(gpu) = &self.gpu
            && gpu.recordings.fetch_sub(1, Ordering::AcqRel) == 1
        {
            gpu.pool.release_recorded();
        }
    }
}

impl Gpu {
    /// Implements `Device::replay`, which documents the contract. Without `graphs` the work runs
    /// operation by operation every time.
    pub fn replay<T, R, E>(
        self: &Arc<Self>,
        graphs: bool,
        recording: &mut CudaRecording<T>,
        mut work: impl FnMut() -> std::result::Result<T, E>,
        read: impl FnOnce(&T) -> std::result::Result<R, E>,
    ) -> std::result::Result<R, E>
    where
        E: From<DeviceError>,
    {
        let _turn = self.turn();
        if recording.gpu.is_none() {
            self.recordings.fetch_add(1, Ordering::AcqRel);
            recording.gpu = Some(self.clone());
        }
        if let Some(graph) = &recording.graph {
            graph.0.launch().during(|| "replaying a graph".into())?;
        } else {
            let first = recording.results.take().is_none();
            let captured = if first || !graphs || recording.without_graph {
                None
            } else {
                self.capture(recording, &mut work)?
            };
            recording.results = Some(match captured {
                Some(results) => results,
                None => self.step_by_step(recording, &mut work)?,
            });
        }
        match &recording.results {
            // The lock is still held: another recording's work may overwrite these results.
            Some(results) => read(results),
            None => Err(DeviceError::Starved.into()),
        }
    }

    fn step_by_step<T, E>(
        &self,
        recording: &mut CudaRecording<T>,
        work: &mut impl FnMut() -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let scope = Scope::begin(self, false);
        let results = work();
        (recording.tables, _) = scope.end();
        results
    }

    /// Captures the work and launches it once; `None` if memory or a table was missing, so that it
    /// must run operation by operation once more, or every time.
    fn capture<T, E>(
        &self,
        recording: &mut CudaRecording<T>,
        work: &mut impl FnMut() -> std::result::Result<T, E>,
    ) -> std::result::Result<Option<T>, E>
    where
        E: From<DeviceError>,
    {
        let capturing = || "capturing a graph".to_string();
        let mode = sys::CUstreamCaptureMode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL;
        // Nothing may be allocated from here on, in any thread.
        let scope = Scope::begin(self, true);
        self.stream.begin_capture(mode).during(capturing)?;
        let results = work();
        let graph = self.stream.end_capture(INSTANTIATE);
        let (tables, starved) = scope.end();
        if starved {
            return Ok(None);
        }
        let results = results?;
        let empty = || DeviceError::Driver {
            operation: capturing(),
            reason: "the driver recorded nothing".into(),
        };
        let graph = match graph {
            Err(error) if is_out_of_memory(error) => {
                recording.without_graph = true;
                return Ok(None);
            }
            other => other.during(capturing)?.ok_or_else(empty)?,
        };
        graph.launch().during(|| "launching a graph".into())?;
        recording.graph = Some(Graph(graph));
        recording.tables = tables;
        Ok(Some(results))
    }
}

/// No flags.
const INSTANTIATE: sys::CUgraphInstantiate_flags = sys::CUgraphInstantiate_flags(0);

/// A scope in which buffers and tables are those of recordings.
struct Scope<'a> {
    gpu: &'a Gpu,
    capturing: bool,
    ended: bool,
}

impl<'a> Scope<'a> {
    fn begin(gpu: &'a Gpu, capturing: bool) -> Scope<'a> {
        gpu.pool.enter(capturing);
        gpu.constants().begin(capturing);
        Scope {
            gpu,
            capturing,
            ended: false,
        }
    }

    /// Returns the tables that were used, and whether memory or a table was missing.
    fn end(mut self) -> (Vec<Arc<Buffer>>, bool) {
        self.ended = true;
        let starved = self.gpu.pool.leave();
        let mut constants = self.gpu.constants();
        let tables = constants.end();
        (tables, starved || constants.starved())
    }
}

impl Drop for Scope<'_> {
    /// After a panic in the work, discards its capture, so that the GPU can be used again.
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        if self.capturing {
            let _ = self.gpu.stream.end_capture(INSTANTIATE);
        }
        self.gpu.pool.leave();
        self.gpu.constants().end();
    }
}
