"""The yardstick `reading`: what `shapes` knows, and words and numbers.

Every stage of `shapes` has one for reading, on two thirds of scenes with text and one third without.
"""

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import signs
from model import PATCH, PATCHES, SIDE, WIDTH, encode
from stages import NOTHING, UNSURE, Trainer

DIGITS = 10
# Classes of a patch: nothing to read, a word, a digit in the first place, a digit in the second.
CLASSES = 1 + len(signs.WORDS) + 2 * DIGITS
# Pixels of a patch with which a text can be read, and with which it may be seen.
ENOUGH, TOO_FEW = 8, 2
TEXT_SHARE = 2 / 3


def classes(text):
    """The class of a text's every letter, or of each of its digits."""
    if text in signs.WORDS:
        return [1 + signs.WORDS.index(text)] * len(text)
    return [1 + len(signs.WORDS) + DIGITS * place + int(digit) for place, digit in enumerate(text)]


def text_facts(scene, visible=None):
    """The class of each patch, or UNSURE; i64 (PATCHES)."""
    labels = np.zeros(PATCHES, np.int64)
    most = np.zeros(PATCHES)
    for item in scene.objects:
        for known, letter in zip(classes(item["text"]) if "text" in item else [], item.get("letters", [])):
            ink = letter.astype(np.float32)
            seen = ink if visible is None else ink * visible
            cover, seen = (v.reshape(SIDE, PATCH, SIDE, PATCH).sum((1, 3)).ravel() for v in (ink, seen))
            whole = 1.0 if visible is None else float((item["mask"] * visible).sum() / item["mask"].sum())
            belongs = (cover >= TOO_FEW) & (cover > most)
            # Of a word, all has to be seen before any of it is known.
            share = np.minimum(seen / np.maximum(cover, 1), whole)
            label = np.where(share > 0.5, known, np.where(share > 0.12, UNSURE, 0))
            label[cover < ENOUGH] = np.where(share[cover < ENOUGH] > 0.12, UNSURE, 0)
            labels = np.where(belongs, label, labels)
            most = np.where(belongs, cover, most)
    return labels


class Texts(nn.Module):
    """What made-up tokens of text are of, and the reader of the encoder's hidden states."""

    def __init__(self):
        super().__init__()
        self.vectors = nn.ParameterDict({k: nn.Parameter(torch.randn(1, WIDTH) * 0.3) for k in ("word", "first", "second")})
        self.reader = nn.Linear(WIDTH, CLASSES)


class ReadingTrainer(Trainer):
    """A trainer whose facts have one more row: the class of the text on a patch."""

    def __init__(self, model, tokenizer):
        super().__init__(model, tokenizer)
        self.texts = Texts()
        self.word_ids = torch.tensor([encode(tokenizer, " " + w)[0] for w in signs.WORDS])
        self.digit_ids = torch.tensor([encode(tokenizer, str(d))[0] for d in range(DIGITS)])

    def state_dict(self):
        return {**super().state_dict(), "texts": self.texts.state_dict()}

    def load_state_dict(self, state):
        super().load_state_dict(state)
        if "texts" in state:
            self.texts.load_state_dict(state["texts"])

    def scene(self, rng):
        return signs.scene(rng) if rng.random() < TEXT_SHARE else super().scene(rng)

    def questions(self, rng, scene, kinds=None):
        if not any("text" in o for o in scene.objects):
            return super().questions(rng, scene, kinds)[: len(signs.KINDS) + 2]
        return [signs.question(rng, scene, kind) for kind in signs.KINDS]

    def labels(self, scenes, visible=None):
        known, tones = super().labels(scenes, visible)
        shown = [None] * len(scenes) if visible is None else visible
        text = torch.from_numpy(np.stack([text_facts(s, v) for s, v in zip(scenes, shown)]))
        return torch.cat([known, text[:, None]], 1), tones

    def made_up(self, labels, tones):
        tokens = super().made_up(labels, tones)
        words, known = self.decoder.embed_tokens.weight, self.texts.vectors
        # A digit is on fewer patches than a word. It is found with what finds words, and told apart by its place.
        table = [words[self.word_ids] + known["word"]]
        table += [words[self.digit_ids] + known["word"] + known[place] for place in ("first", "second")]
        table = torch.cat([torch.zeros(1, WIDTH), *table])
        text = labels[:, 5]
        return torch.where((text > 0)[..., None], table[text.clamp(min=0)], tokens)

    def groups(self, labels):
        text = labels[:, 5] > 0
        return [labels[:, 0] >= 0, (labels[:, 0] == NOTHING) & ~text, text]

    def read_loss(self, hidden, labels, tones):
        text = labels[:, 5]
        known = text != UNSURE
        plain = labels.clone()
        plain[:, :4] = torch.where((text > 0)[:, None], NOTHING, plain[:, :4])
        # Patches with text are rare: they count more.
        weight = torch.where(text[known] > 0, 4.0, 1.0)
        loss = F.cross_entropy(self.texts.reader(hidden)[known], text[known], reduction="none")
        return super().read_loss(hidden, plain, tones) + 2 * (weight * loss).sum() / weight.sum()
