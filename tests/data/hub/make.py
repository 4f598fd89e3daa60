"""Makes three folders as published on the Hugging Face hub, and expected.json: the rows that `datasets` reads of each
configuration and split.

    pip install datasets pillow
    python make.py
"""

import hashlib
import io
import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
from datasets import Dataset, Features, Image, Value, get_dataset_config_names, get_dataset_split_names, load_dataset
from datasets.utils.metadata import MetadataConfigs
from huggingface_hub import DatasetCard, DatasetCardData
from PIL import Image as Pillow

folder = Path(__file__).parent
rng = np.random.default_rng(20260202)
FEATURES = Features({"id": Value("string"), "image": Image(), "question": Value("string"), "answer": Value("string")})


def row(name):
    file = io.BytesIO()
    Pillow.fromarray(rng.integers(0, 256, (3, 5, 3), dtype=np.uint8)).save(file, "PNG")
    picture = {"bytes": file.getvalue(), "path": f"{name}.png"}
    return {"id": name, "image": picture, "question": f"What is {name}?", "answer": name}


def write(path, names, shards=1):
    """Writes a split as `Dataset.push_to_hub` names its files."""
    rows = Dataset.from_list([row(name) for name in names], features=FEATURES)
    path.parent.mkdir(parents=True, exist_ok=True)
    for n in range(shards):
        rows.shard(shards, n, contiguous=True).to_parquet(f"{path}-{n:05}-of-{shards:05}.parquet")


def card(path, configs=None, text=None):
    if text is None:
        data = DatasetCardData(license="mit", pretty_name="Made up: a test", tags=["vqa"])
        MetadataConfigs(configs).to_dataset_card_data(data)
        text = f"---\n{data}\n---\n\n# Made up\n"
        assert DatasetCard(text).data.to_dict()["configs"]
    (path / "README.md").write_text(text)


for name in ["cards", "names", "written"]:
    shutil.rmtree(folder / name, ignore_errors=True)

# As push_to_hub leaves it: a card by its own code.
pushed = folder / "cards"
write(pushed / "data/train", ["a", "b", "c", "d", "e"], 2)
write(pushed / "data/test", ["f"])
write(pushed / "other/validation.x", ["g", "h", "i"], 3)
card(
    pushed,
    {
        "other": {"data_files": [{"split": "validation.x", "path": "other/validation.x-*"}]},
        "default": {
            "data_files": [{"split": "train", "path": "data/train-*"}, {"split": "test", "path": "data/test-*"}]
        },
    },
)
# Without a card.
named = folder / "names"
write(named / "data/train", ["k", "l"], 2)
write(named / "data/my_split", ["m"])
write(named / "data/more/test", ["n"])
# By hand.
written = folder / "written"
write(written / "a/b/one", ["o", "p"], 2)
write(written / "a/two", ["q"])
write(written / "__c/three", ["r"])
card(
    written,
    text="""---
configs:
# Everything below a.
- config_name: "all"
  data_files: 'a/**'
  default: true
- config_name: some
  data_files:
    - split: train
      path: [a/two-*, "a/b/one-0000?-of-[0-9]*.parquet"]
    - path:
      - __c/*.parquet   # the last
      split: dev
---
configs: this is no longer the card's metadata
""",
)

expected = []
for name in ["cards", "names", "written"]:
    path = str(folder / name)
    for config in get_dataset_config_names(path):
        for split in get_dataset_split_names(path, config):
            with tempfile.TemporaryDirectory() as cache:
                rows = load_dataset(path, config, split=split, cache_dir=cache)
                rows = rows.cast_column("image", Image(decode=False))
                found = [(r["id"], r["question"], hashlib.sha256(r["image"]["bytes"]).hexdigest()) for r in rows]
            expected.append({"folder": name, "config": config, "split": split, "rows": found})
(folder / "expected.json").write_text(json.dumps(expected, indent=1) + "\n")
