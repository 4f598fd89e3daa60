"""Makes the tiny LLaVA-NeXT and LLaVA-OneVision in their authors' layout: random weights, for comparing numbers only.

    python make_anyres_authors.py [--out models]

tiny-onevision-authors     Qwen2 with biases and tied embeddings; SigLIP without its last layer and without its head
                           inside the checkpoint, its config and another SigLIP's weights in tiny-siglip; resolutions
                           as a range of tiles; at most four tiles' rows
tiny-next-authors          Llama (Vicuna); CLIP inside the checkpoint, its config alone in tiny-clip-28; resolutions as
                           a list that is not symmetric
tiny-next-authors-mistral  Mistral with a head size of its own; resolutions as a list in a text; CLIP in a
                           checkpoint of its own, tiny-clip

Needs requirements.txt. The same versions make the same files.
"""

import argparse
import json
from pathlib import Path

from PIL import Image

from make_authors import add_begin
from make_mini_gemini import (
    DEVIATION,
    MEAN,
    Random,
    clip_shapes,
    decoder_shapes,
    with_bias,
    write_json,
    write_tensors,
)
from make_models import HERE, VOCABULARY, make_tokenizer

INSIDE = "model.vision_tower.vision_tower.vision_model."
DECODER = dict(
    bos_token_id=1,
    eos_token_id=2,
    hidden_act="silu",
    hidden_size=48,
    initializer_range=0.02,
    intermediate_size=96,
    max_position_embeddings=1024,
    num_attention_heads=4,
    num_hidden_layers=2,
    num_key_value_heads=2,
    rms_norm_eps=1e-5,
    rope_scaling=None,
    rope_theta=10000.0,
    vocab_size=VOCABULARY,
)
MULTIMODAL = dict(
    mm_patch_merge_type="spatial_unpad",
    mm_projector_type="mlp2x_gelu",
    mm_use_im_patch_token=False,
    mm_use_im_start_end=False,
    mm_vision_select_feature="patch",
    mm_vision_select_layer=-2,
    use_mm_proj=True,
)
VISION = dict(hidden_size=36, intermediate_size=72, num_attention_heads=3, num_hidden_layers=3, patch_size=7)


def siglip_shapes(vision, layers, prefix):
    hidden, patch = vision["hidden_size"], vision["patch_size"]
    shapes = {
        name: shape
        for name, shape in clip_shapes(vision | {"num_hidden_layers": layers}, prefix).items()
        if "class_embedding" not in name and "pre_layrnorm" not in name
    }
    shapes[f"{prefix}embeddings.patch_embedding.bias"] = (hidden,)
    shapes[f"{prefix}embeddings.position_embedding.weight"] = ((vision["image_size"] // patch) ** 2, hidden)
    return shapes


def projector_shapes(config, width):
    hidden = config["hidden_size"]
    shapes = with_bias("model.mm_projector.0", hidden, width) | with_bias("model.mm_projector.2", hidden, hidden)
    return shapes | {"model.image_newline": (hidden,)}


def qwen_biases(config):
    """Those to queries, keys and values, which Qwen2 has."""
    size = config["hidden_size"] // config["num_attention_heads"]
    heads = dict(q=config["num_attention_heads"], k=config["num_key_value_heads"], v=config["num_key_value_heads"])
    layers = range(config["num_hidden_layers"])
    return {f"model.layers.{n}.self_attn.{part}_proj.bias": (heads[part] * size,) for n in layers for part in heads}


def save(folder, config, shapes, seed):
    write_json(folder / "config.json", config)
    tensors = Random(seed).tensors(shapes)
    # Drawn like an embedding, so that it is told from other rows.
    tensors["model.image_newline"] = (tensors["model.image_newline"] - 1) * 5
    write_tensors(folder / "model.safetensors", tensors)


def save_tokenizer(folder, begin):
    """Without a chat template: the authors' program has its own."""
    tokenizer = make_tokenizer()
    tokenizer.chat_template = None
    tokenizer.save_pretrained(folder)
    if begin:
        file = folder / "tokenizer.json"
        state = json.loads(file.read_text())
        add_begin(state)
        file.write_text(json.dumps(state, indent=1, ensure_ascii=False) + "\n")


def make_onevision(out):
    vision = VISION | {"image_size": 30, "model_type": "siglip_vision_model"}
    folder = out / "tiny-onevision-authors"
    config = DECODER | MULTIMODAL
    config |= dict(
        _name_or_path="tiny",
        architectures=["LlavaQwenForCausalLM"],
        image_aspect_ratio="anyres_max_4",
        image_grid_pinpoints="(1x1),(1x2),(2x2),(3x3)",
        mm_hidden_size=36,
        mm_newline_position="grid",
        mm_tunable_parts="mm_vision_tower,mm_mlp_adapter,mm_language_model",
        mm_vision_tower="google/tiny-siglip",
        model_type="llava_qwen",
        sliding_window=1024,
        tie_word_embeddings=True,
        use_sliding_window=False,
    )
    shapes = decoder_shapes(config) | qwen_biases(config)
    save(folder, config, shapes | siglip_shapes(vision, 2, INSIDE) | projector_shapes(config, 36), 31)
    save_tokenizer(folder, begin=False)
    tower = out / "tiny-siglip"
    write_json(
        tower / "config.json", {"architectures": ["SiglipModel"], "model_type": "siglip", "vision_config": vision}
    )
    write_tensors(tower / "model.safetensors", Random(32).tensors(siglip_shapes(vision, 3, "vision_model.")))


def make_next(out):
    vision = VISION | {"image_size": 28, "model_type": "clip_vision_model", "hidden_act": "quick_gelu"}
    folder = out / "tiny-next-authors"
    config = DECODER | MULTIMODAL
    config |= dict(
        _name_or_path="tiny",
        architectures=["LlavaLlamaForCausalLM"],
        image_aspect_ratio="anyres",
        image_grid_pinpoints=[[28, 56], [56, 28], [56, 56], [84, 28], [28, 112]],
        mm_hidden_size=36,
        mm_vision_tower="openai/tiny-clip-28",
        model_type="llava",
        tie_word_embeddings=False,
        unfreeze_mm_vision_tower=True,
    )
    save(folder, config, decoder_shapes(config) | clip_shapes(vision, INSIDE) | projector_shapes(config, 36), 33)
    save_tokenizer(folder, begin=True)
    tower = out / "tiny-clip-28"
    write_json(tower / "config.json", {"architectures": ["CLIPModel"], "model_type": "clip", "vision_config": vision})
    processor = dict(
        crop_size=28,
        do_center_crop=True,
        do_normalize=True,
        do_resize=True,
        feature_extractor_type="CLIPFeatureExtractor",
        image_mean=MEAN,
        image_std=DEVIATION,
        # Not the filter of the tiles.
        resample=2,
        size=28,
    )
    write_json(tower / "preprocessor_config.json", processor)


def make_mistral(out):
    folder = out / "tiny-next-authors-mistral"
    config = DECODER | MULTIMODAL
    config |= dict(
        _name_or_path="tiny",
        architectures=["LlavaMistralForCausalLM"],
        head_dim=16,
        image_aspect_ratio="anyres",
        image_grid_pinpoints="[(56, 112), (112, 56)]",
        mm_hidden_size=48,
        mm_vision_tower="openai/tiny-clip",
        model_type="llava_mistral",
        sliding_window=None,
        tie_word_embeddings=False,
    )
    save(folder, config, decoder_shapes(config) | projector_shapes(config, 48), 34)
    save_tokenizer(folder, begin=True)


def make_picture(folder):
    """One of which the rows without padding differ between the authors' program and Hugging Face's."""
    cat = Image.open(folder / "cat.png").convert("RGB")
    cat.crop((60, 60, 248, 107)).save(folder / "strip.png")


def main():
    parser = argparse.ArgumentParser(description="Makes the tiny models of tiles in their authors' layout.")
    parser.add_argument("--out", type=Path, default=HERE / "models", help="folder of the models")
    out = parser.parse_args().out
    make_onevision(out)
    make_next(out)
    make_mistral(out)
    make_picture(HERE / "images")


if __name__ == "__main__":
    main()
