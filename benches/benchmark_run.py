"""Runs a made-up benchmark of drawn scenes through `foveate run`, in the layouts of four published ones, and measures the run.

    cargo build --release
    pip install numpy opencv-python-headless
    python benches/benchmark_run.py [--count 200] [--kills 50] [--json FILE]

1. Whole: the scenes as MMVP, CV-Bench, MMStar and LLaVA-Bench have their files, each asked open-ended and as multiple choice,
   with the built-in model and quick settings.
2. Kills: one of them killed (SIGKILL) at random moments and started again each time, then compared byte by byte with the run that
   was not interrupted.
3. Throughput: the seconds that the samples of a run take, beside those that `foveate explain` gives for the same samples, each in a
   process of its own; start and loading of the model not counted.
4. Resume: the seconds after which a finished run of 10,000 records says that there is nothing to do, made by repeating records.
5. Memory: the peak of a process that explains all of the scenes, beside that of one which explains a tenth.
"""

import argparse
import base64
import csv
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FOVEATE = ROOT / "target" / "release" / "foveate"
QUICK = "--device cpu --mask-size 8 --steps 2 --iterations 2 --no-curves --max-new-tokens 12".split()


def foveate(*arguments, code=0):
    """Runs the program; returns its seconds."""
    start = time.monotonic()
    ended = subprocess.run([FOVEATE, *map(str, arguments)], capture_output=True, text=True)
    seconds = time.monotonic() - start
    if ended.returncode != code:
        sys.exit(f"{' '.join(map(str, arguments))}: exit code {ended.returncode}\n{ended.stdout}{ended.stderr}")
    return seconds


def lines(file):
    return [json.loads(line) for line in file.read_text().splitlines()]


def write_lines(file, rows):
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def draw(folder, count):
    """Scenes with one question each; the wrong option is another question's right word."""
    script = ROOT / "assets" / "demo" / "scenes.py"
    subprocess.run([sys.executable, script, folder, "--count", str(count), "--seed", "9000"], check=True, stdout=subprocess.DEVNULL)
    scenes = []
    for scene in json.loads((folder / "scenes.json").read_text()):
        question = scene["questions"][0]
        scenes.append({"picture": folder / scene["picture"], "question": question["question"], "word": question["key_words"][0]})
        scenes[-1] |= {"answer": question["answer"], "box": question["box"]}
    generator = random.Random(1)
    for scene in scenes:
        other = generator.choice([s["word"] for s in scenes if s["word"] != scene["word"]])
        scene["options"] = [scene["word"], other]
        generator.shuffle(scene["options"])
        scene["letter"] = "AB"[scene["options"].index(scene["word"])]
    return scenes


def mmvp(folder, scenes):
    pictures = folder / "MMVP Images"
    pictures.mkdir(parents=True)
    with open(folder / "Questions.csv", "w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["Index", "Question", "Options", "Correct Answer"])
        for number, scene in enumerate(scenes, 1):
            a, b = scene["options"]
            table.writerow([number, scene["question"], f"(a) {a} (b) {b}", f"({scene['letter'].lower()})"])
            shutil.copy(scene["picture"], pictures / f"{number}.jpg")
    return ["--data", folder / "Questions.csv"]


def cv_bench(folder, scenes):
    rows = []
    for number, scene in enumerate(scenes):
        a, b = scene["options"]
        name = f"img/2D/{number}.png"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(scene["picture"], folder / name)
        rows.append({"idx": number, "type": "2D", "task": "Color", "question": scene["question"], "choices": scene["options"]})
        rows[-1] |= {"answer": f"({scene['letter']})", "prompt": f"{scene['question']} (A) {a} (B) {b}", "filename": name}
        rows[-1] |= {"source": "drawn", "source_dataset": "drawn", "source_filename": scene["picture"].name}
        rows[-1] |= {"target_class": None, "target_size": None, "bbox": [scene["box"]]}
    write_lines(folder / "test_2d.jsonl", rows)
    return ["--data", folder / "test_2d.jsonl"]


def mmstar(folder, scenes):
    folder.mkdir(parents=True)
    with open(folder / "mmstar.tsv", "w", newline="") as file:
        table = csv.writer(file, delimiter="\t")
        table.writerow(["index", "question", "image", "answer", "category", "l2_category", "meta_info"])
        for number, scene in enumerate(scenes):
            a, b = scene["options"]
            picture = base64.b64encode(scene["picture"].read_bytes()).decode()
            question = f"{scene['question']}\nOptions: A: {a}, B: {b}"
            table.writerow([number, question, picture, scene["letter"], "coarse perception", "drawn", "{}"])
    return ["--data", folder / "mmstar.tsv"]


def llava_bench(folder, scenes):
    rows = []
    for number, scene in enumerate(scenes):
        rows.append({"question_id": number, "image": f"{number:03}.png", "text": scene["question"], "category": "conv"})
        (folder / "images").mkdir(parents=True, exist_ok=True)
        shutil.copy(scene["picture"], folder / "images" / f"{number:03}.png")
    write_lines(folder / "questions.jsonl", rows)
    return ["--data", folder / "questions.jsonl", "--images", folder / "images"]


def table(folder, scenes, count):
    rows = [{"id": n, "image": str(s["picture"]), "question": s["question"], "answer": s["answer"], "boxes": [s["box"]]}
            for n, s in ((n, scenes[n % len(scenes)]) for n in range(count))]
    write_lines(folder / "data.jsonl", rows)
    return ["--data", folder / "data.jsonl"]


def whole(work, scenes):
    found = {}
    for make in (mmvp, cv_bench, mmstar, llava_bench):
        data = make(work / make.__name__, scenes)
        for ask in ("open", "choice"):
            out = work / f"{make.__name__}-{ask}"
            seconds = foveate("run", *data, "--ask", ask, "--out", out, *QUICK)
            records = lines(out / "records.jsonl")
            judged = [r["judgement"]["correct"] for r in records if "judgement" in r]
            found[f"{make.__name__}, {ask}"] = {
                "seconds": round(seconds, 1),
                "records": len(records),
                "errors": sum("error" in r for r in records),
                "with boxes": sum("boxes" in r for r in records),
                "judged": len(judged),
                "right": sum(judged),
                "layout": json.loads((out / "run.json").read_text())["data"]["layout"],
            }
            print(f"{make.__name__}, {ask}: {found[f'{make.__name__}, {ask}']}", flush=True)
    return found


def kills(work, scenes, count):
    data = table(work / "killed", scenes, len(scenes))
    whole, killed = work / "killed" / "whole", work / "killed" / "out"
    seconds = foveate("run", *data, "--out", whole, *QUICK)
    seed = random.randrange(1 << 32)
    generator = random.Random(seed)
    done, each = [], 2 * seconds / count
    while len(done) < count:
        child = subprocess.Popen([FOVEATE, "run", *map(str, data), "--out", str(killed), *QUICK], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(generator.uniform(0, each))
        child.kill()
        child.wait()
        file = killed / "records.jsonl"
        done.append(file.read_bytes().count(b"\n") if file.exists() else 0)
        if len(done) > 1 and done[-1] < done[-2]:
            sys.exit(f"seed {seed}: {done[-1]} records after {done[-2]}")
    foveate("run", *data, "--out", killed, *QUICK)
    same = all((whole / name).read_bytes() == (killed / name).read_bytes() for name in ("run.json", "records.jsonl", "masks-00000.f32"))
    moments = sum(a != b for a, b in zip(done, done[1:]))
    found = {"seed": seed, "kills": count, "samples": len(scenes), "records after each": done, "kills behind new records": moments, "same bytes": same}
    print(f"kills: {found}", flush=True)
    return found


def throughput(work, scenes, count):
    """Means over the same samples, with default settings but few iterations, so that a sample takes about a second."""
    options = "--device cpu --iterations 4 --no-curves".split()
    scenes = scenes[:count]
    data = table(work / "throughput", scenes, count)
    start = time.monotonic()
    foveate("run", *data, "--out", work / "throughput" / "out", *options)
    elapsed = time.monotonic() - start
    timings = [row for row in lines(work / "throughput" / "out" / "timings.jsonl") if "index" in row]
    # From the first sample's start to the last one's end: what the process did, less its start.
    ran = sum(sum(seconds for _, seconds in row["seconds"]) + row["wait"] for row in timings[1:])
    explained = []
    for number, scene in enumerate(scenes):
        out = work / "throughput" / f"explain-{number}"
        foveate("explain", "--image", scene["picture"], "--question", scene["question"], "--seed", number, "--out", out, *options)
        seconds = json.loads((out / "explanation.json").read_text())["cost"]["seconds"]
        explained.append(sum(value for stage, value in seconds.items() if stage != "load"))
    alone = sum(explained[1:])
    found = {
        "samples": count - 1,
        "run, seconds": round(ran, 3),
        "explain, seconds": round(alone, 3),
        "throughput of run over that of explain": round(alone / ran, 3),
        "whole process of run, seconds": round(elapsed, 3),
    }
    print(f"throughput: {found}", flush=True)
    return found


def resume(work, scenes, count):
    """A finished run of many records, made of a real run's first one."""
    folder = work / "many"
    data = table(folder, scenes, count)
    out = folder / "out"
    child = subprocess.Popen([FOVEATE, "run", *map(str, data), "--out", str(out), *QUICK], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (out / "records.jsonl").exists() or b"\n" not in (out / "records.jsonl").read_bytes():
        time.sleep(0.01)
    child.kill()
    child.wait()
    record = lines(out / "records.jsonl")[0]
    size = record["mask"]["size"] ** 2 * 4
    mask = (out / "masks-00000.f32").read_bytes()[:size]
    assert zlib.crc32(mask) == record["mask"]["crc32"]
    rows = []
    for number in range(count):
        rows.append(record | {"index": number, "id": str(number), "mask": record["mask"] | {"offset": number * size}})
    write_lines(out / "records.jsonl", rows)
    (out / "masks-00000.f32").write_bytes(mask * count)
    seconds = foveate("run", *data, "--out", out, *QUICK)
    found = {"records": count, "megabytes": round((out / "records.jsonl").stat().st_size / 1e6, 1), "seconds": round(seconds, 3)}
    print(f"resume: {found}", flush=True)
    return found


def memory(work, scenes):
    found = {}
    for count in (max(len(scenes) // 10, 2), len(scenes)):
        data = table(work / f"memory-{count}", scenes, count)
        out = work / f"memory-{count}" / "out"
        foveate("run", *data, "--out", out, *QUICK)
        found[f"{count} samples, bytes"] = lines(out / "timings.jsonl")[-1]["peak_memory_bytes"]
    print(f"memory: {found}", flush=True)
    return found


def processor():
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.processor()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=200, help="scenes (default 200)")
    parser.add_argument("--kills", type=int, default=50, help="kills (default 50)")
    parser.add_argument("--records", type=int, default=10_000, help="records of the run that is resumed (default 10000)")
    parser.add_argument("--foveate", type=Path, help="the program (default target/release/foveate)")
    parser.add_argument("--json", type=Path, help="file for the results")
    arguments = parser.parse_args()
    global FOVEATE
    FOVEATE = arguments.foveate or FOVEATE
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        scenes = draw(work / "scenes", arguments.count)
        results = {
            "machine": {"processor": processor(), "cores": os.cpu_count(), "system": platform.platform()},
            "whole": whole(work, scenes),
            "kills": kills(work, scenes, arguments.kills),
            "throughput": throughput(work, scenes, min(arguments.count, 20)),
            "resume": resume(work, scenes, arguments.records),
            "memory": memory(work, scenes),
        }
    if arguments.json:
        arguments.json.parent.mkdir(parents=True, exist_ok=True)
        arguments.json.write_text(json.dumps(results, indent=2) + "\n")


if __name__ == "__main__":
    main()
