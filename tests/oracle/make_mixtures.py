"""Makes the tiny models that mix encoders and decoders in transformers' LLaVA classes.

    python make_mixtures.py [--out models]

tiny-mix-qwen3     LLaVA-1.5: SigLIP with every position, its last hidden state; Qwen3 with YaRN
tiny-mix-phi3      LLaVA-1.5: InternViT with its class token; Phi-3 with longrope, that turns 6 of 12 columns of a head
tiny-mix-mistral   LLaVA-1.5: CLIP, two hidden states; Mistral with dynamic scaling and ReLU
tiny-mix-granite   LLaVA-NeXT, as Granite Vision: SigLIP, four hidden states, one of them twice and out of order; Granite with all
                   multipliers, YaRN and tied embeddings
tiny-mix-gemma     LLaVA-OneVision: CLIP without its class token, three hidden states, that before the first layer among them; a
                   projector with ReLU and without biases; Gemma with tied embeddings

Random weights, in the layout of Hugging Face's transformers. Needs requirements.txt. The same versions make the same files.
"""

import argparse
from pathlib import Path

from transformers import (
    CLIPImageProcessorPil,
    CLIPVisionConfig,
    GemmaConfig,
    GraniteConfig,
    InternVLVisionConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaOnevisionConfig,
    LlavaOnevisionForConditionalGeneration,
    MistralConfig,
    Phi3Config,
    Qwen3Config,
    SiglipVisionConfig,
)
from transformers.models.llava_next.image_processing_pil_llava_next import LlavaNextImageProcessorPil
from transformers.models.llava_onevision.image_processing_pil_llava_onevision import LlavaOnevisionImageProcessorPil

from make_models import HERE, IMAGE_TOKEN, VOCABULARY
from make_tiled import save

TEXT = dict(
    vocab_size=VOCABULARY,
    hidden_size=48,
    intermediate_size=88,
    num_hidden_layers=2,
    num_attention_heads=4,
    num_key_value_heads=2,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=0,
)
VISION = dict(hidden_size=24, intermediate_size=52, num_hidden_layers=3, num_attention_heads=3)
YARN = dict(rope_type="yarn", factor=4.0, rope_theta=10000.0, original_max_position_embeddings=64)


def make_llava(folder, tile, vision, text, **fields):
    config = LlavaConfig(vision_config=vision, text_config=text, image_token_index=IMAGE_TOKEN, **fields)
    processor = CLIPImageProcessorPil(size={"shortest_edge": tile}, crop_size={"height": tile, "width": tile})
    save(folder, LlavaForConditionalGeneration(config), processor)


def make_qwen3(folder):
    # Four patches each way, and two pixels that are not seen.
    vision = SiglipVisionConfig(image_size=30, patch_size=7, vision_use_head=False, **VISION)
    text = Qwen3Config(head_dim=16, max_position_embeddings=512, rope_parameters=YARN, **TEXT)
    make_llava(folder, 30, vision, text, vision_feature_layer=-1, vision_feature_select_strategy="full")


def make_phi3(folder):
    vision = InternVLVisionConfig(image_size=[28, 28], patch_size=[7, 7], attention_bias=True, **VISION)
    rope = dict(
        rope_type="longrope",
        rope_theta=10000.0,
        partial_rotary_factor=0.5,
        short_factor=[1.0, 1.3, 2.5],
        long_factor=[1.0, 3.0, 9.0],
    )
    text = Phi3Config(
        max_position_embeddings=8192, original_max_position_embeddings=512, rope_parameters=rope, **TEXT
    )
    make_llava(folder, 28, vision, text, vision_feature_layer=-2, vision_feature_select_strategy="full")


def make_mistral(folder):
    vision = CLIPVisionConfig(image_size=28, patch_size=7, projection_dim=16, **VISION)
    rope = dict(rope_type="dynamic", rope_theta=10000.0, factor=2.0)
    text = MistralConfig(
        max_position_embeddings=512, sliding_window=None, rope_parameters=rope, hidden_act="relu", **TEXT
    )
    make_llava(folder, 28, vision, text, vision_feature_layer=[-2, -1], projector_hidden_act="gelu_new")


def make_granite(folder):
    tile = 30
    pinpoints = [[tile, 2 * tile], [2 * tile, tile], [2 * tile, 2 * tile], [3 * tile, tile], [tile, 3 * tile]]
    config = LlavaNextConfig(
        vision_config=SiglipVisionConfig(image_size=tile, patch_size=7, vision_use_head=False, **VISION),
        text_config=GraniteConfig(
            max_position_embeddings=1024,
            rope_parameters=YARN,
            embedding_multiplier=3.0,
            attention_multiplier=0.2,
            residual_multiplier=0.4,
            logits_scaling=2.0,
            tie_word_embeddings=True,
            rms_norm_eps=1e-3,
            **TEXT,
        ),
        image_token_index=IMAGE_TOKEN,
        image_grid_pinpoints=pinpoints,
        vision_feature_layer=[-3, 2, -1, -3],
        vision_feature_select_strategy="full",
        tie_word_embeddings=True,
    )
    processor = LlavaNextImageProcessorPil(
        size={"shortest_edge": tile}, crop_size={"height": tile, "width": tile}, image_grid_pinpoints=pinpoints
    )
    save(folder, LlavaNextForConditionalGeneration(config), processor)


def make_gemma(folder):
    tile = 28
    pinpoints = [[tile * rows, tile * columns] for rows in (1, 2) for columns in (1, 2)]
    config = LlavaOnevisionConfig(
        vision_config=CLIPVisionConfig(image_size=tile, patch_size=7, projection_dim=16, **VISION),
        # The root of the width, a factor of the embeddings, is the same in every type.
        text_config=GemmaConfig(
            head_dim=16, max_position_embeddings=512, **TEXT | dict(hidden_size=64, intermediate_size=72)
        ),
        image_token_index=IMAGE_TOKEN,
        image_grid_pinpoints=pinpoints,
        vision_feature_layer=[0, -1, -2],
        vision_feature_select_strategy="default",
        projector_hidden_act="relu",
        multimodal_projector_bias=False,
    )
    processor = LlavaOnevisionImageProcessorPil(size={"height": tile, "width": tile}, image_grid_pinpoints=pinpoints)
    save(folder, LlavaOnevisionForConditionalGeneration(config), processor)


MAKERS = {
    "tiny-mix-qwen3": make_qwen3,
    "tiny-mix-phi3": make_phi3,
    "tiny-mix-mistral": make_mistral,
    "tiny-mix-granite": make_granite,
    "tiny-mix-gemma": make_gemma,
}


def main():
    parser = argparse.ArgumentParser(description="Makes the tiny models that mix encoders and decoders.")
    parser.add_argument("--out", type=Path, default=HERE / "models", help="folder of the models")
    out = parser.parse_args().out
    for name, make in MAKERS.items():
        make(out / name)


if __name__ == "__main__":
    main()
