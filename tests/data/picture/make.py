"""Makes the recorded pictures that the picture tests compare with.

    python make.py            writes resize, blur, processor and decode.safetensors beside itself

Needs numpy, pillow >= 13, opencv-python-headless, transformers >= 5, safetensors. The files were made with pillow 13.0,
opencv 5.0 and transformers 5.23. Every file holds its cases as JSON in the metadata under `cases`.
"""
import io, json, struct, zlib
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


def decode():
    """Each case: the file `file_<name>` decodes to `rgb_<name>`, no value further away than `tolerance`.

    A case without `rgb_<name>` must fail, saying `error`.
    """
    tensors, cases = {}, []

    def add(name, data, rgb=None, tolerance=0, error=None):
        tensors[f"file_{name}"] = np.frombuffer(data, dtype=np.uint8)
        if rgb is not None:
            tensors[f"rgb_{name}"] = rgb
        cases.append(dict(name=name, tolerance=tolerance, error=error))

    def encoded(image, format, **options):
        out = io.BytesIO()
        image.save(out, format, **options)
        return out.getvalue()

    def opencv(extension, pixels):
        return cv2.imencode(extension, pixels)[1].tobytes()

    rgb, other = noise(13, 9), noise(13, 9)
    smooth = np.stack([*np.meshgrid(np.arange(32) * 7, np.arange(24) * 9), np.full((24, 32), 90)], -1).astype(np.uint8)
    picture, grey, alpha = Image.fromarray(rgb), Image.fromarray(rgb[..., 0]), Image.fromarray(other[..., 1])
    for format in ("PNG", "BMP", "TIFF", "PPM"):
        add(format.lower(), encoded(picture, format), rgb)
    add("webp", encoded(picture, "WEBP", lossless=True), rgb)
    add("grey", encoded(grey, "PNG"), np.asarray(grey.convert("RGB")))
    add("bilevel", encoded(grey.convert("1"), "PNG"), np.asarray(grey.convert("1").convert("RGB")))
    with_alpha = picture.copy(); with_alpha.putalpha(alpha)
    add("alpha", encoded(with_alpha, "PNG"), rgb)
    grey_alpha = Image.merge("LA", (grey, alpha))
    add("grey_alpha", encoded(grey_alpha, "PNG"), np.asarray(grey.convert("RGB")))
    palette = picture.quantize(16)
    add("palette", encoded(palette, "PNG", transparency=3), np.asarray(palette.convert("RGB")))
    deep = RNG.integers(0, 65536, (9, 13, 3), dtype=np.uint16)
    add("deep_rgb", opencv(".png", deep[..., ::-1]), (deep >> 8).astype(np.uint8))
    add("deep_grey", opencv(".png", deep[..., 0]), np.repeat((deep[..., :1] >> 8).astype(np.uint8), 3, 2))
    deep_alpha = np.concatenate([deep[..., ::-1], deep[..., :1]], -1)
    add("deep_alpha", opencv(".png", deep_alpha), (deep >> 8).astype(np.uint8))
    for name, mode in (("jpeg", "RGB"), ("jpeg_grey", "L"), ("jpeg_cmyk", "CMYK")):
        data = encoded(Image.fromarray(smooth).convert(mode), "JPEG", quality=95)
        add(name, data, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), 4)
    frames = [palette, Image.fromarray(other).quantize(16)]
    add("animated_gif", encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]), np.asarray(frames[0].convert("RGB")))
    add("animated_png", encoded(picture, "PNG", save_all=True, append_images=[Image.fromarray(other)]), rgb)
    add("animated_webp", encoded(picture, "WEBP", lossless=True, save_all=True, append_images=[Image.fromarray(other)]), rgb)
    for orientation in range(2, 9):
        exif = Image.Exif(); exif[0x0112] = orientation
        turned = {2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1], 5: lambda a: a.transpose(1, 0, 2),
                  6: lambda a: np.rot90(a, -1), 7: lambda a: a[::-1, ::-1].transpose(1, 0, 2), 8: lambda a: np.rot90(a)}[orientation]
        add(f"turned_{orientation}", encoded(picture, "PNG", exif=exif), turned(rgb))
    exif = Image.Exif(); exif[0x0112] = 6
    data = encoded(Image.fromarray(smooth), "JPEG", quality=95, exif=exif)
    add("turned_jpeg", data, np.rot90(np.asarray(Image.open(io.BytesIO(data)).convert("RGB")), -1), 4)
    add("pixel", encoded(Image.fromarray(rgb[:1, :1]), "PNG"), rgb[:1, :1])
    tall = np.broadcast_to(rgb[:1, :3], (4000, 3, 3))
    add("tall", encoded(Image.fromarray(np.ascontiguousarray(tall)), "PNG"), tall)

    def png(width, height):
        chunk = lambda kind, body: struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))
        header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
        return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
    add("huge", png(100_000, 100_000), error="100000 x 100000")
    add("no_rows", png(5, 0), error="decode")
    add("text", b"no picture at all, and long enough to be one", error="it is not PNG")
    add("empty", b"", error="it is not PNG")
    for format in ("PNG", "JPEG", "BMP", "TIFF", "PPM", "GIF", "WEBP"):
        data = encoded(Image.fromarray(noise(40, 30)), format)
        add(f"cut_{format.lower()}", data[:len(data) // 2], error="decode")
    damaged = bytearray(encoded(picture, "PNG")); damaged[len(damaged) // 2] ^= 0xFF
    add("damaged_png", bytes(damaged), error="decode")
    save("decode", tensors, cases)


if __name__ == "__main__":
    resize(), blur(), processor(), decode()
