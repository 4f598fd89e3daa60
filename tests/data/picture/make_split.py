"""Makes the recorded splits into stretched tiles that the picture tests compare with.

    python make_split.py     writes split.safetensors (pixels) and split.json (sizes) beside itself

Needs numpy, pillow, transformers >= 5, safetensors. The files were made with transformers 5.24.
"""
import json
from pathlib import Path

import numpy as np
from PIL import Image
from safetensors.numpy import save_file
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

HERE = Path(__file__).resolve().parent
RNG = np.random.default_rng(20251128)
# (width, height): wide, tall, very wide, very tall, smaller than a tile, of a tile's size, square, larger, odd.
SIZES = [(30, 20), (18, 26), (60, 5), (3, 41), (4, 3), (6, 6), (20, 20), (41, 39), (19, 13), (1, 1)]
KINDS = [
    (Idefics3ImageProcessorPil, dict(size={"longest_edge": 24}, max_image_size={"longest_edge": 6})),
    (SmolVLMImageProcessorPil, dict(size={"longest_edge": 19}, max_image_size={"longest_edge": 6}, resample=3)),
    (Idefics3ImageProcessorPil, dict(size={"height": 10, "width": 16}, max_image_size={"longest_edge": 6})),
    (Idefics3ImageProcessorPil, dict(do_resize=False, max_image_size={"longest_edge": 6})),
    (Idefics3ImageProcessorPil, dict(size={"longest_edge": 24}, max_image_size={"longest_edge": 6}, do_image_splitting=False)),
    (GotOcr2ImageProcessorPil, dict(size={"height": 6, "width": 6}, crop_to_patches=True)),
    (GotOcr2ImageProcessorPil, dict(size={"height": 6, "width": 6}, crop_to_patches=True, min_patches=2, max_patches=5)),
]
# The published models', and sizes at which rounding decides: one more or less than a multiple of a tile, of each shape.
PUBLISHED = [
    (SmolVLMImageProcessorPil, dict(size={"longest_edge": 2048}, max_image_size={"longest_edge": 512})),
    (SmolVLMImageProcessorPil, dict(size={"longest_edge": 512}, max_image_size={"longest_edge": 512})),
    (SmolVLMImageProcessorPil, dict(size={"longest_edge": 1536}, max_image_size={"longest_edge": 384})),
    (Idefics3ImageProcessorPil, dict(size={"longest_edge": 1456}, max_image_size={"longest_edge": 364})),
    (Idefics3ImageProcessorPil, dict(size={"longest_edge": 6000}, max_image_size={"longest_edge": 364})),
    (GotOcr2ImageProcessorPil, dict(size={"height": 448, "width": 448}, crop_to_patches=True, max_patches=12)),
]
WIDE = [
    (1, 1), (2, 1), (3, 2), (16, 9), (21, 14), (100, 99), (224, 224), (301, 200), (333, 332), (364, 182), (365, 183), (384, 96),
    (448, 447), (449, 448), (512, 128), (513, 129), (640, 480), (641, 479), (728, 364), (729, 364), (768, 384), (800, 533),
    (1000, 333), (1023, 257), (1024, 256), (1025, 256), (1152, 385), (1280, 720), (1456, 729), (1536, 767), (1920, 1080),
    (2047, 1025), (2048, 512), (2048, 1537), (2731, 683), (3000, 17), (4000, 3000), (4032, 3024), (4096, 1024), (4100, 2050),
    (5000, 4999), (6000, 1), (6000, 4000), (8000, 500), (8191, 6143),
]


def splits(picture, kind, more):
    processor = kind(**more)
    wanted = {} if kind is GotOcr2ImageProcessorPil else dict(return_row_col_info=True)
    return processor(picture, return_tensors="np", **wanted)


def pixels():
    """Each case: `out<i>` is what the processor of `config` makes of `in<i>`, view by view, the whole picture last."""
    tensors, cases = {}, []
    for n, size in enumerate(SIZES):
        rgb = RNG.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        for kind, more in KINDS[n % 2 :: 2] if n else KINDS:
            i = len(cases)
            out = splits(Image.fromarray(rgb), kind, more)["pixel_values"]
            out = out[0] if out.ndim == 5 else out
            tensors[f"in{i}"], tensors[f"out{i}"] = rgb, np.ascontiguousarray(out, dtype=np.float32)
            cases.append(dict(image_processor_type=kind.__name__.removesuffix("Pil"), **more))
    save_file(tensors, HERE / "split.safetensors", {"cases": json.dumps(cases)})



def resized(kind, more, width, height):
    """The sizes that the processor resizes a picture to, one after the other, and the number of its views: without the pixels."""
    class Recording(kind):
        seen = []

        def resize(self, image, size, *args, **kwargs):
            if size.longest_edge:
                return super().resize(image, size, *args, **kwargs)
            self.seen.append([size.width, size.height])
            return np.broadcast_to(np.zeros((3, 1, 1), np.uint8), (3, size.height, size.width))

    module = __import__(kind.__module__, fromlist=["x"])
    empty = np.broadcast_to(np.zeros((3, 1, 1), np.uint8), (3, height, width))
    if kind is GotOcr2ImageProcessorPil:
        tile = more["size"]["height"]
        columns, rows = module.get_optimal_tiled_canvas((height, width), (tile, tile), 1, more["max_patches"])
        return dict(large=[columns * tile, rows * tile], grid=[rows, columns])
    first = module.get_resize_output_image_size(empty, more["size"]["longest_edge"])
    processor = Recording(**more)
    image = np.broadcast_to(np.zeros((3, 1, 1), np.uint8), (3, *first))
    tile = more["max_image_size"]["longest_edge"]
    large = processor.resize_for_vision_encoder(image, tile)
    _, rows, columns = processor.split_images(large, more["max_image_size"])
    return dict(first=list(first[::-1]), large=list(large.shape[:0:-1]), grid=[rows, columns])


def sizes():
    """Each case: the sizes (width and height) to which a picture of each size is resized first, if it is, and as a whole before it is cut;
    the grid has no rows and columns where there is one view."""
    cases = []
    for kind, more in PUBLISHED:
        pictures = []
        for width, height in dict.fromkeys(WIDE + [(h, w) for w, h in WIDE]):
            pictures.append(dict(width=width, height=height, **resized(kind, more, width, height)))
        cases.append(dict(config=dict(image_processor_type=kind.__name__.removesuffix("Pil"), **more), pictures=pictures))
    (HERE / "split.json").write_text(json.dumps(cases, separators=(",", ":")) + "\n")


pixels()
sizes()
