"""The control that colours the tokens of shown rollouts: what was recorded in training, or what a model is asked now.

A run that recorded tokens (`train(..., record_tokens=...)`) has them for a few of its rollouts; a browser that was
given a model (`loaded=`) can measure any. Recorded numbers come first, since they are the training's own. What is
measured is measured for the rollouts on the page alone, when a colour is chosen, and kept: turning back to a page costs
nothing. All rollouts of a page share one scale, whose legend stands above them.
Left out: measuring ahead, and models that are not in memory.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from html import escape
from typing import TYPE_CHECKING, Any

import ipywidgets as ipw
import numpy as np

from vsr_kit.evaluation.baselines import wrong_clip_pairing
from vsr_kit.evaluation.draws import one_at_a_time
from vsr_kit.evaluation.token_texts import MEASURES, TokenMeasures
from vsr_kit.inspection import RolloutTable
from vsr_kit.plots import Html
from vsr_kit.plots.token_colours import NAMES, coloured, legend, scale_of

if TYPE_CHECKING:
    from vsr_kit.models.loading import Loaded

OFF = "nothing"
_PROMPTS = {"train": "training", "eval": "evaluation"}


class TokenColours:
    """Chooses a measure, and gives coloured texts of rollouts.

    Attributes:
        control: a dropdown; its `value` is a name of `MEASURES`, or nothing. It is hidden where there is nothing to
            choose.
    """

    def __init__(
        self,
        table: RolloutTable,
        clip_of: Callable[[str], np.ndarray | None],
        loaded: Loaded | None = None,
        scenes: Iterable[str] = (),
        **look,
    ) -> None:
        """Find out what can be shown.

        Args:
            table: the rollouts, with what was recorded of their tokens.
            clip_of: frames of a scene's clip, or None.
            loaded: a model to ask.
            scenes: whose clips are there besides those of the table; grounding is measured against another's.
            look: of the dropdown.
        """
        self.table, self.loaded, self._clip_of = table, loaded, clip_of
        self._measured: dict[tuple[int, str], TokenMeasures] = {}
        every = {*scenes, *(scene for scene in table.frame["scene_name"] if scene)}
        self._others = wrong_clip_pairing(every) if len(every) > 1 else {}
        known = {name for one in table.token_measures.values() for name in one.values}
        names = [name for name in MEASURES if name in known or name in self._measurable()]
        self.control = ipw.Dropdown(options=[(OFF, ""), *((NAMES[name], name) for name in names)], **look)
        if not names:
            self.control.layout.display = "none"

    def _measurable(self) -> set[str]:
        """What the model can be asked for."""
        if self.loaded is None:
            return set()
        found = {"entropy"}
        found |= {"advantage"} if "advantage" in self.table.measures else set()
        found |= {"policy_minus_reference"} if hasattr(self.loaded.model, "peft_config") else set()
        return found | ({"grounding"} if self._others else set())

    @property
    def measure(self) -> str:
        """The chosen measure; nothing where none is."""
        return self.control.value

    def of(self, places: Sequence[int]) -> list[TokenMeasures | None]:
        """What is known of rollouts by the chosen measure, asked for where it has to be; None where it cannot be."""
        name = self.measure
        recorded = self.table.token_measures
        asked = [at for at in places if name not in _values(recorded.get(at)) and (at, name) not in self._measured]
        if asked and name in self._measurable():
            self._measured |= {(at, name): one for at, one in zip(asked, self._ask(asked, name), strict=True)}
        return [recorded[at] if name in _values(recorded.get(at)) else self._measured.get((at, name)) for at in places]

    def _ask(self, places: Sequence[int], name: str) -> list[TokenMeasures]:
        rows = [self.table.row(at) for at in places]
        scenes = dict.fromkeys(row.get("scene_name", "") for row in rows)
        shown = [*scenes, *(self._others[scene] for scene in scenes if name == "grounding")]
        clips = {scene: clip for scene in shown if (clip := self._clip_of(scene)) is not None}
        if missing := [scene for scene in shown if scene not in clips]:
            told = f"there is no clip of {missing[0]!r} here: give the browser clips={{scene_name: frames}}"
            return [TokenMeasures(reason=told)] * len(rows)
        from vsr_kit.evaluation.token_measures import token_measures  # and torch with it

        modes, prompt_set = self._asked_as(places)
        how: dict[str, Any] = {"mode": modes, "prompt_set": prompt_set, "other_scenes": self._others}
        assert self.loaded is not None  # or nothing was measurable
        try:
            with one_at_a_time():  # the playground or the inspector may be asking the same model
                return token_measures(self.loaded, rows, clips, measures=[name], **how)
        except (KeyError, ValueError) as error:  # rows of another harness may lack what a prompt is made of
            return [TokenMeasures(reason=f"these rows cannot be asked: {error}")] * len(rows)

    def _asked_as(self, places: Sequence[int]) -> tuple[list[str], str]:
        """How rows are asked: each in its own mode or the run's; rollouts of a step with the training's prompts."""
        rows = [self.table.row(at) for at in places]
        in_training = any("step" in row for row in rows)
        return [row.get("mode") or self.table.mode for row in rows], "train" if in_training else "eval"

    def texts(self, places: Sequence[int], source: str) -> tuple[Html, list[str | None]]:
        """The legend, and for each rollout its coloured text, or None where it is to be shown as it is."""
        found = self.of(places)
        measured = [at for at in places if (at, self.measure) in self._measured]
        source = "measured now" if measured else source
        known = [one if one is not None and _is_known(one, self.measure) else None for one in found]
        scale = scale_of((v for one in known if one for v in one.values[self.measure]), self.measure)
        texts = [
            None if one is None else coloured(one.tokens, one.values[self.measure], self.measure, scale, one.specials)
            for one in known
        ]
        return self._told(found, known, scale, source, measured), texts

    def _told(self, found, known, scale: float, source: str, measured: Sequence[int]) -> Html:
        """The legend, and what to know about where the numbers come from."""
        head = legend(self.measure, scale, source)
        others = sorted({one.other_scene for one in known if one and one.other_scene})
        lines = [f"the other room's clip: {', '.join(others)}"] if others and self.measure == "grounding" else []
        if measured and self.loaded is not None and self.measure != "advantage":
            modes, prompt_set = self._asked_as(measured)
            how = f"in {' and '.join(sorted(set(modes)))} mode with the prompts of {_PROMPTS[prompt_set]}"
            lines.append(f"{len(measured)} of them measured with {self.loaded.name}, asked {how}")
        reasons = dict.fromkeys(one.reason for one in found if one and one.reason)
        lines += [f"not coloured: {reason}" for reason in reasons]
        if missing := sum(one is None for one in found):
            how = "" if self.loaded else "; give the browser loaded=load_model(...) to measure them"
            lines.append(f"of {missing} of these rollouts nothing was recorded{how}")
        notes = "".join(f"<p><i>{escape(line)}</i></p>" for line in lines)
        return Html(head.markup + notes, head.alt)


def _is_known(one: TokenMeasures, name: str) -> bool:
    """Whether there is something to colour."""
    return not one.reason and name in one.values


def _values(one: TokenMeasures | None) -> Mapping[str, tuple[float, ...]]:
    return {} if one is None else one.values
