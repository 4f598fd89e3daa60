"""Makes the tiny Cambrian-1 models that recorded cases use: random weights, for comparing numbers only.

    python make_cambrian.py [--out models]

tiny-cambrian         Llama decoder with two key-value heads; windows of 1, 1, 2 x 2 and 4 x 4 keys
tiny-cambrian-phi3    Phi-3 decoder; windows of 1, 1, 2 x 2 and 3 x 3 keys
tiny-cambrian-towers  the four encoders of both, each in the layout in which it is published: siglip and convnext as
                      OpenCLIP has them, clip and dinov2 as transformers has them

All as the authors lay them out: the models without the encoders, config.json naming those. Every grid of features is
resized except where its side is right already. Needs requirements.txt. The same versions make the same files.
"""

import argparse
import math
from pathlib import Path

import torch
from safetensors.torch import save_file
from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from cambrian import CLIP_MEAN, PROMPTS, Cambrian
from make_models import VOCABULARY, scene_texts, write_json

HERE = Path(__file__).resolve().parent

SEED = 23
CLIP_STD = [0.26862954, 0.26130258, 0.27577711]
IMAGE_SIZE = (301, 200)  # any: the text before the picture does not depend on it

SIGLIP = {"image": 42, "patch": 5, "width": 48, "layers": 2, "mlp": 100}  # 8 x 8 patches, the last two pixels unused
CLIP = {"image": 42, "patch": 6, "width": 36, "heads": 3, "layers": 3, "mlp": 80}  # 7 x 7
DINOV2 = {"image": 54, "patch": 3, "width": 32, "heads": 2, "layers": 2, "ffn": 88}  # 18 x 18, seen with less
CONVNEXT = {"depths": (1, 1, 2, 1), "dims": (8, 16, 24, 32), "kernel": 7}

VISION = 32  # width of the aggregators
TOWERS = ["siglip/CLIP-ViT-SO400M-14-384", "openai/clip-vit-large-patch14-336"]

SHARED = {
    "bos_token_id": 1,
    "connector_depth": 2,
    "connector_only": False,
    "freeze_mm_mlp_adapter": False,
    "hidden_act": "silu",
    "image_aspect_ratio": "pad",
    "initializer_range": 0.02,
    "max_position_embeddings": 1024,
    "mm_patch_merge_type": "flat",
    "mm_projector_lr": None,
    "mm_projector_type": "sva",
    "mm_use_im_patch_token": False,
    "mm_use_im_start_end": False,
    "mm_vision_sampler_lr": None,
    "mm_vision_select_feature": "patch",
    "mm_vision_select_layer": -2,
    "mm_vision_tower_lr": None,
    "num_query_group": 1,
    "rms_norm_eps": 1e-05,
    "rope_scaling": None,
    "tie_word_embeddings": False,
    "tokenizer_model_max_length": 2048,
    "tokenizer_padding_side": "right",
    "torch_dtype": "float16",
    "transformers_version": "4.40.1",
    "tune_mm_mlp_adapter": False,
    "unfreeze_mm_vision_tower": False,
    "use_cache": True,
    "use_mm_proj": True,
    "vision_hidden_size": VISION,
    "vocab_size": VOCABULARY,
}

LLAMA = SHARED | {
    "_name_or_path": "tiny-cambrian",
    "architectures": ["CambrianLlamaForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "eos_token_id": 2,
    "hidden_size": 48,
    "image_token_len": 49,
    "intermediate_size": 104,
    "mm_vision_tower_aux_list": TOWERS + ["facebook/dinov2-giant-res45", "clip-convnext-XXL-multi-stage-res64"],
    "mm_vision_tower_aux_token_len_list": [49, 49, 196, 784],
    "model_type": "cambrian_llama",
    "num_attention_heads": 4,
    "num_hidden_layers": 4,
    "num_key_value_heads": 2,
    "num_of_vision_sampler_layers": 2,
    "pretraining_tp": 1,
    "query_num_list": [49],
    "rope_theta": 500000.0,
    "start_of_vision_sampler_layers": 0,
    "stride_of_vision_sampler_layers": 2,
}

PHI3 = SHARED | {
    "_name_or_path": "tiny-cambrian-phi3",
    "architectures": ["CambrianPhi3ForCausalLM"],
    "attention_bias": False,
    "attention_dropout": 0.0,
    "embd_pdrop": 0.0,
    "eos_token_id": 6,
    "hidden_size": 40,
    "image_token_len": 16,
    "intermediate_size": 96,
    "mm_vision_tower_aux_list": TOWERS + ["facebook/dinov2-giant-res33", "clip-convnext-XXL-multi-stage-res64"],
    "mm_vision_tower_aux_token_len_list": [16, 16, 64, 144],
    "model_type": "cambrian_phi3",
    "num_attention_heads": 4,
    "num_hidden_layers": 3,
    "num_key_value_heads": 4,
    "num_of_vision_sampler_layers": 2,
    "original_max_position_embeddings": 1024,
    "pad_token_id": 0,
    "query_num_list": [16],
    "resid_pdrop": 0.0,
    "rope_theta": 10000.0,
    "sliding_window": 2047,
    "start_of_vision_sampler_layers": 1,
    "stride_of_vision_sampler_layers": 1,
}


class Random:
    """Tensors by name with random values, larger than the usual 0.02, so that outputs depend on every input."""

    GAIN = 1.6

    def __init__(self, seed, prefix=""):
        self.generator, self.prefix, self.tensors = torch.Generator().manual_seed(seed), prefix, {}

    def add(self, name, *shape, mean=0.0, spread=0.5):
        values = mean + spread * torch.randn(shape, generator=self.generator)
        self.tensors[self.prefix + name] = values.half()

    def linear(self, name, outputs, *inputs, bias=True):
        """A matrix, or the kernel of a convolution, with inputs (channels, height, width)."""
        self.add(name + ".weight", outputs, *inputs, spread=self.GAIN / math.prod(inputs) ** 0.5)
        if bias:
            self.add(name + ".bias", outputs, spread=0.1)

    def norm(self, name, width, bias=True):
        self.add(name + ".weight", width, mean=1.0, spread=0.1)
        if bias:
            self.add(name + ".bias", width, spread=0.1)

    def save(self, file):
        save_file(dict(sorted(self.tensors.items())), file, metadata={"format": "pt"})


def make_siglip(folder):
    folder.mkdir(parents=True, exist_ok=True)
    width, patch = SIGLIP["width"], SIGLIP["patch"]
    vision = {"image_size": SIGLIP["image"], "timm_model_name": "vit_so400m_patch14_siglip_384"}
    vision |= {"timm_model_pretrained": False, "timm_pool": "map", "timm_proj": "none"}
    preprocess = {"mean": [0.5] * 3, "std": [0.5] * 3, "interpolation": "bicubic", "resize_mode": "squash"}
    model = {"embed_dim": width, "init_logit_bias": -10, "custom_text": True, "vision_cfg": vision}
    write_json(folder / "open_clip_config.json", {"model_cfg": model, "preprocess_cfg": preprocess})

    w = Random(SEED + 1, "visual.trunk.")
    w.linear("patch_embed.proj", width, 3, patch, patch)
    w.add("pos_embed", 1, (SIGLIP["image"] // patch) ** 2, width)
    for n in range(SIGLIP["layers"]):
        w.norm(f"blocks.{n}.norm1", width)
        w.linear(f"blocks.{n}.attn.qkv", 3 * width, width)
        w.linear(f"blocks.{n}.attn.proj", width, width)
        w.norm(f"blocks.{n}.norm2", width)
        w.linear(f"blocks.{n}.mlp.fc1", SIGLIP["mlp"], width)
        w.linear(f"blocks.{n}.mlp.fc2", width, SIGLIP["mlp"])
    w.norm("norm", width)
    # What such files have besides, and nothing here reads.
    w.add("attn_pool.latent", 1, 1, width)
    w.norm("attn_pool.norm", width)
    w.tensors["logit_scale"] = torch.tensor(1.0).half()
    w.add("unused", 1)
    w.tensors["text.ln_final.weight"] = w.tensors.pop("visual.trunk.unused")
    w.save(folder / "open_clip_model.safetensors")


def make_clip(folder):
    folder.mkdir(parents=True, exist_ok=True)
    width, patch, image = CLIP["width"], CLIP["patch"], CLIP["image"]
    vision = {
        "hidden_act": "quick_gelu",
        "hidden_size": width,
        "image_size": image,
        "intermediate_size": CLIP["mlp"],
        "layer_norm_eps": 1e-05,
        "model_type": "clip_vision_model",
        "num_attention_heads": CLIP["heads"],
        "num_hidden_layers": CLIP["layers"],
        "patch_size": patch,
        "projection_dim": 32,
    }
    config = {"architectures": ["CLIPModel"], "model_type": "clip", "projection_dim": 32, "vision_config": vision}
    write_json(folder / "config.json", config)
    write_json(folder / "preprocessor_config.json", processor("CLIPFeatureExtractor", image, CLIP_MEAN, CLIP_STD))

    w = Random(SEED + 2, "vision_model.")
    w.add("embeddings.class_embedding", width)
    w.linear("embeddings.patch_embedding", width, 3, patch, patch, bias=False)
    w.add("embeddings.position_embedding.weight", (image // patch) ** 2 + 1, width)
    w.norm("pre_layrnorm", width)
    for n in range(CLIP["layers"]):
        layer = f"encoder.layers.{n}."
        for part in ("q_proj", "k_proj", "v_proj", "out_proj"):
            w.linear(f"{layer}self_attn.{part}", width, width)
        w.norm(layer + "layer_norm1", width)
        w.norm(layer + "layer_norm2", width)
        w.linear(layer + "mlp.fc1", CLIP["mlp"], width)
        w.linear(layer + "mlp.fc2", width, CLIP["mlp"])
    w.norm("post_layernorm", width)
    w.save(folder / "model.safetensors")


def make_dinov2(folder):
    folder.mkdir(parents=True, exist_ok=True)
    width, patch, image, ffn = DINOV2["width"], DINOV2["patch"], DINOV2["image"], DINOV2["ffn"]
    config = {
        "architectures": ["Dinov2Model"],
        "hidden_act": "gelu",
        "hidden_size": width,
        "image_size": image,
        "layer_norm_eps": 1e-06,
        "layerscale_value": 1.0,
        "mlp_ratio": 4,
        "model_type": "dinov2",
        "num_attention_heads": DINOV2["heads"],
        "num_channels": 3,
        "num_hidden_layers": DINOV2["layers"],
        "patch_size": patch,
        "qkv_bias": True,
        "use_swiglu_ffn": True,
    }
    write_json(folder / "config.json", config)
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    write_json(folder / "preprocessor_config.json", processor("BitImageProcessor", 224, mean, std, 256))

    w = Random(SEED + 3)
    w.add("embeddings.cls_token", 1, 1, width)
    w.add("embeddings.mask_token", 1, width)
    w.add("embeddings.position_embeddings", 1, (image // patch) ** 2 + 1, width)
    w.linear("embeddings.patch_embeddings.projection", width, 3, patch, patch)
    for n in range(DINOV2["layers"]):
        layer = f"encoder.layer.{n}."
        w.norm(layer + "norm1", width)
        for part in ("query", "key", "value"):
            w.linear(f"{layer}attention.attention.{part}", width, width)
        w.linear(layer + "attention.output.dense", width, width)
        w.add(layer + "layer_scale1.lambda1", width, mean=0.7, spread=0.2)
        w.norm(layer + "norm2", width)
        w.linear(layer + "mlp.weights_in", 2 * ffn, width)
        w.linear(layer + "mlp.weights_out", width, ffn)
        w.add(layer + "layer_scale2.lambda1", width, mean=0.7, spread=0.2)
    w.norm("layernorm", width)
    w.save(folder / "model.safetensors")


def make_convnext(folder):
    folder.mkdir(parents=True, exist_ok=True)
    dims, kernel = CONVNEXT["dims"], CONVNEXT["kernel"]
    vision = {"timm_model_name": "convnext_xxlarge", "timm_model_pretrained": False, "timm_pool": ""}
    vision |= {"timm_proj": "linear", "timm_drop": 0.0, "timm_drop_path": 0.1, "image_size": 256}
    model = {"embed_dim": 16, "vision_cfg": vision}
    write_json(
        folder / "open_clip_config.json",
        {"model_cfg": model, "preprocess_cfg": {"mean": CLIP_MEAN, "std": CLIP_STD}},
    )

    w = Random(SEED + 4, "visual.trunk.")
    w.linear("stem.0", dims[0], 3, 4, 4)
    w.norm("stem.1", dims[0])
    for stage, (depth, width) in enumerate(zip(CONVNEXT["depths"], dims)):
        if stage > 0:
            w.norm(f"stages.{stage}.downsample.0", dims[stage - 1])
            w.linear(f"stages.{stage}.downsample.1", width, dims[stage - 1], 2, 2)
        for n in range(depth):
            block = f"stages.{stage}.blocks.{n}."
            w.linear(block + "conv_dw", width, 1, kernel, kernel)
            w.norm(block + "norm", width)
            w.linear(block + "mlp.fc1", 4 * width, width)
            w.linear(block + "mlp.fc2", width, 4 * width)
            w.add(block + "gamma", width, mean=0.7, spread=0.2)
    w.norm("head.norm", dims[-1])
    w.save(folder / "open_clip_model.safetensors")


def processor(kind, crop, mean, std, edge=None):
    return {
        "crop_size": {"height": crop, "width": crop},
        "do_center_crop": True,
        "do_convert_rgb": True,
        "do_normalize": True,
        "do_rescale": True,
        "do_resize": True,
        "feature_extractor_type" if kind.endswith("Extractor") else "image_processor_type": kind,
        "image_mean": mean,
        "image_std": std,
        "resample": 3,
        "rescale_factor": 0.00392156862745098,
        "size": {"shortest_edge": edge or crop},
    }


def aggregator(w, prefix, stream, ratios):
    """A layer of the aggregator on a stream of that width, with windows of ratio x ratio keys."""
    w.linear(prefix + "proj_context", VISION, VISION, bias=False)
    w.linear(prefix + "proj_in", VISION, stream + VISION, bias=False)
    w.linear(prefix + "proj_out.linear_1", VISION, VISION, bias=False)
    w.linear(prefix + "proj_out.linear_2", stream, VISION, bias=False)
    w.norm(prefix + "norm", VISION)
    parts = ["q_proj"] + [f"{part}_proj_{n}" for part in "kv" for n in range(len(ratios))]
    for part in parts:
        w.norm(f"{prefix}cross_attn.{part}.0", VISION)
        w.linear(f"{prefix}cross_attn.{part}.1", VISION, VISION, bias=False)
    w.linear(prefix + "cross_attn.o_proj", VISION, VISION, bias=False)
    for n, ratio in enumerate(ratios):
        if ratio > 1:
            w.add(f"{prefix}pos_embed_{n}", ratio**2, VISION)


def make_model(folder, config, seed):
    hidden, inner = config["hidden_size"], config["intermediate_size"]
    heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
    kv = hidden // heads * kv_heads
    queries = math.isqrt(config["image_token_len"])
    ratios = [math.isqrt(tokens) // queries for tokens in config["mm_vision_tower_aux_token_len_list"]]
    widths = [SIGLIP["width"], CLIP["width"], DINOV2["width"], sum(CONVNEXT["dims"])]

    w = Random(seed, "model.")
    w.add("embed_tokens.weight", VOCABULARY, hidden)
    for n in range(config["num_hidden_layers"]):
        layer = f"layers.{n}."
        w.norm(layer + "input_layernorm", hidden, bias=False)
        w.norm(layer + "post_attention_layernorm", hidden, bias=False)
        if config["model_type"] == "cambrian_phi3":
            w.linear(layer + "self_attn.qkv_proj", hidden + 2 * kv, hidden, bias=False)
            w.linear(layer + "mlp.gate_up_proj", 2 * inner, hidden, bias=False)
        else:
            w.linear(layer + "self_attn.q_proj", hidden, hidden, bias=False)
            w.linear(layer + "self_attn.k_proj", kv, hidden, bias=False)
            w.linear(layer + "self_attn.v_proj", kv, hidden, bias=False)
            w.linear(layer + "mlp.gate_proj", inner, hidden, bias=False)
            w.linear(layer + "mlp.up_proj", inner, hidden, bias=False)
        w.linear(layer + "self_attn.o_proj", hidden, hidden, bias=False)
        w.linear(layer + "mlp.down_proj", hidden, inner, bias=False)
    w.norm("norm", hidden, bias=False)
    w.add("vision_query", 1, VISION)
    w.add("image_newline", hidden)
    w.linear("mm_projector.0", hidden, VISION)
    w.linear("mm_projector.2", hidden, hidden)
    for n, width in enumerate(widths):
        w.linear(f"mm_projector_aux_{n}.0", VISION, width)
        w.linear(f"mm_projector_aux_{n}.2", VISION, VISION)
        w.norm(f"mm_projector_aux_{n}.3", VISION)
    for n in range(config["connector_depth"]):
        aggregator(w, f"vision_sampler_0.layers.{n}.", VISION, ratios)
    for n in range(config["num_of_vision_sampler_layers"]):
        aggregator(w, f"vision_sampler_layers.{n}.layers.0.", hidden, ratios)
    w.prefix = ""
    w.linear("lm_head", VOCABULARY, hidden, bias=False)

    folder.mkdir(parents=True, exist_ok=True)
    w.save(folder / "model.safetensors")
    style = "phi3" if config["model_type"] == "cambrian_phi3" else "llama_3"
    make_tokenizer(style).save_pretrained(folder)
    generation = {"_from_model_config": True, "bos_token_id": 1, "eos_token_id": config["eos_token_id"]}
    write_json(folder / "generation_config.json", generation | {"transformers_version": "4.40.1"})
    # Where the picture's first row is depends on the text before it.
    config = config | {"image_position": 0}
    write_json(folder / "config.json", dict(sorted(config.items())))
    prompt, _ = Cambrian(folder, folder.parent / "tiny-cambrian-towers").prompt("?", IMAGE_SIZE)
    config["image_position"] = int((prompt[0] < 0).nonzero()[0])
    write_json(folder / "config.json", dict(sorted(config.items())))


LLAMA_3_TOKENS = ["<|reserved_special_token_0|>", "<|begin_of_text|>", "<|end_of_text|>"]
LLAMA_3_TOKENS += ["<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"]
PHI3_TOKENS = ["<|endoftext|>", "<s>", "</s>"]
PHI3_STRIPPING = ["<|assistant|>", "<|system|>", "<|user|>", "<|end|>"]  # with the whitespace behind them


def make_tokenizer(style):
    """A byte-level BPE tokenizer trained on questions about drawn scenes, their answers and the system prompt."""
    texts = scene_texts() + [PROMPTS[style][0]] * 300
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    if style == "phi3":
        special = [AddedToken(token, normalized=False) for token in PHI3_TOKENS]
        special += [AddedToken(token, normalized=False, rstrip=True) for token in PHI3_STRIPPING]
    else:
        special = [AddedToken(token, normalized=False) for token in LLAMA_3_TOKENS]
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY,
        special_tokens=special,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    names = [token.content for token in special]
    if style == "phi3":
        tokenizer.post_processor = processors.TemplateProcessing(
            single="<s> $A", pair="<s> $A <s> $B", special_tokens=[("<s>", 1)]
        )
    end = "<|end|>" if style == "phi3" else names[2]
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token=names[1], eos_token=end, pad_token=names[0])


def main():
    parser = argparse.ArgumentParser(description="Makes the tiny Cambrian-1 models that the recorded cases use.")
    parser.add_argument("--out", type=Path, default=HERE / "models", help="folder of the models")
    out = parser.parse_args().out
    towers = out / "tiny-cambrian-towers"
    make_siglip(towers / "siglip")
    make_clip(towers / "clip")
    make_dinov2(towers / "dinov2")
    make_convnext(towers / "convnext")
    make_model(out / "tiny-cambrian", LLAMA, SEED + 5)
    make_model(out / "tiny-cambrian-phi3", PHI3, SEED + 6)
    for name in ("tiny-cambrian-towers", "tiny-cambrian", "tiny-cambrian-phi3"):
        size = sum(file.stat().st_size for file in (out / name).rglob("*") if file.is_file())
        print(f"{name}: {size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
