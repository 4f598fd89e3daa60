"""Shows where a large vision-language model looks when it answers.

>>> import foveate
>>> model = foveate.load()                     # a checkpoint's folder or name; nothing: the demo model
>>> e = model.explain("scene.png", "What color is the star?")
>>> e.answer, e.keys, e.mask                   # the answer, its key tokens, the S x S mask
>>> e.save("out")                              # the files that ``foveate explain`` writes

`load` opens a model, `Model.explain` and `Model.explain_many` explain its answers. `read_run` reads
the folder of ``foveate run``. `attribute` finds the part of a picture that the score of any other
model depends on. Every error is an `Error`.
"""

from ._attribute import Attribution, attribute
from ._errors import (
    AnswerError,
    CheckpointError,
    DeviceError,
    Error,
    MemoryBudgetError,
    NotFiniteError,
    OutputError,
    PictureError,
    QuestionError,
    RunError,
    SampleError,
    SettingError,
)
from ._explanation import Curves, Explanation, Faithfulness, Iteration, Region, Terms, Token, UnitMap
from ._foveate import __version__
from ._model import Model, load
from ._run import Run, read_run

__all__ = [
    "AnswerError",
    "Attribution",
    "CheckpointError",
    "Curves",
    "DeviceError",
    "Error",
    "Explanation",
    "Faithfulness",
    "Iteration",
    "MemoryBudgetError",
    "Model",
    "NotFiniteError",
    "OutputError",
    "PictureError",
    "QuestionError",
    "Region",
    "Run",
    "RunError",
    "SampleError",
    "SettingError",
    "Terms",
    "Token",
    "UnitMap",
    "__version__",
    "attribute",
    "load",
    "read_run",
]
