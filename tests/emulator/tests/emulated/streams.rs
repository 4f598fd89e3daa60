//! Tests of delayed streams, events, captures and graphs.

use std::sync::Arc;

use cudarc::driver::{CudaStream, DriverError, PushKernelArg, result, sys};
use sys::{
    CUevent_flags as EventFlags, CUgraphInstantiate_flags as Flags, CUresult,
    CUstreamCaptureMode as Mode,
};

use crate::harness::{Device, Emulator, Outcome, shape};

fn status<T>(result: Result<T, DriverError>) -> Option<CUresult> {
    result.err().map(|error| error.0)
}

#[test]
fn emulated_work_waits_for_a_synchronisation() -> Outcome {
    let emulator = Emulator::start(&[])?;
    let device = Device::open()?;
    // SAFETY: written before read.
    let mut pinned = unsafe { device.context.alloc_pinned::<f32>(8) }?;
    pinned.as_mut_slice()?.fill(1.0);
    let raw = pinned.as_mut_ptr()?; // now, since asking later waits for the copy
    // SAFETY: filled by the copy.
    let mut x = unsafe { device.stream.alloc::<f32>(8) }?;
    device.stream.memcpy_htod(&pinned, &mut x)?;
    // SAFETY: eight pinned floats, which the copy has not yet read: a mistake of the program that
    // must have an effect.
    unsafe { raw.write(5.0) };
    device.stream.synchronize()?;
    assert_eq!(
        device.download(&x)?,
        [5.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 1.0]
    );
    // SAFETY: as above; the read back into pinned memory has not happened before the
    // synchronisation.
    unsafe {
        raw.write(9.0);
        let pointer = cudarc::driver::DevicePtr::device_ptr(&x, &device.stream).0;
        result::memcpy_dtoh_async(
            std::slice::from_raw_parts_mut(raw, 8),
            pointer,
            device.stream.cu_stream(),
        )?;
        assert_eq!(raw.read(), 9.0);
        device.stream.synchronize()?;
        assert_eq!(raw.read(), 5.0);
    }
    assert_eq!(emulator.bytes(0)?, 32);
    Ok(())
}

#[test]
fn emulated_events_measure_time_once_passed() -> Outcome {
    let _emulator = Emulator::start(&[])?;
    let device = Device::open()?;
    let start = device
        .stream
        .record_event(Some(EventFlags::CU_EVENT_DEFAULT))?;
    let end = device
        .stream
        .record_event(Some(EventFlags::CU_EVENT_DEFAULT))?;
    // SAFETY: both events live.
    let early = unsafe { result::event::elapsed(start.cu_event(), end.cu_event()) };
    assert_eq!(status(early), Some(CUresult::CUDA_ERROR_NOT_READY));
    end.synchronize()?;
    assert!(start.elapsed_ms(&end)? >= 0.0);
    let untimed = device.stream.record_event(None)?;
    untimed.synchronize()?;
    assert_eq!(
        status(start.elapsed_ms(&untimed)),
        Some(CUresult::CUDA_ERROR_INVALID_HANDLE)
    );
    Ok(())
}

#[test]
fn emulated_graph_replays_with_the_values_of_the_day() -> Outcome {
    let emulator = Emulator::start(&[])?;
    let device = Device::open()?;
    let function = device.kernel("planted_past_the_end")?;
    let n = 8i32;
    let mut x = device.upload(&[1f32; 8])?;
    let mut y = device.upload(&[0f32; 8])?;
    device
        .stream
        .begin_capture(Mode::CU_STREAM_CAPTURE_MODE_GLOBAL)?;
    // SAFETY: the arguments are the kernel's.
    unsafe {
        device
            .stream
            .launch_builder(&function)
            .arg(&x)
            .arg(&mut y)
            .arg(&n)
            .launch(shape((1, 1), 32, 0))
    }?;
    let graph = device.stream.end_capture(Flags(0))?.ok_or("no graph")?;
    assert_eq!(device.download(&y)?, [0.0; 8], "capturing runs nothing");
    let (launches, allocations) = (
        emulator.calls("cuLaunchKernel")?,
        emulator.calls("cuMemAllocAsync")?,
    );
    for value in [3f32, 5.0] {
        device.stream.memcpy_htod(&[value; 8], &mut x)?;
        graph.launch()?;
        assert_eq!(device.download(&y)?, [2.0 * value; 8]);
    }
    assert_eq!(emulator.runs("planted_past_the_end")?, 2);
    assert_eq!(
        (
            emulator.calls("cuLaunchKernel")?,
            emulator.calls("cuMemAllocAsync")?
        ),
        (launches, allocations)
    );
    Ok(())
}

#[test]
fn emulated_copies_count_at_each_replay() -> Outcome {
    let emulator = Emulator::start(&[])?;
    let device = Device::open()?;
    let x = device.upload(&[1f32; 8])?;
    let mut y = device.upload(&[0f32; 8])?;
    device
        .stream
        .begin_capture(Mode::CU_STREAM_CAPTURE_MODE_RELAXED)?;
    device.stream.memcpy_dtod(&x, &mut y)?;
    let graph = device.stream.end_capture(Flags(0))?.ok_or("no graph")?;
    emulator.reset()?;
    graph.launch()?;
    graph.launch()?;
    device.stream.synchronize()?;
    assert_eq!(
        [emulator.bytes(0)?, emulator.bytes(1)?, emulator.bytes(2)?],
        [0, 0, 64]
    );
    Ok(())
}

/// Checks that `call` fails with `expected` and invalidates a capture.
fn invalidates(
    device: &Device,
    expected: CUresult,
    call: impl FnOnce(&Arc<CudaStream>) -> Result<(), DriverError>,
) -> Outcome {
    device
        .stream
        .begin_capture(Mode::CU_STREAM_CAPTURE_MODE_GLOBAL)?;
    assert_eq!(status(call(&device.stream)), Some(expected));
    let ended = device.stream.end_capture(Flags(0)).map(drop);
    assert_eq!(
        status(ended),
        Some(CUresult::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED)
    );
    Ok(())
}

#[test]
fn emulated_capture_forbids_allocation_and_waiting() -> Outcome {
    let _emulator = Emulator::start(&[])?;
    let device = Device::open()?;
    let unsupported = CUresult::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
    // SAFETY: no result of these calls is used.
    unsafe {
        invalidates(&device, unsupported, |stream| {
            result::malloc_async(stream.cu_stream(), 16).map(drop)
        })?;
        invalidates(&device, unsupported, |_| result::malloc_sync(16).map(drop))?;
        invalidates(&device, unsupported, |_| {
            result::malloc_host(16, 0).map(drop)
        })?;
        invalidates(&device, unsupported, |stream| {
            result::stream::synchronize(stream.cu_stream())
        })?;
        invalidates(
            &device,
            CUresult::CUDA_ERROR_STREAM_CAPTURE_IMPLICIT,
            |_| result::memset_d8_async(0, 0, 0, std::ptr::null_mut()),
        )?;
    }
    invalidates(&device, unsupported, |_| result::ctx::synchronize())?;
    let legacy = device
        .context
        .default_stream()
        .begin_capture(Mode::CU_STREAM_CAPTURE_MODE_GLOBAL);
    assert_eq!(status(legacy), Some(unsupported));
    Ok(())
}

#[test]
fn emulated_wait_for_an_event_outside_the_capture_is_refused() -> Outcome {
    let _emulator = Emulator::start(&[])?;
    let device = Device::open()?;
    let event = device.context.new_stream()?.record_event(None)?;
    invalidates(
        &device,
        CUresult::CUDA_ERROR_STREAM_CAPTURE_ISOLATION,
        |stream| stream.wait(&event),
    )
}
