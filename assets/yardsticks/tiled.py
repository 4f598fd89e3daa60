"""The yardstick `tiles`: what `shapes` knows, in the layout of LLaVA-NeXT.

A wide picture becomes three views: the whole, squeezed into a square, and its two halves. The decoder reads the whole's tokens
first, then the rows of both halves side by side, each row closed by a newline.
"""

import numpy as np
import torch
import torch.nn.functional as F

import shapes
import tiles
from disturb import blur_matrix, disturb
from model import PATCHES, SIDE, SIZE
from stages import Trainer, facts

TILES = tiles.WIDTH // SIZE
TOKENS = PATCHES + SIDE * (TILES * SIDE + 1)


def views_of_mask(values):
    """The whole and the tiles of f32 (HEIGHT, WIDTH): (1 + TILES, SIZE, SIZE)."""
    whole = values.reshape(SIZE, SIZE, TILES).mean(2)
    return np.stack([whole, *np.split(values, TILES, 1)])


def views_of_scene(scene):
    """The scenes of the views, of objects of which something lies in each."""
    found = [shapes.Scene(None, []) for _ in range(1 + TILES)]
    for item in scene.objects:
        x, y = item["center"]
        for k, mask in enumerate(views_of_mask(item["mask"].astype(np.float32))):
            center = (x / TILES, y) if k == 0 else (x - (k - 1) * SIZE, y)
            if mask.any() and 0 <= center[0] < SIZE:
                col = int(center[0] * 3 // SIZE)
                found[k].objects.append({**item, "mask": mask, "center": center, "col": col})
    return found


class TiledTrainer(Trainer):
    """A trainer whose pictures are wide."""

    pinpoints = [[tiles.HEIGHT, tiles.WIDTH]]

    def __init__(self, model, tokenizer):
        super().__init__(model, tokenizer, tokens=TOKENS)
        self.newline = model.model.image_newline
        self.matrices = blur_matrix(tiles.HEIGHT), blur_matrix(tiles.WIDTH)

    def questions(self, rng, scene, kinds=None):
        # Two questions of each of three kinds, and one about something that is not there.
        kinds = [tiles.KINDS[k] for k in rng.permutation(len(tiles.KINDS))[:3]]
        asked = [tiles.question(rng, scene, kind) for kind in [*kinds, *kinds]]
        return [*asked, self.hidden(rng, scene)]

    @staticmethod
    def hidden(rng, scene):
        shape = shapes.absent_shape(rng, scene.objects)
        return shapes.Question("hidden", f"What color is the {shape}?", f"The {shape} is {shapes.HIDDEN}.", [shapes.HIDDEN])

    def joint(self, rng, batch, share, weight):
        scenes = [tiles.scene(rng) for _ in range(batch)]
        masks = [[o["mask"] for o in s.objects] for s in scenes]
        images, visible = disturb(rng, np.stack([s.image for s in scenes]), masks, self.matrices, share)
        parts = images.permute(0, 3, 1, 2)
        whole = F.interpolate(parts, (SIZE, SIZE), mode="bicubic", antialias=True)
        views = torch.stack([whole, *parts.split(SIZE, 3)], 1).flatten(0, 1).permute(0, 2, 3, 1)
        tokens = self.projector(self.hidden_states(views))

        shown = [s for scene in scenes for s in views_of_scene(scene)]
        seen = [v for value in visible for v in views_of_mask(value)]
        labels = torch.from_numpy(np.stack([facts(s, v) for s, v in zip(shown, seen)]))
        aligned = self.align_loss(tokens, labels, torch.full((len(shown),), -1))
        loss = self.answer_loss(self.arrange(tokens), self.pack(rng, scenes, None, visible))
        return loss + weight * aligned

    def arrange(self, tokens):
        """The decoder's visual tokens, f32 (n, TOKENS, width), of those of the views, (n (1 + TILES), PATCHES, width)."""
        tokens = tokens.unflatten(0, (-1, 1 + TILES))
        whole, parts = tokens[:, 0], tokens[:, 1:].unflatten(2, (SIDE, SIDE))
        rows = parts.permute(0, 2, 1, 3, 4).flatten(2, 3)
        newline = self.newline.expand(*rows.shape[:2], 1, -1)
        return torch.cat([whole, torch.cat([rows, newline], 2).flatten(1, 2)], 1)
