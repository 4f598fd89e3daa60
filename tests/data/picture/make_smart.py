"""Makes the recorded resizings to whole patches that the picture tests compare with.

    python make_smart.py     writes smart.safetensors (pixels) and smart.json (sizes) beside itself

Needs numpy, pillow, transformers >= 5, safetensors. The files were made with transformers 5.24.
"""
import json
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil, smart_resize

HERE = Path(__file__).resolve().parent
RNG = np.random.default_rng(20251129)
# (width, height): square, wide, tall, tiny, of a group's size, enlarged to the least and reduced to the most pixels.
SIZES = [(20, 20), (60, 7), (5, 41), (3, 2), (6, 6), (1, 1), (41, 39), (70, 31), (19, 13), (2, 200)]
KINDS = [
    dict(patch_size=3, min_pixels=144, max_pixels=720),
    dict(patch_size=2, merge_size=3, temporal_patch_size=1, size={"shortest_edge": 36, "longest_edge": 1800}, resample=2),
    dict(patch_size=3, merge_size=1, min_pixels=1, do_normalize=False, size={"shortest_edge": 7, "longest_edge": 500}),
]
# Those of Qwen2-VL and Qwen2.5-VL, the defaults, and small limits.
PUBLISHED = [
    dict(min_pixels=3136, max_pixels=12845056),
    dict(),
    dict(size={"shortest_edge": 256 * 784, "longest_edge": 1280 * 784}),
    dict(size={"shortest_edge": 3136, "longest_edge": 12845056}, max_pixels=602112),
]
# Sizes at which rounding decides: half a group more or less than a multiple of 28, ties to even, the limits themselves, long strips.
WIDE = [
    (1, 1), (2, 1), (13, 14), (14, 14), (14, 15), (15, 28), (27, 28), (28, 28), (41, 42), (42, 42), (42, 43), (43, 70), (56, 56),
    (69, 70), (70, 70), (70, 71), (83, 84), (84, 98), (97, 98), (98, 98), (98, 99), (99, 100), (126, 126), (126, 127), (154, 125),
    (182, 181), (224, 224), (300, 199), (333, 332), (364, 14), (378, 377), (392, 56), (406, 405), (434, 433), (462, 461), (640, 480),
    (641, 479), (714, 42), (770, 769), (999, 1001), (1000, 5), (1000, 333), (1002, 1001), (1008, 1008), (1022, 994), (1036, 1008),
    (1280, 720), (1401, 7), (1792, 560), (1920, 1080), (2000, 10), (2800, 14), (3000, 17), (3584, 3584), (3583, 3585), (3598, 3570),
    (3612, 3584), (4000, 3000), (4032, 3024), (5000, 4999), (6000, 4000), (8000, 500), (8191, 6143), (10000, 51),
]
# Those of Qwen3-VL, and small limits: groups of 32 pixels.
PUBLISHED_3 = [
    dict(patch_size=16, size={"shortest_edge": 65536, "longest_edge": 16777216}),
    dict(patch_size=16, min_pixels=4 * 1024, max_pixels=1280 * 1024),
]
# The same for a multiple of 32.
WIDE_3 = [
    (1, 1), (2, 1), (15, 16), (16, 16), (16, 17), (17, 32), (31, 32), (32, 32), (47, 48), (48, 48), (48, 49), (49, 80), (64, 64),
    (79, 80), (80, 80), (80, 81), (95, 96), (96, 112), (111, 112), (112, 112), (112, 113), (144, 144), (144, 145), (176, 175),
    (208, 207), (224, 224), (239, 240), (240, 240), (255, 256), (256, 256), (256, 257), (271, 272), (300, 199), (333, 332), (416, 16),
    (448, 64), (640, 480), (641, 479), (816, 48), (880, 879), (999, 1001), (1000, 5), (1000, 333), (1136, 1135), (1152, 1137),
    (1168, 1136), (1280, 720), (1601, 8), (1920, 1080), (2000, 10), (3200, 16), (3000, 17), (4000, 3000), (4032, 3024), (4095, 4097),
    (4096, 4096), (4111, 4081), (4112, 4080), (5000, 4999), (6000, 4000), (8000, 500), (8191, 6143), (10000, 51),
]


def pixels():
    """Each case: `out<i>` is what the processor of `config` makes of `in<i>`, its patches put back into a picture."""
    tensors, cases = {}, []
    for n, (width, height) in enumerate(SIZES):
        rgb = RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)
        for more in KINDS[n % 3 :] if n else KINDS:
            processor = Qwen2VLImageProcessorPil(**more)
            out = processor(Image.fromarray(rgb), return_tensors="np")
            _, rows, columns = out["image_grid_thw"][0].tolist()
            patch, merge, frames = processor.patch_size, processor.merge_size, processor.temporal_patch_size
            cut = out["pixel_values"].reshape(rows // merge, columns // merge, merge, merge, 3, frames, patch, patch)
            picture = cut[:, :, :, :, :, 0].transpose(4, 0, 2, 5, 1, 3, 6).reshape(3, rows * patch, columns * patch)
            i = len(cases)
            tensors[f"in{i}"], tensors[f"out{i}"] = rgb, np.ascontiguousarray(picture, dtype=np.float32)
            cases.append(dict(image_processor_type="Qwen2VLImageProcessor", **more))
    save_file(tensors, HERE / "smart.safetensors", {"cases": json.dumps(cases)})


def sizes():
    """Each case: the width and height to which a picture of each size is resized; none where it is refused."""
    cases = []
    for more, wide in [(more, WIDE) for more in PUBLISHED] + [(more, WIDE_3) for more in PUBLISHED_3]:
        processor, pictures = Qwen2VLImageProcessorPil(**more), []
        limits = dict(min_pixels=processor.size["shortest_edge"], max_pixels=processor.size["longest_edge"])
        for width, height in dict.fromkeys(wide + [(h, w) for w, h in wide]):
            try:
                rows, columns = smart_resize(height, width, processor.patch_size * processor.merge_size, **limits)
                resized = [columns, rows]
            except ValueError:
                resized = None
            pictures.append(dict(width=width, height=height, resized=resized))
        cases.append(dict(config=dict(image_processor_type="Qwen2VLImageProcessor", **more), pictures=pictures))
    (HERE / "smart.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")


pixels()
sizes()
