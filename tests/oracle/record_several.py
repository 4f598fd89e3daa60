"""Records cases of questions about several pictures in one message, in float64 and without noise.

    python record_several.py                  records every case of CASES into several/
    python record_several.py qwen2-5-vl-two   records one
    python record_several.py --check          records into memory, and compares with the files of several/

The method is record.py's with a mask for each picture: each view samples the mask of its picture, all pictures are blended at once,
and the objective is the two paths' plus the regulariser of each picture. README.md lists the tensors.
"""

import json
from dataclasses import asdict, dataclass

import numpy as np
import torch
from PIL import Image

from record import HERE, Settings, blur, finish, main, random_mask, settle, stored
from record_views import ExplanationOfViews, Seen, Views
from several import FAMILIES


@dataclass
class SettingsOfSeveral(Settings):
    image: list[str]  # the pictures, in the order of the message
    question: str = "What color is the circle?"
    iterations: int = 2
    max_new_tokens: int = 8
    lr: float = 0.3
    threshold: float = 0.1


def case(model, *names, **more):
    return SettingsOfSeveral(f"models/{model}", [f"images/{name}.png" for name in names], **more)


CASES = {
    "qwen2-5-vl-two": case("tiny-qwen2-5-vl", "cat", "rocket"),
    "qwen2-5-vl-three": case("tiny-qwen2-5-vl", "coffee", "wide", "tall"),
    "smolvlm-two": case("tiny-smolvlm", "cat", "coffee"),
    "idefics3-two": case("tiny-idefics3", "wide", "rocket"),
    "onevision-two": case("tiny-onevision", "cat", "rocket"),
    "gemma3-two": case("tiny-gemma3", "cat", "rocket"),
    "internvl-two": case("tiny-internvl", "cat", "rocket"),
    "internvl-qwen3-two": case("tiny-internvl-qwen3", "wide", "cat", lr=1.0),
    "qwen3-vl-two": case("tiny-qwen3-vl", "cat", "rocket"),
    "qwen2-vl-two": case("tiny-qwen2-vl", "rocket", "wide"),
    "next-vicuna-two": case("tiny-next-vicuna", "cat", "tall"),
    "llava-two": case("tiny-llava", "cat", "rocket"),
}


class ViewsOfSeveral(list):
    """The views of each picture, as one `Views` each."""

    def sample(self, masks):
        """The masks, (P, S, S), as all views see them, one after the other."""
        return Seen(seen for views, mask in zip(self, masks) for seen in views.sample(mask))


class ExplanationOfSeveral(ExplanationOfViews):
    """As ExplanationOfViews, with masks (P, S, S); views, image and baseline are lists of pictures, each a list of its views."""

    def __init__(self, settings, views, image, baseline, score, probability):
        super().__init__(settings, *map(flat, (views, image, baseline)), score, probability)
        self.view = ViewsOfSeveral(Views(own) for own in views)
        self.each = [ExplanationOfViews(settings, *own, None, None) for own in zip(views, image, baseline)]

    def ones(self):
        size = self.settings.size
        return torch.ones(len(self.each), size, size, dtype=self.image.dtype, requires_grad=True)

    def total_variation(self, masks):
        return sum(one.total_variation(mask) for one, mask in zip(self.each, masks))

    def regulariser(self, masks, iteration):
        return sum(one.regulariser(mask, iteration) for one, mask in zip(self.each, masks))


def flat(pictures):
    return [view for views in pictures for view in views]


def numbered(name, pictures):
    """One entry for each view: `name.1.0` is the second picture's first."""
    return {f"{name}.{p}.{v}": tensor for p, views in enumerate(pictures) for v, tensor in enumerate(views)}


def processed(pictures):
    """Pixels as the processor made them, in f32."""
    return [[view.float() for view in views] for views in pictures]


def family(folder):
    """What states the model in a folder."""
    kind = json.loads((folder / "config.json").read_text())["model_type"]
    return next(cls for cls in FAMILIES if kind in cls.types)


def record(settings):
    """Computes everything that a case holds: its tensors and its metadata."""
    folder = HERE / settings.model
    model = family(folder)(folder, torch.float64 if settings.f64 else torch.float32)
    rgbs = [np.asarray(Image.open(HERE / image).convert("RGB")) for image in settings.image]
    prompt = model.ask(rgbs, settings.question)
    views = [model.views(rgb) for rgb in rgbs]
    image, baseline = [model.pixels(rgb) for rgb in rgbs], [model.pixels(blur(rgb)) for rgb in rgbs]
    logp, tensors, metadata = settle(settings, model, prompt, flat(image), flat(baseline))
    tensors |= numbered("image_pixels", processed(image)) | numbered("baseline_pixels", processed(baseline))
    metadata["images"] = metadata.pop("image")
    metadata["views"] = [[asdict(view) for view in own] for own in views]
    every_picture_counts(model, tensors, image, baseline)

    def explanation(baseline):
        return ExplanationOfSeveral(
            settings,
            views,
            [[x[0] for x in own] for own in image],
            [[x[0] for x in own] for own in baseline],
            score=lambda pixels: logp(pixels).sum(1),
            probability=lambda pixels: logp(pixels).exp().mean().item(),
        )

    joint = explanation(baseline)
    pixels = [[x.clone().requires_grad_(True) for x in own] for own in image]
    joint.score(flat(pixels)).sum().backward()
    tensors |= numbered("grad_pixels", [[x.grad for x in own] for own in pixels])
    probe = random_mask(joint)
    tensors |= numbered("probe_upsampled", [[seen.detach() for seen in v.sample(m)] for v, m in zip(joint.view, probe)])
    first = baseline[:1] + image[1:]
    tensors |= only_first(explanation(first), probe)
    tensors["fixed.logp_baseline"] = answer_logp(model, tensors, first)
    return finish(joint, probe, tensors, metadata)


def only_first(explanation, probe):
    """The terms where the first picture alone is explained: the others are their own baselines, so that both paths keep them whole."""
    tensors = {}
    for name, term in (("deletion", explanation.deletion), ("insertion", explanation.insertion)):
        score = term(explanation.view.sample(probe))
        tensors[f"fixed.probe_{name}_score"] = score.detach()[None]
        (gradient,) = torch.autograd.grad(score, probe)
        if gradient[1:].abs().max() > 1e-12 * gradient[0].abs().max():
            raise SystemExit("the mask of a picture that is kept whole has a gradient")
        tensors[f"fixed.probe_{name}_grad"] = gradient[0]
    return {name: stored(tensor) for name, tensor in tensors.items()}


def answer_logp(model, tensors, pictures):
    """Log-probability of each token of the answer."""
    with torch.no_grad():
        return model.logp(tensors["prompt_ids"], tensors["answer_ids"], flat(pictures))[0]


def every_picture_counts(model, tensors, image, baseline):
    """Raises an error if the answer's log-probabilities stay as they are when a picture is replaced by its baseline."""
    for p in range(len(image)):
        replaced = answer_logp(model, tensors, [*image[:p], baseline[p], *image[p + 1 :]])
        change = (replaced - tensors["logp_image"]).abs().max()
        if change < 1e-3:
            raise SystemExit(f"without picture {p} the answer's log-probabilities change by {change:.1e} only")


if __name__ == "__main__":
    main("Records the cases of questions about several pictures.", CASES, record, "several")
