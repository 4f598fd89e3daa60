"""Records cases of models that see a picture in several views of different sizes, in float64 and without noise.

    python record_views.py                     records every case of CASES into cases/
    python record_views.py mini-gemini-hd-cat  records one
    python record_views.py --check             records into memory, and compares with the files of cases/

The method is record.py's, word for word; what differs is that there is a list of views where that has one. The mask is
one, in the plane of the picture. Each view samples it through its own geometry and blends its own pixels of the picture
with its own pixels of the baseline, whether or not those were computed from another view's. README.md lists the
tensors.
"""

import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from anyres_authors import LlavaAnyres
from authors import LlavaAuthors
from gemma3 import Gemma3
from mini_gemini import MiniGemini
from qwen import QwenVl
from record import Explanation, Settings, bilateral_total_variation, blur, finish, key_tokens, main, random_mask, settle
from split import Split
from tiled import Tiled

HERE = Path(__file__).resolve().parent

CASES = {
    "mini-gemini-rocket": Settings("models/tiny-mini-gemini", "images/rocket.png", lr=1.0, pp=True),
    "mini-gemini-gemma-cat": Settings("models/tiny-mini-gemini-gemma", "images/cat.png", lr=1.0),
    "mini-gemini-hd-cat": Settings("models/tiny-mini-gemini-hd", "images/cat.png", lr=1.0),
    "onevision-cat": Settings("models/tiny-onevision", "images/cat.png", lr=0.3, pp=True),
    "onevision-tall": Settings("models/tiny-onevision", "images/tall.png", lr=0.3),
    "onevision-wide": Settings("models/tiny-onevision", "images/wide.png", lr=0.3),
    "onevision-small": Settings("models/tiny-onevision", "images/small.png", lr=0.3),
    "onevision-authors-cat": Settings("models/tiny-onevision-authors", "images/cat.png", lr=0.3),
    "onevision-authors-strip": Settings("models/tiny-onevision-authors", "images/strip.png", lr=0.3),
    "next-authors-strip": Settings("models/tiny-next-authors", "images/strip.png", lr=0.3),
    "next-authors-tall": Settings("models/tiny-next-authors", "images/tall.png", lr=0.3, threshold=0.3),
    "next-authors-mistral-rocket": Settings(
        "models/tiny-next-authors-mistral", "images/rocket.png", lr=0.3, threshold=0.3
    ),
    "llava-llama-cat": Settings("models/tiny-llava-llama", "images/cat.png", lr=1.0),
    "next-vicuna-cat": Settings("models/tiny-next-vicuna", "images/cat.png", lr=0.3),
    "next-mistral-rocket": Settings("models/tiny-next-mistral", "images/rocket.png", lr=0.3),
    "mix-granite-cat": Settings("models/tiny-mix-granite", "images/cat.png", lr=0.3, threshold=0.1, max_new_tokens=8),
    "mix-gemma-rocket": Settings(
        "models/tiny-mix-gemma", "images/rocket.png", lr=0.03, threshold=0.1, max_new_tokens=8
    ),
    "smolvlm-cat": Settings("models/tiny-smolvlm", "images/cat.png", lr=0.3, pp=True),
    "smolvlm-tall": Settings("models/tiny-smolvlm", "images/tall.png", lr=0.3, threshold=0.1),
    "smolvlm-whole-rocket": Settings(
        "models/tiny-smolvlm-whole", "images/rocket.png", lr=0.3, threshold=0.05
    ),
    "idefics3-coffee": Settings("models/tiny-idefics3", "images/coffee.png", lr=0.3),
    "idefics3-wide": Settings("models/tiny-idefics3", "images/wide.png", lr=0.3, threshold=0.5),
    "internvl-cat": Settings("models/tiny-internvl", "images/cat.png", lr=0.3, threshold=0.5),
    "internvl-coffee": Settings("models/tiny-internvl", "images/coffee.png", lr=0.3, threshold=0.5),
    "internvl-qwen3-tall": Settings(
        "models/tiny-internvl-qwen3", "images/tall.png", lr=0.3, threshold=0.15, pp=True
    ),
    "internvl-qwen3-wide": Settings("models/tiny-internvl-qwen3", "images/wide.png", lr=0.3, threshold=0.5),
    "internvl-qwen3-small": Settings("models/tiny-internvl-qwen3", "images/small.png", lr=0.3, threshold=0.5),
    "idefics3-small": Settings("models/tiny-idefics3", "images/small.png", lr=0.3, threshold=0.5),
    "qwen2-5-vl-cat": Settings("models/tiny-qwen2-5-vl", "images/cat.png", lr=0.3, threshold=0.1, pp=True),
    "qwen2-5-vl-coffee": Settings("models/tiny-qwen2-5-vl", "images/coffee.png", lr=0.3, threshold=0.1),
    "qwen2-5-vl-tall": Settings("models/tiny-qwen2-5-vl", "images/tall.png", lr=0.3, threshold=0.1),
    "qwen2-5-vl-wide": Settings("models/tiny-qwen2-5-vl", "images/wide.png", lr=0.03, threshold=0.1),
    "qwen2-5-vl-small": Settings("models/tiny-qwen2-5-vl", "images/small.png", lr=0.03, threshold=0.1),
    "qwen2-vl-rocket": Settings("models/tiny-qwen2-vl", "images/rocket.png", lr=0.3, threshold=0.1, pp=True),
    "qwen2-vl-coffee": Settings("models/tiny-qwen2-vl", "images/coffee.png", lr=0.3, threshold=0.1),
    "qwen2-vl-tall": Settings("models/tiny-qwen2-vl", "images/tall.png", lr=0.3, threshold=0.1),
    "qwen2-vl-wide": Settings("models/tiny-qwen2-vl", "images/wide.png", lr=0.3, threshold=0.1),
    "qwen2-vl-small": Settings("models/tiny-qwen2-vl", "images/small.png", lr=0.3, threshold=0.1),
    "qwen3-vl-cat": Settings("models/tiny-qwen3-vl", "images/cat.png", lr=0.3, threshold=0.1, pp=True),
    "qwen3-vl-coffee": Settings("models/tiny-qwen3-vl", "images/coffee.png", lr=0.3, threshold=0.1),
    "qwen3-vl-tall": Settings("models/tiny-qwen3-vl", "images/tall.png", lr=0.3, threshold=0.05),
    "qwen3-vl-wide": Settings("models/tiny-qwen3-vl", "images/wide.png", lr=0.03, threshold=0.1),
    "qwen3-vl-small": Settings("models/tiny-qwen3-vl", "images/small.png", lr=0.03, threshold=0.1),
    "gemma3-cat": Settings("models/tiny-gemma3", "images/cat.png", lr=0.3, threshold=0.1, pp=True),
    "gemma3-coffee": Settings("models/tiny-gemma3", "images/coffee.png", lr=0.3, threshold=0.1),
    "gemma3-tall": Settings("models/tiny-gemma3", "images/tall.png", lr=0.3, threshold=0.1),
    "gemma3-wide": Settings("models/tiny-gemma3", "images/wide.png", lr=0.3, threshold=0.1),
    "gemma3-small": Settings("models/tiny-gemma3", "images/small.png", lr=0.03, threshold=0.1),
}


class Seen(list):
    """The mask as each view sees it."""

    def __mul__(self, other):
        return Seen(a * b for a, b in zip(self, other))


class Views(list):
    """All views of one picture."""

    def sample(self, mask):
        return Seen(view.sample(mask) for view in self)


class ExplanationOfViews(Explanation):
    """The objective of one answer: `image` and `baseline` are lists of (3, h, w), `score` maps a list of (B, 3, h, w)
    to (B), and `probability` a list of (1, 3, h, w) to a number."""

    def __init__(self, settings, views, image, baseline, score, probability):
        super().__init__(settings, views[0], image[0], baseline[0], score)  # for its number type and the first view
        self.first = views[0]
        self.view, self.images, self.baselines, self.probability = Views(views), image, baseline, probability

    def path(self, seen, kept, other):
        """The mean score along the path; where a view's mask is 1 it ends at `kept`, where it is 0 it is `other`."""
        blends = []
        for mask, one, zero in zip(seen, kept, other):
            weight = self.alphas[:, None, None, None] * mask
            blends.append(one * weight + zero * (1 - weight))
        return self.score(blends).mean()

    def deletion(self, seen):
        return self.path(seen, self.images, self.baselines)

    def insertion(self, seen):
        return self.path(seen, self.baselines, self.images)

    def total_variation(self, mask):
        """On the first view."""
        return bilateral_total_variation(self.images[0], self.first.sample(mask), mask)

    def curves(self, mask, probability):
        """Replaces cells of the picture, and of the baseline, in ascending order of the mask, a fiftieth at a time."""

        def blend(seen, kept, other):
            return probability([(k * w + o * (1 - w))[None] for w, k, o in zip(seen, kept, other)])

        cells = mask.numel()
        group = max(1, cells // 50)
        order = torch.argsort(mask.flatten(), stable=True)
        left = torch.ones(cells, dtype=mask.dtype)
        deletion, insertion = ([probability([x[None] for x in ends])] for ends in (self.images, self.baselines))
        fraction = [0.0]
        for start in range(0, cells, group):
            left[order[start : start + group]] = 0
            seen = self.view.sample(left.view_as(mask))
            deletion.append(blend(seen, self.images, self.baselines))
            insertion.append(blend(seen, self.baselines, self.images))
            fraction.append(min(start + group, cells) / cells)
        return deletion, insertion, fraction


def numbered(name, tensors):
    """One entry for each view: `name.0` is the first."""
    return {f"{name}.{v}": tensor for v, tensor in enumerate(tensors)}


def family(folder):
    """What states the model in a folder."""
    config = json.loads((folder / "config.json").read_text())
    if config.get("image_aspect_ratio", "").startswith("anyres"):
        return LlavaAnyres
    if config["model_type"] == "llava_llama":
        return LlavaAuthors
    return next((cls for cls in (Tiled, Split, QwenVl, Gemma3) if config["model_type"] in cls.types), MiniGemini)


def prepare(settings, base=HERE, family=family, explanation=ExplanationOfViews, select=key_tokens):
    """Loads the model and the picture. Returns an ExplanationOfViews, the tensors recorded so far and the metadata."""
    folder = base / settings.model
    model = family(folder)(folder, torch.float64 if settings.f64 else torch.float32)
    rgb = np.asarray(Image.open(base / settings.image).convert("RGB"))
    views = model.views(rgb)
    image, baseline = model.pixels(rgb), model.pixels(blur(rgb))
    prompt = model.prompt(settings.question, image)
    logp, tensors, metadata = settle(settings, model, prompt, image, baseline, select)
    metadata["views"] = [asdict(view) for view in views]
    explanation = explanation(
        settings,
        views,
        [x[0] for x in image],
        [x[0] for x in baseline],
        score=lambda pixels: logp(pixels).sum(1),
        probability=lambda pixels: logp(pixels).exp().mean().item(),
    )
    explanation.llava, explanation.views = model, views
    return explanation, numbered("image_pixels", image) | numbered("baseline_pixels", baseline) | tensors, metadata


def record(settings, **otherwise):
    """Computes everything that a case holds: its tensors and its metadata; `otherwise` as in `prepare`."""
    explanation, tensors, metadata = prepare(settings, **otherwise)
    pixels = [x[None].clone().requires_grad_(True) for x in explanation.images]
    explanation.score(pixels).sum().backward()
    tensors |= numbered("grad_pixels", [x.grad for x in pixels])
    probe = random_mask(explanation)
    tensors |= numbered("probe_upsampled", [seen.detach() for seen in explanation.view.sample(probe)])
    return finish(explanation, probe, tensors, metadata)


if __name__ == "__main__":
    main("Records the cases of models that see several views of a picture.", CASES, record)
