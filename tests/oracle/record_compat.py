"""Records cases of the paper's authors' program (bytedance/LVLM_Interpretation), for `--compat lvlm-interpretation`.

    python record_compat.py                    records every case of CASES into cases/
    python record_compat.py compat-llava-cat   records one
    python record_compat.py --check            records into memory, and compares with the files of cases/

The method is record_views.py's. What is stated here is what that program does otherwise:

- the mask is stretched over whatever an encoder sees, corner to corner: over a square with its padding, over a crop; over
  LLaVA-OneVision's whole picture after a change of its size, unless the tiles are as many across as down;
- LLaVA-OneVision's encoder sees tiles too, but the decoder reads the rows of the whole picture alone, without newlines;
- Mini-Gemini is given no picture of high resolution: the decoder reads CLIP's rows as they are projected, of one view that
  CLIP's own processor makes, though a model has a grid;
- an answer loses its last token where the limit ended it;
- the first token of an answer of two or more is never key, and words are left out as they are written;
- a curve's fractions count whole groups, and its area is summed as `area` below has it.

Settings are the defaults of record.py. README.md lists the tensors.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from transformers.image_processing_utils import select_best_resolution

import record_cambrian
import record_views
from anyres_authors import LlavaAnyres
from authors import LlavaAuthors
from cambrian import Cambrian
from mini_gemini import MiniGemini, pad_to_square
from record import STOP_WORDS, Llava, Settings, main
from tiled import Tiled

HERE = Path(__file__).resolve().parent
PROGRAM = "lvlm-interpretation"

# One answer has a capital stop word, a small one, and a first token that would be key; its threshold lets every token in.
CASES = {
    "compat-llava-cat": Settings("models/tiny-llava", "images/cat.png", lr=1.0, pp=True),
    "compat-llava-llama-cat": Settings(
        "models/tiny-llava-llama", "images/cat.png", lr=1.0, threshold=-20.0, answer="red The cat, the circle"
    ),
    "compat-onevision-cat": Settings("models/tiny-onevision", "images/cat.png", lr=0.3),
    "compat-onevision-tall": Settings("models/tiny-onevision", "images/tall.png", lr=0.3, threshold=0.3),
    "compat-onevision-authors-rocket": Settings("models/tiny-onevision-authors", "images/rocket.png", lr=0.3, pp=True),
    "compat-mini-gemini-rocket": Settings("models/tiny-mini-gemini", "images/rocket.png", lr=1.0),
    "compat-mini-gemini-hd-cat": Settings("models/tiny-mini-gemini-hd", "images/cat.png", lr=1.0, threshold=0.3),
    "compat-cambrian-rocket": record_cambrian.Settings("models/tiny-cambrian", "images/rocket.png", lr=0.3, threshold=0.3),
}
for settings in CASES.values():
    settings.compat = PROGRAM


@dataclass
class Stretched:
    """A view of `height` x `width` pixels under a mask that covers it whole."""

    height: int
    width: int

    def sample(self, mask):
        """The S x S mask as the view sees it, (height, width)."""
        return F.interpolate(mask[None, None], (self.height, self.width), mode="bilinear", align_corners=True)[0, 0]


@dataclass
class Resampled(Stretched):
    """The whole picture beside tiles: where these are not as many across as down, the program first makes the mask of as many
    times as many cells, for the tiles' sake, with rows and columns exchanged."""

    across: int
    down: int

    def sample(self, mask):
        size, ratio = mask.shape[0], self.across / self.down
        if ratio > 1:
            cells = int(size * ratio), size
        elif ratio < 1:
            cells = size, int(size / ratio)
        else:
            return super().sample(mask)
        return super().sample(F.interpolate(mask[None, None], cells, mode="bilinear", align_corners=False)[0, 0])


class Program:
    """What the program does with every model; before a model's class among the bases."""

    def views(self, rgb):
        return [Stretched(*x.shape[-2:]) for x in self.pixels(rgb)]

    def greedy(self, prompt, pixels, limit):
        answer = super().greedy(prompt, pixels, limit)
        return answer[:-1] if len(answer) == limit else answer


class ProgramLlava(Program, Llava):
    """LLaVA-1.5 with pictures cropped from the middle; pixels are a list of one view."""

    def pixels(self, rgb):
        return [super().pixels(rgb)]

    def logits(self, ids, pixels):
        return super().logits(ids, pixels[0])

    def logp(self, prompt, answer, pixels):
        logits = self.logits(torch.cat([prompt, answer], 1), pixels)[:, prompt.shape[1] - 1 : -1]
        return torch.log_softmax(logits, -1).gather(2, answer[..., None].expand(len(logits), -1, 1))[..., 0]


class ProgramLlavaAuthors(Program, LlavaAuthors):
    """LLaVA-1.5 with pictures padded to squares."""


class ProgramTiled(Program, Tiled):
    """LLaVA-OneVision of Hugging Face, from its own encoder, projector and decoder."""

    def pixels(self, rgb):
        return super().pixels(rgb)[:1]

    def views(self, rgb):
        view = Tiled.views(self, rgb)[0]
        down, across = select_best_resolution(rgb.shape[:2], self.processor.image_grid_pinpoints)
        return [Resampled(view.height, view.width, across, down)]

    def picture_rows(self, pixels):
        model = self.model.model
        states = model.vision_tower(pixels[0], output_hidden_states=True).hidden_states
        return model.multi_modal_projector(states[self.config.vision_feature_layer])

    def visual_tokens(self, pixels):
        return self.picture_rows(pixels).shape[1]

    def logits(self, ids, pixels):
        rows = self.picture_rows(pixels)
        inputs = self.model.get_input_embeddings()(ids).repeat(len(rows), 1, 1)
        inputs[:, ids[0] == self.config.image_token_id] = rows
        hidden = self.model.model.language_model(inputs_embeds=inputs).last_hidden_state
        return self.model.lm_head(hidden)


class ProgramAnyres(Program, LlavaAnyres):
    """LLaVA-OneVision in its authors' layout."""

    def pixels(self, rgb):
        views = super().pixels(rgb)[:1]
        self.visual_tokens = self.picture_rows(views).shape[1]
        return views

    def views(self, rgb):
        return [Resampled(self.tile, self.tile, *self.fitted(rgb)[1])]

    def picture_rows(self, pixels):
        return self.project(self.encoder(pixels[0]))


class ProgramMiniGemini(Program, MiniGemini):
    def pixels(self, rgb):
        mean, deviation = (
            torch.tensor(self.processor[name], dtype=self.dtype)[:, None, None] for name in ("image_mean", "image_std")
        )
        picture = Image.fromarray(rgb)
        if self.config.get("image_aspect_ratio") == "pad":
            picture = pad_to_square(picture, tuple(int(m * 255) for m in self.processor["image_mean"]))
        (width, height), edge = picture.size, self.low
        shorter = min(width, height)
        width, height = (edge if side == shorter else int(edge * side / shorter) for side in (width, height))
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
        left, top = (width - edge) // 2, (height - edge) // 2
        picture = picture.crop((left, top, left + edge, top + edge))
        x = torch.from_numpy(np.array(picture)).to(self.dtype).movedim(-1, 0)[None] / 255
        x = (x - mean) / deviation
        self.visual_tokens = self.picture_rows([x]).shape[1]
        return [x]

    def picture_rows(self, pixels):
        return self.project(self.clip(pixels[0]))


class ProgramCambrian(Cambrian):
    """Cambrian-1; its four encoders see the whole square with its padding."""

    def views(self, rgb):
        return [Stretched(*x.shape[-2:]) for x in self.pixels(rgb)]

    def greedy(self, prompt, pixels, size, limit):
        answer = super().greedy(prompt, pixels, size, limit)
        return answer[:-1] if len(answer) == limit else answer


PROGRAMS = {
    record_views.Tiled: ProgramTiled,
    record_views.LlavaAnyres: ProgramAnyres,
    record_views.LlavaAuthors: ProgramLlavaAuthors,
    record_views.MiniGemini: ProgramMiniGemini,
}


def program(folder):
    """What states the program with the model in a folder."""
    if folder.name == "tiny-llava":
        return ProgramLlava
    return PROGRAMS[record_views.family(folder)]


def key_tokens(tokenizer, answer, logp_image, logp_baseline, threshold):
    if len(answer) == 1:
        return [0] if np.exp(logp_baseline[0]) <= 0.5 * np.exp(logp_image[0]) else []
    ratios = np.array(logp_image) - np.array(logp_baseline)
    words = [tokenizer.decode([token]).strip() for token in answer]
    return [t for t in range(1, len(answer)) if ratios[t] > threshold and words[t] not in STOP_WORDS]


class ProgramScores:
    """The program's curves; before an explanation's class among the bases."""

    def curves(self, mask, probability):
        deletion, insertion, fraction = super().curves(mask, probability)
        cells = mask.numel()
        group = max(1, cells // 50)
        return deletion, insertion, [0.0] + [(start + group) / cells for start in range(0, cells, group)]

    def area(self, curve, fraction, bottom, top):
        """The program's sum: the value behind each group times the group's cells, and for the last group, by the precedence of
        its conditional expression, the group's cells alone."""
        cells = self.settings.size**2
        group = max(1, cells // 50)
        total = 0.0
        for start, value in zip(range(0, cells, group), curve[1:]):
            total += (value - bottom) / (top - bottom) * group if start + group < cells else cells - start
        return total / cells


class ProgramExplanation(ProgramScores, record_views.ExplanationOfViews):
    pass


class ProgramCambrianExplanation(ProgramScores, record_cambrian.Explanation):
    pass


def record(settings):
    if isinstance(settings, record_cambrian.Settings):
        return record_cambrian.record_case(
            settings, family=ProgramCambrian, explanation=ProgramCambrianExplanation, select=key_tokens
        )
    return record_views.record(settings, family=program, explanation=ProgramExplanation, select=key_tokens)


if __name__ == "__main__":
    main("Records the cases of the paper's authors' program.", CASES, record)
