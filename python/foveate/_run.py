"""The folders of ``foveate run``."""

from __future__ import annotations

import json
import os
from functools import cached_property
from importlib.util import find_spec
from typing import Any, Dict, List, Optional, Tuple, Union

from . import _foveate
from ._array import array
from ._errors import SettingError

#: A column's name, kind and values, None where there is none.
Column = Tuple[str, str, List[Any]]

LIBRARIES = ("pandas", "polars", "dicts")


def read_run(folder: Union[str, "os.PathLike[str]"]) -> "Run":
    """Opens the folder of a run, finished or not, of one shard or of merged shards.

    Raises:
        RunError: the folder is not that of a run, or of another version.
    """
    return Run(folder)


class Run:
    """The folder of a run. Its files are read anew at every call."""

    def __init__(self, folder: Union[str, "os.PathLike[str]"]) -> None:
        self.folder = os.fspath(folder)
        self._native = _foveate.read_run(self.folder)

    @cached_property
    def manifest(self) -> Dict[str, Any]:
        """The run's model, device, settings, data and shard."""
        return json.loads(self._native.manifest())

    def records(self) -> List[Dict[str, Any]]:
        """Returns the records, as the lines of ``records.jsonl``."""
        return [json.loads(text) for text in self._native.records()]

    def samples(self, library: Optional[str] = None) -> Any:
        """Returns a table with a row per sample and its mask, with the columns of ``foveate export``.

        Args:
            library: ``"pandas"``, ``"polars"`` or ``"dicts"`` for a list of dictionaries; None for
                the first of them that is installed. A mask is an array of S x S f32, of P pictures
                of P x S x S, in polars a list of its cells row by row.

        Raises:
            RunError: a record or a mask is not what was written.
        """
        columns = _shaped(self._native.samples())
        return _table(columns, library)

    def tokens(self, library: Optional[str] = None) -> Any:
        """Returns a table with a row per token of an answer, as `samples` does.

        Raises:
            RunError: a record is not what was written.
        """
        return _table(self._native.tokens(), library)

    def __repr__(self) -> str:
        return f"<foveate.Run {self.folder}>"


def _shaped(columns: List[Column]) -> List[Column]:
    """Makes arrays of the masks' elements: S x S, or P x S x S of P pictures."""
    sizes = next((values for name, _, values in columns if name == "mask_size"), [])

    def mask(elements: Any, size: int) -> Any:
        pictures = len(elements) // (4 * size * size)
        return array(((size, size) if pictures == 1 else (pictures, size, size), elements))

    def shaped(column: Column) -> Column:
        name, kind, values = column
        if kind == "array":
            values = [own and mask(own, size) for own, size in zip(values, sizes)]
        return name, kind, values

    return [shaped(column) for column in columns]


def _table(columns: List[Column], library: Optional[str]) -> Any:
    if library is None:
        library = next((name for name in LIBRARIES[:2] if find_spec(name)), "dicts")
    if library == "pandas":
        return _pandas(columns)
    if library == "polars":
        return _polars(columns)
    if library == "dicts":
        names = [name for name, _, _ in columns]
        return [dict(zip(names, row)) for row in zip(*(values for _, _, values in columns))]
    raise SettingError(f"library: expected {' or '.join(LIBRARIES)}, found {library}")


def _pandas(columns: List[Column]) -> Any:
    import pandas

    # Types with a place for what is missing.
    types = {"integer": "Int64", "unsigned": "UInt64", "truth": "boolean", "number": "float64"}
    series = {
        name: pandas.Series(values, dtype=types.get(kind, "object"), name=name)
        for name, kind, values in columns
    }
    return pandas.DataFrame(series)


def _polars(columns: List[Column]) -> Any:
    import polars

    types: Dict[str, Any] = {
        "integer": polars.Int64,
        "unsigned": polars.UInt64,
        "truth": polars.Boolean,
        "number": polars.Float64,
        "text": polars.String,
        "array": polars.List(polars.Float32),
    }
    flat = [
        (name, kind, [cells if cells is None else cells.ravel().tolist() for cells in values])
        if kind == "array"
        else (name, kind, values)
        for name, kind, values in columns
    ]
    # Lists have the type of their elements.
    return polars.DataFrame(
        [polars.Series(name, values, dtype=types.get(kind)) for name, kind, values in flat]
    )
