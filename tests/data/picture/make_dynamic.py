"""Makes the recorded tiles of InternVL's original program (`dynamic_preprocess`, `build_transform`) that the picture tests compare with.

    python make_dynamic.py   writes dynamic.safetensors (pixels) and dynamic.json (grids) beside itself

Needs numpy, pillow, safetensors.
"""
import json
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file

HERE = Path(__file__).resolve().parent
RNG = np.random.default_rng(20251129)
MEAN, STD = (np.array(values, np.float32) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
# The fewest and the most tiles: those of the README's program, the config class's defaults, one, and others.
LIMITS = [(1, 12), (1, 6), (1, 1), (2, 5), (4, 24)]
SIZES = [
    (1, 1), (2, 1), (3, 2), (16, 9), (21, 14), (100, 99), (224, 224), (301, 200), (333, 332), (448, 447), (448, 448), (449, 448),
    (448, 896), (633, 633), (634, 634), (635, 633), (640, 480), (641, 479), (672, 448), (768, 384), (800, 533), (896, 897), (1000, 333),
    (1024, 256), (1025, 256), (1097, 1097), (1098, 1097), (1280, 720), (1344, 448), (1456, 729), (1568, 449), (1920, 1080), (2048, 512),
    (2048, 1537), (2731, 683), (3000, 17), (4000, 3000), (4032, 3024), (5000, 4999), (6000, 1), (6000, 4000), (8000, 500), (8191, 6143),
]
PICTURES = [(30, 20), (18, 26), (60, 5), (3, 41), (6, 6), (41, 39), (1, 1), (8, 8)]


def closest(width, height, least, most, side):
    """Columns and rows of tiles. The program's set has no order of its own; neither is one needed."""
    shapes = {(i, j) for n in range(least, most + 1) for i in range(1, n + 1) for j in range(1, n + 1) if least <= i * j <= most}
    best, distance = (1, 1), float("inf")
    for columns, rows in sorted(shapes, key=lambda shape: shape[0] * shape[1]):
        off = abs(width / height - columns / rows)
        if off < distance:
            best, distance = (columns, rows), off
        elif off == distance and width * height > 0.5 * side * side * columns * rows:
            best = (columns, rows)
    return best


def boxes(columns, rows, side):
    """Left, upper, right and lower edge of each tile, in the program's order."""
    edges = []
    for n in range(columns * rows):
        left, upper = n % columns * side, n // columns * side
        edges.append((left, upper, left + side, upper + side))
    return edges


def views(image, least, most, side):
    """The tiles, and after several of them the whole picture, as the encoder takes them."""
    columns, rows = closest(*image.size, least, most, side)
    large = image.resize((columns * side, rows * side))
    tiles = [large.crop(box) for box in boxes(columns, rows, side)]
    if len(tiles) != 1:
        tiles.append(image.resize((side, side)))
    values = [np.asarray(tile.resize((side, side), Image.BICUBIC), np.float32) / np.float32(255) for tile in tiles]
    return np.stack([((value - MEAN) / STD).transpose(2, 0, 1) for value in values])


def main():
    tensors, cases = {}, []
    for n, (width, height) in enumerate(PICTURES):
        rgb = RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)
        for least, most in LIMITS[n % 2 :: 2]:
            i = len(cases)
            tensors[f"in{i}"], tensors[f"out{i}"] = rgb, np.ascontiguousarray(views(Image.fromarray(rgb), least, most, 6))
            cases.append(dict(least=least, most=most, side=6))
    save_file(tensors, HERE / "dynamic.safetensors", {"cases": json.dumps(cases)})
    grids = []
    for least, most in LIMITS:
        pictures = []
        for width, height in dict.fromkeys(SIZES + [(h, w) for w, h in SIZES]):
            columns, rows = closest(width, height, least, most, 448)
            pictures.append(dict(width=width, height=height, boxes=boxes(columns, rows, 448)))
        grids.append(dict(least=least, most=most, side=448, pictures=pictures))
    (HERE / "dynamic.json").write_text(json.dumps(grids, separators=(",", ":")) + "\n")


main()
