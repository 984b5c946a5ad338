"""The public face: `import vsr_kit as vsr` has the kit's names and packages, and none of them before it is used."""

import inspect

import pytest

import vsr_kit as vsr
from tests.test_layers import ORDER
from vsr_kit.training.run import train


def test_the_names_of_the_package_are_there_and_lazy():
    for name in vsr.__all__:
        assert getattr(vsr, name) is not None, name
    assert vsr.train is train and {"Study", "GRPO", "predict", "plots"} <= set(dir(vsr))
    assert {name for name in vsr.__all__ if name.islower() and name in ORDER} == {n for n in ORDER if "." not in n}
    with pytest.raises(AttributeError):
        vsr.nonsense  # noqa: B018


def test_public_functions_take_few_arguments_by_place():
    """At most three, the doors of the kit that a notebook calls; a fourth by place is a riddle to its reader."""
    functions = [getattr(vsr, name) for name in vsr.__all__ if inspect.isfunction(getattr(vsr, name))]
    places = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    many = {}
    for function in functions:
        by_place = [p for p in inspect.signature(function).parameters.values() if p.kind in places]
        many |= {function.__name__: len(by_place)} if len(by_place) > 3 else {}
    assert many == {}
