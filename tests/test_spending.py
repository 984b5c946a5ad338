"""What the parts of a notebook took, and which profile a machine is given."""

import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from vsr_kit.sharing import meter
from vsr_kit.training import machine, spending
from vsr_kit.training.machine import Machine, profile_for, profile_here, slow_here, this_machine
from vsr_kit.training.profiles import get_profile
from vsr_kit.training.spending import Spending

CPU = torch.device("cpu")
LINUX = pytest.mark.skipif(not meter.reset_peak(CPU), reason="a process's peak begins anew on Linux alone")


@LINUX
def test_a_parts_memory_is_its_own_and_its_minutes_add_up():
    spent = Spending("cpu")
    with spent.on("large"):
        held = np.ones(50_000_000)  # 400 MB
        time.sleep(0.05)
    del held
    with spent.on("small"):
        time.sleep(0.02)
    with spent.on("large"):
        time.sleep(0.05)
    large, small = spent.rows()
    assert [large["part"], small["part"]] == ["large", "small"]
    assert large["GB"] > small["GB"] + 0.3
    assert 60 * large["minutes"] >= 0.1 and 60 * small["minutes"] >= 0.02
    assert large["of what"] == "the process"


def test_where_the_peak_cannot_begin_anew_the_rows_say_so(monkeypatch):
    monkeypatch.setattr(spending, "reset_peak", lambda device: False)
    spent = Spending("cpu")
    with spent.on("a"):
        pass
    assert spent.rows()[0]["of what"] == "the process, since it began"


def test_an_error_goes_on_and_is_counted_and_parts_do_not_nest():
    spent = Spending("cpu")
    with pytest.raises(KeyError), spent.on("broken"):
        raise KeyError
    told = "the part 'outer' is open: end it before 'inner' begins"
    with spent.on("outer"), pytest.raises(ValueError, match=told), spent.on("inner"):
        pass
    assert [row["part"] for row in spent.rows()] == ["broken", "outer"]


@pytest.mark.parametrize(
    "found, wanted",
    [
        (Machine("no GPU", 0.0, bf16=False), "mini"),
        (Machine("small card", 8.6, bf16=True), "mini"),
        (Machine("Tesla T4", 15.6, bf16=False), "t4"),
        (Machine("NVIDIA A10", 23.6, bf16=True), "t4"),
        (Machine("Tesla V100", 34.1, bf16=False), "t4"),
        (Machine("Quadro RTX 8000", 48.0, bf16=False), "t4"),
        (Machine("NVIDIA A100", 42.4, bf16=True), "a100"),
        (Machine("NVIDIA H200", 150.0, bf16=True), "a100"),
    ],
)
def test_a_profile_is_chosen_by_the_class_of_gpu(found, wanted):
    assert profile_for(found).name == wanted


def test_the_sentence_says_what_was_chosen_and_why(monkeypatch):
    monkeypatch.setattr(machine, "this_machine", lambda: Machine("no GPU", 0.0, bf16=False))
    assert profile_here()[1] == "no GPU: profile mini (the same cells on the miniature), model mini"
    assert profile_here("t4")[1] == "no GPU: profile t4 (as asked for), model Qwen/Qwen2-VL-2B-Instruct"
    monkeypatch.setattr(machine, "this_machine", lambda: Machine("Tesla T4", 15.6, bf16=False))
    profile, told = profile_here()
    assert profile.name == "t4"
    assert told.startswith("Tesla T4, 16 GB, without bfloat16: profile t4 (chosen by the memory)")


def test_a_profile_for_a_gpu_is_called_slow_without_one(monkeypatch):
    monkeypatch.setattr(machine, "this_machine", lambda: Machine("no GPU", 0.0, bf16=False))
    assert "profile t4 with Qwen/Qwen2-VL-2B-Instruct is meant for a GPU" in slow_here(get_profile("t4"))
    assert slow_here(get_profile("mini")) is None and slow_here(replace(get_profile("t4"), model="mini")) is None
    monkeypatch.setattr(machine, "this_machine", lambda: Machine("Tesla T4", 15.6, bf16=False))
    assert slow_here(get_profile("t4")) is None


def test_a_gpu_is_read_by_its_properties(monkeypatch):
    class Properties:
        name, total_memory = "Tesla T4", 15_600_000_000

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: Properties)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda emulated: emulated)
    assert this_machine() == Machine("Tesla T4", 15.6, bf16=False)
