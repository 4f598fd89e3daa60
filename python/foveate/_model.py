"""Models."""

from __future__ import annotations

import os
from collections import deque
from typing import TYPE_CHECKING, Any, Deque, Iterable, Iterator, List, Mapping, Optional, Sequence
from typing import Tuple, Union

from . import _foveate
from ._errors import Error, SampleError
from ._explanation import Explanation
from ._keywords import keywords
from ._picture import sources
from ._progress import Report, counted, end, report

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._keywords import Settings
    from ._picture import Image

    #: Picture, question and, optionally, an answer to explain.
    Sample = Union[Mapping[str, Any], Tuple[Image, str], Tuple[Image, str, str]]

#: Samples that are prepared ahead, as in ``foveate run``.
AHEAD = 2


def load(
    model: Optional[Union[str, "os.PathLike[str]"]] = None,
    *,
    device: str = "auto",
    dtype: str = "auto",
    threads: int = 0,
    gemm: str = "auto",
    encoders: Sequence[Union[str, "os.PathLike[str]"]] = (),
    compat: Optional[str] = None,
    randomize_layers: Optional[int] = None,
    randomize_seed: Optional[int] = None,
) -> "Model":
    """Opens a model. Weights are memory-mapped, and nothing is downloaded.

    Args:
        model: a checkpoint's folder, or the name of a repository in Hugging Face's cache; None for
            the built-in demo model, which knows drawn shapes only.
        device: ``"auto"`` (a GPU where there is one), ``"cpu"`` or ``"cuda:N"``.
        dtype: how a GPU stores activations and weights: ``"auto"``, ``"bf16"`` or ``"f16"``. The
            processor computes in f32.
        threads: threads of the processor; 0 for one per core.
        gemm: how a GPU makes matrix products: ``"auto"``, ``"native"`` or ``"cublaslt"``.
        encoders: folders in which to look for encoders that have checkpoints of their own.
        compat: the program to reproduce, ``"lvlm-interpretation"``.
        randomize_layers: the number of last layers that get random weights.
        randomize_seed: seed of these weights.

    Raises:
        CheckpointError: the checkpoint is missing, incomplete or not supported.
        DeviceError: the device is not available.
        SettingError: an argument has no such value.
    """
    options = keywords(
        "load",
        {
            "device": device,
            "dtype": dtype,
            "threads": threads,
            "gemm": gemm,
            "encoders": list(encoders),
            "compat": compat,
            "randomize_layers": randomize_layers,
            "randomize_seed": randomize_seed,
        },
    )
    return Model(_foveate.load(None if model is None else os.fspath(model), options))


class Model:
    """A large vision-language model on a device, made by `load`.

    It can be used by several threads. The interpreter's lock is released while it works; Ctrl-C
    stops the work at the next batch and raises `KeyboardInterrupt`.
    """

    def __init__(self, native: "_foveate.Model") -> None:
        self._native = native

    @property
    def name(self) -> str:
        """The checkpoint's folder or name."""
        return self._native.name

    @property
    def family(self) -> str:
        """The family, such as ``"llava"``."""
        return self._native.family

    @property
    def device(self) -> str:
        """The device, such as ``"cpu"``."""
        return self._native.device

    @property
    def dtype(self) -> str:
        """The storage format of activations."""
        return self._native.dtype

    @property
    def threads(self) -> int:
        """The number of threads that compute on the processor; 0 on a GPU."""
        return self._native.threads

    @property
    def no_gpu(self) -> Optional[str]:
        """The reason why ``device="auto"`` chose no GPU."""
        return self._native.no_gpu

    def explain(
        self,
        image: Union["Image", Sequence["Image"]],
        question: str,
        *,
        answer: Optional[str] = None,
        keys: Optional[Sequence[int]] = None,
        progress: Union[bool, Report] = False,
        **settings: "Unpack[Settings]",
    ) -> Explanation:
        """Answers a question about a picture and finds the part of it that the answer needs.

        Args:
            image: a path, a PIL image, or an array of H x W x 3 u8; a list or tuple of these for a
                question about several pictures, which not every model takes.
            question: the question.
            answer: explains this answer, tokenised exactly as given, instead of the model's own.
            keys: explains these tokens of the answer, counted from 0, instead of the selected ones.
            progress: True for a line on standard error, or a function that is called with the
                stage's name, the number of evaluations or tokens done, and their total or None.
            **settings: the options of ``foveate explain``, which describes them with ``--help``,
                with underscores: ``preset``, ``quality``, ``method``, ``optimizer``,
                ``baseline``, ``mask_size``, ``steps``, ``iterations``, ``samples``, ``grid``,
                ``window``, ``stride``, ``layer``, ``l1``, ``l2``, ``l3``, ``gamma``, ``momentum``,
                ``lr``, ``noise``, ``seed``, ``threshold``, ``max_new_tokens``, ``no_curves``, ``curve_points``,
                ``each``, ``explain_image``, ``baseline_answer``, ``max_pixels``, ``memory_budget``.

        Raises:
            SettingError: a setting does not exist, or has no such value.
            PictureError, QuestionError, AnswerError: what is asked does not fit the model.
            MemoryBudgetError: one evaluation does not fit the memory budget.
            NotFiniteError: the model's output is not finite.
        """
        checked = self._native.settings(keywords("explain", settings))
        asked = (sources(image), question, answer, _list(keys))
        try:
            return Explanation(self._native.explain(*asked, checked, report(progress)))
        finally:
            end(progress)

    def explain_many(
        self,
        samples: "Iterable[Sample]",
        /,
        *,
        progress: bool = False,
        **settings: "Unpack[Settings]",
    ) -> Iterator[Union[Explanation, Error]]:
        """Explains many samples, in their order, and prepares the next while the device works.

        A sample is a tuple of picture and question, and optionally an answer to explain, or a
        mapping with the keys ``image``, ``question`` and optionally ``answer`` and ``keys``. One
        that cannot be explained gives its exception instead of an explanation; errors that other
        samples would have too, as of the device, are raised.

        Args:
            samples: the samples, which are taken one by one.
            progress: shows how many are done, by tqdm where it is installed.
            **settings: as in `explain`, for all samples.

        Raises:
            SettingError: a setting does not exist, or has no such value.
        """
        checked = self._native.settings(keywords("explain", settings))
        return counted(self._many(samples, checked), samples, progress)

    def _many(
        self, samples: "Iterable[Sample]", settings: Any
    ) -> Iterator[Union[Explanation, Error]]:
        from concurrent.futures import Future, ThreadPoolExecutor

        def prepare(sample: "Sample") -> "_foveate.Prepared":
            image, question, answer, keys = _parts(sample)
            return self._native.prepare(sources(image), question, answer, keys, settings)

        reader = ThreadPoolExecutor(1, thread_name_prefix="foveate")
        ahead: Deque["Future[_foveate.Prepared]"] = deque()

        def explained(future: "Future[_foveate.Prepared]") -> Union[Explanation, Error]:
            try:
                return Explanation(self._native.explain_prepared(future.result(), None))
            except Error as error:
                if error.cause is None:
                    raise
                return error

        try:
            for sample in samples:
                ahead.append(reader.submit(prepare, sample))
                if len(ahead) > AHEAD:
                    yield explained(ahead.popleft())
            while ahead:
                yield explained(ahead.popleft())
        finally:
            reader.shutdown(wait=False, cancel_futures=True)

    def __repr__(self) -> str:
        return f"<foveate.Model {self.name}, {self.family} on {self.device} in {self.dtype}>"


def _list(keys: Optional[Sequence[int]]) -> Optional[List[int]]:
    return None if keys is None else [int(key) for key in keys]


def _parts(sample: "Sample") -> Tuple[Any, str, Optional[str], Optional[List[int]]]:
    """Returns picture, question, answer and keys of a sample."""
    expected = "sample: expected a tuple of image and question, or a mapping with these keys"
    answer: Any = None
    keys: Any = None
    if isinstance(sample, Mapping):
        unknown = [key for key in sample if key not in ("image", "question", "answer", "keys")]
        missing = [key for key in ("image", "question") if sample.get(key) is None]
        if unknown or missing:
            wrong = f"unknown {unknown[0]!r}" if unknown else f"no {missing[0]!r}"
            raise SampleError(f"{expected} and optionally answer and keys, found {wrong}", "data")
        image, question = sample["image"], sample["question"]
        answer, keys = sample.get("answer"), sample.get("keys")
    elif isinstance(sample, tuple) and len(sample) in (2, 3):
        image, question = sample[:2]
        answer = sample[2] if len(sample) == 3 else None
    else:
        raise SampleError(f"{expected}, found {type(sample).__name__}", "data")
    if not isinstance(question, str) or not isinstance(answer, (str, type(None))):
        other = question if not isinstance(question, str) else answer
        raise SampleError(f"{expected} as text, found {type(other).__name__}", "data")
    try:
        return image, question, answer, _list(keys)
    except (TypeError, ValueError) as error:
        raise SampleError(f"keys: expected numbers of answer tokens: {error}", "data") from error
