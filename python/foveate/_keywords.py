"""Keyword arguments as options of the command line."""

from __future__ import annotations

import os
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Dict, List, Mapping, Optional, Tuple

from . import _foveate
from ._errors import SettingError

if TYPE_CHECKING:
    from typing import TypedDict, Union

    class MethodSettings(TypedDict, total=False):
        """The settings of `attribute`, under the names of ``foveate explain --help``."""

        preset: str
        quality: str
        method: str
        optimizer: str
        steps: int
        iterations: int
        samples: int
        grid: int
        window: int
        stride: int
        l1: float
        l2: float
        l3: float
        gamma: float
        momentum: float
        lr: float
        noise: float
        seed: int

    class Settings(MethodSettings, total=False):
        """The settings of an explanation, under the names of ``foveate explain --help``."""

        layer: str
        baseline: str
        mask_size: int
        threshold: float
        max_new_tokens: int
        no_curves: bool
        curve_points: str
        each: Union[bool, str]
        explain_image: int
        baseline_answer: bool
        max_pixels: int
        memory_budget: Union[int, str]


@lru_cache(maxsize=None)
def switches(function: str) -> Dict[str, bool]:
    """Returns the keywords of a function, and whether each may be given without a value."""
    return {name: switch for name, _, switch in _foveate.options(function)}


def keywords(function: str, given: Mapping[str, Any]) -> List[Tuple[str, Optional[str]]]:
    """Returns keyword arguments as options of the command line. None leaves an option out."""
    known = switches(function)
    options: List[Tuple[str, Optional[str]]] = []
    for name, value in given.items():
        if name not in known:
            raise SettingError(_unknown(function, name, known))
        option = name.replace("_", "-")
        if value is None:
            continue
        if known[name] and str(value) in ("True", "False"):
            if value:
                options.append((option, None))
        elif isinstance(value, (list, tuple)):
            options.extend((option, _text(each)) for each in value)
        else:
            options.append((option, _text(value)))
    return options


def _text(value: Any) -> str:
    """Returns a value as it is written on the command line."""
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        # 5.0 stands for a number of steps as well as for a weight.
        return str(int(value))
    return str(value)


def _unknown(function: str, name: str, known: Mapping[str, bool]) -> str:
    import difflib

    close = difflib.get_close_matches(name, known, n=1)
    hint = f"; did you mean {close[0]}?" if close else f"; there are {', '.join(known)}"
    return f"{name}: {function} has no such setting{hint}"
