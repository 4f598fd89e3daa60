//! Tests which algorithms of cuBLASLt are used. Runs in its own process, since it sets the
//! library's path in the environment.

#[path = "../shipped/emulator.rs"]
mod emulator;

use std::env;

use emulator::{Emulator, library};
use foveate::checkpoint::Tensor;
use foveate::device::Result;
use foveate::device::cuda::{Cuda, CudaMatrix, CudaRecording, GemmBackend, Storage};
use foveate::device::prelude::*;

/// Returns pseudorandom values in -1 .. 1 from a seed.
fn values(seed: u32, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(2_654_435_761).wrapping_add(1);
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

const ROWS: usize = 90;
const INSIDE: usize = 72;
const OUT: usize = 88;

/// Computes a linear layer on the first `rows` rows, forward with bias and residual, and its vjp.
fn layer(device: &Cuda, rows: usize) -> Result<[Vec<f32>; 2]> {
    let matrix = |seed, rows: usize, columns: usize| -> Result<CudaMatrix> {
        device.upload(
            rows,
            columns,
            &values(seed, ROWS * columns)[..rows * columns],
        )
    };
    let tensor = Tensor::from_f32("w", &[OUT, INSIDE], &values(1, OUT * INSIDE));
    let weight = device.weight(&tensor)?;
    let (x, dy) = (matrix(2, rows, INSIDE)?, matrix(3, rows, OUT)?);
    let bias = device.upload(1, OUT, &values(4, OUT))?;
    let residual = matrix(5, rows, OUT)?;
    let y = device.linear(&x, &weight, Some(&bias), Some(&residual))?;
    let dx = device.linear_vjp(&dy, &weight, None)?;
    Ok([device.download(&y)?, device.download(&dx)?])
}

#[test]
fn emulated_products_take_the_algorithm_whose_rows_stand_alone() {
    // SAFETY: this is the only test of its process: no other thread reads or writes the
    // environment.
    unsafe { env::set_var("FOVEATE_CUBLASLT", library()) };
    let emulator = Emulator::load();
    for storage in [Storage::F16, Storage::Bf16] {
        let native = Cuda::new(0, storage).unwrap();
        let through = Cuda::new(0, storage)
            .unwrap()
            .with_gemm(GemmBackend::Cublaslt)
            .unwrap();
        let expected = layer(&native, ROWS).unwrap();
        let all = layer(&through, ROWS).unwrap();
        for (found, expected) in all.iter().zip(&expected) {
            let largest = expected.iter().fold(0.0f32, |m, v| m.max(v.abs()));
            let difference = found
                .iter()
                .zip(expected)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            // Both round the same sum once: the values are at most neighbours.
            let unit = if storage == Storage::F16 {
                1.0 / 1024.0
            } else {
                1.0 / 128.0
            };
            assert!(
                difference <= unit * largest,
                "{difference} of {largest} in {storage}"
            );
        }
        assert_eq!(emulator.runs("cublaslt_split"), 0, "sums must not be split");
        assert!(
            emulator.runs("cublaslt_by_rows") > 0,
            "it was suggested and tried"
        );
        let tried = emulator.runs("cublaslt_by_rows");

        // One product in each direction from here on.
        let before = emulator.runs("cublaslt_ascending");
        let few = layer(&through, 7).unwrap();
        assert_eq!(
            few[0],
            all[0][..7 * OUT],
            "a row's bits do not depend on the number of rows"
        );
        assert_eq!(few[1], all[1][..7 * INSIDE]);
        assert_eq!(
            emulator.runs("cublaslt_ascending"),
            before + 2,
            "one product each"
        );
        assert_eq!(
            emulator.runs("cublaslt_by_rows"),
            tried,
            "a choice is made once"
        );
        replayed(&through, &emulator);
    }
}

/// Checks that products are part of graphs.
fn replayed(device: &Cuda, emulator: &Emulator) {
    let x = device
        .upload(ROWS, INSIDE, &values(6, ROWS * INSIDE))
        .unwrap();
    let tensor = Tensor::from_f32("w", &[OUT, INSIDE], &values(7, OUT * INSIDE));
    let weight = device.weight(&tensor).unwrap();
    let mut recording = CudaRecording::default();
    let mut replay = || {
        let work = || device.linear(&x, &weight, None, None);
        let read = |y: &CudaMatrix| device.download(y);
        device.replay(&mut recording, work, read).unwrap()
    };
    // Run step by step, captured, and replayed twice.
    let (first, captured) = (replay(), replay());
    emulator.reset();
    let (once, twice) = (replay(), replay());
    assert!(first == captured && captured == once && once == twice);
    assert_eq!(emulator.calls("cublasLtMatmul"), 0);
    assert_eq!(emulator.calls("cuGraphLaunch"), 2);
    assert_eq!(emulator.runs("cublaslt_ascending"), 2);
    assert_eq!(
        emulator.bytes(0),
        0,
        "a replay copies nothing to the device"
    );
}
