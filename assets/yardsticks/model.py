"""The tokenizer and the model of a yardstick, and how both are saved in Hugging Face's layout."""

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    CLIPImageProcessor,
    CLIPVisionConfig,
    LlamaConfig,
    LlavaConfig,
    LlavaForConditionalGeneration,
    LlavaNextConfig,
    LlavaNextForConditionalGeneration,
    LlavaNextImageProcessor,
    PreTrainedTokenizerFast,
)

WIDTH = 128
PATCH = 14
SIZE = 112
SIDE = SIZE // PATCH
PATCHES = SIDE * SIDE
SYSTEM = "A chat about a picture."
MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])
STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])
# Tokens of the vocabulary that are no words: padding, both ends of a text, the picture.
PAD, BOS, EOS, IMAGE = range(4)

CHAT_TEMPLATE = (
    "{{ bos_token }}" + SYSTEM + " {% for m in messages %}{% if m['role']=='user' %}USER: "
    "{% for c in m['content'] %}{% if c['type']=='image' %}<image>\n{% endif %}{% endfor %}"
    "{% for c in m['content'] %}{% if c['type']=='text' %}{{ c['text'] }}{% endif %}{% endfor %}"
    "{% else %} ASSISTANT: {% for c in m['content'] %}{% if c['type']=='text' %}{{ c['text'] }}{% endif %}{% endfor %}"
    "{{ eos_token }}{% endif %}{% endfor %}{% if add_generation_prompt %} ASSISTANT:{% endif %}"
)


def make_tokenizer(texts, words):
    """Byte-level BPE in which each of `words` is one token at the start of a text and after a space."""
    corpus = [SYSTEM + " USER: \n ASSISTANT:"] * 50 + list(texts)
    corpus += [form for word in words for form in (word, " " + word) for _ in range(400)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=1000,
        min_frequency=40,
        special_tokens=["<pad>", "<s>", "</s>", "<image>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(corpus, trainer)
    return tokenizer


def encode(tokenizer, text):
    return tokenizer.encode(text, add_special_tokens=False).ids


def make_model(vocabulary, pinpoints=None):
    """A LLaVA with random weights: CLIP ViT of five layers whose fourth is read, two-layer projector, Llama of four layers.

    With `pinpoints`, the sizes (height, width) of pictures of whole tiles, its layout is that of LLaVA-NeXT.
    """
    fields = {
        "vision_config": CLIPVisionConfig(
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=5,
            num_attention_heads=4,
            image_size=SIZE,
            patch_size=PATCH,
            projection_dim=WIDTH,
        ),
        "text_config": LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=WIDTH,
            intermediate_size=3 * WIDTH,
            num_hidden_layers=4,
            num_attention_heads=4,
            num_key_value_heads=2,
            max_position_embeddings=512,
            bos_token_id=BOS,
            eos_token_id=EOS,
            pad_token_id=PAD,
            rms_norm_eps=1e-5,
            initializer_range=0.08,
        ),
        "image_token_index": IMAGE,
        "image_seq_length": PATCHES,
        "vision_feature_layer": -2,
        "vision_feature_select_strategy": "default",
        "projector_hidden_act": "gelu",
    }
    if pinpoints:
        return LlavaNextForConditionalGeneration(LlavaNextConfig(image_grid_pinpoints=pinpoints, **fields))
    return LlavaForConditionalGeneration(LlavaConfig(**fields))


def pixels(images):
    """Normalised pixels, f32 (n, 3, SIZE, SIZE), of pictures of values 0 to 255, (n, SIZE, SIZE, 3)."""
    if isinstance(images, np.ndarray):
        images = torch.from_numpy(images)
    return ((images.float() / 255 - MEAN) / STD).permute(0, 3, 1, 2).contiguous()


def save(model, tokenizer, folder):
    """Writes f16 weights, tokenizer, chat template and image processor."""
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>")
    fast.chat_template = CHAT_TEMPLATE
    model.eval().half().save_pretrained(folder)
    fast.save_pretrained(folder)
    square = {"size": {"shortest_edge": SIZE}, "crop_size": {"height": SIZE, "width": SIZE}}
    pinpoints = getattr(model.config, "image_grid_pinpoints", None)
    if pinpoints:
        LlavaNextImageProcessor(image_grid_pinpoints=pinpoints, **square).save_pretrained(folder)
    else:
        CLIPImageProcessor(**square).save_pretrained(folder)
