"""Gemma 3 of Hugging Face: one square view, whose rows the decoder reads in both directions, in float64."""

import torch
from PIL import Image
from transformers import AutoModelForImageTextToText
from transformers.models.gemma3.processing_gemma3 import Gemma3Processor

from record import View
from tiled import Tiled


class Gemma3(Tiled):
    """As tiled.Tiled; pixels are a list of one view (B, 3, h, w)."""

    types = ("gemma3",)

    def __init__(self, folder, dtype=torch.float64, attention="eager"):
        super().__init__(folder, dtype, attention)
        # Loaded in the type of its files first, as by default: the factor of the embeddings is rounded to it.
        model = AutoModelForImageTextToText.from_pretrained(folder, attn_implementation=attention)
        self.model = model.to(dtype).eval().requires_grad_(False)
        length = self.config.mm_tokens_per_image
        self.own = Gemma3Processor(self.processor, self.tokenizer, image_seq_length=length)
        self.picture = None

    def pixels(self, rgb):
        self.picture = Image.fromarray(rgb)
        out = self.own(images=self.picture, text=self.own.image_token, return_tensors="pt")
        return [out["pixel_values"].to(self.dtype)]

    def views(self, rgb):
        height, width = self.pixels(rgb)[0].shape[2:]
        return [View(height, width, height, width, 0, 0)]

    def prompt(self, question, pixels=None):
        """As the processor itself expands and tokenises it."""
        text = self.prompt_text(question)
        out = self.own(images=self.picture, text=text, add_special_tokens=False, return_tensors="pt")
        ids = out["input_ids"]
        if not torch.equal(out["token_type_ids"] == 1, ids == self.config.image_token_id):
            raise SystemExit("other tokens than the picture's read each other in both directions")
        return ids, text

    def logits(self, ids, pixels):
        ids = ids.expand(len(pixels[0]), -1)
        types = (ids == self.config.image_token_id).int()
        return self.model(input_ids=ids, pixel_values=pixels[0], token_type_ids=types).logits
