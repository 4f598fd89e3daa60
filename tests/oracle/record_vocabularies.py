"""Records the ids that transformers gives texts when a checkpoint has vocab.json and merges.txt and no tokenizer.json.

    python record_vocabularies.py           writes ../data/checkpoint/vocabularies.json
    python record_vocabularies.py --check   compares with it and writes nothing

vocabulary, merges   of a small byte-level vocabulary whose tokens go beyond words, so that ids tell where a text is split
cases                the other files of a folder, and the ids of texts as AutoTokenizer reads it, and these ids' text
prompts              questions about pictures as InternVL's original program puts them (`conversation.py`, `InternVLChatModel.chat`,
                     `dynamic_preprocess`), with the ids of the first case's tokenizer

Needs requirements.txt.
"""

import argparse
import json
import sys
import tempfile
from pathlib import Path

from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers, trainers
from transformers import AutoTokenizer

HERE = Path(__file__).resolve().parent
FILE = HERE.parent / "data" / "checkpoint" / "vocabularies.json"
SIZE = 384
CORPUS = [
    "What color is the circle? The circle is red.\n\nIt isn't the square's; they'll see. I'M, WE'LL",
    "def f(x):\n    return x == 12345\n\n\nif x != 0:\r\n    f(x)  # r\u00e9d\n",
    "\u7ea2\u8272\u7684\u5706 \u4f60\u662f\u4e66\u751f\u00b7\u4e07\u8c61\uff0c\u82f1\u6587\u540d\u662fInternVL\u3002",
    "  two  spaces\t\tand tabs 2024 2025 100% (a+b)... a_b na\u00efve \U0001f642\U0001f642",
]
TEXTS = [
    "What color is the circle?\nThe circle is red.",
    "It isn't the square's; they'LL see: I'm, we'll, 'S",
    "def f(x):\n    return x == 12345\n\n\nif x != 0:\r\n    f(x)  # r\u00e9d\n",
    # Composed and decomposed, a ligature, a letter of two characters.
    "re\u0301d r\u00e9d \ufb01 a\u030a \u212b \u1112\u1161\u11ab",
    "\u7ea2\u8272\u7684\u5706\uff0c12\uff13 \u2167 \u00b2 \u0661\u0662",
    "\U0001f642\U0001f642 \u200d\ufe0f \u00a0\u2003x \u2028y\u0085z\ufeff",
    "  two  spaces\t\tand tabs \r\r\n\n  \n end ",
    "<|im_start|>user\n<img><IMG_CONTEXT><IMG_CONTEXT></img>\nWhat?<|im_end|>\n<|im_start|>assistant\n",
    "a<tool_call>{\"a\": 1}</tool_call> b <|endoftext|> c <box> [1, 2]</box>",
    " <|im_end|> x<img>y <new> re\u0301d",
    "100% (a+b)... a_b, na\u00efve--x/y\\z \u0000\u0001",
    " x",
]
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
PLAIN = ["<tool_call>", "</tool_call>"]
PICTURE = ["<img>", "</img>", "<IMG_CONTEXT>", "<box>", "</box>"]


def vocabulary():
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    trainer = trainers.BpeTrainer(vocab_size=SIZE, initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()))
    tokenizer.train_from_iterator(CORPUS, trainer)
    model = json.loads(tokenizer.to_str())["model"]
    merges = [pair if isinstance(pair, str) else " ".join(pair) for pair in model["merges"]]
    return model["vocab"], "#version: 0.2\n" + "\n".join(merges) + "\n"


def entry(content, **flags):
    known = {"lstrip": False, "rstrip": False, "single_word": False, "normalized": False, "special": True}
    return {"content": content} | known | flags


def decoder(**flags):
    """`added_tokens_decoder` as published, with flags of the token that ends a turn."""
    tokens = [entry(text, special=text not in PLAIN) for text in SPECIAL + PLAIN + PICTURE]
    tokens[2] |= flags
    return {str(SIZE + n): token for n, token in enumerate(tokens)}


ADDED = {text: SIZE + n for n, text in enumerate(SPECIAL + PLAIN + PICTURE)}
LISTED = ["<|im_start|>", "<|im_end|>"]
NAMES = dict(bos_token=None, eos_token="<|im_end|>", pad_token="<|endoftext|>", unk_token=None)
SETTINGS = dict(
    add_bos_token=False,
    add_eos_token=False,
    add_prefix_space=False,
    additional_special_tokens=LISTED,
    clean_up_tokenization_spaces=False,
    errors="replace",
    model_max_length=12288,
    split_special_tokens=False,
    tokenizer_class="Qwen2Tokenizer",
)
CHAT = {"model_type": "internvl_chat"}
IDEFICS = {"model_type": "idefics3"}
MAP = dict(
    additional_special_tokens=LISTED,
    eos_token=entry("<|im_end|>") | {"special": None},
    pad_token=entry("<|endoftext|>") | {"special": None},
)
MAP = {name: {k: v for k, v in value.items() if v is not None} if isinstance(value, dict) else value for name, value in MAP.items()}
GPT2 = SETTINGS | {"tokenizer_class": "GPT2Tokenizer"}


def case(name, config, settings, added=None, names=None):
    files = {"config.json": config, "tokenizer_config.json": settings}
    if added is not None:
        files["added_tokens.json"] = added
    if names is not None:
        files["special_tokens_map.json"] = names
    return name, files


CASES = [
    case("as published", CHAT, SETTINGS | NAMES | {"added_tokens_decoder": decoder()}, ADDED, MAP),
    case("the name of the fast class", CHAT, SETTINGS | NAMES | {"added_tokens_decoder": decoder(), "tokenizer_class": "Qwen2TokenizerFast"}),
    case("added_tokens.json that the config overrules", CHAT, SETTINGS | NAMES | {"added_tokens_decoder": decoder()}, {"<new>": SIZE}),
    case("added_tokens.json", CHAT, SETTINGS | NAMES, ADDED),
    case("added_tokens.json and names in the map", CHAT, {"tokenizer_class": "Qwen2Tokenizer"}, ADDED, MAP),
    case("a map with nulls and texts", CHAT, SETTINGS | NAMES, ADDED, {"eos_token": "<new>", "pad_token": None, "unk_token": "<box>"}),
    case("names left out", CHAT, {"tokenizer_class": "Qwen2Tokenizer"}),
    case("names left out, one of them null", CHAT, {"tokenizer_class": "Qwen2Tokenizer", "eos_token": None, "bos_token": "<new>"}),
    case("a space before the text", CHAT, SETTINGS | NAMES | {"added_tokens_decoder": decoder(), "add_prefix_space": True}),
    case("flags of a named token", CHAT, SETTINGS | NAMES | {"added_tokens_decoder": decoder(lstrip=True, rstrip=True)}),
    case("a normalised token", CHAT, SETTINGS | NAMES, ADDED | {"re\u0301d": SIZE + len(ADDED)}),
    case("names in another order", CHAT, {"tokenizer_class": "Qwen2Tokenizer", "unk_token": "<new>", "eos_token": "<box>", "pad_token": "<img>"}),
    case("GPT-2", IDEFICS, GPT2 | NAMES | {"added_tokens_decoder": decoder()}, ADDED, MAP),
    case("GPT-2, added_tokens.json", IDEFICS, GPT2 | NAMES, ADDED, MAP),
    case("GPT-2, names left out", IDEFICS, {"tokenizer_class": "GPT2Tokenizer"}),
    case("GPT-2, a space before the text", IDEFICS, GPT2 | NAMES | {"added_tokens_decoder": decoder(), "add_prefix_space": True}),
    case("GPT-2, flags of a named token", IDEFICS, GPT2 | NAMES | {"added_tokens_decoder": decoder(lstrip=True, rstrip=True)}),
]


def load(files, vocab, merges):
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        (folder / "vocab.json").write_text(json.dumps(vocab))
        (folder / "merges.txt").write_bytes(merges.encode())
        for name, fields in files.items():
            (folder / name).write_text(json.dumps(fields))
        return AutoTokenizer.from_pretrained(folder)


# The original program's conversations: the system's text, and what ends a turn.
SYSTEM = "\u4f60\u662f\u4e66\u751f\u00b7\u4e07\u8c61\uff0c\u82f1\u6587\u540d\u662fInternVL\uff0c\u662f\u7531\u4e0a\u6d77\u4eba\u5de5\u667a\u80fd\u5b9e\u9a8c\u5ba4\u3001\u6e05\u534e\u5927\u5b66\u53ca\u591a\u5bb6\u5408\u4f5c\u5355\u4f4d\u8054\u5408\u5f00\u53d1\u7684\u591a\u6a21\u6001\u5927\u8bed\u8a00\u6a21\u578b\u3002"
OLDER = "\u4f60\u662f\u7531\u4e0a\u6d77\u4eba\u5de5\u667a\u80fd\u5b9e\u9a8c\u5ba4\u8054\u5408\u5546\u6c64\u79d1\u6280\u5f00\u53d1\u7684\u4e66\u751f\u591a\u6a21\u6001\u5927\u6a21\u578b\uff0c\u82f1\u6587\u540d\u53ebInternVL, \u662f\u4e00\u4e2a\u6709\u7528\u65e0\u5bb3\u7684\u4eba\u5de5\u667a\u80fd\u52a9\u624b\u3002"
TEMPLATES = {
    "internvl2_5": (SYSTEM, "<|im_end|>\n"),
    "Hermes-2": (OLDER, "<|im_end|>"),
    "internlm2-chat": (OLDER, "<|im_end|>"),
}
QUESTIONS = ["What color is the circle?", " Describe it.\n\n", "\u4ec0\u4e48\uff1f isn't it re\u0301d, 12 or 345?"]
PICTURES = ["cat.png", "tall.png", "wide.png", "small.png"]
# Those of models/tiny-internvl.
ROWS, MOST = 4, 6


def views(width, height, side):
    """Tiles of `dynamic_preprocess`, and one of the whole picture where there are several."""
    grids = {(i, j) for n in range(1, MOST + 1) for i in range(1, n + 1) for j in range(1, n + 1) if i * j <= MOST}
    best, distance = (1, 1), float("inf")
    for columns, rows in sorted(grids, key=lambda grid: grid[0] * grid[1]):
        off = abs(width / height - columns / rows)
        if off < distance or (off == distance and width * height > 0.5 * side * side * columns * rows):
            best, distance = (columns, rows), min(off, distance)
    tiles = best[0] * best[1]
    return tiles + (tiles > 1)


def prompts(tokenizer):
    for name, (system, end) in TEMPLATES.items():
        for question, picture in [(question, "cat.png") for question in QUESTIONS] + [(QUESTIONS[0], picture) for picture in PICTURES[1:]]:
            with Image.open(HERE / "images" / picture) as image:
                count = views(*image.size, 14)
            text = f"<|im_start|>system\n{system}{end}<|im_start|>user\n<image>\n{question}{end}<|im_start|>assistant\n"
            text = text.replace("<image>", "<img>" + "<IMG_CONTEXT>" * ROWS * count + "</img>", 1)
            ids = tokenizer(text)["input_ids"]
            yield dict(template=name, picture=picture, question=question, views=count, ids=ids)


def main():
    parser = argparse.ArgumentParser(description="Records ids of texts for folders without a tokenizer.json.")
    parser.add_argument("--check", action="store_true", help="write nothing, compare with the file")
    arguments = parser.parse_args()
    vocab, merges = vocabulary()
    cases = []
    for name, files in CASES:
        tokenizer = load(files, vocab, merges)
        texts = [dict(text=text, ids=tokenizer(text)["input_ids"]) for text in TEXTS]
        for text in texts:
            text["decoded"] = tokenizer.decode(text["ids"])
        cases.append(dict(name=name, files=files, texts=texts))
    first = load(CASES[0][1], vocab, merges)
    recorded = dict(vocabulary=vocab, merges=merges, cases=cases, prompts=list(prompts(first)))
    text = json.dumps(recorded, separators=(",", ":"), ensure_ascii=True) + "\n"
    if not arguments.check:
        FILE.write_text(text)
    elif FILE.read_text() != text:
        sys.exit(f"{FILE.name} is not what transformers makes of the files")


if __name__ == "__main__":
    main()
