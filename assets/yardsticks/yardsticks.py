"""The yardsticks by name, and the stages of their training."""

import re
from dataclasses import dataclass
from functools import cache
from typing import Callable

import numpy as np
import torch

import shapes
import signs
from model import make_model, make_tokenizer
from optimiser import Optimiser
from reading import ReadingTrainer
from stages import Trainer
from tiled import TiledTrainer

# Which parts of a trainer a stage trains, each with a factor on the learning rates.
ENCODER = {"tower": 1, "facts.readers": 1}
DECODER = {"decoder": 1, "head": 1, "facts.vectors": 1}
ALIGN = {"projector": 1}
JOINT = {"tower": 0.5, "projector": 1, "decoder": 0.5, "head": 0.5}
READ_ENCODER = {**ENCODER, "texts.reader": 1}
READ_DECODER = {"decoder": 1, "head": 1, "texts.vectors": 1}


@dataclass
class Stage:
    """A stage of `steps` steps.

    `loss(trainer, rng, done)` is the loss of one step, `done` the share of steps done; `trains` names the parts that it trains,
    and `after` the stages whose parts it takes over, the later ones over the earlier.
    """

    name: str
    seed: int
    steps: int
    loss: Callable
    trains: dict
    after: tuple = ()
    matrix_rate: float = 1e-2
    other_rate: float = 2e-3
    trainer: type = Trainer

    def optimiser(self, trainer):
        parts = [(trainer.part(name), factor) for name, factor in self.trains.items()]
        return Optimiser(parts, self.steps, self.matrix_rate, self.other_rate)


def texts_and_words():
    """Questions and answers of a few hundred scenes, from which the tokenizer learns, and the words to know as one token."""
    rng = np.random.default_rng(7)
    texts = []
    for _ in range(400):
        scene = shapes.scene(rng)
        for kind in shapes.KINDS:
            asked = shapes.question(rng, scene, kind)
            if asked:
                texts += [asked.text, asked.answer, *([asked.hidden] if asked.hidden else [])]
    texts += signs.TEXTS
    return texts, sorted({*re.findall("[A-Za-z]+", " ".join(texts)), *signs.WORDS})


@cache
def tokenizer():
    """The tokenizer of all yardsticks."""
    return make_tokenizer(*texts_and_words())


def trainer(kind):
    """A trainer of an untrained model."""
    torch.manual_seed(1)
    return kind(make_model(tokenizer().get_vocab_size(), kind.pinpoints), tokenizer())


def pictures_and_answers(batch, share):
    """The loss of a joint stage, of which the alignment fades out."""
    return lambda trainer, rng, done: trainer.joint(rng, batch, share, max(0.02, 0.5 - done))


def encoder_alone(trainer, rng, done):
    return trainer.encoder(rng, 32, 0.35)


def projector(trainer, rng, done):
    return trainer.align(rng, 32, 0.35)


def easy_questions(trainer, rng, done):
    """Questions that a decoder answers by looking up one object."""
    return trainer.decoder_only(rng, 10, ["color", "shape", "where"])


def all_questions(trainer, rng, done):
    return trainer.decoder_only(rng, 12)


def reading_questions(trainer, rng, done):
    """A scene with text has only three questions."""
    return trainer.decoder_only(rng, 24)


GENTLE = {"matrix_rate": 5e-3, "other_rate": 1e-3}
encoder = Stage("encoder", 11, 600, encoder_alone, ENCODER)
lookup = Stage("lookup", 15, 300, easy_questions, DECODER, other_rate=3e-3)
decoder = Stage("decoder", 12, 900, all_questions, DECODER, (lookup,), other_rate=3e-3)
align = Stage("align", 13, 250, projector, ALIGN, (decoder, encoder), other_rate=3e-3)
joint = Stage("joint", 14, 450, pictures_and_answers(16, 0.5), JOINT, (decoder, encoder, align), **GENTLE)

# `reading` goes on from the encoder and the decoder of `shapes`, on scenes with text and without.
READING = {"trainer": ReadingTrainer}
read_encoder = Stage("read_encoder", 21, 1500, encoder_alone, READ_ENCODER, (encoder,), **READING)
read_decoder = Stage("read_decoder", 22, 800, reading_questions, READ_DECODER, (decoder,), other_rate=3e-3, **READING)
read_align = Stage("read_align", 23, 1000, projector, ALIGN, (decoder, read_decoder, read_encoder), other_rate=3e-3, **READING)
read_joint = Stage(
    "read_joint", 24, 450, pictures_and_answers(16, 0.5), JOINT, (decoder, read_decoder, read_encoder, read_align), **GENTLE, **READING
)

# `tiles` goes on from the whole of `shapes`.
TILED_JOINT = {**JOINT, "newline": 1}
tile_joint = Stage(
    "tile_joint", 31, 600, pictures_and_answers(8, 0.4), TILED_JOINT, (decoder, joint), **GENTLE, trainer=TiledTrainer
)

# The stages of each yardstick, in an order in which they can be run; the last one's model is the yardstick.
ALL = {
    "shapes": [encoder, lookup, decoder, align, joint],
    "reading": [encoder, lookup, decoder, read_encoder, read_decoder, read_align, read_joint],
    "tiles": [encoder, lookup, decoder, align, joint, tile_joint],
}
