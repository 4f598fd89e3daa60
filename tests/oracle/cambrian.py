"""An independent PyTorch statement of Cambrian-1 (arXiv 2406.16860), in float64 and without anything shared or fused.

Four encoders see the picture, padded to a square, at their own resolutions: SigLIP, CLIP, DINOv2 and ConvNeXt. A
spatial aggregator reads their grids of features, once before the decoder and again after some of its layers. What it
computes is that of the authors' program at inference, with the versions of transformers and timm that it pins; the
names of tensors are those of the published checkpoints. check_cambrian.py compares its parts with transformers and
timm.
"""

import json
import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import safe_open
from tokenizers import Tokenizer

from record import View

IMAGE_TOKEN = -200  # stands for the picture's rows in a prompt; in no vocabulary

CLIP_MEAN = [0.48145466, 0.4578275, 0.40821073]


class Weights:
    """Tensors by name, in one dtype; `at` gives those under a prefix."""

    def __init__(self, tensors, prefix=""):
        self.tensors, self.prefix = tensors, prefix

    @classmethod
    def load(cls, file, dtype):
        with safe_open(file, "pt") as tensors:
            return cls({name: tensors.get_tensor(name).to(dtype) for name in tensors.keys()})

    def at(self, prefix):
        return Weights(self.tensors, self.prefix + prefix)

    def __getitem__(self, name):
        return self.tensors[self.prefix + name]

    def __contains__(self, name):
        return self.prefix + name in self.tensors

    def linear(self, name, x):
        """x W^T + b, without b where there is none."""
        bias = self[name + ".bias"] if name + ".bias" in self else None
        return F.linear(x, self[name + ".weight"], bias)

    def layer_norm(self, name, x, eps=1e-5):
        return F.layer_norm(x, x.shape[-1:], self[name + ".weight"], self[name + ".bias"], eps)


def attend(q, k, v, heads, hidden=None):
    """Attention of q (B, M, D) to k and v (B, N, D); where `hidden` (broadcast to B, heads, M, N) is true, none."""

    def split(x):
        return x.unflatten(-1, (heads, -1)).transpose(1, 2)

    q, k, v = split(q), split(k), split(v)
    scores = q @ k.transpose(-1, -2) / q.shape[-1] ** 0.5
    if hidden is not None:
        scores = scores.masked_fill(hidden, -math.inf)
    return (scores.softmax(-1) @ v).transpose(1, 2).flatten(2)


def resize_grid(tokens, side):
    """A square grid of tokens (B, N, C), row-major, resized bilinearly to side x side; as it is if it has that size."""
    old = math.isqrt(tokens.shape[1])
    if old == side:
        return tokens
    grid = tokens.transpose(1, 2).unflatten(2, (old, old))
    return F.interpolate(grid, size=(side, side), mode="bilinear", align_corners=False).flatten(2).transpose(1, 2)


class Siglip:
    """timm's SigLIP ViT, so400m: sixteen heads, exact GELU, no class token; every token after the last norm."""

    HEADS = 16
    EPS = 1e-6

    def __init__(self, folder, name, select_layer, dtype):
        config = read_json(folder / "open_clip_config.json")
        self.resolution = config["model_cfg"]["vision_cfg"]["image_size"]
        self.mean, self.std = (config["preprocess_cfg"][key] for key in ("mean", "std"))
        self.pad_mean = CLIP_MEAN  # not its own
        self.weights = Weights.load(folder / "open_clip_model.safetensors", dtype).at("visual.trunk.")

    def features(self, pixels, side):
        w = self.weights
        kernel = w["patch_embed.proj.weight"]
        # Rows and columns that do not fill a patch are left out.
        x = F.conv2d(pixels, kernel, w["patch_embed.proj.bias"], stride=kernel.shape[-1])
        x = x.flatten(2).transpose(1, 2) + w["pos_embed"]
        for block in layers(w, "blocks.", "norm1.weight"):
            q, k, v = block.linear("attn.qkv", block.layer_norm("norm1", x, self.EPS)).chunk(3, -1)
            x = x + block.linear("attn.proj", attend(q, k, v, self.HEADS))
            x = x + block.linear("mlp.fc2", F.gelu(block.linear("mlp.fc1", block.layer_norm("norm2", x, self.EPS))))
        return resize_grid(w.layer_norm("norm", x, self.EPS), side)


class Clip:
    """OpenAI's CLIP ViT in transformers' layout: the patches of one hidden layer."""

    def __init__(self, folder, name, select_layer, dtype):
        config = read_json(folder / "config.json")
        self.config = config["vision_config"]
        processor = read_json(folder / "preprocessor_config.json")
        self.resolution = processor["crop_size"]["height"]
        self.mean, self.std = processor["image_mean"], processor["image_std"]
        self.pad_mean = self.mean
        self.select_layer = select_layer
        self.weights = Weights.load(folder / "model.safetensors", dtype).at("vision_model.")

    def features(self, pixels, side):
        w = self.weights
        kernel = w["embeddings.patch_embedding.weight"]
        patches = F.conv2d(pixels, kernel, stride=kernel.shape[-1]).flatten(2).transpose(1, 2)
        first = w["embeddings.class_embedding"].expand(len(pixels), 1, -1)
        x = torch.cat([first, patches], 1) + w["embeddings.position_embedding.weight"]
        eps = self.config["layer_norm_eps"]
        x = w.layer_norm("pre_layrnorm", x, eps)
        states = [x]
        for layer in layers(w, "encoder.layers.", "layer_norm1.weight"):
            y = layer.layer_norm("layer_norm1", x, eps)
            q, k, v = (layer.linear(f"self_attn.{part}_proj", y) for part in "qkv")
            x = x + layer.linear("self_attn.out_proj", attend(q, k, v, self.config["num_attention_heads"]))
            y = layer.linear("mlp.fc1", layer.layer_norm("layer_norm2", x, eps))
            x = x + layer.linear("mlp.fc2", y * torch.sigmoid(1.702 * y))  # quick_gelu
            states.append(x)
        return resize_grid(states[self.select_layer][:, 1:], side)


def cubic_taps(size, new, scale, dtype):
    """The (new, size) matrix that resizes a line bicubically (a = -0.75): taps outside are the line's ends."""
    a = -0.75
    matrix = torch.zeros(new, size, dtype=dtype)
    for i in range(new):
        position = (i + 0.5) / scale - 0.5
        low = math.floor(position)
        for tap in range(low - 1, low + 3):
            t = abs(position - tap)
            if t <= 1:
                weight = ((a + 2) * t - (a + 3)) * t * t + 1
            else:
                weight = ((a * t - 5 * a) * t + 8 * a) * t - 4 * a
            matrix[i, min(max(tap, 0), size - 1)] += weight
    return matrix


class Dinov2:
    """DINOv2 in transformers' layout: the patches after the last norm."""

    OFFSET = 0.1  # added to the new number of positions per side before dividing by the old, to guard against rounding

    def __init__(self, folder, name, select_layer, dtype):
        self.config = read_json(folder / "config.json")
        processor = read_json(folder / "preprocessor_config.json")
        self.resolution = number_after(name, "res") or self.config["image_size"]
        self.mean, self.std = processor["image_mean"], processor["image_std"]
        self.pad_mean = self.mean
        self.weights = Weights.load(folder / "model.safetensors", dtype)

    def positions(self, side):
        """Position embeddings of the class token and of side x side patches."""
        stored = self.weights["embeddings.position_embeddings"]
        old = math.isqrt(stored.shape[1] - 1)
        if old == side:
            return stored
        line = cubic_taps(old, side, (side + self.OFFSET) / old, stored.dtype)
        grid = stored[0, 1:].unflatten(0, (old, old))
        grid = torch.einsum("ip,jq,pqc->ijc", line, line, grid)
        return torch.cat([stored[:, :1], grid.flatten(0, 1)[None]], 1)

    def features(self, pixels, side):
        w, eps = self.weights, self.config["layer_norm_eps"]
        kernel = w["embeddings.patch_embeddings.projection.weight"]
        patches = F.conv2d(pixels, kernel, w["embeddings.patch_embeddings.projection.bias"], stride=kernel.shape[-1])
        x = torch.cat([w["embeddings.cls_token"].expand(len(pixels), 1, -1), patches.flatten(2).transpose(1, 2)], 1)
        x = x + self.positions(patches.shape[-1])
        for layer in layers(w, "encoder.layer.", "norm1.weight"):
            y = layer.layer_norm("norm1", x, eps)
            q, k, v = (layer.linear(f"attention.attention.{part}", y) for part in ("query", "key", "value"))
            y = layer.linear("attention.output.dense", attend(q, k, v, self.config["num_attention_heads"]))
            x = x + layer["layer_scale1.lambda1"] * y
            gate, up = layer.linear("mlp.weights_in", layer.layer_norm("norm2", x, eps)).chunk(2, -1)
            x = x + layer["layer_scale2.lambda1"] * layer.linear("mlp.weights_out", F.silu(gate) * up)
        return resize_grid(w.layer_norm("layernorm", x, eps)[:, 1:], side)


class ConvNext:
    """timm's convnext_xxlarge as OpenCLIP trained it: what all four stages give, side by side."""

    EPS = 1e-5

    def __init__(self, folder, name, select_layer, dtype):
        if "multi-stage" not in name:
            raise SystemExit(f"{name}: all stages were expected")
        config = read_json(folder / "open_clip_config.json")
        self.resolution = number_after(name, "res") or 1024
        self.mean, self.std = (config["preprocess_cfg"][key] for key in ("mean", "std"))
        self.pad_mean = CLIP_MEAN
        self.weights = Weights.load(folder / "open_clip_model.safetensors", dtype).at("visual.trunk.")

    def norm(self, weights, name, x):
        """Over channels, x: (B, C, H, W)."""
        return weights.layer_norm(name, x.movedim(1, -1), self.EPS).movedim(-1, 1)

    def stages(self, pixels):
        w = self.weights
        x = F.conv2d(pixels, w["stem.0.weight"], w["stem.0.bias"], stride=w["stem.0.weight"].shape[-1])
        x = self.norm(w, "stem.1", x)
        for number in range(4):
            stage = w.at(f"stages.{number}.")
            if "downsample.1.weight" in stage:
                x = self.norm(stage, "downsample.0", x)
                x = F.conv2d(x, stage["downsample.1.weight"], stage["downsample.1.bias"], stride=2)
            for block in layers(stage, "blocks.", "gamma"):
                kernel = block["conv_dw.weight"]
                y = F.conv2d(x, kernel, block["conv_dw.bias"], padding=kernel.shape[-1] // 2, groups=len(kernel))
                y = block.layer_norm("norm", y.movedim(1, -1), self.EPS)
                y = block.linear("mlp.fc2", F.gelu(block.linear("mlp.fc1", y)))
                x = x + (block["gamma"] * y).movedim(-1, 1)
            yield x

    def features(self, pixels, side):
        return torch.cat([resize_grid(x.flatten(2).transpose(1, 2), side) for x in self.stages(pixels)], -1)


def layers(weights, prefix, member):
    """The weights of layers prefix + "0.", prefix + "1.", ... for as long as they have a tensor named `member`."""
    number = 0
    while f"{prefix}{number}.{member}" in weights:
        yield weights.at(f"{prefix}{number}.")
        number += 1


def number_after(name, key):
    """The number in "...-key123-...", or None."""
    for part in name.split("-"):
        if part.startswith(key) and part[len(key) :].isdigit():
            return int(part[len(key) :])
    return None


def read_json(file):
    return json.loads(Path(file).read_text())


# Which encoder a name in the list means: the first whose key it contains, and the folder of its checkpoint here.
ENCODERS = [
    ("openai/clip", Clip, "clip"),
    ("siglip", Siglip, "siglip"),
    ("clip-convnext", ConvNext, "convnext"),
    ("dinov2", Dinov2, "dinov2"),
]


def padding(size, side):
    """Rows above (and below), and columns left (and right), of a side x side grid that the square's padding covers."""
    width, height = size
    if width / height > 1:
        return (side - int(height * (side / width))) // 2, 0
    return 0, (side - int(width * (side / height))) // 2


def windows(tokens, queries):
    """A grid (B, g*g, C) as the windows of queries x queries queries: (B, queries, queries, r*r, C)."""
    side = math.isqrt(tokens.shape[1])
    r = side // queries
    if r * queries != side:
        raise SystemExit(f"{side} tokens a side do not divide among {queries} queries")
    x = tokens.unflatten(1, (queries, r, queries, r))
    return x.transpose(2, 3).flatten(3, 4)


def masked_windows(size, side, queries):
    """Which keys of every window are padding, (queries, queries, r*r); none where all would be."""
    rows, columns = padding(size, side)
    kept = torch.zeros(side, side, dtype=torch.bool)
    kept[rows : side - rows, columns : side - columns] = True
    masked = ~windows(kept.view(1, -1, 1), queries)[0, ..., 0]
    return masked & ~masked.all(-1, keepdim=True)


def aggregate(w, queries, keys, masked, context):
    """One cross-attention layer. queries: (B, N, D), each by itself attends to its own window.

    keys: for every encoder (B, N, r*r, H); masked: (N, K), true for padding; context: (B, H).
    """
    width = context.shape[-1]
    context = w.linear("proj_context", context)[:, None].expand(-1, queries.shape[1], -1)
    z = w.linear("proj_in", torch.cat([queries, context], -1))
    k, v = [], []
    for number, window in enumerate(keys):
        if f"pos_embed_{number}" in w:
            window = window + w[f"pos_embed_{number}"]
        for into, part in ((k, "k"), (v, "v")):
            name = f"cross_attn.{part}_proj_{number}"
            into.append(w.linear(name + ".1", w.layer_norm(name + ".0", window)))
    q = w.linear("cross_attn.q_proj.1", w.layer_norm("cross_attn.q_proj.0", z))
    k, v = torch.cat(k, 2), torch.cat(v, 2)
    batch = len(q)
    attended = attend(
        q.reshape(-1, 1, width),
        k.flatten(0, 1),
        v.flatten(0, 1),
        heads=16,
        hidden=masked.repeat(batch, 1)[:, None, None],
    )
    z = z + w.linear("cross_attn.o_proj", attended.view_as(z))
    z = F.gelu(w.linear("proj_out.linear_1", w.layer_norm("norm", z)))
    return queries + w.linear("proj_out.linear_2", z)


class Decoder:
    """Llama's decoder, or Phi-3's, which has the same computations with some of its matrices stacked."""

    def __init__(self, weights, config):
        self.weights, self.config = weights, config
        if config.get("rope_scaling") is not None:
            raise SystemExit("scaled rotary embeddings were not expected")
        self.heads = config["num_attention_heads"]
        self.kv_heads = config.get("num_key_value_heads") or self.heads
        self.head_size = config["hidden_size"] // self.heads

    def rms_norm(self, x, weight):
        return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + self.config["rms_norm_eps"]) * weight

    def rotate(self, x):
        """Rotary position embedding of (B, L, heads, head size)."""
        half = self.head_size // 2
        frequencies = self.config["rope_theta"] ** (-torch.arange(half, dtype=x.dtype) / half)
        angles = torch.arange(x.shape[1], dtype=x.dtype)[:, None] * frequencies
        cos, sin = angles.cos()[:, None], angles.sin()[:, None]
        a, b = x[..., :half], x[..., half:]
        return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)

    def layer(self, w, x):
        y = self.rms_norm(x, w["input_layernorm.weight"])
        if "self_attn.qkv_proj.weight" in w:
            kv = self.kv_heads * self.head_size
            q, k, v = w.linear("self_attn.qkv_proj", y).split([self.heads * self.head_size, kv, kv], -1)
        else:
            q, k, v = (w.linear(f"self_attn.{part}_proj", y) for part in "qkv")
        q, k, v = (part.unflatten(-1, (-1, self.head_size)) for part in (q, k, v))
        q, k = self.rotate(q), self.rotate(k)
        k, v = (part.repeat_interleave(self.heads // self.kv_heads, 2) for part in (k, v))
        later = torch.ones(x.shape[1], x.shape[1], dtype=torch.bool).triu(1)
        attended = attend(q.flatten(2), k.flatten(2), v.flatten(2), self.heads, later)
        x = x + w.linear("self_attn.o_proj", attended)
        y = self.rms_norm(x, w["post_attention_layernorm.weight"])
        if "mlp.gate_up_proj.weight" in w:
            gate, up = w.linear("mlp.gate_up_proj", y).chunk(2, -1)
        else:
            gate, up = w.linear("mlp.gate_proj", y), w.linear("mlp.up_proj", y)
        return x + w.linear("mlp.down_proj", F.silu(gate) * up)

    def logits(self, x, after_layer=lambda number, x: x):
        """x: (B, L, hidden), embedded. `after_layer` may change what a layer gives."""
        for number, layer in enumerate(layers(self.weights, "model.layers.", "input_layernorm.weight")):
            x = after_layer(number, self.layer(layer, x))
        return self.weights.linear("lm_head", self.rms_norm(x, self.weights["model.norm.weight"]))


SYSTEM_LLAMA_3 = (
    "You are Cambrian, a highly intelligent multimodal AI trained by NYU Vision X. \n"
    "    As a multimodal AI, you have the ability to process and analyze images. Whenever an image is present in the "
    "conversation, very carefully examine it and consider its content when formulating your response.\n"
    "    You should give concise responses to very simple questions, but provide thorough responses to more complex "
    "and open-ended questions. "
)

# What stands before and after the picture and the question, and what ends an answer.
PROMPTS = {
    "llama_3": (
        f"<|begin_of_text|><|start_header_id|>system<|end_header_id|>{SYSTEM_LLAMA_3}<|eot_id|>"
        "<|start_header_id|>user<|end_header_id|>",
        "<|eot_id|><|start_header_id|>assistant<|end_header_id|>",
        "<|eot_id|>",
    ),
    "phi3": (
        "<|system|>\nYou are a helpful AI assistant.<|end|>\n<|user|>\n",
        "<|end|>\n<|assistant|>\n",
        "<|end|>",
    ),
}


class Cambrian:
    """A Cambrian-1 checkpoint: its views of a picture, its prompt, and the log-probabilities it gives an answer."""

    def __init__(self, folder, towers, dtype=torch.float64):
        folder, towers = Path(folder), Path(towers)
        self.dtype = dtype
        self.config = config = read_json(folder / "config.json")
        if config["model_type"] not in ("cambrian_llama", "cambrian_phi3") or config["mm_projector_type"] != "sva":
            raise SystemExit(f"{folder}: not a Cambrian-1 model")
        if config["query_num_list"] != [config["image_token_len"]]:
            raise SystemExit(f"{folder}: one group of queries was expected, one for each image token")
        self.weights = Weights.load(folder / "model.safetensors", dtype)
        self.decoder = Decoder(self.weights, config)
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        self.bos = read_json(folder / "tokenizer_config.json").get("bos_token")
        self.side = math.isqrt(config["image_token_len"])
        self.sides = [math.isqrt(number) for number in config["mm_vision_tower_aux_token_len_list"]]
        self.encoders = []
        for name in config["mm_vision_tower_aux_list"]:
            kind, place = next((kind, place) for key, kind, place in ENCODERS if key in name.lower())
            self.encoders.append(kind(towers / place, name, config["mm_vision_select_layer"], dtype))
        self.style = "phi3" if config["model_type"] == "cambrian_phi3" else "llama_3"
        ends = read_json(folder / "generation_config.json")["eos_token_id"]
        self.ends = set(ends if isinstance(ends, list) else [ends])
        self.ends.add(self.tokenizer.token_to_id(PROMPTS[self.style][2]))

    def pixels(self, rgb):
        """What every encoder sees of a picture (H, W, 3), u8: a list of (1, 3, R, R), normalised."""
        height, width = rgb.shape[:2]
        square = max(height, width)
        top, left = (square - height) // 2, (square - width) // 2
        pixels = []
        for encoder in self.encoders:
            padded = np.empty((square, square, 3), np.uint8)
            padded[:] = [int(255 * mean) for mean in encoder.pad_mean]
            padded[top : top + height, left : left + width] = rgb
            resized = Image.fromarray(padded).resize((encoder.resolution,) * 2, Image.Resampling.BICUBIC)
            x = torch.from_numpy(np.array(resized)).to(self.dtype) / 255
            x = (x - torch.tensor(encoder.mean, dtype=self.dtype)) / torch.tensor(encoder.std, dtype=self.dtype)
            # Programs hold pixels in f32, and the recorded ones are of that precision.
            pixels.append(x.movedim(-1, 0)[None].float().to(self.dtype))
        return pixels

    def views(self, rgb):
        """Where those pixels lie in the picture: it was resized to a real number of pixels and starts at another."""
        height, width = rgb.shape[:2]
        square = max(height, width)
        top, left = (square - height) // 2, (square - width) // 2
        views = []
        for encoder in self.encoders:
            side = encoder.resolution
            # Products of whole numbers first: then a side as long as the square is exactly as long as the view.
            rh, rw = height * side / square, width * side / square
            views.append(View(side, side, rh, rw, -top * side / square, -left * side / square))
        return views

    def grid(self, size):
        """Rows and columns of image tokens that are not padding; size: the picture's (width, height)."""
        rows, columns = padding(size, self.side)
        return self.side - 2 * rows, self.side - 2 * columns

    def prompt(self, question, size):
        """The prompt's ids, (1, P), with IMAGE_TOKEN once for each of the picture's rows in the decoder; its text."""
        before, after, _ = PROMPTS[self.style]
        pieces = [before, "\n" + question + after]
        bos = self.tokenizer.token_to_id(self.bos)
        ids = [self.tokenizer.encode(piece).ids for piece in pieces]
        # Where the first piece starts with the begin marker, every piece loses its first id and one marker is put back.
        # That is for tokenizers that put it before every text. Where it is the prompt's own, as in llama_3, the
        # newline behind the picture goes.
        first = []
        if ids[0][:1] == [bos]:
            first, ids = [bos], [piece[1:] for piece in ids]
        height, width = self.grid(size)
        picture = [IMAGE_TOKEN] * (height * (width + 1))
        return torch.tensor([first + ids[0] + picture + ids[1]]), before + "<image>" + pieces[1]

    def see(self, pixels, size):
        """What the decoder reads of a picture, from a list of (B, 3, R, R).

        Returns the image's rows before the decoder (B, H, W, hidden); for the aggregators inside it the windows of
        those rows, one (B, H * W, r * r, D) for each encoder; which of their keys are masked, (H * W, K); the context.
        """
        w = self.weights.at("model.")
        grids = []
        for number, (encoder, side) in enumerate(zip(self.encoders, self.sides)):
            x = encoder.features(pixels[number], side)
            projector = w.at(f"mm_projector_aux_{number}.")
            x = projector.linear("2", F.gelu(projector.linear("0", x)))
            grids.append(projector.layer_norm("3", x))
        context = grids[0].mean(1)

        # The queries of padding come to nothing, so only the others are asked.
        top, left = padding(size, self.side)
        height, width = self.grid(size)
        kept = (slice(top, top + height), slice(left, left + width))
        keys = [windows(grid, self.side)[:, *kept].flatten(1, 2) for grid in grids]
        masked = [masked_windows(size, side, self.side)[kept].flatten(0, 1) for side in self.sides]
        masked = torch.cat(masked, -1)

        x = w["vision_query"][0].expand(len(context), height * width, -1)
        for layer in layers(w, "vision_sampler_0.layers.", "norm.weight"):
            x = aggregate(layer, x, keys, masked, context)
        x = w.linear("mm_projector.2", F.gelu(w.linear("mm_projector.0", x)))
        return x.unflatten(1, (height, width)), keys, masked, context

    def logits(self, ids, pixels, size):
        """Next-token logits, (B, L, vocabulary), of one sequence of ids (1, L) on B pictures."""
        w, config = self.weights.at("model."), self.config
        rows, keys, masked, context = self.see(pixels, size)
        batch, height, width, hidden = rows.shape
        newline = w["image_newline"].expand(batch, height, 1, -1)
        rows = torch.cat([rows, newline], 2).flatten(1, 2)

        place = (ids[0] == IMAGE_TOKEN).nonzero().flatten()
        assert len(place) == rows.shape[1] and place[-1] - place[0] + 1 == len(place), "rows of one picture"
        start = int(place[0])
        text = w["embed_tokens.weight"][ids[0].clamp(min=0)].expand(batch, -1, -1)
        x = torch.cat([text[:, :start], rows, text[:, start + len(place) :]], 1)

        at = config["image_position"]

        def after_layer(number, x):
            step = number - config["start_of_vision_sampler_layers"]
            index, rest = divmod(step, config["stride_of_vision_sampler_layers"])
            if config["connector_only"] or rest or not 0 <= index < config["num_of_vision_sampler_layers"]:
                return x
            lines = x[:, at : at + len(place)].unflatten(1, (height, width + 1))
            queries = lines[:, :, :width].flatten(1, 2)
            queries = aggregate(w.at(f"vision_sampler_layers.{index}.layers.0."), queries, keys, masked, context)
            lines = torch.cat([queries.unflatten(1, (height, width)), lines[:, :, width:]], 2)
            return torch.cat([x[:, :at], lines.flatten(1, 2), x[:, at + len(place) :]], 1)

        return self.decoder.logits(x, after_layer)

    def greedy(self, prompt, pixels, size, limit):
        """The most likely answer, token by token and without the end marker."""
        answer, ids = [], prompt
        with torch.no_grad():
            for _ in range(limit):
                token = int(self.logits(ids, pixels, size)[0, -1].argmax())
                if token in self.ends:
                    break
                answer.append(token)
                ids = torch.cat([ids, torch.tensor([[token]])], 1)
        return answer

    def logp(self, prompt, answer, pixels, size):
        """Log-probability of each answer token given all before it, (B, T); answer: (1, T)."""
        logits = self.logits(torch.cat([prompt, answer], 1), pixels, size)[:, prompt.shape[1] - 1 : -1]
        chosen = answer[..., None].expand(len(logits), -1, 1)
        return torch.log_softmax(logits, -1).gather(2, chosen)[..., 0]

    def text(self, ids):
        return self.tokenizer.decode(ids)
