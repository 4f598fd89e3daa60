"""An independent PyTorch statement of Mini-Gemini (arXiv 2403.18814), from the picture to the logits.

    python mini_gemini.py FOLDER PICTURE "QUESTION"      the greedy answer, to look at

Two encoders see the picture: a CLIP ViT at a low resolution, whose patches become the model's visual tokens, and a
ConvNeXt at a high one. Each patch attends over the block of ConvNeXt positions that lie under it and what it finds is
added to it ("patch info mining"). With a grid (the HD models) the low-resolution picture is cut into tiles, and the
whole picture comes along once more. A multi-layer perceptron makes the sums into rows of the decoder, a Llama or a
Gemma.

Reads the authors' own layout: one config.json for the decoder and everything else, tensors under `model.`, and the two
encoders in folders of their own (CLIP as transformers writes it, the ConvNeXt as OpenCLIP does) or inside the
checkpoint. Nothing but elementary operations of PyTorch, so that it can be read; check_mini_gemini.py compares the
parts with transformers, timm and OpenCLIP.
"""

import json
import math
import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors.torch import load_file
from transformers import PreTrainedTokenizerFast

IMAGE_TOKEN = -200  # marks a visual token among the ids; no tokenizer knows it
IMAGE_TEXT = "<image>"

# What one question about one picture looks like to the decoders.
CONVERSATIONS = {
    "gemma": "<start_of_turn>user\n<image>\n{question}<end_of_turn>\n<start_of_turn>model\n",
    "llama_3": (
        "<|start_header_id|>system<|end_header_id|>\n\nYou are a helpful language and vision assistant. You are able "
        "to understand the visual content that the user provides, and assist the user with a variety of tasks using "
        "natural language.<|eot_id|><|start_header_id|>user<|end_header_id|>\n\n<image>\n{question}<|eot_id|>"
        "<|start_header_id|>system<|end_header_id|>\n\n"
    ),
    "chatml_direct": (
        "<|im_start|>system\nAnswer the questions.<|im_end|><|im_start|>user\n<image>\n{question}<|im_end|>"
        "<|im_start|>assistant\n"
    ),
    "vicuna_v1": (
        "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, "
        "detailed, and polite answers to the user's questions. USER: <image>\n{question} ASSISTANT:"
    ),
}
# A token that only one conversation's vocabulary has, and the one that ends its answers; looked for in this order.
MARKS = {
    "gemma": ("<start_of_turn>", "<end_of_turn>"),
    "llama_3": ("<|start_header_id|>", "<|eot_id|>"),
    "chatml_direct": ("<|im_start|>", "<|im_end|>"),
}


@dataclass
class View:
    """What an encoder sees: `height` x `width` pixels of the picture resized to `rh` x `rw`, from (oy, ox) on.

    Row i, column j of the view lies at x = (j + ox) / (rw - 1), y = (i + oy) / (rh - 1) in the picture's plane
    [0, 1] x [0, 1]. Here rh, rw, oy and ox are real numbers: padding comes before resizing, and a border of the picture
    can lie inside a pixel.
    """

    height: int
    width: int
    rh: float
    rw: float
    oy: float
    ox: float

    def sample(self, mask):
        """The S x S mask as the view sees it, (height, width): bilinear, and 1 outside the picture."""
        columns = torch.arange(self.width, dtype=mask.dtype) + self.ox
        rows = torch.arange(self.height, dtype=mask.dtype) + self.oy
        inside_x = (columns >= 0) & (columns <= self.rw - 1)
        inside_y = (rows >= 0) & (rows <= self.rh - 1)
        x, y = columns / max(self.rw - 1, 1e-9), rows / max(self.rh - 1, 1e-9)
        # grid_sample counts from -1 to 1 and takes x before y.
        down, across = torch.meshgrid(y * 2 - 1, x * 2 - 1, indexing="ij")
        grid = torch.stack([across, down], -1)[None]
        seen = F.grid_sample(mask[None, None], grid, mode="bilinear", align_corners=True, padding_mode="border")
        inside = inside_y[:, None] & inside_x[None, :]
        return torch.where(inside, seen[0, 0], torch.ones_like(seen[0, 0]))


# Checkpoints


def read_tensors(folder, single="model.safetensors", dtype=torch.float64):
    """All tensors of a folder: of its index's files, or of one file."""
    index = folder / "model.safetensors.index.json"
    files = sorted(set(json.loads(index.read_text())["weight_map"].values())) if index.exists() else [single]
    tensors = {}
    for file in files:
        tensors.update(load_file(folder / file))
    return {name: tensor.to(dtype) for name, tensor in tensors.items()}


def below(tensors, prefix):
    """Those whose names begin with a prefix, named without it."""
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def encoder_folder(model, written):
    """Where an encoder lies: the path as written, or below the model's folder, or below a folder that holds that."""
    for base in (Path(), model, *model.resolve().parents):
        if (base / written).is_dir():
            return base / written
    return None


# Operations


def linear(x, weights, name):
    return F.linear(x, weights[f"{name}.weight"], weights.get(f"{name}.bias"))


def layer_norm(x, weights, name, eps):
    """Over the last axis."""
    return F.layer_norm(x, x.shape[-1:], weights[f"{name}.weight"], weights[f"{name}.bias"], eps)


def resize(x, side):
    """(B, C, h, w) to (B, C, side, side): bilinear between pixel centres, without smoothing first."""
    return F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)


ACTIVATIONS = {
    "gelu": F.gelu,
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
    "quick_gelu": lambda x: x * torch.sigmoid(1.702 * x),
    "silu": F.silu,
}


def attend(q, k, v, mask=None):
    """(B, heads, queries, d) over (B, heads, keys, d)."""
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    if mask is not None:
        scores = scores + mask
    return scores.softmax(-1) @ v


def split_heads(x, heads):
    """(B, N, heads * d) to (B, heads, N, d)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def join_heads(x):
    return x.transpose(1, 2).flatten(2)


# Encoders


class Clip:
    """CLIP's ViT up to one of its hidden states. `weights`: without the prefix `vision_model.`"""

    def __init__(self, config, weights, select_layer):
        vision = config.get("vision_config", config)
        self.weights = weights
        self.heads = vision.get("num_attention_heads", 12)
        self.eps = vision.get("layer_norm_eps", 1e-5)
        self.activation = ACTIVATIONS[vision.get("hidden_act", "quick_gelu")]
        layers = vision.get("num_hidden_layers", 12)
        # Hidden state 0 is what goes into the first layer, hidden state n what comes out of the n-th.
        self.depth = select_layer if select_layer >= 0 else layers + 1 + select_layer
        self.hidden_size = weights["embeddings.class_embedding"].numel()

    def __call__(self, pixels):
        """(B, 3, r, r) to the patches' features, (B, patches, hidden)."""
        w = self.weights
        kernel = w["embeddings.patch_embedding.weight"]
        patches = F.conv2d(pixels, kernel, stride=kernel.shape[-1]).flatten(2).transpose(1, 2)
        first = w["embeddings.class_embedding"].expand(len(pixels), 1, -1)
        x = torch.cat([first, patches], 1) + w["embeddings.position_embedding.weight"]
        x = layer_norm(x, w, "pre_layrnorm", self.eps)
        for n in range(self.depth):
            x = self.layer(x, f"encoder.layers.{n}.")
        return x[:, 1:]  # without the class token

    def layer(self, x, prefix):
        w = self.weights
        y = layer_norm(x, w, prefix + "layer_norm1", self.eps)
        q, k, v = (split_heads(linear(y, w, f"{prefix}self_attn.{part}_proj"), self.heads) for part in "qkv")
        x = x + linear(join_heads(attend(q, k, v)), w, prefix + "self_attn.out_proj")
        y = layer_norm(x, w, prefix + "layer_norm2", self.eps)
        return x + linear(self.activation(linear(y, w, prefix + "mlp.fc1")), w, prefix + "mlp.fc2")


class ConvNext:
    """A ConvNeXt's four stages. `weights`: named `stem.` and `stages.`; all sizes are read from them."""

    def __init__(self, weights, eps=1e-6):
        self.weights, self.eps = weights, eps
        self.depths = []
        while f"stages.{len(self.depths)}.blocks.0.gamma" in weights:
            stage, depth = len(self.depths), 0
            while f"stages.{stage}.blocks.{depth}.gamma" in weights:
                depth += 1
            self.depths.append(depth)
        self.hidden_size = sum(weights[f"stages.{s}.blocks.0.gamma"].numel() for s in range(len(self.depths)))

    def __call__(self, pixels):
        """(B, 3, R, R) to all stages' channels at the first stage's resolution, (B, hidden, R/4, R/4)."""
        x = self.norm(self.conv(pixels, "stem.0"), "stem.1")
        stages = []
        for stage, depth in enumerate(self.depths):
            if stage > 0:
                x = self.conv(self.norm(x, f"stages.{stage}.downsample.0"), f"stages.{stage}.downsample.1")
            for block in range(depth):
                x = self.block(x, f"stages.{stage}.blocks.{block}.")
            stages.append(x)
        side = stages[0].shape[-1]
        return torch.cat([stages[0]] + [resize(x, side) for x in stages[1:]], 1)

    def conv(self, x, name):
        """A convolution as far apart as it is wide: of the stem, or between two stages."""
        kernel = self.weights[f"{name}.weight"]
        return F.conv2d(x, kernel, self.weights[f"{name}.bias"], stride=kernel.shape[-1])

    def norm(self, x, name):
        """Over channels, at each position."""
        return layer_norm(x.movedim(1, -1), self.weights, name, self.eps).movedim(-1, 1)

    def block(self, x, prefix):
        w = self.weights
        kernel = w[f"{prefix}conv_dw.weight"]
        y = F.conv2d(x, kernel, w[f"{prefix}conv_dw.bias"], padding=kernel.shape[-1] // 2, groups=x.shape[1])
        y = layer_norm(y.movedim(1, -1), w, prefix + "norm", self.eps)
        y = linear(F.gelu(linear(y, w, prefix + "mlp.fc1")), w, prefix + "mlp.fc2")
        return x + (w[f"{prefix}gamma"] * y).movedim(-1, 1)


# Decoder


class Decoder:
    """A Llama, or a Gemma of the first generation. `weights`: with the prefix `model.`"""

    def __init__(self, config, weights, gemma):
        self.weights, self.gemma = weights, gemma
        self.layers = config["num_hidden_layers"]
        self.hidden_size = config["hidden_size"]
        self.heads = config["num_attention_heads"]
        self.kv_heads = config.get("num_key_value_heads") or self.heads
        self.head_dim = config.get("head_dim") or (256 if gemma else self.hidden_size // self.heads)
        self.eps = config.get("rms_norm_eps", 1e-6)
        self.theta = config.get("rope_theta", 10000.0)
        if config.get("rope_scaling"):
            raise SystemExit("rope_scaling: no model of this family has any")
        if gemma:
            # Gemma's first configs say gelu and mean this.
            self.activation = ACTIVATIONS[config.get("hidden_activation") or "gelu_pytorch_tanh"]
        else:
            self.activation = ACTIVATIONS[config.get("hidden_act", "silu")]
        self.embeddings = weights["model.embed_tokens.weight"]
        self.head = weights.get("lm_head.weight", self.embeddings)

    def __call__(self, rows):
        """Rows of the input, (B, N, hidden), to logits of what follows each, (B, N, vocabulary)."""
        x = rows
        if self.gemma:  # every row, those of the picture too
            x = x * self.hidden_size**0.5
        length = x.shape[1]
        positions = torch.arange(length, dtype=x.dtype)
        frequencies = self.theta ** -(torch.arange(0, self.head_dim, 2, dtype=x.dtype) / self.head_dim)
        angles = torch.outer(positions, frequencies).repeat(1, 2)
        rope = angles.cos(), angles.sin()
        causal = torch.full((length, length), -math.inf, dtype=x.dtype).triu(1)
        for n in range(self.layers):
            x = self.layer(x, f"model.layers.{n}.", rope, causal)
        return F.linear(self.norm(x, "model.norm"), self.head)

    def norm(self, x, name):
        weight = self.weights[f"{name}.weight"]
        if self.gemma:
            weight = 1 + weight
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.eps) * weight

    def layer(self, x, prefix, rope, causal):
        w = self.weights
        y = self.norm(x, prefix + "input_layernorm")
        q, k, v = (linear(y, w, f"{prefix}self_attn.{part}_proj") for part in "qkv")
        q, k, v = split_heads(q, self.heads), split_heads(k, self.kv_heads), split_heads(v, self.kv_heads)
        q, k = rotate(q, *rope), rotate(k, *rope)
        each = self.heads // self.kv_heads
        k, v = k.repeat_interleave(each, 1), v.repeat_interleave(each, 1)
        x = x + linear(join_heads(attend(q, k, v, causal)), w, prefix + "self_attn.o_proj")
        y = self.norm(x, prefix + "post_attention_layernorm")
        gate = self.activation(linear(y, w, prefix + "mlp.gate_proj"))
        return x + linear(gate * linear(y, w, prefix + "mlp.up_proj"), w, prefix + "mlp.down_proj")


def rotate(x, cos, sin):
    """Rotary position embedding: element i of the first half turns with element i of the second."""
    first, second = x.chunk(2, -1)
    return x * cos + torch.cat([-second, first], -1) * sin


# The whole


class MiniGemini:
    """A Mini-Gemini checkpoint: its picture processing, its prompt, and the log-probabilities it gives an answer.

    Pixels are a list, one tensor (B, 3, h, w) for each view: the whole picture as CLIP sees it, with a grid then its
    tiles row by row, and last what the ConvNeXt sees.
    """

    def __init__(self, folder, dtype=torch.float64):
        folder = Path(folder)
        self.dtype = dtype
        self.config = json.loads((folder / "config.json").read_text())
        kind = self.config["model_type"].replace("mini_gemini", "mgm")
        if kind not in ("mgm", "mgm_gemma"):
            raise SystemExit(f"{folder}: model type {self.config['model_type']}, where mgm or mgm_gemma was expected")
        self.tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
        tensors = read_tensors(folder, dtype=dtype)

        clip_folder = encoder_folder(folder, self.config["mm_vision_tower"])
        aux_folder = encoder_folder(folder, self.config["mm_vision_tower_aux"])
        clip_config = json.loads((clip_folder / "config.json").read_text())
        self.processor = json.loads((clip_folder / "preprocessor_config.json").read_text())
        clip = below(tensors, "model.vision_tower.vision_tower.vision_model.")
        clip = clip or below(read_tensors(clip_folder, dtype=dtype), "vision_model.")
        aux = below(tensors, "model.vision_tower_aux.vision_")
        aux = aux or below(read_tensors(aux_folder, "open_clip_model.safetensors", dtype), "visual.trunk.")

        if self.config.get("mm_vision_select_feature", "patch") != "patch":
            raise SystemExit("mm_vision_select_feature: only patch can be mined")
        self.clip = Clip(clip_config, clip, self.config["mm_vision_select_layer"])
        self.convnext = ConvNext(aux)
        self.weights = tensors
        self.decoder = Decoder(self.config, tensors, gemma=kind == "mgm_gemma")

        crop = self.processor["crop_size"]
        self.low = crop["height"] if isinstance(crop, dict) else crop
        self.high = self.config["image_size_aux"]
        self.grid = self.config.get("image_grid", 1)
        if self.grid > 1 and not self.config.get("image_global", False):
            raise SystemExit("image_grid without image_global: no view shows the whole picture at CLIP's resolution")
        patch = clip["embeddings.patch_embedding.weight"].shape[-1]
        self.visual_tokens = (self.low // patch) ** 2 * (1 if self.grid == 1 else 1 + self.grid**2)

        vocabulary = self.tokenizer.get_vocab()
        found = [name for name, (mark, _) in MARKS.items() if mark in vocabulary]
        self.conversation = found[0] if found else "vicuna_v1"
        self.ends = {self.config["eos_token_id"]}
        if found:
            self.ends.add(vocabulary[MARKS[found[0]][1]])

    # The picture

    def pixels(self, rgb):
        """What the encoders see of a picture, u8 (H, W, 3): a list of (1, 3, h, w), normalised."""
        mean, deviation = self.processor["image_mean"], self.processor["image_std"]
        picture = Image.fromarray(rgb)
        if self.config.get("image_aspect_ratio") == "pad":
            picture = pad_to_square(picture, tuple(int(m * 255) for m in mean))
        width, height = self.resized(*picture.size)
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
        left, top = (width - self.high) // 2, (height - self.high) // 2
        picture = picture.crop((left, top, left + self.high, top + self.high))
        x = torch.from_numpy(np.array(picture)).to(self.dtype).movedim(-1, 0)[None] / 255
        column = lambda values: torch.tensor(values, dtype=self.dtype)[:, None, None]  # noqa: E731
        high = (x - column(mean)) / column(deviation)

        low = resize(high, self.grid * self.low)
        if self.grid == 1:
            return [low, high]
        tiles = [
            low[:, :, row : row + self.low, column : column + self.low]
            for row in range(0, low.shape[-2], self.low)
            for column in range(0, low.shape[-1], self.low)
        ]
        return [resize(low, self.low), *tiles, high]

    def resized(self, width, height):
        """The size of a picture (or of the square around it) whose shorter edge has become the high resolution."""
        if width <= height:
            return self.high, int(self.high * height / width)
        return int(self.high * width / height), self.high

    def views(self, rgb):
        """Where those pixels lie in the picture."""
        height, width = rgb.shape[:2]
        if self.config.get("image_aspect_ratio") == "pad":
            side = max(width, height)
            left, top = (side - width) // 2, (side - height) // 2
        else:
            # The square is what the crop leaves, and reaches into the resized picture.
            side = self.high
            width, height = self.resized(width, height)
            left, top = -((width - side) // 2), -((height - side) // 2)

        def view(size, scale, row=0, column=0):
            """`size` pixels a side of the square resized to `scale` pixels a side, from (row, column) on."""
            return View(
                size,
                size,
                rh=scale * height / side,
                rw=scale * width / side,
                oy=row - scale * top / side,
                ox=column - scale * left / side,
            )

        tiles = []
        if self.grid > 1:
            cuts = range(0, self.grid * self.low, self.low)
            tiles = [view(self.low, self.grid * self.low, row, column) for row in cuts for column in cuts]
        return [view(self.low, self.low), *tiles, view(self.high, self.high)]

    # The encoders

    def picture_rows(self, pixels):
        """The decoder's rows for a picture, (B, visual tokens, hidden)."""
        *low, high = pixels
        aux = self.convnext(high)  # (B, C, side, side)
        rows = [self.mine(self.clip(low[0]), aux if self.grid == 1 else self.shrink(aux))]
        size = aux.shape[-1] // self.grid
        for tile, picture in enumerate(low[1:]):
            row, column = size * (tile // self.grid), size * (tile % self.grid)
            rows.append(self.mine(self.clip(picture), aux[:, :, row : row + size, column : column + size]))
        return self.project(torch.cat(rows, 1))

    def shrink(self, aux):
        """The ConvNeXt's features for the whole picture at CLIP's resolution."""
        return F.interpolate(aux, scale_factor=1 / self.grid, mode="bilinear", align_corners=False)

    def mine(self, patches, aux):
        """Adds to each patch, (B, n * n, hidden), what it finds in its block of `aux`, (B, C, m, m)."""
        side = math.isqrt(patches.shape[1])
        block = aux.shape[-1] // side
        blocks = aux.unflatten(3, (side, block)).unflatten(2, (side, block))  # (B, C, n, block, n, block)
        blocks = blocks.permute(0, 2, 4, 3, 5, 1).flatten(3, 4).flatten(1, 2)  # (B, n * n, block * block, C)

        def embed(x, name):
            return linear(layer_norm(x, self.weights, f"model.{name}.0", 1e-5), self.weights, f"model.{name}.1")

        query = embed(patches, "vlm_uni_query_projector")
        keys = embed(blocks, "vlm_uni_aux_projector")
        values = embed(blocks, "vlm_uni_val_projector")
        scores = torch.einsum("bpc,bpkc->bpk", query, keys) / keys.shape[-1] ** 0.5
        return patches + torch.einsum("bpk,bpkc->bpc", scores.softmax(-1), values)

    def project(self, x):
        """mlpNx_gelu: N linear layers with GELU between them; linear: one."""
        kind = self.config.get("mm_projector_type", "linear")
        if kind == "linear":
            return linear(x, self.weights, "model.mm_projector")
        depth = int(kind.removeprefix("mlp").removesuffix("x_gelu"))
        for n in range(depth):
            x = linear(x if n == 0 else F.gelu(x), self.weights, f"model.mm_projector.{2 * n}")
        return x

    # The text

    def prompt(self, question, pixels=None):
        """The prompt's ids, (1, P), with IMAGE_TOKEN once for each visual token; and its text."""
        text = CONVERSATIONS[self.conversation].format(question=question)
        # Each piece is a text of its own to the tokenizer, with its own beginning; the marker of that stays once.
        before, after = (self.tokenizer(piece)["input_ids"] for piece in text.split(IMAGE_TEXT))
        if before and before[0] == self.tokenizer.bos_token_id:
            after = after[1:]
        return torch.tensor([before + [IMAGE_TOKEN] * self.visual_tokens + after]), text

    def logits(self, ids, pixels):
        """Next-token logits, (B, L, vocabulary), of one sequence of ids (1, L) on B pictures."""
        picture = self.picture_rows(pixels)
        first = ids[0].tolist().index(IMAGE_TOKEN)
        before, after = ids[0, :first], ids[0, first + self.visual_tokens :]
        rows = [self.decoder.embeddings[piece].expand(len(picture), -1, -1) for piece in (before, after)]
        return self.decoder(torch.cat([rows[0], picture, rows[1]], 1))

    def greedy(self, prompt, pixels, limit):
        """The most likely answer, token by token and without the end marker."""
        answer, ids = [], prompt
        with torch.no_grad():
            for _ in range(limit):
                token = int(self.logits(ids, pixels)[0, -1].argmax())
                if token in self.ends:
                    break
                answer.append(token)
                ids = torch.cat([ids, torch.tensor([[token]])], 1)
        return answer

    def logp(self, prompt, answer, pixels):
        """Log-probability of each answer token given all before it, (B, T); answer: (1, T)."""
        logits = self.logits(torch.cat([prompt, answer], 1), pixels)[:, prompt.shape[1] - 1 : -1]
        chosen = answer[..., None].expand(len(logits), -1, 1)
        return torch.log_softmax(logits, -1).gather(2, chosen)[..., 0]


def pad_to_square(picture, colour):
    """The picture in the middle of a square; an odd line goes below it or to its right."""
    width, height = picture.size
    side = max(width, height)
    square = Image.new("RGB", (side, side), colour)
    square.paste(picture, ((side - width) // 2, (side - height) // 2))
    return square


def main():
    folder, picture, question = sys.argv[1:]
    model = MiniGemini(folder)
    prompt, _ = model.prompt(question)
    pixels = model.pixels(np.asarray(Image.open(picture).convert("RGB")))
    print(model.tokenizer.decode(model.greedy(prompt, pixels, 32)))


if __name__ == "__main__":
    main()
