"""Records what transformers makes of one saved checkpoint after each of many small edits of its files.

    python record_precedence.py           writes precedence/recorded.json
    python record_precedence.py --check   records into memory, and compares with that file
    python record_precedence.py NAME ...  prints what was found for some edits, and writes nothing

`precedence/edits.json` lists the edits: which file and which field is changed, removed or added. README.md says how they
are written. Pictures are resized with the Pillow backend, and the model computes in float64.
"""

import argparse
import copy
import json
import logging
import os
import shutil
import sys
import tempfile
import warnings
from pathlib import Path

import torch
from PIL import Image
from transformers import (
    AutoImageProcessor,
    AutoModelForImageTextToText,
    AutoTokenizer,
    LlavaNextProcessor,
    LlavaOnevisionProcessor,
    LlavaOnevisionVideoProcessor,
    LlavaProcessor,
)

HERE = Path(__file__).resolve().parent
EDITS = HERE / "precedence" / "edits.json"
RECORDED = HERE / "precedence" / "recorded.json"
PROCESSORS = {"llava": LlavaProcessor, "llava_next": LlavaNextProcessor, "llava_onevision": LlavaOnevisionProcessor}
PIXELS = 24  # of each picture, evenly spaced
NEW_TOKENS = 6


def apply(folder, steps):
    """Changes a folder as the steps of an edit say."""
    for step in steps:
        path = folder / step["file"]
        if step.get("remove"):
            path.unlink()
            continue
        path.parent.mkdir(exist_ok=True)
        if "text" in step:
            path.write_bytes(step["text"].encode())
            continue
        value = step["json"] if "json" in step else json.loads(path.read_text()) if path.exists() else {}
        value = copy.deepcopy(value)
        for name in step.get("unset", []):
            *above, last = name.split(".")
            place = value
            for part in above:
                place = place[part]
            del place[last]
        for name, new in step.get("set", {}).items():
            *above, last = name.split(".")
            place = value
            for part in above:
                place = place.setdefault(part, {})
            place[last] = new
        path.write_text(json.dumps(value, indent=2))


def processor_of(folder, tokenizer, config):
    """The checkpoint's processor, as `AutoProcessor` makes it but for the backend that resizes."""
    kind = PROCESSORS[config.model_type]
    fields, _ = kind.get_processor_dict(folder)
    parts = [AutoImageProcessor.from_pretrained(folder, backend="pil"), tokenizer]
    if kind is LlavaOnevisionProcessor:
        parts.append(LlavaOnevisionVideoProcessor())  # unused, but required
    processor = kind.from_args_and_dict(parts, fields)
    if processor.chat_template is None:
        processor.chat_template = tokenizer.chat_template
    return processor


def observe(folder, question, picture, answer):
    """Ids of the prompt, some pixels, log-probabilities of an answer, and the greedy answer."""
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager")
    model = model.to(torch.float64).eval().requires_grad_(False)
    tokenizer = AutoTokenizer.from_pretrained(folder)
    processor = processor_of(folder, tokenizer, model.config)
    content = [{"type": "image", "image": picture}, {"type": "text", "text": question}]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}],
        add_generation_prompt=True,
        tokenize=True,
        return_dict=True,
        return_tensors="pt",
    )
    inputs = {name: inputs[name] for name in ("input_ids", "pixel_values", "image_sizes") if name in inputs}
    inputs["pixel_values"] = inputs["pixel_values"].double()
    ids = inputs["input_ids"]
    whole = dict(inputs, input_ids=torch.cat([ids, torch.tensor([answer])], 1))
    logits = model(**whole).logits[0, ids.shape[1] - 1 : -1]
    logp = torch.log_softmax(logits, -1).gather(1, torch.tensor(answer)[:, None])[:, 0]
    inputs["attention_mask"] = torch.ones_like(ids)
    image = model.config.image_token_id
    greedy = model.generate(**inputs, max_new_tokens=NEW_TOKENS, do_sample=False, num_beams=1, suppress_tokens=[image])
    greedy = greedy[0, ids.shape[1] :].tolist()
    stops = model.generation_config.eos_token_id
    stops = stops if isinstance(stops, list) else [stops]
    if greedy[-1] in stops:
        greedy.pop()
    ids = ids[0].tolist()
    first, images = ids.index(image), ids.count(image)
    assert ids[first : first + images] == [image] * images
    pixels = inputs["pixel_values"].flatten()
    chosen = pixels[torch.arange(PIXELS) * (len(pixels) // PIXELS)]
    return {
        "ids": ids[: first + 1] + ids[first + images :],
        "image_tokens": images,
        "pixel_values": len(pixels),
        "pixels": [round(value, 7) for value in chosen.tolist()],
        "logp": [round(value, 9) for value in logp.tolist()],
        "greedy": greedy,
    }


def record(table, edit):
    """What transformers makes of an edit, or how it refuses."""
    base = table["bases"][edit["base"]]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "model"
        shutil.copytree(HERE / "models" / base["model"], folder)
        apply(folder, base["steps"] + edit["steps"])
        picture = Image.open(HERE / base["picture"]).convert("RGB")
        try:
            return observe(folder, table["question"], picture, table["answer"])
        except Exception as error:
            reason = f"{type(error).__name__}: {error}".replace(str(folder), "").splitlines()[0]
            return {"refused": reason[:160]}


def shortened(table, recorded):
    """The records, each without what is as in the first of its base."""
    first = {}
    short = {}
    for edit in table["edits"]:
        record = recorded[edit["name"]]
        base = first.setdefault(edit["base"], record)
        same = {} if record is base or "refused" in record else base
        short[edit["name"]] = {name: value for name, value in record.items() if value != same.get(name)}
    return short


def whole(table, short):
    """The inverse of `shortened`."""
    first = {}
    recorded = {}
    for edit in table["edits"]:
        record = short.get(edit["name"], {})
        base = first.setdefault(edit["base"], record)
        recorded[edit["name"]] = record if "refused" in record else {**base, **record}
    return recorded


def close(found, expected):
    """Whether two records are the same but for rounding."""
    if found.keys() != expected.keys():
        return False
    near = {"pixels": 2e-6, "logp": 1e-6}
    for name, value in found.items():
        if name in near:
            if any(abs(a - b) > near[name] for a, b in zip(value, expected[name], strict=True)):
                return False
        elif name != "refused" and value != expected[name]:
            return False
    return True


def lines(recorded):
    """JSON with one edit on each line."""
    body = ",\n".join(f"{json.dumps(name)}: {json.dumps(value)}" for name, value in recorded.items())
    return "{\n" + body + "\n}\n"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*")
    parser.add_argument("--check", action="store_true")
    arguments = parser.parse_args()
    os.environ["TRANSFORMERS_VERBOSITY"] = "error"
    logging.disable(logging.ERROR)
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    table = json.loads(EDITS.read_text())
    edits = [edit for edit in table["edits"] if not arguments.names or edit["name"] in arguments.names]
    recorded = {edit["name"]: record(table, edit) for edit in edits}
    if arguments.names:
        print(lines(recorded), end="")
    elif arguments.check:
        expected = whole(table, json.loads(RECORDED.read_text()))
        wrong = [name for name, value in recorded.items() if not close(value, expected[name])]
        sys.exit(f"not as recorded: {', '.join(wrong)}" if wrong else 0)
    else:
        RECORDED.write_text(lines(shortened(table, recorded)))


if __name__ == "__main__":
    main()
