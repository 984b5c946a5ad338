"""Templates filled: every page but a notebook's is one of `templates/*.j2` with values in it.

Everything that a model, a file or a user wrote is escaped by the template engine; markup that the kit made itself, such
as a figure's, says so by `__html__`.
Left out: notebooks' pages, which nbconvert makes (html.py).
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from vsr_kit.validation import drawable


def page(template: str, **values) -> str:
    """Fill a template of vsr_kit/templates; every value is escaped but a figure, which makes its own markup."""
    return drawable(_templates().get_template(template).render(**values))


@cache
def _templates():
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.filters["number"] = number
    templates.filters["percent"] = lambda value: "–" if value is None else f"{value:.1f}"
    return templates


def number(value) -> str:
    """A number as a table shows it: three significant digits at least, no noise; text as it is; nothing as a dash.

    A band (mean, low, high[, n]) shows its interval and, where there is n, how many questions it rests on.
    """
    if value is None:
        return "–"
    if isinstance(value, (list, tuple)) and len(value) in (3, 4) and all(isinstance(v, (int, float)) for v in value):
        mean, low, high = (number(float(v)) for v in value[:3])
        return f"{mean} ({low} to {high}{f'; {value[3]} questions' if len(value) == 4 else ''})"
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return str(value)
    if isinstance(value, int):
        return str(value)
    size = abs(value)
    if size >= 10:
        return f"{value:.1f}"
    return f"{value:.3g}" if size < 0.1 else f"{value:.2f}"
