"""Makes choice.tsv and words.tsv as pandas writes them, and expected.json: their prompts and pictures by the code of
VLMEvalKit itself.

    git clone https://github.com/open-compass/VLMEvalKit
    pip install pandas pillow
    python make.py VLMEvalKit

Of VLMEvalKit only the functions named below are compiled, so that its requirements need not be installed.
"""

import ast
import base64
import hashlib
import io
import json
import os.path as osp
import string
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

folder, program = Path(__file__).parent, Path(sys.argv[1]) / "vlmeval"
rng = np.random.default_rng(20260201)


def functions(path, owner, names, scope):
    """Compiles functions of a module, or of a class in it, in `scope`."""
    tree = ast.parse((program / path).read_text())
    body = tree.body
    if owner:
        body = next(node.body for node in body if isinstance(node, ast.ClassDef) and node.name == owner)
    found = [node for node in body if isinstance(node, ast.FunctionDef) and node.name in names]
    assert len(found) == len(names), names
    exec(compile(ast.Module(found, []), path, "exec"), scope)
    return [scope[name] for name in names]


written = {}
scope = {"osp": osp, "os": __import__("os"), "pd": pd, "np": np, "string": string}
functions("smp/misc.py", None, ["toliststr"], scope)
functions("smp/misc.py", None, ["istype"], scope)
scope.update(
    LMUDataRoot=lambda: "",
    img_root_map=lambda name: name,
    read_ok=lambda path: False,
    decode_base64_to_image_file=lambda text, path: written.__setitem__(path, base64.b64decode(text)),
)
scope["os"] = type("os", (), {"makedirs": staticmethod(lambda *_, **__: None)})
init, dump_image = functions("dataset/image_base.py", "ImageBaseDataset", ["__init__", "dump_image"], scope)
(base_prompt,) = functions("dataset/image_base.py", "ImageBaseDataset", ["build_prompt"], dict(scope))
(choice_prompt,) = functions("dataset/image_mcq.py", "ImageMCQDataset", ["build_prompt"], dict(scope))


class Base:
    dump_image = dump_image
    load_data = staticmethod(lambda path: pd.read_csv(path, sep="\t"))
    post_build = staticmethod(lambda _: None)
    build_prompt = base_prompt


class Choice(Base):
    build_prompt = choice_prompt


class Words(Base):
    pass


Base.__init__ = init
# `super()` of a method that is compiled alone finds its class here.
source = ast.parse((program / "dataset/image_vqa.py").read_text())
words = next(n for n in source.body if isinstance(n, ast.ClassDef) and n.name == "ImageVQADataset")
words.body = [n for n in words.body if isinstance(n, ast.FunctionDef) and n.name == "build_prompt"]
module = {"ImageBaseDataset": Base}
exec(compile(ast.Module([words], []), "image_vqa.py", "exec"), module)


def picture():
    pixels = rng.integers(0, 256, (6, 9, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def expected(dataset):
    rows = []
    for _, line in dataset.data.iterrows():
        written.clear()
        parts = dataset.build_prompt(line)
        (bytes_,) = written.values()
        text = [part["value"] for part in parts if part["type"] == "text"]
        assert len(parts) == 2 and len(text) == 1
        rows.append({"id": str(line["index"]), "prompt": text[0], "picture": hashlib.sha256(bytes_).hexdigest()})
    return rows


pictures = [picture() for _ in range(4)]
choice = pd.DataFrame(
    [
        (241, pictures[0], "Which one is it?", "Two\twords, \"quoted\"\nin lines.", "red", "blue", None, None, "A", "colour"),
        (252, "241", "And the other?", None, "one\ttab", "two\nlines", 'a "quote"', " spaces ", "D", "colour"),
        (3000252, "241", "And the other, turned?", None, " spaces ", "one\ttab", "two\nlines", 'a "quote"', "A", "colour"),
        (253, pictures[1], "Options of numbers?", float("nan"), "1", "2.50", "C", "4", "C", "number"),
        (254, f"['{pictures[2]}']", "A list of one?", "nan", "Yes", "No", "None", None, "B", "list"),
        (255, "253", "Ümläute, 中文?", "n/a", "ja", "nein", "NA ", None, "C", None),
        (256, pictures[3], '"Quoted"', "hint", "yes", "no", None, None, None, "none"),
    ],
    columns=["index", "image", "question", "hint", "A", "B", "C", "D", "answer", "category"],
)
choice.to_csv(folder / "choice.tsv", sep="\t", index=False)
text = pd.DataFrame(
    [
        ("q-1", pictures[0], "a/b.png", "What is this?", "a cat"),
        ("q-2", pictures[1], "c.png", "Several answers?\tYes.", "['a cat', 'cat']"),
        ("q-3", "q-1", "a/b.png", "The same picture?", "yes"),
    ],
    columns=["index", "image", "image_path", "question", "answer"],
)
text.to_csv(folder / "words.tsv", sep="\t", index=False)
found = {
    "choice": expected(Choice(folder / "choice.tsv")),
    "words": expected(module["ImageVQADataset"](folder / "words.tsv")),
}
(folder / "expected.json").write_text(json.dumps(found, indent=1) + "\n")
