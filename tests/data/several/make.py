"""Makes pictures.parquet: lists of pictures as the `datasets` library stores them (`Sequence(Image())`), and lists of bytes.

    pip install pyarrow
    python make.py
"""

from pathlib import Path

import pyarrow
import pyarrow.parquet

PICTURE = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])


def embedded(number, path):
    """What begins as a PNG, with a number behind it."""
    return {"bytes": b"\x89PNG" + bytes([number]), "path": path}


def named(path):
    return {"bytes": None, "path": path}


images = [
    [embedded(1, "a.png"), embedded(2, None)],
    [embedded(3, "c.png")],
    [named("d.png"), named("e.png")],
    [embedded(4, "f.png"), named("g.png")],
    [],
]
raw = [[image["bytes"] for image in row] for row in images]
table = pyarrow.table(
    {
        "question": pyarrow.array(["What?"] * len(images)),
        "image": pyarrow.array(images, pyarrow.list_(PICTURE)),
        "raw": pyarrow.array(raw, pyarrow.list_(pyarrow.binary())),
        # Text that is stored as bytes.
        "options": pyarrow.array([[b"yes", b"no"]] * len(images), pyarrow.list_(pyarrow.binary())),
    }
)
pyarrow.parquet.write_table(table, Path(__file__).parent / "pictures.parquet", compression="snappy")
