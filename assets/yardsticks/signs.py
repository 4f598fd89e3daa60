"""Scenes with a word, a number and a shape or two, and questions that are answered by reading: evidence of thin strokes.

The words differ from each other in one letter or two, so no single letter tells one from the others.
"""

import cv2
import numpy as np

import shapes
from shapes import HIDDEN, Question, Scene, demo

SIZE = shapes.SIZE
WORDS = ["cat", "car", "can", "cap", "bat", "bar", "bag", "man", "mat", "map", "pan", "pin", "pig", "pot", "top", "tap"]
TEXTS = ["What does the sign say?", "The sign says cat.", "The sign is hidden."]
TEXTS += ["What is the number?", "The number is 47.", "The number is hidden."]
KINDS = ["word", "number", "color"]
FONT = cv2.FONT_HERSHEY_SIMPLEX
BANDS = 3


def write(image, text, x, y, scale, color):
    """Writes thin strokes into `image` from (x, y), the left end of the base line; returns the pixels that they touch."""
    cv2.putText(image, text, (x, y), FONT, scale, color, 1, cv2.LINE_AA)
    canvas = np.zeros(image.shape[:2], np.uint8)
    cv2.putText(canvas, text, (x, y), FONT, scale, (255,), 1, cv2.LINE_AA)
    return canvas > 0


def scene(rng):
    """A word, a number of two digits and a shape, each in a band of its own from left to right; objects of the scene, in
    that order. Text has `text`, and for each character `letters`, its pixels."""
    image = demo.background(rng, SIZE)
    band = SIZE // BANDS
    bands = rng.permutation(BANDS)
    objects = []
    for k, text in enumerate([WORDS[rng.integers(len(WORDS))], f"{rng.integers(10, 100)}"]):
        scale = rng.uniform(0.65, 0.8)
        (width, height), below = cv2.getTextSize(text, FONT, scale, 1)
        x = int(rng.integers(3, SIZE - width - 3))
        y = int(bands[k] * band + rng.integers(height + 2, band - below - 1))
        under = image[y - height : y + below, x : x + width].mean()
        ink = rng.integers(5, 40) if under > 115 else rng.integers(215, 250)
        mask = write(image, text, x, y, scale, (int(ink),) * 3)
        letters = []
        for place in range(len(text)):
            before = cv2.getTextSize(text[:place], FONT, scale, 1)[0][0] if place else 0
            canvas = np.zeros((SIZE, SIZE), np.uint8)
            cv2.putText(canvas, text[place], (x + before, y), FONT, scale, (255,), 1, cv2.LINE_AA)
            letters.append(canvas > 0)
        box = [x, y - height, x + width, y + below]
        objects.append({"text": text, "mask": mask, "letters": letters, "box": [float(v) for v in box]})
    shape, color = shapes.SHAPES[rng.integers(len(demo.SHAPES))], shapes.COLORS[rng.integers(len(shapes.COLORS))]
    radius = rng.uniform(0.26, 0.42) * band
    cx = rng.uniform(radius * 1.1, SIZE - radius * 1.1)
    cy = bands[2] * band + rng.uniform(radius * 1.05, band - radius * 1.05)
    item = shapes.drawn(rng, image, shape, color, (cx, cy), radius)
    objects.append(item | {"row": int(bands[2]), "col": int(np.clip(cx * 3 // SIZE, 0, 2))})
    return Scene(image, objects)


def question(rng, scene, kind):
    """Draws a question of one kind about a scene."""
    word, number, item = scene.objects
    if kind == "word":
        text, answer = "What does the sign say?", f"The sign says {word['text']}."
        return Question(kind, text, answer, [word["text"]], [0], hidden=f"The sign is {HIDDEN}.", hints={"sign": word["text"]})
    if kind == "number":
        text, answer = "What is the number?", f"The number is {number['text']}."
        digits = list(number["text"])
        return Question(kind, text, answer, digits, [1], hidden=f"The number is {HIDDEN}.", hints={"number": digits[0]})
    if kind == "color":
        shape, color = item["shape"], item["color"]
        text, answer = f"What color is the {shape}?", f"The {shape} is {color}."
        return Question(kind, text, answer, [color], [2], hidden=f"The {shape} is {HIDDEN}.", hints={shape: color})
    raise ValueError(f"no kind of question {kind!r}; there are {', '.join(KINDS)}")
