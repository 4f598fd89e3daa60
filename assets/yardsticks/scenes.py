"""Draws fresh scenes of a yardstick, with questions and the pixels that are the evidence for each answer.

    python scenes.py shapes OUT --count 100 --seed 5000 [--kinds color,where]

writes OUT/0000.png, ... and OUT/scenes.json in the format of assets/demo/scenes.py, where each question has three more fields:

    "kind"      the kind of question
    "box"       the box around all of the evidence, in pixels of the picture
    "evidence"  a mask beside the picture, "0000-0.png" for the first question of the first picture: u8 grey of the picture's
                size, 255 where the picture is evidence for the answer and 0 elsewhere

The evidence of an answer about objects is every pixel that they touch; that of an answer about the ground is every other pixel.
Seeds below 1 000 000 are for reports, those from there on for tuning; training uses other streams.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np

import shapes
import signs
import tiles

SCENES = {"shapes": shapes, "reading": signs, "tiles": tiles}


def evidence(scene, question):
    """The pixels that an answer depends on, bool, as large as the picture; None if it depends on none."""
    covered = np.zeros(scene.image.shape[:2], bool)
    if question.ground:
        for item in scene.objects:
            covered |= item["mask"]
        return ~covered
    for index in question.objects:
        covered |= scene.objects[index]["mask"]
    return covered if covered.any() else None


def hull(mask):
    """The box around the pixels of a mask: [x0, y0, x1, y1]."""
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    return [float(columns[0]), float(rows[0]), float(columns[-1] + 1), float(rows[-1] + 1)]


def entry(module, picture, seed, kinds):
    """Scene number `seed`: pixels, its entry of scenes.json, and the masks of its questions' evidence by file name.

    Every kind draws from a stream of its own, so leaving one out does not change the others.
    """
    scene = module.scene(np.random.default_rng(seed))
    questions, masks = [], {}
    for kind in kinds:
        asked = module.question(np.random.default_rng([seed, module.KINDS.index(kind)]), scene, kind)
        if asked is None:
            continue
        described = {"kind": asked.kind, "question": asked.text, "answer": asked.answer, "key_words": asked.key_words}
        mask = evidence(scene, asked)
        if mask is not None:
            name = f"{Path(picture).stem}-{len(questions)}.png"
            masks[name] = mask
            described |= {"box": hull(mask), "evidence": name}
        questions.append(described)
    objects = [{k: o[k] for k in ("shape", "color", "text", "box") if k in o} for o in scene.objects]
    return scene.image, {"picture": picture, "seed": seed, "objects": objects, "questions": questions}, masks


def write(module, folder, seeds, kinds):
    """Writes scenes and their scenes.json; returns the entries."""
    folder.mkdir(parents=True, exist_ok=True)
    entries = []
    for k, seed in enumerate(seeds):
        image, described, masks = entry(module, f"{k:04}.png", seed, kinds)
        files = {described["picture"]: image[:, :, ::-1]}  # OpenCV writes BGR
        files |= {name: mask.astype(np.uint8) * 255 for name, mask in masks.items()}
        for name, values in files.items():
            if not cv2.imwrite(str(folder / name), values):
                raise SystemExit(f"cannot write {folder / name}")
        entries.append(described)
    (folder / "scenes.json").write_text(json.dumps(entries, indent=1) + "\n")
    return entries


def main():
    parser = argparse.ArgumentParser(description="Draws fresh scenes of a yardstick, with questions and their evidence.")
    parser.add_argument("name", choices=list(SCENES))
    parser.add_argument("out", type=Path, help="folder to write to; made when missing")
    parser.add_argument("--count", type=int, default=100, help="how many scenes (default 100)")
    parser.add_argument("--seed", type=int, default=5000, help="seed of the first, and 1 more for each (default 5000)")
    parser.add_argument("--kinds", help="which kinds of question, comma-separated (default: all)")
    arguments = parser.parse_args()
    module = SCENES[arguments.name]
    kinds = arguments.kinds.split(",") if arguments.kinds else module.KINDS
    for kind in kinds:
        if kind not in module.KINDS:
            parser.error(f"{kind!r} is none of {', '.join(module.KINDS)}")
    write(module, arguments.out, range(arguments.seed, arguments.seed + arguments.count), kinds)


if __name__ == "__main__":
    main()
