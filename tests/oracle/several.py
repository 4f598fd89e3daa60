"""Models of Hugging Face that are asked about several pictures in one message, in float64.

transformers' own processor writes the prompt and its own model reads all pictures. Pixels are one list of the views of all pictures,
picture by picture; each picture's views are those of the class for one picture, the whole picture first.
"""

import torch
from PIL import Image
from transformers.models.llava.processing_llava import LlavaProcessor
from transformers.models.llava_next.processing_llava_next import LlavaNextProcessor
from transformers.models.llava_onevision.processing_llava_onevision import LlavaOnevisionProcessor
from transformers.models.llava_onevision.video_processing_llava_onevision import LlavaOnevisionVideoProcessor

from authors import padded_view
from gemma3 import Gemma3
from qwen import QwenVl
from record import Llava
from split import Split
from tiled import Tiled


class Several:
    """Asks a model of one picture about several."""

    def ask(self, rgbs, question):
        """What transformers' processor makes of a message with these pictures and then the question. Returns ids and text of the prompt."""
        content = [{"type": "image", "image": Image.fromarray(rgb)} for rgb in rgbs] + [{"type": "text", "text": question}]
        chat = [{"role": "user", "content": content}]
        how = {"chat_template": self.tokenizer.chat_template, "add_generation_prompt": True}
        text = self.own.apply_chat_template(chat, **how)
        self.inputs = self.own.apply_chat_template(chat, **how, tokenize=True, return_dict=True, return_tensors="pt")
        pixels = [self.pixels(rgb) for rgb in rgbs]
        self.counts = [len(views) for views in pixels]
        own, ours = self.inputs["pixel_values"].to(self.dtype), self.joined([view for views in pixels for view in views])
        if own.shape != ours.shape or not torch.equal(own, ours):
            raise SystemExit("the processor makes other pixels of one picture than of several")
        return self.inputs["input_ids"], text

    def by_picture(self, pixels):
        """The views of each picture, as lists."""
        views = iter(pixels)
        return [[next(views) for _ in range(count)] for count in self.counts]

    def joined(self, pixels):
        """Views (1, 3, h, w) of all pictures as the model takes them."""
        return torch.cat(pixels)

    def logits(self, ids, pixels):
        """Next-token logits, (B, L, vocabulary), of one sequence of ids (1, L) on B variants of the pictures, one variant at a time."""
        variants = [[view[b : b + 1] for view in pixels] for b in range(len(pixels[0]))]
        return torch.cat([self.model(**self.inputs_of(ids, variant)).logits for variant in variants])

    def inputs_of(self, ids, pixels):
        """The processor's own, with the pixels in place of its pixels, and with the answer's tokens behind the prompt."""
        prompt = self.inputs["input_ids"]
        behind = ids.shape[1] - prompt.shape[1]
        inputs = {}
        for name, value in self.inputs.items():
            if value.shape == prompt.shape:  # of each token; the answer's are seen, and are text
                value = torch.nn.functional.pad(value, (0, behind), value=int(name == "attention_mask"))
            inputs[name] = value
        return inputs | {"input_ids": ids, "pixel_values": self.joined(pixels)}


class LlavaOfSeveral(Several, Tiled):
    types = ("llava",)

    def __init__(self, folder, dtype=torch.float64, attention="eager"):
        super().__init__(folder, dtype, attention)
        self.own = LlavaProcessor(self.processor, self.tokenizer, **clip(self.config))

    def pixels(self, rgb):
        return [Llava.pixels(self, rgb)]

    def views(self, rgb):
        return [self.view(rgb)]


class NextOfSeveral(Several, Tiled):
    types = ("llava_next",)

    def __init__(self, folder, dtype=torch.float64, attention="eager"):
        super().__init__(folder, dtype, attention)
        self.own = LlavaNextProcessor(self.processor, self.tokenizer, **clip(self.config))

    def joined(self, pixels):
        """With empty views behind those of the pictures that have fewer."""
        pictures = [torch.cat(views) for views in self.by_picture(pixels)]
        return torch.nn.utils.rnn.pad_sequence(pictures, batch_first=True)


class OnevisionOfSeveral(Several, Tiled):
    """A picture among others is padded to a square and seen in one view, without tiles."""

    types = ("llava_onevision",)

    def __init__(self, folder, dtype=torch.float64, attention="eager"):
        super().__init__(folder, dtype, attention)
        config, vision = self.config, self.config.vision_config
        self.own = LlavaOnevisionProcessor(
            self.processor,
            self.tokenizer,
            LlavaOnevisionVideoProcessor(),
            num_image_tokens=(vision.image_size // vision.patch_size) ** 2,
            vision_feature_select_strategy=config.vision_feature_select_strategy,
            vision_aspect_ratio=config.vision_aspect_ratio,
        )

    def pixels(self, rgb):
        picture = Image.fromarray(rgb)
        message = [picture, picture]  # two, for which the processor makes no tiles
        return [self.processor([message], return_tensors="pt")["pixel_values"][0].to(self.dtype)]

    def views(self, rgb):
        return [padded_view(rgb, self.processor.size["height"])]

    def joined(self, pixels):
        return torch.stack(pixels)


class SplitOfSeveral(Several, Split):
    def joined(self, pixels):
        """The whole picture behind its tiles, and the next picture behind that."""
        views = torch.cat([view for own in self.by_picture(pixels) for view in own[1:] + own[:1]])
        return views if self.config.model_type == "internvl" else views[None]


class QwenOfSeveral(Several, QwenVl):
    def joined(self, pixels):
        return torch.cat([self.patches(picture)[0] for picture in pixels])


class Gemma3OfSeveral(Several, Gemma3):
    pass


FAMILIES = (LlavaOfSeveral, NextOfSeveral, OnevisionOfSeveral, SplitOfSeveral, QwenOfSeveral, Gemma3OfSeveral)


def clip(config):
    """What processors of models with CLIP must be told to count rows: CLIP has a class token besides its patches."""
    return {
        "patch_size": config.vision_config.patch_size,
        "vision_feature_select_strategy": config.vision_feature_select_strategy,
        "num_additional_image_tokens": 1,
    }
