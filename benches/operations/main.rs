//! Benches of every operation of every device at the shapes of whole models, from the table of
//! workloads that `foveate selftest` also measures: of a small LLaVA on the CPU, and if there is a
//! GPU, of LLaVA-1.5-7B and LLaVA-OneVision-0.5B on `cuda:0`, in f16, with products and attention
//! also in bf16.
//!
//! `cargo bench --bench operations -- gemm` runs one family, `'gemm/cpu'` on one device. With
//! `--test` every bench is run once, at shapes small enough for any machine.

use criterion::{Criterion, Throughput};
use foveate::device::cuda::{self, Storage};
use foveate::selftest::throughput::shapes::{
    LLAVA_1_5_7B, LLAVA_ONEVISION_0_5B, SMALL, Shapes, TINY,
};
use foveate::selftest::throughput::{
    Limit, Operands, Pool, TENSOR_CORES, Timed, families, pool, workloads,
};
use foveate::{Cpu, Cuda};

fn main() {
    let mut c = Criterion::default().sample_size(20).configure_from_args();
    let (on_cpu, on_gpu): (&[&'static Shapes], &[&'static Shapes]) = if is_test() {
        (&[&TINY], &[&TINY])
    } else {
        (&[&SMALL], &[&LLAVA_1_5_7B, &LLAVA_ONEVISION_0_5B])
    };
    let numbers = |shapes| pool(shapes, 0).expect("the built-in model is whole");
    let cpu = Cpu::<f32>::new(0).expect("threads");
    for &shapes in on_cpu {
        benches(&mut c, &families(), "cpu", &cpu, &numbers(shapes), shapes);
    }
    match gpu() {
        Ok(()) => {
            let open = |storage| Cuda::new(0, storage).expect("the GPU can be used");
            // One after the other: a device keeps its memory for reuse until it is dropped.
            for &shapes in on_gpu {
                let numbers = numbers(shapes);
                let f16 = open(Storage::F16);
                benches(&mut c, &families(), "cuda:0 f16", &f16, &numbers, shapes);
                drop(f16);
                let bf16 = open(Storage::Bf16);
                benches(
                    &mut c,
                    &TENSOR_CORES,
                    "cuda:0 bf16",
                    &bf16,
                    &numbers,
                    shapes,
                );
            }
        }
        Err(reason) => eprintln!("cuda:0 is left out: {reason}"),
    }
    c.final_summary();
}

/// Adds the benches of some families: `family/device/model/operation`.
fn benches<D: Timed>(
    c: &mut Criterion,
    families: &[&str],
    label: &str,
    device: &D,
    pool: &Pool,
    shapes: &'static Shapes,
) {
    for family in families {
        let mut group = c.benchmark_group(format!("{family}/{label}/{}", shapes.name));
        for workload in workloads(family, Operands { device, pool }, shapes) {
            group.throughput(match workload.limit {
                Limit::Products => Throughput::Elements(workload.cost.operations as u64),
                Limit::Copies | Limit::Latency => Throughput::Bytes(workload.cost.bytes as u64),
            });
            let mut prepared = None;
            group.bench_function(workload.name.as_str(), |b| {
                let prepared = prepared.get_or_insert_with(|| {
                    workload.prepare().expect("the operands fit the device")
                });
                b.iter_custom(|count| prepared.time(count).expect("the operation succeeds"));
            });
        }
        group.finish();
    }
}

/// Returns whether criterion runs every bench once as a test: by its own rule, with `--test` or
/// without cargo's `--bench`.
fn is_test() -> bool {
    let asked = |name: &str| std::env::args().any(|argument| argument == name);
    asked("--test") || !asked("--bench")
}

/// Checks that `cuda:0` can be used; otherwise returns the reason.
fn gpu() -> Result<(), String> {
    let gpus = cuda::gpus()?;
    match gpus.first().and_then(|gpu| gpu.unusable.clone()) {
        Some(reason) => Err(reason),
        None => Ok(()),
    }
}
