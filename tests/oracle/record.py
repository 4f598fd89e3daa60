"""An independent PyTorch statement of the method on Hugging Face's LLaVA, in float64 and without noise.

    python record.py                     records every case of CASES into cases/
    python record.py llava-cat           records one
    python record.py --check             records into memory, and compares with the files of cases/

It states step by step what foveate must compute, with automatic differentiation instead of hand-written gradients and
with nothing shared, skipped or fused, so that the two can be compared number by number. README.md lists the tensors.
The method is that of Xing et al., "Where do Large Vision-Language Models Look at when Answering Questions?"
(arXiv 2503.13891), which builds on iGOS (arXiv 1905.00954) and iGOS++ (arXiv 2012.15783).
"""

import argparse
import json
import math
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoImageProcessor, AutoModelForImageTextToText, AutoTokenizer
from transformers.utils import logging as transformers_logging

HERE = Path(__file__).resolve().parent

THREADS = 2

# Tokens that carry no content of the picture, as text.
STOP_WORDS = {"", ".", ",", "-", "(", ")", "the", "and", "of", "a", "an", "this", "that", "is", "with"}


@dataclass
class Settings:
    """One case: what is asked of which model, and with which settings. Paths are relative to this folder."""

    model: str
    image: str
    question: str = "What color is the circle?"
    size: int = 8  # cells of the mask along each side
    steps: int = 4  # of each path
    iterations: int = 5
    momentum: int = 5
    max_new_tokens: int = 12
    l1: float = 1.0
    l2: float = 0.1
    l3: float = 10.0
    gamma: float = 1.0
    lr: float = 10.0
    threshold: float = 1.0
    answer: str | None = None  # explain this text instead of the greedy answer
    keys: list[int] | None = None  # explain these answer tokens instead of the selected ones
    pp: bool = False  # record iGOS++ as well
    f64: bool = True
    compat: str | None = None  # the program that is stated instead of the method


# A large lr drives cells back and forth between the bounds, and rounding with them; a small one does not.
CASES = {
    "llava-cat": Settings("models/tiny-llava", "images/cat.png", lr=1.0, pp=True),
    "llava-coffee": Settings("models/tiny-llava", "images/coffee.png", size=12, steps=5, max_new_tokens=10),
    "llava-gqa-rocket": Settings("models/tiny-llava-gqa", "images/rocket.png", lr=1.0, pp=True),
    "llava-variant-cat": Settings(
        "models/tiny-llava-variant", "images/cat.png", size=7, lr=1.0, threshold=0.6, pp=True
    ),
    "llava-bytes-cat": Settings(
        "models/tiny-llava-bytes", "images/cat.png", lr=1.0, threshold=0.6, max_new_tokens=8
    ),
    "llava-unigram-rocket": Settings("models/tiny-llava-unigram", "images/rocket.png", lr=1.0, max_new_tokens=8),
    "mix-qwen3-cat": Settings("models/tiny-mix-qwen3", "images/cat.png", lr=0.3, threshold=0.1, max_new_tokens=8),
    "mix-phi3-coffee": Settings("models/tiny-mix-phi3", "images/coffee.png", lr=0.3, threshold=0.1, max_new_tokens=8),
    "mix-mistral-rocket": Settings(
        "models/tiny-mix-mistral", "images/rocket.png", lr=0.3, threshold=0.1, max_new_tokens=8
    ),
}


def blur(rgb):
    """The baseline picture: a Gaussian blur, u8 (H, W, 3), whose kernel grows with the picture's width."""
    width = rgb.shape[1]
    kernel = 501 if width >= 2000 else 301 if width >= 800 else 201 if width >= 500 else 101
    return cv2.GaussianBlur(rgb, (kernel, kernel), sigmaX=kernel - 1)


@dataclass
class View:
    """What the encoder sees: `height` x `width` pixels of the picture resized to `rh` x `rw`, from (oy, ox) on.

    Row i, column j of the view lies at x = (j + ox) / (rw - 1), y = (i + oy) / (rh - 1) in the picture's plane
    [0, 1] x [0, 1]. Offsets are negative where the crop is larger than the resized picture.
    """

    height: int
    width: int
    rh: int
    rw: int
    oy: int
    ox: int

    def sample(self, mask):
        """The S x S mask as the view sees it, (height, width): bilinear, and 1 outside the picture."""
        x = (torch.arange(self.width, dtype=mask.dtype) + self.ox) / (self.rw - 1)
        y = (torch.arange(self.height, dtype=mask.dtype) + self.oy) / (self.rh - 1)
        inside = ((y >= 0) & (y <= 1))[:, None] & ((x >= 0) & (x <= 1))[None, :]
        # grid_sample counts from -1 to 1 and takes x before y.
        rows, columns = torch.meshgrid(y * 2 - 1, x * 2 - 1, indexing="ij")
        grid = torch.stack([columns, rows], -1)[None]
        seen = F.grid_sample(mask[None, None], grid, mode="bilinear", align_corners=True, padding_mode="border")
        return torch.where(inside, seen[0, 0], torch.ones_like(seen[0, 0]))


class Llava:
    """A LLaVA checkpoint: its picture processing, its prompt, and the log-probabilities it gives an answer."""

    types = ("llava",)

    def __init__(self, folder, dtype=torch.float64, attention="eager"):
        model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32, attn_implementation=attention)
        self.model = model.to(dtype).eval().requires_grad_(False)
        self.config = model.config
        if self.config.model_type not in self.types:
            raise SystemExit(f"{folder}: model type {self.config.model_type}, where {self.types} was expected")
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.processor = AutoImageProcessor.from_pretrained(folder, backend="pil")
        self.dtype = dtype

    def pixels(self, rgb):
        """What the image processor makes of a picture: (1, 3, h, w), normalised."""
        return self.processor(Image.fromarray(rgb), return_tensors="pt")["pixel_values"].to(self.dtype)

    def view(self, rgb):
        """Where those pixels lie in the picture: resized by its shorter edge, then cropped from the middle."""
        height, width = rgb.shape[:2]
        edge = self.processor.size["shortest_edge"]
        if width <= height:
            rw, rh = edge, int(edge * height / width)
        else:
            rw, rh = int(edge * width / height), edge
        crop_h, crop_w = self.processor.crop_size["height"], self.processor.crop_size["width"]
        return View(crop_h, crop_w, rh, rw, (rh - crop_h) // 2, (rw - crop_w) // 2)

    def visual_tokens(self, pixels):
        """Visual tokens of a picture."""
        vision = self.config.vision_config
        size, patch = (x if isinstance(x, int) else x[0] for x in (vision.image_size, vision.patch_size))
        tokens = (size // patch) ** 2
        if self.config.vision_feature_select_strategy == "full" and vision.model_type != "siglip_vision_model":
            tokens += 1  # the class token
        return tokens

    def prompt_text(self, question):
        """The prompt as the template writes it, with one image token."""
        content = [{"type": "image"}, {"type": "text", "text": question}]
        return self.tokenizer.apply_chat_template(
            [{"role": "user", "content": content}], add_generation_prompt=True, tokenize=False
        )

    def prompt(self, question, pixels=None):
        """The prompt's ids, (1, P), with the image token once for each visual token of a picture; and its text."""
        text = self.prompt_text(question)
        visual_tokens = self.visual_tokens(pixels)
        ids = []
        for token in self.tokenizer(text, add_special_tokens=False)["input_ids"]:
            ids += [token] * (visual_tokens if token == self.config.image_token_id else 1)
        return torch.tensor([ids]), text

    def logits(self, ids, pixels):
        """Next-token logits, (B, L, vocabulary), of one sequence of ids (1, L) on B pictures (B, 3, h, w)."""
        return self.model(input_ids=ids.expand(pixels.shape[0], -1), pixel_values=pixels).logits

    def greedy(self, prompt, pixels, limit):
        """The most likely answer, token by token and without the end marker."""
        answer, ids = [], prompt
        with torch.no_grad():
            for _ in range(limit):
                logits = self.logits(ids, pixels)[0, -1]
                logits[self.config.image_token_id] = -math.inf  # stands for pixels, so it is no answer
                token = int(logits.argmax())
                if token == self.tokenizer.eos_token_id:
                    break
                answer.append(token)
                ids = torch.cat([ids, torch.tensor([[token]])], 1)
        return answer

    def logp(self, prompt, answer, pixels):
        """Log-probability of each answer token given all before it, (B, T); answer: (1, T)."""
        logits = self.logits(torch.cat([prompt, answer], 1), pixels)[:, prompt.shape[1] - 1 : -1]
        chosen = answer[..., None].expand(len(pixels), -1, 1)
        return torch.log_softmax(logits, -1).gather(2, chosen)[..., 0]


def key_tokens(tokenizer, answer, logp_image, logp_baseline, threshold):
    """Indices of the answer tokens that depend on the picture: likelier with it than with the baseline, not filler."""
    if len(answer) == 1:
        return [0] if math.exp(logp_baseline[0]) <= 0.5 * math.exp(logp_image[0]) else []
    return [
        t
        for t, token in enumerate(answer)
        if logp_image[t] - logp_baseline[t] > threshold and tokenizer.decode([token]).strip().lower() not in STOP_WORDS
    ]


def bilateral_total_variation(pixels, seen, mask):
    """Half of the mask's total variation plus half of that of the mask as seen, lighter across the picture's edges.

    pixels: (3, h, w); seen: (h, w); mask: (S, S). The two directions weigh the edges differently, as the authors'
    program does: down, the channels' differences are averaged first; across, their weights are.
    """
    down = (mask[:-1] - mask[1:]).pow(2).mean()
    across = (mask[:, :-1] - mask[:, 1:]).pow(2).mean()
    weight_down = torch.exp(-((pixels[:, :-1] - pixels[:, 1:]).mean(0) ** 2) / 0.01)
    weight_across = torch.exp(-((pixels[:, :, :-1] - pixels[:, :, 1:]) ** 2) / 0.01).mean(0)
    seen_down = (weight_down * (seen[:-1] - seen[1:]).pow(2)).mean()
    seen_across = (weight_across * (seen[:, :-1] - seen[:, 1:]).pow(2)).mean()
    return 0.5 * (down + across + seen_down + seen_across)


class Explanation:
    """The objective of one answer: `image` and `baseline` are (3, h, w), `score` maps (B, 3, h, w) to (B)."""

    def __init__(self, settings, view, image, baseline, score):
        self.settings, self.view, self.image, self.baseline, self.score = settings, view, image, baseline, score
        self.alphas = torch.arange(1, settings.steps + 1, dtype=image.dtype) / settings.steps

    def path(self, seen, kept, other):
        """The mean score along the path; where `seen` (h, w) is 1 it ends at `kept`, where it is 0 it is `other`."""
        weight = self.alphas[:, None, None, None] * seen
        return self.score(kept * weight + other * (1 - weight)).mean()

    def deletion(self, seen):
        """D: what the mask keeps should make the answer unlikely."""
        return self.path(seen, self.image, self.baseline)

    def insertion(self, seen):
        """R: what the mask removes should make the answer likely."""
        return self.path(seen, self.baseline, self.image)

    def total_variation(self, mask):
        return bilateral_total_variation(self.image, self.view.sample(mask), mask)

    def regulariser(self, mask, iteration):
        """Few cells, along the picture's edges, and a convex term that fades away over the iterations."""
        s = self.settings
        fading = s.l2 * math.exp(-s.gamma * iteration) * (1 - mask).pow(2).sum()
        return s.l1 * (1 - mask).abs().mean() + s.l3 * self.total_variation(mask) + fading

    def ones(self):
        return torch.ones(self.settings.size, self.settings.size, dtype=self.image.dtype, requires_grad=True)

    def update(self, mask, gradient, previous, iteration):
        """Nesterov's accelerated step, clamped. Returns the next mask and the point the next step looks back to."""
        s = self.settings
        point = mask.detach() - s.lr * gradient
        ahead = iteration / (iteration + s.momentum)
        return (point + ahead * (point - previous)).clamp(0, 1).requires_grad_(True), point

    def igos_plus(self):
        """iGOS+: one mask. Returns the masks after every iteration, (I, S, S); D, R, regulariser before it, (I, 3)."""
        mask = self.ones()
        point = torch.zeros_like(mask)
        masks, losses = [], []
        for i in range(self.settings.iterations):
            seen = self.view.sample(mask)
            deletion, insertion, regulariser = self.deletion(seen), self.insertion(seen), self.regulariser(mask, i)
            (gradient,) = torch.autograd.grad(deletion - insertion + regulariser, mask)
            mask, point = self.update(mask, gradient, point, i)
            masks.append(mask.detach())
            losses.append([deletion.item(), insertion.item(), regulariser.item()])
        return torch.stack(masks), torch.tensor(losses, dtype=torch.float64)

    def igos_plus_plus(self):
        """iGOS++: a deletion and an insertion mask. Returns their product after every iteration, (I, S, S)."""
        mask_d, mask_i = self.ones(), self.ones()
        point_d, point_i = torch.zeros_like(mask_d), torch.zeros_like(mask_i)
        masks = []
        for i in range(self.settings.iterations):
            seen_d, seen_i = self.view.sample(mask_d), self.view.sample(mask_i)
            both = seen_d * seen_i
            paths = self.deletion(both) - self.insertion(both) + self.deletion(seen_d) - self.insertion(seen_i)
            objective = paths / 2 + self.regulariser(mask_d * mask_i, i)
            gradient_d, gradient_i = torch.autograd.grad(objective, (mask_d, mask_i))
            mask_d, point_d = self.update(mask_d, gradient_d, point_d, i)
            mask_i, point_i = self.update(mask_i, gradient_i, point_i, i)
            masks.append((mask_d * mask_i).detach())
        return torch.stack(masks)

    def area(self, curve, fraction, bottom, top):
        return area(curve, fraction, bottom, top)

    def curves(self, mask, probability):
        """Replaces cells of the picture, and of the baseline, in ascending order of the mask, a fiftieth at a time.

        `probability` maps (1, 3, h, w) to a number. Returns the deletion curve, the insertion curve and the fraction of
        cells replaced at each of their points.
        """
        cells = mask.numel()
        group = max(1, cells // 50)
        order = torch.argsort(mask.flatten(), stable=True)
        left = torch.ones(cells, dtype=mask.dtype)
        deletion, insertion = [probability(self.image[None])], [probability(self.baseline[None])]
        fraction = [0.0]
        for start in range(0, cells, group):
            left[order[start : start + group]] = 0
            seen = self.view.sample(left.view_as(mask))
            deletion.append(probability((self.image * seen + self.baseline * (1 - seen))[None]))
            insertion.append(probability((self.baseline * seen + self.image * (1 - seen))[None]))
            fraction.append(min(start + group, cells) / cells)
        return deletion, insertion, fraction


def area(curve, fraction, bottom, top):
    """Area under a curve, by trapezoids, after mapping `bottom` to 0 and `top` to 1."""
    normal = [(value - bottom) / (top - bottom) for value in curve]
    return sum((normal[k] + normal[k + 1]) / 2 * (fraction[k + 1] - fraction[k]) for k in range(len(normal) - 1))


def settle(settings, model, prompt, image, baseline, select=key_tokens):
    """Settles the answer and its key tokens, as `select` says, for a model that sees `image` and `baseline`, whatever those are.

    Returns the keys' log-probabilities as a function of pixels, (B, keys); tensors and metadata recorded so far.
    """
    ids, text = prompt
    if settings.answer is None:
        answer = model.greedy(ids, image, settings.max_new_tokens)
    else:
        answer = model.tokenizer(settings.answer, add_special_tokens=False)["input_ids"]
    answer_ids = torch.tensor([answer])
    with torch.no_grad():
        logp_image = model.logp(ids, answer_ids, image)[0]
        logp_baseline = model.logp(ids, answer_ids, baseline)[0]
    keys = settings.keys
    if keys is None:
        keys = select(model.tokenizer, answer, logp_image.tolist(), logp_baseline.tolist(), settings.threshold)
    if not keys:
        raise SystemExit(f"no token of the answer depends on the picture: {(logp_image - logp_baseline).tolist()}")
    tensors = {
        "prompt_ids": ids,
        "answer_ids": answer_ids,
        "logp_image": logp_image,
        "logp_baseline": logp_baseline,
    }
    metadata = {
        "question": settings.question,
        "prompt": text,
        "image": settings.image,
        "args": asdict(settings),
        "answer": model.tokenizer.decode(answer),
        "key": keys,
        "key_text": [model.tokenizer.decode([answer[t]]) for t in keys],
    }
    return lambda pixels: model.logp(ids, answer_ids, pixels)[:, keys], tensors, metadata


def prepare(settings, base=HERE):
    """Loads the model and the picture. Returns an Explanation, the tensors recorded so far and the metadata."""
    llava = Llava(
        base / settings.model,
        torch.float64 if settings.f64 else torch.float32,
        "eager" if settings.f64 else "sdpa",
    )
    rgb = np.asarray(Image.open(base / settings.image).convert("RGB"))
    image, baseline = llava.pixels(rgb), llava.pixels(blur(rgb))
    logp, tensors, metadata = settle(settings, llava, llava.prompt(settings.question), image, baseline)
    explanation = Explanation(settings, llava.view(rgb), image[0], baseline[0], lambda pixels: logp(pixels).sum(1))
    explanation.probability = lambda pixels: logp(pixels).exp().mean().item()
    explanation.llava = llava
    return explanation, {"image_pixels": image, "baseline_pixels": baseline, **tensors}, metadata


def record(settings):
    """Computes everything that a case holds: its tensors and its metadata."""
    explanation, tensors, metadata = prepare(settings)
    pixels = explanation.image[None].clone().requires_grad_(True)
    explanation.score(pixels).sum().backward()
    tensors["grad_pixels"] = pixels.grad
    probe = random_mask(explanation)
    tensors["probe_upsampled"] = explanation.view.sample(probe)[None].detach()
    return finish(explanation, probe, tensors, metadata)


def random_mask(explanation):
    """The mask at which each term is evaluated once, (S, S), or one for each picture."""
    generator = torch.Generator().manual_seed(1)
    mask = torch.rand(explanation.ones().shape, generator=generator, dtype=torch.float64)
    return mask.to(explanation.image.dtype).requires_grad_(True)


def finish(explanation, probe, tensors, metadata):
    """The method itself: each term and its gradient at the probe mask, the trajectories, the curves."""
    tensors["probe_mask"] = probe.detach()
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
    if explanation.settings.pp:
        tensors["igos_pp_masks"] = explanation.igos_plus_plus()

    with torch.no_grad():
        deletion, insertion, fraction = explanation.curves(tensors["igos_p_masks"][-1], explanation.probability)
    top, bottom = deletion[0], insertion[0]
    metadata["deletion"] = explanation.area(deletion, fraction, bottom, top)
    metadata["insertion"] = explanation.area(insertion, fraction, bottom, top)
    for name, values in (("deletion_curve", deletion), ("insertion_curve", insertion), ("curve_index", fraction)):
        tensors[name] = torch.tensor(values, dtype=torch.float64)
    return {name: stored(tensor) for name, tensor in tensors.items()}, metadata


def stored(tensor):
    """A tensor as files hold it: the large ones, pixels and their gradients, in f32 to keep files small."""
    large = tensor.is_floating_point() and tensor.numel() > 4096
    return (tensor.float() if large else tensor).contiguous()


def compare(name, tensors, metadata, file):
    """Prints how far the tensors are from those of a file; returns the largest difference, relative to its tensor."""
    worst, where = 0.0, "nothing"
    with safe_open(file, "pt") as old:
        recorded = json.loads(old.metadata()["json"])
        for key in ("question", "prompt", "answer", "key", "key_text"):
            if recorded[key] != metadata[key]:
                raise SystemExit(f"{name}: {key} is {metadata[key]!r}, recorded was {recorded[key]!r}")
        if set(old.keys()) != set(tensors):
            raise SystemExit(f"{name}: tensors {sorted(tensors)}, recorded were {sorted(old.keys())}")
        for key in old.keys():
            want, got = old.get_tensor(key), tensors[key]
            if want.shape != got.shape:
                raise SystemExit(f"{name}: {key} is {tuple(got.shape)}, recorded was {tuple(want.shape)}")
            scale = max(want.double().abs().max().item(), 1e-300)
            distance = (want.double() - got.double()).abs().max().item() / scale
            if distance >= worst:
                worst, where = distance, key
    print(f"{name}: at most {worst:.1e} of a tensor's largest value, in {where}")
    return worst


def main(description, cases, record, folder="cases"):
    """The command: `record` computes what a case of `cases` holds from its settings."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("names", nargs="*", metavar="CASE", help=f"which ({', '.join(cases)}; default all)")
    parser.add_argument("--out", type=Path, default=HERE / folder, help="folder to write to, or to check")
    parser.add_argument("--check", action="store_true", help="write nothing, compare with the files in the folder")
    parser.add_argument("--f32", action="store_true", help="with --check: compute in f32, to see what rounding does")
    arguments = parser.parse_args()
    transformers_logging.disable_progress_bar()
    # The decoder's norms and softmax of transformers round to f32 even here, each time a little differently when the
    # work is divided differently: 1e-7 in gradients and 1e-5 in a whole trajectory between one thread and two.
    torch.set_num_threads(THREADS)
    limit = 1e-9
    worst = 0.0
    for name in arguments.names or cases:
        if name not in cases:
            parser.error(f"no case {name!r}; there are {', '.join(cases)}")
        settings = cases[name]
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
    main("Records the cases that foveate's results are compared with.", CASES, record)
