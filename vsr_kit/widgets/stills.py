"""One display for two worlds: the widget where a kernel runs, its still parts where none does.

The story: see `display_live_or_still`. Left out: saving widget state into notebooks, which breaks them on GitHub.
"""

from __future__ import annotations

from collections.abc import Sequence

import ipywidgets as ipw

from vsr_kit.plots import Figure, Html, Picture

WIDGET_MIME = "application/vnd.jupyter.widget-view+json"


def display_live_or_still(view: ipw.Widget, stills: Sequence[Figure | Picture | Html | None]) -> None:
    """Display a widget together with its still forms, of which a viewer shows one or the other.

    A viewer picks one form of each output, so every still part rides on an output of its own: the first beside the
    widget itself, the others beside widgets that take no space. Live, only the widget is seen; in a saved notebook,
    where widgets have no state, PNG, SVG and HTML each come through whatever else the viewer filters.
    """
    from IPython.display import display

    hidden = ipw.Layout(display="none")
    for i, still in enumerate([part for part in stills if part is not None] or [Html("", "a widget")]):
        bundle = still._repr_mimebundle_()
        data, metadata = bundle if isinstance(bundle, tuple) else (bundle, {})
        widget = view if i == 0 else ipw.HTML(layout=hidden)
        forms = {k: v for k, v in data.items() if not k.startswith("application/")}
        live = {WIDGET_MIME: {"version_major": 2, "version_minor": 0, "model_id": widget.model_id}}
        display({**forms, **live}, metadata=metadata, raw=True)
