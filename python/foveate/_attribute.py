"""The method on any model."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Callable, List, NamedTuple, Optional, Tuple, Union

from . import _foveate
from ._array import array, elements
from ._errors import PictureError, SettingError
from ._explanation import Iteration, Terms
from ._keywords import keywords
from ._progress import Report, end, report

if TYPE_CHECKING:
    import numpy
    from typing_extensions import Unpack

    from ._keywords import MethodSettings


class Attribution(NamedTuple):
    """The part of a picture that a score depends on."""

    #: The mask, S x S f32: 1 keeps the picture, 0 replaces it by the baseline.
    mask: "numpy.ndarray"
    #: The objective before each update of the mask.
    iterations: List[Iteration]
    #: Number of pictures that were scored.
    evaluations: int
    #: Height and width of the picture.
    size: Tuple[int, int]

    def saliency(self) -> "numpy.ndarray":
        """Returns 1 - mask at the picture's pixels, H x W f32."""
        return array(_foveate.saliency(len(self.mask), elements(self.mask), *self.size))


def attribute(
    score: Callable[[Any], Any],
    image: Any,
    baseline: Any,
    mask_size: int = 32,
    *,
    batch_size: int = 16,
    visual_tokens: Optional[int] = None,
    progress: Union[bool, Report] = False,
    **settings: "Unpack[MethodSettings]",
) -> Attribution:
    """Finds the part of a picture that the score of any model depends on.

    ``score(batch)`` returns the scores of a batch of pictures: N numbers, each the log-probability
    of what is explained, or, for methods other than fovea and eagle, another number that is larger
    for it. For methods that need gradients it returns a tuple of the scores and the gradient of each score by its own picture, in the
    batch's shape. For torch it returns scores with a graph, and gradients are computed from it.

    >>> def score(batch):                                   # torch, N x 3 x H x W
    ...     return model(batch).log_softmax(-1)[:, label]
    >>> found = foveate.attribute(score, image, torch.zeros_like(image))

    Args:
        score: the model.
        image: the picture as the model takes it, normalised: 3 x H x W floats of NumPy, of torch, or
            of anything else with DLPack on the CPU. Batches are N x 3 x H x W of torch on the same
            device and in the same dtype where this is of torch, else of NumPy in f32.
        baseline: what stands where the picture is removed, in the same shape.
        mask_size: cells per side of the mask.
        batch_size: the most pictures in a batch.
        visual_tokens: the number of tokens that the model makes of the picture, to whose spacing
            fovea, the default method, smooths its map; by default the number of the mask's cells.
        progress: as in `Model.explain`.
        **settings: the method and its settings as in `Model.explain`: ``preset``, ``quality``,
            ``method``, ``optimizer``, ``steps``, ``iterations``, ``samples``, ``grid``, ``window``,
            ``stride``, ``l1``, ``l2``, ``l3``, ``gamma``, ``momentum``, ``lr``, ``noise``, ``seed``.

    Raises:
        SettingError: a setting does not exist or has no such value, or the method needs gradients
            that `score` does not return.
        PictureError: image or baseline have other shapes, or values that are not finite.
        Whatever `score` raises.
    """
    options = keywords("attribute", {"mask_size": mask_size, **settings})
    if batch_size < 1 or (visual_tokens is not None and visual_tokens < 1):
        raise SettingError("batch_size and visual_tokens: expected at least 1")
    like = image if _is_torch(image) else None
    pixels, other = _pixels("image", image), _pixels("baseline", baseline)

    if pixels.shape != other.shape:
        raise PictureError(
            f"image and baseline: expected one size, found {pixels.shape} and {other.shape}",
            "picture",
        )

    def scored(shape: Tuple[int, ...], values: bytearray, gradients: bool) -> Tuple[bytes, Any]:
        batch = array((shape, values))
        if like is not None:
            return _of_torch(score, batch, gradients, like)
        return _of_arrays(score(batch), batch, gradients)

    height, width = pixels.shape[1:]
    try:
        mask, parts, evaluations = _foveate.attribute(
            scored,
            height,
            width,
            elements(pixels),
            elements(other),
            visual_tokens,
            batch_size,
            options,
            report(progress),
        )
    finally:
        end(progress)
    iterations = [Iteration(*values, terms and Terms(*terms)) for *values, terms in parts]
    return Attribution(array(mask), iterations, evaluations, (height, width))


def _is_torch(array: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(array, torch.Tensor)


def _pixels(name: str, image: Any) -> "numpy.ndarray":
    """Returns a picture as an array of 3 x H x W f32."""
    import numpy

    if _is_torch(image):
        image = image.detach().float().cpu()
    if not isinstance(image, numpy.ndarray) and hasattr(image, "__dlpack__"):
        image = numpy.from_dlpack(image)
    array = numpy.asarray(image)
    if array.ndim != 3 or array.shape[0] != 3 or array.dtype.kind != "f":
        found = f"{array.dtype} of {' x '.join(map(str, array.shape)) or 'no axis'}"
        raise PictureError(f"{name}: expected 3 x H x W floats, found {found}", "picture")
    return numpy.ascontiguousarray(array, dtype=numpy.float32)


def _of_torch(
    score: Callable[[Any], Any], batch: "numpy.ndarray", gradients: bool, like: Any
) -> Tuple[bytes, Optional[bytes]]:
    """Scores a batch as tensors like `like`; gradients by autograd where `score` returns none."""
    import torch

    pictures = torch.from_dlpack(batch).to(like.device, like.dtype)
    if not gradients:
        with torch.no_grad():
            return _of_arrays(score(pictures), batch, False)
    pictures.requires_grad_()
    with torch.enable_grad():
        found = score(pictures)
        if isinstance(found, torch.Tensor) and found.requires_grad:
            # Every score depends on its own picture alone.
            found = found, torch.autograd.grad(found.sum(), pictures)[0]
    return _of_arrays(found, batch, True)


def _of_arrays(
    found: Any, batch: "numpy.ndarray", gradients: bool
) -> Tuple[bytes, Optional[bytes]]:
    """Returns the elements of scores and of gradients, or None."""
    import numpy

    def plain(values: Any) -> "numpy.ndarray":
        if _is_torch(values):
            values = values.detach().to("cpu").double().numpy()
        return numpy.asarray(values)

    scores, by_pixel = found if isinstance(found, tuple) else (found, None)
    scores = plain(scores)
    if scores.shape != batch.shape[:1]:
        raise SettingError(f"score: expected {len(batch)} scores, found the shape {scores.shape}")
    if not gradients:
        return elements(scores, "f8"), None
    if by_pixel is None:
        raise SettingError(
            "score: expected a tuple of scores and gradients, or scores of torch with a graph, as "
            "the method needs gradients, found scores alone; occlusion, rise and eagle need none"
        )
    by_pixel = plain(by_pixel)
    if by_pixel.shape != batch.shape:
        raise SettingError(
            f"score: expected gradients of the shape {batch.shape}, found {by_pixel.shape}"
        )
    return elements(scores, "f8"), elements(by_pixel)
