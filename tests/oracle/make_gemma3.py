"""Makes the tiny model of Gemma 3.

    python make_gemma3.py [--out models]

tiny-gemma3   SigLIP at 26 pixels, of which patches of 3 leave two rows and columns over; 2 x 2 patches to a row; a decoder whose second and
              fourth layer are full and the others sliding, each with its own rotary base; a head size and a factor of the scores of their
              own; bf16, in which the root of the width is rounded; config and names of tensors as in the published files

Random weights, in the layout of Hugging Face's transformers. Needs requirements.txt. The same versions make the same files.
"""

import argparse
import json
from pathlib import Path

from safetensors.torch import load_file, save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import Gemma3Config, Gemma3ForConditionalGeneration, PreTrainedTokenizerFast
from transformers.models.gemma3.modeling_gemma3 import Gemma3RMSNorm

from make_models import HERE, VOCABULARY, amend, scene_texts, spread, write_json

SPECIAL = [
    "<pad>", "<eos>", "<bos>", "<unk>", "<mask>", "<start_of_turn>", "<end_of_turn>", "<start_of_image>", "<end_of_image>",
    "<image_soft_token>",
]
LINES = ["\n", "\n\n", "\n\n\n"]
IMAGE = dict(boi_token_index=7, eoi_token_index=8, image_token_index=9)
PIXELS, ROWS = 26, 16
CONFIG = {
    "architectures": ["Gemma3ForConditionalGeneration"],
    **IMAGE,
    "eos_token_id": 1,
    "initializer_range": 0.02,
    "mm_tokens_per_image": ROWS,
    "model_type": "gemma3",
    "text_config": {
        "head_dim": 12,
        "hidden_size": 40,
        "intermediate_size": 56,
        "max_position_embeddings": 1024,
        "model_type": "gemma3_text",
        "num_attention_heads": 4,
        "num_hidden_layers": 4,
        "num_key_value_heads": 2,
        "query_pre_attn_scalar": 10,
        "rope_local_base_freq": 100.0,
        "rope_scaling": {"factor": 8.0, "rope_type": "linear"},
        "rope_theta": 10000.0,
        "sliding_window": 128,
        "sliding_window_pattern": 2,
        "vocab_size": VOCABULARY,
    },
    "torch_dtype": "bfloat16",
    "transformers_version": "4.50.0",
    "vision_config": {
        "hidden_size": 24,
        "image_size": PIXELS,
        "intermediate_size": 44,
        "model_type": "siglip_vision_model",
        "num_attention_heads": 3,
        "num_hidden_layers": 2,
        "patch_size": 3,
        "vision_use_head": False,
    },
}
PROCESSOR = {
    "do_convert_rgb": None,
    "do_normalize": True,
    "do_pan_and_scan": None,
    "do_rescale": True,
    "do_resize": True,
    "image_mean": [0.5, 0.5, 0.5],
    "image_processor_type": "Gemma3ImageProcessor",
    "image_seq_length": ROWS,
    "image_std": [0.5, 0.5, 0.5],
    "pan_and_scan_max_num_crops": None,
    "pan_and_scan_min_crop_size": None,
    "pan_and_scan_min_ratio_to_activate": None,
    "processor_class": "Gemma3Processor",
    "resample": 2,
    "rescale_factor": 0.00392156862745098,
    "size": {"height": PIXELS, "width": PIXELS},
}
# That of the published models.
TEMPLATE = """{{ bos_token }}
{%- if messages[0]['role'] == 'system' -%}
    {%- if messages[0]['content'] is string -%}
        {%- set first_user_prefix = messages[0]['content'] + '

' -%}
    {%- else -%}
        {%- set first_user_prefix = messages[0]['content'][0]['text'] + '

' -%}
    {%- endif -%}
    {%- set loop_messages = messages[1:] -%}
{%- else -%}
    {%- set first_user_prefix = "" -%}
    {%- set loop_messages = messages -%}
{%- endif -%}
{%- for message in loop_messages -%}
    {%- if (message['role'] == 'user') != (loop.index0 % 2 == 0) -%}
        {{ raise_exception("Conversation roles must alternate user/assistant/user/assistant/...") }}
    {%- endif -%}
    {%- if (message['role'] == 'assistant') -%}
        {%- set role = "model" -%}
    {%- else -%}
        {%- set role = message['role'] -%}
    {%- endif -%}
    {{ '<start_of_turn>' + role + '
' + (first_user_prefix if loop.first else "") }}
    {%- if message['content'] is string -%}
        {{ message['content'] | trim }}
    {%- elif message['content'] is iterable -%}
        {%- for item in message['content'] -%}
            {%- if item['type'] == 'image' -%}
                {{ '<start_of_image>' }}
            {%- elif item['type'] == 'text' -%}
                {{ item['text'] | trim }}
            {%- endif -%}
        {%- endfor -%}
    {%- else -%}
        {{ raise_exception("Invalid content type") }}
    {%- endif -%}
    {{ '<end_of_turn>
' }}
{%- endfor -%}
{%- if add_generation_prompt -%}
    {{'<start_of_turn>model
'}}
{%- endif -%}
"""


def make_tokenizer():
    """Gemma's kind: spaces are U+2581, lines end in tokens of their own, and what no word has is spelt in bytes."""
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="never")
    size = VOCABULARY - 256 - len(SPECIAL) - len(LINES)
    trained.train_from_iterator(scene_texts(), trainers.BpeTrainer(vocab_size=size, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    words = sorted(model["vocab"], key=model["vocab"].get)
    names = SPECIAL + LINES + [f"<0x{byte:02X}>" for byte in range(256)] + words
    merges = [tuple(merge) for merge in model["merges"]]
    vocabulary = {name: index for index, name in enumerate(names)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Replace(" ", "\u2581")
    tokenizer.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.add_tokens([AddedToken(line, normalized=False) for line in LINES])
    tokenizer.post_processor = processors.TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", 2)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        bos_token="<bos>",
        eos_token="<eos>",
        pad_token="<pad>",
        unk_token="<unk>",
        mask_token="<mask>",
        extra_special_tokens=dict(
            boi_token="<start_of_image>", eoi_token="<end_of_image>", image_token="<image_soft_token>"
        ),
    )
    fast.chat_template = TEMPLATE
    return fast


def published(name):
    """The name of a tensor in the published files, whichever transformers saves it under."""
    name = name.removeprefix("model.")
    if name.startswith("language_model."):
        return "language_model.model." + name.removeprefix("language_model.").removeprefix("model.")
    if name.startswith("vision_tower."):
        return "vision_tower.vision_model." + name.removeprefix("vision_tower.").removeprefix("vision_model.")
    return name


def make(folder):
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", CONFIG)
    model = spread(Gemma3ForConditionalGeneration(Gemma3Config.from_pretrained(folder)))
    # Tied embeddings of this size repeat the last token, unless the layers add more to it.
    model.get_input_embeddings().weight.data *= 0.5
    more = dict(post_attention_layernorm=3, post_feedforward_layernorm=3, q_norm=0.25, k_norm=0.25)
    for name, module in model.named_modules():
        if isinstance(module, Gemma3RMSNorm):  # which adds 1 to its weight
            module.weight.data += more.get(name.split(".")[-1], 0) - 1
    model.bfloat16().save_pretrained(folder)
    file = folder / "model.safetensors"
    save_file({published(name): tensor for name, tensor in load_file(file).items()}, file, metadata={"format": "pt"})
    write_json(folder / "config.json", CONFIG)
    make_tokenizer().save_pretrained(folder)
    amend(folder / "tokenizer_config.json", tokenizer_class="GemmaTokenizer")
    write_json(folder / "preprocessor_config.json", PROCESSOR)
    write_json(folder / "processor_config.json", {"image_seq_length": ROWS, "processor_class": "Gemma3Processor"})


def main():
    parser = argparse.ArgumentParser(description="Makes the tiny model of Gemma 3.")
    parser.add_argument("--out", type=Path, default=HERE / "models", help="folder of the models")
    make(parser.parse_args().out / "tiny-gemma3")


if __name__ == "__main__":
    main()
