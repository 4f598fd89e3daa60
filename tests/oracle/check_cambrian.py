"""Compares the parts of cambrian.py with timm and transformers, on the tiny models' weights.

    python check_cambrian.py

Prints the largest difference of each part, relative to the largest value. All in f64, but transformers' decoders round
their norms and rotary embeddings to f32. Needs requirements.txt, timm and torchvision.
"""

import sys
from pathlib import Path

import timm
import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer
from transformers import (
    CLIPVisionModel,
    Dinov2Model,
    LlamaConfig,
    LlamaForCausalLM,
    Phi3Config,
    Phi3ForCausalLM,
    SiglipVisionConfig,
    SiglipVisionModel,
)

import make_cambrian as tiny
from cambrian import Cambrian, Weights, cubic_taps, resize_grid

HERE = Path(__file__).resolve().parent
MODELS = HERE / "models"
TOWERS = MODELS / "tiny-cambrian-towers"
EXACT, ROUNDED = 1e-12, 1e-5

failed = []


def compare(what, got, want, limit=EXACT):
    assert got.shape == want.shape, f"{what}: {tuple(got.shape)} and {tuple(want.shape)}"
    distance = ((got - want).abs().max() / want.abs().max()).item()
    print(f"{what}: {distance:.1e}")
    if not distance <= limit:
        failed.append(what)


def fill(model, tensors, allowed=()):
    """Gives a model the tensors; none may be left over, and none missing but those that start with `allowed`."""
    missing, unexpected = model.load_state_dict(tensors, strict=False)
    missing = [name for name in missing if not name.startswith(tuple(allowed))]
    assert not missing and not unexpected, f"missing {missing}, unexpected {unexpected}"
    return model.double().eval()


def under(weights, *unwanted):
    """The tensors under the weights' prefix, by the rest of their names, less those that start with `unwanted`."""
    tensors = {
        name[len(weights.prefix) :]: tensor
        for name, tensor in weights.tensors.items()
        if name.startswith(weights.prefix)
    }
    return {name: tensor for name, tensor in tensors.items() if not name.startswith(unwanted)} if unwanted else tensors


@torch.no_grad()
def check_siglip(encoder):
    size = tiny.SIGLIP
    pixels = random(2, 3, size["image"], size["image"])
    native = size["image"] // size["patch"]
    got = encoder.features(pixels, native)
    model = VisionTransformer(
        img_size=size["image"],
        patch_size=size["patch"],
        num_classes=0,
        global_pool="map",
        class_token=False,
        embed_dim=size["width"],
        depth=size["layers"],
        num_heads=encoder.HEADS,
        mlp_ratio=(size["mlp"] + 0.5) / size["width"],
    )
    tensors = under(encoder.weights, "attn_pool.")
    fill(model, tensors, ["attn_pool."])
    compare("SigLIP, timm", got, model.forward_features(pixels))

    config = SiglipVisionConfig(
        hidden_size=size["width"],
        intermediate_size=size["mlp"],
        num_hidden_layers=size["layers"],
        num_attention_heads=encoder.HEADS,
        image_size=size["image"],
        patch_size=size["patch"],
        hidden_act="gelu",
        layer_norm_eps=encoder.EPS,
        vision_use_head=False,
    )
    config._attn_implementation = "sdpa"
    renamed = {}
    for name, tensor in tensors.items():
        if ".attn.qkv." in name:
            for part, piece in zip("qkv", tensor.chunk(3)):
                renamed[name.replace(".attn.qkv.", f".self_attn.{part}_proj.")] = piece
        else:
            renamed[name.replace(".attn.proj.", ".self_attn.out_proj.")] = tensor
    names = (
        ("patch_embed.proj.", "embeddings.patch_embedding."),
        ("blocks.", "encoder.layers."),
        (".norm1.", ".layer_norm1."),
        (".norm2.", ".layer_norm2."),
    )
    for old, new in names:
        renamed = {name.replace(old, new): tensor for name, tensor in renamed.items()}
    renamed = {f"post_layernorm.{n[5:]}" if n.startswith("norm.") else n: t for n, t in renamed.items()}
    renamed["embeddings.position_embedding.weight"] = renamed.pop("pos_embed")[0]
    model = SiglipVisionModel(config)
    prefix = "vision_model." if any(name.startswith("vision_model.") for name in model.state_dict()) else ""
    fill(model, {prefix + name: tensor for name, tensor in renamed.items()})
    compare("SigLIP, transformers", got, model(pixels).last_hidden_state)


@torch.no_grad()
def check_clip(encoder):
    model = CLIPVisionModel.from_pretrained(TOWERS / "clip", dtype=torch.float32).double().eval()
    config = model.config
    pixels = random(2, 3, config.image_size, config.image_size)
    want = model(pixels, output_hidden_states=True).hidden_states[encoder.select_layer][:, 1:]
    compare("CLIP, transformers", encoder.features(pixels, config.image_size // config.patch_size), want)


@torch.no_grad()
def check_dinov2(encoder):
    model = Dinov2Model.from_pretrained(TOWERS / "dinov2", dtype=torch.float32).double().eval()
    config = model.config
    native = config.image_size // config.patch_size
    pixels = random(2, 3, config.image_size, config.image_size)
    want = model(pixels).last_hidden_state[:, 1:]
    compare("DINOv2 at its own size, transformers", encoder.features(pixels, native), want)

    # Transformers resizes positions in f32 and, today, without the offset.
    fewer = encoder.resolution // config.patch_size
    pixels = random(2, 3, encoder.resolution, encoder.resolution)
    want = model(pixels).last_hidden_state[:, 1:]
    encoder.OFFSET = 0.0
    got = encoder.features(pixels, fewer)
    del encoder.OFFSET
    compare("DINOv2 at another size, without the offset, transformers", got, want, ROUNDED)

    grid = random(1, 5, 37, 37)
    want = F.interpolate(grid, scale_factor=(27.1 / 37, 27.1 / 37), mode="bicubic", align_corners=False)
    taps = cubic_taps(37, 27, 27.1 / 37, grid.dtype)
    compare("DINOv2's positions, 37 to 27, with the offset", torch.einsum("ip,jq,bcpq->bcij", taps, taps, grid), want)


@torch.no_grad()
def check_convnext(encoder):
    model = timm.create_model(
        "convnext_xxlarge", depths=tiny.CONVNEXT["depths"], dims=tiny.CONVNEXT["dims"], num_classes=0
    )
    fill(model, under(encoder.weights))
    pixels = random(2, 3, encoder.resolution, encoder.resolution)
    x, stages = model.stem(pixels), list(encoder.stages(pixels))
    for number, stage in enumerate(model.stages):
        x = stage(x)
        compare(f"ConvNeXt's stage {number}, timm", stages[number], x)
    side = 9
    want = [F.interpolate(stage, size=(side, side), mode="bilinear") for stage in stages]
    want = torch.cat([stage.flatten(2).permute(0, 2, 1) for stage in want], -1)
    compare("ConvNeXt's features", encoder.features(pixels, side), want)
    tokens = random(1, 729, 3)
    want = F.interpolate(tokens.transpose(1, 2).view(1, 3, 27, 27), size=(24, 24), mode="bilinear")
    compare("a grid of 27 resized to 24", resize_grid(tokens, 24), want.flatten(2).transpose(1, 2))


@torch.no_grad()
def check_decoder(model, kind, config_kind):
    config = config_kind(**{key: value for key, value in model.config.items() if key != "model_type"})
    config._attn_implementation = "sdpa"
    added = ("model.vision_", "model.mm_projector", "model.image_newline")
    reference = fill(kind(config), under(model.weights, *added))
    x = random(2, 30, config.hidden_size)
    want = reference(inputs_embeds=x).logits
    compare(f"{kind.__name__}", model.decoder.logits(x), want, ROUNDED)


def check_names():
    """The published encoders' names and shapes, from models that hold no values, against those of the tiny ones."""

    def kinds(tensors, *unwanted):
        numbered = ("".join(c if not c.isdigit() else "N" for c in name) for name in tensors)
        return {name.replace("NN", "N") for name in numbered if not name.startswith(unwanted)}

    with torch.device("meta"):
        whole = {
            "siglip": timm.create_model("vit_so400m_patch14_siglip_384", num_classes=0).state_dict(),
            "convnext": timm.create_model("convnext_xxlarge", num_classes=0).state_dict(),
        }
    for name, tensors in whole.items():
        small = under(Weights.load(TOWERS / name / "open_clip_model.safetensors", torch.float64).at("visual.trunk."))
        same = kinds(small, "attn_pool") == kinds(tensors, "attn_pool")
        print(f"{name}'s names: {'the same' if same else 'different'}; {len(tensors)} tensors when whole")
        if not same:
            failed.append(f"{name}'s names")


def random(*shape):
    return torch.randn(shape, dtype=torch.float64, generator=torch.Generator().manual_seed(len(shape)))


def main():
    torch.set_num_threads(2)
    llama, phi3 = (Cambrian(MODELS / name, TOWERS) for name in ("tiny-cambrian", "tiny-cambrian-phi3"))
    for model in (llama, phi3):
        at = (model.prompt("What?", (3, 2))[0][0] < 0).nonzero()[0].item()
        assert at == model.config["image_position"], "where the picture begins"
    siglip, clip, dinov2, convnext = llama.encoders
    check_siglip(siglip)
    check_clip(clip)
    check_dinov2(dinov2)
    check_convnext(convnext)
    check_decoder(llama, LlamaForCausalLM, LlamaConfig)
    check_decoder(phi3, Phi3ForCausalLM, Phi3Config)
    check_names()
    if failed:
        sys.exit(f"different: {', '.join(failed)}")


if __name__ == "__main__":
    main()
