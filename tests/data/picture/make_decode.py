"""Makes decode.safetensors, the small picture files that the decoding tests read, with the pixels that Pillow reads from them.

    python make_decode.py

Needs numpy, pillow >= 13, opencv-python-headless, safetensors. The file was made with pillow 13.0 (libjpeg-turbo 3.2, libwebp 1.6,
libtiff 4.7) and opencv 5.0. Its cases are JSON in the metadata under `cases`: the file `file_<name>` decodes to `rgb_<name>`,
no value further away than `tolerance`; one without `rgb_<name>` is refused by Pillow too and must fail, saying `error`. A case with
`ours` is read differently on purpose, and says why.
"""
import io, json, struct, zlib
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageOps, PngImagePlugin
from safetensors.numpy import save_file

HERE = Path(__file__).resolve().parent
RNG = np.random.default_rng(20250314)
TENSORS, CASES = {}, []


def noise(width, height, channels=3):
    return RNG.integers(0, 256, (height, width, channels), dtype=np.uint8)


def smooth(width, height):
    y, x = np.mgrid[0:height, 0:width]
    wave = [127 + 127 * np.sin(x / 7 + y / 11), 127 + 127 * np.cos(x / 5 - y / 9), (x * 3 + y * 5) % 256]
    return np.stack(wave, -1).astype(np.uint8)


def as_read(data):
    """As transformers' load_image reads a picture."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    return np.asarray(image.convert("RGB"))


def add(name, data, tolerance=0):
    assert f"file_{name}" not in TENSORS, name
    TENSORS[f"file_{name}"] = np.frombuffer(data, dtype=np.uint8)
    TENSORS[f"rgb_{name}"] = as_read(data)
    CASES.append(dict(name=name, tolerance=tolerance))


def refused(name, data, error):
    TENSORS[f"file_{name}"] = np.frombuffer(data, dtype=np.uint8)
    try:
        as_read(data)
    except Exception:
        CASES.append(dict(name=name, error=error))
    else:
        raise AssertionError(f"{name}: Pillow reads it")


def encoded(image, format, **options):
    if not isinstance(image, Image.Image):
        image = Image.fromarray(image)
    out = io.BytesIO()
    image.save(out, format, **options)
    return out.getvalue()


def opencv(extension, pixels, *options):
    return cv2.imencode(extension, pixels, list(options))[1].tobytes()


def exif(orientation, **more):
    made = Image.Exif()
    made[0x0112] = orientation
    return made


def xmp(orientation, element=False):
    if element:
        inner = f"<rdf:Description><tiff:Orientation>{orientation}</tiff:Orientation></rdf:Description>"
    else:
        inner = f'<rdf:Description tiff:Orientation="{orientation}"/>'
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF>{inner}</rdf:RDF></x:xmpmeta>'.encode()


def segment(marker, body):
    return bytes([0xFF, marker]) + struct.pack(">H", len(body) + 2) + body


def with_segments(jpeg, *segments):
    return jpeg[:2] + b"".join(segments) + jpeg[2:]


def chunk(kind, body, wrong=False):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body) ^ wrong)


def png_of(width, height, depth, colour, rows, *before, wrong=(), after=(), interlace=0):
    """A PNG file of packed rows; chunks of the kinds in `wrong` have a wrong checksum."""
    make = lambda kind, body: chunk(kind, body, kind in wrong)
    header = make(b"IHDR", struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlace))
    body = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [make(*each) for each in before] + [make(b"IDAT", body[:20]), make(b"IDAT", body[20:])] + [make(*each) for each in after]
    return b"\x89PNG\r\n\x1a\n" + header + b"".join(parts) + make(b"IEND", b"")


def jpeg():
    number = 0
    for sampling in ("4:4:4", "4:2:2", "4:2:0", "4:1:1", "4:4:0"):
        for progressive in (False, True):
            for quality, (width, height) in ((90, (33, 18)), (40, (7, 21)), (100, (1, 5)), (5, (16, 16))):
                pixels = (smooth, noise)[number % 2](width, height)
                options = dict(quality=quality, progressive=progressive, optimize=number % 3 == 0)
                if number % 4 == 1:
                    options["restart_marker_blocks"] = 1 + number % 5
                if sampling == "4:4:0":
                    code = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive),
                            cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_440]
                    data = opencv(".jpg", pixels, *code)
                else:
                    data = encoded(pixels, "JPEG", subsampling=sampling, **options)
                add(f"jpeg_{sampling.replace(':', '')}_{number}", data)
                number += 1
    picture = Image.fromarray(smooth(20, 13))
    add("jpeg_grey", encoded(picture.convert("L"), "JPEG"))
    add("jpeg_grey_progressive", encoded(picture.convert("L"), "JPEG", progressive=True))
    add("jpeg_cmyk", encoded(picture.convert("CMYK"), "JPEG"))
    add("jpeg_cmyk_noise", encoded(Image.fromarray(noise(17, 9, 4), "CMYK"), "JPEG", quality=95))
    ycck = encoded(Image.fromarray(noise(17, 9, 4), "CMYK"), "JPEG", quality=95)
    place = ycck.index(b"Adobe") + 11
    add("jpeg_ycck", ycck[:place] + b"\2" + ycck[place + 1:])
    add("jpeg_rgb", encoded(picture, "JPEG", keep_rgb=True))
    plain = encoded(picture, "JPEG")
    for orientation in range(1, 9):
        add(f"jpeg_exif_{orientation}", encoded(picture, "JPEG", exif=exif(orientation)))
    packet = lambda body: segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + body)
    add("jpeg_xmp", with_segments(plain, packet(xmp(6))))
    add("jpeg_xmp_element", with_segments(plain, packet(xmp(8, True))))
    add("jpeg_xmp_last_counts", with_segments(plain, packet(xmp(8)), packet(xmp(3))))
    add("jpeg_exif_before_xmp", with_segments(encoded(picture, "JPEG", exif=exif(3)), packet(xmp(6))))
    add("jpeg_exif_1_before_xmp", with_segments(encoded(picture, "JPEG", exif=exif(1)), packet(xmp(6))))
    other = Image.Exif(); other[0x010F] = "maker"
    add("jpeg_exif_without_and_xmp", with_segments(encoded(picture, "JPEG", exif=other), packet(xmp(6))))
    big = Image.Exif(); big.endian = ">"; big[0x0112] = 7; big[0x010F] = "a maker's name"
    add("jpeg_exif_big_endian", encoded(picture, "JPEG", exif=big.tobytes()))
    add("jpeg_exif_9", encoded(picture, "JPEG", exif=exif(9)))
    add("jpeg_trailing", plain + b"\0more after the end")
    add("jpeg_junk_between", plain[:2] + b"\xff\xff" + plain[2:])
    refused("jpeg_cut", plain[:len(plain) // 2], "decode")
    refused("jpeg_without_end", plain[:-2], "decode")
    refused("jpeg_progressive_cut", encoded(picture, "JPEG", progressive=True)[:-9], "decode")
    frame = plain.index(b"\xff\xc0")
    refused("jpeg_12_bit", plain[:frame + 4] + b"\x0c" + plain[frame + 5:], "precision 12")
    add("jpeg_ended_early", plain[:-60] + b"\xff\xd9")


def png():
    rgb = noise(13, 9)
    picture, grey, alpha = Image.fromarray(rgb), Image.fromarray(rgb[..., 0]), Image.fromarray(noise(13, 9)[..., 1])
    with_alpha = picture.copy(); with_alpha.putalpha(alpha)
    palette = picture.quantize(16)
    rows = [row.tobytes() for row in rgb]
    text = lambda key, body: key + b"\0" + body
    itxt = lambda key, body, packed=0: key + bytes([0, packed, 0]) + b"\0\0" + body
    add("png", encoded(picture, "PNG"))
    add("png_alpha", encoded(with_alpha, "PNG"))
    add("png_grey", encoded(grey, "PNG"))
    add("png_grey_alpha", encoded(Image.merge("LA", (grey, alpha)), "PNG"))
    add("png_bilevel", encoded(grey.convert("1"), "PNG"))
    add("png_palette", encoded(palette, "PNG"))
    add("png_palette_transparent", encoded(palette, "PNG", transparency=3))
    add("png_rgb_transparent", png_of(13, 9, 8, 2, rows, (b"tRNS", struct.pack(">3H", *map(int, rgb[0, 0])))))
    for depth in (1, 2, 4, 8):
        packed = [RNG.bytes((13 * depth + 7) // 8) for _ in range(9)]
        add(f"png_grey_{depth}", png_of(13, 9, depth, 0, packed))
        full = noise(1, 1 << depth).tobytes()
        add(f"png_palette_{depth}", png_of(13, 9, depth, 3, packed, (b"PLTE", full)))
        add(f"png_palette_short_{depth}", png_of(13, 9, depth, 3, packed, (b"PLTE", full[:3])))
    deep = {0: 1, 2: 3, 4: 2, 6: 4}
    for colour, samples in deep.items():
        values = [RNG.integers(0, 65536, 13 * samples, dtype=np.uint16) for _ in range(9)]
        values[0] = np.minimum(values[0], 300)
        add(f"png_16_{colour}", png_of(13, 9, 16, colour, [v.astype(">u2").tobytes() for v in values]))
    add("png_interlaced", interlaced(rgb))
    add("png_pixel", encoded(rgb[:1, :1], "PNG"))
    add("png_tall", encoded(np.ascontiguousarray(np.broadcast_to(rgb[:1, :3], (4000, 3, 3))), "PNG"))
    add("png_gamma", png_of(13, 9, 8, 2, rows, (b"gAMA", struct.pack(">I", 100000))))
    add("png_animated", encoded(picture, "PNG", save_all=True, append_images=[Image.fromarray(noise(13, 9))]))
    add("png_animated_hidden_default", encoded(picture, "PNG", save_all=True, default_image=True, append_images=[Image.fromarray(noise(13, 9))]))
    # Checksums are looked at before the first IDAT, and nowhere else.
    for kind in (b"IDAT", b"IEND", b"tIME"):
        add(f"png_wrong_crc_{kind.decode()}", png_of(13, 9, 8, 2, rows, wrong=(kind,), after=((b"tIME", bytes(7)),)))
    for kind, body in ((b"IHDR", b""), (b"gAMA", struct.pack(">I", 45455)), (b"tEXt", b"a\0b"), (b"prVt", b"private")):
        before = () if kind == b"IHDR" else ((kind, body),)
        refused(f"png_wrong_crc_{kind.decode()}", png_of(13, 9, 8, 2, rows, *before, wrong=(kind,)), "checksum")
    refused("png_wrong_crc_PLTE", png_of(13, 9, 8, 3, [r[:13] for r in rows], (b"PLTE", bytes(768)), wrong=(b"PLTE",)), "checksum")
    whole = png_of(13, 9, 8, 2, rows)
    add("png_without_end", whole[:-12])
    add("png_without_last_crc", whole[:-16])
    damaged = bytearray(whole); damaged[len(damaged) // 2] ^= 0xFF
    refused("png_damaged", bytes(damaged), "decode")
    refused("png_cut", whole[:len(whole) // 2], "decode")
    refused("png_no_rows", png_of(5, 0, 8, 2, []), "decode")
    refused("png_depth", png_of(13, 9, 3, 2, rows), "decode")
    for orientation in range(1, 9):
        add(f"png_exif_{orientation}", encoded(picture, "PNG", exif=exif(orientation)))
    block = exif(6).tobytes()
    add("png_exif_after", png_of(13, 9, 8, 2, rows, after=((b"eXIf", block[6:]),)))
    profile = b"\nexif\n%8d\n" % len(block) + block.hex().encode() + b"\n"
    add("png_raw_profile", png_of(13, 9, 8, 2, rows, (b"tEXt", text(b"Raw profile type exif", profile))))
    add("png_raw_profile_packed", png_of(13, 9, 8, 2, rows, (b"zTXt", text(b"Raw profile type exif", b"\0" + zlib.compress(profile)))))
    key = b"XML:com.adobe.xmp"
    add("png_xmp", png_of(13, 9, 8, 2, rows, (b"iTXt", itxt(key, xmp(6)))))
    add("png_xmp_packed", png_of(13, 9, 8, 2, rows, (b"iTXt", itxt(key, zlib.compress(xmp(8, True)), 1))))
    add("png_xmp_after", png_of(13, 9, 8, 2, rows, after=((b"iTXt", itxt(key, xmp(5))),)))
    add("png_xmp_as_text", png_of(13, 9, 8, 2, rows, (b"tEXt", text(key, xmp(7)))))
    add("png_exif_before_xmp", png_of(13, 9, 8, 2, rows, (b"iTXt", itxt(key, xmp(6))), (b"eXIf", exif(3).tobytes()[6:])))


def interlaced(rgb):
    """Adam7, which Pillow does not write."""
    height, width, _ = rgb.shape
    rows = []
    for x, y, dx, dy in ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)):
        rows += [row.tobytes() for row in rgb[y::dy, x::dx] if row.size]
    return png_of(width, height, 8, 2, rows, interlace=1)


def gif_of(screen, frame, pixels, table, local=None, background=0, transparent=None, flags=0, bits=2):
    """A GIF file of one frame: `frame` is (left, top, width, height), `pixels` its indices, tables are RGB bytes."""
    size = lambda t: 0x80 | (len(t) // 3).bit_length() - 2
    out = b"GIF89a" + struct.pack("<HHBBB", *screen, size(table) if table else 0, background, 0) + (table or b"")
    if transparent is not None:
        out += b"!\xf9\x04" + struct.pack("<BHB", 1, 0, transparent) + b"\0"
    out += b"," + struct.pack("<4HB", *frame, (size(local) if local else 0) | flags) + (local or b"")
    # A clear code before every two pixels keeps all codes at their first width.
    code, width, stream = [], bits + 1, 0
    for start in range(0, len(pixels), 2):
        code += [1 << bits, *pixels[start:start + 2]]
    code.append((1 << bits) + 1)
    for place, value in enumerate(code):
        stream |= value << (place * width)
    data = stream.to_bytes((len(code) * width + 7) // 8, "little")
    blocks = b"".join(bytes([len(data[i:i + 255])]) + data[i:i + 255] for i in range(0, len(data), 255))
    return out + bytes([bits]) + blocks + b"\0;"


def gif():
    table, local = noise(1, 4).tobytes(), noise(1, 4).tobytes()
    pixels = RNG.integers(0, 4, 5 * 4).tolist()
    inside = (2, 1, 5, 4)
    add("gif", gif_of((5, 4), (0, 0, 5, 4), pixels, table))
    add("gif_smaller_frame", gif_of((9, 7), inside, pixels, table))
    add("gif_smaller_frame_background", gif_of((9, 7), inside, pixels, table, background=2))
    add("gif_smaller_frame_transparent", gif_of((9, 7), inside, pixels, table, transparent=3, background=1))
    add("gif_smaller_frame_local", gif_of((9, 7), inside, pixels, table, local))
    add("gif_smaller_frame_local_transparent", gif_of((9, 7), inside, pixels, table, local, transparent=2))
    add("gif_local_only", gif_of((9, 7), inside, pixels, None, local))
    add("gif_no_table", gif_of((9, 7), inside, pixels, None))
    add("gif_short_table", gif_of((5, 4), (0, 0, 5, 4), pixels, table[:6]))
    add("gif_transparent", gif_of((5, 4), (0, 0, 5, 4), pixels, table, transparent=1))
    add("gif_interlaced", gif_of((5, 4), (0, 0, 5, 4), pixels, table, flags=0x40))
    add("gif_frame_beyond", gif_of((4, 3), (1, 2, 5, 4), pixels, table))
    big = RNG.integers(0, 4, 21 * 19).tolist()
    add("gif_interlaced_smaller", gif_of((30, 30), (3, 5, 21, 19), big, table, flags=0x40))
    frames = [Image.fromarray(noise(13, 9)).quantize(16) for _ in range(2)]
    add("gif_animated", encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]))
    whole = encoded(Image.fromarray(noise(40, 30)), "GIF")
    refused("gif_cut", whole[:len(whole) // 2], "decode")


def webp():
    rgb = noise(13, 9)
    picture = Image.fromarray(rgb)
    with_alpha = picture.copy(); with_alpha.putalpha(Image.fromarray(noise(13, 9)[..., 0]))
    add("webp_lossless", encoded(picture, "WEBP", lossless=True))
    add("webp_lossless_alpha", encoded(with_alpha, "WEBP", lossless=True, exact=True))
    for quality, size in ((90, (33, 18)), (30, (7, 21)), (100, (1, 5)), (5, (40, 16))):
        add(f"webp_{quality}", encoded(smooth(*size), "WEBP", quality=quality))
        add(f"webp_noise_{quality}", encoded(noise(*size), "WEBP", quality=quality))
    add("webp_alpha", encoded(with_alpha, "WEBP", quality=80))
    add("webp_animated", encoded(picture, "WEBP", lossless=True, save_all=True, append_images=[Image.fromarray(noise(13, 9))]))
    moving = [with_alpha, with_alpha.transpose(Image.Transpose.ROTATE_180)]
    add("webp_animated_alpha", encoded(moving[0], "WEBP", lossless=True, exact=True, save_all=True, append_images=moving[1:]))
    for orientation in (1, 6):
        add(f"webp_exif_{orientation}", encoded(picture, "WEBP", lossless=True, exif=exif(orientation)))
    add("webp_xmp", encoded(picture, "WEBP", lossless=True, xmp=xmp(8)))
    add("webp_exif_before_xmp", encoded(picture, "WEBP", lossless=True, exif=exif(3), xmp=xmp(8)))
    whole = encoded(noise(40, 30), "WEBP")
    refused("webp_cut", whole[:len(whole) // 2], "decode")


def bmp_of(width, height, bits, rows, header=40, masks=(), table=b"", compression=None, top_down=False):
    """A BMP file; `rows` come in the order of the file, without their padding."""
    compression = compression if compression is not None else (3 if masks else 0)
    data = b"".join(row + bytes(-len(row) % 4) for row in rows) if compression in (0, 3) else rows
    info = struct.pack("<IiiHHIIiiII", header, width, -height if top_down else height, 1, bits, compression, len(data), 0, 0,
                       len(table) // 4, 0)
    mask = b"".join(struct.pack("<I", m) for m in masks)
    info += mask + bytes(max(0, header - 40 - len(mask)))
    start = 14 + len(info) + len(table)
    return b"BM" + struct.pack("<IHHI", start + len(data), 0, 0, start) + info + table + data


def bmp():
    rgb = noise(13, 9)
    add("bmp", encoded(rgb, "BMP"))
    add("bmp_grey", encoded(rgb[..., 0], "BMP"))
    add("bmp_bilevel", encoded(Image.fromarray(rgb).convert("1"), "BMP"))
    add("bmp_palette", encoded(Image.fromarray(rgb).quantize(16), "BMP"))
    table = b"".join(bytes(c) + b"\0" for c in noise(1, 16)[:, 0].tolist())
    for bits in (1, 4, 8):
        rows = [RNG.bytes((13 * bits + 7) // 8) for _ in range(9)]
        if bits == 8:
            rows = [bytes(b & 15 for b in row) for row in rows]
        add(f"bmp_{bits}", bmp_of(13, 9, bits, rows, table=table[:4 << min(bits, 4)]))
    rows = {bits: [RNG.bytes(13 * bits // 8) for _ in range(9)] for bits in (16, 24, 32)}
    add("bmp_top_down", bmp_of(13, 9, 24, rows[24], top_down=True))
    add("bmp_16", bmp_of(13, 9, 16, rows[16]))
    add("bmp_565", bmp_of(13, 9, 16, rows[16], masks=(0xF800, 0x7E0, 0x1F)))
    add("bmp_555", bmp_of(13, 9, 16, rows[16], masks=(0x7C00, 0x3E0, 0x1F)))
    add("bmp_32", bmp_of(13, 9, 32, rows[32]))
    add("bmp_32_masks", bmp_of(13, 9, 32, rows[32], masks=(0xFF0000, 0xFF00, 0xFF)))
    add("bmp_32_xbgr", bmp_of(13, 9, 32, rows[32], header=56, masks=(0xFF000000, 0xFF0000, 0xFF00, 0)))
    add("bmp_32_alpha", bmp_of(13, 9, 32, rows[32], header=108, masks=(0xFF0000, 0xFF00, 0xFF, 0xFF000000)))
    add("bmp_32_rgba", bmp_of(13, 9, 32, rows[32], header=124, masks=(0xFF, 0xFF00, 0xFF0000, 0xFF000000)))
    runs = b"\x05\x03\x08\x01\0\0" + b"\0\x05\1\2\3\4\5\0\x08\2\0\0" + b"\x0d\x04\0\0\0\1"
    add("bmp_rle8", bmp_of(13, 3, 8, runs, table=table, compression=1))
    runs4 = b"\x0d\x12\0\0" + b"\0\x05\x12\x34\x50\0\x08\x21\0\0" + b"\x0d\x43\0\0\0\1"
    add("bmp_rle4", bmp_of(13, 3, 4, runs4, table=table, compression=2))
    whole = encoded(noise(40, 30), "BMP")
    refused("bmp_cut", whole[:len(whole) // 2], "decode")


def pnm():
    rgb = noise(13, 9)
    add("ppm", encoded(rgb, "PPM"))
    add("pgm", encoded(rgb[..., 0], "PPM"))
    add("pbm", encoded(Image.fromarray(rgb).convert("1"), "PPM"))
    few = RNG.integers(0, 101, (4, 5, 3))
    add("ppm_100", b"P6\n# a comment\n5 4\n100\n" + few.astype(np.uint8).tobytes())
    add("pgm_100", b"P5 5 4 100\n" + few[..., 0].astype(np.uint8).tobytes())
    deep = RNG.integers(0, 65536, (4, 5, 3))
    deep[0] %= 600
    add("ppm_16", b"P6 5 4 65535\n" + deep.astype(">u2").tobytes())
    add("pgm_16", b"P5 5 4 65535\n" + deep[..., 0].astype(">u2").tobytes())
    add("ppm_1000", b"P6 5 4 1000\n" + (deep % 1001).astype(">u2").tobytes())
    add("pgm_1000", b"P5 5 4 1000\n" + (deep % 1001)[..., 0].astype(">u2").tobytes())
    words = lambda a: " ".join(map(str, np.asarray(a).ravel())).encode()
    add("ppm_plain", b"P3 5 4 100\n" + words(few))
    add("pgm_plain", b"P2 5 4 255\n" + words(deep[..., 0] % 256))
    add("pbm_plain", b"P1 5 4\n" + words(few[..., 0] % 2))
    whole = encoded(noise(40, 30), "PPM")
    refused("ppm_cut", whole[:len(whole) // 2], "decode")


def tiff():
    rgb = noise(13, 9)
    picture = Image.fromarray(rgb)
    with_alpha = picture.copy(); with_alpha.putalpha(Image.fromarray(noise(13, 9)[..., 0]))
    for packing in ("raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"):
        add(f"tiff_{packing}", encoded(picture, "TIFF", compression=packing))
    add("tiff_grey", encoded(picture.convert("L"), "TIFF"))
    add("tiff_bilevel", encoded(picture.convert("1"), "TIFF"))
    add("tiff_palette", encoded(picture.quantize(16), "TIFF"))
    add("tiff_int", encoded(Image.fromarray(RNG.integers(-300, 600, (9, 13), dtype=np.int32)), "TIFF"))
    add("tiff_palette_lzw", encoded(picture.quantize(200), "TIFF", compression="tiff_lzw"))
    add("tiff_alpha", encoded(with_alpha, "TIFF"))
    add("tiff_cmyk", encoded(Image.fromarray(noise(13, 9, 4), "CMYK"), "TIFF"))
    deep = RNG.integers(0, 65536, (9, 13, 3), dtype=np.uint16)
    deep[0] %= 600
    add("tiff_16_rgb", opencv(".tif", deep))
    add("tiff_16_grey", encoded(Image.fromarray(deep[..., 0]), "TIFF"))
    add("tiff_float", encoded(Image.fromarray((deep[..., 0] / 200 - 10).astype(np.float32)), "TIFF"))
    for orientation in (1, 6, 7):
        add(f"tiff_turned_{orientation}", encoded(picture, "TIFF", exif=exif(orientation)))
    add("tiff_frames", encoded(picture, "TIFF", save_all=True, append_images=[Image.fromarray(noise(13, 9))]))
    from PIL.TiffImagePlugin import ImageFileDirectory_v2
    tags = ImageFileDirectory_v2(); tags[700] = xmp(6); tags.tagtype[700] = 1
    add("tiff_xmp", encoded(picture, "TIFF", tiffinfo=tags))
    whole = encoded(noise(40, 30), "TIFF", compression="raw")
    refused("tiff_cut", whole[:len(whole) // 2], "decode")


def others():
    refused("huge", png_of(100_000, 100_000, 8, 2, []), "100000 x 100000")
    refused("text", b"no picture at all, and long enough to be one", "it is not PNG")
    refused("empty", b"", "it is not PNG")


if __name__ == "__main__":
    jpeg(), png(), gif(), webp(), bmp(), pnm(), tiff(), others()
    save_file({k: np.ascontiguousarray(v) for k, v in TENSORS.items()}, HERE / "decode.safetensors", {"cases": json.dumps(CASES)})
