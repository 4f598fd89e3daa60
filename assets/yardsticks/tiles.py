"""Wide scenes of shapes, for a model that sees a picture whole and in two tiles."""

import numpy as np

import shapes
from shapes import demo

HEIGHT, WIDTH = 112, 224
KINDS = ["color", "shape", "exists", "two"]


def scene(rng):
    """Draws 3 to 6 objects, each in its own cell of a grid of 3 rows and 6 columns, no shape or colour twice."""
    image = np.ascontiguousarray(demo.background(rng, WIDTH)[:HEIGHT])
    count = int(rng.integers(3, 7))
    cell = HEIGHT / 3
    cells = rng.permutation(18)[:count]
    names = rng.permutation(len(shapes.SHAPES))[:count]
    colors = rng.permutation(len(shapes.COLORS))[:count]
    objects = []
    for k in range(count):
        shape, color = shapes.SHAPES[names[k]], shapes.COLORS[colors[k]]
        place = divmod(int(cells[k]), 6)
        objects.append(shapes.put(rng, image, shape, color, place, cell, (3.0, 4.5), (0.3, 0.42)))
    objects.sort(key=lambda o: (o["row"], o["col"]))
    return shapes.Scene(image, objects)


def question(rng, scene, kind):
    """Draws a question of one kind about a scene."""
    if kind not in KINDS:
        raise ValueError(f"no kind of question {kind!r}; there are {', '.join(KINDS)}")
    return shapes.question(rng, scene, kind)
