"""Records the ids that transformers gives texts when a checkpoint's tokenizer files disagree.

    python record_tokens.py           writes ../data/checkpoint/tokens.json
    python record_tokens.py --check   compares with it and writes nothing

Each case is a tokenizer of `models/` with fields of its files replaced, and the ids of a few texts as AutoTokenizer reads
the files. Needs requirements.txt.
"""

import argparse
import json
import shutil
import sys
import tempfile
from pathlib import Path

from transformers import AutoTokenizer

HERE = Path(__file__).resolve().parent
FILE = HERE.parent / "data" / "checkpoint" / "tokens.json"
TEXTS = [
    "What is this \n <image> \n What color is the circle? ",
    "x<image>y is a new  word, <new> and circle<new>circle",
    " <image>\nIs it r\u00e9d?  12345 isn't \u7ea2\u8272\n\n\nNEW new",
]


def entry(content, **flags):
    known = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": False, "special": True}
    return {"content": content} | known | flags


IMAGE = {"added_tokens_decoder": {"3": entry("<image>", lstrip=True, rstrip=True)}}
CASES = {
    "as it stands": ("tiny-llava", {}),
    "flags of the config": ("tiny-llava", {"tokenizer_config.json": IMAGE}),
    "flags of the config, bytes": ("tiny-llava-bytes", {"tokenizer_config.json": IMAGE}),
    "flags of the config, unigram": ("tiny-llava-unigram", {"tokenizer_config.json": IMAGE}),
    "a single word": (
        "tiny-llava",
        {"tokenizer_config.json": {"added_tokens_decoder": {"400": entry("new", single_word=True, special=False)}}},
    ),
    "a token that the config alone has": (
        "tiny-llava-bytes",
        {"tokenizer_config.json": {"added_tokens_decoder": {"400": entry("<new>", normalized=True, special=False)}}},
    ),
    "flags left out": (
        "tiny-llava",
        {"tokenizer_config.json": {"added_tokens_decoder": {"3": {"content": "<image>", "special": True, "rstrip": True}}}},
    ),
    "a named token as an object": (
        "tiny-llava",
        {"special_tokens_map.json": {"sep_token": {"content": "<new>", "lstrip": True, "rstrip": False}}},
    ),
    "a named object beside added_tokens_decoder": (
        "tiny-llava",
        {"tokenizer_config.json": IMAGE, "special_tokens_map.json": {"sep_token": {"content": "<new>", "lstrip": True}}},
    ),
    "a named token that is an added one": (
        "tiny-llava",
        {"special_tokens_map.json": {"image_token": {"content": "<image>", "lstrip": True, "rstrip": True}}},
    ),
    "a named text": ("tiny-llava", {"tokenizer_config.json": {"sep_token": "<new>"}}),
    "a named word of the vocabulary": ("tiny-llava", {"tokenizer_config.json": {"sep_token": "is"}}),
    "extra tokens": ("tiny-llava", {"tokenizer_config.json": {"extra_special_tokens": ["<new>"]}}),
    "additional tokens": ("tiny-llava-unigram", {"tokenizer_config.json": {"additional_special_tokens": ["<new>"]}}),
    "extra tokens by name": ("tiny-llava", {"tokenizer_config.json": {"extra_special_tokens": {"new_token": "<new>"}}}),
    "add_bos_token": ("tiny-llava", {"tokenizer_config.json": {"add_bos_token": True, "add_eos_token": True}}),
    "add_prefix_space": ("tiny-llava", {"tokenizer_config.json": {"add_prefix_space": True}}),
    "Llama's class of a LLaVA": ("tiny-llava-bytes", {"tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer"}}),
    "Llama's class of a OneVision": (
        "tiny-llava-bytes",
        {"config.json": {"model_type": "llava_onevision"}, "tokenizer_config.json": {"tokenizer_class": "LlamaTokenizerFast"}},
    ),
    "Llama's class, legacy": (
        "tiny-llava-bytes",
        {
            "config.json": {"model_type": "llava_onevision"},
            "tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer", "legacy": True},
        },
    ),
    "Llama's class, no prefix": (
        "tiny-llava-bytes",
        {
            "config.json": {"model_type": "llava_onevision"},
            "tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer", "add_prefix_space": False},
        },
    ),
    "Llama's class of bytes": (
        "tiny-llava",
        {"config.json": {"model_type": "llava_onevision"}, "tokenizer_config.json": {"tokenizer_class": "LlamaTokenizer"}},
    ),
    "Qwen's class of a OneVision": (
        "tiny-llava",
        {"config.json": {"model_type": "llava_onevision"}, "tokenizer_config.json": {"tokenizer_class": "Qwen2Tokenizer"}},
    ),
    "Qwen's class resets flags": (
        "tiny-llava",
        {
            "config.json": {"model_type": "llava_onevision"},
            "tokenizer_config.json": IMAGE | {"tokenizer_class": "Qwen2Tokenizer", "image_token": "<image>"},
        },
    ),
    "added_tokens.json": (
        "tiny-llava",
        {
            "config.json": {"model_type": "llava_onevision"},
            "tokenizer_config.json": {"tokenizer_class": "Qwen2Tokenizer"},
            "added_tokens.json": {"<new>": 400, "<image>": 3},
        },
    ),
    "names in their order": (
        "tiny-llava",
        {"tokenizer_config.json": {"unk_token": "<new>", "sep_token": " NEW", "mask_token": "12345", "eos_token": "isn't"}},
    ),
    "Qwen's class of a LLaVA": ("tiny-llava", {"tokenizer_config.json": {"tokenizer_class": "Qwen2TokenizerFast"}}),
}


def recorded(model, files):
    with tempfile.TemporaryDirectory() as folder:
        for name in ("tokenizer.json", "tokenizer_config.json", "config.json"):
            shutil.copy(HERE / "models" / model / name, folder)
        for name, fields in files.items():
            path = Path(folder) / name
            known = json.loads(path.read_text()) if path.exists() else {}
            path.write_text(json.dumps(known | fields))
        tokenizer = AutoTokenizer.from_pretrained(folder)
        return [{"text": text, "ids": tokenizer(text)["input_ids"]} for text in TEXTS]


def main():
    parser = argparse.ArgumentParser(description="Records ids of texts for tokenizer files that disagree.")
    parser.add_argument("--check", action="store_true", help="write nothing, compare with the file")
    arguments = parser.parse_args()
    cases = [
        {"name": name, "model": model, "files": files, "texts": recorded(model, files)}
        for name, (model, files) in CASES.items()
    ]
    text = json.dumps(cases, indent=1, ensure_ascii=True) + "\n"
    if not arguments.check:
        FILE.write_text(text)
    elif FILE.read_text() != text:
        sys.exit(f"{FILE.name} is not what transformers makes of the files")


if __name__ == "__main__":
    main()
