"""Pictures as the native half takes them: a path, or pixels with the path that they came from."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Any, List, Optional, Sequence, Tuple, Union

from ._errors import PictureError

if TYPE_CHECKING:
    import numpy
    import PIL.Image

    #: A path, a PIL image, or an array of H x W x 3 u8.
    Image = Union[str, "os.PathLike[str]", PIL.Image.Image, numpy.ndarray]


#: A path; or height, width, pixels row by row, and the path that they came from.
Source = Union[str, Tuple[int, int, bytes, Optional[str]]]


def source(image: "Image") -> Source:
    """Returns a picture's path, or its pixels with their file's path.

    A PIL image is oriented by its EXIF data and converted to RGB, as a file is.
    """
    if isinstance(image, (str, os.PathLike)):
        path = os.fspath(image)
        return path if isinstance(path, str) else os.fsdecode(path)
    # Whoever has an image or an array has imported its package.
    pil = sys.modules.get("PIL.Image")
    if pil is not None and isinstance(image, pil.Image):
        return _of_pil(image)
    numpy = sys.modules.get("numpy")
    if numpy is not None and isinstance(image, numpy.ndarray):
        if image.dtype == numpy.uint8 and image.ndim == 3 and image.shape[2] == 3:
            return _pixels(image, None)
        found = f"{image.dtype} of {' x '.join(map(str, image.shape)) or 'no axis'}"
    else:
        found = type(image).__name__
    raise PictureError(
        f"image: expected a path, a PIL image or an array of H x W x 3 u8, found {found}", "picture"
    )


def sources(images: Union["Image", Sequence["Image"]]) -> List[Source]:
    """Returns the sources of one picture, or of a list or tuple of pictures."""
    return [source(image) for image in (images if isinstance(images, (list, tuple)) else [images])]


def _of_pil(image: Any) -> Source:
    import numpy
    from PIL import ImageOps

    try:
        pixels = numpy.asarray(ImageOps.exif_transpose(image).convert("RGB"))
    except (OSError, SyntaxError, ValueError) as error:
        # A file that was closed or is cut off shows only when its pixels are wanted.
        raise PictureError(f"image: could not be read by PIL: {error}", "picture") from error
    return _pixels(pixels, getattr(image, "filename", None) or None)


def _pixels(array: Any, path: Optional[str]) -> Source:
    height, width, _ = array.shape
    return height, width, array.tobytes(), path
