"""Makes the tiny models that the recorded cases use: random weights, for comparing numbers only.

    python make_models.py [--out models] [tiny-llava tiny-llava-gqa tiny-llava-variant]

All are LLaVAs (CLIP ViT, two-layer projector, Llama decoder) in the layout of Hugging Face's transformers:

tiny-llava          f16, one file, as transformers 5 writes it
tiny-llava-gqa      the same with one key-value head for five and with tied embeddings
tiny-llava-variant  what the other two leave out: bf16 in two files, the names and the config spelling of
                    transformers 4, fields left out where they equal a default, encoder layers counted from the
                    front, the class token kept, a head size of its own, biases, Llama-3 rope scaling, other
                    activations, and an image processor whose crop is higher than the resized picture
tiny-llava-bytes    tiny-llava's weights under a tokenizer like Llama 2's: SentencePiece's BPE with tokens for bytes
tiny-llava-unigram  the same under one of scored words whose spaces are kept by Metaspace

Needs requirements.txt. The same versions make the same files.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    PreTrainedTokenizerFast,
)

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "assets" / "demo"))
from scenes import qa, scene  # noqa: E402  (found through the line above)

SEED = 11
VOCABULARY = 400
IMAGE_TOKEN = 3
SPECIAL_TOKENS = ["<pad>", "<s>", "</s>", "<image>"]  # ids 0, 1, 2 and IMAGE_TOKEN

CHAT_TEMPLATE = (
    "{{ bos_token }}A chat about a picture. "
    "{% for m in messages %}"
    "{% if m['role']=='user' %}USER: "
    "{% for c in m['content'] %}{% if c['type']=='image' %}<image>\n{% endif %}{% endfor %}"
    "{% for c in m['content'] %}{% if c['type']=='text' %}{{ c['text'] }}{% endif %}{% endfor %}"
    "{% else %} ASSISTANT: "
    "{% for c in m['content'] %}{% if c['type']=='text' %}{{ c['text'] }}{% endif %}{% endfor %}"
    "{{ eos_token }}"
    "{% endif %}{% endfor %}"
    "{% if add_generation_prompt %} ASSISTANT:{% endif %}"
)


def scene_texts():
    """Questions about drawn scenes and their answers: what the tokenizers are trained on."""
    rng = np.random.default_rng(7)
    texts = []
    for _ in range(3000):
        _, objects = scene(rng, size=16)
        question, answer, _, _ = qa(rng, objects)
        texts += [question, answer]
    return texts


def make_tokenizer():
    """A byte-level BPE tokenizer trained on questions about drawn scenes and their answers."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=SPECIAL_TOKENS,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(scene_texts(), trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    fast.chat_template = CHAT_TEMPLATE
    return fast


def spread(model, gain=1.6):
    """Gives every parameter a random value, larger than the usual 0.02, so that outputs depend on every input."""
    generator = torch.Generator().manual_seed(SEED)
    for name, parameter in model.named_parameters():
        noise = torch.randn(parameter.shape, generator=generator)
        owner = name.split(".")[-2]
        if parameter.ndim >= 2 and "embed" not in owner:
            inputs = parameter[0].numel()
            parameter.data = noise * gain / inputs**0.5
        elif "embed" in name:
            parameter.data = noise * 0.5
        elif name.endswith("bias"):
            parameter.data = noise * 0.1
        else:  # the scale of a norm
            parameter.data = 1 + noise * 0.1
    return model


def make_plain(folder, grouped):
    """tiny-llava, or with `grouped` tiny-llava-gqa, written by transformers itself."""
    vision = CLIPVisionConfig(
        hidden_size=48,
        intermediate_size=112,
        num_hidden_layers=4,
        num_attention_heads=3,
        image_size=56,
        patch_size=14,
        hidden_act="quick_gelu",
        projection_dim=32,
    )
    text = LlamaConfig(
        vocab_size=VOCABULARY,
        hidden_size=80 if grouped else 64,
        intermediate_size=136,
        num_hidden_layers=3,
        num_attention_heads=5 if grouped else 4,
        num_key_value_heads=1 if grouped else 4,
        max_position_embeddings=512,
        rms_norm_eps=1e-5,
        tie_word_embeddings=grouped,
        bos_token_id=1,
        eos_token_id=2,
        pad_token_id=0,
    )
    config = LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=IMAGE_TOKEN,
        image_seq_length=16,
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
    )
    spread(LlavaForConditionalGeneration(config)).half().save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    processor = CLIPImageProcessorPil(size={"shortest_edge": 56}, crop_size={"height": 56, "width": 56})
    processor.save_pretrained(folder)
    # The class that reads the same file whichever library does the resizing.
    amend(folder / "preprocessor_config.json", image_processor_type="CLIPImageProcessor")


VARIANT_CONFIG = {
    "architectures": ["LlavaForConditionalGeneration"],
    "ignore_index": -100,
    "image_token_index": IMAGE_TOKEN,
    "model_type": "llava",
    "projector_hidden_act": "gelu_pytorch_tanh",
    "text_config": {
        "attention_bias": True,
        "head_dim": 20,
        "hidden_act": "gelu",
        "hidden_size": 48,
        "intermediate_size": 100,
        "max_position_embeddings": 512,
        "mlp_bias": True,
        "model_type": "llama",
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "num_key_value_heads": 2,
        # Wavelengths of these ten frequencies: 6 and 16 tokens stay, 40 is blended, the others are divided.
        "rope_scaling": {
            "factor": 8.0,
            "high_freq_factor": 4.0,
            "low_freq_factor": 1.0,
            "original_max_position_embeddings": 64,
            "rope_type": "llama3",
        },
        "rope_theta": 10000.0,
        "torch_dtype": "bfloat16",
        "vocab_size": VOCABULARY,
    },
    "torch_dtype": "bfloat16",
    "transformers_version": "4.46.0",
    "vision_config": {
        "hidden_act": "silu",
        "hidden_size": 36,
        "image_size": 42,
        "intermediate_size": 80,
        "model_type": "clip_vision_model",
        "num_attention_heads": 3,
        "num_hidden_layers": 4,
        "patch_size": 14,
        "projection_dim": 32,
    },
    "vision_feature_layer": 2,
    "vision_feature_select_strategy": "full",
}

VARIANT_PROCESSOR = {
    "crop_size": 42,
    "do_center_crop": True,
    "do_normalize": True,
    "do_resize": True,
    "feature_extractor_type": "CLIPFeatureExtractor",
    "image_mean": [0.48145466, 0.4578275, 0.40821073],
    "image_std": [0.26862954, 0.26130258, 0.27577711],
    "resample": 3,
    "size": 37,
}


def make_variant(folder):
    """tiny-llava-variant: files as transformers 4 and the hub's older checkpoints have them."""
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "config.json", VARIANT_CONFIG)
    write_json(folder / "preprocessor_config.json", VARIANT_PROCESSOR)
    tokenizer = make_tokenizer()
    tokenizer.save_pretrained(folder, save_jinja_files=False)

    config = LlavaConfig.from_pretrained(folder)
    model = spread(LlavaForConditionalGeneration(config)).bfloat16()
    tensors = {old_name(name): tensor.contiguous() for name, tensor in model.state_dict().items()}

    # Two files of about the same size, whose border lies inside a layer of the decoder.
    names = sorted(tensors)
    total = sum(tensors[name].nbytes for name in names)
    shards, held = [[], []], 0
    for name in names:
        shards[0 if held < total / 2 else 1].append(name)
        held += tensors[name].nbytes
    files = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        save_file({name: tensors[name] for name in shard}, folder / file, metadata={"format": "pt"})
        files.update(dict.fromkeys(shard, file))
    index = {"metadata": {"total_size": total}, "weight_map": files}
    write_json(folder / "model.safetensors.index.json", index)


def old_name(name):
    """A parameter's name in transformers 5's modules, as transformers 4 wrote it to files."""
    for new, old in (
        ("model.vision_tower.", "vision_tower.vision_model."),
        ("model.multi_modal_projector.", "multi_modal_projector."),
        ("model.language_model.", "language_model.model."),
        ("lm_head.", "language_model.lm_head."),
    ):
        if name.startswith(new):
            return old + name.removeprefix(new)
    raise ValueError(f"a parameter of no known part: {name}")


def make_bytes_tokenizer():
    """Llama 2's kind: spaces are U+2581, one stands before each text, and what no word has is spelt in bytes."""
    special = [*SPECIAL_TOKENS, "<unk>"]
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace()
    size = VOCABULARY - 256 - len(special)
    trained.train_from_iterator(scene_texts(), trainers.BpeTrainer(vocab_size=size, show_progress=False))
    model = json.loads(trained.to_str())["model"]
    words = sorted(model["vocab"], key=model["vocab"].get)
    names = special + [f"<0x{byte:02X}>" for byte in range(256)] + words
    merges = [tuple(merge) for merge in model["merges"]]
    vocabulary = {name: index for index, name in enumerate(names)}
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    steps = [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    tokenizer.decoder = decoders.Sequence(steps)
    return tokenizer, special


def make_unigram_tokenizer():
    special = [*SPECIAL_TOKENS, "<unk>"]
    tokenizer = Tokenizer(models.Unigram())
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=VOCABULARY, special_tokens=special, unk_token="<unk>", show_progress=False
    )
    tokenizer.train_from_iterator(scene_texts(), trainer)
    # The texts have fewer words than the model has rows: the others are words that no text has.
    model = json.loads(tokenizer.to_str())["model"]
    words = [tuple(word) for word in model["vocab"]]
    words += [(f"\u2581word{index}", -30.0) for index in range(len(words), VOCABULARY)]
    tokenizer = Tokenizer(models.Unigram(words, unk_id=special.index("<unk>")))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    tokenizer.decoder = decoders.Metaspace()
    return tokenizer, special


def make_retold(folder, make):
    """tiny-llava's weights and settings with another tokenizer."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = folder.parent / "tiny-llava"
    for name in ("config.json", "generation_config.json", "preprocessor_config.json"):
        (folder / name).write_bytes((plain / name).read_bytes())
    weights = folder / "model.safetensors"
    weights.unlink(missing_ok=True)
    weights.symlink_to(Path("..") / plain.name / weights.name)
    tokenizer, special = make()
    tokenizer.add_special_tokens(special)
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>", unk_token="<unk>"
    )
    fast.chat_template = CHAT_TEMPLATE
    fast.save_pretrained(folder)


def write_json(path, value):
    path.write_text(json.dumps(value, indent=2) + "\n")


def amend(path, **fields):
    """Replaces fields of a JSON file, in the order and layout of transformers."""
    value = json.loads(path.read_text()) | fields
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n")


MAKERS = {
    "tiny-llava": lambda folder: make_plain(folder, grouped=False),
    "tiny-llava-gqa": lambda folder: make_plain(folder, grouped=True),
    "tiny-llava-variant": make_variant,
    "tiny-llava-bytes": lambda folder: make_retold(folder, make_bytes_tokenizer),
    "tiny-llava-unigram": lambda folder: make_retold(folder, make_unigram_tokenizer),
}


def main():
    parser = argparse.ArgumentParser(description="Makes the tiny models that the recorded cases use.")
    parser.add_argument("names", nargs="*", metavar="MODEL", help=f"which ({', '.join(MAKERS)}; default all)")
    parser.add_argument("--out", type=Path, default=HERE / "models", help="folder of the models")
    arguments = parser.parse_args()
    for name in arguments.names or MAKERS:
        if name not in MAKERS:
            parser.error(f"no model {name!r}; there are {', '.join(MAKERS)}")
        MAKERS[name](arguments.out / name)
        size = sum(f.stat().st_size for f in (arguments.out / name).iterdir())
        print(f"{name}: {size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
