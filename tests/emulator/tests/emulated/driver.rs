//! Tests of devices, memory, launches, counts and injected failures.

use std::error::Error;

use cudarc::driver::{CudaContext, DriverError, PushKernelArg, result, sys};
use cudarc::nvrtc::Ptx;
use sys::{CUdevice_attribute as Attribute, CUfunction_attribute as FunctionAttribute, CUresult};

use crate::harness::{Device, Emulator, Outcome, shape};

fn status<T>(result: Result<T, DriverError>) -> Option<CUresult> {
    result.err().map(|error| error.0)
}

/// Runs planted_reverse over `threads` ints with that much dynamic shared memory.
fn reverse(device: &Device, threads: u32, dynamic_bytes: u32) -> Result<Vec<i32>, Box<dyn Error>> {
    let function = device.kernel("planted_reverse")?;
    let x = device.upload(&(0..threads as i32).collect::<Vec<i32>>())?;
    let mut y = device.upload(&vec![0i32; threads as usize])?;
    let mut launch = device.stream.launch_builder(&function);
    launch.arg(&x).arg(&mut y);
    // SAFETY: the arguments are the kernel's.
    unsafe { launch.launch(shape((1, 1), threads, dynamic_bytes)) }?;
    device.download(&y)
}

fn code(error: &(dyn Error + 'static)) -> Option<CUresult> {
    error.downcast_ref::<DriverError>().map(|error| error.0)
}

#[test]
fn emulated_devices_are_as_the_settings_say() -> Outcome {
    let emulator = Emulator::start(&[
        ("CAPABILITY", "8.6"),
        ("DEVICES", "2"),
        ("MEMORY", "1000000"),
        ("DRIVER", "12040"),
    ])?;
    assert_eq!(CudaContext::device_count()?, 2);
    let second = CudaContext::new(1)?;
    assert_eq!(second.compute_capability()?, (8, 6));
    assert_eq!(second.name()?, "Emulated GPU 8.6");
    assert_eq!(second.total_mem()?, 1_000_000);
    assert_eq!(
        second.attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN)?,
        99 << 10
    );
    assert_eq!(
        second.attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?,
        84
    );
    assert_ne!(second.uuid()?.bytes, CudaContext::new(0)?.uuid()?.bytes);
    assert_eq!(
        status(CudaContext::new(2)),
        Some(CUresult::CUDA_ERROR_INVALID_DEVICE)
    );
    let mut version = 0;
    // SAFETY: writes one number.
    unsafe { sys::cuDriverGetVersion(&mut version) }.result()?;
    assert_eq!(version, 12040);
    emulator.set("CAPABILITY", Some("7.5"))?;
    emulator.set("DEVICES", Some("0"))?;
    emulator.reset()?;
    assert_eq!(status(result::init()), Some(CUresult::CUDA_ERROR_NO_DEVICE));
    Ok(())
}

#[test]
fn emulated_memory_is_poisoned_bounded_and_counted() -> Outcome {
    let emulator = Emulator::start(&[("MEMORY", "1048576")])?;
    let device = Device::open()?;
    // Less if a lost device has kept other tests from releasing memory.
    let (free, total) = device.context.mem_get_info()?;
    assert_eq!(total, 1_048_576);
    // SAFETY: read before written, intentionally.
    let fresh = unsafe { device.stream.alloc::<u8>(1000) }?;
    assert_eq!(device.download(&fresh)?, vec![0xFF; 1000]);
    assert_eq!(device.context.mem_get_info()?, (free - 1000, total));
    // SAFETY: never read.
    let second = unsafe { device.stream.alloc::<u8>(free - 999) };
    assert_eq!(status(second), Some(CUresult::CUDA_ERROR_OUT_OF_MEMORY));
    drop(fresh);
    // SAFETY: never read.
    let all = unsafe { device.stream.alloc::<u8>(free) }?;
    assert_eq!(device.context.mem_get_info()?.0, 0);
    drop(all);
    assert_eq!(emulator.bytes(1)?, 1000);
    assert_eq!(emulator.calls("cuMemAllocAsync")?, 3);
    Ok(())
}

#[test]
fn emulated_copies_outside_an_allocation_are_refused() -> Outcome {
    let _emulator = Emulator::start(&[])?;
    let device = Device::open()?;
    let stream = device.stream.cu_stream();
    let mut host = [0u8; 32];
    // SAFETY: the host's side is large enough; the device's side is under test.
    unsafe {
        let pointer = result::malloc_async(stream, 16)?;
        assert_eq!(
            status(result::memcpy_htod_async(pointer, &host[..17], stream)),
            Some(CUresult::CUDA_ERROR_INVALID_VALUE)
        );
        assert_eq!(
            status(result::memcpy_dtoh_async(
                &mut host[..16],
                pointer + 1,
                stream
            )),
            Some(CUresult::CUDA_ERROR_INVALID_VALUE)
        );
        assert_eq!(
            status(result::memset_d8_async(pointer, 0, 17, stream)),
            Some(CUresult::CUDA_ERROR_INVALID_VALUE)
        );
        result::memset_d8_async(pointer, 7, 16, stream)?;
        result::memcpy_dtoh_async(&mut host[..16], pointer, stream)?;
        assert_eq!(host[..17], [[7; 16].as_slice(), &[0]].concat());
        result::free_async(pointer, stream)?;
        assert_eq!(
            status(result::free_async(pointer, stream)),
            Some(CUresult::CUDA_ERROR_INVALID_VALUE),
            "freed twice"
        );
    }
    Ok(())
}

#[test]
fn emulated_launch_limits() -> Outcome {
    let _emulator = Emulator::start(&[])?;
    let device = Device::open()?;
    let invalid = Some(CUresult::CUDA_ERROR_INVALID_VALUE);
    assert_eq!(reverse(&device, 1024, 4096)?.len(), 1024);
    for (threads, dynamic_bytes) in [(1025, 4100), (64, (48 << 10) + 4)] {
        let refused = reverse(&device, threads, dynamic_bytes)
            .err()
            .and_then(|error| code(error.as_ref()));
        assert_eq!(refused, invalid, "{threads} threads, {dynamic_bytes} bytes");
    }
    let function = device.kernel("planted_reverse")?;
    let dynamic = FunctionAttribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    function.set_attribute(dynamic, 100 << 10)?;
    assert_eq!(
        reverse(&device, 64, 100 << 10)?.len(),
        64,
        "after opting in"
    );
    assert_eq!(
        status(function.set_attribute(dynamic, (227 << 10) + 1)),
        invalid
    );

    // The sum of static and dynamic shared memory is known only when the kernel runs.
    let mut y = device.upload(&[0i32; 32])?;
    let function = device.kernel("planted_write_after_read")?;
    for (dynamic_bytes, expected) in [((48 << 10) - 4, None), (48 << 10, invalid)] {
        // SAFETY: the arguments are the kernel's.
        unsafe {
            device
                .stream
                .launch_builder(&function)
                .arg(&mut y)
                .launch(shape((1, 1), 32, dynamic_bytes))
        }?;
        assert_eq!(
            status(device.stream.synchronize()),
            expected,
            "{dynamic_bytes} bytes beside 4 static ones"
        );
    }

    let bounded = device.kernel("planted_bounded")?;
    let mut y = device.upload(&[0i32; 128])?;
    for (threads, grid, expected) in [(64, 1, None), (65, 1, invalid), (64, 0, invalid)] {
        let mut launch = device.stream.launch_builder(&bounded);
        launch.arg(&mut y);
        // SAFETY: the arguments are the kernel's.
        let found = status(unsafe { launch.launch(shape((grid, 1), threads, 0)) });
        assert_eq!(
            found, expected,
            "{threads} threads under a bound of 64, {grid} blocks"
        );
    }
    Ok(())
}

#[test]
fn emulated_unknown_kernels_and_images_are_refused() -> Outcome {
    let _emulator = Emulator::start(&[])?;
    let device = Device::open()?;
    let error = device.kernel("planted_nothing").err().ok_or("found")?;
    assert!(
        error.to_string().contains("CUDA_ERROR_NOT_FOUND"),
        "{error}"
    );
    let image = device.context.load_module(Ptx::from_binary(vec![0; 64]));
    assert_eq!(status(image), Some(CUresult::CUDA_ERROR_INVALID_IMAGE));
    Ok(())
}

#[test]
fn emulated_pointers_that_are_not_the_devices_are_found() -> Outcome {
    let emulator = Emulator::start(&[])?;
    let host = [1i32; 4];
    for kernel in ["planted_hidden_pointer", "planted_reverse"] {
        emulator.reset()?;
        let device = Device::open()?;
        let function = device.kernel(kernel)?;
        let mut y = device.upload(&[0i32; 32])?;
        // { const int* x; int unused; }, and a plain pointer to the other kernel.
        let hidden = [host.as_ptr() as u64, 0];
        let mut launch = device.stream.launch_builder(&function);
        launch.arg(&hidden).arg(&mut y);
        // SAFETY: the arguments have the kernel's layout; the bad pointer is intended.
        unsafe { launch.launch(shape((1, 1), 32, 128)) }?;
        assert_eq!(
            status(device.stream.synchronize()),
            Some(CUresult::CUDA_ERROR_ILLEGAL_ADDRESS),
            "{kernel}"
        );
        assert!(
            emulator.last_fault()?.contains("no"),
            "{}",
            emulator.last_fault()?
        );
    }
    emulator.reset()
}

#[test]
fn emulated_access_that_the_host_traps_is_a_fault_too() -> Outcome {
    let emulator = Emulator::start(&[("CHECK", "0")])?;
    let device = Device::open()?;
    let function = device.kernel("planted_hidden_pointer")?;
    let mut y = device.upload(&[0i32; 1])?;
    // SAFETY: the arguments have the kernel's layout; the bad pointer is intended.
    unsafe {
        device
            .stream
            .launch_builder(&function)
            .arg(&[16u64, 0])
            .arg(&mut y)
            .launch(shape((2, 1), 32, 0))
    }?;
    assert_eq!(
        status(device.stream.synchronize()),
        Some(CUresult::CUDA_ERROR_ILLEGAL_ADDRESS)
    );
    assert!(
        emulator.last_fault()?.contains("block (0, 0, 0)"),
        "{}",
        emulator.last_fault()?
    );
    assert!(
        emulator.last_fault()?.contains("access of 0x10"),
        "{}",
        emulator.last_fault()?
    );
    emulator.reset()
}

#[test]
fn emulated_failures_come_when_ordered() -> Outcome {
    let emulator = Emulator::start(&[("FAIL", "cuMemAllocAsync:2:2,cuLaunchKernel:1:719")])?;
    let device = Device::open()?;
    let first = device.upload(&[1i32])?;
    let second = device
        .upload(&[2i32])
        .err()
        .and_then(|error| code(error.as_ref()));
    assert_eq!(
        second,
        Some(CUresult::CUDA_ERROR_OUT_OF_MEMORY),
        "the second allocation"
    );
    let mut third = device.upload(&[3i32])?;
    let function = device.kernel("planted_reverse")?;
    let mut launch = device.stream.launch_builder(&function);
    launch.arg(&first).arg(&mut third);
    // SAFETY: the arguments are the kernel's; it does not run.
    assert_eq!(
        status(unsafe { launch.launch(shape((1, 1), 1, 4)) }),
        Some(CUresult::CUDA_ERROR_LAUNCH_FAILED)
    );
    assert_eq!(
        status(device.stream.synchronize()),
        Some(CUresult::CUDA_ERROR_LAUNCH_FAILED),
        "the device is lost"
    );
    assert_eq!(emulator.runs("planted_reverse")?, 0);
    emulator.set("FAIL", None)?;
    emulator.reset()?;
    assert_eq!(reverse(&Device::open()?, 4, 16)?, [3, 2, 1, 0]);
    Ok(())
}

#[test]
fn emulated_calls_from_several_threads() -> Outcome {
    let emulator = Emulator::start(&[("THREADS", "3")])?;
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    let device = Device::open().map_err(|error| error.to_string())?;
                    for threads in 1..=64 {
                        let expected: Vec<i32> = (0..threads).rev().collect();
                        let found = reverse(&device, threads as u32, 256)
                            .map_err(|error| error.to_string())?;
                        assert_eq!(found, expected);
                    }
                    Ok::<_, String>(())
                })
            })
            .collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().map_err(|_| "a thread panicked".to_owned())?)
    })?;
    assert_eq!(emulator.runs("planted_reverse")?, 256);
    Ok(())
}

#[test]
fn emulated_errors_have_names() -> Outcome {
    let _emulator = Emulator::start(&[])?;
    let error = DriverError(CUresult::CUDA_ERROR_OUT_OF_MEMORY);
    assert_eq!(error.error_name()?.to_str()?, "CUDA_ERROR_OUT_OF_MEMORY");
    assert_eq!(error.error_string()?.to_str()?, "out of memory");
    Ok(())
}
