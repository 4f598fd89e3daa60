"""LLaVA-NeXT and LLaVA-OneVision of Hugging Face: a picture as a whole and in tiles, in float64."""

import math

import torch
from PIL import Image
from transformers import AutoImageProcessor
from transformers.image_processing_utils import select_best_resolution

from record import Llava, View


class Tiled(Llava):
    """As record.Llava; pixels are lists of views, (B, 3, h, w) each, the whole picture first."""

    types = ("llava_next", "llava_onevision")

    def __init__(self, folder, dtype=torch.float64, attention="eager"):
        super().__init__(folder, dtype, attention)
        self.processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
        self.sizes = None
        self.count = None

    def pixels(self, rgb):
        out = self.processor(Image.fromarray(rgb), return_tensors="pt")
        self.sizes = out["image_sizes"]
        views = out["pixel_values"][0].to(self.dtype)
        return [view[None] for view in views]

    def views(self, rgb):
        """The whole picture resized to a tile; then the tiles of the picture fitted into the best resolution, row by row."""
        height, width = rgb.shape[:2]
        size = self.processor.size
        edge = size["height"] if size["height"] else size["shortest_edge"]
        rows, columns = select_best_resolution((height, width), self.processor.image_grid_pinpoints)
        if columns / width < rows / height:
            rw, rh = columns, min(math.ceil(height * columns / width), rows)
        else:
            rw, rh = min(math.ceil(width * rows / height), columns), rows
        left, top = (columns - rw) // 2, (rows - rh) // 2
        whole = View(edge, edge, edge, edge, 0, 0)
        starts = [(y, x) for y in range(0, rows, edge) for x in range(0, columns, edge)]
        return [whole] + [View(edge, edge, rh, rw, y - top, x - left) for y, x in starts]

    def visual_tokens(self, pixels):
        """Rows that the picture takes, as the model's own features have them."""
        more = {"vision_feature_layer": self.config.vision_feature_layer}
        more["vision_feature_select_strategy"] = self.config.vision_feature_select_strategy
        stacked = torch.stack(pixels, 1)
        features = self.model.model.get_image_features(pixel_values=stacked, image_sizes=self.sizes, **more)
        return getattr(features, "pooler_output", features)[0].shape[0]

    def logits(self, ids, pixels):
        """Of one sequence of ids (1, L) on B pictures, given as views."""
        stacked = torch.stack(pixels, 1)
        batch = stacked.shape[0]
        sizes = self.sizes.expand(batch, -1)
        return self.model(input_ids=ids.expand(batch, -1), pixel_values=stacked, image_sizes=sizes).logits

    def logp(self, prompt, answer, pixels):
        logits = self.logits(torch.cat([prompt, answer], 1), pixels)[:, prompt.shape[1] - 1 : -1]
        chosen = answer[..., None].expand(len(pixels[0]), -1, 1)
        return torch.log_softmax(logits, -1).gather(2, chosen)[..., 0]
