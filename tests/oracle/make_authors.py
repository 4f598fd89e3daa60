"""Writes models/tiny-llava in the layout of LLaVA-1.5's authors: tiny-llava-llama, and its encoder as tiny-clip.

    python make_authors.py [--out models]

The encoder's tensors are under the names of transformers' CLIPVisionModel, beside others that are not used; the tokenizer adds a
begin marker of its own, as Llama's does.
"""

import argparse
import json
import shutil
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from make_models import HERE, write_json

NAMES = (
    ("vision_tower.", "vision_model."),
    ("multi_modal_projector.linear_1.", "model.mm_projector.0."),
    ("multi_modal_projector.linear_2.", "model.mm_projector.2."),
    ("language_model.model.", "model."),
    ("language_model.lm_head.", "lm_head."),
)


def renamed(name):
    for old, new in NAMES:
        if name.startswith(old):
            return new + name.removeprefix(old)
    raise ValueError(name)


def add_begin(tokenizer):
    """The fast tokenizer's own way to put a begin marker first."""
    begin = {"SpecialToken": {"id": "<s>", "type_id": 0}}
    sequence = {"Sequence": {"id": "A", "type_id": 0}}
    tokenizer["post_processor"] = {
        "type": "TemplateProcessing",
        "single": [begin, sequence],
        "pair": [begin, sequence, {"Sequence": {"id": "B", "type_id": 1}}],
        "special_tokens": {"<s>": {"id": "<s>", "ids": [1], "tokens": ["<s>"]}},
    }


def main():
    parser = argparse.ArgumentParser(description="Writes tiny-llava in its authors' layout.")
    parser.add_argument("--out", type=Path, default=HERE / "models", help="folder of the models")
    out = parser.parse_args().out
    origin, model, encoder = (out / name for name in ("tiny-llava", "tiny-llava-llama", "tiny-clip"))
    for folder in (model, encoder):
        folder.mkdir(parents=True, exist_ok=True)
    config = json.loads((origin / "config.json").read_text())
    tensors = {renamed(name): tensor for name, tensor in load_file(origin / "model.safetensors").items()}
    inside = {name: tensor for name, tensor in tensors.items() if name.startswith("vision_model.")}
    rest = {name: tensor for name, tensor in tensors.items() if name not in inside}
    save_file(rest, model / "model.safetensors", metadata={"format": "pt"})
    unused = {"text_projection.weight": torch.zeros(2, 2), "logit_scale": torch.zeros(1)}
    save_file(inside | unused, encoder / "model.safetensors", metadata={"format": "pt"})

    text = {k: v for k, v in config["text_config"].items() if k != "model_type"}
    fields = dict(
        _name_or_path="tiny-llava",
        architectures=["LlavaLlamaForCausalLM"],
        model_type="llava_llama",
        image_aspect_ratio="pad",
        mm_hidden_size=config["vision_config"]["hidden_size"],
        mm_projector_type="mlp2x_gelu",
        mm_use_im_patch_token=False,
        mm_use_im_start_end=False,
        mm_vision_select_feature="patch",
        mm_vision_select_layer=-2,
        mm_vision_tower="openai/tiny-clip",
        tie_word_embeddings=False,
    )
    write_json(model / "config.json", text | fields)
    write_json(encoder / "config.json", {"model_type": "clip", "vision_config": config["vision_config"]})
    shutil.copy(origin / "preprocessor_config.json", encoder)
    tokenizer = json.loads((origin / "tokenizer.json").read_text())
    add_begin(tokenizer)
    (model / "tokenizer.json").write_text(json.dumps(tokenizer, indent=1, ensure_ascii=False) + "\n")
    shutil.copy(origin / "tokenizer_config.json", model)


if __name__ == "__main__":
    main()
