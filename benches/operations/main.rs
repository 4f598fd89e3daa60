//! Every operation of every device at the shapes of whole models, one file per family: of a small LLaVA on the CPU, and where there
//! is a GPU, of LLaVA-1.5-7B and LLaVA-OneVision-0.5B on `cuda:0`, in f16, products and attention in bf16 too.
//!
//! `cargo bench --bench operations -- gemm` runs one family, `'gemm/cpu'` on one device. With `--test` every bench is run once, at
//! shapes small enough for any machine.

mod activation;
mod attention;
mod blend;
mod device;
mod gemm;
mod logprob;
mod norm;
mod recording;
mod rows;
mod shapes;

use criterion::Criterion;
use foveate::device::cuda::{self, Storage};
use foveate::{Cpu, Cuda};

use device::Timed;
use shapes::{LLAVA_1_5_7B, LLAVA_ONEVISION_0_5B, SMALL, Shapes, TINY};

fn main() {
    let mut c = Criterion::default().sample_size(20).configure_from_args();
    let (on_cpu, on_gpu): (&[Shapes], &[Shapes]) = if is_test() {
        (&[TINY], &[TINY])
    } else {
        (&[SMALL], &[LLAVA_1_5_7B, LLAVA_ONEVISION_0_5B])
    };
    let cpu = Cpu::<f32>::new(0).expect("threads");
    for shapes in on_cpu {
        products(&mut c, &cpu, shapes);
        others(&mut c, &cpu, shapes);
    }
    match gpu() {
        Ok(()) => {
            let open = |storage| Cuda::new(0, storage).expect("the GPU can be used");
            // One after the other: a device keeps its memory for reuse until it is dropped.
            for shapes in on_gpu {
                let f16 = open(Storage::F16);
                products(&mut c, &f16, shapes);
                others(&mut c, &f16, shapes);
                drop(f16);
                products(&mut c, &open(Storage::Bf16), shapes);
            }
        }
        Err(reason) => eprintln!("cuda:0 is left out: {reason}"),
    }
    c.final_summary();
}

/// Families on the matrix units, whose speed may depend on the storage type.
fn products<D: Timed>(c: &mut Criterion, device: &D, shapes: &Shapes) {
    gemm::benches(c, device, shapes);
    attention::benches(c, device, shapes);
}

/// All other families.
fn others<D: Timed>(c: &mut Criterion, device: &D, shapes: &Shapes) {
    blend::benches(c, device, shapes);
    norm::benches(c, device, shapes);
    activation::benches(c, device, shapes);
    rows::benches(c, device, shapes);
    logprob::benches(c, device, shapes);
    recording::benches(c, device, shapes);
}

/// Whether criterion runs every bench once, to see whether it works: by its own rule, with `--test` or unless cargo asks to bench.
fn is_test() -> bool {
    let asked = |name: &str| std::env::args().any(|argument| argument == name);
    asked("--test") || !asked("--bench")
}

/// Succeeds when `cuda:0` can be used; else a line that says why not.
fn gpu() -> Result<(), String> {
    let gpus = cuda::gpus()?;
    match gpus.first().and_then(|gpu| gpu.unusable.clone()) {
        Some(reason) => Err(reason),
        None => Ok(()),
    }
}
