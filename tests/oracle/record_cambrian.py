"""Records cases of Cambrian-1, in float64 and without noise, by the method as record.py states it.

    python record_cambrian.py                     records every case of CASES into cases/
    python record_cambrian.py cambrian-cat        records one
    python record_cambrian.py --check             records into memory, and compares with the files of cases/

The picture has four views here, one for each encoder, that differ in size; one mask in the picture's plane covers them
all. The first, SigLIP's, is that of the bilateral total variation. README.md lists the tensors.
"""

import argparse
import json
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file

import record
from cambrian import Cambrian

HERE = Path(__file__).resolve().parent


@dataclass
class Settings(record.Settings):
    towers: str = "models/tiny-cambrian-towers"  # folder of the encoders' checkpoints


CASES = {
    "cambrian-cat": Settings("models/tiny-cambrian", "images/cat.png", lr=0.3),
    "cambrian-rocket": Settings("models/tiny-cambrian", "images/rocket.png", lr=0.3),
    "cambrian-phi3-coffee": Settings("models/tiny-cambrian-phi3", "images/coffee.png", lr=0.3),
}


class Views:
    """Views as one: their pixels stand side by side in a single line, (..., 3, 1, pixels of all of them)."""

    def __init__(self, views):
        self.views = views
        self.sizes = [view.height * view.width for view in views]

    def sample(self, mask):
        """The mask as all of them see it, (1, pixels)."""
        return torch.cat([view.sample(mask).reshape(1, -1) for view in self.views], 1)

    def join(self, pictures):
        """(B, 3, h, w) of every view to (B, 3, 1, pixels)."""
        return torch.cat([picture.flatten(2)[:, :, None] for picture in pictures], 3)

    def split(self, line):
        """The way back, of (B, C, 1, pixels)."""
        parts = line[:, :, 0].split(self.sizes, 2)
        return [part.unflatten(2, (view.height, view.width)) for part, view in zip(parts, self.views)]


class Explanation(record.Explanation):
    """The objective on several views; its pictures are lines of Views."""

    def total_variation(self, mask):
        """On the first view."""
        first = self.view.split(self.image[None])[0][0]
        return record.bilateral_total_variation(first, self.view.views[0].sample(mask), mask)


def prepare(settings, base=HERE, family=Cambrian, explanation=Explanation, select=record.key_tokens):
    """Loads the model and the picture and settles the answer and its key tokens. `family`, `explanation` and `select` replace the
    model's class, the objective and the choice of key tokens."""
    model = family(
        base / settings.model, base / settings.towers, torch.float64 if settings.f64 else torch.float32
    )
    rgb = np.asarray(Image.open(base / settings.image).convert("RGB"))
    size = (rgb.shape[1], rgb.shape[0])
    image, baseline = model.pixels(rgb), model.pixels(record.blur(rgb))
    prompt, text = model.prompt(settings.question, size)
    answer = model.greedy(prompt, image, size, settings.max_new_tokens)
    answer_ids = torch.tensor([answer])
    with torch.no_grad():
        logp_image = model.logp(prompt, answer_ids, image, size)[0]
        logp_baseline = model.logp(prompt, answer_ids, baseline, size)[0]
    keys = select(
        model.tokenizer, answer, logp_image.tolist(), logp_baseline.tolist(), settings.threshold
    )
    if not keys:
        raise SystemExit("no token of the answer depends on the picture: nothing to record")

    views = Views(model.views(rgb))

    def logp_keys(pixels):
        return model.logp(prompt, answer_ids, views.split(pixels), size)[:, keys]

    explanation = explanation(
        settings, views, views.join(image)[0], views.join(baseline)[0], lambda pixels: logp_keys(pixels).sum(1)
    )
    explanation.probability = lambda pixels: logp_keys(pixels).exp().mean().item()
    tensors = {
        "prompt_ids": prompt,
        "answer_ids": answer_ids,
        "logp_image": logp_image,
        "logp_baseline": logp_baseline,
    }
    for number in range(len(image)):
        tensors[f"image_pixels.{number}"] = image[number]
        tensors[f"baseline_pixels.{number}"] = baseline[number]
    metadata = {
        "question": settings.question,
        "prompt": text,
        "image": settings.image,
        "args": asdict(settings),
        "answer": model.text(answer),
        "key": keys,
        "key_text": [model.text([answer[t]]) for t in keys],
    }
    return explanation, tensors, metadata


def record_case(settings, **otherwise):
    """Computes everything that a case holds: its tensors and its metadata; `otherwise` as in `prepare`."""
    explanation, tensors, metadata = prepare(settings, **otherwise)
    views = explanation.view

    pixels = explanation.image[None].clone().requires_grad_(True)
    explanation.score(pixels).sum().backward()
    for number, gradient in enumerate(views.split(pixels.grad)):
        tensors[f"grad_pixels.{number}"] = gradient

    # One evaluation of each term, and its gradient, at a random mask.
    generator = torch.Generator().manual_seed(1)
    probe = torch.rand(settings.size, settings.size, generator=generator, dtype=torch.float64)
    probe = probe.to(explanation.image.dtype).requires_grad_(True)
    tensors["probe_mask"] = probe.detach()
    for number, view in enumerate(views.views):
        tensors[f"probe_upsampled.{number}"] = view.sample(probe)[None].detach()
    for name, term in (("deletion", explanation.deletion), ("insertion", explanation.insertion)):
        score = term(views.sample(probe))
        tensors[f"probe_{name}_score"] = score.detach()[None]
        (tensors[f"probe_{name}_grad"],) = torch.autograd.grad(score, probe)
    variation = explanation.total_variation(probe)
    tensors["probe_btv"] = variation.detach()[None]
    (tensors["probe_btv_grad"],) = torch.autograd.grad(variation, probe)

    start = time.time()
    tensors["igos_p_masks"], tensors["igos_p_losses"] = explanation.igos_plus()
    metadata["igos_p_seconds"] = time.time() - start

    with torch.no_grad():
        deletion, insertion, fraction = explanation.curves(tensors["igos_p_masks"][-1], explanation.probability)
    top, bottom = deletion[0], insertion[0]
    metadata["deletion"] = explanation.area(deletion, fraction, bottom, top)
    metadata["insertion"] = explanation.area(insertion, fraction, bottom, top)
    for name, values in (("deletion_curve", deletion), ("insertion_curve", insertion), ("curve_index", fraction)):
        tensors[name] = torch.tensor(values, dtype=torch.float64)
    return {name: record.stored(tensor) for name, tensor in tensors.items()}, metadata


def main():
    parser = argparse.ArgumentParser(description="Records the cases of Cambrian-1.")
    parser.add_argument("names", nargs="*", metavar="CASE", help=f"which ({', '.join(CASES)}; default all)")
    parser.add_argument("--out", type=Path, default=HERE / "cases", help="folder to write to, or to check")
    parser.add_argument("--check", action="store_true", help="write nothing, compare with the files in the folder")
    parser.add_argument("--f32", action="store_true", help="with --check: compute in f32, to see what rounding does")
    arguments = parser.parse_args()
    torch.set_num_threads(record.THREADS)
    limit = 1e-9
    worst = 0.0
    for name in arguments.names or CASES:
        if name not in CASES:
            parser.error(f"no case {name!r}; there are {', '.join(CASES)}")
        settings = CASES[name]
        settings.f64 = not arguments.f32
        tensors, metadata = record_case(settings)
        file = arguments.out / f"{name}.safetensors"
        if arguments.check:
            worst = max(worst, record.compare(name, tensors, metadata, file))
        else:
            save_file(tensors, file, metadata={"json": json.dumps(metadata)})
            shown = {key: metadata[key] for key in ("answer", "key", "key_text", "deletion", "insertion")}
            print(f"{name}: {json.dumps(shown)}, {metadata['igos_p_seconds']:.0f} s")
    if arguments.check and not arguments.f32 and worst > limit:
        sys.exit(f"not reproduced: {worst:.1e} is more than {limit:.0e}")


if __name__ == "__main__":
    main()
