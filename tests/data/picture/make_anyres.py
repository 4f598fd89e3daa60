"""Makes the recorded tilings that the picture and model tests compare with.

    python make_anyres.py     writes anyres.safetensors (pixels) and anyres.json (rows of tokens) beside itself

Needs numpy, torch, pillow, transformers >= 5, safetensors. The files were made with transformers 5.23.
"""
import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import torch
from PIL import Image
from safetensors.numpy import save_file
from transformers.models.llava_next import modeling_llava_next as next_
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.llava_onevision import modeling_llava_onevision as onevision
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil

HERE = Path(__file__).resolve().parent
RNG = np.random.default_rng(20250314)
# (width, height): wide, tall, very wide, very tall, smaller than a tile, of a tile's size, larger than every resolution, odd.
SIZES = [(30, 20), (18, 26), (90, 8), (5, 61), (7, 6), (12, 12), (81, 77), (37, 23)]


def pixels():
    """Each case: `out<i>` is what the processor of `config` makes of `in<i>`, view by view."""
    pinpoints = [[12 * r, 12 * c] for r in (1, 2, 3) for c in (1, 2, 3)]
    tensors, cases = {}, []
    for size in SIZES:
        rgb = RNG.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        for kind, more in (
            (LlavaOnevisionImageProcessorPil, dict(size={"height": 12, "width": 12}, image_grid_pinpoints=pinpoints)),
            (LlavaNextImageProcessorPil, dict(size={"shortest_edge": 12}, crop_size={"height": 12, "width": 12},
                                              image_grid_pinpoints=[[12, 24], [24, 12], [24, 24], [36, 12], [12, 36]])),
        ):
            i = len(cases)
            out = kind(**more)(Image.fromarray(rgb), return_tensors="np")["pixel_values"][0]
            tensors[f"in{i}"], tensors[f"out{i}"] = rgb, np.ascontiguousarray(out, dtype=np.float32)
            cases.append(dict(image_processor_type=kind.__name__.removesuffix("Pil"), **more))
    save_file(tensors, HERE / "anyres.safetensors", {"cases": json.dumps(cases)})


def rows():
    """Each case: the rows that a picture of `width` x `height` becomes, as terms (input row, weight). Input rows are the tokens of the
    whole picture, then those of the tiles, then the newline."""
    cases = []
    side = 4
    for width, height in SIZES + [(400, 100), (100, 1000), (640, 480)]:
        for name, module, pinpoints, most in (
            ("onevision", onevision.LlavaOnevisionModel, [[12 * r, 12 * c] for r in range(1, 7) for c in range(1, 7)], 9),
            ("onevision", onevision.LlavaOnevisionModel, [[12 * r, 12 * c] for r in range(1, 7) for c in range(1, 7)], 4),
            ("next", next_.LlavaNextModel, [[12, 24], [24, 12], [24, 24], [36, 12], [12, 36]], None),
        ):
            grid = next_.get_anyres_image_grid_shape((height, width), pinpoints, 12)
            count = (1 + grid[0] * grid[1]) * side * side
            features = torch.eye(count + 1, dtype=torch.float64)
            model = SimpleNamespace(config=SimpleNamespace(
                vision_config=SimpleNamespace(image_size=12, patch_size=3), image_grid_pinpoints=pinpoints))
            more = dict(vision_aspect_ratio=f"anyres_max_{most}") if most else dict(vision_feature_select_strategy="default")
            tiles = features[:count].view(-1, side * side, count + 1)
            out = module.pack_image_features(model, [tiles], [[height, width]], image_newline=features[count], **more)[0][0]
            terms = [[[int(i), float(row[i])] for i in row.nonzero()[:, 0]] for row in out]
            cases.append(dict(width=width, height=height, family=name, most=most, grid=list(grid), side=side, rows=terms))
    (HERE / "anyres.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")


pixels()
rows()
