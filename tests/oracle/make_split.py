"""Makes the tiny models that see a picture in tiles stretched over it, and as a whole after them.

    python make_split.py [--out models]

tiny-smolvlm    SmolVLM with a grouped Llama decoder and tied embeddings; tiles of 14 pixels, of which patches of 3 leave two rows and
                columns over; 2 x 2 patches to a row
tiny-smolvlm-whole   the same files with an image processor that does not split pictures
tiny-idefics3   Idefics3; tiles of 12 pixels, 3 x 3 patches to a row; an odd longest edge, and another filter than Lanczos's
tiny-internvl   InternVL3: InternViT with biases; tiles of 14 pixels, of which patches of 3 leave two rows and columns over; 2 x 2 patches
                to a row; Qwen2 with tied embeddings
tiny-internvl-qwen3   InternVL3.5: InternViT with root-mean-square norms, and norms of queries and keys; Qwen3 with its own head size

Random weights, in the layout of Hugging Face's transformers. Needs requirements.txt. The same versions make the same files.
"""

import argparse
import json
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    Idefics3Config,
    Idefics3ForConditionalGeneration,
    InternVLConfig,
    InternVLForConditionalGeneration,
    LlamaConfig,
    PreTrainedTokenizerFast,
    Qwen2Config,
    Qwen3Config,
    SmolVLMConfig,
    SmolVLMForConditionalGeneration,
)
from transformers.models.got_ocr2.image_processing_pil_got_ocr2 import GotOcr2ImageProcessorPil
from transformers.models.idefics3.image_processing_pil_idefics3 import Idefics3ImageProcessorPil
from transformers.models.smolvlm.image_processing_pil_smolvlm import SmolVLMImageProcessorPil

from make_models import HERE, VOCABULARY, amend, scene_texts, spread, write_json

TEXT = dict(
    vocab_size=VOCABULARY,
    hidden_size=48,
    intermediate_size=88,
    num_hidden_layers=2,
    max_position_embeddings=1024,
    rms_norm_eps=1e-5,
    bos_token_id=1,
    eos_token_id=2,
    pad_token_id=0,
)
VISION = dict(hidden_size=24, intermediate_size=52, num_hidden_layers=2, num_attention_heads=3)
IMAGE = "<image>"
PARTS = ["<fake_token_around_image>", "<global-img>"]
TILES = [f"<row_{row + 1}_col_{column + 1}>" for row in range(6) for column in range(6)]
END = "<end_of_utterance>"
# That of the published models.
TEMPLATE = (
    "<|im_start|>{% for message in messages %}{{message['role'] | capitalize}}"
    "{% if message['content'][0]['type'] == 'image' %}{{':'}}{% else %}{{': '}}{% endif %}"
    "{% for line in message['content'] %}{% if line['type'] == 'text' %}{{line['text']}}"
    "{% elif line['type'] == 'image' %}{{ '<image>' }}{% endif %}{% endfor %}<end_of_utterance>\n"
    "{% endfor %}{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
INTERNVL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>", "<IMG_CONTEXT>", "<img>", "</img>", "<video>"]
INTERNVL_TEMPLATE = (
    "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n'}}{% if message['content'] is string %}"
    "{{ message['content'] }}{% else %}{% for content in message['content'] %}{% if content['type'] == 'image' %}"
    "{{ '<IMG_CONTEXT>\n' }}{% elif content['type'] == 'text' %}{{ content['text'] }}{% endif %}{% endfor %}{% endif %}"
    "{{'<|im_end|>\n'}}{% endfor %}{% if add_generation_prompt %}{{'<|im_start|>assistant\n' }}{% endif %}"
)


def make_tokenizer(special, template, **names):
    """A byte-level BPE tokenizer as make_models.py's, trained on texts with newlines and with these special tokens; `names` are some of them
    by name."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCABULARY, special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet()
    )
    texts = [text + "\n\n" + text for text in scene_texts()]
    tokenizer.train_from_iterator(texts, trainer)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, **names)
    fast.chat_template = template
    return fast


def save(folder, model, tokenizer, images, processor):
    model = spread(model)
    model.half().save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    images.save_pretrained(folder)
    amend(folder / "preprocessor_config.json", image_processor_type=type(images).__name__.removesuffix("Pil"))
    write_json(folder / "processor_config.json", processor)


def make_idefics3(folder, cls, config, images, more, length):
    special = ["<pad>", "<|im_start|>", END, IMAGE, *PARTS, *TILES]
    names = dict(bos_token="<|im_start|>", eos_token=END, pad_token="<pad>")
    tokenizer = make_tokenizer(special, TEMPLATE, **names, extra_special_tokens=more)
    processor = {"image_seq_len": length, "processor_class": cls.__name__.replace("ForConditionalGeneration", "Processor")}
    save(folder, cls(config), tokenizer, images, processor)


def make_smolvlm(folder):
    config = SmolVLMConfig(
        vision_config=dict(image_size=14, patch_size=3, **VISION),
        text_config=LlamaConfig(num_attention_heads=4, num_key_value_heads=2, tie_word_embeddings=True, **TEXT),
        image_token_id=3,
        scale_factor=2,
        tie_word_embeddings=True,
    )
    images = SmolVLMImageProcessorPil(size={"longest_edge": 42}, max_image_size={"longest_edge": 14})
    more = dict(
        image_token=IMAGE, fake_image_token=PARTS[0], global_image_token=PARTS[1], end_of_utterance_token=END
    )
    make_idefics3(folder, SmolVLMForConditionalGeneration, config, images, more, 4)


def make_whole(folder):
    """tiny-smolvlm's files, and an image processor that sees the picture as a whole only."""
    folder.mkdir(parents=True, exist_ok=True)
    split = folder.parent / "tiny-smolvlm"
    for file in split.iterdir():
        (folder / file.name).unlink(missing_ok=True)
        if file.name != "preprocessor_config.json":
            (folder / file.name).symlink_to(Path("..") / split.name / file.name)
    fields = json.loads((split / "preprocessor_config.json").read_text())
    write_json(folder / "preprocessor_config.json", fields | {"do_image_splitting": False})


def make_idefics(folder):
    config = Idefics3Config(
        vision_config=dict(image_size=12, patch_size=2, **VISION),
        text_config=LlamaConfig(num_attention_heads=3, num_key_value_heads=3, **TEXT),
        image_token_id=3,
        scale_factor=3,
    )
    images = Idefics3ImageProcessorPil(size={"longest_edge": 35}, max_image_size={"longest_edge": 12}, resample=3)
    make_idefics3(folder, Idefics3ForConditionalGeneration, config, images, {}, 4)


def make_internvl(folder, text, **vision):
    config = InternVLConfig(
        vision_config=dict(image_size=[14, 14], patch_size=[3, 3], **VISION, **vision),
        text_config=text,
        image_token_id=3,
        image_seq_length=4,
        tie_word_embeddings=text.tie_word_embeddings,
    )
    _, start, end, context, first, last, video = INTERNVL
    more = dict(start_image_token=first, end_image_token=last, context_image_token=context, video_token=video)
    names = dict(eos_token=end, pad_token=INTERNVL[0])
    tokenizer = make_tokenizer(INTERNVL, INTERNVL_TEMPLATE, **names, extra_special_tokens=more)
    images = GotOcr2ImageProcessorPil(
        size={"height": 14, "width": 14}, max_patches=6, image_mean=[0.485, 0.456, 0.406], image_std=[0.229, 0.224, 0.225]
    )
    processor = {"image_seq_length": 4, "processor_class": "InternVLProcessor"}
    save(folder, InternVLForConditionalGeneration(config), tokenizer, images, processor)


def main():
    parser = argparse.ArgumentParser(description="Makes the tiny models that see a picture in tiles stretched over it.")
    parser.add_argument("--out", type=Path, default=HERE / "models", help="folder of the models")
    out = parser.parse_args().out
    make_smolvlm(out / "tiny-smolvlm")
    make_whole(out / "tiny-smolvlm-whole")
    make_idefics(out / "tiny-idefics3")
    text = TEXT | dict(bos_token_id=None, rms_norm_eps=1e-6, num_attention_heads=4, num_key_value_heads=2)
    make_internvl(out / "tiny-internvl", Qwen2Config(tie_word_embeddings=True, **text), attention_bias=True)
    make_internvl(
        out / "tiny-internvl-qwen3", Qwen3Config(head_dim=16, **text), use_qk_norm=True, norm_type="rms_norm"
    )


if __name__ == "__main__":
    main()
