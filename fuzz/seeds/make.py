#!/usr/bin/env python3
"""Writes the seeds that are not files of the tests: one small file for each kind of input, sound or broken in a known way.

    python fuzz/seeds/make.py        # needs pyarrow for the Parquet files

`fuzz/run` adds the checkpoints, templates and pictures of the tests to them.
"""

import base64
import io
import json
import struct
import zlib
from pathlib import Path

import pyarrow
import pyarrow.parquet

SEEDS = Path(__file__).parent


def write(target: str, name: str, data: bytes | str) -> None:
    folder = SEEDS / target
    folder.mkdir(exist_ok=True)
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)


def weights(header: object, data: int = 0, length: int | None = None) -> bytes:
    text = header if isinstance(header, str) else json.dumps(header)
    return struct.pack("<Q", len(text) if length is None else length) + text.encode() + bytes(data)


def tensor(dtype: str, shape: list[int], begin: int, end: int) -> dict:
    return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}


def headers() -> None:
    two = {"a": tensor("F16", [2, 3], 0, 12), "b": tensor("I64", [1], 12, 20), "__metadata__": {"format": "pt"}}
    write("header", "sound", weights(two, 20))
    write("header", "long", weights({}, length=1 << 63))
    write("header", "overflow", weights({"a": tensor("F32", [1 << 33, 1 << 33], 0, 4)}, 4))
    write("header", "overlap", weights({"a": tensor("F32", [2], 0, 8), "b": tensor("F32", [2], 4, 12)}, 12))
    write("header", "reversed", weights({"a": tensor("BF16", [0], 4, 0)}, 4))
    write("header", "deep", weights('{"a":' + "[" * 2000, 0))
    write("index", "sound", json.dumps({"metadata": {"total_size": 4}, "weight_map": {"w": "b.safetensors"}}))
    write("index", "outside", json.dumps({"weight_map": {"w": "../b.safetensors"}}))
    write("index", "wrong", json.dumps({"weight_map": {"w": "a.safetensors", "v": 7}}))


def templates() -> None:
    end = "USER: <image>\n{{ messages[0]['content'][1]['text'] }} ASSISTANT:\n"
    for name, text in {
        "attributes": "{{ messages" + ".a" * 20_000 + " }}",
        "not": "{{ " + "not " * 20_000 + "1 }}",
        "parentheses": "{{ " + "(" * 5_000 + "1" + ")" * 5_000 + " }}",
        "blocks": "{% if true %}" * 5_000,
        "data": "{% set n=namespace(x=[]) %}{% for i in range(60000) %}{% set n.x=[n.x] %}{% endfor %}{{ n.x }}",
        "doubled": "{% set n=namespace(x=[1,2]) %}{% for i in range(50) %}{% set n.x=n.x+n.x %}{% endfor %}",
        "text": "{% set n=namespace(x='ab') %}{% for i in range(50) %}{% set n.x=n.x~n.x %}{% endfor %}",
        "indent": "{{ messages|tojson(indent=1000000000000) }}",
        "range": "{{ range(1000000000000)|list }}",
        "repeat": "{{ 'a' * 1000000000000 }}",
        "format": "{{ '%1000000000d' % 1 }}",
        "recursion": "{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}",
    }.items():
        write("template", name, text + end)


def tokenizers() -> None:
    """Small tokenizers of every kind of model, and ones whose parts contradict each other."""
    words = {"<s>": 0, "</s>": 1, "<unk>": 2, "<image>": 3, "a": 4, "b": 5, "ab": 6, "\u2581": 7, "\u2581a": 8}
    bpe = {"type": "BPE", "vocab": words, "merges": [["a", "b"]], "unk_token": "<unk>", "byte_fallback": True, "dropout": 0.5}
    level = {"type": "WordLevel", "vocab": words, "unk_token": "<unk>"}
    piece = {"type": "WordPiece", "vocab": words, "unk_token": "<unk>", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100}
    unigram = {"type": "Unigram", "unk_id": 2, "vocab": [[w, -float(i)] for w, i in words.items()], "byte_fallback": False}
    added = [
        {"id": i, "content": w, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        for w, i in list(words.items())[:4]
    ]
    metaspace = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always", "split": True}
    parts = {
        "normalizer": {
            "replace": {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"},
            "replace-nothing": {"type": "Replace", "pattern": {"String": ""}, "content": "a"},
            "replace-grows": {"type": "Sequence", "normalizers": [{"type": "Replace", "pattern": {"String": "a"}, "content": "aa" * 100}] * 6},
            "charsmap-empty": {"type": "Precompiled", "precompiled_charsmap": ""},
            "charsmap-short": {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(b"\xff\xff").decode()},
            "charsmap-outside": {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(struct.pack("<I", 4) + b"\xff" * 8).decode()},
        },
        "pre_tokenizer": {
            "fixed-length-0": {"type": "FixedLength", "length": 0},
            "metaspace": metaspace,
            "byte-level": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True},
            "split": {"type": "Split", "pattern": {"Regex": "(a+)+$"}, "behavior": "Isolated", "invert": False},
        },
        "post_processor": {
            "second-sequence": {
                "type": "TemplateProcessing",
                "single": [{"Sequence": {"id": "B", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}],
                "special_tokens": {},
            },
        },
        "decoder": {"metaspace": metaspace, "fuse": {"type": "Fuse"}},
    }

    def tokenizer(model: dict, **more: object) -> str:
        return json.dumps({"version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "model": model} | more)

    for name, model in {"bpe": bpe, "level": level, "piece": piece, "unigram": unigram}.items():
        write("tokenizer", name, tokenizer(model))
    for field, values in parts.items():
        for name, value in values.items():
            write("tokenizer", f"{field}-{name}", tokenizer(bpe, **{field: value}))


def tables() -> None:
    endings = ["csv", "tsv", "jsonl", "json", "parquet"]

    def table(name: str, ending: str, data: bytes | str) -> None:
        data = data.encode() if isinstance(data, str) else data
        write("rows", name, bytes([endings.index(ending)]) + data)

    table("csv", "csv", 'image,question,choices\n0.png,"What, ""then""?","[\'a\', \'b\']"\n1.png,x,(a) Yes (b) No\n')
    table("csv-quote", "csv", 'image,question\n0.png,"What\n1.png,x\n')
    table("csv-doubled", "csv", "image,image,question\n0.png,1.png,x\n")
    table("mmvp", "csv", "lndex,Question,Options,Correct Answer\n1,What?,(a) Yes (b) No,(a)\n")
    table("tsv", "tsv", "\ufeffimage\tquestion\tA\tB\tanswer\n0.png\tx\tone\ttwo\tB\n")
    table("tsv-shared", "tsv", "index\timage\tquestion\n1\t2\tx\n2\t" + "aaaa" * 20 + "\tx\n3\t['a', 'b']\tx\n")
    table("jsonl", "jsonl", '\ufeff{"image":"0.png","question":"x","boxes":[1e308,1e308,1e308,1e308],"answer":1}\n{"image":[\n')
    table("json", "json", '[{"image":"0.png","question":"x","choices":["a","b"],"answer":0}]')
    table("json-deep", "json", '[{"image":' + "[" * 2000)
    for name, columns in {
        "plain": {"image": ["0.png"], "question": ["x"], "answer": [1]},
        "bytes": {"image": [{"bytes": b"png", "path": "0.png"}], "question": ["x"], "choices": [["a", "b"]]},
        "list": {"images": [[{"bytes": b"png", "path": None}]], "question": ["x"]},
    }.items():
        for compression in ["none", "snappy", "zstd"]:
            buffer = io.BytesIO()
            pyarrow.parquet.write_table(pyarrow.table(columns), buffer, compression=compression)
            table(f"parquet-{name}-{compression}", "parquet", buffer.getvalue())


def segmentations() -> None:
    write("segmentation", "polygons", json.dumps([[2, 2, 12, 2, 12, 12, 2, 12], [-8.5, 8, 18, 8, 18.25, 1e7]]))
    write("segmentation", "plain", json.dumps({"size": [17, 19], "counts": [5, 0, 3, 315]}))
    write("segmentation", "compressed", json.dumps({"size": [17, 19], "counts": "52N2o"}))
    write("segmentation", "several", json.dumps([{"size": [1, 1], "counts": "01"}, [[0, 0, 1, 0, 1, 1]]]))


def cards() -> None:
    files = "  data_files:\n  - split: train\n    path: [data/train-*, 'x']\n  - split: test\n    path: \"**/t[!a]st*\"\n"
    write("card", "configs", f"---\nlicense: mit\nconfigs:\n- config_name: default # one\n{files}  default: true\n---\n# Card\n")
    write("card", "names", "# Card\n")
    write("card", "deep", "---\nconfigs:\n" + "- " * 100 + "a\n---\n")


def runs() -> None:
    columns = dict.fromkeys(["id", "image", "question", "right", "choices", "boxes", "category", "explain"])
    manifest = {
        "format": 1,
        "version": "0.1.0",
        "model": {"name": "m", "family": "llava", "fingerprint": "00"},
        "device": {"name": "cpu", "dtype": "f32"},
        "settings": {
            "method": "igos+", "optimizer": "nag", "baseline": "blur", "mask_size": 2, "steps": 2, "iterations": 1, "l1": 1.0, "l2": 0.1,
            "l3": 10.0, "gamma": 1.0, "momentum": 5.0, "lr": 10.0, "noise": 0.2, "seed": 0, "threshold": 1.0, "max_new_tokens": 4,
            "curves": False, "baseline_answer": False,
        },
        "data": {"file": "d.csv", "fingerprint": "00", "samples": 2, "layout": "table", "ask": "open", "columns": columns | {"box_format": "xyxy"}},
        "shard": {"index": 0, "count": 1},
    }  # fmt: skip
    mask = struct.pack("<4f", 1.0, 0.5, 0.0, 1.0)
    place = {"file": "masks-00000.f32", "offset": 0, "size": 2, "crc32": zlib.crc32(mask)}
    failed = {"index": 0, "id": "0", "question": "x", "image": {"path": "0.png"}, "seed": 0, "error": {"cause": "data", "message": "m"}}
    records = [failed, {"index": 1, "id": "1", "question": "x", "image": {"path": "1.png", "width": 2, "height": 2}, "seed": 1, "mask": place}]

    def run(name: str, manifest: dict, records: list[dict], masks: bytes = mask) -> None:
        lines = "".join(json.dumps(record) + "\n" for record in records)
        files = [json.dumps(manifest).encode(), lines.encode(), masks, b""]
        write("run", name, b"".join(struct.pack("<H", len(file)) + file for file in files))

    def edited(section: str, field: str, value: object) -> dict:
        return manifest | {section: manifest[section] | {field: value}}

    run("sound", manifest, records)
    run("size-0", edited("settings", "mask_size", 0), records)
    run("size-large", edited("settings", "mask_size", (1 << 64) - 1), records)
    run("size-2-33", edited("settings", "mask_size", 1 << 33), records)
    run("shard-0", edited("shard", "count", 0), records)
    run("shard-large", edited("shard", "count", (1 << 64) - 1), records)
    run("samples", edited("data", "samples", (1 << 64) - 1), records)
    run("extra", manifest, [*records, records[1] | {"index": 2}])
    run("offset", manifest, [failed, records[1] | {"mask": place | {"offset": (1 << 64) - 1}}])
    run("outside", manifest, [failed, records[1] | {"mask": place | {"file": "../masks-00000.f32"}}])
    run("short", manifest, records, mask[:7])


if __name__ == "__main__":
    headers()
    templates()
    tokenizers()
    tables()
    segmentations()
    cards()
    runs()
