//! Tests of the checker: planted bugs are found, and their correct twins pass, under many
//! schedules.

use std::error::Error;

use crate::harness::{Device, Emulator, Outcome, SEEDS, fails, shape};
use cudarc::driver::{PushKernelArg, sys::CUresult};

/// Runs `kernel` on new data: `inputs` ints 0, 1, ... if any, and `outputs` ints of 0; returns the
/// outputs.
fn integers(
    device: &Device,
    kernel: &str,
    threads: u32,
    dynamic_bytes: u32,
    inputs: i32,
    outputs: usize,
) -> Result<Vec<i32>, Box<dyn Error>> {
    let function = device.kernel(kernel)?;
    let x = device.upload(&(0..inputs.max(1)).collect::<Vec<i32>>())?;
    let mut y = device.upload(&vec![0; outputs])?;
    let mut launch = device.stream.launch_builder(&function);
    if inputs > 0 {
        launch.arg(&x);
    }
    launch.arg(&mut y);
    // SAFETY: the arguments are those in tests/planted/*.cu.
    unsafe { launch.launch(shape((1, 1), threads, dynamic_bytes)) }?;
    device.download(&y)
}

/// Checks that the correct kernel returns `expected` under every seed and order, and that the one
/// named `_bug` fails with `code` and a fault containing `why`.
fn twins(
    kernel: &str,
    threads: u32,
    dynamic_bytes: u32,
    inputs: i32,
    expected: &[i32],
    code: CUresult,
    why: &str,
) -> Outcome {
    let emulator = Emulator::start(&[])?;
    let device = Device::open()?;
    for order in ["pct", "sequential", "random"] {
        emulator.set("ORDER", Some(order))?;
        for seed in 0..SEEDS {
            emulator.seed(seed)?;
            let found = integers(
                &device,
                kernel,
                threads,
                dynamic_bytes,
                inputs,
                expected.len(),
            )
            .map_err(|error| {
                format!(
                    "{kernel}, order {order}, seed {seed}: {error}: {}",
                    emulator.last_fault().unwrap_or_default()
                )
            })?;
            assert_eq!(found, expected, "{kernel}, order {order}, seed {seed}");
        }
    }
    emulator.set("ORDER", None)?;
    let bug = format!("{kernel}_bug");
    for seed in 0..SEEDS {
        emulator.seed(seed)?;
        let device = Device::open()?;
        let found = integers(
            &device,
            &bug,
            threads,
            dynamic_bytes,
            inputs,
            expected.len(),
        );
        fails(&emulator, &format!("{bug}, seed {seed}"), found, code, why)?;
    }
    emulator.reset()
}

#[test]
fn emulated_missing_barrier_between_producer_and_consumer() -> Outcome {
    let expected: Vec<i32> = (0..128).rev().collect();
    twins(
        "planted_reverse",
        128,
        512,
        128,
        &expected,
        CUresult::CUDA_ERROR_LAUNCH_FAILED,
        "shared memory race",
    )
}

#[test]
fn emulated_missing_barrier_after_a_read() -> Outcome {
    twins(
        "planted_write_after_read",
        96,
        0,
        0,
        &[45; 96],
        CUresult::CUDA_ERROR_LAUNCH_FAILED,
        "shared memory race",
    )
}

#[test]
fn emulated_missing_syncwarp() -> Outcome {
    twins(
        "planted_warp_tree",
        256,
        0,
        256,
        &[255 * 128],
        CUresult::CUDA_ERROR_LAUNCH_FAILED,
        "shared memory race",
    )
}

#[test]
fn emulated_divergent_barrier() -> Outcome {
    let expected: Vec<i32> = (0..32).map(|t| t ^ 16).collect();
    twins(
        "planted_divergent",
        32,
        0,
        0,
        &expected,
        CUresult::CUDA_ERROR_LAUNCH_FAILED,
        "deadlock",
    )
}

#[test]
fn emulated_two_different_barriers() -> Outcome {
    let expected: Vec<i32> = (0..64).collect();
    twins(
        "planted_two_barriers",
        64,
        0,
        0,
        &expected,
        CUresult::CUDA_ERROR_LAUNCH_FAILED,
        "divergent barrier",
    )
}

#[test]
fn emulated_plain_read_beside_atomics() -> Outcome {
    twins(
        "planted_tally",
        64,
        0,
        64,
        &[63],
        CUresult::CUDA_ERROR_LAUNCH_FAILED,
        "shared memory race",
    )
}

#[test]
fn emulated_beyond_dynamic_shared_memory() -> Outcome {
    let expected: Vec<i32> = (0..64).collect();
    twins(
        "planted_dynamic_shared",
        64,
        256,
        0,
        &expected,
        CUresult::CUDA_ERROR_ILLEGAL_ADDRESS,
        "the launch asked for 256 bytes",
    )
}

#[test]
fn emulated_beyond_static_shared_memory() -> Outcome {
    let expected: Vec<i32> = (0..64).collect();
    twins(
        "planted_static_shared",
        64,
        0,
        0,
        &expected,
        CUresult::CUDA_ERROR_ILLEGAL_ADDRESS,
        "past the end of a shared array",
    )
}

#[test]
fn emulated_one_element_past_an_allocation() -> Outcome {
    const N: usize = 1000;
    let emulator = Emulator::start(&[])?;
    let device = Device::open()?;
    let run = |device: &Device, kernel: &str| -> Result<Vec<f32>, Box<dyn Error>> {
        let function = device.kernel(kernel)?;
        let x = device.upload(&vec![1.5f32; N])?;
        let mut y = device.upload(&vec![0f32; N])?;
        let n = N as i32;
        let mut launch = device.stream.launch_builder(&function);
        launch.arg(&x).arg(&mut y).arg(&n);
        // SAFETY: the arguments are the kernel's.
        unsafe { launch.launch(shape((8, 1), 128, 0)) }?;
        device.download(&y)
    };
    for seed in 0..SEEDS {
        emulator.seed(seed)?;
        assert_eq!(
            run(&device, "planted_past_the_end")?,
            vec![3.0; N],
            "seed {seed}"
        );
    }
    for threads in ["1", "3"] {
        emulator.set("THREADS", Some(threads))?;
        emulator.reset()?;
        let device = Device::open()?;
        let found = run(&device, "planted_past_the_end_bug");
        fails(
            &emulator,
            "one past the end",
            found,
            CUresult::CUDA_ERROR_ILLEGAL_ADDRESS,
            "block (7, 0, 0), thread (104, 0, 0): invalid read of 4 bytes",
        )?;
        assert!(
            emulator.last_fault()?.contains("(at bounds.cu:"),
            "{}",
            emulator.last_fault()?
        );
        let sticky = Device::open().and_then(|device| Ok(device.stream.synchronize()?));
        fails(
            &emulator,
            "a later call",
            sticky,
            CUresult::CUDA_ERROR_ILLEGAL_ADDRESS,
            "",
        )?;
    }
    emulator.reset()
}

#[test]
fn emulated_misaligned_16_byte_access() -> Outcome {
    let emulator = Emulator::start(&[])?;
    let device = Device::open()?;
    let values: Vec<u16> = (0..64 * 8 + 8).collect();
    for kernel in ["planted_packs", "planted_quads"] {
        let run = |device: &Device, first: i32| -> Result<Vec<u16>, Box<dyn Error>> {
            let function = device.kernel(kernel)?;
            let x = device.upload(&values)?;
            let mut y = device.upload(&[0u16; 64 * 8])?;
            let mut launch = device.stream.launch_builder(&function);
            launch.arg(&x).arg(&mut y).arg(&first);
            // SAFETY: the arguments are the kernel's.
            unsafe { launch.launch(shape((1, 1), 64, 0)) }?;
            device.download(&y)
        };
        for seed in 0..SEEDS {
            emulator.seed(seed)?;
            assert_eq!(run(&device, 8)?, values[8..], "{kernel}, seed {seed}");
        }
        for first in [1, 2, 4] {
            emulator.reset()?;
            let found = run(&Device::open()?, first);
            fails(
                &emulator,
                &format!("{kernel} from {first}"),
                found,
                CUresult::CUDA_ERROR_MISALIGNED_ADDRESS,
                "misaligned address",
            )?;
        }
    }
    emulator.reset()
}
