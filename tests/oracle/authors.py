"""LLaVA-1.5 in its authors' own layout: what differs from Hugging Face's in picture and prompt, in float64."""

import json
from dataclasses import dataclass
from pathlib import Path

import torch
from PIL import Image
from transformers import AutoTokenizer

from record import Llava, View

SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
IMAGE = -200


@dataclass
class Padded(View):
    """A view whose resized sizes and offsets are real numbers."""


def padded_view(rgb, edge):
    """The picture in the middle of a square, resized to `edge` x `edge`."""
    height, width = rgb.shape[:2]
    side = max(width, height)
    left, top = (side - width) // 2, (side - height) // 2
    return Padded(edge, edge, edge * height / side, edge * width / side, -edge * top / side, -edge * left / side)


class LlavaAuthors(Llava):
    """The same weights as models/ORIGIN, which the folder's file `origin` names; pictures are padded to squares."""

    def __init__(self, folder, dtype=torch.float64, attention="eager"):
        origin = json.loads((Path(folder) / "config.json").read_text())["_name_or_path"]
        super().__init__(Path(folder).parent / origin, dtype, attention)
        self.tokenizer = AutoTokenizer.from_pretrained(folder)

    def pixels(self, rgb):
        """Padded to a square of CLIP's mean colour, cut off to whole numbers, the picture in the middle."""
        picture = Image.fromarray(rgb)
        width, height = picture.size
        side = max(width, height)
        colour = tuple(int(255 * mean) for mean in self.processor.image_mean)
        square = Image.new("RGB", (side, side), colour)
        square.paste(picture, ((side - width) // 2, (side - height) // 2))
        return [self.processor(square, return_tensors="pt")["pixel_values"].to(self.dtype)]

    def views(self, rgb):
        return [padded_view(rgb, self.processor.size["shortest_edge"])]

    def prompt(self, question, pixels=None):
        """The pieces before and behind the picture are tokenised apart; the second one's begin marker is dropped."""
        text = f"{SYSTEM} USER: <image>\n{question} ASSISTANT:"
        pieces = [self.tokenizer(piece)["input_ids"] for piece in text.split("<image>")]
        begin = self.tokenizer.bos_token_id
        second = pieces[1][1:] if pieces[1][:1] == [begin] else pieces[1]
        return torch.tensor([pieces[0] + [IMAGE] * self.visual_tokens(pixels) + second]), text

    def logits(self, ids, pixels):
        ids = torch.where(ids == IMAGE, self.config.image_token_id, ids)
        return super().logits(ids, pixels[0])

    def logp(self, prompt, answer, pixels):
        logits = self.logits(torch.cat([prompt, answer], 1), pixels)[:, prompt.shape[1] - 1 : -1]
        chosen = answer[..., None].expand(len(pixels[0]), -1, 1)
        return torch.log_softmax(logits, -1).gather(2, chosen)[..., 0]
