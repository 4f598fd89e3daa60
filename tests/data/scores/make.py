"""Makes scores.json: deletion and insertion scores of made-up curves by the rule of the paper's program.

The rule is stated here from that program's text (LVLM_Interpretation f87e8d7, methods_helper.py, `metric`), in NumPy and
without its model: after every group of cells the program adds

    (outputs - blur) / (og - blur) * step if pixels + step < num_pixels else num_pixels - pixels

which Python reads as `((outputs - blur) / (og - blur) * step) if ... else (num_pixels - pixels)`.

    pip install numpy
    python make.py
"""

import json
from pathlib import Path

import numpy as np

rng = np.random.default_rng(20260203)


def score(curve, og, blur, num_pixels):
    """`curve` are the values after each group, the whole picture or baseline before them not among them."""
    step = max(1, num_pixels // 50)
    first = np.arange(0, num_pixels, step)
    assert len(first) == len(curve)
    whole = first + step < num_pixels
    with np.errstate(divide="ignore", invalid="ignore"):
        normalised = (np.asarray(curve) - blur) / (og - blur)
    total = np.sum(np.where(whole, normalised * step, num_pixels - first)) / num_pixels
    return float(total) if np.isfinite(total) else None


cases = []
for size in [1, 3, 5, 7, 8, 10, 12, 16, 20, 28, 32]:
    cells = size * size
    groups = len(range(0, cells, max(1, cells // 50)))
    for og, blur in [(0.9, 0.1), (0.42, 0.415), (0.2, 0.6), (0.5, 0.5)]:
        deletion = np.append(np.round(rng.uniform(0, 1, groups - 1), 3), blur)
        insertion = np.append(np.round(rng.uniform(0, 1, groups - 1), 3), og)
        cases.append(
            {
                "cells": cells,
                "deletion": [og, *deletion],
                "insertion": [blur, *insertion],
                "deletion_score": score(deletion, og, blur, cells),
                "insertion_score": score(insertion, og, blur, cells),
            }
        )
lines = ",\n".join(json.dumps(case) for case in cases)
Path(__file__).with_name("scores.json").write_text(f"[\n{lines}\n]\n")
