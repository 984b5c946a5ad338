"""Relative distance: four options, and which of them is closest to an object that occurs once.

By the benchmark's rules an option is a category, as far away as its nearest instance, and any four that can be told
apart may be drawn. By the study's it is an object that occurs once, and four are drawn blindly: where they are too
close to tell apart, there is no question.
Left out: options that are drawn to be hard, and balance of the right answer over categories.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np

_DRAWS = 100  # of four options, before those that the nearest ones allow are taken


def ranked(scene, distances: Mapping[str, float], names: list[str]) -> list[str] | None:
    """The names from near to far; None where two of them are about as far, or the nearest is too near."""
    order = sorted(names, key=distances.__getitem__)
    gaps = np.diff([distances[name] for name in order])
    too_near = distances[order[0]] < scene.rules.least_nearest_m
    return None if too_near or gaps.min() < scene.rules.margin_m(scene.room) else order


def relative_distance(scene) -> Iterator[tuple]:
    """Draft at most one question about each object that occurs once: which of four is closest to it?"""
    for target in scene.names:
        distances = scene.options(target)
        draw = _valid_four if scene.rules.nearest_instance else _any_four
        picked = draw(scene, distances)
        order = None if picked is None else ranked(scene, distances, picked)
        if picked is not None and order is not None:
            fields = {"category": target, "options": ", ".join(picked)}
            yield "object_rel_distance", fields, (target, *picked), order[0], order[1:]


def _any_four(scene, distances: Mapping[str, float]) -> list[str] | None:
    """Draw four options, once: where they are too close to tell apart, there is no question."""
    others = list(distances)
    return [others[i] for i in scene.rng.permutation(len(others))[:4]] if len(others) >= 4 else None


def _valid_four(scene, distances: Mapping[str, float]) -> list[str] | None:
    """Draw four options that can be told apart; None where no four can."""
    far = {name: distance for name, distance in distances.items() if distance >= scene.rules.least_nearest_m}
    apart: list[str] = []
    for name in sorted(far, key=far.__getitem__):  # from the nearest on, each as soon as it is far enough from the last
        if not apart or far[name] - far[apart[-1]] >= scene.rules.margin_m(scene.room):
            apart.append(name)
    if len(apart) < 4:
        return None
    for _ in range(_DRAWS):
        picked = _any_four(scene, far)
        if ranked(scene, far, picked) is not None:
            return picked
    return [apart[i] for i in scene.rng.permutation(4)]
