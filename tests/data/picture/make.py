"""Makes the recorded pictures that the picture tests compare with.

    python make.py            writes resize, blur and processor.safetensors beside itself

Needs numpy, pillow >= 13, opencv-python-headless, transformers >= 5, safetensors. The files were made with pillow 13.0,
opencv 5.0 and transformers 5.23. Every file holds its cases as JSON in the metadata under `cases`.
"""
import json
from pathlib import Path

import cv2
import numpy as np
from PIL import Image
from safetensors.numpy import save_file
from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil
from transformers.models.llava.image_processing_pil_llava import LlavaImageProcessorPil
from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

HERE = Path(__file__).resolve().parent
RNG = np.random.default_rng(20250313)


def noise(width, height):
    return RNG.integers(0, 256, (height, width, 3), dtype=np.uint8)


def save(name, tensors, cases):
    save_file({k: np.ascontiguousarray(v) for k, v in tensors.items()}, HERE / f"{name}.safetensors", {"cases": json.dumps(cases)})


def resize():
    """Each case: the picture `in<i>` resized to `width` x `height` by `filter` is `out<i>`. Sizes are (width, height)."""
    sizes = [((1, 1), (3, 5)), ((1, 1), (1, 1)), ((7, 5), (7, 5)), ((31, 17), (13, 9)), ((31, 17), (47, 40)), ((31, 17), (31, 6)),
             ((31, 17), (8, 17)), ((1, 64), (5, 7)), ((64, 1), (7, 3)), ((3, 200), (9, 33)), ((200, 3), (33, 2)),
             ((61, 33), (61, 3)), ((2, 90), (40, 4)), ((29, 80), (20, 11)), ((101, 67), (37, 50)), ((5, 5), (1, 1))]
    tensors, cases = {}, []
    for source, (width, height) in sizes:
        rgb = noise(*source)
        if len(cases) % 4 == 0:
            rgb = (rgb > 127).astype(np.uint8) * 255
        for filter in range(6):
            i = len(cases)
            tensors[f"in{i}"], tensors[f"out{i}"] = rgb, np.asarray(Image.fromarray(rgb).resize((width, height), filter))
            cases.append(dict(width=width, height=height, filter=filter))
    # One copy of each input is enough.
    for i, _ in enumerate(cases):
        if i % 6:
            del tensors[f"in{i}"]
    save("resize", tensors, cases)


def blur():
    """Each case: `in<i>` blurred with a kernel of `size` is `out<i>_<size>`."""
    tensors, cases = {}, []
    for i, (width, height) in enumerate([(1, 1), (1, 9), (9, 1), (2, 2), (3, 300), (340, 3), (30, 41), (67, 23)]):
        rgb = noise(width, height)
        if i == 6:
            rgb = np.broadcast_to((np.add.outer(np.arange(height) * 5, np.arange(width) * 3) % 256).astype(np.uint8)[..., None], rgb.shape)
        tensors[f"in{i}"] = rgb
        for size in (101, 201, 301, 501):
            tensors[f"out{i}_{size}"] = cv2.GaussianBlur(rgb, (size, size), sigmaX=size - 1)
            cases.append(dict(picture=i, size=size))
    save("blur", tensors, cases)


def processor():
    """Each case: what the processor of `config` makes of `in<i>` is `out<i>`."""
    classes = dict(CLIPImageProcessor=CLIPImageProcessorPil, LlavaImageProcessor=LlavaImageProcessorPil, SiglipImageProcessor=SiglipImageProcessorPil)
    clip = dict(image_processor_type="CLIPImageProcessor", size=dict(shortest_edge=20), crop_size=dict(height=20, width=20))
    configs = [
        (clip, (33, 21)), (clip, (20, 41)), (clip, (1, 1)), (clip, (3, 90)), (clip, (90, 3)),
        (clip | dict(crop_size=27), (15, 40)),
        (clip | dict(size=19, crop_size=dict(height=14, width=30)), (50, 31)),
        (clip | dict(do_center_crop=False, resample=2), (9, 13)),
        (clip | dict(do_resize=False), (31, 11)),
        (clip | dict(do_rescale=False), (24, 24)),
        (clip | dict(do_normalize=False, rescale_factor=0.01), (24, 25)),
        (clip | dict(size=dict(shortest_edge=20, longest_edge=31)), (14, 60)),
        (clip | dict(size=dict(max_height=23, max_width=17), do_center_crop=False), (40, 50)),
        (clip | dict(image_mean=[0.1, 0.2, 0.3], image_std=[1.5, 0.25, 0.75], resample=1), (22, 37)),
        (dict(image_processor_type="LlavaImageProcessor", do_pad=True, size=dict(shortest_edge=18), crop_size=18), (40, 23)),
        (dict(image_processor_type="LlavaImageProcessor", do_pad=True, size=dict(shortest_edge=18), crop_size=18), (7, 24)),
        (dict(image_processor_type="SiglipImageProcessor", size=dict(height=16, width=22)), (37, 29)),
    ]
    tensors, cases = {}, []
    for i, (config, (width, height)) in enumerate(configs):
        rgb = noise(width, height)
        made = classes[config["image_processor_type"]](**{k: v for k, v in config.items() if k != "image_processor_type"})
        tensors[f"in{i}"] = rgb
        tensors[f"out{i}"] = np.asarray(made(Image.fromarray(rgb), return_tensors="np")["pixel_values"][0], dtype=np.float32)
        cases.append(config)
    save("processor", tensors, cases)


if __name__ == "__main__":
    resize(), blur(), processor()
