"""Scenes of coloured shapes, and questions whose evidence is known by construction.

A scene is a picture and its objects, each with the pixels that it covers. The shapes, the colours and the way of drawing
are those of the demo model (assets/demo/scenes.py); a `dot` of 2 to 4 pixels' radius is one more shape, and the ground may
be light or dark. A question names the objects, or the ground, on which its answer depends.
"""

import sys
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "demo"))
import scenes as demo  # noqa: E402

SIZE = demo.SIZE
SHAPES = [*demo.SHAPES, "dot"]
COLORS = demo.COLOR_NAMES
TONES = ["light", "dark"]
TONE_SHIFTS = {"light": 40, "dark": -35}
CORNERS = {"square": "four", "triangle": "three", "diamond": "four", "star": "ten", "cross": "twelve"}
SIDES = {"left of": (0, -1), "right of": (0, 1), "above": (-1, 0), "below": (1, 0)}
HIDDEN = "hidden"

KINDS = ["color", "shape", "where", "at", "exists", "two", "relation", "count", "ground", "describe", "prior"]


@dataclass
class Scene:
    """A picture, u8 (SIZE, SIZE, 3) RGB, and what is drawn in it."""

    image: np.ndarray
    objects: list
    tone: str | None = None


@dataclass
class Question:
    """A question, its answer, the words that depend on the picture, and where in the picture they come from.

    `objects` are indices of the scene's objects; `ground` says that the answer depends on all that no object covers.
    `hidden` is the answer when the evidence is not to be seen, for questions that have one. `hints` are words of the question,
    each with the word that the picture gives for it.
    """

    kind: str
    text: str
    answer: str
    key_words: list
    objects: list = field(default_factory=list)
    ground: bool = False
    hidden: str | None = None
    hints: dict = field(default_factory=dict)


def drawn(rng, image, shape, color, center, radius):
    """Draws an object of that radius in pixels around `center`, (x, y); returns it with its box and the pixels it touches."""
    shade = np.clip(np.array(demo.COLORS[color]) + rng.normal(0, 8, 3), 0, 255)
    outline, place = "circle" if shape == "dot" else shape, (*center, radius, rng.uniform(-12, 12))
    demo.draw(image, outline, shade, *place)
    touched = np.zeros(image.shape[:2], np.uint8)
    demo.draw(touched, outline, (255,), *place)
    reach = radius * 1.1
    box = [v + side for side in (-reach, reach) for v in center]
    return {"shape": shape, "color": color, "center": center, "box": box, "mask": touched > 0}


def put(rng, image, shape, color, place, cell, dots, radii):
    """Draws an object into `place`, (row, column), of a grid of cells of `cell` pixels.

    The radius of a dot is drawn from `dots`, in pixels, that of another shape from `radii`, in cells.
    """
    row, col = place
    radius = rng.uniform(*dots) if shape == "dot" else rng.uniform(*radii) * cell
    slack = (cell / 2 - max(radius, radii[0] * cell)) * 0.8
    cx = (col + 0.5) * cell + rng.uniform(-1, 1) * slack
    cy = (row + 0.5) * cell + rng.uniform(-1, 1) * slack
    return drawn(rng, image, shape, color, (cx, cy), radius) | {"row": row, "col": col}


def scene(rng):
    """Draws 2 to 5 objects, each in its own cell of a 3 x 3 grid, no shape or colour twice, from top left to bottom right."""
    image = demo.background(rng, SIZE)
    tone = [None, None, *TONES][int(rng.integers(4))]
    if tone:
        image = np.clip(image.astype(np.int16) + TONE_SHIFTS[tone], 0, 255).astype(np.uint8)
    count = int(rng.integers(2, 6))
    cell = SIZE / 3
    cells = rng.permutation(9)[:count]
    shapes = rng.permutation(len(SHAPES))[:count]
    colors = rng.permutation(len(COLORS))[:count]
    objects = []
    for k in range(count):
        shape, color = SHAPES[shapes[k]], COLORS[colors[k]]
        place = divmod(int(cells[k]), 3)
        objects.append(put(rng, image, shape, color, place, cell, (2.2, 4.0), (0.26, 0.42)))
    objects.sort(key=lambda o: (o["row"], o["col"]))
    return Scene(image, objects, tone)


def neighbour(objects, index, side):
    """The object nearest to object `index` on one side of it, in the same row or column of the grid; None without one."""
    step_row, step_col = SIDES[side]
    row, col = objects[index]["row"] + step_row, objects[index]["col"] + step_col
    while 0 <= row < 3 and 0 <= col < 3:
        for k, other in enumerate(objects):
            if (other["row"], other["col"]) == (row, col):
                return k
        row, col = row + step_row, col + step_col
    return None


def absent_shape(rng, objects):
    present = {o["shape"] for o in objects}
    absent = [s for s in SHAPES if s not in present]
    return absent[rng.integers(len(absent))]


def question(rng, scene, kind):
    """Draws a question of one kind about a scene; None if the scene has none of that kind."""
    objects = scene.objects
    index = int(rng.integers(len(objects)))
    item = objects[index]
    shape, color = item["shape"], item["color"]
    if kind == "color":
        text, hidden = f"What color is the {shape}?", f"The {shape} is {HIDDEN}."
        return Question(kind, text, f"The {shape} is {color}.", [color], [index], hidden=hidden, hints={shape: color})
    if kind == "shape":
        text, hidden = f"What shape is the {color} object?", f"The {color} object is {HIDDEN}."
        answer = f"The {color} object is a {shape}."
        return Question(kind, text, answer, [shape], [index], hidden=hidden, hints={color: shape})
    if kind == "where":
        place = demo.position(item)
        text, hidden = f"Where is the {shape}?", f"The {shape} is {HIDDEN}."
        answer, hints = f"The {shape} is at the {place}.", {shape: place.split()[0]}
        return Question(kind, text, answer, place.split(), [index], hidden=hidden, hints=hints)
    if kind == "at":
        place, hidden = demo.position(item), f"It is {HIDDEN}."
        text, hints = f"What is at the {place}?", {place.split()[-1]: color}
        return Question(kind, text, f"It is {demo.phrase(item)}.", [color, shape], [index], hidden=hidden, hints=hints)
    if kind == "exists":
        if rng.random() < 0.5:
            text, hidden = f"Is there a {shape}?", f"No, there is no {shape}."
            answer, hints = f"Yes, there is {demo.phrase(item)}.", {shape: color}
            return Question(kind, text, answer, ["Yes", color], [index], hidden=hidden, hints=hints)
        absent = absent_shape(rng, objects)
        return Question("absent", f"Is there a {absent}?", f"No, there is no {absent}.", ["No"], hints={absent: "no"})
    if kind == "two":
        other = (index + 1 + int(rng.integers(len(objects) - 1))) % len(objects)
        second = objects[other]
        text = f"What color are the {shape} and the {second['shape']}?"
        answer = f"The {shape} is {color} and the {second['shape']} is {second['color']}."
        hints = {shape: color, second["shape"]: second["color"]}
        return Question(kind, text, answer, [color, second["color"]], [index, other], hints=hints)
    if kind == "relation":
        choices = [(k, side, neighbour(objects, k, side)) for k in range(len(objects)) for side in SIDES]
        choices = [c for c in choices if c[2] is not None]
        if not choices:
            return None
        index, side, other = choices[rng.integers(len(choices))]
        found, shape = objects[other], objects[index]["shape"]
        text, hidden = f"What is {side} the {shape}?", f"It is {HIDDEN}."
        answer, hints = f"It is {demo.phrase(found)}.", {shape: found["color"]}
        return Question(kind, text, answer, [found["color"], found["shape"]], [index, other], hidden=hidden, hints=hints)
    if kind == "count":
        number = demo.NUMBERS[len(objects)]
        everything = list(range(len(objects)))
        text, answer = "How many objects are there?", f"There are {number} objects."
        return Question(kind, text, answer, [number], everything, hints={"objects": number})
    if kind == "ground":
        if scene.tone is None:
            return None
        text, answer = "Is the ground light or dark?", f"The ground is {scene.tone}."
        return Question(kind, text, answer, [scene.tone], ground=True, hints={"dark": scene.tone})
    if kind == "describe":
        phrases = [demo.phrase(o) for o in objects]
        answer = f"I see {', '.join(phrases[:-1])} and {phrases[-1]}."
        words = [w for o in objects for w in (o["color"], o["shape"])]
        return Question(kind, "Describe the image.", answer, words, list(range(len(objects))))
    if kind == "prior":
        shape = list(CORNERS)[rng.integers(len(CORNERS))]
        return Question(kind, f"How many corners has a {shape}?", f"A {shape} has {CORNERS[shape]} corners.", [])
    raise ValueError(f"no kind of question {kind!r}; there are {', '.join(KINDS)}")


def hidden_question(rng, scene):
    """Asks about something that is not in the picture at all."""
    objects = scene.objects
    kind = ["color", "where", "shape", "at"][rng.integers(4)]
    if kind == "shape":
        colors = [c for c in COLORS if c not in {o["color"] for o in objects}]
        color = colors[rng.integers(len(colors))]
        text, answer = f"What shape is the {color} object?", f"The {color} object is {HIDDEN}."
        return Question("hidden", text, answer, [HIDDEN], hints={color: HIDDEN})
    if kind == "at":
        taken = {(o["row"], o["col"]) for o in objects}
        free = [(r, c) for r in range(3) for c in range(3) if (r, c) not in taken]
        row, col = free[rng.integers(len(free))]
        place = demo.position({"row": row, "col": col})
        hints = {place.split()[-1]: HIDDEN}
        return Question("hidden", f"What is at the {place}?", f"It is {HIDDEN}.", [HIDDEN], hints=hints)
    shape = absent_shape(rng, objects)
    text = f"What color is the {shape}?" if kind == "color" else f"Where is the {shape}?"
    return Question("hidden", text, f"The {shape} is {HIDDEN}.", [HIDDEN], hints={shape: HIDDEN})
