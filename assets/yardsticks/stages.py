"""What every stage of training draws, and its loss.

The decoder and the encoder learn apart, each from what the other would give it, then together:

encoder  every patch names the shape, the colour, the row and the column of the object on it, and the tone of the ground;
decoder  questions and answers on made-up visual tokens, sums of a vector for each of these facts. Trained on pictures from the
         start, a decoder settles for guessing among the colours that are present;
align    the projector learns to give those made-up tokens from the encoder's states;
joint    questions and answers on pictures, the alignment fading out.
"""

import copy

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

import shapes
from disturb import blur_matrix, disturb
from model import BOS, EOS, IMAGE, PAD, PATCH, PATCHES, SIDE, SIZE, SYSTEM, WIDTH, encode, pixels, save

NOTHING, UNSURE = -1, -2
# A patch is an object's if this many of its pixels are, or if it has the most of them.
ENOUGH, TOO_FEW = 20, 5
SHARES = dict(zip(shapes.KINDS, [0.10, 0.08, 0.08, 0.14, 0.07, 0.13, 0.16, 0.07, 0.03, 0.10, 0.04]))
HIDDEN_SHARE = 0.06
# How many questions about one scene are learned at once.
SIDE_BY_SIDE = 10


def facts(scene, visible=None):
    """For each patch: shape, colour, row, column (NOTHING on the ground, UNSURE where too little is to be seen), and whether
    it has an object's centre; i64 (5, PATCHES)."""
    labels = np.full((5, PATCHES), NOTHING)
    labels[4] = 0
    best = np.zeros(PATCHES)
    for item in scene.objects:
        if "shape" not in item:
            continue
        mask = item["mask"].astype(np.float32)
        cover = mask.reshape(SIDE, PATCH, SIDE, PATCH).sum((1, 3)).ravel()
        seen = cover
        if visible is not None:
            seen = (mask * visible).reshape(SIDE, PATCH, SIDE, PATCH).sum((1, 3)).ravel()
        share = seen / np.maximum(cover, 1)
        belongs = ((cover >= ENOUGH) | (cover == cover.max())) & (cover > best)
        clear = belongs & (share > 0.4)
        unsure = (belongs & (share > 0.12) & ~clear) | ((cover >= TOO_FEW) & ~belongs & (best == 0))
        labels[:4, unsure] = UNSURE
        labels[0, clear] = shapes.SHAPES.index(item["shape"])
        labels[1, clear] = shapes.COLORS.index(item["color"])
        labels[2, clear], labels[3, clear] = item["row"], item["col"]
        best = np.where(belongs, cover, best)
        x, y = (int(np.clip(v // PATCH, 0, SIDE - 1)) for v in item["center"])
        labels[4, y * SIDE + x] = int(visible is None or (mask * visible).sum() > 0.4 * mask.sum())
    return labels


def tone_label(scene):
    return NOTHING if scene.tone is None else shapes.TONES.index(scene.tone)


class Facts(nn.Module):
    """The vectors whose sums are made-up visual tokens, and what reads the facts from the encoder's hidden states."""

    def __init__(self):
        super().__init__()
        counts = {"rows": 3, "cols": 3, "center": 1, "empty": 1, "tones": len(shapes.TONES) + 1}
        self.vectors = nn.ParameterDict({k: nn.Parameter(torch.randn(n, WIDTH) * 0.08) for k, n in counts.items()})
        self.readers = nn.ModuleList(
            nn.Linear(WIDTH, n) for n in (len(shapes.SHAPES) + 1, len(shapes.COLORS) + 1, 3, 3, 2, len(shapes.TONES))
        )


class Trainer:
    """A model, its tokenizer, and the losses of the stages."""

    # Sizes (height, width) of pictures of whole tiles; without them, a picture is one view.
    pinpoints = None

    def __init__(self, model, tokenizer, tokens=PATCHES):
        self.model, self.tokenizer = model, tokenizer
        self.tower, self.projector = model.model.vision_tower, model.model.multi_modal_projector
        self.decoder, self.head = model.model.language_model, model.lm_head
        self.facts = Facts()
        self.matrices = (blur_matrix(SIZE),) * 2
        self.tokens = tokens
        self.before, self.after = [BOS, *encode(tokenizer, SYSTEM + " USER: ")], encode(tokenizer, "\n")
        self.shape_ids = torch.tensor([self.word(w) for w in shapes.SHAPES])
        self.color_ids = torch.tensor([self.word(w) for w in shapes.COLORS])
        self.kinds, self.shares = list(SHARES), np.array(list(SHARES.values())) / sum(SHARES.values())

    def part(self, name):
        """A part by the name that stages use."""
        found = self
        for step in name.split("."):
            found = getattr(found, step)
        return found

    def state_dict(self):
        return {"model": self.model.state_dict(), "facts": self.facts.state_dict()}

    def load_state_dict(self, state):
        # Tiles have one tensor more than a model of one view, from which they begin.
        missing, unexpected = self.model.load_state_dict(state["model"], strict=False)
        if unexpected or set(missing) - {"model.image_newline"}:
            raise ValueError(f"a state of another model: without {missing}, with {unexpected}")
        self.facts.load_state_dict(state["facts"])

    def take(self, state, parts):
        """Takes over the weights of some parts from another trainer's state."""
        other = copy.deepcopy(self)
        other.load_state_dict(state)
        for name in parts:
            mine, theirs = self.part(name), other.part(name)
            if isinstance(mine, nn.Parameter):
                mine.data.copy_(theirs.data)
            else:
                mine.load_state_dict(theirs.state_dict())

    def save(self, folder):
        save(self.model, self.tokenizer, folder)

    # --- questions -------------------------------------------------------------------------------------------------

    def questions(self, rng, scene, kinds=None):
        """Questions about a scene, drawn from `kinds` evenly or from all kinds by their shares."""
        asked = []
        for _ in range(SIDE_BY_SIDE):
            if kinds is None and rng.random() < HIDDEN_SHARE:
                asked.append(shapes.hidden_question(rng, scene))
                continue
            kind = kinds[rng.integers(len(kinds))] if kinds else self.kinds[int(rng.choice(len(self.kinds), p=self.shares))]
            asked.append(shapes.question(rng, scene, kind))
        return [a for a in asked if a]

    @staticmethod
    def answer_to_learn(rng, asked, scene, visible):
        """The answer, given what is to be seen of the evidence; None where there is nothing to learn."""
        answer = asked.answer
        if visible is not None and asked.objects:
            share = min(float(visible[scene.objects[k]["mask"]].mean()) for k in asked.objects)
            if asked.hidden is None:
                if share < 0.6:
                    return None
            elif rng.random() < 0.8 * np.clip((0.5 - share) / 0.35, 0, 1):
                # The less of the evidence is to be seen, the more often the answer is that it is hidden.
                answer = asked.hidden
        return answer

    def pack(self, rng, scenes, kinds=None, visible=None):
        """Several questions about each scene after one prefix with the visual tokens, each blind to the others.

        Returns ids (n, t), positions (n, t), which tokens each token sees, bool (n, 1, t, t), labels (n, t), the id that each
        token of an answer should be followed by, or -100, and hints (n, t): at a word of the question, the id of the word
        that the picture gives for it, or -100.
        """
        rows = []
        for k, scene in enumerate(scenes):
            asked = self.questions(rng, scene, kinds)
            shown = None if visible is None else visible[k]
            learned = [(a, self.answer_to_learn(rng, a, scene, shown)) for a in asked]
            rows.append([p for p in learned if p[1]])
        prefix = [*self.before, *[IMAGE] * self.tokens, *self.after]
        lead = len(prefix)
        packed = []
        for learned in rows:
            ids, positions, group = list(prefix), list(range(lead)), [0] * lead
            labels, hints = [-100] * lead, [-100] * lead
            for number, (question, answer) in enumerate(learned, 1):
                asked = encode(self.tokenizer, question.text + " ASSISTANT:")
                answered = encode(self.tokenizer, " " + answer) + [EOS]
                both = asked + answered[:-1]
                ids += both
                positions += range(lead, lead + len(both))
                group += [number] * len(both)
                labels += [-100] * (len(asked) - 1) + answered
                given = question.hints if answer == question.answer else {}
                given = {self.word(asks): self.word(gives) for asks, gives in given.items()}
                hints += [given.get(i, -100) for i in asked] + [-100] * (len(answered) - 1)
            packed.append((ids, positions, group, labels, hints))
        longest = max(len(p[0]) for p in packed)
        fill = lambda which, pad: torch.tensor([p[which] + [pad] * (longest - len(p[which])) for p in packed])  # noqa: E731
        ids, positions, group, labels, hints = fill(0, PAD), fill(1, 0), fill(2, -1), fill(3, -100), fill(4, -100)
        sees = (group[:, :, None] == group[:, None, :]) | (group[:, None, :] == 0)
        sees &= torch.ones(longest, longest, dtype=torch.bool).tril()
        return ids, positions, sees[:, None], labels, hints

    def word(self, word):
        """The id of a word after a space, or of a digit, which is a token of its own behind the space's."""
        return encode(self.tokenizer, " " + word)[-1]

    def answer_loss(self, tokens, packed, hinted=False):
        """Cross-entropy of the answers after visual tokens, f32 (n, tokens, WIDTH); if `hinted`, plus that of the hints."""
        ids, positions, sees, labels, hints = packed
        embedded = self.decoder.embed_tokens(ids)
        start = len(self.before)
        embedded = torch.cat([embedded[:, :start], tokens, embedded[:, start + tokens.shape[1] :]], 1)
        hidden = self.decoder(
            inputs_embeds=embedded, attention_mask=sees, position_ids=positions, use_cache=False
        ).last_hidden_state
        loss = self.next_word_loss(hidden, labels)
        return loss + self.next_word_loss(hidden, hints) if hinted else loss

    def next_word_loss(self, hidden, labels):
        wanted = labels != -100
        return F.cross_entropy(self.head(hidden[wanted]), labels[wanted])

    # --- visual tokens ---------------------------------------------------------------------------------------------

    def made_up(self, labels, tones):
        """Made-up visual tokens, f32 (n, PATCHES, WIDTH), of facts (n, 5, PATCHES) and tones (n)."""
        words = self.decoder.embed_tokens.weight
        known = self.facts.vectors
        shape, color, row, col, center = labels[:, :5].unbind(1)
        on = (shape >= 0)[..., None].float()
        index = lambda v: v.clamp(min=0)  # noqa: E731
        item = words[self.shape_ids[index(shape)]] + words[self.color_ids[index(color)]]
        item = item + known["rows"][index(row)] + known["cols"][index(col)]
        ground = known["empty"] + known["tones"][tones][:, None]
        return on * item + (1 - on) * ground + center[..., None].float() * on * known["center"]

    def hidden_states(self, images):
        """The states that the projector reads, f32 (n, PATCHES, WIDTH); the layers after them are not run."""
        hidden = self.tower.pre_layrnorm(self.tower.embeddings(pixels(images)))
        for layer in self.tower.encoder.layers[:-1]:
            hidden = layer(hidden, attention_mask=None)
            hidden = hidden[0] if isinstance(hidden, tuple) else hidden
        return hidden[:, 1:]

    def scene(self, rng):
        return shapes.scene(rng)

    def labels(self, scenes, visible=None):
        """Facts of the scenes' patches, i64 (n, facts, PATCHES), and their tones, i64 (n)."""
        shown = [None] * len(scenes) if visible is None else visible
        known = torch.from_numpy(np.stack([facts(s, v) for s, v in zip(scenes, shown)]))
        return known, torch.tensor([tone_label(s) for s in scenes])

    def pictures(self, rng, count, share):
        """Fresh scenes, their disturbed pictures, what is to be seen, facts of patches and tones."""
        scenes = [self.scene(rng) for _ in range(count)]
        masks = [[o["mask"] for o in s.objects] for s in scenes]
        images, visible = disturb(rng, np.stack([s.image for s in scenes]), masks, self.matrices, share)
        return scenes, images, visible, *self.labels(scenes, visible)

    # --- losses ----------------------------------------------------------------------------------------------------

    def read_loss(self, hidden, labels, tones):
        shape, color, row, col, center, tone = (reader(hidden) for reader in self.facts.readers)
        known, on = labels[:, 0] != UNSURE, labels[:, 0] >= 0
        loss = F.cross_entropy(shape[known], labels[:, 0][known] + 1) + F.cross_entropy(color[known], labels[:, 1][known] + 1)
        loss = loss + 0.3 * (F.cross_entropy(row[on], labels[:, 2][on]) + F.cross_entropy(col[on], labels[:, 3][on]))
        loss = loss + 0.3 * F.cross_entropy(center.flatten(0, 1), labels[:, 4].flatten())
        toned = (tones >= 0)[:, None] & (labels[:, 0] == NOTHING)
        if toned.any():
            loss = loss + 0.2 * F.cross_entropy(tone[toned], tones[:, None].expand(toned.shape)[toned])
        return loss

    def encoder(self, rng, batch, share):
        _, images, _, labels, tones = self.pictures(rng, batch, share)
        return self.read_loss(self.hidden_states(images), labels, tones)

    def decoder_only(self, rng, batch, kinds=None):
        """Answers on made-up tokens, with hints: a decoder that learns only answers needs thousands of steps to find out that
        it has to look up the word of the question among the visual tokens and then to carry what it found to the answer."""
        scenes = [self.scene(rng) for _ in range(batch)]
        return self.answer_loss(self.made_up(*self.labels(scenes)), self.pack(rng, scenes, kinds), hinted=True)

    def align_loss(self, tokens, labels, tones):
        """Mean squared difference from the made-up tokens, in units of their variance, of each group of patches; their sum."""
        wanted = self.made_up(labels, tones).detach()
        squares = (tokens - wanted).pow(2) / wanted.var()
        return sum(squares[group].mean() for group in self.groups(labels))

    def groups(self, labels):
        """The patches that count alike in the alignment, however many there are."""
        return [labels[:, 0] >= 0, labels[:, 0] == NOTHING]

    def align(self, rng, batch, share):
        _, images, _, labels, tones = self.pictures(rng, batch, share)
        with torch.no_grad():
            hidden = self.hidden_states(images)
        return self.align_loss(self.projector(hidden), labels, tones)

    def joint(self, rng, batch, share, weight):
        scenes, images, visible, labels, tones = self.pictures(rng, batch, share)
        tokens = self.projector(self.hidden_states(images))
        loss = self.answer_loss(tokens, self.pack(rng, scenes, None, visible))
        return loss + weight * self.align_loss(tokens, labels, tones)
