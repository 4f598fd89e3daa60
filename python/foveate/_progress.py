"""Progress on standard error, or through tqdm where it is installed."""

from __future__ import annotations

import sys
from typing import Any, Callable, Iterable, Iterator, Optional, TypeVar, Union

#: Called with a stage's name, the number of evaluations or tokens done, and their total or None.
Report = Callable[[str, int, Optional[int]], Any]

T = TypeVar("T")


def report(progress: Union[bool, Report, None]) -> Optional[Report]:
    """Returns the function that progress is reported to."""
    if progress is True:
        return _line
    return progress or None


def _line(stage: str, done: int, total: Optional[int]) -> None:
    count = f"{done}/{total}" if total else str(done)
    sys.stderr.write(f"\r\x1b[Kfoveate: {stage} {count}")
    sys.stderr.flush()


def end(progress: Union[bool, Report, None]) -> None:
    """Removes the line of progress."""
    if progress is True:
        sys.stderr.write("\r\x1b[K")
        sys.stderr.flush()


def counted(results: Iterator[T], samples: Iterable[Any], progress: bool) -> Iterator[T]:
    """Shows how many of the samples are done."""
    if not progress:
        yield from results
        return
    try:
        total: Optional[int] = len(samples)  # type: ignore[arg-type]
    except TypeError:
        total = None
    try:
        from tqdm.auto import tqdm
    except ImportError:
        pass
    else:
        yield from tqdm(results, total=total, desc="foveate")
        return
    try:
        for done, result in enumerate(results, 1):
            _line("explained", done, total)
            yield result
    finally:
        end(True)
