"""Arrays of the native half: their shape, and the bytes of their elements."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Optional, Tuple

if TYPE_CHECKING:
    import numpy

#: A shape, and the elements row by row.
Elements = Tuple[Tuple[int, ...], bytearray]


def array(elements: Optional[Elements], dtype: str = "f4") -> Any:
    """Returns an array of these elements, without copying them; None for None."""
    if elements is None:
        return None
    import numpy

    shape, values = elements
    return numpy.frombuffer(values, dtype).reshape(shape)


def elements(array: "numpy.ndarray", dtype: str = "f4") -> bytes:
    """Returns the elements of an array, row by row."""
    import numpy

    return numpy.ascontiguousarray(array, dtype).tobytes()
