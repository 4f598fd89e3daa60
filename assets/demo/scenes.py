"""Draws the scenes that the demo model knows: coloured shapes on a textured ground, with questions and their evidence.

    python scenes.py OUT --count 100 --seed 5000 [--questions color,shape]
    python scenes.py OUT --seeds 5007 5026

writes OUT/0000.png, OUT/0001.png, ... (112 x 112, RGB), for question Q of picture N the mask OUT/000N-Q.png (112 x 112,
grey), and OUT/scenes.json, a list with one entry for each picture:

    {"picture": "0000.png", "seed": 5000,
     "objects":   [{"shape", "color", "box"}],
     "questions": [{"question", "answer", "key_words", "box", "evidence"}]}

A box is [x0, y0, x1, y1] in pixels of the picture, x to the right and y downwards, not rounded and not clipped to the
picture. The box of a question is that of the object asked about: where a map of the evidence should be high. "evidence"
names the mask of that object's own pixels: 255 where at least half of a pixel is the object's, else 0.
A scene is drawn by the random stream of its own seed alone, so the same seed gives the same bytes wherever numpy and
OpenCV draw alike. Needs numpy and opencv-python-headless.
"""

import argparse
import json
from pathlib import Path

import cv2
import numpy as np

SIZE = 112
SHAPES = ["circle", "square", "triangle", "star", "cross", "diamond", "ring"]
COLORS = {
    "red": (220, 40, 40),
    "green": (40, 170, 60),
    "blue": (50, 80, 220),
    "yellow": (240, 215, 50),
    "orange": (245, 140, 30),
    "purple": (140, 60, 180),
    "white": (245, 245, 245),
    "black": (20, 20, 20),
}
COLOR_NAMES = list(COLORS)
ROWS = ["top", "middle", "bottom"]
COLUMNS = ["left", "center", "right"]
NUMBERS = ["zero", "one", "two", "three", "four", "five"]

# The kinds of question, and how often the model saw each of them when it was trained.
KINDS = ["color", "shape", "exists", "where", "count", "describe"]
KIND_SHARES = [0.30, 0.25, 0.12, 0.18, 0.07, 0.08]
# Kinds whose evidence is exactly one object, so that a map of it is right or wrong.
ONE_OBJECT_KINDS = ["color", "shape"]

# OpenCV takes coordinates in fixed point; four fractional bits place a shape to a sixteenth of a pixel.
FRACTION_BITS = 4
FRACTION = 1 << FRACTION_BITS


def background(rng, size):
    """A soft, nearly grey texture, u8 (size, size, 3): strong colours belong to the objects alone."""
    coarse = rng.integers(60, 190, (4, 4, 3)).astype(np.uint8)
    grey = coarse.mean(-1, keepdims=True)
    coarse = (0.75 * grey + 0.25 * coarse).astype(np.uint8)
    ground = cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC).astype(np.float32)
    ground += rng.normal(0, 8, (size, size, 3))
    return np.clip(ground, 0, 255).astype(np.uint8)


def outline(shape):
    """The corners of a polygonal shape of radius 1 around the origin, (n, 2) as x, y."""
    if shape == "square":
        return [(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)]
    if shape == "triangle":
        return [(0, -1), (0.95, 0.8), (-0.95, 0.8)]
    if shape == "diamond":
        return [(0, -1.1), (0.7, 0), (0, 1.1), (-0.7, 0)]
    if shape == "cross":
        w = 0.33  # half the width of an arm
        return [
            (-w, -1), (w, -1), (w, -w), (1, -w), (1, w), (w, w),
            (w, 1), (-w, 1), (-w, w), (-1, w), (-1, -w), (-w, -w),
        ]  # fmt: skip
    if shape == "star":
        corners = []
        for i in range(10):
            radius = 1.1 if i % 2 == 0 else 0.45
            angle = np.pi * i / 5 - np.pi / 2
            corners.append((radius * np.cos(angle), radius * np.sin(angle)))
        return corners
    raise ValueError(f"no outline for the shape {shape!r}")


def draw(image, shape, color, cx, cy, radius, degrees):
    """Draws one shape into `image`, around (cx, cy), turned by `degrees`."""
    color = tuple(int(v) for v in color)
    center = (int(cx * FRACTION), int(cy * FRACTION))
    if shape == "circle":
        cv2.circle(image, center, int(radius * FRACTION), color, -1, cv2.LINE_AA, FRACTION_BITS)
    elif shape == "ring":
        thickness = max(2, int(radius * 0.38))
        cv2.circle(image, center, int(radius * 0.8 * FRACTION), color, thickness, cv2.LINE_AA, FRACTION_BITS)
    else:
        a = np.deg2rad(degrees)
        rotation = np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]])
        corners = (np.asarray(outline(shape), float) @ rotation.T * radius + [cx, cy]) * FRACTION
        cv2.fillPoly(image, [corners.astype(np.int32)], color, cv2.LINE_AA, FRACTION_BITS)


def mask_of(size, shape, cx, cy, radius, degrees):
    """The pixels of one shape as `draw` draws it, u8 (size, size): 255 where it covers half a pixel or more, else 0."""
    mask = np.zeros((size, size, 3), np.uint8)
    draw(mask, shape, (255, 255, 255), cx, cy, radius, degrees)
    return np.where(mask[:, :, 0] >= 128, 255, 0).astype(np.uint8)


def scene(rng, size=SIZE, count=None):
    """Draws a scene of 2 to 5 objects (or `count`), each in its own cell of a 3 x 3 grid, no shape or colour twice.

    Returns the picture, u8 (size, size, 3) RGB, and its objects from top left to bottom right, each a dictionary of
    shape, color, row, col (of the grid), box, and mask (its visible pixels). `rng` is a numpy Generator; the order of its draws is part of what a
    seed means, so no draw may be added, dropped or moved.
    """
    image = background(rng, size)
    count = int(count or rng.integers(2, 6))
    cell = size / 3
    cells = rng.permutation(9)[:count]
    shapes = rng.permutation(len(SHAPES))[:count]
    colors = rng.permutation(len(COLOR_NAMES))[:count]
    objects = []
    for k in range(count):
        shape, color = SHAPES[shapes[k]], COLOR_NAMES[colors[k]]
        row, col = divmod(int(cells[k]), 3)
        radius = rng.uniform(0.26, 0.42) * cell
        cx = (col + 0.5) * cell + rng.uniform(-1, 1) * (cell / 2 - radius) * 0.8
        cy = (row + 0.5) * cell + rng.uniform(-1, 1) * (cell / 2 - radius) * 0.8
        shade = np.clip(np.array(COLORS[color]) + rng.normal(0, 8, 3), 0, 255)
        degrees = rng.uniform(-12, 12)
        draw(image, shape, shade, cx, cy, radius, degrees)
        reach = radius * 1.1
        box = [cx - reach, cy - reach, cx + reach, cy + reach]
        mask = mask_of(size, shape, cx, cy, radius, degrees)
        for below in objects:
            below["mask"][mask > 0] = 0
        objects.append({"shape": shape, "color": color, "row": row, "col": col, "box": box, "mask": mask})
    objects.sort(key=lambda o: (o["row"], o["col"]))
    return image, objects


def position(item):
    """Where an object lies, in words: "top left", "bottom", "center"."""
    if item["row"] == 1 and item["col"] == 1:
        return "center"
    if item["row"] == 1:
        return COLUMNS[item["col"]]
    if item["col"] == 1:
        return ROWS[item["row"]]
    return f"{ROWS[item['row']]} {COLUMNS[item['col']]}"


def phrase(item):
    """ "a red circle", "an orange star"."""
    article = "an" if item["color"][0] in "aeiou" else "a"
    return f"{article} {item['color']} {item['shape']}"


def qa(rng, objects, kind=None):
    """Asks about one object, drawn by `rng`. `kind` is a name of KINDS; without it, drawn by KIND_SHARES.

    Returns the question, the right answer, the words of the answer that depend on the picture, and the objects that are
    the evidence for it.
    """
    item = objects[rng.integers(len(objects))]
    if kind is None:
        kind = KINDS[int(rng.choice(len(KINDS), p=KIND_SHARES))]
    shape, color = item["shape"], item["color"]

    if kind == "color":
        return f"What color is the {shape}?", f"The {shape} is {color}.", [color], [item]
    if kind == "shape":
        return f"What shape is the {color} object?", f"The {color} object is a {shape}.", [shape], [item]
    if kind == "exists":
        if rng.random() < 0.5:
            return f"Is there a {shape}?", f"Yes, there is {phrase(item)}.", [color], [item]
        present = {o["shape"] for o in objects}
        absent = [s for s in SHAPES if s not in present]
        absent = absent[rng.integers(len(absent))]
        return f"Is there a {absent}?", f"No, there is no {absent}.", ["No"], []
    if kind == "where":
        place = position(item)
        return f"Where is the {shape}?", f"The {shape} is at the {place}.", place.split(), [item]

    if kind == "count":
        number = NUMBERS[len(objects)]
        return "How many objects are there?", f"There are {number} objects.", [number], objects
    if kind == "describe":
        phrases = [phrase(o) for o in objects]
        listed = phrases[0] if len(phrases) == 1 else ", ".join(phrases[:-1]) + " and " + phrases[-1]
        return "Describe the image.", f"I see {listed}.", [o["color"] for o in objects], objects
    raise ValueError(f"no kind of question {kind!r}; there are {', '.join(KINDS)}")


def entry(picture, seed, kinds=ONE_OBJECT_KINDS):
    """Scene number `seed` and its questions: the picture's pixels, its entry of scenes.json, and by the name of its file
    each mask of a question's evidence.

    The questions draw from the scene's stream one after the other, in the order of ONE_OBJECT_KINDS, whichever of them
    are wanted: leaving one out does not change the others.
    """
    rng = np.random.default_rng(seed)
    image, objects = scene(rng)
    questions, masks = [], {}
    for kind in ONE_OBJECT_KINDS:
        question, answer, key_words, evidence = qa(rng, objects, kind)
        if kind in kinds:
            box = [float(v) for v in evidence[0]["box"]]
            name = f"{Path(picture).stem}-{len(questions)}.png"
            masks[name] = evidence[0]["mask"]
            questions.append(
                {"question": question, "answer": answer, "key_words": key_words, "box": box, "evidence": name}
            )
    shown = [{"shape": o["shape"], "color": o["color"], "box": [float(v) for v in o["box"]]} for o in objects]
    return image, {"picture": picture, "seed": seed, "objects": shown, "questions": questions}, masks


def kinds_argument(text):
    """Reads a comma-separated list of kinds, refusing any whose evidence is not one object."""
    kinds = text.split(",")
    for kind in kinds:
        if kind not in ONE_OBJECT_KINDS:
            raise argparse.ArgumentTypeError(f"{kind!r} is none of {', '.join(ONE_OBJECT_KINDS)}")
    return kinds


def main():
    parser = argparse.ArgumentParser(description="Draws scenes for the demo model, with questions and their evidence.")
    parser.add_argument("out", type=Path, help="folder to write to; made when missing")
    parser.add_argument("--count", type=int, default=100, help="how many scenes (default 100)")
    parser.add_argument("--seed", type=int, default=5000, help="seed of the first, and 1 more for each (default 5000)")
    parser.add_argument("--seeds", type=int, nargs="+", help="these seeds, instead of --count and --seed")
    parser.add_argument(
        "--questions",
        type=kinds_argument,
        default=ONE_OBJECT_KINDS,
        metavar="KINDS",
        help="which questions, comma-separated: color,shape (default both)",
    )
    arguments = parser.parse_args()

    arguments.out.mkdir(parents=True, exist_ok=True)
    entries = []
    seeds = arguments.seeds or range(arguments.seed, arguments.seed + arguments.count)
    for k, seed in enumerate(seeds):
        picture = f"{k:04}.png"
        image, described, masks = entry(picture, seed, arguments.questions)
        for name, pixels in {picture: image[:, :, ::-1], **masks}.items():  # OpenCV writes BGR
            if not cv2.imwrite(str(arguments.out / name), pixels):
                raise SystemExit(f"cannot write {arguments.out / name}")
        entries.append(described)
    (arguments.out / "scenes.json").write_text(json.dumps(entries, indent=1) + "\n")


if __name__ == "__main__":
    main()
