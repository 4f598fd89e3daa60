"""Makes the tiny Mini-Geminis that the recorded cases use: random weights, for comparing numbers only.

    python make_mini_gemini.py [--out models] [tiny-mini-gemini tiny-mini-gemini-gemma tiny-mini-gemini-hd]

The layout is the authors': one config.json with the decoder's fields and all others, tensors under `model.`, and the
two encoders in folders of their own below model_zoo/OpenAI, which config.json names by a path relative to a folder
that holds both. CLIP is as transformers writes it, the ConvNeXt as OpenCLIP does, each with tensors that are of no
use here.

tiny-mini-gemini        Llama with the conversation of Vicuna; a tokenizer that puts a space before every text; f16
tiny-mini-gemini-gemma  Gemma: scaled rows, norms of 1 + w, tanh GELU, a head size of its own, one key-value head, tied
                        embeddings; f16
tiny-mini-gemini-hd     a grid of 2 x 2 tiles and the whole picture; Llama with grouped heads and the conversation of
                        Llama 3; bf16 in two files; both encoders inside the checkpoint, different from those in
                        the folders

Needs requirements.txt. The same versions make the same files.
"""

import argparse
import json
import sys
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from mini_gemini import CONVERSATIONS, IMAGE_TEXT

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent.parent / "assets" / "demo"))
from scenes import qa, scene  # noqa: E402  (found through the line above)

VOCABULARY = 400
MEAN = [0.48145466, 0.4578275, 0.40821073]
DEVIATION = [0.26862954, 0.26130258, 0.27577711]

ZOO = "model_zoo/OpenAI"
CLIP = f"{ZOO}/tiny-clip-vit-patch7-28"
CONVNEXT = f"{ZOO}/tiny-openclip-convnext"

CONVNEXT_WIDTHS = [8, 16, 24, 32]
CONVNEXT_DEPTHS = [1, 1, 2, 1]
PROJECTION = 16


class Random:
    """Random tensors by name, larger than a training's first ones, so that outputs depend on every input."""

    def __init__(self, seed, gain=1.6, embeddings=0.5, norms_around=1.0):
        self.generator = torch.Generator().manual_seed(seed)
        self.gain, self.embeddings, self.norms_around = gain, embeddings, norms_around

    def tensor(self, name, shape):
        noise = torch.randn(shape, generator=self.generator)
        if "embed" in name and "patch_embedding" not in name:
            return noise * self.embeddings
        if len(shape) >= 2:
            inputs = noise[0].numel()
            return noise * self.gain / inputs**0.5
        if name.endswith("bias"):
            return noise * 0.1
        if "layernorm.weight" in name or name == "model.norm.weight":  # the decoder's
            return self.norms_around + noise * (0.1 if self.norms_around else 0.3)
        return 1 + noise * 0.1

    def tensors(self, shapes):
        return {name: self.tensor(name, shape) for name, shape in shapes.items()}


# Names and shapes


def with_bias(name, *shape):
    return {f"{name}.weight": shape, f"{name}.bias": shape[:1]}


def clip_shapes(vision, prefix="vision_model."):
    hidden, inner = vision["hidden_size"], vision["intermediate_size"]
    patch = vision["patch_size"]
    shapes = {
        "embeddings.class_embedding": (hidden,),
        "embeddings.patch_embedding.weight": (hidden, 3, patch, patch),
        "embeddings.position_embedding.weight": ((vision["image_size"] // patch) ** 2 + 1, hidden),
    }
    shapes |= with_bias("pre_layrnorm", hidden)
    for n in range(vision["num_hidden_layers"]):
        layer = f"encoder.layers.{n}."
        for part in "qkv":
            shapes |= with_bias(f"{layer}self_attn.{part}_proj", hidden, hidden)
        shapes |= with_bias(f"{layer}self_attn.out_proj", hidden, hidden)
        shapes |= with_bias(f"{layer}layer_norm1", hidden) | with_bias(f"{layer}layer_norm2", hidden)
        shapes |= with_bias(f"{layer}mlp.fc1", inner, hidden) | with_bias(f"{layer}mlp.fc2", hidden, inner)
    shapes |= with_bias("post_layernorm", hidden)
    return {prefix + name: shape for name, shape in shapes.items()}


def convnext_shapes(prefix="visual.trunk."):
    widths = CONVNEXT_WIDTHS
    shapes = with_bias("stem.0", widths[0], 3, 4, 4) | with_bias("stem.1", widths[0])
    for s, (width, depth) in enumerate(zip(widths, CONVNEXT_DEPTHS)):
        if s > 0:
            shapes |= with_bias(f"stages.{s}.downsample.0", widths[s - 1])
            shapes |= with_bias(f"stages.{s}.downsample.1", width, widths[s - 1], 2, 2)
        for b in range(depth):
            block = f"stages.{s}.blocks.{b}."
            shapes |= {f"{block}gamma": (width,)}
            shapes |= with_bias(f"{block}conv_dw", width, 1, 7, 7) | with_bias(f"{block}norm", width)
            shapes |= with_bias(f"{block}mlp.fc1", 4 * width, width) | with_bias(f"{block}mlp.fc2", width, 4 * width)
    return {prefix + name: shape for name, shape in shapes.items()}


def decoder_shapes(config):
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    size = config.get("head_dim", hidden // heads)
    shapes = {"model.embed_tokens.weight": (config["vocab_size"], hidden)}
    for n in range(config["num_hidden_layers"]):
        layer = f"model.layers.{n}."
        shapes |= {
            f"{layer}self_attn.q_proj.weight": (heads * size, hidden),
            f"{layer}self_attn.k_proj.weight": (kv_heads * size, hidden),
            f"{layer}self_attn.v_proj.weight": (kv_heads * size, hidden),
            f"{layer}self_attn.o_proj.weight": (hidden, heads * size),
            f"{layer}mlp.gate_proj.weight": (inner, hidden),
            f"{layer}mlp.up_proj.weight": (inner, hidden),
            f"{layer}mlp.down_proj.weight": (hidden, inner),
            f"{layer}input_layernorm.weight": (hidden,),
            f"{layer}post_attention_layernorm.weight": (hidden,),
        }
    shapes["model.norm.weight"] = (hidden,)
    if not config.get("tie_word_embeddings", False):
        shapes["lm_head.weight"] = (config["vocab_size"], hidden)
    return shapes


def mining_shapes(config):
    hidden, low, high = config["hidden_size"], config["mm_hidden_size"], config["mm_hidden_size_aux"]
    shapes = with_bias("model.mm_projector.0", hidden, low) | with_bias("model.mm_projector.2", hidden, hidden)
    for name, width in (("query", low), ("aux", high), ("val", high)):
        shapes |= with_bias(f"model.vlm_uni_{name}_projector.0", width)
        shapes |= with_bias(f"model.vlm_uni_{name}_projector.1", low, width)
    return shapes


# Folders


def write_json(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=2) + "\n")


def write_tensors(path, tensors, dtype=torch.float16):
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file({name: t.to(dtype).contiguous() for name, t in tensors.items()}, path, metadata={"format": "pt"})


def clip_vision(image_size, patch_size):
    return {
        "hidden_act": "quick_gelu",
        "hidden_size": 32,
        "image_size": image_size,
        "intermediate_size": 64,
        "layer_norm_eps": 1e-05,
        "model_type": "clip_vision_model",
        "num_attention_heads": 2,
        "num_hidden_layers": 3,
        "patch_size": patch_size,
        "projection_dim": PROJECTION,
    }


def make_clip(folder, image_size, patch_size, seed):
    """A CLIP, of which only the vision model has all its tensors."""
    vision = clip_vision(image_size, patch_size)
    write_json(
        folder / "config.json",
        {
            "architectures": ["CLIPModel"],
            "logit_scale_init_value": 2.6592,
            "model_type": "clip",
            "projection_dim": PROJECTION,
            "text_config": {"hidden_size": 16, "model_type": "clip_text_model", "projection_dim": PROJECTION},
            "torch_dtype": "float32",
            "vision_config": vision,
        },
    )
    write_json(
        folder / "preprocessor_config.json",
        {
            "crop_size": image_size,
            "do_center_crop": True,
            "do_normalize": True,
            "do_resize": True,
            "feature_extractor_type": "CLIPFeatureExtractor",
            "image_mean": MEAN,
            "image_std": DEVIATION,
            "resample": 3,
            "size": image_size,
        },
    )
    shapes = clip_shapes(vision)
    shapes |= {"visual_projection.weight": (PROJECTION, vision["hidden_size"]), "logit_scale": ()}
    write_tensors(folder / "model.safetensors", Random(seed).tensors(shapes))


def make_convnext(folder, seed):
    """An OpenCLIP ConvNeXt with its head and a little of its text tower."""
    write_json(
        folder / "open_clip_config.json",
        {
            "model_cfg": {
                "embed_dim": PROJECTION,
                "vision_cfg": {
                    "timm_model_name": "convnext_large",
                    "timm_model_pretrained": False,
                    "timm_pool": "",
                    "timm_proj": "mlp",
                    "timm_drop": 0.0,
                    "timm_drop_path": 0.1,
                    "image_size": 64,
                },
                "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 1, "layers": 1},
            },
            "preprocess_cfg": {"mean": MEAN, "std": DEVIATION},
        },
    )
    last = CONVNEXT_WIDTHS[-1]
    shapes = convnext_shapes() | with_bias("visual.trunk.head.norm", last)
    shapes |= {
        "visual.head.mlp.fc1.weight": (2 * PROJECTION, last),
        "visual.head.mlp.fc2.weight": (PROJECTION, 2 * PROJECTION),
        "ln_final.weight": (16,),
        "logit_scale": (),
    }
    write_tensors(folder / "open_clip_model.safetensors", Random(seed).tensors(shapes))


def make_tokenizer(special, conversation, bos, eos, pad, space):
    """A byte-level BPE tokenizer trained on questions about drawn scenes, their answers and the conversation's text.

    Puts `bos` before every text, as those of Llama and Gemma do, and with `space` a space too, as Llama's does.
    """
    rng = np.random.default_rng(7)
    texts = CONVERSATIONS[conversation].split(IMAGE_TEXT) * 100
    for _ in range(3000):
        _, objects = scene(rng, size=16)
        question, answer, _, _ = qa(rng, objects)
        texts += [question, answer]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=space)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    tokenizer.train_from_iterator(texts, trainer)
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{bos} $A", pair=f"{bos} $A {bos} $B", special_tokens=[(bos, special.index(bos))]
    )
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=bos, eos_token=eos, pad_token=pad)


def shared_fields(size_aux, **more):
    """What config.json holds about the picture, as the authors' training writes it."""
    return {
        "freeze_mm_mlp_adapter": False,
        "image_aspect_ratio": "pad",
        "image_global": False,
        "image_grid": 1,
        "image_grid_pinpoints": None,
        "image_size_aux": size_aux,
        "mm_hidden_size": 32,
        "mm_hidden_size_aux": sum(CONVNEXT_WIDTHS),
        "mm_projector_lr": None,
        "mm_projector_type": "mlp2x_gelu",
        "mm_use_im_patch_token": False,
        "mm_use_im_start_end": False,
        "mm_vision_select_feature": "patch",
        "mm_vision_select_layer": -2,
        "mm_vision_tower": CLIP,
        "mm_vision_tower_aux": CONVNEXT,
        "optimize_vision_tower": False,
        "optimize_vision_tower_aux": False,
        "tokenizer_model_max_length": 1024,
        "tokenizer_padding_side": "right",
        "tune_mm_mlp_adapter": False,
        "use_cache": True,
        "use_mm_proj": True,
    } | more


def make_llama(folder, seed):
    config = {
        "architectures": ["MGMLlamaForCausalLM"],
        "attention_bias": False,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "hidden_act": "silu",
        "hidden_size": 48,
        "intermediate_size": 112,
        "max_position_embeddings": 1024,
        "model_type": "mgm",
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "num_key_value_heads": 4,
        "pad_token_id": 0,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "float16",
        "transformers_version": "4.36.2",
        "vocab_size": VOCABULARY,
    } | shared_fields(64)
    write_json(folder / "config.json", config)
    special = ["<unk>", "<s>", "</s>"]
    make_tokenizer(special, "vicuna_v1", "<s>", "</s>", "<unk>", space=True).save_pretrained(folder)
    write_tensors(folder / "model.safetensors", Random(seed).tensors(decoder_shapes(config) | mining_shapes(config)))


def make_gemma(folder, seed):
    config = {
        "architectures": ["MGMGemmaForCausalLM"],
        "attention_bias": False,
        "bos_token_id": 2,
        "eos_token_id": 1,
        "head_dim": 20,
        "hidden_act": "gelu",  # as the first Gemmas' configs have it, and mean the tanh approximation
        "hidden_size": 48,
        "intermediate_size": 112,
        "max_position_embeddings": 1024,
        "model_type": "mgm_gemma",
        "num_attention_heads": 3,
        "num_hidden_layers": 3,
        "num_key_value_heads": 1,
        "pad_token_id": 0,
        "rms_norm_eps": 1e-06,
        "rope_scaling": None,
        "rope_theta": 10000.0,
        "tie_word_embeddings": True,
        "torch_dtype": "float16",
        "transformers_version": "4.39.0",
        "vocab_size": VOCABULARY,
    } | shared_fields(64)
    write_json(folder / "config.json", config)
    special = ["<pad>", "<eos>", "<bos>", "<unk>", "<start_of_turn>", "<end_of_turn>"]
    make_tokenizer(special, "gemma", "<bos>", "<eos>", "<pad>", space=False).save_pretrained(folder)
    # Smaller embeddings, since Gemma scales them up, and with a tied head would say its last token again and again.
    random = Random(seed, embeddings=0.25, norms_around=0.0)
    write_tensors(folder / "model.safetensors", random.tensors(decoder_shapes(config) | mining_shapes(config)))


def make_hd(folder, seed):
    special = ["<|begin_of_text|>", "<|end_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
    config = {
        "architectures": ["MGMLlamaForCausalLM"],
        "attention_bias": False,
        "bos_token_id": 0,
        "eos_token_id": 1,
        "hidden_act": "silu",
        "hidden_size": 48,
        "intermediate_size": 112,
        "max_position_embeddings": 1024,
        "model_type": "mgm",
        "num_attention_heads": 4,
        "num_hidden_layers": 3,
        "num_key_value_heads": 2,
        "pretraining_tp": 1,
        "rms_norm_eps": 1e-05,
        "rope_scaling": None,
        "rope_theta": 500000.0,
        "tie_word_embeddings": False,
        "torch_dtype": "bfloat16",
        "transformers_version": "4.36.2",
        "vocab_size": VOCABULARY,
    } | shared_fields(
        96, image_grid=2, image_global=True, optimize_vision_tower=True, optimize_vision_tower_aux=True
    )
    write_json(folder / "config.json", config)
    bos, eos = special[:2]
    make_tokenizer(special, "llama_3", bos, eos, eos, space=False).save_pretrained(folder)
    shapes = decoder_shapes(config) | mining_shapes(config)
    shapes |= clip_shapes(clip_vision(28, 7), "model.vision_tower.vision_tower.vision_model.")
    shapes |= convnext_shapes("model.vision_tower_aux.vision_")
    tensors = {name: tensor.bfloat16() for name, tensor in Random(seed).tensors(shapes).items()}
    # Two files of about the same size.
    total = sum(t.nbytes for t in tensors.values())
    shards, held = [{}, {}], 0
    for name, tensor in tensors.items():
        shards[0 if held < total / 2 else 1][name] = tensor
        held += tensor.nbytes
    files = {}
    for number, shard in enumerate(shards, 1):
        file = f"model-{number:05}-of-{len(shards):05}.safetensors"
        write_tensors(folder / file, shard, torch.bfloat16)
        files.update(dict.fromkeys(shard, file))
    write_json(folder / "model.safetensors.index.json", {"metadata": {"total_size": total}, "weight_map": files})


MAKERS = {
    CLIP: lambda folder: make_clip(folder, 28, 7, seed=22),
    CONVNEXT: lambda folder: make_convnext(folder, seed=23),
    "tiny-mini-gemini": lambda folder: make_llama(folder, seed=24),
    "tiny-mini-gemini-gemma": lambda folder: make_gemma(folder, seed=45),
    "tiny-mini-gemini-hd": lambda folder: make_hd(folder, seed=26),
}


def main():
    parser = argparse.ArgumentParser(description="Makes the tiny Mini-Geminis that the recorded cases use.")
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
