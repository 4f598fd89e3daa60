"""Compares the parts of mini_gemini.py with other programs on the same random weights, in float64.

    pip install -r requirements.txt timm open_clip_torch        in a virtual environment
    python check_mini_gemini.py

CLIP, Llama and Gemma with transformers; the ConvNeXt with OpenCLIP's and timm's, their own large model with fewer and
narrower blocks; pictures with transformers' CLIP processor. Prints the largest difference of each, relative to the
largest value, and fails where one is more than rounding explains. transformers rounds to float32 here and there
whatever the model's type: softmax and pixels, and the norms and rotations of its decoders. The ConvNeXts agree to the
bit.
"""

import json
import sys
from pathlib import Path

import numpy as np
import open_clip
import timm
import torch
from PIL import Image
from transformers import CLIPImageProcessorPil, CLIPVisionConfig, CLIPVisionModel
from transformers import GemmaConfig, GemmaForCausalLM, LlamaConfig, LlamaForCausalLM

from mini_gemini import ConvNext, MiniGemini, below, encoder_folder, pad_to_square

HERE = Path(__file__).resolve().parent
failures = []


def report(what, got, want, limit):
    difference = (got.double() - want.double()).abs().max().item() / want.double().abs().max().item()
    print(f"{what}: {difference:.1e}")
    if not difference <= limit:
        failures.append(what)


def load(module, tensors):
    """Loads all of a module's parameters, and makes it f64."""
    missing, unexpected = module.load_state_dict(tensors, strict=False)
    if missing or unexpected:
        raise SystemExit(f"not all tensors have a place: missing {missing}, unexpected {unexpected}")
    return module.double().eval()


def check_clip(name, model, folder):
    config = json.loads((encoder_folder(folder, model.config["mm_vision_tower"]) / "config.json").read_text())
    other = CLIPVisionModel(CLIPVisionConfig(**config["vision_config"], attn_implementation="eager"))
    prefix = "vision_model." if any(n.startswith("vision_model.") for n in other.state_dict()) else ""
    load(other, {prefix + n: t for n, t in model.clip.weights.items()})
    pixels = torch.randn(2, 3, model.low, model.low, dtype=torch.float64)
    states = other(pixels, output_hidden_states=True).hidden_states
    want = states[model.config["mm_vision_select_layer"]][:, 1:]
    report(f"{name}: CLIP, transformers", model.clip(pixels), want, 1e-6)


def concatenated(states):
    side = states[0].shape[-1]
    up = torch.nn.Upsample(size=(side, side), mode="bilinear", align_corners=False)
    return torch.cat([states[0]] + [up(s) for s in states[1:]], 1)


def check_convnext(name, model):
    convnext = model.convnext
    widths = [convnext.weights[f"stages.{s}.blocks.0.gamma"].numel() for s in range(4)]
    trunk = timm.create_model("convnext_large", depths=convnext.depths, dims=widths, num_classes=0)
    trunk.head = torch.nn.Identity()
    kept = {n: t for n, t in convnext.weights.items() if not n.startswith("head.")}
    load(trunk, kept)
    pixels = torch.randn(1, 3, model.high, model.high, dtype=torch.float64)
    report(f"{name}: ConvNeXt, timm", convnext(pixels), concatenated(trunk.forward_intermediates(pixels)[1]), 1e-12)


def check_openclip():
    """The published ConvNeXt's configuration as OpenCLIP has it, at full size, with larger layer scales; names too."""
    torch.manual_seed(3)
    model = open_clip.create_model("convnext_large_d_320", pretrained=None).eval()
    for parameter_name, parameter in model.visual.named_parameters():
        if parameter_name.endswith("gamma"):
            parameter.data.normal_(0.3, 0.1)
    weights = {n: t.detach() for n, t in below(model.state_dict(), "visual.trunk.").items()}
    ours = ConvNext(weights)
    assert ours.depths == [3, 3, 27, 3] and ours.hidden_size == 2880
    pixels = torch.randn(1, 3, 64, 64)
    with torch.no_grad():
        theirs, x = [], model.visual.trunk.stem(pixels)
        for stage in model.visual.trunk.stages:
            x = stage(x)
            theirs.append(x)
        report("convnext_large_d_320, OpenCLIP (float32)", ours(pixels), concatenated(theirs), 1e-4)


def check_decoder(name, model):
    config = {k: v for k, v in model.config.items() if k not in ("model_type", "architectures", "torch_dtype")}
    gemma = model.decoder.gemma
    config = (GemmaConfig if gemma else LlamaConfig)(**config, attn_implementation="eager")
    other = (GemmaForCausalLM if gemma else LlamaForCausalLM)(config)
    tensors = {
        n: t
        for n, t in model.weights.items()
        if n.startswith(("model.layers.", "model.norm.", "model.embed_tokens.", "lm_head."))
    }
    if gemma:
        tensors["lm_head.weight"] = tensors["model.embed_tokens.weight"]
    load(other, tensors)
    rows = torch.randn(1, 60, config.hidden_size, dtype=torch.float64)
    # transformers 5 scales Gemma's rows where it looks tokens up, and not rows that it is given.
    given = rows * config.hidden_size**0.5 if gemma else rows
    report(f"{name}: decoder on rows, transformers", model.decoder(rows), other(inputs_embeds=given).logits, 1e-5)
    ids = torch.arange(60)[None]
    looked_up = model.decoder(model.decoder.embeddings[ids])
    report(f"{name}: decoder on tokens, transformers", looked_up, other(input_ids=ids).logits, 1e-5)


def check_pixels(name, model, picture):
    rgb = np.asarray(Image.open(picture).convert("RGB"))
    side = {"height": model.high, "width": model.high}
    processor = CLIPImageProcessorPil(size={"shortest_edge": model.high}, crop_size=side)
    square = pad_to_square(Image.fromarray(rgb), (122, 116, 104))
    want = processor(square, return_tensors="pt")["pixel_values"]
    report(f"{name}: high resolution, transformers' processor", model.pixels(rgb)[-1], want, 1e-6)
    model.config["image_aspect_ratio"] = "square"
    want = processor(Image.fromarray(rgb), return_tensors="pt")["pixel_values"]
    report(f"{name}: high resolution without padding", model.pixels(rgb)[-1], want, 1e-6)
    for pixels, view in zip(model.pixels(rgb), model.views(rgb)):
        assert pixels.shape[-2:] == (view.height, view.width)
    model.config["image_aspect_ratio"] = "pad"


def main():
    torch.manual_seed(0)
    for name in ("tiny-mini-gemini", "tiny-mini-gemini-gemma", "tiny-mini-gemini-hd"):
        folder = HERE / "models" / name
        model = MiniGemini(folder)
        with torch.no_grad():
            check_clip(name, model, folder)
            check_convnext(name, model)
            check_decoder(name, model)
            check_pixels(name, model, HERE / "images" / "cat.png")
            check_pixels(name, model, HERE / "images" / "rocket.png")
    check_openclip()
    if failures:
        sys.exit(f"more than rounding: {', '.join(failures)}")


if __name__ == "__main__":
    main()
