//! A trial of both routes of a product with separate operands: their times, and whether the
//! library's rows are independent of each other.

use cudarc::driver::{CudaSlice, DevicePtr, sys};

use super::refused::{CANDIDATES, Refusal, Refused, Suggested};
use super::{Choice, Route, Shape};
use crate::device::cuda::cublaslt::{Algorithm, CublasLt};
use crate::device::cuda::error::During;
use crate::device::cuda::interface::gemm::GemmArguments;
use crate::device::cuda::pool::GRAIN;
use crate::device::cuda::{Cuda, GemmBackend};
use crate::device::{DeviceError, Result};

/// Timed runs of each, of which the fastest counts.
const RUNS: usize = 3;
/// Largest ratio of the library's time to the native time at which the library is used: near-ties
/// stay native.
const SHARE: f64 = 0.95;
/// Number of rows whose bits are compared.
const COMPARED: usize = 256;

/// Returns the number of rows of a trial: four tiles of 128 x 128 for each multiprocessor, whatever
/// the later batches.
fn rows(n: usize, multiprocessors: usize) -> usize {
    (4 * multiprocessors * 128 * 128 / n).clamp(1024, 8192)
}

/// Memory of a trial, freed at its end.
struct Operands {
    arguments: GemmArguments,
    /// The address of the library's product when its rows are compared.
    compared: u64,
    _memory: CudaSlice<u8>,
}

impl Cuda {
    /// Returns the faster route for a shape; `None` if there is no memory for a trial. `arguments`
    /// tell which operands exist; the weight, the bias and the rotary table are used.
    pub(super) fn try_both(
        &self,
        library: &CublasLt,
        shape: Shape,
        arguments: &GemmArguments,
    ) -> Result<Option<Choice>> {
        let m = rows(shape.n, self.multiprocessors);
        let operands = match self.operands(shape, m, arguments) {
            Err(DeviceError::OutOfMemory { .. }) => return Ok(None),
            other => other?,
        };
        let product = shape.product(m, &operands.arguments);
        let mut candidates = Vec::new();
        let mut suggested = Suggested::NONE;
        for algorithm in library.suggestions(&product, CANDIDATES)? {
            let refusal = self.refusal(library, shape, &operands, m, algorithm)?;
            if refusal.is_none() {
                candidates.push(algorithm);
            }
            suggested.add(refusal.map(|why| Refused {
                algorithm: library.configuration(algorithm),
                why,
            }));
        }
        let a = &operands.arguments;
        if self.routes.gemm == GemmBackend::Cublaslt {
            let route = candidates.first().copied().map(Route::Library);
            return Ok(Some(Choice {
                route: route.unwrap_or(Route::Native),
                suggested,
                ..Choice::NATIVE
            }));
        }
        let sizes = (m, shape.n, shape.k);
        let native = self.time(|| self.native(shape.layout, sizes, shape.epilogue, *a))?;
        let mut timed = Vec::new();
        for algorithm in candidates {
            let microseconds = self.time(|| {
                // SAFETY: the operands have m rows.
                unsafe {
                    self.library_product(library, algorithm, shape.layout, sizes, shape.epilogue, a)
                }
            })?;
            timed.push((algorithm, microseconds));
        }
        Ok(Some(Choice {
            suggested,
            ..faster(native, &timed)
        }))
    }

    /// Allocates operands of `m` rows in place of those given, filled with the weight's values
    /// repeatedly. They are aligned like separate buffers, since an algorithm may require it.
    fn operands(&self, shape: Shape, m: usize, given: &GemmArguments) -> Result<Operands> {
        let place = |columns: usize| (m * columns * 2).next_multiple_of(GRAIN);
        let (of_a, of_y) = (place(shape.k), place(shape.n));
        let places = [
            (given.a, of_a),
            (given.y, of_y),
            (given.residual, of_y),
            (given.first, of_y),
            (given.second, of_y),
            (given.also, of_y),
            (given.y, of_y),
        ];
        let bytes: usize = places.iter().map(|&(_, bytes)| bytes).sum();
        let _turn = self.gpu.turn();
        let memory = self.gpu.pool.passing(bytes)?;
        let start = memory.device_ptr(&self.gpu.stream).0;
        let weight = shape.n * shape.k * 2;
        for at in (0..bytes).step_by(weight) {
            // SAFETY: both are on the device, and the weight is that long.
            unsafe {
                self.gpu
                    .copy(start + at as u64, given.b, weight.min(bytes - at))
            }?;
        }
        let mut next = start;
        let mut place = |(address, bytes): (u64, usize)| {
            let here = next;
            next += bytes as u64;
            // Absent operands stay absent.
            if address == 0 { 0 } else { here }
        };
        let [a, y, residual, first, second, also, compared] = places.map(&mut place);
        Ok(Operands {
            arguments: GemmArguments {
                a,
                y,
                residual,
                first,
                second,
                also,
                ..*given
            },
            compared,
            _memory: memory,
        })
    }

    /// Returns the reason why an algorithm may not be used, if any: its rows must have the same bits
    /// whatever their number.
    fn refusal(
        &self,
        library: &CublasLt,
        shape: Shape,
        operands: &Operands,
        m: usize,
        algorithm: Algorithm,
    ) -> Result<Option<Refusal>> {
        let all = shape.product(m, &operands.arguments);
        if !library.takes(&all, algorithm)? {
            return Ok(Some(Refusal::Rows(m)));
        }
        // SAFETY: the operands have m rows.
        unsafe { library.multiply(&all, algorithm) }?;
        let bits = |address: u64, rows: usize| {
            let mut bytes = vec![0; rows.min(COMPARED) * shape.n * 2];
            // SAFETY: the operands have at least that many rows.
            unsafe { self.gpu.read_at(address, &mut bytes) }.map(|()| bytes)
        };
        for m in [1, 77, m / 2] {
            let mut some = all;
            (some.m, some.y) = (m, operands.compared);
            if !library.takes(&some, algorithm)? {
                return Ok(Some(Refusal::Rows(m)));
            }
            // SAFETY: the product has fewer rows than the operands.
            unsafe { library.multiply(&some, algorithm) }?;
            if bits(all.y, m)? != bits(some.y, m)? {
                return Ok(Some(Refusal::Bits(m)));
            }
        }
        Ok(None)
    }

    /// Returns the microseconds of the fastest of several runs, after one that is not counted.
    fn time(&self, mut work: impl FnMut() -> Result<()>) -> Result<f64> {
        let _turn = self.gpu.turn();
        let timing = || "timing matrix products".to_string();
        let event = || {
            let flags = sys::CUevent_flags::CU_EVENT_DEFAULT;
            self.gpu.context.new_event(Some(flags)).during(timing)
        };
        let (start, end) = (event()?, event()?);
        work()?;
        let mut best = f64::INFINITY;
        for _ in 0..RUNS {
            start.record(&self.gpu.stream).during(timing)?;
            work()?;
            end.record(&self.gpu.stream).during(timing)?;
            end.synchronize().during(timing)?;
            let milliseconds = start.elapsed_ms(&end).during(timing)?;
            best = best.min(f64::from(milliseconds) * 1e3);
        }
        Ok(best)
    }
}

/// Returns the faster route, by microseconds; near-ties stay native.
fn faster(native: f64, library: &[(Algorithm, f64)]) -> Choice {
    let best = library.iter().min_by(|a, b| a.1.total_cmp(&b.1));
    Choice {
        route: match best {
            Some(&(algorithm, time)) if time <= SHARE * native => Route::Library(algorithm),
            _ => Route::Native,
        },
        native: Some(native),
        library: best.map(|&(_, time)| time),
        suggested: Suggested::NONE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_faster_way_is_taken_and_near_ties_stay_native() {
        let algorithm = |n| Algorithm::for_test([n; 8]);
        let of = |native, library: &[(u64, f64)]| {
            let library: Vec<_> = library.iter().map(|&(n, t)| (algorithm(n), t)).collect();
            faster(native, &library).route
        };
        assert_eq!(of(10.0, &[]), Route::Native);
        assert_eq!(of(10.0, &[(1, 11.0)]), Route::Native);
        assert_eq!(of(10.0, &[(1, 9.9)]), Route::Native);
        assert_eq!(
            of(10.0, &[(1, 8.0), (2, 6.0), (3, 7.0)]),
            Route::Library(algorithm(2))
        );
    }
}
