//! Tests of every kernel against the CPU device, in three schedules, with races and bounds checked;
//! and of the recorded cases.

use foveate::device::cuda::{Cuda, Storage};
use foveate::selftest::{Extent, FAMILIES, family};

use super::emulator::Emulator;
use super::program::{Run, succeeded};

/// The program's kernels, file by file: `gemm gemm_nt_large_bf16`.
const KERNELS: &str = include_str!(concat!(env!("OUT_DIR"), "/kernels.txt"));

/// The checks of the families pass in the default schedule, and run every kernel, though which one
/// runs depends on sizes.
#[test]
fn emulated_checks_run_every_kernel() {
    let emulator = Emulator::load();
    emulator.reset();
    let seed = 4;
    println!("seed {seed}");
    for name in FAMILIES {
        for storage in [Storage::Bf16, Storage::F16] {
            let device = Cuda::new(0, storage).unwrap();
            for check in family(name, &device, storage, Extent::Small, seed).unwrap() {
                assert!(check.passed(), "{check:?}");
            }
        }
    }
    // Families use each other's kernels: log-probabilities those of matrix products.
    for name in FAMILIES {
        // attention.cu and attention_vjp.cu are one family.
        let kernels: Vec<&str> = KERNELS
            .lines()
            .filter_map(|line| line.split_once(' '))
            .filter(|(file, _)| file.trim_end_matches("_vjp") == name)
            .map(|(_, kernel)| kernel)
            .collect();
        assert!(!kernels.is_empty(), "{name} has kernels");
        let idle: Vec<&&str> = kernels.iter().filter(|k| emulator.runs(k) == 0).collect();
        assert!(idle.is_empty(), "{name}: no check runs {idle:?}");
    }
}

/// Checks a family of operations through the program in the schedules that are not the default one,
/// in which [`emulated_checks_run_every_kernel`] has them all.
fn in_other_schedules(family: &str) {
    for (seed, order) in [("2", "random"), ("3", "sequential")] {
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
    in_other_schedules("blend");
}

#[test]
fn emulated_gemm() {
    in_other_schedules("gemm");
}

#[test]
fn emulated_attention() {
    in_other_schedules("attention");
}

#[test]
fn emulated_window() {
    in_other_schedules("window");
}

#[test]
fn emulated_columns() {
    in_other_schedules("columns");
}

#[test]
fn emulated_depthwise() {
    in_other_schedules("depthwise");
}

#[test]
fn emulated_norm() {
    in_other_schedules("norm");
}

#[test]
fn emulated_activation() {
    in_other_schedules("activation");
}

#[test]
fn emulated_rows() {
    in_other_schedules("rows");
}

#[test]
fn emulated_logprob() {
    in_other_schedules("logprob");
}

/// Checks the answer, key tokens, gradients, scores and two runs of a case; see
/// `src/selftest/recorded.rs`.
fn recorded(case: &str) {
    recorded_to(case, "small");
}

/// Also checks graphs on and off, a split batch, and the optimisation to its end.
fn recorded_whole(case: &str) {
    recorded_to(case, "large");
}

fn recorded_to(case: &str, extent: &str) {
    let run = Run::new();
    let arguments = ["selftest", "--only", case, "--extent", extent];
    let printed = succeeded(&run.foveate(&arguments, &[]));
    assert!(printed.contains("checks passed in"), "{printed}");
}

#[test]
fn emulated_recorded_llava_cat() {
    recorded_whole("llava-cat");
}

#[test]
fn emulated_recorded_onevision_wide() {
    recorded_whole("onevision-wide");
}

#[test]
fn emulated_recorded_next_mistral_rocket() {
    recorded("next-mistral-rocket");
}

#[test]
fn emulated_recorded_smolvlm_tall() {
    recorded("smolvlm-tall");
}

#[test]
fn emulated_recorded_internvl_qwen3_small() {
    recorded("internvl-qwen3-small");
}

#[test]
fn emulated_recorded_qwen2_5_vl_small() {
    recorded_whole("qwen2-5-vl-small");
}

#[test]
fn emulated_recorded_qwen3_vl_small() {
    recorded("qwen3-vl-small");
}

#[test]
fn emulated_recorded_gemma3_small() {
    recorded("gemma3-small");
}

#[test]
fn emulated_recorded_mix_mistral_rocket() {
    recorded("mix-mistral-rocket");
}
