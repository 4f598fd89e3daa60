//! Tests of injected driver errors: each ends the run with a line that names it, and leaves no
//! file.

use super::program::{Run, failed, root, succeeded};

fn explain(run: &Run, settings: &[(&str, &str)]) -> std::process::Output {
    let picture = root().join("tests/oracle/images/cat.png");
    let model = root().join("tests/oracle/models/tiny-llava");
    let arguments = [
        "explain",
        "--image",
        picture.to_str().unwrap(),
        "--model",
        model.to_str().unwrap(),
        "--question",
        "What color is the circle?",
        "--out",
        "out",
        "--device",
        "cuda:0",
        "--steps",
        "2",
        "--iterations",
        "3",
        "--mask-size",
        "3",
        "--max-new-tokens",
        "5",
    ];
    let mut all = vec![("CHECK", "0")];
    all.extend(settings);
    run.foveate(&arguments, &all)
}

/// Checks that the run fails, names the driver's error and leaves no file.
fn ends_with(fault: &str, name: &str) {
    let run = Run::new();
    let said = failed(&explain(&run, &[("FAIL", fault)]), 1);
    assert!(said.contains(name), "{fault}: {said}");
    assert_eq!(
        said.lines().filter(|l| l.starts_with("foveate: ")).count(),
        1,
        "{fault}: {said}"
    );
    assert!(!run.path("out").exists(), "{fault} leaves nothing");
}

#[test]
fn emulated_launch_failures() {
    for call in [1, 10, 200] {
        ends_with(
            &format!("cuLaunchKernel:{call}:719"),
            "CUDA_ERROR_LAUNCH_FAILED",
        );
    }
    ends_with("cuGraphLaunch:1:719", "CUDA_ERROR_LAUNCH_FAILED");
}

#[test]
fn emulated_lost_device() {
    ends_with("cuMemcpyDtoHAsync_v2:2:46", "CUDA_ERROR_DEVICE_UNAVAILABLE");
    ends_with("cuStreamSynchronize:9:700", "CUDA_ERROR_ILLEGAL_ADDRESS");
    ends_with("cuMemcpyHtoDAsync_v2:30:700", "CUDA_ERROR_ILLEGAL_ADDRESS");
}

#[test]
fn emulated_refused_resources() {
    ends_with("cuModuleLoadData:1:209", "CUDA_ERROR_NO_BINARY_FOR_GPU");
    ends_with("cuStreamCreate:1:999", "CUDA_ERROR_UNKNOWN");
    ends_with("cuMemHostAlloc:1:2", "CUDA_ERROR_OUT_OF_MEMORY");
    ends_with("cuGraphInstantiateWithFlags:1:999", "CUDA_ERROR_UNKNOWN");
}

/// Without memory for a graph, the work is done operation by operation, with the same bits.
#[test]
fn emulated_no_memory_for_a_graph() {
    let run = Run::new();
    succeeded(&explain(&run, &[]));
    let with_graphs = std::fs::read(run.path("out/mask.npy")).unwrap();
    let fault = [("FAIL", "cuGraphInstantiateWithFlags:1:2")];
    succeeded(&explain(&run, &fault));
    let without = std::fs::read(run.path("out/mask.npy")).unwrap();
    assert_eq!(with_graphs, without);
}

/// Memory is refused twice in a row, at any allocation: the second attempt is the one after unused
/// buffers were released.
#[test]
fn emulated_out_of_memory_at_any_allocation() {
    for call in [1, 2, 60, 110, 150] {
        let run = Run::new();
        let fault = format!("cuMemAllocAsync:{call}:2,cuMemAllocAsync:{}:2", call + 1);
        let said = failed(&explain(&run, &[("FAIL", &fault)]), 1);
        assert!(
            said.contains("GPU memory: expected room for "),
            "{fault}: {said}"
        );
        assert!(!run.path("out").exists(), "{fault} leaves nothing");
    }
}

#[test]
fn emulated_small_gpu() {
    let run = Run::new();
    let said = failed(&explain(&run, &[("MEMORY", "400000")]), 1);
    assert!(said.contains("GPU memory: expected room for "), "{said}");
    assert!(!run.path("out").exists());
}

/// A single refusal is recovered from: unused buffers are released, and the allocation is retried.
#[test]
fn emulated_refusal_that_passes() {
    let run = Run::new();
    succeeded(&explain(&run, &[("FAIL", "cuMemAllocAsync:90:2")]));
    assert!(run.path("out/mask.npy").exists());
}
