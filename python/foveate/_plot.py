"""Plots of explanations by Matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from ._explanation import Explanation


def plot(explanation: "Explanation") -> "Figure":
    """Returns a figure of each picture, the map over it and the curves, as far as there are any."""
    from ._figure import Figure

    curves, pictures = explanation.curves, explanation.pictures
    numbers = explanation.explained_images if explanation.mask is not None else []
    panels = len(pictures) + len(numbers) + (curves is not None)
    figure = Figure(figsize=(4.5 * panels, 4.5), layout="constrained")
    axes = iter(figure.subplots(1, panels, squeeze=False)[0])
    keys = ", ".join(token.text.strip() for token in explanation.tokens if token.key)
    figure.suptitle(_plain(f"{explanation.question}\n{explanation.answer.strip()}"))

    for number, picture in enumerate(pictures, start=1):
        shown = next(axes)
        shown.imshow(picture)
        shown.set_axis_off()
        if number not in numbers:
            continue
        mapped = next(axes)
        mapped.imshow(picture)
        saliency = explanation.saliency(number)
        drawn = mapped.imshow(saliency, cmap="inferno", alpha=0.6, vmin=0, vmax=1)
        mapped.set_title(_plain(f"saliency of: {keys}"), fontsize="medium")
        mapped.set_axis_off()
        figure.colorbar(drawn, ax=mapped, fraction=0.046, pad=0.02)
    if curves is not None:
        lines = next(axes)
        for name, values, score in (
            ("deletion", curves.deletion, curves.deletion_score),
            ("insertion", curves.insertion, curves.insertion_score),
        ):
            label = name if score is None else f"{name} {score:.3f}"
            lines.plot(curves.fraction, values, marker=".", label=label)
        lines.set_xlabel("share of the cells")
        lines.set_ylabel("mean probability of the key tokens")
        lines.set_xlim(0, 1)
        lines.set_ylim(bottom=0)
        lines.legend()
    return figure


def plot_losses(explanation: "Explanation") -> "Figure":
    """Returns a figure of the scores before each update and of the regulariser's terms, if any."""
    from ._figure import Figure
    from matplotlib.ticker import MaxNLocator

    iterations = explanation.iterations
    scores = [("deletion", [i.deletion for i in iterations])]
    scores.append(("insertion", [i.insertion for i in iterations]))
    regularised = [i.terms for i in iterations if i.terms is not None]
    names = ("l1", "l2", "l3") if regularised else ()
    terms = [(name, [getattr(term, name) for term in regularised]) for name in names]
    panels = [("sum of the key tokens' log p", scores), ("weighted terms of the regulariser", terms)]
    # A part that is 0 throughout is none of the method's.
    panels = [(label, [line for line in lines if any(line[1])]) for label, lines in panels]
    panels = [(label, lines) for label, lines in panels if lines]
    figure = Figure(figsize=(4.5 * max(1, len(panels)), 4), layout="constrained")
    for place, (label, lines) in enumerate(panels, 1):
        axes = figure.add_subplot(1, len(panels), place)
        for name, values in lines:
            axes.plot(values, marker=".", label=name)
        axes.set_xlabel("iteration")
        axes.set_ylabel(label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        axes.legend()
    return figure


def _plain(text: str) -> str:
    """Returns text in which Matplotlib finds no mathematics."""
    return text.replace("$", r"\$")
