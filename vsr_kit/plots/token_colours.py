"""A completion whose tokens are coloured by a number of each: its advantage, its entropy, how grounded it is.

`token_text` draws one completion with its legend; `scale_of`, `legend` and `coloured` are its parts, for tables that
show several completions on one scale. Measures with a sign have two hues that meet in white at zero; entropy has one.
The ground behind a token is always a light one and the text on it dark, whatever the page's theme, so that both can be
read. Colour is not the only way to the numbers: every token says its own when it is pointed at, and a small table below
names the highest and the lowest ones, for readers who cannot see the colours or have no pointer.

Line breaks, tabs and lone spaces are written as signs. Tokens that add no text are there too: a special token by its
name, and of a character that several tokens make the earlier ones as a mark. All text is escaped.
Left out: choosing tokens with the keyboard one by one, which would make a hundred stops of a chain of thought.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, TypeGuard

from vsr_kit.plots.canvas import Html
from vsr_kit.plots.style import BACK, INK, PANEL, check_source
from vsr_kit.validation import drawable, one_of

NAMES = {
    "advantage": "advantage",
    "entropy": "entropy, nats",
    "policy_minus_reference": "policy − reference, nats",
    "grounding": "grounding, nats",
}
ABOUT = {
    "advantage": "how much better the rollout was than its group; the same for all of its tokens",
    "entropy": "how open the choice was: 0 where the model saw one possibility only",
    "policy_minus_reference": "log-probability under the trained policy minus under the reference: above 0, training "
    "has made the token likelier",
    "grounding": "log-probability with the room's clip minus with another room's: above 0, the clip speaks for it",
}
# Red, green and blue at the two ends. Dark text (style.INK) has a contrast of at least 4.5 on every mixture with white.
_HIGH, _LOW, _ONE_HUE = (106, 172, 222), (240, 150, 90), (196, 148, 214)
_STEPS = (-1.0, -0.5, 0.0, 0.5, 1.0)
_EXTREMES = 3
_TEXT = f"white-space:pre-wrap; overflow-wrap:break-word; font-size:12px; line-height:1.7; padding:4px 6px; {PANEL}"
_CELL = 'style="text-align:left; padding:1px 8px"'
_SMALL = f'style="font-size:11px; border-collapse:collapse; {PANEL}"'
_SIGNS = {"\n": "↵", "\t": "⇥", "\r": "␍"}


def colour_rules() -> dict[str, Any]:
    """What a page's own script needs to colour tokens as this module does: names, colours, signs."""
    hues = {"high": _HIGH, "low": _LOW, "one_hue": _ONE_HUE, "back": BACK, "ink": INK}
    return {"names": NAMES, "about": ABOUT, "steps": _STEPS, "extremes": _EXTREMES, "signs": _SIGNS, **hues}


def scale_of(values: Iterable[float | None], measure: str) -> float:
    """The number at which colours are deepest, for one completion or several: the largest size of a value.

    Raises:
        ValueError: the measure is none of `NAMES`.
    """
    one_of("measure", measure, NAMES)
    return max((abs(value) for value in values if _is_number(value)), default=0.0) or 1.0


def token_color(value: float | None, measure: str, scale: float) -> str:
    """The ground of a token, `#rrggbb`: white at 0, deeper towards `scale`; a light grey where there is no number."""
    if not _is_number(value):
        return BACK
    depth = min(abs(value) / scale, 1.0)
    end = _ONE_HUE if measure == "entropy" else _HIGH if value > 0 else _LOW
    return "#" + "".join(f"{round(255 + depth * (channel - 255)):02x}" for channel in end)


def token_text(
    tokens: Sequence[str],
    values: Sequence[float | None],
    measure: str,
    *,
    source: str,
    specials: Sequence[str] = (),
    scale: float | None = None,
    title: str = "",
) -> Html:
    """A completion whose tokens are coloured, its legend above and its extreme tokens below.

    Args:
        tokens: T texts, which together are the completion (`evaluation.token_texts.TokenMeasures.tokens`).
        values: T numbers; None or nan where there is none.
        measure: `advantage`, `entropy`, `policy_minus_reference` or `grounding`.
        source: `measured now` or `shipped`.
        specials: T names of special tokens, of every other token nothing.
        scale: the number at which colours are deepest; by default the completion's own largest.
        title: the caption's first words.

    Raises:
        ValueError: an unknown measure or source, or lengths that differ.
    """
    scale = scale_of(values, measure) if scale is None else scale
    body = coloured(tokens, values, measure, scale, specials)
    above = legend(measure, scale, source, title)
    said = f"{NAMES[measure]} of {len(tokens)} tokens ({source})"
    highest = "; ".join(f"{told} {_number(value)}" for _, told, value in _ranked(tokens, values, specials)[:_EXTREMES])
    return Html(
        f"{above.markup}{body}", f"{title or 'A completion'}: {said}" + (f"; highest: {highest}" * bool(highest))
    )


def coloured(
    tokens: Sequence[str], values: Sequence[float | None], measure: str, scale: float, specials: Sequence[str] = ()
) -> str:
    """The coloured text and the table of its extremes, as markup; arguments as `token_text` takes them."""
    one_of("measure", measure, NAMES)
    specials = specials or [""] * len(tokens)
    if not len(tokens) == len(values) == len(specials):
        raise ValueError(
            f"{len(tokens)} tokens, {len(values)} values and {len(specials)} names of special tokens: give one of each "
            "for every token"
        )
    if not tokens:
        return f'<div style="{_TEXT}"><i>(no tokens)</i></div>'
    spans = [
        f'<span style="background:{token_color(value, measure, scale)}; color:{INK}" '
        f'title="{escape(_told(place, token, special, value, measure))}">{_shown(token, special)}</span>'
        for place, (token, special, value) in enumerate(zip(tokens, specials, values, strict=True), 1)
    ]
    return f'<div class="vsr-tokens" style="{_TEXT}">{"".join(spans)}</div>{_extremes(tokens, values, specials)}'


def legend(measure: str, scale: float, source: str, title: str = "") -> Html:
    """What the colours mean, with numbers."""
    one_of("measure", measure, NAMES)
    check_source(source)
    steps = [step for step in _STEPS if step >= 0] if measure == "entropy" else _STEPS
    swatches = "".join(
        f'<span style="background:{token_color(step * scale, measure, scale)}; color:{INK}; padding:1px 9px">'
        f"{_number(step * scale)}</span>"
        for step in steps
    )
    head = " · ".join(filter(None, [escape(drawable(title)), f"tokens coloured by <b>{NAMES[measure]}</b>"]))
    told = f"{head} · <b>{source}</b><br>{swatches}<br>{ABOUT[measure]}"
    return Html(f'<div style="font-size:12px; line-height:1.7; padding:4px 6px; {PANEL}">{told}</div>', NAMES[measure])


def _extremes(tokens: Sequence[str], values: Sequence[float | None], specials: Sequence[str]) -> str:
    """The highest and the lowest tokens as a small table; one row where all are equal, none without numbers."""
    ranked = _ranked(tokens, values, specials)
    if not ranked:
        return f'<div style="font-size:11px; padding:1px 8px; {PANEL}">no numbers</div>'
    if ranked[0][2] == ranked[-1][2]:
        return f'<div style="font-size:11px; padding:1px 8px; {PANEL}">every token: {_number(ranked[0][2])}</div>'
    count = min(_EXTREMES, len(ranked) // 2)
    rows = [("highest", ranked[:count]), ("lowest", ranked[: -count - 1 : -1])]
    lines = "".join(f'<tr><th scope="row" {_CELL}>{name}</th>{"".join(map(_extreme, own))}</tr>' for name, own in rows)
    return f"<table {_SMALL}><tbody>{lines}</tbody></table>"


def _extreme(one: tuple[int, str, float]) -> str:
    place, told, value = one
    return (
        f'<td {_CELL}><code style="{PANEL}">{escape(told)}</code> {_number(value)} <small>(token {place})</small></td>'
    )


def _ranked(tokens, values, specials) -> list[tuple[int, str, float]]:
    """(place from 1, the token in words, value) of tokens with a number, the highest first."""
    named = zip(tokens, values, specials or [""] * len(tokens), strict=True)
    found = [
        (i, _in_words(token, special), value) for i, (token, value, special) in enumerate(named, 1) if _is_number(value)
    ]
    return sorted(found, key=lambda one: (-one[2], one[0]))


def _told(place: int, token: str, special: str, value: float | None, measure: str) -> str:
    number = _number(value) if _is_number(value) else "no number"
    return f"token {place}, {_in_words(token, special)}: {NAMES[measure]} {number}"


def _in_words(token: str, special: str) -> str:
    """A token in one line: line breaks and the like as signs, one that adds no text by what it is."""
    if not token:
        return drawable(special) or "part of the next character"
    return "".join(_SIGNS.get(letter, "␣" if letter.isspace() else letter) for letter in drawable(token))


def _shown(token: str, special: str) -> str:
    """A token's markup: its text, with signs for what cannot be seen."""
    if not token:
        return f'<small style="font-style:italic">{escape(drawable(special))}</small>' if special else "▯"
    if token.isspace() and not set(token) & set(_SIGNS):
        return "␣" * len(token)
    return "".join(_SIGNS.get(letter, "") + escape(drawable(letter)) for letter in token)


def _number(value: float) -> str:
    """Two decimals, or two digits where these are nothing but zeros; with a sign, since zero is the middle."""
    text = f"{value:.2f}" if abs(value) >= 0.005 or value == 0 else f"{value:.1e}"
    return text.replace("-", "−")


def _is_number(value: float | None) -> TypeGuard[float]:
    return value is not None and math.isfinite(value)
