"""Exceptions. Their messages are those of the command line."""

from __future__ import annotations

from typing import Optional


class Error(Exception):
    """An error of foveate."""

    #: The word for the failure of a sample in a run's records, such as ``"picture"``; None if the
    #: error is not of one sample, so that others would fail too.
    cause: Optional[str]

    def __init__(self, message: str, cause: Optional[str] = None) -> None:
        super().__init__(message)
        self.cause = cause


class SettingError(Error, ValueError):
    """A setting does not exist, is out of range, or does not go with others."""


class CheckpointError(Error, ValueError):
    """A checkpoint is missing, incomplete or not supported."""


class DeviceError(Error, RuntimeError):
    """A device is not available, or failed."""


class PictureError(Error, ValueError):
    """A picture is missing, does not decode, or cannot be processed."""


class QuestionError(Error, ValueError):
    """A question is empty, too long, or refused by the chat template."""


class AnswerError(Error, ValueError):
    """There is no answer, a given one does not fit the model, or it lacks a key token."""


class MemoryBudgetError(Error, MemoryError):
    """One evaluation does not fit the memory budget."""


class NotFiniteError(Error, ArithmeticError):
    """The model's output, or a gradient, contains infinities or NaN."""


class SampleError(Error, ValueError):
    """A sample of `Model.explain_many` has no picture or question, or something unknown."""


class OutputError(Error, OSError):
    """A folder or a file cannot be written."""


class RunError(Error, ValueError):
    """The folder of a run cannot be read."""
