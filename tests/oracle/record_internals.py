"""Maps of methods that look inside the model, on transformers' model with eager attention, in float64.

    pip install grad-cam==1.5.7 ttach==0.0.3 scikit-learn
    python record_internals.py             records every case of CASES into internals/
    python record_internals.py --check     records into memory, and compares with the files of internals/

Grad-CAM is pytorch-grad-cam's; the others are written after their authors' programs. Each explains the sum of the key
tokens' log-probabilities. A map has one value per visual token; `cells` brings it to the mask. README.md lists the tensors.
"""

import json
from dataclasses import dataclass, field

import numpy as np
import torch
import torch.nn.functional as F
from pytorch_grad_cam import GradCAM

from record import HERE, Settings, main, prepare, stored
from record_views import prepare as prepare_views


@dataclass
class Internals(Settings):
    """A case, with the layers that Grad-CAM reads, counted from 1."""

    encoder_layers: list[int] = field(default_factory=lambda: [2])
    decoder_layers: list[int] = field(default_factory=lambda: [1, 2])


CASES = {
    "demo-star": Internals(
        "../../assets/demo/model",
        "../../assets/demo/scenes/0001.png",
        "What color is the star?",
        size=16,
        answer="The star is red.",
        encoder_layers=[1, 4],
    ),
    # A centre crop, and several key tokens.
    "llava-cat": Internals("models/tiny-llava", "images/cat.png", size=9, encoder_layers=[1, 3], decoder_layers=[1]),
    # The whole picture and tiles, with padding, made smaller, and lines that end in a newline.
    "onevision-wide": Internals("models/tiny-onevision", "images/wide.png", size=11, encoder_layers=[1, 3], decoder_layers=[1]),
}


def cells(view, patch, size, values):
    """A value per token, (rows, columns), at the cells of the mask: bilinear between the tokens' centres, with no weight
    where a token is NaN. NaN outside the view."""
    rows, columns = values.shape
    place = torch.arange(size, dtype=torch.float64) / (size - 1)
    x, y = place * (view.rw - 1) - view.ox, place * (view.rh - 1) - view.oy
    inside = ((y >= -0.5) & (y <= view.height - 0.5))[:, None] & ((x >= -0.5) & (x <= view.width - 0.5))[None, :]
    # Without align_corners, -1 and 1 are the outer edges of the outermost tokens.
    x, y = 2 * (x + 0.5) / (columns * patch) - 1, 2 * (y + 0.5) / (rows * patch) - 1
    down, across = torch.meshgrid(y, x, indexing="ij")
    grid = torch.stack([across, down], -1)[None]
    there = (~values.isnan()).double()
    both = torch.stack([values.nan_to_num(0.0), there])[None]
    seen, weight = F.grid_sample(both, grid, mode="bilinear", align_corners=False, padding_mode="border")[0]
    return torch.where(inside & (weight > 1e-9), seen / weight, torch.nan)


class Sequence:
    """The whole sequence of a case: prompt and answer."""

    def __init__(self, e, tensors, keys):
        self.e, self.llava, self.keys = e, e.llava, keys
        self.ids = torch.cat([tensors["prompt_ids"], tensors["answer_ids"]], 1)
        self.answer = tensors["answer_ids"][0].tolist()
        self.first = tensors["prompt_ids"].shape[1] - 1  # the row that predicts the answer's first token
        self.image = (self.ids[0] == self.llava.config.image_token_id).nonzero()[:, 0]
        vision = self.llava.config.vision_config
        self.patch, self.side = vision.patch_size, vision.image_size // vision.patch_size
        self.views = [e.view]
        self.places = torch.eye(len(self.image), dtype=torch.float64)  # from places to visual tokens
        self.decoder = self.llava.model.model.language_model
        self.encoder = self.llava.model.model.vision_tower

    def score(self, pixels):
        """The sum of the key tokens' log-probabilities, (B)."""
        answer = torch.tensor([self.answer])
        return self.llava.logp(self.ids[:, : self.first + 1], answer, pixels)[:, self.keys].sum(1)

    def pixels(self):
        return self.e.image[None].clone().requires_grad_(True)

    def forward(self, pixels):
        return self.llava.model(input_ids=self.ids, pixel_values=pixels, output_attentions=True)

    def placed(self):
        """Which visual tokens are of the picture."""
        return self.places.sum(1) > 0

    def grids(self, values):
        """A value per visual token in the grids of the views, (views, side, side): NaN where there is none."""
        weights = self.places.sum(0)
        mean = torch.where(weights > 0, self.places.T @ values / weights, torch.nan)
        return mean.reshape(len(self.views), self.side, self.side)

    def sample(self, grids):
        """Grids at the cells of the mask: the mean over views, 0 where there is none."""
        size = self.e.settings.size
        seen = [cells(view, self.patch, size, grid) for view, grid in zip(self.views, grids)]
        return torch.stack(seen).nanmean(0).nan_to_num(0.0)

    def map(self, values):
        return self.sample(self.grids(values))


class TiledSequence(Sequence):
    """That of a picture in several views."""

    def __init__(self, e, tensors, keys):
        super().__init__(e, tensors, keys)
        self.views = e.views
        # transformers' own packing, of tokens that are the unit vectors; the newline is zero.
        model, count = self.llava.model.model, len(self.views) * self.side**2
        unit = torch.eye(count, dtype=torch.float64).reshape(len(self.views), self.side**2, count)
        newline = torch.zeros(count, dtype=torch.float64)
        aspect = self.llava.config.vision_aspect_ratio
        packed, _ = model.pack_image_features([unit], self.llava.sizes, image_newline=newline, vision_aspect_ratio=aspect)
        self.places = packed[0]

    def pixels(self):
        return [view[None].clone().requires_grad_(True) for view in self.e.images]

    def forward(self, pixels):
        stacked = torch.stack(pixels, 1)
        return self.llava.model(
            input_ids=self.ids, pixel_values=stacked, image_sizes=self.llava.sizes, output_attentions=True
        )


class Scored(torch.nn.Module):
    """The score as a model, for pytorch-grad-cam."""

    def __init__(self, sequence):
        super().__init__()
        self.sequence, self.model = sequence, sequence.llava.model

    def forward(self, pixels):
        return self.sequence.score(pixels)[:, None]


def layers_of(encoder):
    return getattr(encoder, "vision_model", encoder).encoder.layers


def grad_cam(s, number):
    """Grad-CAM of an encoder's layer by pytorch-grad-cam, before it scales the map."""

    def tokens_as_picture(x):
        return x[:, 1:].reshape(1, s.side, s.side, -1).permute(0, 3, 1, 2)

    layer = layers_of(s.encoder)[number - 1]
    with GradCAM(Scored(s), [layer], reshape_transform=tokens_as_picture) as cam:
        pixels = s.pixels()
        targets = [lambda output: output[0]]
        cam(pixels, targets)
        seen = cam.activations_and_grads
        image = cam.get_cam_image(pixels, layer, targets, seen.activations[0].numpy(), seen.gradients[0].numpy())
    return torch.from_numpy(np.maximum(image, 0))


def grad_cam_of_views(s, number):
    """The same formula, with weights that are means over all views' tokens."""
    kept = []
    handle = layers_of(s.encoder)[number - 1].register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    score = s.score(s.pixels()).sum()
    handle.remove()
    (gradient,) = torch.autograd.grad(score, kept[0])
    values = (kept[0].detach() * gradient.mean((0, 1))).sum(-1).clamp(min=0)
    return values.reshape(len(s.views), s.side, s.side)


def llava_cam(s, number):
    """LLaVA-CAM of a decoder's layer after the authors' program (zhangbaijin/From-Redundancy-to-Relevance,
    demo_smooth_grad_threshold.py, GradCAM), with log-probabilities of the key tokens in place of all tokens' logits, and
    without the threshold at half of the largest value."""
    kept = []
    norm = s.decoder.layers[number - 1].post_attention_layernorm
    handle = norm.register_forward_hook(lambda _module, _inputs, output: kept.append(output))
    score = s.score(s.pixels()).sum()
    handle.remove()
    (gradient,) = torch.autograd.grad(score, kept[0])
    features, gradient = kept[0][0, s.image].detach(), gradient[0, s.image]
    pooled = gradient.clamp(min=0)[s.placed()].mean(0)
    return (features * pooled).mean(1).clamp(min=0)


def attentions(s):
    """Attention of every layer of the decoder, (1, heads, L, L), and the score."""
    out = s.forward(s.pixels())
    logp = torch.log_softmax(out.logits[0, s.first : -1], -1)
    rows = range(len(s.answer))
    return out.attentions, sum(logp[t, s.answer[t]] for t in rows if t in s.keys)


def rollout(s):
    """Attention rollout (Abnar, Zuidema, ACL 2020, section 3): means of heads and the identity, multiplied layer by layer.
    The mean of the rows that predict the key tokens, at the visual tokens."""
    layers, _ = attentions(s)
    joint = torch.eye(s.ids.shape[1], dtype=torch.float64)
    for layer in layers:
        mixed = layer[0].detach().double().mean(0) + torch.eye(s.ids.shape[1], dtype=torch.float64)
        joint = mixed / mixed.sum(-1, keepdim=True) @ joint
    return joint[[s.first + t for t in s.keys]].mean(0)[s.image]


def t_mm(s):
    """The rule for self-attention of Chefer, Gur, Wolf (ICCV 2021; hila-chefer/Transformer-MM-Explainability,
    `avg_heads` and `apply_self_attention_rules`) in the decoder."""
    layers, score = attentions(s)
    gradients = torch.autograd.grad(score, layers)
    relevance = torch.eye(s.ids.shape[1], dtype=torch.float64)
    for layer, gradient in zip(layers, gradients):
        mean = (gradient[0] * layer[0].detach()).clamp(min=0).double().mean(0)
        relevance = relevance + mean @ relevance
    return relevance[[s.first + t for t in s.keys]].sum(0)[s.image]


def rank_gaussian(image):
    """TAM's `rank_guassian_filter` over 3 x 3 tokens."""
    padded = np.pad(image, 1, mode="reflect")
    out = np.where(np.isnan(image), np.nan, 0.0)
    for i in range(image.shape[0]):
        for j in range(image.shape[1]):
            window = padded[i : i + 3, j : j + 3].flatten()
            window = np.sort(window[~np.isnan(window)])
            place = np.arange(len(window)) - len(window) // 2
            if not np.isnan(image[i, j]) and window.mean() > 0:
                deviation = window.std() / window.mean()
                kernel = np.exp(-(place**2) / (2 * max(deviation, 1e-12) ** 2))
                out[i, j] = (window * kernel).sum() / kernel.sum()
    return out


def tam(s):
    """The mean over the key tokens of their Token Activation Maps (Li et al., arXiv 2506.23270), after the authors' program
    (xmed-lab/TAM, tam.py). The prompt is all text after the picture, and every token is explained as itself: that program
    takes the prompt's last token for the answer's first, and for the prompt's first token the model's own."""
    with torch.no_grad():
        logits = s.forward(s.pixels()).logits[0].clamp(min=0).numpy()
    placed = s.placed().numpy()
    image = s.image.numpy()[placed]
    ids = s.ids[0].tolist()
    # Every token with the row that stands for it: its own in the prompt, the one that predicts it in the answer.
    prompt = [(ids[row], row) for row in range(s.image[-1] + 1, s.first + 1)]
    answer = [(token, s.first + t) for t, token in enumerate(s.answer)]
    maps = []
    for key in s.keys:
        token = s.answer[key]
        context = prompt + answer[:key]
        own = logits[image, token]
        others = [(other, row) for other, row in context if other != token]
        weights = np.array([logits[row, token] for _, row in others])
        weights = weights / (weights.sum() + 1e-8)
        interference = sum(weight * logits[image, other] for weight, (other, _) in zip(weights, others))
        square = (interference * interference).sum()
        scale = (own * interference).sum() / square if square > 0 else 0.0
        own = np.clip(own - scale * interference, 0, None)
        everything = np.concatenate([own, [logits[row, token] for _, row in context]])
        own = (own - everything.min()) / (everything.max() - everything.min())
        values = np.zeros(len(placed))
        values[placed] = own
        grids = s.grids(torch.from_numpy(values)).numpy()
        maps.append(np.stack([rank_gaussian(grid) for grid in grids]))
    return s.sample(torch.from_numpy(np.mean(maps, 0)))


def record(settings):
    """The map of every method, before the largest is made 1."""
    one = "llava" == json.loads((HERE / settings.model / "config.json").read_text())["model_type"]
    e, tensors, metadata = prepare(settings) if one else prepare_views(settings)
    tensors = {name: tensors[name] for name in ("prompt_ids", "answer_ids", "logp_image", "logp_baseline")}
    s = (Sequence if one else TiledSequence)(e, tensors, metadata["key"])
    for number in settings.encoder_layers:
        tensors[f"grad_cam_encoder_{number}"] = s.sample((grad_cam if one else grad_cam_of_views)(s, number))
    for number in settings.decoder_layers:
        tensors[f"grad_cam_decoder_{number}"] = s.map(llava_cam(s, number))
    tensors["tam"] = tam(s)
    tensors["attention_rollout"] = s.map(rollout(s))
    tensors["t_mm"] = s.map(t_mm(s))
    metadata["deletion"] = metadata["insertion"] = None
    return {name: stored(tensor.detach()) for name, tensor in tensors.items()}, metadata


if __name__ == "__main__":
    main("Records maps of methods that look inside the model.", CASES, record, "internals")
