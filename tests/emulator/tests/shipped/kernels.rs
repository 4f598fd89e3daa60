//! Every kernel against the CPU device, in three schedules, with races and bounds checked; and the recorded cases whole.

use super::program::{Run, succeeded};

fn in_three_schedules(family: &str) {
    for (seed, order) in [("1", "pct"), ("2", "random"), ("3", "sequential")] {
        println!("seed {seed}, order {order}");
        let arguments = [
            "selftest", "--extent", "small", "--only", family, "--seed", seed,
        ];
        let run = Run::new();
        let output = run.foveate(&arguments, &[("SEED", seed), ("ORDER", order)]);
        let printed = succeeded(&output);
        assert!(printed.contains("checks passed in"), "{printed}");
    }
}

#[test]
fn emulated_blend() {
    in_three_schedules("blend");
}

#[test]
fn emulated_gemm() {
    in_three_schedules("gemm");
}

#[test]
fn emulated_attention() {
    in_three_schedules("attention");
}

#[test]
fn emulated_norm() {
    in_three_schedules("norm");
}

#[test]
fn emulated_activation() {
    in_three_schedules("activation");
}

#[test]
fn emulated_rows() {
    in_three_schedules("rows");
}

#[test]
fn emulated_logprob() {
    in_three_schedules("logprob");
}

/// The answer, key tokens, gradients, scores, two runs, graphs on and off, and a cut batch; see `src/selftest/recorded.rs`.
fn recorded(case: &str) {
    let run = Run::new();
    let printed = succeeded(&run.foveate(&["selftest", "--only", case], &[]));
    assert!(printed.contains("checks passed in"), "{printed}");
}

#[test]
fn emulated_recorded_llava_cat() {
    recorded("llava-cat");
}

#[test]
fn emulated_recorded_llava_coffee() {
    recorded("llava-coffee");
}

#[test]
fn emulated_recorded_llava_gqa_rocket() {
    recorded("llava-gqa-rocket");
}

#[test]
fn emulated_recorded_llava_variant_cat() {
    recorded("llava-variant-cat");
}
