"""Records cases of models that see a picture in several views of different sizes, in float64 and without noise.

    python record_views.py                     records every case of CASES into cases/
    python record_views.py mini-gemini-hd-cat  records one
    python record_views.py --check             records into memory, and compares with the files of cases/

The method is record.py's, word for word; what differs is that there is a list of views where that has one. The mask is
one, in the plane of the picture. Each view samples it through its own geometry and blends its own pixels of the picture
with its own pixels of the baseline, whether or not those were computed from another view's. README.md lists the
tensors.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from transformers.utils import logging as transformers_logging

from authors import LlavaAuthors
from mini_gemini import MiniGemini
from record import (
    THREADS,
    Explanation,
    Settings,
    area,
    bilateral_total_variation,
    blur,
    compare,
    key_tokens,
    stored,
)
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
    "llava-llama-cat": Settings("models/tiny-llava-llama", "images/cat.png", lr=1.0),
    "next-vicuna-cat": Settings("models/tiny-next-vicuna", "images/cat.png", lr=0.3),
    "next-mistral-rocket": Settings("models/tiny-next-mistral", "images/rocket.png", lr=0.3),
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


def prepare(settings, base=HERE):
    """Loads the model and the picture and settles the answer and its key tokens.

    Returns an ExplanationOfViews, the tensors recorded so far and the metadata.
    """
    kind = json.loads((base / settings.model / "config.json").read_text())["model_type"]
    family = LlavaAuthors if kind == "llava_llama" else Tiled if kind in Tiled.types else MiniGemini
    model = family(base / settings.model, torch.float64 if settings.f64 else torch.float32)
    rgb = np.asarray(Image.open(base / settings.image).convert("RGB"))
    views = model.views(rgb)
    image, baseline = model.pixels(rgb), model.pixels(blur(rgb))
    prompt, text = model.prompt(settings.question, image)
    if settings.answer is None:
        answer = model.greedy(prompt, image, settings.max_new_tokens)
    else:
        answer = model.tokenizer(settings.answer, add_special_tokens=False)["input_ids"]
    answer_ids = torch.tensor([answer])
    with torch.no_grad():
        logp_image = model.logp(prompt, answer_ids, image)[0]
        logp_baseline = model.logp(prompt, answer_ids, baseline)[0]
    keys = settings.keys
    if keys is None:
        keys = key_tokens(model.tokenizer, answer, logp_image.tolist(), logp_baseline.tolist(), settings.threshold)
    if not keys:
        raise SystemExit(f"no token of the answer depends on the picture: {(logp_image - logp_baseline).tolist()}")

    def logp_keys(pixels):
        return model.logp(prompt, answer_ids, pixels)[:, keys]

    explanation = ExplanationOfViews(
        settings,
        views,
        [x[0] for x in image],
        [x[0] for x in baseline],
        score=lambda pixels: logp_keys(pixels).sum(1),
        probability=lambda pixels: logp_keys(pixels).exp().mean().item(),
    )
    tensors = {
        **numbered("image_pixels", image),
        **numbered("baseline_pixels", baseline),
        "prompt_ids": prompt,
        "answer_ids": answer_ids,
        "logp_image": logp_image,
        "logp_baseline": logp_baseline,
    }
    metadata = {
        "question": settings.question,
        "prompt": text,
        "image": settings.image,
        "args": asdict(settings),
        "views": [asdict(view) for view in views],
        "answer": model.tokenizer.decode(answer),
        "key": keys,
        "key_text": [model.tokenizer.decode([answer[t]]) for t in keys],
    }
    return explanation, tensors, metadata


def record(settings):
    """Computes everything that a case holds: its tensors and its metadata."""
    explanation, tensors, metadata = prepare(settings)

    pixels = [x[None].clone().requires_grad_(True) for x in explanation.images]
    explanation.score(pixels).sum().backward()
    tensors |= numbered("grad_pixels", [x.grad for x in pixels])

    # One evaluation of each term, and its gradient, at a random mask.
    generator = torch.Generator().manual_seed(1)
    size = settings.size
    probe = torch.rand(size, size, generator=generator, dtype=torch.float64)
    probe = probe.to(explanation.image.dtype).requires_grad_(True)
    tensors["probe_mask"] = probe.detach()
    tensors |= numbered("probe_upsampled", [seen.detach() for seen in explanation.view.sample(probe)])
    for name, term in (("deletion", explanation.deletion), ("insertion", explanation.insertion)):
        score = term(explanation.view.sample(probe))
        tensors[f"probe_{name}_score"] = score.detach()[None]
        (tensors[f"probe_{name}_grad"],) = torch.autograd.grad(score, probe)
    variation = explanation.total_variation(probe)
    tensors["probe_btv"] = variation.detach()[None]
    (tensors["probe_btv_grad"],) = torch.autograd.grad(variation, probe)

    start = time.time()
    tensors["igos_p_masks"], tensors["igos_p_losses"] = explanation.igos_plus()
    metadata["igos_p_seconds"] = time.time() - start
    if settings.pp:
        tensors["igos_pp_masks"] = explanation.igos_plus_plus()

    with torch.no_grad():
        deletion, insertion, fraction = explanation.curves(tensors["igos_p_masks"][-1], explanation.probability)
    top, bottom = deletion[0], insertion[0]
    metadata["deletion"] = area(deletion, fraction, bottom, top)
    metadata["insertion"] = area(insertion, fraction, bottom, top)
    for name, values in (("deletion_curve", deletion), ("insertion_curve", insertion), ("curve_index", fraction)):
        tensors[name] = torch.tensor(values, dtype=torch.float64)
    return {name: stored(tensor) for name, tensor in tensors.items()}, metadata


def main():
    parser = argparse.ArgumentParser(description="Records the cases of models that see several views of a picture.")
    parser.add_argument("names", nargs="*", metavar="CASE", help=f"which ({', '.join(CASES)}; default all)")
    parser.add_argument("--out", type=Path, default=HERE / "cases", help="folder to write to, or to check")
    parser.add_argument("--check", action="store_true", help="write nothing, compare with the files in the folder")
    parser.add_argument("--f32", action="store_true", help="with --check: compute in f32, to see what rounding does")
    arguments = parser.parse_args()
    transformers_logging.disable_progress_bar()
    torch.set_num_threads(THREADS)
    limit = 1e-9
    worst = 0.0
    for name in arguments.names or CASES:
        if name not in CASES:
            parser.error(f"no case {name!r}; there are {', '.join(CASES)}")
        settings = CASES[name]
        settings.f64 = not arguments.f32
        tensors, metadata = record(settings)
        file = arguments.out / f"{name}.safetensors"
        if arguments.check:
            worst = max(worst, compare(name, tensors, metadata, file))
        else:
            save_file(tensors, file, metadata={"json": json.dumps(metadata)})
            shown = {key: metadata[key] for key in ("answer", "key", "key_text", "deletion", "insertion")}
            print(f"{name}: {json.dumps(shown)}")
    if arguments.check and not arguments.f32 and worst > limit:
        sys.exit(f"not reproduced: {worst:.1e} is more than {limit:.0e}")


if __name__ == "__main__":
    main()
