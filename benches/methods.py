"""Compares every attribution method on scenes whose evidence is known: quality by each metric, with intervals, and cost.

    cargo build --release
    pip install -r assets/yardsticks/requirements.txt
    python benches/methods.py OUT                                     100 scenes of every model, all methods: hours
    python benches/methods.py OUT --count 4 --models demo --methods igos+,fovea

Each method runs with its own defaults through `foveate run` on the same questions, whose answers the model has right, and
`foveate analyse` measures the maps (docs/metrics.md). What is finished is not done again: an interrupted command goes on where it
was. Writes OUT/methods.md, OUT/methods.json and OUT/methods.png (cost and quality).

Only questions whose evidence the model itself confirms take part (assets/yardsticks/check.py): without it the answer changes, with
it alone the answer stays.

The models are the built-in one and those in assets/yardsticks. Their scenes have seeds from 5000; settings were chosen on other
seeds, from 1 000 000 (assets/yardsticks/README.md).
"""

import argparse
import json
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
SEED = 5000
RESAMPLES = 10_000
# Settings that are compared beside the defaults: the options, and the evaluations with gradient.
VARIANTS = {
    "igos+ lr 1": (["--method", "igos+", "--lr", "1"], 100),
    "fovea draft": (["--quality", "draft"], 6),
    "fovea high": (["--quality", "high"], 60),
}
# The name of a metric in the table; its value for a sample of analysis.json, and whether it is a share of samples.
METRICS = {
    "peak": (lambda s: s["pointing"]["peak"], True),
    "mass": (lambda s: s["pointing"]["mass"], False),
    "AUPRC": (lambda s: s["pointing"]["auprc"], False),
    "deletion": (lambda s: s["deletion"], False),
    "insertion": (lambda s: s["insertion"], False),
    "ins - del": (lambda s: s["insertion"] - s["deletion"], False),
    "flipped": (lambda s: s["flipped"], True),
    "kept": (lambda s: s["kept"], True),
    "region": (lambda s: s["region"], False),
}


def command(*arguments, **options):
    """Runs a command, and ends with its output if it fails; 3 says that a run is finished and some samples failed."""
    ended = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, **options)
    if ended.returncode not in (0, 3):
        sys.exit(f"{' '.join(map(str, arguments))}: exit code {ended.returncode}\n{ended.stdout}{ended.stderr}")
    return ended.stdout


def models():
    """The models by name: the folder, and the program that draws its scenes."""
    found = {"demo": (ROOT / "assets/demo/model", [ROOT / "assets/demo/scenes.py"])}
    for file in sorted((ROOT / "assets/yardsticks/models").glob("*/config.json")):
        name = file.parent.name
        found[name] = (file.parent, [ROOT / "assets/yardsticks/scenes.py", name])
    return found


def questions(place, model, draw, count):
    """Draws the scenes, once, and writes those of their questions that hold as data of `foveate run`."""
    drawn, kept, data = place / f"drawn-{count}", place / f"scenes-{count}", place / f"data-{count}.jsonl"
    if not data.exists():
        command(sys.executable, *draw, drawn, "--count", count, "--seed", SEED)
        checked = command(sys.executable, ROOT / "assets/yardsticks/check.py", model, drawn, "--keep", kept)
        (place / f"check-{count}.txt").write_text(checked)
        rows = []
        for scene in json.loads((kept / "scenes.json").read_text()):
            for question in scene["questions"]:
                if "evidence" in question:
                    row = {"image": scene["picture"], "evidence": question["evidence"], "boxes": question["box"]}
                    row |= {"question": question["question"], "answer": question["answer"], "kind": question.get("kind", "object")}
                    rows.append(row)
        data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return data


def estimate(values, share):
    """The mean of values and its 95 % interval: of a share Wilson's, of a number the percentile bootstrap's."""
    values = np.asarray(values, float)
    n, mean = len(values), values.mean()
    if share:
        z = 1.959964
        middle, half = mean + z * z / (2 * n), z * np.sqrt(mean * (1 - mean) / n + z * z / (4 * n * n))
        low, high = (middle - half) / (1 + z * z / n), (middle + half) / (1 + z * z / n)
    else:
        draws = np.random.default_rng(0).integers(0, n, (RESAMPLES, n))
        low, high = np.quantile(values[draws].mean(1), [0.025, 0.975])
    return {"n": n, "mean": mean, "low": low, "high": high}


def measured(run, out, foveate):
    """The samples of a run that have a map and whose answer is not wrong, with the seconds that the map took."""
    command(foveate, "analyse", run, "--out", out, "--resamples", 100)
    analysis = json.loads((out / "analysis.json").read_text())
    timings = [json.loads(line) for line in (run / "timings.jsonl").read_text().splitlines()]
    seconds = {t["index"]: dict(t["seconds"]).get("optimise") for t in timings if "index" in t}
    samples = []
    for sample in analysis["samples"]:
        # Answers of more than six words are not judged; that they are right has been checked.
        if sample.get("correct") is not False and sample.get("pointing"):
            samples.append(sample | {"seconds": seconds.get(sample["index"])})
    return samples


def by_kind(samples, kinds):
    """The area under the precision-recall curve for each kind of question."""
    found = {}
    for sample in samples:
        found.setdefault(kinds[sample["index"]], []).append(sample["pointing"]["auprc"])
    return {kind: estimate(values, False) for kind, values in sorted(found.items())}


def row(samples):
    """The metrics of a method on a model."""
    found = {}
    for name, (value, share) in METRICS.items():
        values = []
        for sample in samples:
            try:
                values.append(value(sample))
            except KeyError:
                continue
        if len(values) >= 2:
            found[name] = estimate(values, share)
    return found


def cell(figure):
    return f"{figure['mean']:.2f} [{figure['low']:.2f}, {figure['high']:.2f}]" if figure else "-"


def table(results):
    lines = []
    for model, methods in results.items():
        lines += [f"### {model}", "", "| method | evaluations | n | " + " | ".join(METRICS) + " |", "|---" * (len(METRICS) + 3) + "|"]
        for method, result in methods.items():
            cells = [cell(result["metrics"].get(name)) for name in METRICS]
            lines.append(f"| `{method}` | {result['evaluations']} | {result['n']} | " + " | ".join(cells) + " |")
        kinds = sorted({k for result in methods.values() for k in result["kinds"]})
        if len(kinds) > 1:
            lines += ["", "AUPRC by kind of question:", "", "| method | " + " | ".join(kinds) + " |", "|---" * (len(kinds) + 1) + "|"]
            for method, result in methods.items():
                lines.append(f"| `{method}` | " + " | ".join(cell(result["kinds"].get(k)) for k in kinds) + " |")
        lines.append("")
    return "\n".join(lines)


def plot(results, file):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    names = sorted({method for methods in results.values() for method in methods})
    colors = dict(zip(names, pyplot.colormaps["tab20"].colors))
    figure, axes = pyplot.subplots(2, len(results), figsize=(5 * len(results), 9), squeeze=False, sharex=True, sharey="row")
    for column, (model, methods) in enumerate(results.items()):
        for axis, metric in zip(axes[:, column], ["AUPRC", "ins - del"]):
            for method, result in methods.items():
                quality = result["metrics"].get(metric)
                if quality:
                    span = [[quality["mean"] - quality["low"]], [quality["high"] - quality["mean"]]]
                    axis.errorbar(result["evaluations"], quality["mean"], yerr=span, fmt="o", capsize=3, color=colors[method])
                    axis.annotate(method, (result["evaluations"], quality["mean"]), xytext=(5, 4), textcoords="offset points")
            axis.set(title=model, xscale="log", xlabel="evaluations of the map", ylabel=metric)
            axis.xaxis.set_major_formatter("{x:g}")
            axis.margins(x=0.15)
            axis.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(file, dpi=130)


def main():
    parser = argparse.ArgumentParser(description="Compares every attribution method on scenes whose evidence is known.")
    parser.add_argument("out", type=Path, help="folder of the scenes, the runs and the table")
    parser.add_argument("--models", help="names, by comma (default: all)")
    parser.add_argument("--methods", help="names, by comma (default: all of `foveate methods`)")
    parser.add_argument("--count", type=int, default=100, help="scenes of each model")
    parser.add_argument("--foveate", type=Path, default=ROOT / "target/release/foveate")
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()

    listed = {m["name"]: m for m in json.loads(command(arguments.foveate, "methods", "--json"))}
    methods = arguments.methods.split(",") if arguments.methods else [*listed, *VARIANTS]
    known = models()
    results = {}
    for model in arguments.models.split(",") if arguments.models else known:
        folder, draw = known[model]
        place = arguments.out / model
        place.mkdir(parents=True, exist_ok=True)
        data = questions(place, folder, draw, arguments.count)
        kinds = [json.loads(line)["kind"] for line in data.read_text().splitlines()]
        results[model] = {}
        for method in methods:
            settings, evaluations = VARIANTS.get(method, (["--method", method], None))
            run = place / f"{method}-{arguments.count}".replace(" ", "-")
            options = ["--data", data, "--images", place / f"scenes-{arguments.count}", "--out", run, "--quiet"]
            options += ["--evidence-column", "evidence", "--device", arguments.device]
            options += ["--model", folder, *settings]
            command(arguments.foveate, "run", *options)
            samples = measured(run, place / f"{run.name}-analysis", arguments.foveate)
            seconds = [s["seconds"] for s in samples if s["seconds"] is not None]
            cost = {"gradients": evaluations, "forwards": 0} if evaluations else listed[method]["evaluations"]
            results[model][method] = {
                "n": len(samples),
                "gradients": cost["gradients"],
                "evaluations": cost["gradients"] + cost["forwards"],
                "seconds_per_map": float(np.median(seconds)) if seconds else None,
                "metrics": row(samples),
                "kinds": by_kind(samples, kinds),
            }
            print(f"{model} {method}: {len(samples)} answers", flush=True)
    report = {"machine": platform.processor() or platform.machine(), "count": arguments.count, "seed": SEED, "results": results}
    (arguments.out / "methods.json").write_text(json.dumps(report, indent=1))
    (arguments.out / "methods.md").write_text(table(results))
    plot(results, arguments.out / "methods.png")


if __name__ == "__main__":
    main()
