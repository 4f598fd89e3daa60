"""LLaVA-NeXT (1.6) and LLaVA-OneVision in their authors' layout, from the picture to the logits, in float64.

An encoder (CLIP or SigLIP) sees the whole picture, and tiles of it at the best of several resolutions. The tiles' rows
are put together as one large picture, its padding is cut away, with `anyres_max_N` it is made smaller where it has many
more rows than N views, and a newline ends each of its lines. A Llama, Mistral or Qwen2 decoder reads the rows of the
whole picture and then those.

CLIP, decoder and operations are mini_gemini.py's; what is stated here is what is different. Where Hugging Face's
conversion of the same models differs: the authors count resolutions by width and height; cut lengths without padding
off, where Hugging Face rounds them at the seventh decimal first; resize with Pillow's own bicubic filter whatever the
encoder's processor says; and take SigLIP without its last layer, whatever mm_vision_select_layer says.
"""

import ast
import json
import math
import re
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from transformers import PreTrainedTokenizerFast

from mini_gemini import (
    ACTIVATIONS,
    CONVERSATIONS,
    Clip,
    Decoder,
    MiniGemini,
    attend,
    below,
    encoder_folder,
    join_heads,
    layer_norm,
    linear,
    read_tensors,
    split_heads,
)
from record import View

INSIDE = "model.vision_tower.vision_tower.vision_model."

# By the config's model_type; llava_llama has what its vocabulary asks for, here always Vicuna's.
PROMPTS = {
    "llava": CONVERSATIONS["vicuna_v1"],
    "llava_mistral": "[INST] <image>\n{question} [/INST]",
    "llava_qwen": (
        "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
        "<|im_start|>user\n<image>\n{question}<|im_end|>\n<|im_start|>assistant\n"
    ),
}


class Siglip:
    """SigLIP's ViT without its last layer. `weights`: without the prefix `vision_model.`"""

    def __init__(self, config, weights):
        vision = config.get("vision_config", config)
        self.weights, self.heads = weights, vision["num_attention_heads"]
        self.depth = vision["num_hidden_layers"] - 1

    def __call__(self, pixels):
        """(B, 3, r, r) to the patches' features, (B, patches, hidden)."""
        w = self.weights
        kernel = w["embeddings.patch_embedding.weight"]
        patches = F.conv2d(pixels, kernel, w["embeddings.patch_embedding.bias"], stride=kernel.shape[-1])
        x = patches.flatten(2).transpose(1, 2) + w["embeddings.position_embedding.weight"]
        for n in range(self.depth):
            x = self.layer(x, f"encoder.layers.{n}.")
        return x

    def layer(self, x, prefix):
        w = self.weights
        y = layer_norm(x, w, prefix + "layer_norm1", 1e-6)
        q, k, v = (split_heads(linear(y, w, f"{prefix}self_attn.{part}_proj"), self.heads) for part in "qkv")
        x = x + linear(join_heads(attend(q, k, v)), w, prefix + "self_attn.out_proj")
        y = layer_norm(x, w, prefix + "layer_norm2", 1e-6)
        y = ACTIVATIONS["gelu_pytorch_tanh"](linear(y, w, prefix + "mlp.fc1"))
        return x + linear(y, w, prefix + "mlp.fc2")


def resolutions(pinpoints, tile):
    """Widths and heights that a picture may be fitted into: a list, one as text, or a range of tiles as text."""
    if isinstance(pinpoints, list):
        return pinpoints
    if "x" not in pinpoints:
        return ast.literal_eval(pinpoints)
    ends = [[int(n) for n in pair] for pair in re.findall(r"\((\d+)x(\d+)\)", pinpoints)]
    (left, top), (right, bottom) = ends[0], ends[-1]
    return [(tile * x, tile * y) for x in range(left, right + 1) for y in range(top, bottom + 1)]


def best_resolution(width, height, choices):
    """That of which the picture fills the most pixels, and among those the one with the fewest left over."""

    def filled(choice):
        scale = min(choice[0] / width, choice[1] / height)
        pixels = min(int(width * scale) * int(height * scale), width * height)
        return pixels, pixels - choice[0] * choice[1]

    return max(choices, key=filled)


def without_padding(rows, width, height):
    """The large picture's features, (B, C, h, w), without those of its padding."""
    high, wide = rows.shape[-2:]
    if width / height > wide / high:
        padding = (high - int(height * (wide / width))) // 2
        return rows[:, :, padding : high - padding]
    padding = (wide - int(width * (high / height))) // 2
    return rows[:, :, :, padding : wide - padding]


class LlavaAnyres(MiniGemini):
    """A checkpoint: its picture processing, its prompt, and the log-probabilities it gives an answer.

    Pixels are a list, one tensor (B, 3, h, w) for each view: the whole picture, then its tiles row by row.
    """

    def __init__(self, folder, dtype=torch.float64):
        folder = Path(folder)
        self.dtype = dtype
        self.config = json.loads((folder / "config.json").read_text())
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        self.weights = tensors = read_tensors(folder, dtype=dtype)
        self.decoder = Decoder(self.config, tensors, gemma=False)
        self.ends = {self.tokenizer.eos_token_id}
        tower = encoder_folder(folder, Path(self.config["mm_vision_tower"]).name)
        config = json.loads((tower / "config.json").read_text())
        encoder = below(tensors, INSIDE) or below(read_tensors(tower, dtype=dtype), "vision_model.")
        self.tile = config.get("vision_config", config)["image_size"]
        if config["model_type"].startswith("siglip"):
            self.encoder = Siglip(config, encoder)
            self.mean, self.deviation = [0.5] * 3, [0.5] * 3
        else:
            self.encoder = Clip(config, encoder, self.config["mm_vision_select_layer"])
            processor = json.loads((tower / "preprocessor_config.json").read_text())
            self.mean, self.deviation = processor["image_mean"], processor["image_std"]
        most = re.match(r"anyres_max_(\d+)", self.config["image_aspect_ratio"])
        self.most_views = int(most.group(1)) if most else None

    def fitted(self, rgb):
        """The picture's size, the resolution that it is fitted into, and its size there; widths come first."""
        height, width = rgb.shape[:2]
        across, down = best_resolution(width, height, resolutions(self.config["image_grid_pinpoints"], self.tile))
        if across / width < down / height:
            inner = across, min(math.ceil(height * (across / width)), down)
        else:
            inner = min(math.ceil(width * (down / height)), across), down
        return (width, height), (across, down), inner

    def starts(self, across, down):
        """Where tiles begin, row by row."""
        return [(y, x) for y in range(0, down, self.tile) for x in range(0, across, self.tile)]

    def pixels(self, rgb):
        picture = Image.fromarray(rgb)
        self.size, (across, down), inner = self.fitted(rgb)
        large = Image.new("RGB", (across, down), (0, 0, 0))
        large.paste(picture.resize(inner), ((across - inner[0]) // 2, (down - inner[1]) // 2))
        self.grid = (down // self.tile, across // self.tile)
        boxes = [(x, y, x + self.tile, y + self.tile) for y, x in self.starts(across, down)]
        views = [picture.resize((self.tile, self.tile))] + [large.crop(box) for box in boxes]

        def normal(view):
            x = torch.from_numpy(np.array(view)).to(self.dtype).movedim(-1, 0)[None] / 255
            column = lambda values: torch.tensor(values, dtype=self.dtype)[:, None, None]  # noqa: E731
            return (x - column(self.mean)) / column(self.deviation)

        views = [normal(view) for view in views]
        with torch.no_grad():
            self.visual_tokens = self.picture_rows(views).shape[1]
        return views

    def views(self, rgb):
        _, (across, down), (rw, rh) = self.fitted(rgb)
        left, top, edge = (across - rw) // 2, (down - rh) // 2, self.tile
        whole = View(edge, edge, edge, edge, 0, 0)
        return [whole] + [View(edge, edge, rh, rw, y - top, x - left) for y, x in self.starts(across, down)]

    def picture_rows(self, pixels):
        """The decoder's rows for a picture, (B, visual tokens, hidden)."""
        views = [self.project(self.encoder(view)) for view in pixels]
        side = math.isqrt(views[0].shape[1])
        down, across = self.grid
        squares = [view.transpose(1, 2).unflatten(2, (side, side)) for view in views[1:]]
        lines = [torch.cat(squares[row * across : (row + 1) * across], 3) for row in range(down)]
        large = without_padding(torch.cat(lines, 2), *self.size)
        if self.most_views is not None:
            high, wide = large.shape[-2:]
            times = math.sqrt(high * wide / (self.most_views * side**2))
            if times > 1.1:
                size = [int(high // times), int(wide // times)]
                large = F.interpolate(large, size, mode="bilinear", align_corners=False)
        newline = self.weights["model.image_newline"][None, :, None, None].expand(*large.shape[:3], 1)
        return torch.cat([views[0], torch.cat([large, newline], 3).flatten(2).transpose(1, 2)], 1)

    def prompt(self, question, pixels=None):
        """The prompt's ids, (1, P), with IMAGE_TOKEN once for each visual token; and its text."""
        CONVERSATIONS["anyres"] = PROMPTS[self.config["model_type"]]
        self.conversation = "anyres"
        return super().prompt(question, pixels)
