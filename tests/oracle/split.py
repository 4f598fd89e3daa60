"""Models of Hugging Face that see a picture in tiles stretched over it, and as a whole after them, in float64.

Idefics3 and SmolVLM resize the picture by its longest edge, then stretch it to whole tiles. The text names each tile by its row and
column. InternVL stretches the picture to the grid of tiles whose shape is closest to its own.
"""

import math

import torch
from PIL import Image
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil, get_optimal_tiled_canvas
from transformers.models.idefics3.image_processing_pil_idefics3 import (
    Idefics3ImageProcessorPil,
    get_resize_output_image_size,
)
from transformers.models.idefics3.processing_idefics3 import Idefics3Processor
from transformers.models.internvl.processing_internvl import InternVLProcessor
from transformers.models.internvl.video_processing_internvl import InternVLVideoProcessor
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil
from transformers.models.smolvlm.processing_smolvlm import SmolVLMProcessor
from transformers.models.smolvlm.video_processing_smolvlm import SmolVLMVideoProcessor

from record import View
from tiled import Tiled


class Size:
    """What transformers' function takes as a picture: its size alone."""

    def __init__(self, height, width):
        self.shape = (3, height, width)


def idefics3_size(processor, height, width):
    """Rows and columns of pixels that a picture is stretched to before it is cut into tiles."""
    tile = processor.max_image_size["longest_edge"]
    if processor.do_resize:
        if processor.size["longest_edge"]:
            height, width = get_resize_output_image_size(Size(height, width), processor.size["longest_edge"])
        else:
            height, width = processor.size["height"], processor.size["width"]
    if not processor.do_image_splitting:
        return tile, tile
    ratio = width / height
    if width >= height:
        width = math.ceil(width / tile) * tile
        height = math.ceil(int(width / ratio) / tile) * tile
    else:
        height = math.ceil(height / tile) * tile
        width = math.ceil(int(height * ratio) / tile) * tile
    return height, width


def views_of(tile, rows, columns):
    """The whole picture, then the tiles row by row where there is more than one."""
    whole = View(tile, tile, tile, tile, 0, 0)
    if rows * columns == 1:
        return [whole]
    starts = [(y * tile, x * tile) for y in range(rows) for x in range(columns)]
    return [whole] + [View(tile, tile, rows * tile, columns * tile, y, x) for y, x in starts]


class Split(Tiled):
    """As tiled.Tiled; pixels are lists of views, (B, 3, h, w) each, the whole picture first, which transformers has last."""

    types = ("idefics3", "smolvlm", "internvl")

    def __init__(self, folder, dtype=torch.float64, attention="eager"):
        super().__init__(folder, dtype, attention)
        kind = self.config.model_type
        if kind == "idefics3":
            self.own = Idefics3Processor.from_pretrained(folder)
            self.own.image_processor = Idefics3ImageProcessorPil.from_pretrained(folder)
        elif kind == "smolvlm":
            images, tokens = SmolVLMImageProcessorPil.from_pretrained(folder), self.tokenizer
            length = Idefics3Processor.from_pretrained(folder).image_seq_len
            self.own = SmolVLMProcessor(images, tokens, SmolVLMVideoProcessor(), image_seq_len=length)
        else:
            images, tokens = GotOcr2ImageProcessorPil.from_pretrained(folder), self.tokenizer
            side = self.config.vision_config.image_size[0] // self.config.vision_config.patch_size[0]
            length = int((side * self.config.downsample_ratio) ** 2)
            self.own = InternVLProcessor(images, tokens, InternVLVideoProcessor(), image_seq_length=length)
        self.picture = None

    def pixels(self, rgb):
        self.picture = Image.fromarray(rgb)
        mark = self.own.image_token
        views = self.own(images=self.picture, text=mark, return_tensors="pt")["pixel_values"]
        views = list(views.flatten(0, -4).to(self.dtype))
        return [view[None] for view in views[-1:] + views[:-1]]

    def views(self, rgb):
        height, width = rgb.shape[:2]
        images = self.own.image_processor
        if self.config.model_type == "internvl":
            tile = images.size["height"]
            columns, rows = get_optimal_tiled_canvas(
                (height, width), (tile, tile), images.min_patches, images.max_patches
            )
        else:
            tile = images.max_image_size["longest_edge"]
            rows, columns = (pixels // tile for pixels in idefics3_size(images, height, width))
        return views_of(tile, rows, columns)

    def prompt(self, question, pixels=None):
        """As the processor itself expands and tokenises it."""
        text = self.prompt_text(question)
        return self.own(images=self.picture, text=text, add_special_tokens=False, return_tensors="pt")["input_ids"], text

    def logits(self, ids, pixels):
        stacked = torch.stack(pixels[1:] + pixels[:1], 1)
        batch = stacked.shape[0]
        if self.config.model_type == "internvl":
            stacked = stacked.flatten(0, 1)
        return self.model(input_ids=ids.expand(batch, -1), pixel_values=stacked).logits
