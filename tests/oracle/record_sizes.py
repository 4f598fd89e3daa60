"""Records what transformers makes of pictures of many sizes for Gemma 3: the soft tokens of the prompt, and the pixels.

    python record_sizes.py           writes ../data/picture/gemma3.safetensors
    python record_sizes.py --check   compares with it and writes nothing

The pictures are drawn by a formula, `drawn`, which `src/lvlm/tests/gemma3.rs` has too. README.md lists the tensors.
"""

import argparse
import json
import sys

import numpy as np
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from gemma3 import Gemma3
from record import HERE, Settings

FILE = HERE.parent / "data" / "picture" / "gemma3.safetensors"
MODEL = "models/tiny-gemma3"
# (width, height), each also on its side: tiny, with as many rows or columns as there are channels, about the view's 26 pixels and
# half, twice and three times that, about the published models' 896, large, and thin.
SIZES = [
    (1, 1), (2, 1), (3, 1), (3, 2), (3, 3), (4, 3), (5, 4), (7, 5), (12, 12), (13, 12), (13, 13), (14, 13), (16, 9), (21, 14),
    (25, 24), (25, 25), (26, 1), (26, 13), (26, 25), (26, 26), (27, 26), (27, 27), (39, 26), (51, 52), (52, 1), (52, 52), (53, 52),
    (65, 26), (77, 78), (78, 78), (79, 78), (100, 99), (130, 52), (224, 224), (301, 200), (333, 332), (640, 480), (641, 479),
    (895, 896), (896, 896), (897, 896), (1000, 5), (1000, 333), (1280, 720), (1920, 1080), (2000, 10), (2731, 683), (3000, 17),
    (4032, 3024), (6000, 200), (10000, 51), (65536, 1), (100000, 2),
]


def drawn(width, height):
    """A picture, u8 (height, width, 3): slopes that are seen at any size, and a fine pattern."""
    y, x = np.ogrid[:height, :width]
    x, y = x.astype(np.int32), y.astype(np.int32)
    fine = (x * y + 7 * x + 5 * y) % 64
    planes = [x * (c + 1) * 200 // width + y * (3 - c) * 150 // height + fine for c in range(3)]
    return np.stack([(plane % 256).astype(np.uint8) for plane in planes], -1)


def recorded():
    """The tensors, and for each size its width, its height, the tokens of the prompt and those of the picture."""
    model = Gemma3(HERE / MODEL)
    cases, rows, columns = [], [], []
    for width, height in dict.fromkeys(SIZES + [(h, w) for w, h in SIZES]):
        (pixels,) = model.pixels(drawn(width, height))
        ids, _ = model.prompt(Settings.question)
        soft = (ids == model.config.image_token_id).sum().item()
        cases.append({"width": width, "height": height, "tokens": ids.shape[1], "soft_tokens": soft})
        rows.append(pixels[0].mean(2))
        columns.append(pixels[0].mean(1))
    return cases, {"rows": torch.stack(rows).float(), "columns": torch.stack(columns).float()}


def main():
    parser = argparse.ArgumentParser(description="Records what Gemma 3's processor makes of pictures of many sizes.")
    parser.add_argument("--check", action="store_true", help="write nothing, compare with the file")
    arguments = parser.parse_args()
    cases, tensors = recorded()
    if not arguments.check:
        save_file(tensors, FILE, {"question": Settings.question, "cases": json.dumps(cases, separators=(",", ":"))})
        return
    with safe_open(FILE, "pt") as old:
        if json.loads(old.metadata()["cases"]) != cases:
            sys.exit(f"{FILE.name}: other sizes or tokens than recorded")
        worst = max((old.get_tensor(name) - tensor).abs().max().item() for name, tensor in tensors.items())
    print(f"{len(cases)} sizes: means of rows and columns at most {worst:.1e} off")
    if worst > 1e-7:
        sys.exit("not reproduced")


if __name__ == "__main__":
    main()
