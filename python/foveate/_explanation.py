"""Explanations."""

from __future__ import annotations

import json
import os
from functools import cached_property
from typing import TYPE_CHECKING, Any, Dict, List, NamedTuple, Optional, Tuple, Union

from ._array import array

if TYPE_CHECKING:
    import matplotlib.figure
    import numpy
    import PIL.Image

    from . import _foveate


class Token(NamedTuple):
    """One token of an answer."""

    #: Its id in the vocabulary.
    id: int
    #: Its text.
    text: str
    #: log p given the picture.
    logp_image: float
    #: log p given the baseline.
    logp_baseline: float
    #: The difference, in nats: the evidence that the picture adds for the token.
    llr: float
    #: Whether it is a key token.
    key: bool


class Terms(NamedTuple):
    """The terms of the regulariser, each times its weight."""

    #: The mask's mean distance from 1.
    l1: float
    #: The quadratic term that decays over the iterations.
    l2: float
    #: The total variation.
    l3: float


class Iteration(NamedTuple):
    """The objective before an update of the mask."""

    #: Mean score of the blends on the path of deletion.
    deletion: float
    #: Mean score of the blends on the path of insertion.
    insertion: float
    #: Value of the regulariser.
    regulariser: float
    #: Its terms. None if the method has no regulariser.
    terms: Optional[Terms] = None


class Curves(NamedTuple):
    """Mean probability of the key tokens while the most salient cells are removed or revealed."""

    #: The share of cells replaced, from 0 to 1.
    fraction: Tuple[float, ...]
    #: Mean probability with those cells removed from the picture.
    deletion: Tuple[float, ...]
    #: Mean probability with only those cells of the picture revealed.
    insertion: Tuple[float, ...]
    #: Area under the normalised deletion curve; lower is better. None if undefined.
    deletion_score: Optional[float]
    #: Area under the normalised insertion curve; higher is better. None if undefined.
    insertion_score: Optional[float]
    #: The reason why the scores are undefined.
    reason: Optional[str] = None


class Region(NamedTuple):
    """The smallest part of the picture that keeps the answer, of the most salient cells."""

    #: The number of cells in it.
    cells: int
    #: Their share of all cells.
    fraction: float
    #: Mean probability of the key tokens with only the region revealed.
    probability: float


class Faithfulness(NamedTuple):
    """The answer without and with only the most salient eighth of the cells."""

    #: The share of the cells that is removed or revealed.
    fraction: float
    #: Mean probability of the key tokens with those cells removed from the picture.
    removed: float
    #: Mean probability with only those cells of the picture revealed.
    revealed: float
    #: Whether the picture without those cells no longer keeps the answer.
    flipped: bool
    #: Whether those cells alone keep the answer.
    kept: bool
    #: The smallest part of the picture that keeps the answer.
    region: Region


class UnitMap:
    """The map of a word of an answer, or of one of its key tokens, alone."""

    #: The answer's text from the first of its tokens to the last.
    text: str
    #: The positions of its key tokens in the answer.
    indices: List[int]
    #: The objective before each update of its mask.
    iterations: List[Iteration]
    #: Pictures evaluated by the model for it. 0 where it has all key tokens and so the answer's map.
    evaluations: int
    #: Its mask, as that of `Explanation`.
    mask: "numpy.ndarray"

    def __init__(
        self, native: "_foveate.Explanation", place: int, unit: Dict[str, Any], mask: Any
    ) -> None:
        self._native, self._place = native, place
        self.text, self.indices = unit["text"], unit["tokens"]
        self.iterations, self.evaluations = _iterations(unit["iterations"]), unit["evaluations"]
        self.mask = mask

    def saliency(self, image: Optional[int] = None) -> "numpy.ndarray":
        """Returns 1 - mask at a picture's pixels, H x W f32: high where the word needs it.

        `image` is as in `Explanation.saliency`.
        """
        return array(self._native.each_saliency(self._place, image))

    def overlay(self, image: Optional[int] = None) -> "PIL.Image.Image":
        """Returns a picture under the map. `image` is as in `Explanation.saliency`."""
        from PIL import Image

        return Image.fromarray(array(self._native.each_overlay(self._place, image), "u1"))

    def __repr__(self) -> str:
        return f"<foveate.UnitMap {self.text!r}, tokens {self.indices}>"


def _iterations(record: List[Dict[str, Any]]) -> List[Iteration]:
    """Returns the iterations of a record."""
    terms = [parts.get("terms") for parts in record]
    return [
        Iteration(**{**parts, "terms": term and Terms(**term)})
        for parts, term in zip(record, terms)
    ]


class Explanation:
    """An answer, its tokens that depend on the picture, and the part of the picture that they need.

    An answer of which no token depends on the picture has no mask: `mask`, `saliency`, `overlay`,
    `curves` and `faithfulness` are None. That is a result, not an error.
    """

    def __init__(self, native: "_foveate.Explanation") -> None:
        self._native = native

    @cached_property
    def record(self) -> Dict[str, Any]:
        """The content of explanation.json, without its list of files."""
        return json.loads(self._native.record())

    @property
    def question(self) -> str:
        """The question."""
        return self.record["question"]

    @property
    def prompt(self) -> str:
        """The prompt as the model read it."""
        return self.record["prompt"]

    @property
    def answer(self) -> str:
        """The answer."""
        return self.record["answer"]["text"]

    @property
    def baseline_answer(self) -> Optional[str]:
        """The greedy answer to the baseline picture, if it was asked for."""
        return self.record.get("baseline_answer")

    @cached_property
    def tokens(self) -> List[Token]:
        """The answer's tokens."""
        return [Token(**token) for token in self.record["answer"]["tokens"]]

    @property
    def keys(self) -> List[int]:
        """The positions of the key tokens among the answer's tokens."""
        return [place for place, token in enumerate(self.tokens) if token.key]

    @property
    def image_dependent(self) -> bool:
        """Whether any token is a key token. If not, there is no mask."""
        return self.record["image_dependent"]

    @property
    def settings(self) -> Dict[str, Any]:
        """The settings, under the names of explanation.json."""
        return self.record["settings"]

    @property
    def cost(self) -> Dict[str, Any]:
        """Number of evaluations, seconds of each stage, peak memory in bytes."""
        return self.record["cost"]

    @cached_property
    def iterations(self) -> List[Iteration]:
        """The objective before each update of the mask."""
        return _iterations(self.record["iterations"])

    @cached_property
    def curves(self) -> Optional[Curves]:
        """The deletion and insertion curves, unless they were left out."""
        curves = self.record["curves"]
        if curves is None:
            return None
        lines = {name: tuple(curves[name]) for name in ("fraction", "deletion", "insertion")}
        return Curves(**{**curves, **lines})

    @cached_property
    def faithfulness(self) -> Optional[Faithfulness]:
        """Whether the most salient cells decide the answer."""
        test = self.record["faithfulness"]
        return test and Faithfulness(**{**test, "region": Region(**test["region"])})

    @property
    def picture(self) -> "numpy.ndarray":
        """The picture, H x W x 3 u8; the first where there are several."""
        return self.pictures[0]

    @cached_property
    def pictures(self) -> List["numpy.ndarray"]:
        """All pictures of the question, in their order, each H x W x 3 u8."""
        count = len(self.record.get("images", [None]))
        return [array(self._native.picture(number), "u1") for number in range(1, count + 1)]

    @property
    def explained_images(self) -> List[int]:
        """The numbers of the pictures that are explained, from 1: all, or that of ``explain_image``."""
        return self.record.get("explained_images", [1])

    @cached_property
    def mask(self) -> Optional["numpy.ndarray"]:
        """The mask, S x S f32 in the plane of the picture: 1 keeps it, 0 replaces it by the baseline.

        Where the question has several pictures, P x S x S: one for each of `explained_images`.
        """
        return array(self._native.mask())

    @cached_property
    def each(self) -> List[UnitMap]:
        """The maps of the answer's words, or of its key tokens, in their order.

        Empty unless `each` was asked for, as in ``explain(..., each=True)`` or ``each="token"``,
        or where no token depends on the picture.
        """
        units = zip(self.record.get("each", []), self._native.each_masks())
        return [
            UnitMap(self._native, place, unit, array(mask))
            for place, (unit, mask) in enumerate(units)
        ]

    def saliency(self, image: Optional[int] = None) -> Optional["numpy.ndarray"]:
        """Returns 1 - mask at a picture's pixels, H x W f32: high where the answer needs it.

        `image` is one of `explained_images`, by default the first.

        Raises:
            IndexError: another number.
        """
        return array(self._native.saliency(image))

    def overlay(self, image: Optional[int] = None) -> Optional["PIL.Image.Image"]:
        """Returns a picture under the map, as ``overlay.png`` shows it. `image` is as in `saliency`."""
        from PIL import Image

        drawn = array(self._native.overlay(image), "u1")
        return None if drawn is None else Image.fromarray(drawn)

    def save(self, folder: Union[str, "os.PathLike[str]"]) -> None:
        """Writes the files that ``foveate explain --out`` writes, whole or not at all.

        The folder is created if it does not exist.

        Raises:
            OutputError: the folder or a file cannot be written.
        """
        self._native.save(os.fspath(folder))

    def plot(self) -> "matplotlib.figure.Figure":
        """Returns a figure of Matplotlib: each picture, the map over it, the curves."""
        from ._plot import plot

        return plot(self)

    def plot_losses(self) -> "matplotlib.figure.Figure":
        """Returns a figure of Matplotlib: the objective before each update of the mask.

        Its parts are those of ``losses.png``: the scores along the paths and, where the method has
        a regulariser, its terms.
        """
        from ._plot import plot_losses

        return plot_losses(self)

    def __repr__(self) -> str:
        keys = [token.text.strip() for token in self.tokens if token.key]
        return f"<foveate.Explanation {self.answer.strip()!r}, key tokens {keys}>"

    def _repr_html_(self) -> str:
        from ._html import page

        return page(self)
