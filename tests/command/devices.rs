//! Devices that are not there, and the self-test.

use super::*;

#[test]
fn a_gpu_that_is_not_there_is_refused_in_one_line() {
    let run = Run::new();
    let devices = succeeded(&run.foveate(&["devices"]));
    assert!(devices.starts_with("cpu: "), "{devices}");
    for name in ["gpu", "cuda:", "cuda:x", "cuda:-1"] {
        let refused = run.explain("out", &["--device", name]);
        run.refused(&refused, 2, &["--device", "expected auto, cpu, or cuda:N"]);
    }
    // No machine has that many; without any GPU, the reason is the one that `devices` prints.
    let refused = run.explain("out", &["--device", "cuda:4096"]);
    run.refused(&refused, 2, &["foveate: cuda:4096: "]);
    let text = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert_eq!(text.lines().count(), 1, "{text}");
    if let Some(reason) = devices.lines().find_map(|l| l.strip_prefix("no GPU: ")) {
        assert!(text.contains(reason), "{text}");
    }
}

#[test]
fn auto_without_a_gpu_is_the_processor() {
    let run = Run::new();
    if succeeded(&run.foveate(&["devices"])).contains("cuda:") {
        return;
    }
    let output = run.explain("out", &["--device", "auto", "--verbose"]);
    succeeded(&output);
    assert_eq!(run.record("out")["device"], "cpu");
    assert_eq!(run.record("out")["dtype"], "f32");
    let notes = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(notes.contains("no GPU: "), "{notes}");
}

#[test]
fn a_selftest_of_no_gpu_or_of_nothing_is_refused() {
    let run = Run::new();
    for device in ["cpu", "auto"] {
        let refused = run.foveate(&["selftest", "--device", device]);
        run.refused(&refused, 2, &["--device: expected a GPU, cuda:N"]);
    }
    let refused = run.foveate(&["selftest", "--only", "gemm,convolution"]);
    run.refused(
        &refused,
        2,
        &["--only: expected some of blend, gemm, ", "convolution"],
    );
}
