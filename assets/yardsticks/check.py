"""Checks by the model itself that what scenes name as evidence is evidence.

    python check.py MODEL SCENES [--baseline blur] [--keep OUT]

SCENES is a folder of scenes.py, or of assets/demo/scenes.py. For each question that the model answers right, to the letter: with
the evidence replaced by the baseline, the answer must change; with everything else replaced, it must stay. A question without
evidence only has to be answered right. The baseline is that of docs/methods.md. Prints a table by kind of question; --keep writes
to OUT a copy of the scenes with the questions that hold.
"""

import argparse
import json
import shutil
from pathlib import Path

import cv2
import numpy as np
import torch
from PIL import Image
from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoTokenizer,
)

PICTURES = ["picture", "deleted", "revealed"]


def blur(image):
    """The baseline of docs/methods.md."""
    width = image.shape[1]
    kernel = 501 if width >= 2000 else 301 if width >= 800 else 201 if width >= 500 else 101
    return cv2.GaussianBlur(image, (kernel, kernel), kernel - 1, borderType=cv2.BORDER_REFLECT_101)


BASELINES = {"blur": blur, "zero": np.zeros_like}


class Answerer:
    """Whether a model's greedy answers equal given ones."""

    def __init__(self, folder):
        self.model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32).eval()
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.config = self.model.config
        self.prepare = image_preparer(folder)

    @torch.no_grad()
    def matches(self, images, question, answer):
        """For each picture, u8 (h, w, 3), whether the greedy answer is `answer` to the letter.

        An answer is the greedy one exactly if each of its tokens, and the end after it, is the likeliest after those before.
        """
        message = [{"role": "user", "content": [{"type": "image"}, {"type": "text", "text": question}]}]
        prompt = self.tokenizer.apply_chat_template(message, tokenize=False, add_generation_prompt=True)
        inputs, count = self.prepare(images)
        ids = self.tokenizer.encode(prompt, add_special_tokens=False)
        image = self.config.image_token_id
        at = ids.index(image)
        ids = ids[:at] + [image] * count + ids[at + 1 :]
        answered = self.tokenizer.encode(" " + answer, add_special_tokens=False) + [self.tokenizer.eos_token_id]
        batch = torch.tensor(ids + answered).expand(len(images), -1)
        logits = self.model(input_ids=batch, attention_mask=torch.ones_like(batch), **inputs).logits
        likeliest = logits[:, len(ids) - 1 : -1].argmax(-1)
        return (likeliest == torch.tensor(answered)).all(1).tolist()


def image_preparer(folder):
    """What turns pictures, all of one size, into a model's inputs and tells how many tokens each takes."""
    processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
    config = AutoConfig.from_pretrained(folder)
    side = config.vision_config.image_size // config.vision_config.patch_size

    def prepare(images):
        inputs = dict(processor([Image.fromarray(i) for i in images], return_tensors="pt"))
        if config.model_type != "llava_next":
            return inputs, side * side
        # Pictures of whole tiles only: nothing is padded, so nothing is taken off again.
        height, width = images[0].shape[:2]
        if [height, width] not in config.image_grid_pinpoints:
            raise SystemExit(f"a picture of {width} x {height} is not one of whole tiles")
        rows, columns = (v * side // config.vision_config.image_size for v in (height, width))
        return inputs, side * side + rows * (columns + 1)

    return prepare


def read(path, grey=False):
    image = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE if grey else cv2.IMREAD_COLOR)
    if image is None:
        raise SystemExit(f"cannot read {path}")
    return image if grey else image[:, :, ::-1].copy()


def check(answerer, folder, baseline):
    """Adds to every question of a folder's scenes what was found: a dictionary of PICTURES; returns the entries."""
    entries = json.loads((folder / "scenes.json").read_text())
    for described in entries:
        image = read(folder / described["picture"])
        under = BASELINES[baseline](image)
        for asked in described["questions"]:
            pictures = [image]
            if "evidence" in asked:
                mask = read(folder / asked["evidence"], grey=True)[:, :, None] > 127
                pictures += [np.where(mask, under, image), np.where(mask, image, under)]
            found = answerer.matches(pictures, asked["question"], asked["answer"])
            asked["found"] = dict(zip(PICTURES, found))
    return entries


def holds(found):
    """Whether the answer is right, changes without the evidence and stays with it alone, if there is any."""
    return found in ({"picture": True}, {"picture": True, "deleted": False, "revealed": True})


def table(entries):
    """Numbers by kind of question."""
    kinds = {}
    for asked in (q for e in entries for q in e["questions"]):
        kinds.setdefault(asked.get("kind", ""), []).append(asked["found"])
    rows = {}
    for kind, found in kinds.items():
        right = [f for f in found if f["picture"]]
        row = {"asked": len(found), "right": len(right)}
        if "deleted" in found[0]:
            row["flipped without the evidence"] = sum(not f["deleted"] for f in right)
            row["kept by the evidence alone"] = sum(f["revealed"] for f in right)
            row["both"] = sum(holds(f) for f in right)
        rows[kind] = row
    return rows


def keep(entries, folder, out):
    """Copies the scenes with the questions that hold, and says how many were left out."""
    out.mkdir(parents=True, exist_ok=True)
    kept, asked = [], 0
    for described in entries:
        asked += len(described["questions"])
        questions = [q for q in described["questions"] if holds(q["found"])]
        if not questions:
            continue
        for name in [described["picture"], *[q["evidence"] for q in questions if "evidence" in q]]:
            shutil.copy(folder / name, out / name)
        questions = [{k: v for k, v in q.items() if k != "found"} for q in questions]
        kept.append({**described, "questions": questions})
    (out / "scenes.json").write_text(json.dumps(kept, indent=1) + "\n")
    count = sum(len(d["questions"]) for d in kept)
    print(f"kept {count} of {asked} questions, left out {asked - count}")


def main():
    parser = argparse.ArgumentParser(description="Checks evidence by the model itself.")
    parser.add_argument("model", type=Path)
    parser.add_argument("scenes", type=Path)
    parser.add_argument("--baseline", choices=list(BASELINES), default="blur")
    parser.add_argument("--keep", type=Path, metavar="OUT", help="write the scenes and questions that hold to OUT")
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    entries = check(Answerer(arguments.model), arguments.scenes, arguments.baseline)
    columns = ["asked", "right", "flipped without the evidence", "kept by the evidence alone", "both"]
    print("| kind | " + " | ".join(columns) + " |\n|" + "---|" * (len(columns) + 1))
    for kind, row in table(entries).items():
        print(f"| {kind} | " + " | ".join(str(row.get(c, "-")) for c in columns) + " |")
    if arguments.keep:
        keep(entries, arguments.scenes, arguments.keep)


if __name__ == "__main__":
    main()
