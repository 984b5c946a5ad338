"""A knob to turn over results that are there: a slider, the figure with its setting written out, and answers of it.

Nothing is trained or asked when the slider moves: every setting was run before. Model text is shown by
`vsr_kit.plots.traces`, which escapes it.
Left out: settings between those that were run.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import ipywidgets as ipw

from vsr_kit.plots import Figure, Html, by_setting, traces
from vsr_kit.plots.comparisons import Band
from vsr_kit.plots.style import check_source
from vsr_kit.widgets.player import display_live_or_still


class Knob:
    """A slider over the settings of a knob.

    Attributes:
        view: the widget.
        slider: the setting; giving its `value` another one redraws what is below.
    """

    def __init__(
        self,
        bands: Mapping[float, Band],
        answers: Mapping[float, Sequence[Mapping]] | None = None,
        *,
        source: str,
        knob: str = "setting",
        unit: str = "",
        **more,
    ) -> None:
        """Put the figure and the answers of every setting together.

        Args:
            bands: a setting to (mean, low, high), in points.
            answers: a setting to the rows that are shown at it, as `plots.traces` takes them.
            source: `measured now` or `shipped`.
            knob, unit: what the slider says, and what stands behind a setting.
            more: of `plots.by_setting`: `runs`, `note`, `title`.

        Raises:
            ValueError: fewer than two settings, or answers of a setting that has no band.
        """
        self.source = check_source(source)
        self.bands, self.answers = dict(sorted(bands.items())), dict(answers or {})
        if unknown := [at for at in self.answers if at not in self.bands]:
            known = ", ".join(f"{at:g}" for at in self.bands)
            raise ValueError(f"there are answers at {unknown[0]:g}, which has no band: settings are {known}")
        self._looks = {"knob": knob, "unit": unit, **more}
        by_setting(self.bands, source=source, **self._looks)  # refuses what cannot be drawn, before there is a slider
        self.slider = ipw.SelectionSlider(
            options=[(f"{at:g}{unit}", at) for at in self.bands],
            value=max(self.bands),
            description=knob,
            continuous_update=False,
            style={"description_width": "initial"},
            layout=ipw.Layout(width="min(98%, 560px)"),
        )
        self.drawing, self.said = ipw.HTML(), ipw.HTML()
        self.slider.observe(lambda change: self._draw(), names="value")
        self.view = ipw.VBox([self.slider, self.drawing, self.said])
        self._draw()

    def figure(self) -> Figure:
        """The figure with the setting that the slider has."""
        return by_setting(self.bands, source=self.source, chosen=self.slider.value, **self._looks)

    def traces(self) -> Html | None:
        """The answers at this setting; None where there are none."""
        at = self.slider.value
        if not self.answers.get(at):
            return None
        title = f"{self._looks['knob']} {at:g}{self._looks['unit']}"
        return traces(self.answers[at], source=self.source, title=title)

    def _draw(self) -> None:
        self.drawing.value = self.figure().to_svg()
        told = self.traces()
        self.said.value = "<i>No answers were kept at this setting.</i>" if told is None else told.__html__()

    def _ipython_display_(self) -> None:
        display_live_or_still(self.view, [self.figure(), self.traces()])
