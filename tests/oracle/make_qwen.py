"""Makes the tiny models that see a picture of any shape in whole patches.

    python make_qwen.py [--out models]

tiny-qwen2-5-vl   Qwen2.5-VL: patches of 3 pixels, 2 x 2 to a row of the decoder; windows of 2 x 2 rows in two layers of three; a config
                  without sections and names of tensors as in the published files; tied embeddings
tiny-qwen2-vl     Qwen2-VL: patches of 2 pixels, 3 x 3 to a row; three frames of a picture; a config with a section for the decoder and
                  names of tensors as in transformers 5
tiny-qwen3-vl     Qwen3-VL: patches of 4 pixels, 2 x 2 to a row; a table of 5 x 5 positions; features of two encoder layers of three, whose
                  list is not sorted, added after two decoder layers of three; a head size of its own; config and names as published

Random weights, in the layout of Hugging Face's transformers. Needs requirements.txt. The same versions make the same files.
"""

import argparse
import json
from pathlib import Path

from safetensors.torch import load_file, save_file
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2VLConfig,
    Qwen2VLForConditionalGeneration,
    Qwen3VLConfig,
    Qwen3VLForConditionalGeneration,
)
from transformers.models.qwen2_vl.image_processing_pil_qwen2_vl import Qwen2VLImageProcessorPil

from make_models import HERE, VOCABULARY, amend, spread, write_json
from make_split import make_tokenizer

SPECIAL = [
    "<|endoftext|>", "<|im_start|>", "<|im_end|>", "<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>"
]
TOKENS = dict(vision_start_token_id=3, vision_end_token_id=4, image_token_id=5, video_token_id=6)
TEXT = dict(
    vocab_size=VOCABULARY,
    hidden_size=48,
    intermediate_size=88,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=1024,
    rms_norm_eps=1e-6,
    bos_token_id=0,
    eos_token_id=2,
    pad_token_id=0,
)
# That of the published models.
TEMPLATE = (
    "{% set image_count = namespace(value=0) %}{% set video_count = namespace(value=0) %}{% for message in messages %}"
    "{% if loop.first and message['role'] != 'system' %}<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
    "{% endif %}<|im_start|>{{ message['role'] }}\n{% if message['content'] is string %}{{ message['content'] }}"
    "<|im_end|>\n{% else %}{% for content in message['content'] %}{% if content['type'] == 'image' or 'image' in content "
    "or 'image_url' in content %}{% set image_count.value = image_count.value + 1 %}{% if add_vision_id %}Picture "
    "{{ image_count.value }}: {% endif %}<|vision_start|><|image_pad|><|vision_end|>{% elif content['type'] == 'video' "
    "or 'video' in content %}{% set video_count.value = video_count.value + 1 %}{% if add_vision_id %}Video "
    "{{ video_count.value }}: {% endif %}<|vision_start|><|video_pad|><|vision_end|>{% elif 'text' in content %}"
    "{{ content['text'] }}{% endif %}{% endfor %}<|im_end|>\n{% endif %}{% endfor %}{% if add_generation_prompt %}"
    "<|im_start|>assistant\n{% endif %}"
)
# The part for questions of that of the published Qwen3-VL.
TEMPLATE_3 = (
    "{%- for message in messages %}{%- if message.role == 'user' %}{{- '<|im_start|>' + message.role + '\\n' }}"
    "{%- if message.content is string %}{{- message.content }}{%- else %}{%- for content in message.content %}"
    "{%- if content.type == 'image' or 'image' in content or 'image_url' in content %}"
    "{{- '<|vision_start|><|image_pad|><|vision_end|>' }}{%- elif 'text' in content %}{{- content.text }}{%- endif %}"
    "{%- endfor %}{%- endif %}{{- '<|im_end|>\\n' }}{%- endif %}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}{%- endif %}"
)


def published(folder):
    """Writes the config and the names of tensors as the published files have them."""
    file = folder / "model.safetensors"
    names = lambda name: name.replace("model.visual.", "visual.").replace("model.language_model.", "model.")
    save_file({names(name): tensor for name, tensor in load_file(file).items()}, file, metadata={"format": "pt"})
    config = json.loads((folder / "config.json").read_text())
    text, vision = config.pop("text_config"), config["vision_config"]
    rope = text.pop("rope_parameters")
    kept = {name: text[name] for name in TEXT} | dict(hidden_act="silu", use_sliding_window=False, max_window_layers=2)
    scaling = {"type": "mrope", "mrope_section": rope["mrope_section"]}
    vision.pop("rope_parameters")
    vision["model_type"] = "qwen2_5_vl"
    config |= kept | dict(rope_theta=rope["rope_theta"], rope_scaling=scaling)
    write_json(folder / "config.json", dict(sorted(config.items())))


def rename(folder):
    """Writes the names that tensors have in transformers 5, whichever it saves them under."""
    file = folder / "model.safetensors"
    tensors = load_file(file)

    def name(old):
        if old.startswith("visual."):
            return f"model.{old}"
        if old.startswith("model.") and not old.startswith(("model.visual.", "model.language_model.")):
            return old.replace("model.", "model.language_model.", 1)
        return old

    save_file({name(old): tensor for old, tensor in tensors.items()}, file, metadata={"format": "pt"})


def published_3(folder):
    """Writes the config of Qwen3-VL as the published files have it."""
    config = json.loads((folder / "config.json").read_text())
    text, vision = config["text_config"], config["vision_config"]
    rope = text.pop("rope_parameters")
    text["rope_theta"] = rope.pop("rope_theta")
    text["rope_scaling"] = dict(mrope_interleaved=True) | rope
    text["tie_word_embeddings"] = config["tie_word_embeddings"]
    vision.pop("rope_parameters")
    vision["model_type"] = "qwen3_vl"
    write_json(folder / "config.json", config)


def make(folder, cls, config, images, template=TEMPLATE):
    tokenizer = make_tokenizer(SPECIAL, template, eos_token=SPECIAL[2], pad_token=SPECIAL[0])
    spread(cls(config)).half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    amend(folder / "tokenizer_config.json", tokenizer_class="Qwen2Tokenizer")
    images.save_pretrained(folder)
    amend(folder / "preprocessor_config.json", image_processor_type="Qwen2VLImageProcessor")


def main():
    parser = argparse.ArgumentParser(description="Makes the tiny models that see a picture in whole patches.")
    parser.add_argument("--out", type=Path, default=HERE / "models", help="folder of the models")
    out = parser.parse_args().out
    vision = dict(
        depth=3, hidden_size=24, num_heads=3, intermediate_size=52, patch_size=3, spatial_merge_size=2, window_size=13,
        fullatt_block_indexes=[1], out_hidden_size=48,
    )
    rope = dict(rope_type="default", rope_theta=1000000.0, mrope_section=[1, 2, 3])
    config = Qwen2_5_VLConfig(
        vision_config=vision, text_config=TEXT | dict(rope_parameters=rope), tie_word_embeddings=True, **TOKENS
    )
    images = Qwen2VLImageProcessorPil(patch_size=3, min_pixels=36 * 12, max_pixels=36 * 30)
    folder = out / "tiny-qwen2-5-vl"
    make(folder, Qwen2_5_VLForConditionalGeneration, config, images)
    rename(folder)
    published(folder)
    file = folder / "preprocessor_config.json"
    fields = json.loads(file.read_text())
    fields.pop("size")
    write_json(file, fields | dict(min_pixels=36 * 12, max_pixels=36 * 30))

    vision = dict(
        depth=2, embed_dim=24, num_heads=3, mlp_ratio=2, patch_size=2, spatial_merge_size=3, temporal_patch_size=3,
        hidden_size=48,
    )
    rope = dict(rope_type="default", rope_theta=10000.0, mrope_section=[2, 1, 3])
    config = Qwen2VLConfig(vision_config=vision, text_config=TEXT | dict(rope_parameters=rope), **TOKENS)
    size = dict(shortest_edge=36 * 10, longest_edge=36 * 25)
    images = Qwen2VLImageProcessorPil(patch_size=2, merge_size=3, temporal_patch_size=3, size=size)
    folder = out / "tiny-qwen2-vl"
    make(folder, Qwen2VLForConditionalGeneration, config, images)
    rename(folder)

    vision = dict(
        depth=3, hidden_size=16, num_heads=2, intermediate_size=36, patch_size=4, out_hidden_size=32, num_position_embeddings=25,
        deepstack_visual_indexes=[2, 0],
    )
    rope = dict(rope_type="default", rope_theta=5000000.0, mrope_section=[4, 2, 2])
    text = dict(hidden_size=32, intermediate_size=56, num_hidden_layers=3, head_dim=16)
    config = Qwen3VLConfig(
        vision_config=vision, text_config=TEXT | text | dict(rope_parameters=rope), tie_word_embeddings=True, **TOKENS
    )
    size = dict(shortest_edge=64 * 12, longest_edge=64 * 30)
    images = Qwen2VLImageProcessorPil(patch_size=4, size=size, image_mean=[0.5] * 3, image_std=[0.5] * 3)
    folder = out / "tiny-qwen3-vl"
    make(folder, Qwen3VLForConditionalGeneration, config, images, TEMPLATE_3)
    rename(folder)
    published_3(folder)


if __name__ == "__main__":
    main()
