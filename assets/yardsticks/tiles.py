"""Wide scenes of shapes, for a model that sees a picture whole and in two tiles."""

import numpy as np

import shapes
from shapes import demo

HEIGHT, WIDTH = 112, 224
KINDS = ["color", "shape", "exists", "two"]


def mask_of(shape, *place):
    """The pixels that a shape touches, bool (HEIGHT, WIDTH)."""
    canvas = np.zeros((HEIGHT, WIDTH), np.uint8)
    demo.draw(canvas, "circle" if shape == "dot" else shape, (255,), *place)
    return canvas > 0


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
        row, col = divmod(int(cells[k]), 6)
        radius = rng.uniform(3.0, 4.5) if shape == "dot" else rng.uniform(0.3, 0.42) * cell
        slack = (cell / 2 - max(radius, 0.3 * cell)) * 0.8
        cx = (col + 0.5) * cell + rng.uniform(-1, 1) * slack
        cy = (row + 0.5) * cell + rng.uniform(-1, 1) * slack
        shade = np.clip(np.array(demo.COLORS[color]) + rng.normal(0, 8, 3), 0, 255)
        degrees = rng.uniform(-12, 12)
        demo.draw(image, "circle" if shape == "dot" else shape, shade, cx, cy, radius, degrees)
        reach = radius * 1.1
        objects.append(
            {
                "shape": shape,
                "color": color,
                "row": row,
                "col": col,
                "center": (cx, cy),
                "box": [cx - reach, cy - reach, cx + reach, cy + reach],
                "mask": mask_of(shape, cx, cy, radius, degrees),
            }
        )
    objects.sort(key=lambda o: (o["row"], o["col"]))
    return shapes.Scene(image, objects)


def question(rng, scene, kind):
    """Draws a question of one kind about a scene."""
    if kind not in KINDS:
        raise ValueError(f"no kind of question {kind!r}; there are {', '.join(KINDS)}")
    return shapes.question(rng, scene, kind)
