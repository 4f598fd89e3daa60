"""Makes the tiny models that see a picture as a whole and in tiles, and pictures of awkward shapes for them.

    python make_tiled.py [--out models]

tiny-onevision     SigLIP and Qwen2; a tile of 30 pixels, of which patches of 7 leave two rows and columns over; at most four
                   tiles' tokens
tiny-next-vicuna   CLIP and Llama
tiny-next-mistral  CLIP and Mistral

Random weights, in the layout of Hugging Face's transformers. Needs requirements.txt. The same versions make the same files.
"""

import argparse
from pathlib import Path

from PIL import Image
from transformers import (
    CLIPVisionConfig,
    LlamaConfig,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    MistralConfig,
    Qwen2Config,
    SiglipVisionConfig,
)
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil

from make_models import HERE, IMAGE_TOKEN, VOCABULARY, amend, make_tokenizer, spread

TEXT = dict(
    vocab_size=VOCABULARY,
    hidden_size=64,
    intermediate_size=136,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    max_position_embeddings=1024,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=0,
)
VISION = dict(hidden_size=48, intermediate_size=112, num_hidden_layers=3, num_attention_heads=3, patch_size=7)


def save(folder, model, processor):
    # The newline is drawn like an embedding.
    model = spread(model)
    model.half().save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    processor.save_pretrained(folder)
    name = type(processor).__name__.removesuffix("Pil")
    amend(folder / "preprocessor_config.json", image_processor_type=name)


def make_onevision(folder):
    tile = 30
    pinpoints = [[tile * rows, tile * columns] for rows in (1, 2, 3) for columns in (1, 2, 3)]
    config = LlavaOnevisionConfig(
        vision_config=SiglipVisionConfig(image_size=tile, vision_use_head=False, **VISION),
        text_config=Qwen2Config(tie_word_embeddings=True, **TEXT),
        image_token_index=IMAGE_TOKEN,
        vision_aspect_ratio="anyres_max_4",
        image_grid_pinpoints=pinpoints,
    )
    processor = LlavaOnevisionImageProcessorPil(size={"height": tile, "width": tile}, image_grid_pinpoints=pinpoints)
    save(folder, LlavaOnevisionForConditionalGeneration(config), processor)


def make_next(folder, text):
    tile = 28
    pinpoints = [[tile, 2 * tile], [2 * tile, tile], [2 * tile, 2 * tile], [3 * tile, tile], [tile, 3 * tile]]
    config = LlavaNextConfig(
        vision_config=CLIPVisionConfig(image_size=tile, projection_dim=32, **VISION),
        text_config=text,
        image_token_index=IMAGE_TOKEN,
        image_grid_pinpoints=pinpoints,
    )
    processor = LlavaNextImageProcessorPil(
        size={"shortest_edge": tile}, crop_size={"height": tile, "width": tile}, image_grid_pinpoints=pinpoints
    )
    save(folder, LlavaNextForConditionalGeneration(config), processor)


def make_pictures(folder):
    """A very wide, a very tall and a very small one, cut from the others."""
    cat, rocket = (Image.open(folder / name).convert("RGB") for name in ("cat.png", "rocket.png"))
    cat.crop((0, 70, 301, 100)).save(folder / "wide.png")
    rocket.crop((70, 0, 100, 256)).save(folder / "tall.png")
    cat.crop((120, 60, 141, 74)).save(folder / "small.png")


def main():
    parser = argparse.ArgumentParser(description="Makes the tiny models that see a picture in tiles.")
    parser.add_argument("--out", type=Path, default=HERE / "models", help="folder of the models")
    out = parser.parse_args().out
    make_onevision(out / "tiny-onevision")
    make_next(out / "tiny-next-vicuna", LlamaConfig(rms_norm_eps=1e-5, **TEXT))
    make_next(out / "tiny-next-mistral", MistralConfig(sliding_window=None, head_dim=24, **TEXT))
    make_pictures(HERE / "images")


if __name__ == "__main__":
    main()
