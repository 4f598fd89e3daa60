"""Makes segmentations.json: masks of pycocotools for polygons and run lengths in every form of COCO's annotations; and
rows.parquet: some of them as pyarrow writes them, the strings of pycocotools as bytes.

    pip install numpy pyarrow pycocotools
    python make.py
"""

import json
from pathlib import Path

import numpy as np
import pyarrow
import pyarrow.parquet
from pycocotools import mask as coco

rng = np.random.default_rng(20260131)
LONGEST = 512


def annotation(segmentation, height, width):
    """The run lengths of one annotation, as pycocotools' COCO.annToRLE makes them."""
    if isinstance(segmentation, list):
        return coco.merge(coco.frPyObjects(segmentation, height, width))
    if isinstance(segmentation["counts"], list):
        return coco.frPyObjects(segmentation, *segmentation["size"])
    return segmentation


def reduced(mask):
    """Of every pixel of a picture of at most 512 pixels a side the mask's pixel at its centre, the first of two."""
    height, width = mask.shape
    rows, columns = (max(1, side * min(LONGEST, max(mask.shape)) // max(mask.shape)) for side in mask.shape)
    y = [int(np.ceil((i + 0.5) * height / rows)) - 1 for i in range(rows)]
    x = [int(np.ceil((i + 0.5) * width / columns)) - 1 for i in range(columns)]
    return mask[np.ix_(y, x)]


def counts(mask):
    flat = np.concatenate([[0], mask.flatten(order="F")])
    edges = np.flatnonzero(np.diff(flat))
    return np.diff(np.concatenate([[0], edges, [mask.size]])).tolist()


def case(name, width, height, segmentation, annotations=None):
    """`annotations` are the segmentations of several annotations, if `segmentation` is a list of them."""
    masks = [coco.decode(annotation(s, height, width)) for s in annotations or [segmentation]]
    mask = reduced(np.max(masks, axis=0))
    return {
        "name": name,
        "width": width,
        "height": height,
        "segmentation": segmentation,
        "size": list(mask.shape),
        "counts": counts(mask) if mask.any() else None,
    }


def polygon(width, height, points, beyond=0.0):
    low, high = -beyond, 1 + beyond
    xy = rng.uniform(low, high, (points, 2)) * [width, height]
    return np.round(xy, 2).flatten().tolist()


def compressed(mask):
    found = coco.encode(np.asfortranarray(mask.astype(np.uint8)))
    return {"size": found["size"], "counts": found["counts"].decode()}


def plain(mask):
    return {"size": list(mask.shape), "counts": counts(mask)}


cases = []
for n in range(24):
    width, height = (int(side) for side in rng.integers(1, 60, 2))
    cases.append(case(f"random polygon {n}", width, height, [polygon(width, height, int(rng.integers(3, 9)))]))
for n in range(12):
    width, height = (int(side) for side in rng.integers(2, 50, 2))
    parts = [polygon(width, height, int(rng.integers(3, 7)), beyond=0.6) for _ in range(int(rng.integers(2, 5)))]
    cases.append(case(f"polygons beyond the borders {n}", width, height, parts))
for n in range(6):
    points = np.round(rng.uniform(0, 1, (40, 2)) * [37, 29] * 4) / 4
    cases.append(case(f"quarters of pixels {n}", 37, 29, [points.flatten().tolist()]))
cases += [
    case("the whole picture", 7, 5, [[0, 0, 7, 0, 7, 5, 0, 5]]),
    case("touching borders", 7, 5, [[0, 0, 3, 0, 3, 5, 0, 5], [3, 0, 7, 0, 7, 5, 3, 5]]),
    case("whole pixels", 9, 8, [[2, 1, 5, 1, 5, 6, 2, 6]]),
    case("other direction", 9, 8, [[2, 6, 5, 6, 5, 1, 2, 1]]),
    case("halves of pixels", 9, 8, [[1.5, 1.5, 5.5, 1.5, 5.5, 6.5, 1.5, 6.5]]),
    case("a bow tie", 12, 9, [[1, 1, 11, 8, 11, 1, 1, 8]]),
    case("one line", 12, 9, [[1, 1, 6, 5, 11, 8]]),
    case("an upright line", 12, 9, [[3, 1, 3, 8, 3, 1]]),
    case("a level line", 12, 9, [[1, 4, 10, 4, 1, 4]]),
    case("one point", 12, 9, [[4, 4, 4, 4, 4, 4]]),
    case("points twice", 12, 9, [[2, 2, 2, 2, 9, 2, 9, 7, 9, 7, 2, 7]]),
    case("a line and a triangle", 12, 9, [[3, 1, 3, 8, 3, 1], [5, 2, 10, 2, 5, 7]]),
    case("beside the picture", 12, 9, [[20, 1, 30, 1, 30, 8]]),
    case("overlapping", 20, 20, [[2, 2, 12, 2, 12, 12, 2, 12], [8, 8, 18, 8, 18, 18, 8, 18]]),
]
flat = polygon(31, 23, 5)
cases.append({**case("a polygon alone", 31, 23, [flat]), "segmentation": flat})
large = [polygon(1300, 977, 7), polygon(1300, 977, 4, beyond=0.3)]
cases.append(case("reduced", 1300, 977, large))
for n in range(8):
    height, width = (int(side) for side in rng.integers(1, 40, 2))
    mask = rng.random((height, width)) < rng.uniform(0.05, 0.95)
    cases.append(case(f"compressed {n}", width, height, compressed(mask)))
    cases.append(case(f"plain {n}", width, height, plain(mask)))
cases += [
    case("long runs", 400, 300, compressed(np.pad(np.ones((151, 211)), ((70, 79), (100, 89))))),
    case("reduced runs", 901, 700, compressed(np.pad(np.ones((333, 211)), ((70, 297), (100, 590))))),
    case("runs of nothing", 4, 3, {"size": [3, 4], "counts": [0, 2, 0, 3, 1, 0, 4, 2]}),
    case("nothing inside", 4, 3, {"size": [3, 4], "counts": [12]}),
    case("all inside", 4, 3, {"size": [3, 4], "counts": [0, 12]}),
]
several = [plain(rng.random((17, 19)) < 0.1), compressed(rng.random((17, 19)) < 0.1), [polygon(19, 17, 4), polygon(19, 17, 3)]]
cases.append(case("several annotations", 19, 17, several, several))

lines = ",\n".join(json.dumps(case) for case in cases)
Path(__file__).with_name("segmentations.json").write_text(f"[\n{lines}\n]\n")

of = {case["name"]: case["segmentation"] for case in cases}
rows = {
    "polygons": [of["a line and a triangle"], of["overlapping"]],
    "plain": [of["plain 0"], of["plain 1"]],
    "compressed": [{**of[name], "counts": of[name]["counts"].encode()} for name in ["compressed 0", "compressed 1"]],
}
table = pyarrow.table({"image": ["a.png"] * 2, "question": ["?"] * 2, **rows})
pyarrow.parquet.write_table(table, Path(__file__).with_name("rows.parquet"))
