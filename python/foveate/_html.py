"""An explanation as HTML for a notebook: no script, no network, everything inside."""

from __future__ import annotations

import uuid
from base64 import b64encode
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ._explanation import Explanation, Token

#: The longest side of the picture, in pixels.
LONGEST = 720

#: `ID` stands for the id of the element, so that several in one notebook do not meet.
STYLE = """
#ID { max-width: 760px; font: 15px/1.5 system-ui, sans-serif; color: inherit; }
#ID img { max-width: 100%; display: block; margin: .4em 0; }
#ID input { position: absolute; opacity: 0; pointer-events: none; }
#ID .question { opacity: .75; }
#ID .word { cursor: pointer; white-space: pre-wrap; padding: .1em 0; border-radius: 3px; }
#ID .key { font-weight: 700; text-decoration: underline 2px #e66101; text-underline-offset: 3px; }
#ID input:focus-visible + .word, #ID input:focus-visible + .switch { outline: 2px solid #e66101; }
#ID input:checked + .word { box-shadow: 0 0 0 2px #e66101; }
#ID .about { display: none; font-variant-numeric: tabular-nums; }
#ID .switch { cursor: pointer; border: 1px solid currentColor; border-radius: 3px; padding: .1em .6em; }
#ID .plain, #ID .map:checked ~ .over { display: none; }
#ID .map:checked ~ .plain { display: block; }
"""


def page(explanation: "Explanation") -> str:
    """Returns the picture under the map, and the answer's words to click for their numbers."""
    name = f"foveate-{uuid.uuid4().hex[:12]}"
    figures = explanation._native.figures(LONGEST)
    most = max([1.0, *(token.llr for token in explanation.tokens)])
    style, words, about = [STYLE], [], []
    for place, token in enumerate(explanation.tokens):
        at = f"{name}-{place}"
        style.append(f"#ID:has(#{at}:checked) .about-{place} {{ display: block; }}\n")
        words.append(_word(token, name, at, most))
        about.append(
            f'<div class="about about-{place}"><b>{escape(token.text.strip() or token.text)}</b>: '
            f"log p {token.logp_image:.3f} with the picture, {token.logp_baseline:.3f} with the "
            f"baseline: {token.llr:+.3f} nats from the picture"
            f"{', a key token' if token.key else ''}</div>"
        )
    parts = [
        f'<div id="{name}"><style>{"".join(style).replace("#ID", f"#{name}")}</style>',
        f'<div class="question">{escape(explanation.question)}</div>',
        f'<div role="radiogroup" aria-label="words of the answer">{"".join(words)}</div>',
        *about,
    ]
    if explanation.mask is None:
        parts.append("<div>The answer does not depend on the picture: there is no map.</div>")
    for number, (plain, over) in enumerate(figures):
        if over is None:
            parts.append(_image(plain, "picture", ""))
            continue
        parts.append(
            f'<div><input type="checkbox" class="map" id="{name}-map{number}">'
            f'<label class="switch" for="{name}-map{number}">picture alone</label>'
            f"{_image(over, 'picture under the map', 'over')}{_image(plain, 'picture', 'plain')}</div>"
        )
    parts.append(_scores(explanation))
    parts.append("</div>")
    return "".join(parts)


def _word(token: "Token", group: str, at: str, most: float) -> str:
    """Returns a word that is shaded by the evidence that the picture adds for it."""
    shade = max(0.0, min(1.0, token.llr / most)) if token.llr == token.llr else 0.0
    classes = "word key" if token.key else "word"
    return (
        f'<input type="radio" name="{group}" id="{at}"><label class="{classes}" for="{at}" '
        f'style="background: rgba(49, 130, 189, {0.6 * shade:.2f})">{escape(token.text)}</label>'
    )


def _image(png: bytes, alt: str, classes: str) -> str:
    return (
        f'<img class="{classes}" alt="{alt}" src="data:image/png;base64,{b64encode(png).decode()}">'
    )


def _scores(explanation: "Explanation") -> str:
    curves = explanation.curves
    if curves is None:
        return ""
    if curves.deletion_score is None or curves.insertion_score is None:
        return f"<div>scores undefined: {escape(curves.reason or '')}</div>"
    return (
        f"<div>deletion {curves.deletion_score:.3f} (low is good), "
        f"insertion {curves.insertion_score:.3f} (high is good)</div>"
    )
