//! Planted bugs of asynchronous copies: a pipelined product on tensor cores, in a correct version
//! and with common omissions.

use std::error::Error;

use cudarc::driver::{PushKernelArg, sys::CUresult};

use crate::harness::{Device, Emulator, Outcome, SEEDS, fails, shape};

/// Returns bf16 values small enough that products sum exactly in f32: the product is the same in
/// any order.
fn small_integers(n: usize, seed: u32) -> Vec<f32> {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(1664525).wrapping_add(1013904223);
        (state >> 24) as i32 % 9 - 4
    };
    (0..n).map(|_| next() as f32).collect()
}

fn product(
    device: &Device,
    kernel: &str,
    (m, n, k): (usize, usize, usize),
    encode: fn(f32) -> u16,
) -> Result<(Vec<f32>, Vec<f32>), Box<dyn Error>> {
    let (a, b) = (small_integers(m * k, 1), small_integers(k * n, 2));
    let mut expected = vec![0f32; m * n];
    for (row, out) in expected.chunks_exact_mut(n).enumerate() {
        for (i, right) in b.chunks_exact(n).enumerate() {
            let left = a[row * k + i];
            out.iter_mut()
                .zip(right)
                .for_each(|(out, right)| *out += left * right);
        }
    }
    let function = device.kernel(kernel)?;
    let a = device.upload(&a.into_iter().map(encode).collect::<Vec<u16>>())?;
    let b = device.upload(&b.into_iter().map(encode).collect::<Vec<u16>>())?;
    let mut c = device.upload(&vec![0f32; m * n])?;
    let (columns, depth) = (n as i32, k as i32);
    let mut launch = device.stream.launch_builder(&function);
    launch.arg(&a).arg(&b).arg(&mut c).arg(&columns).arg(&depth);
    // SAFETY: the arguments are the kernel's, and the sizes are multiples of its tile.
    unsafe { launch.launch(shape((n as u32 / 64, m as u32 / 64), 128, 0)) }?;
    Ok((device.download(&c)?, expected))
}

fn bf16(value: f32) -> u16 {
    (value.to_bits() >> 16) as u16 // exact for small integers
}

/// Exact for the integers -4 to 4.
fn f16(value: f32) -> u16 {
    let sign = if value < 0.0 { 0x8000 } else { 0 };
    sign | match value.abs() as u32 {
        0 => 0,
        1 => 0x3C00,
        2 => 0x4000,
        3 => 0x4200,
        _ => 0x4400,
    }
}

#[test]
fn emulated_pipelined_tensor_core_product() -> Outcome {
    let emulator = Emulator::start(&[])?;
    let device = Device::open()?;
    for seed in 0..SEEDS {
        emulator.seed(seed)?;
        for (kernel, encode) in [
            ("planted_product_bf16", bf16 as fn(f32) -> u16),
            ("planted_product_f16", f16),
        ] {
            let (found, expected) = product(&device, kernel, (64, 128, 96), encode)?;
            assert_eq!(
                found,
                expected,
                "{kernel}, seed {seed}: {}",
                emulator.last_fault()?
            );
        }
    }
    Ok(())
}

#[test]
fn emulated_missing_tail_barrier_of_a_pipeline() -> Outcome {
    let emulator = Emulator::start(&[])?;
    for seed in 0..SEEDS {
        emulator.seed(seed)?;
        let found = product(
            &Device::open()?,
            "planted_no_tail_barrier_bug",
            (64, 64, 128),
            bf16,
        );
        fails(
            &emulator,
            &format!("seed {seed}"),
            found,
            CUresult::CUDA_ERROR_LAUNCH_FAILED,
            "shared",
        )?;
    }
    emulator.reset()
}

#[test]
fn emulated_missing_wait_for_asynchronous_copies() -> Outcome {
    let emulator = Emulator::start(&[])?;
    for seed in 0..SEEDS {
        emulator.seed(seed)?;
        let found = product(&Device::open()?, "planted_no_wait_bug", (64, 64, 64), bf16);
        fails(
            &emulator,
            &format!("seed {seed}"),
            found,
            CUresult::CUDA_ERROR_LAUNCH_FAILED,
            "cp.async under way",
        )?;
    }
    emulator.set("CHECK", Some("0"))?;
    emulator.reset()?;
    let (found, _) = product(&Device::open()?, "planted_no_wait_bug", (64, 64, 64), bf16)?;
    assert!(
        found.iter().all(|value| value.is_nan()),
        "without checks, what has not come is poison"
    );
    Ok(())
}

#[test]
fn emulated_asynchronous_copy_fills_with_zeros() -> Outcome {
    let _emulator = Emulator::start(&[])?;
    let device = Device::open()?;
    for given in 0..=16 {
        let function = device.kernel("planted_zero_fill")?;
        let x = device.upload(&[0xA5u8; 128 * 16])?;
        let mut y = device.upload(&[1u8; 128 * 16])?;
        let mut launch = device.stream.launch_builder(&function);
        launch.arg(&x).arg(&mut y).arg(&given);
        // SAFETY: the arguments are the kernel's.
        unsafe { launch.launch(shape((1, 1), 128, 0)) }?;
        let expected: Vec<u8> = (0..128 * 16)
            .map(|i| if i % 16 < given { 0xA5 } else { 0 })
            .collect();
        assert_eq!(device.download(&y)?, expected, "{given} bytes");
    }
    Ok(())
}
