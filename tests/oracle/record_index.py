"""Records the names and shapes of published models' tensors: ../data/published/*.json, which README.md there describes.

    python record_index.py [--check]

Published weights are not needed: the public classes are made from the published config's values on torch's meta device,
where tensors have a name and a shape and no numbers. Hugging Face's own models: transformers' classes. Models in their
authors' layout: transformers' decoder, with the projector and the encoder under the authors' names. Needs
requirements.txt, timm and open_clip_torch.
"""

import argparse
import json
import re
import sys
from pathlib import Path

import open_clip
import torch
import transformers

from make_models import old_name

HERE = Path(__file__).resolve().parent
OUT = HERE.parent / "data" / "published"
INSIDE = "model.vision_tower.vision_tower."

CLIP_VISION = dict(
    hidden_size=1024,
    image_size=336,
    intermediate_size=4096,
    model_type="clip_vision_model",
    num_attention_heads=16,
    num_hidden_layers=24,
    patch_size=14,
    projection_dim=768,
)
SIGLIP_VISION = dict(
    hidden_size=1152,
    image_size=384,
    intermediate_size=4304,
    model_type="siglip_vision_model",
    num_attention_heads=16,
    num_hidden_layers=27,
    patch_size=14,
)
TILES = [[336, 672], [672, 336], [672, 672], [1008, 336], [336, 1008]]
GRID = [[384 * a, 384 * b] for a in range(1, 7) for b in range(1, 7)]


# Configs, with the values that matter as published.


def llava_hf(text):
    return dict(
        architectures=["LlavaForConditionalGeneration"],
        ignore_index=-100,
        image_token_index=32000,
        model_type="llava",
        pad_token_id=32001,
        projector_hidden_act="gelu",
        text_config=dict(model_type="llama", max_position_embeddings=4096, rms_norm_eps=1e-5, vocab_size=32064) | text,
        tie_word_embeddings=False,
        torch_dtype="float16",
        vision_config=CLIP_VISION | {"vocab_size": 32000},
        vision_feature_layer=-2,
        vision_feature_select_strategy="default",
        vocab_size=32064,
    )


def next_hf(text):
    return llava_hf(text) | dict(
        architectures=["LlavaNextForConditionalGeneration"],
        image_grid_pinpoints=TILES,
        model_type="llava_next",
        use_image_newline_parameter=True,
    )


# At most ten tiles.
GRANITE_GRID = [[384 * a, 384 * b] for a in range(1, 11) for b in range(1, 11) if a * b <= 10]


def granite_vision():
    """granite-vision-3.2-2b: SigLIP and Granite-3.1-2B."""
    text = dict(
        model_type="granite",
        attention_bias=False,
        attention_multiplier=0.015625,
        embedding_multiplier=12.0,
        hidden_act="silu",
        hidden_size=2048,
        intermediate_size=8192,
        logits_scaling=8.0,
        max_position_embeddings=131072,
        mlp_bias=False,
        num_attention_heads=32,
        num_hidden_layers=40,
        num_key_value_heads=8,
        residual_multiplier=0.22,
        rms_norm_eps=1e-5,
        rope_theta=5000000.0,
        tie_word_embeddings=True,
        vocab_size=49156,
    )
    return dict(
        architectures=["LlavaNextForConditionalGeneration"],
        image_grid_pinpoints=GRANITE_GRID,
        image_seq_length=576,
        image_token_index=49155,
        model_type="llava_next",
        multimodal_projector_bias=True,
        projector_hidden_act="gelu",
        text_config=text,
        tie_word_embeddings=True,
        torch_dtype="bfloat16",
        use_image_newline_parameter=True,
        vision_config=SIGLIP_VISION | {"hidden_act": "gelu_pytorch_tanh", "layer_norm_eps": 1e-6},
        vision_feature_layer=[-24, -20, -12, -1],
        vision_feature_select_strategy="full",
    )


def interleave_hf():
    """llava-interleave-qwen-0.5b-hf: SigLIP and Qwen1.5-0.5B."""
    text = dict(
        model_type="qwen2",
        hidden_size=1024,
        intermediate_size=2816,
        max_position_embeddings=32768,
        num_attention_heads=16,
        num_hidden_layers=24,
        num_key_value_heads=16,
        rope_theta=1000000.0,
        tie_word_embeddings=True,
        use_sliding_window=False,
        vocab_size=152000,
    )
    vision = SIGLIP_VISION | {"num_hidden_layers": 26, "vision_use_head": False}
    return llava_hf({}) | dict(
        image_token_index=151646,
        text_config=text,
        vision_config=vision,
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )


# xtuner's models: CLIP, and the decoder as it is.
LLAMA_3 = dict(
    intermediate_size=14336,
    max_position_embeddings=8192,
    num_key_value_heads=8,
    rms_norm_eps=1e-5,
    rope_theta=500000.0,
    vocab_size=128320,
)
PHI_3_MINI = dict(
    model_type="phi3",
    hidden_size=3072,
    intermediate_size=8192,
    max_position_embeddings=4096,
    num_attention_heads=32,
    num_hidden_layers=32,
    num_key_value_heads=32,
    original_max_position_embeddings=4096,
    sliding_window=2047,
    vocab_size=32064,
)


def onevision_hf(text):
    return dict(
        architectures=["LlavaOnevisionForConditionalGeneration"],
        image_grid_pinpoints=GRID,
        image_token_index=151646,
        model_type="llava_onevision",
        projector_hidden_act="gelu",
        text_config=dict(
            model_type="qwen2", max_position_embeddings=32768, rope_theta=1000000.0, use_sliding_window=False
        )
        | text,
        tie_word_embeddings=False,
        torch_dtype="float16",
        use_image_newline_parameter=True,
        video_token_index=151647,
        vision_aspect_ratio="anyres_max_9",
        vision_config=SIGLIP_VISION | {"num_hidden_layers": 26, "vision_use_head": False},
        vision_feature_layer=-1,
        vision_feature_select_strategy="full",
    )


def smolvlm(kind, text, vision, scale):
    return dict(
        architectures=[f"{kind}ForConditionalGeneration"],
        image_token_id=49190,
        model_type=kind.lower(),
        pad_token_id=128002,
        scale_factor=scale,
        text_config=dict(
            architectures=["VLlama3ForCausalLM"],
            head_dim=64,
            max_position_embeddings=8192,
            model_type="llama",
            rms_norm_eps=1e-5,
            vocab_size=49280,
        )
        | text,
        tie_word_embeddings=False,
        vision_config=vision,
        vocab_size=49280,
    )


SMOL_135M = dict(
    hidden_size=576,
    intermediate_size=1536,
    num_attention_heads=9,
    num_hidden_layers=30,
    num_key_value_heads=3,
    rope_theta=100000,
)
SMOL_360M = dict(
    hidden_size=960,
    intermediate_size=2560,
    num_attention_heads=15,
    num_hidden_layers=32,
    num_key_value_heads=5,
    rope_theta=100000,
)
SMOL_1700M = dict(hidden_size=2048, intermediate_size=8192, num_hidden_layers=24, rope_theta=130000)


def siglip_base(model_type):
    """Fields that are left out have the defaults of the config class."""
    return dict(
        hidden_size=768,
        image_size=512,
        max_image_size={"longest_edge": 512},
        model_type=model_type,
        num_attention_heads=12,
        patch_size=16,
        size={"longest_edge": 2048},
        tie_word_embeddings=False,
        use_base_siglip=False,
    )


SIGLIP_SMOL = dict(
    image_size=384,
    intermediate_size=4304,
    max_image_size={"longest_edge": 384},
    model_type="smolvlm_vision",
    num_hidden_layers=27,
    patch_size=14,
    size={"longest_edge": 1920},
)
IDEFICS3 = dict(
    architectures=["Idefics3ForConditionalGeneration"],
    image_token_id=128257,
    model_type="idefics3",
    scale_factor=2,
    text_config=dict(
        hidden_size=4096,
        intermediate_size=14336,
        max_position_embeddings=131072,
        model_type="llama",
        num_attention_heads=32,
        num_hidden_layers=32,
        num_key_value_heads=8,
        rms_norm_eps=1e-5,
        rope_theta=500000.0,
        vocab_size=128259,
    ),
    tie_word_embeddings=False,
    vision_config=dict(
        hidden_size=1152,
        image_size=364,
        intermediate_size=4304,
        model_type="idefics3",
        num_attention_heads=16,
        num_hidden_layers=27,
        patch_size=14,
    ),
)
INTERN_VIT = dict(
    architectures=["InternVisionModel"],
    attention_bias=True,
    hidden_act="gelu",
    hidden_size=1024,
    image_size=[448, 448],
    intermediate_size=4096,
    layer_norm_eps=1e-6,
    layer_scale_init_value=0.1,
    model_type="internvl_vision",
    norm_type="layer_norm",
    num_attention_heads=16,
    num_channels=3,
    num_hidden_layers=24,
    patch_size=[14, 14],
    use_absolute_position_embeddings=True,
    use_mask_token=False,
    use_mean_pooling=True,
    use_qk_norm=False,
)


def internvl(image_token, text):
    return dict(
        architectures=["InternVLForConditionalGeneration"],
        downsample_ratio=0.5,
        image_seq_length=256,
        image_token_id=image_token,
        model_type="internvl",
        projector_hidden_act="gelu",
        text_config=text,
        vision_config=INTERN_VIT,
        vision_feature_layer=-1,
        vision_feature_select_strategy="default",
    )


QWEN2_HALF = dict(
    architectures=["Qwen2ForCausalLM"],
    hidden_size=896,
    intermediate_size=4864,
    max_position_embeddings=32768,
    model_type="qwen2",
    num_attention_heads=14,
    num_hidden_layers=24,
    num_key_value_heads=2,
    rms_norm_eps=1e-6,
    rope_theta=1000000.0,
    tie_word_embeddings=True,
    vocab_size=151674,
)
QWEN3_2B = dict(
    architectures=["Qwen3ForCausalLM"],
    head_dim=128,
    hidden_size=2048,
    intermediate_size=6144,
    max_position_embeddings=40960,
    model_type="qwen3",
    num_attention_heads=16,
    num_hidden_layers=28,
    num_key_value_heads=8,
    rms_norm_eps=1e-6,
    rope_theta=1000000,
    tie_word_embeddings=True,
    vocab_size=151936,
)

MULTIMODAL = dict(
    mm_projector_type="mlp2x_gelu",
    mm_use_im_patch_token=False,
    mm_use_im_start_end=False,
    mm_vision_select_feature="patch",
    mm_vision_select_layer=-2,
    use_mm_proj=True,
)
VICUNA_7B = dict(
    bos_token_id=1,
    eos_token_id=2,
    hidden_act="silu",
    hidden_size=4096,
    intermediate_size=11008,
    max_position_embeddings=4096,
    num_attention_heads=32,
    num_hidden_layers=32,
    num_key_value_heads=32,
    pad_token_id=0,
    rms_norm_eps=1e-5,
    rope_scaling=None,
    tie_word_embeddings=False,
    vocab_size=32000,
)
VICUNA_13B = VICUNA_7B | dict(
    hidden_size=5120, intermediate_size=13824, num_attention_heads=40, num_hidden_layers=40, num_key_value_heads=40
)


def llava_authors(decoder, name):
    return decoder | MULTIMODAL | dict(
        _name_or_path=name,
        architectures=["LlavaLlamaForCausalLM"],
        image_aspect_ratio="pad",
        max_length=4096,
        mm_hidden_size=1024,
        mm_resampler_type=None,
        mm_vision_tower="openai/clip-vit-large-patch14-336",
        model_type="llava",
        torch_dtype="float16",
        unfreeze_mm_vision_tower=False,
    )


NEXT_AUTHORS = VICUNA_7B | MULTIMODAL | dict(
    _name_or_path="./checkpoints/vicuna-7b-v1-6",
    architectures=["LlavaLlamaForCausalLM"],
    attention_bias=False,
    image_aspect_ratio="anyres",
    image_crop_resolution=224,
    image_grid_pinpoints=TILES,
    image_split_resolution=224,
    mm_hidden_size=1024,
    mm_patch_merge_type="spatial_unpad",
    mm_resampler_type=None,
    mm_vision_tower="openai/clip-vit-large-patch14-336",
    mm_vision_tower_lr=2e-06,
    model_type="llava",
    rope_theta=10000.0,
    tokenizer_model_max_length=4096,
    unfreeze_mm_vision_tower=True,
)
ONEVISION_AUTHORS = MULTIMODAL | dict(
    _name_or_path="lmms-lab/llava-onevision-qwen2-7b-ov",
    architectures=["LlavaQwenForCausalLM"],
    bos_token_id=151643,
    eos_token_id=151645,
    hidden_act="silu",
    hidden_size=3584,
    image_aspect_ratio="anyres_max_9",
    image_crop_resolution=None,
    image_grid_pinpoints=GRID,
    image_split_resolution=None,
    image_token_index=151646,
    intermediate_size=18944,
    max_position_embeddings=32768,
    max_window_layers=28,
    mm_hidden_size=1152,
    mm_newline_position="one_token",
    mm_patch_merge_type="spatial_unpad",
    mm_resampler_type=None,
    mm_spatial_pool_mode="bilinear",
    mm_tunable_parts="mm_vision_tower,mm_mlp_adapter,mm_language_model",
    mm_vision_tower="google/siglip-so400m-patch14-384",
    mm_vision_tower_lr=2e-06,
    model_type="llava",
    num_attention_heads=28,
    num_hidden_layers=28,
    num_key_value_heads=4,
    rms_norm_eps=1e-6,
    rope_scaling=None,
    rope_theta=1000000.0,
    sliding_window=131072,
    tie_word_embeddings=False,
    tokenizer_model_max_length=32768,
    use_sliding_window=False,
    vocab_size=152064,
)
MINI_GEMINI = VICUNA_7B | MULTIMODAL | dict(
    architectures=["MGMLlamaForCausalLM"],
    image_aspect_ratio="square",
    image_size_aux=768,
    mm_hidden_size=1024,
    mm_hidden_size_aux=2880,
    mm_vision_tower="model_zoo/OpenAI/clip-vit-large-patch14-336",
    mm_vision_tower_aux="model_zoo/OpenAI/openclip-convnext-large-d-320-laion2B-s29B-b131K-ft-soup",
    model_type="mgm",
)
CLIP = dict(
    architectures=["CLIPModel"],
    model_type="clip",
    projection_dim=768,
    text_config=dict(model_type="clip_text_model", hidden_size=768, intermediate_size=3072, num_attention_heads=12),
    vision_config=CLIP_VISION,
)
SIGLIP = dict(
    architectures=["SiglipModel"],
    model_type="siglip",
    text_config=dict(model_type="siglip_text_model"),
    vision_config=SIGLIP_VISION,
)


LLAMA_3_8B = dict(
    bos_token_id=128000,
    eos_token_id=128001,
    hidden_act="silu",
    hidden_size=4096,
    intermediate_size=14336,
    max_position_embeddings=8192,
    num_attention_heads=32,
    num_hidden_layers=32,
    num_key_value_heads=8,
    rms_norm_eps=1e-5,
    rope_scaling=None,
    rope_theta=500000.0,
    tie_word_embeddings=False,
    vocab_size=128256,
)
CAMBRIAN_ENCODERS = [
    "siglip/CLIP-ViT-SO400M-14-384",
    "openai/clip-vit-large-patch14-336",
    "facebook/dinov2-giant-res378",
    "clip-convnext-XXL-multi-stage",
]
CAMBRIAN = LLAMA_3_8B | dict(
    architectures=["CambrianLlamaForCausalLM"],
    connector_depth=3,
    connector_only=False,
    image_aspect_ratio="pad",
    image_position=91,
    image_token_len=576,
    mm_projector_type="sva",
    mm_use_im_patch_token=False,
    mm_use_im_start_end=False,
    mm_vision_select_feature="patch",
    mm_vision_select_layer=-2,
    mm_vision_tower_aux_list=CAMBRIAN_ENCODERS,
    mm_vision_tower_aux_token_len_list=[576, 576, 576, 9216],
    model_type="cambrian_llama",
    num_of_vision_sampler_layers=10,
    num_query_group=1,
    query_num_list=[576],
    start_of_vision_sampler_layers=0,
    stride_of_vision_sampler_layers=3,
    unfreeze_mm_vision_tower=False,
    vision_hidden_size=1024,
)
DINOV2 = dict(
    architectures=["Dinov2Model"],
    hidden_act="gelu",
    hidden_size=1536,
    image_size=518,
    layer_norm_eps=1e-6,
    mlp_ratio=4,
    model_type="dinov2",
    num_attention_heads=24,
    num_hidden_layers=40,
    patch_size=14,
    qkv_bias=True,
    use_swiglu_ffn=True,
)


# Names and shapes


def shapes(model):
    """Of a model on the meta device; a tensor that is another one is not stored."""
    tied = getattr(model, "all_tied_weights_keys", {})
    return {name: tuple(t.shape) for name, t in model.state_dict().items() if name not in tied}


def made(config):
    """transformers' class that the config names, without numbers."""
    config = json.loads(json.dumps(config))
    name = config["architectures"][0]
    with torch.device("meta"):
        cls = getattr(transformers, name)
        return shapes(cls(cls.config_class.from_dict(config)))


def hf(config):
    """As transformers 4 wrote it, which made the published files."""
    newline = {"model.image_newline": "image_newline"}
    return {newline.get(name) or old_name(name): shape for name, shape in made(config).items()}


def decoder(kind, config):
    fields = {k: v for k, v in config.items() if k not in ("architectures", "model_type")}
    return made(fields | {"architectures": [f"{kind}ForCausalLM"]})


def linear(name, out, inside):
    return {f"{name}.weight": (out, inside), f"{name}.bias": (out,)}


def authors(kind, config, encoder=None, frequencies=False):
    """A decoder, a projector and, where there is one inside, an encoder with a newline beside it."""
    hidden, width = config["hidden_size"], config["mm_hidden_size"]
    found = decoder(kind, config)
    found |= linear("model.mm_projector.0", hidden, width) | linear("model.mm_projector.2", hidden, hidden)
    if encoder is not None:
        found["model.image_newline"] = (hidden,)
        found |= {INSIDE + name: shape for name, shape in encoder.items()}
    if frequencies:  # transformers before 4.31 stored them
        half = hidden // config["num_attention_heads"] // 2
        layers = range(config["num_hidden_layers"])
        found |= {f"model.layers.{n}.self_attn.rotary_emb.inv_freq": (half,) for n in layers}
    return found


def vision_model(config):
    """An encoder's part of a CLIP or SigLIP model."""
    return {name: shape for name, shape in made(config).items() if name.startswith("vision_model.")}


def siglip_inside():
    """Without its last layer and its head, as the authors' program has it."""
    config = SIGLIP | {"vision_config": SIGLIP_VISION | {"num_hidden_layers": 26}}
    return {name: shape for name, shape in vision_model(config).items() if ".head." not in name}


def mini_gemini(config):
    hidden, low, high = config["hidden_size"], config["mm_hidden_size"], config["mm_hidden_size_aux"]
    found = authors("Llama", config)
    for name, width in (("query", low), ("aux", high), ("val", high)):
        norm = f"model.vlm_uni_{name}_projector.0"
        found |= {f"{norm}.weight": (width,), f"{norm}.bias": (width,)}
        found |= linear(f"model.vlm_uni_{name}_projector.1", low, width)
    return found


def aggregator(prefix, stream, width, keys):
    """A layer of Cambrian-1's spatial vision aggregator on a stream of that width."""
    found = {
        f"{prefix}proj_context.weight": (width, width),
        f"{prefix}proj_in.weight": (width, stream + width),
        f"{prefix}proj_out.linear_1.weight": (width, width),
        f"{prefix}proj_out.linear_2.weight": (stream, width),
        f"{prefix}norm.weight": (width,),
        f"{prefix}norm.bias": (width,),
        f"{prefix}cross_attn.o_proj.weight": (width, width),
    }
    for part in ["q_proj"] + [f"{part}_proj_{n}" for part in "kv" for n in range(len(keys))]:
        name = f"{prefix}cross_attn.{part}"
        found |= {f"{name}.0.weight": (width,), f"{name}.0.bias": (width,), f"{name}.1.weight": (width, width)}
    return found | {f"{prefix}pos_embed_{n}": (count, width) for n, count in enumerate(keys) if count > 1}


def cambrian(config, widths):
    hidden, width = config["hidden_size"], config["vision_hidden_size"]
    keys = [tokens // config["image_token_len"] for tokens in config["mm_vision_tower_aux_token_len_list"]]
    found = decoder("Llama", config)
    found |= linear("model.mm_projector.0", hidden, width) | linear("model.mm_projector.2", hidden, hidden)
    for n, inside in enumerate(widths):
        name = f"model.mm_projector_aux_{n}"
        found |= linear(f"{name}.0", width, inside) | linear(f"{name}.2", width, width)
        found |= {f"{name}.3.weight": (width,), f"{name}.3.bias": (width,)}
    found |= {"model.vision_query": (1, width), "model.image_newline": (hidden,)}
    for n in range(config["connector_depth"]):
        found |= aggregator(f"model.vision_sampler_0.layers.{n}.", width, width, keys)
    for n in range(config["num_of_vision_sampler_layers"]):
        found |= aggregator(f"model.vision_sampler_layers.{n}.layers.0.", hidden, width, keys)
    return found


def of_open_clip(name):
    """OpenCLIP's model of that name."""
    return shapes(open_clip.create_model(name, pretrained=None, device="meta", load_weights=False))


def open_clip_config(name):
    """As OpenCLIP has it beside its weights."""
    config = open_clip.get_model_config(name)
    mean, std = ([0.5] * 3, [0.5] * 3) if "SigLIP" in name else (open_clip.OPENAI_DATASET_MEAN, open_clip.OPENAI_DATASET_STD)
    return dict(model_cfg=config, preprocess_cfg=dict(mean=list(mean), std=list(std)))


def encoder(name, config, tensors, file="config.json"):
    return dict(name=name, config=config, file=file, tensors=patterns(tensors))


def dinov2():
    """By the names of transformers 4, which made the published files: gate and up are one layer there."""
    names = {"q_proj": "attention.query", "k_proj": "attention.key", "v_proj": "attention.value", "o_proj": "output.dense"}
    names = {f"attention.{new}": f"attention.{old}" for new, old in names.items()} | {"mlp.down_proj": "mlp.weights_out"}
    found = {}
    for name, shape in made(DINOV2).items():
        if ".mlp.up_proj." in name:
            continue
        if ".mlp.gate_proj." in name:
            name, shape = name.replace("gate_proj", "weights_in"), (2 * shape[0], *shape[1:])
        for new, old in names.items():
            name = name.replace(f".{new}.", f".{old}.")
        found[name] = shape
    return found


def cambrian_encoders():
    siglip, convnext, file = "ViT-SO400M-14-SigLIP-384", "convnext_xxlarge", "open_clip_config.json"
    yield encoder(f"timm/{siglip}", open_clip_config(siglip), of_open_clip(siglip), file)
    yield encoder("openai/clip-vit-large-patch14-336", CLIP, made(CLIP))
    yield encoder("facebook/dinov2-giant", DINOV2, dinov2())
    name = "laion/CLIP-convnext_xxlarge-laion2B-s34B-b82K-augreg-soup"
    yield encoder(name, open_clip_config(convnext), of_open_clip(convnext), file)


def split_models():
    """Those that see stretched tiles; transformers 4 and 5 write the same names."""
    for name, config in (
        ("SmolVLM-256M-Instruct", smolvlm("Idefics3", SMOL_135M, siglip_base("idefics3"), 4)),
        ("SmolVLM-500M-Instruct", smolvlm("Idefics3", SMOL_360M, siglip_base("idefics3"), 4)),
        ("SmolVLM2-500M-Video-Instruct", smolvlm("SmolVLM", SMOL_360M, siglip_base("smolvlm_vision"), 4)),
        ("SmolVLM2-2.2B-Instruct", smolvlm("SmolVLM", SMOL_1700M, SIGLIP_SMOL, 3)),
        ("Idefics3-8B-Llama3", IDEFICS3),
        ("InternVL3-1B-hf", internvl(151667, QWEN2_HALF)),
        ("InternVL3_5-2B-HF", internvl(151671, QWEN3_2B)),
    ):
        yield name, config, made(config), []


def chat_names(tensors):
    """Names of Hugging Face's layout of InternVL as in the original one, where queries, keys and values are one layer."""
    names = {
        "model.multi_modal_projector.layer_norm.": "mlp1.0.",
        "model.multi_modal_projector.linear_1.": "mlp1.1.",
        "model.multi_modal_projector.linear_2.": "mlp1.3.",
        "model.vision_tower.embeddings.cls_token": "vision_model.embeddings.class_embedding",
        "model.vision_tower.embeddings.patch_embeddings.projection.": "vision_model.embeddings.patch_embedding.",
        "model.vision_tower.embeddings.position_embeddings": "vision_model.embeddings.position_embedding",
        "model.vision_tower.encoder.layer.": "vision_model.encoder.layers.",
        "model.language_model.": "language_model.model.",
        "lm_head.": "language_model.lm_head.",
    }
    parts = {
        ".attention.q_proj.": ".attn.qkv.",
        ".attention.q_norm.": ".attn.q_norm.",
        ".attention.k_norm.": ".attn.k_norm.",
        ".attention.projection_layer.": ".attn.proj.",
        ".layernorm_before.": ".norm1.",
        ".layernorm_after.": ".norm2.",
        ".lambda_1": ".ls1",
        ".lambda_2": ".ls2",
    }
    found = {}
    for name, shape in tensors.items():
        if name.startswith("model.vision_tower.") and (".k_proj." in name or ".v_proj." in name):
            continue
        (old,) = [old for old in names if name.startswith(old)]
        new = names[old] + name.removeprefix(old)
        if new.startswith("vision_model.encoder."):
            if ".q_proj." in new:
                shape = (3 * shape[0], *shape[1:])
            for old, part in parts.items():
                new = new.replace(old, part)
        found[new] = shape
    return found


def chat_models():
    """InternVL3 and 3.5 in the original layout. The projection is stored, also of the small models."""
    part = dict(
        architectures=["InternVisionModel"],
        attention_dropout=0.0,
        capacity_factor=1.2,
        drop_path_rate=0.1,
        dropout=0.0,
        hidden_act="gelu",
        image_size=448,
        initializer_factor=0.1,
        layer_norm_eps=1e-6,
        model_type="intern_vit_6b",
        moe_intermediate_size=768,
        num_channels=3,
        num_experts=8,
        num_routed_experts=4,
        num_shared_experts=4,
        patch_size=14,
        shared_expert_intermediate_size=3072,
        use_flash_attn=True,
        use_moe=False,
    )
    small = part | dict(
        hidden_size=1024,
        intermediate_size=4096,
        norm_type="layer_norm",
        num_attention_heads=16,
        num_hidden_layers=24,
        qk_normalization=False,
        qkv_bias=True,
    )
    large = part | dict(
        hidden_size=3200,
        intermediate_size=12800,
        norm_type="rms_norm",
        num_attention_heads=25,
        num_hidden_layers=45,
        qk_normalization=True,
        qkv_bias=False,
    )
    qwen2 = QWEN2_HALF | dict(
        attention_dropout=0.0,
        bos_token_id=151643,
        eos_token_id=151643,
        hidden_act="silu",
        max_window_layers=70,
        moe_config=None,
        rope_scaling=dict(factor=2.0, rope_type="dynamic", type="dynamic"),
        sliding_window=None,
        tie_word_embeddings=False,
        use_sliding_window=False,
    )
    qwen2_32b = dict(
        hidden_size=5120, intermediate_size=27648, num_attention_heads=40, num_hidden_layers=64, num_key_value_heads=8
    )
    qwen3 = QWEN3_2B | dict(
        attention_bias=False,
        attention_dropout=0.0,
        bos_token_id=151643,
        eos_token_id=151645,
        hidden_act="silu",
        max_window_layers=28,
        rope_scaling=None,
        sliding_window=None,
        tie_word_embeddings=False,
        use_sliding_window=False,
    )
    qwen3_8b = dict(
        hidden_size=4096, intermediate_size=12288, max_window_layers=36, num_attention_heads=32, num_hidden_layers=36
    )
    for name, text, vision in (
        ("InternVL3-1B", qwen2, small),
        ("InternVL3-38B", qwen2 | qwen2_32b, large),
        ("InternVL3_5-2B", qwen3, small),
        ("InternVL3_5-8B", qwen3 | qwen3_8b, small),
    ):
        config = dict(
            architectures=["InternVLChatModel"],
            auto_map={
                "AutoConfig": "configuration_internvl_chat.InternVLChatConfig",
                "AutoModel": "modeling_internvl_chat.InternVLChatModel",
                "AutoModelForCausalLM": "modeling_internvl_chat.InternVLChatModel",
            },
            downsample_ratio=0.5,
            dynamic_image_size=True,
            force_image_size=448,
            hidden_size=text["hidden_size"],
            image_fold=None,
            llm_config=text,
            max_dynamic_patch=12,
            min_dynamic_patch=1,
            model_type="internvl_chat",
            output_attentions=False,
            pad2square=False,
            ps_version="v2",
            select_layer=-1,
            system_message=None,
            template="internvl2_5",
            tie_word_embeddings=False,
            torch_dtype="bfloat16",
            transformers_version=None,
            use_backbone_lora=0,
            use_llm_lora=0,
            use_thumbnail=True,
            vision_config=vision,
        )
        same = ("hidden_size", "intermediate_size", "norm_type", "num_attention_heads", "num_hidden_layers")
        twin = internvl(0, text) | dict(tie_word_embeddings=False)
        twin["vision_config"] = INTERN_VIT | {field: vision[field] for field in same} | dict(
            attention_bias=vision["qkv_bias"], use_qk_norm=vision["qk_normalization"]
        )
        yield name, config, chat_names(made(twin)), []


QWEN2_VL_VISION = dict(
    depth=32,
    embed_dim=1280,
    in_chans=3,
    mlp_ratio=4,
    num_heads=16,
    patch_size=14,
    spatial_merge_size=2,
    spatial_patch_size=14,
    temporal_patch_size=2,
)
QWEN2_5_VL_VISION = dict(
    depth=32,
    fullatt_block_indexes=[7, 15, 23, 31],
    hidden_act="silu",
    hidden_size=1280,
    in_chans=3,
    num_heads=16,
    patch_size=14,
    spatial_merge_size=2,
    spatial_patch_size=14,
    temporal_patch_size=2,
    tokens_per_second=2,
    window_size=112,
)


def qwen_vl(text, vision):
    name, kind = ("Qwen2_5_VL", "qwen2_5_vl") if "window_size" in vision else ("Qwen2VL", "qwen2_vl")
    return dict(
        architectures=[f"{name}ForConditionalGeneration"],
        attention_dropout=0.0,
        bos_token_id=151643,
        eos_token_id=151645,
        hidden_act="silu",
        image_token_id=151655,
        initializer_range=0.02,
        model_type=kind,
        rms_norm_eps=1e-6,
        rope_scaling=dict(type="mrope", mrope_section=[16, 24, 24]),
        rope_theta=1000000.0,
        sliding_window=32768,
        torch_dtype="bfloat16",
        use_cache=True,
        use_sliding_window=False,
        video_token_id=151656,
        vision_config=vision,
        vision_end_token_id=151653,
        vision_start_token_id=151652,
        vision_token_id=151654,
    ) | text


def qwen_text(hidden, inside, layers, heads, pairs, context, whole, vocabulary=152064, tied=False):
    return dict(
        hidden_size=hidden,
        intermediate_size=inside,
        max_position_embeddings=context,
        max_window_layers=whole,
        num_attention_heads=heads,
        num_hidden_layers=layers,
        num_key_value_heads=pairs,
        tie_word_embeddings=tied,
        vocab_size=vocabulary,
    )


def qwen_models():
    """Their published files have the names of transformers 4, in which the decoder is not inside another part."""
    for name, text, inside in (
        ("Qwen2-VL-2B-Instruct", qwen_text(1536, 8960, 28, 12, 2, 32768, 28, 151936, True), None),
        ("Qwen2-VL-7B-Instruct", qwen_text(3584, 18944, 28, 28, 4, 32768, 28), None),
        ("Qwen2-VL-72B-Instruct", qwen_text(8192, 29568, 80, 64, 8, 32768, 80), None),
        ("Qwen2.5-VL-3B-Instruct", qwen_text(2048, 11008, 36, 16, 2, 128000, 70, 151936, True), 3420),
        ("Qwen2.5-VL-7B-Instruct", qwen_text(3584, 18944, 28, 28, 4, 128000, 28), 3420),
        ("Qwen2.5-VL-72B-Instruct", qwen_text(8192, 29568, 80, 64, 8, 128000, 80), 3456),
    ):
        width = text["hidden_size"]
        if inside is None:
            vision = QWEN2_VL_VISION | dict(hidden_size=width)
        else:
            vision = QWEN2_5_VL_VISION | dict(intermediate_size=inside, out_hidden_size=width)
        config = qwen_vl(text, vision)
        old = lambda name: name.replace("model.visual.", "visual.").replace("model.language_model.", "model.")
        yield name, config, {old(name): shape for name, shape in made(config).items()}, []


def qwen3_models():
    """Their published files have the names of transformers 5."""
    small = dict(depth=24, hidden_size=1024, intermediate_size=4096, deepstack_visual_indexes=[5, 11, 17])
    large = dict(depth=27, hidden_size=1152, intermediate_size=4304, deepstack_visual_indexes=[8, 16, 24])
    for name, hidden, inside, layers, heads, vision in (
        ("Qwen3-VL-2B-Instruct", 2048, 6144, 28, 16, small),
        ("Qwen3-VL-4B-Instruct", 2560, 9728, 36, 32, small),
        ("Qwen3-VL-8B-Instruct", 4096, 12288, 36, 32, large),
        ("Qwen3-VL-32B-Instruct", 5120, 25600, 64, 64, large),
    ):
        tied = vision is small
        text = dict(
            attention_bias=False,
            attention_dropout=0.0,
            bos_token_id=151643,
            dtype="bfloat16",
            eos_token_id=151645,
            head_dim=128,
            hidden_act="silu",
            hidden_size=hidden,
            initializer_range=0.02,
            intermediate_size=inside,
            max_position_embeddings=262144,
            model_type="qwen3_vl_text",
            num_attention_heads=heads,
            num_hidden_layers=layers,
            num_key_value_heads=8,
            rms_norm_eps=1e-6,
            rope_scaling=dict(mrope_interleaved=True, mrope_section=[24, 20, 20], rope_type="default"),
            rope_theta=5000000,
            use_cache=True,
            vocab_size=151936,
        )
        config = dict(
            architectures=["Qwen3VLForConditionalGeneration"],
            image_token_id=151655,
            model_type="qwen3_vl",
            text_config=text | (dict(tie_word_embeddings=True) if tied else {}),
            tie_word_embeddings=tied,
            video_token_id=151656,
            vision_config=dict(
                hidden_act="gelu_pytorch_tanh",
                in_channels=3,
                initializer_range=0.02,
                model_type="qwen3_vl",
                num_heads=16,
                num_position_embeddings=2304,
                out_hidden_size=hidden,
                patch_size=16,
                spatial_merge_size=2,
                temporal_patch_size=2,
            )
            | vision,
            vision_end_token_id=151653,
            vision_start_token_id=151652,
        )
        yield name, config, made(config), []


def gemma_models():
    """Their published files have the names of transformers 4."""
    vision = dict(
        hidden_size=1152,
        image_size=896,
        intermediate_size=4304,
        model_type="siglip_vision_model",
        num_attention_heads=16,
        num_hidden_layers=27,
        patch_size=14,
        vision_use_head=False,
    )
    for name, text in (
        ("gemma-3-4b-it", dict(hidden_size=2560, intermediate_size=10240, num_hidden_layers=34)),
        (
            "gemma-3-12b-it",
            dict(
                hidden_size=3840,
                intermediate_size=15360,
                num_attention_heads=16,
                num_hidden_layers=48,
                num_key_value_heads=8,
            ),
        ),
        (
            "gemma-3-27b-it",
            dict(
                head_dim=128,
                hidden_size=5376,
                intermediate_size=21504,
                num_attention_heads=32,
                num_hidden_layers=62,
                num_key_value_heads=16,
                query_pre_attn_scalar=168,
            ),
        ),
    ):
        text |= dict(
            model_type="gemma3_text", rope_scaling=dict(factor=8.0, rope_type="linear"), sliding_window=1024
        )
        config = dict(
            architectures=["Gemma3ForConditionalGeneration"],
            boi_token_index=255999,
            eoi_token_index=256000,
            eos_token_id=[1, 106],
            image_token_index=262144,
            initializer_range=0.02,
            mm_tokens_per_image=256,
            model_type="gemma3",
            text_config=text,
            torch_dtype="bfloat16",
            vision_config=vision,
        )
        yield name, config, hf(config), []


def models():
    mistral = dict(
        model_type="mistral",
        intermediate_size=14336,
        max_position_embeddings=32768,
        num_key_value_heads=8,
        rope_theta=1000000.0,
        sliding_window=None,
    )
    large = dict(
        hidden_size=5120, intermediate_size=13824, num_attention_heads=40, num_hidden_layers=40, num_key_value_heads=40
    )
    half = dict(
        hidden_size=896,
        intermediate_size=4864,
        num_attention_heads=14,
        num_hidden_layers=24,
        num_key_value_heads=2,
        tie_word_embeddings=True,
        vocab_size=152000,
    )
    seven = dict(
        hidden_size=3584,
        intermediate_size=18944,
        num_attention_heads=28,
        num_hidden_layers=28,
        num_key_value_heads=4,
        vocab_size=152128,
    )
    for name, config in (
        ("llava-1.5-7b-hf", llava_hf({})),
        ("llava-1.5-13b-hf", llava_hf(large)),
        ("llava-v1.6-vicuna-7b-hf", next_hf({})),
        ("llava-v1.6-mistral-7b-hf", next_hf(mistral)),
        ("llava-onevision-qwen2-0.5b-ov-hf", onevision_hf(half)),
        ("llava-onevision-qwen2-7b-ov-hf", onevision_hf(seven)),
        ("llava-interleave-qwen-0.5b-hf", interleave_hf()),
        ("llava-llama-3-8b-v1_1-transformers", llava_hf(LLAMA_3) | {"image_token_index": 128257}),
        ("llava-phi-3-mini-hf", llava_hf(PHI_3_MINI) | {"image_token_index": 32038}),
        ("granite-vision-3.2-2b", granite_vision()),
    ):
        yield name, config, hf(config), []
    yield from split_models()
    yield from chat_models()
    yield from qwen_models()
    yield from qwen3_models()
    yield from gemma_models()
    clip = encoder("openai/clip-vit-large-patch14-336", CLIP, made(CLIP))
    for name, config in (("llava-v1.5-7b", VICUNA_7B), ("llava-v1.5-13b", VICUNA_13B)):
        config = llava_authors(config, name)
        yield name, config, authors("Llama", config, frequencies=True), [clip]
    yield "llava-v1.6-vicuna-7b", NEXT_AUTHORS, authors("Llama", NEXT_AUTHORS, vision_model(CLIP)), []
    yield "llava-onevision-qwen2-7b-ov", ONEVISION_AUTHORS, authors("Qwen2", ONEVISION_AUTHORS, siglip_inside()), []
    aux = encoder(MINI_GEMINI["mm_vision_tower_aux"], {}, of_open_clip("convnext_large_d_320"))
    yield "mgm-7b", MINI_GEMINI, mini_gemini(MINI_GEMINI), [clip | {"name": MINI_GEMINI["mm_vision_tower"]}, aux]
    yield "cambrian-8b", CAMBRIAN, cambrian(CAMBRIAN, [1152, 1024, 1536, 384 + 768 + 1536 + 3072]), list(cambrian_encoders())


def patterns(tensors):
    """Names that differ in a layer's number, and have one shape, as one: `layers.{0-31}.`"""
    found = {}
    for name, shape in tensors.items():
        number = re.search(r"(?<=layers\.|blocks\.)\d+|(?<=layer\.)\d+|(?<=resblocks\.)\d+", name)
        pattern = name if number is None else f"{name[: number.start()]}{{}}{name[number.end() :]}"
        found.setdefault((pattern, shape), []).append(0 if number is None else int(number.group()))
    out = {}
    for (pattern, shape), numbers in sorted(found.items()):
        first, last = min(numbers), max(numbers)
        if "{}" in pattern and sorted(numbers) != list(range(first, last + 1)):
            raise SystemExit(f"{pattern}: numbers {numbers}")
        out[pattern.replace("{}", f"{{{first}-{last}}}")] = list(shape)
    return out


def written(value):
    """JSON with a line for each field and each tensor."""
    text = json.dumps(value, indent=1)
    return re.sub(r"\[\s+([\d,\s]+?)\s+\]", lambda m: "[" + re.sub(r"\s+", " ", m.group(1)) + "]", text) + "\n"


def main():
    parser = argparse.ArgumentParser(description="Records the names and shapes of published models' tensors.")
    parser.add_argument("--check", action="store_true", help="write nothing, compare with the files")
    check = parser.parse_args().check
    transformers.utils.logging.set_verbosity_error()
    OUT.mkdir(parents=True, exist_ok=True)
    for name, config, tensors, encoders in models():
        text = written(dict(config=config, tensors=patterns(tensors), encoders=encoders))
        file = OUT / f"{name}.json"
        if check and file.read_text() != text:
            sys.exit(f"{file} is not what is made now")
        if not check:
            file.write_text(text)
        print(f"{name}: {len(tensors)} tensors, {len(text) / 1e3:.1f} kB")


if __name__ == "__main__":
    main()
