"""Times foveate against PyTorch on the same explanation, each in a process of its own, and compares what they find.

    cargo build --release
    python benches/compare_pytorch.py [--work FOLDER] [--repeats 3] [--threads 2] [--json FILE]

The model is a LLaVA of realistic shape with random weights, for timing only: a CLIP ViT (384 wide, 12 of 13 layers
used, 16-pixel patches, 224 pixels) and a Llama decoder of SmolLM2-135M's shape (576 wide, 30 layers, 9 heads on 3
key-value heads, 49152 tokens), bf16, 0.4 GB. It is made once in the folder given by --work; without one, in a temporary
folder that is removed at the end.

Each side explains the answer " The circle is red." and its tokens 2 and 3, with a mask of 16 x 16, 5 steps on each
path, 2 iterations of iGOS+ and no noise: 20 evaluations of the model and of its gradient. PyTorch runs the statement of
the method in tests/oracle/record.py, in f32 with scaled-dot-product attention, one path's steps as one batch. The sides
take turns, so that a machine that slows down slows both.

Seconds of the optimisation alone are each program's own figure. Those of the whole process, and its peak resident
memory (mapped weights included), are measured from outside. For PyTorch, whole includes importing it.

Needs requirements.txt. Without the foveate binary, --only pytorch measures PyTorch alone.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# Only small modules are imported here, the rest where it is used: a child's peak memory, as the system counts it,
# starts from what its parent held when it was started.

ROOT = Path(__file__).resolve().parent.parent
ORACLE = ROOT / "tests" / "oracle"

QUESTION = "What color is the circle?"
ANSWER = " The circle is red."
KEYS = [2, 3]
SIZE, STEPS, ITERATIONS = 16, 5, 2
IMAGE_TOKEN = 3
IMAGE_TOKENS = 196


def make_model(folder, tokenizer_folder):
    """Writes the model to `folder`, with the tokenizer of `tokenizer_folder`; its ids are among the model's 49152."""
    import torch
    from transformers import (
        AutoTokenizer,
        CLIPImageProcessorPil,
        CLIPVisionConfig,
        LlamaConfig,
        LlavaConfig,
        LlavaForConditionalGeneration,
    )

    torch.manual_seed(0)
    vision = CLIPVisionConfig(
        hidden_size=384,
        intermediate_size=1536,
        num_hidden_layers=13,
        num_attention_heads=6,
        image_size=224,
        patch_size=16,
        projection_dim=384,
    )
    text = LlamaConfig(
        vocab_size=49152,
        hidden_size=576,
        intermediate_size=1536,
        num_hidden_layers=30,
        num_attention_heads=9,
        num_key_value_heads=3,
        max_position_embeddings=2048,
        tie_word_embeddings=False,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=IMAGE_TOKEN,
        image_seq_length=IMAGE_TOKENS,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )
    model = LlavaForConditionalGeneration(config).bfloat16()
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(tokenizer_folder).save_pretrained(folder)
    CLIPImageProcessorPil(size={"shortest_edge": 224}, crop_size={"height": 224, "width": 224}).save_pretrained(folder)
    processor = folder / "preprocessor_config.json"
    fields = json.loads(processor.read_text()) | {"image_processor_type": "CLIPImageProcessor"}
    processor.write_text(json.dumps(fields, indent=2) + "\n")


def explain_with_pytorch(model, image, threads, out):
    """Explains in this process; writes the masks after each iteration, losses and seconds to the file `out`, JSON."""
    import torch

    sys.path.insert(0, str(ORACLE))
    import record

    torch.set_num_threads(threads)
    settings = record.Settings(
        model=str(model.resolve()),
        image=str(image.resolve()),
        question=QUESTION,
        answer=ANSWER,
        keys=KEYS,
        size=SIZE,
        steps=STEPS,
        iterations=ITERATIONS,
        f64=False,
    )
    explanation, _, tensors, _ = record.prepare(settings)
    start = time.perf_counter()
    masks, losses = explanation.igos_plus()
    seconds = time.perf_counter() - start
    result = {
        "seconds": seconds,
        "masks": masks.tolist(),
        "losses": losses.tolist(),
        "logp_image": tensors["logp_image"].tolist(),
    }
    out.write_text(json.dumps(result))


def run_measured(command, threads, out, log):
    """Runs a program to its end, its standard output to the file `out`, errors to `log`; measures it from outside."""
    environment = os.environ | {"OMP_NUM_THREADS": str(threads), "MKL_NUM_THREADS": str(threads)}
    with open(out, "wb") as output, open(log, "wb") as errors:
        start = time.perf_counter()
        process = subprocess.Popen([str(part) for part in command], stdout=output, stderr=errors, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        said = Path(log).read_text(errors="replace")[-2000:]
        raise SystemExit(f"{command[0]} ended with {process.returncode}:\n{said}")
    # Linux counts ru_maxrss in kilobytes.
    cpu = usage.ru_utime + usage.ru_stime
    return {"whole_seconds": seconds, "cpu_seconds": cpu, "peak_bytes": usage.ru_maxrss * 1024}


def run_pytorch(arguments, model, work):
    """One measured explanation by PyTorch."""
    out = work / "pytorch.json"
    command = [sys.executable, __file__, "--pytorch-child", out, "--model", model]
    command += ["--image", arguments.image, "--threads", arguments.threads]
    measured = run_measured(command, arguments.threads, work / "pytorch.out", work / "pytorch.log")
    found = json.loads(out.read_text())
    return measured | {"optimisation_seconds": found["seconds"]}, found


def run_foveate(arguments, model, work, iterations=ITERATIONS):
    """One measured explanation by foveate."""
    import numpy as np

    out = work / "foveate"
    shutil.rmtree(out, ignore_errors=True)
    command = [arguments.foveate, "explain", "--model", model, "--image", arguments.image, "--question", QUESTION]
    command += ["--method", "igos+", "--answer", ANSWER, "--keys", ",".join(map(str, KEYS)), "--mask-size", SIZE, "--steps", STEPS]
    command += ["--iterations", iterations, "--noise", 0, "--no-curves", "--device", "cpu", "--threads", arguments.threads]
    command += ["--out", out, "--json", "--quiet"]
    measured = run_measured(command, arguments.threads, work / "foveate.json", work / "foveate.log")
    said = json.loads((work / "foveate.json").read_text())
    seconds = said["cost"]["seconds"]
    found = {
        "mask": np.load(out / "mask.npy").tolist(),
        "losses": [[i["deletion"], i["insertion"], i["regulariser"]] for i in said["iterations"]],
        "logp_image": [token["logp_image"] for token in said["answer"]["tokens"]],
        "stages": seconds,
        "evaluations": said["cost"]["evaluations"],
    }
    optimisation = next((value for stage, value in seconds.items() if stage.startswith("optimi")), None)
    return measured | {"optimisation_seconds": optimisation}, found


def largest_difference(one, other):
    """The largest absolute difference of two nested lists of the same shape."""
    import numpy as np

    return float(np.abs(np.asarray(one, float) - np.asarray(other, float)).max())


def cpu_name():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def version(package):
    from importlib.metadata import version as installed

    return installed(package)


def spread(values):
    """A row's figures: the median, and the least."""
    return f"{statistics.median(values):9.2f} {min(values):9.2f}"


def print_side(name, runs):
    for key, label in (("optimisation_seconds", "optimisation"), ("whole_seconds", "whole process")):
        values = [run[key] for run in runs if run[key] is not None]
        if values:
            print(f"{name:10} {label:16} s   {spread(values)}")
    peak = max(run["peak_bytes"] for run in runs)
    print(f"{name:10} {'peak memory':16} GB  {peak / 1e9:9.2f}")


def report(results):
    """Prints the table."""
    machine = results["machine"]
    print(f"\n{machine['cpu']}, {machine['threads']} threads, {machine['system']}")
    print(", ".join(f"{name} {number}" for name, number in results["versions"].items()))
    print(f"\n{'':31} {'median':>9} {'least':>9}")
    for name in ("pytorch", "foveate"):
        if results[name]:
            print_side(name, results[name])
    if results.get("ratios"):
        print()
        for label, value in results["ratios"].items():
            print(f"{label}: {value:.2f}")
    if results.get("agreement"):
        print()
        for label, value in results["agreement"].items():
            print(f"largest difference, {label}: {value:.1e}")


def ratios(pytorch, foveate):
    """How many times as fast foveate is, by medians."""

    def median(runs, key):
        return statistics.median(run[key] for run in runs)

    optimisation = median(pytorch, "optimisation_seconds")
    whole = median(foveate, "whole_seconds")
    found = {
        "PyTorch's optimisation / foveate's whole process": optimisation / whole,
        "whole process / whole process": median(pytorch, "whole_seconds") / whole,
    }
    if all(run["optimisation_seconds"] is not None for run in foveate):
        found["optimisation / optimisation"] = optimisation / median(foveate, "optimisation_seconds")
    return found


def agreement(pytorch, foveate, first):
    """How far the two sides' findings are apart; `first` is foveate's after one iteration alone."""
    found = {
        "log-probabilities of the answer": largest_difference(pytorch["logp_image"], foveate["logp_image"]),
        "mask after iteration 1": largest_difference(pytorch["masks"][0], first["mask"]),
        f"mask after iteration {ITERATIONS}": largest_difference(pytorch["masks"][-1], foveate["mask"]),
    }
    for i, (one, other) in enumerate(zip(pytorch["losses"], foveate["losses"], strict=True)):
        for name, a, b in zip(("deletion", "insertion", "regulariser"), one, other, strict=True):
            found[f"{name} before iteration {i + 1}"] = abs(a - b)
    return found


def compare(arguments, work):
    """Makes the model where it is missing, runs both sides in turns, and reports."""
    model = work / "bench-model"
    if not (model / "preprocessor_config.json").exists():  # the last file to be written
        command = [sys.executable, __file__, "--make-model", model]
        run_measured(command, arguments.threads, work / "make.out", work / "make.log")
    sides = [side for side in ("pytorch", "foveate") if arguments.only in (None, side)]
    if "foveate" in sides and not arguments.foveate.exists():
        raise SystemExit(f"no {arguments.foveate}: build it with `cargo build --release`, or use --only pytorch")

    runners = {"pytorch": run_pytorch, "foveate": run_foveate}
    results = {
        "machine": {"cpu": cpu_name(), "threads": arguments.threads, "system": platform.platform()},
        "versions": {name: version(name) for name in ("torch", "transformers")},
        "pytorch": [],
        "foveate": [],
    }
    found = {}
    for repeat in range(arguments.repeats):
        for side in sides:
            measured, found[side] = runners[side](arguments, model, work)
            measured["load_average"] = os.getloadavg()[0]
            results[side].append(measured)
            print(
                f"{side} {repeat + 1}/{arguments.repeats}: {measured['whole_seconds']:.2f} s, "
                f"{measured['peak_bytes'] / 1e9:.2f} GB, load {measured['load_average']:.1f}",
                flush=True,
            )
    if "foveate" in sides:
        answer = subprocess.run([arguments.foveate, "--version"], capture_output=True, text=True, check=True)
        results["versions"]["foveate"] = answer.stdout.split()[-1]
        results["foveate_stages"] = found["foveate"]["stages"]
    if len(sides) == 2:
        results["ratios"] = ratios(results["pytorch"], results["foveate"])
        _, first = run_foveate(arguments, model, work, iterations=1)
        results["agreement"] = agreement(found["pytorch"], found["foveate"], first)
    report(results)
    if arguments.json:
        arguments.json.write_text(json.dumps(results, indent=1) + "\n")


def main():
    parser = argparse.ArgumentParser(description="Times foveate against PyTorch on the same explanation.")
    parser.add_argument("--work", type=Path, help="folder for the model and what is written (default: a temporary one)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of each side (default 3)")
    parser.add_argument("--threads", type=int, default=2, help="threads of each side (default 2)")
    parser.add_argument("--only", choices=["pytorch", "foveate"], help="measure one side alone")
    parser.add_argument("--json", type=Path, help="file to write the raw figures to")
    parser.add_argument("--foveate", type=Path, default=ROOT / "target" / "release" / "foveate", help="the binary")
    parser.add_argument("--image", type=Path, default=ORACLE / "images" / "coffee.png", help="the picture")
    # What this program asks of its own children.
    parser.add_argument("--model", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--pytorch-child", type=Path, metavar="OUT", help=argparse.SUPPRESS)
    parser.add_argument("--make-model", type=Path, metavar="FOLDER", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.repeats < 1 or arguments.threads < 1:
        parser.error("--repeats and --threads are at least 1")
    if arguments.make_model:
        make_model(arguments.make_model, ORACLE / "models" / "tiny-llava")
    elif arguments.pytorch_child:
        explain_with_pytorch(arguments.model, arguments.image, arguments.threads, arguments.pytorch_child)
    elif arguments.work:
        arguments.work.mkdir(parents=True, exist_ok=True)
        compare(arguments, arguments.work)
    else:
        with tempfile.TemporaryDirectory(prefix="foveate-bench-") as folder:
            compare(arguments, Path(folder))


if __name__ == "__main__":
    main()
