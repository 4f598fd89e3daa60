"""Maps of other attribution methods, by captum where it has them, on transformers' model, in float64.

    pip install captum==0.9.0 scikit-image==0.26.0
    python record_methods.py             records every case of CASES into methods/
    python record_methods.py --check     records into memory, and compares with the files of methods/

Every method explains one function, f(mask) = sum of the key tokens' log-probabilities at the picture under that mask,
or the mean of their probabilities where its paper says so. README.md lists the tensors.
"""

import json
from dataclasses import dataclass

import numpy as np
import torch
from captum.attr import InputXGradient, IntegratedGradients, NoiseTunnel, Occlusion, Saliency
from skimage.transform import resize

from record import HERE, Settings, main, prepare, stored


@dataclass
class Methods(Settings):
    """A case, with the settings of each method."""

    ig_steps: int = 12
    window: int = 3
    stride: int = 2
    samples: int = 6  # noisy pictures of SmoothGrad
    noise: float = 0.4
    seed: int = 3
    rise_samples: int = 150
    rise_grid: int = 5
    eagle_grid: int = 3
    igos_steps: int = 4
    igos_iterations: int = 3
    igos_l3: float = 20.0
    igos_momentum: int = 3
    igos_lr: float = 2.0
    igos_lr_search: float = 1000.0


CASES = {
    "demo-star": Methods(
        "../../assets/demo/model",
        "../../assets/demo/scenes/0001.png",
        "What color is the star?",
        size=16,
        window=5,
        stride=3,
        answer="The star is red.",
    ),
    # A centre crop, and several key tokens.
    "llava-cat": Methods("models/tiny-llava", "images/cat.png", size=9, rise_grid=4, eagle_grid=4),
}


def philox(counter, seed):
    """Philox4x32-10 (Salmon et al., SC 2011): counter (..., 4) of 32-bit words to as many random words."""
    low = np.uint64(0xFFFFFFFF)
    x = [counter[..., i].astype(np.uint64) for i in range(4)]
    k = [np.uint64(seed & 0xFFFFFFFF), np.uint64(seed >> 32)]
    for _ in range(10):
        a, b = x[0] * np.uint64(0xD2511F53), x[2] * np.uint64(0xCD9E8D57)
        high = np.uint64(32)
        x = [(b >> high) ^ x[1] ^ k[0], b & low, (a >> high) ^ x[3] ^ k[1], a & low]
        k = [(k[0] + np.uint64(0x9E3779B9)) & low, (k[1] + np.uint64(0xBB67AE85)) & low]
    return np.stack(x, -1)


def normals(words):
    """Standard normal numbers by Box and Muller, two from each two words, (..., 4)."""
    top = (words >> np.uint64(8)).astype(np.float64) / 2**24
    radius = np.sqrt(-2 * np.log(top[..., 0::2] + 2.0**-24))
    angle = 2 * np.pi * top[..., 1::2]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], -1).reshape(words.shape)


def noise(stream, seed, shape, patch):
    """Noise of a picture (3, h, w), whole patches alone: four numbers for each counter (group, patch, stream)."""
    rows, columns = shape[1] // patch, shape[2] // patch
    groups = -(-3 * patch * patch // 4)
    counter = np.zeros((rows * columns, groups, 4), np.uint64)
    counter[..., 0] = np.arange(groups)
    counter[..., 1] = np.arange(rows * columns)[:, None]
    counter[..., 2] = stream
    patches = normals(philox(counter, seed)).reshape(rows * columns, -1)[:, : 3 * patch * patch]
    patches = patches.reshape(rows, columns, 3, patch, patch).transpose(2, 0, 3, 1, 4)
    full = np.zeros(shape)
    full[:, : rows * patch, : columns * patch] = patches.reshape(3, rows * patch, columns * patch)
    return torch.from_numpy(full)


def rise_masks(count, size, grid, seed):
    """RISE's masks as the authors' program makes them: grids of zeros and ones, enlarged, cut at a random place."""
    cell = -(-size // grid)
    blocks = -(-grid * grid // 4)
    masks = []
    for n in range(count):
        counter = np.zeros((blocks + 1, 4), np.uint64)
        counter[:, 0] = np.arange(blocks + 1)
        counter[:, 1] = n
        counter[:, 3] = 0xFFFFFFFE
        words = philox(counter, seed)
        bits = (words[:-1].reshape(-1)[: grid * grid] >> np.uint64(31)).astype(np.float64).reshape(grid, grid)
        y, x = ((words[-1, :2] * np.uint64(cell)) >> np.uint64(32)).astype(int)
        side = (grid + 1) * cell
        large = resize(bits, (side, side), order=1, mode="reflect", anti_aliasing=False)
        masks.append(large[y : y + size, x : x + size])
    return torch.from_numpy(np.stack(masks))


class Function:
    """The functions of masks (B, S, S) that are explained."""

    def __init__(self, explanation, patch):
        self.e, self.patch = explanation, patch

    def pictures(self, masks, other_path=False):
        seen = torch.stack([self.e.view.sample(mask) for mask in masks])[:, None]
        kept, other = self.e.image, self.e.baseline
        return other * seen + kept * (1 - seen) if other_path else kept * seen + other * (1 - seen)

    def score(self, masks):
        return torch.cat([self.e.score(picture[None]) for picture in self.pictures(masks)])

    def noisy(self, masks):
        """The score, with foveate's noise of stream n on picture n."""
        s = self.e.settings
        added = [s.noise * noise(n, s.seed, self.e.image.shape, self.patch) for n in range(len(masks))]
        return self.e.score(self.pictures(masks) + torch.stack(added))

    def probability(self, masks, other_path=False):
        with torch.no_grad():
            return torch.tensor([self.e.probability(p[None]) for p in self.pictures(masks, other_path)])


def eagle(f, size, grid):
    """The order of regions by greedy search (the authors' `MLLMSubModularExplanationVision`), and their map (`add_value`)."""
    block = torch.arange(size) * grid // size
    region = block[:, None] * grid + block[None, :]
    chosen = torch.zeros(size, size, dtype=torch.float64)
    left, order, scores = list(range(grid * grid)), [], []
    ends = torch.stack([torch.ones_like(chosen), chosen])
    original, baseline = f.probability(ends).tolist()
    while left:
        masks = torch.stack([chosen + (region == r) for r in left])
        score = f.probability(masks) + 1 - f.probability(masks, other_path=True)
        best = int(score.argmax())
        scores.append(score[best].item())
        order.append(left.pop(best))
        chosen = masks[best]
    value, before = 0.0, 1 - original + baseline
    result = torch.zeros_like(chosen)
    for r, score in zip(order, scores):
        value -= abs(score - before)
        before = score
        result[region == r] = value
    return (result - result.min()) / (result.max() - result.min()), torch.tensor(order)


def igos(e, search):
    """iGOS without noise: deletion alone, the mask's own total variation. Masks after every iteration."""
    s = e.settings
    alphas = torch.arange(1, s.igos_steps + 1, dtype=torch.float64) / s.igos_steps

    def loss(mask):
        weight = alphas[:, None, None, None] * e.view.sample(mask)
        deletion = e.score(e.image * weight + e.baseline * (1 - weight)).mean()
        variation = (mask[:-1] - mask[1:]).pow(2).mean() + (mask[:, :-1] - mask[:, 1:]).pow(2).mean()
        return deletion + s.l1 * (1 - mask).abs().mean() + s.igos_l3 * variation

    mask = e.ones()
    point = torch.zeros_like(mask)
    masks = []
    for i in range(s.igos_iterations):
        start = loss(mask)
        (gradient,) = torch.autograd.grad(start, mask)
        if search:
            step = s.igos_lr_search
            with torch.no_grad():
                while True:
                    following = (mask - step * gradient).clamp(0, 1)
                    if step < 1e-5 or start - loss(following) >= 1e-4 * step * gradient.pow(2).sum():
                        break
                    step *= 0.2
        else:
            previous, point = point, mask.detach() - s.igos_lr * gradient
            following = (point + i / (i + s.igos_momentum) * (point - previous)).clamp(0, 1)
        mask = following.detach().requires_grad_(True)
        masks.append(mask.detach())
    return torch.stack(masks)


def record(settings):
    """The map of every method, before negative values are cut off and the largest is made 1."""
    s = settings
    e, tensors, metadata = prepare(s)
    config = json.loads((HERE / s.model / "config.json").read_text())
    f = Function(e, config["vision_config"]["patch_size"])
    tensors = {name: tensors[name] for name in ("prompt_ids", "answer_ids", "logp_image", "logp_baseline")}
    ones = torch.ones(1, s.size, s.size, dtype=torch.float64)
    zeros = torch.zeros_like(ones)

    tensors["input_x_gradient"] = InputXGradient(f.score).attribute(ones.clone().requires_grad_(True))[0]
    tensors["integrated_gradients"] = IntegratedGradients(f.score).attribute(
        ones, baselines=zeros, n_steps=s.ig_steps, method="riemann_middle"
    )[0]
    tensors["occlusion"] = Occlusion(f.score).attribute(
        ones, sliding_window_shapes=(s.window, s.window), strides=(s.stride, s.stride), baselines=0
    )[0]
    # The function draws the noise itself, so that it is foveate's: the tunnel adds none.
    tensors["smoothgrad"] = NoiseTunnel(Saliency(f.noisy)).attribute(
        ones, nt_type="smoothgrad", nt_samples=s.samples, stdevs=0.0, abs=False
    )[0]
    masks = rise_masks(s.rise_samples, s.size, s.rise_grid, s.seed)
    tensors["rise"] = (f.probability(masks)[:, None, None] * masks).mean(0) / 0.5
    tensors["eagle"], tensors["eagle_order"] = eagle(f, s.size, s.eagle_grid)
    tensors["igos_masks"] = igos(e, search=False)
    tensors["igos_search_masks"] = igos(e, search=True)
    metadata["deletion"] = metadata["insertion"] = None
    return {name: stored(tensor.detach()) for name, tensor in tensors.items()}, metadata


if __name__ == "__main__":
    main("Records maps of other attribution methods.", CASES, record, "methods")
