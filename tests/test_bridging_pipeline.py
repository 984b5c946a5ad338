"""The pipeline: what each stage is shown, what is left in the folder, and the same bytes after any kill."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from tests.chat_server import chat_server, images_of, text_of
from vsr_kit.bridging import AnswerCache, Budget, Endpoint, Price, Rules, Style, Written, bridge, chains_of
from vsr_kit.bridging.writers import prompt_key
from vsr_kit.data import make_rows, read_rows, split_rooms
from vsr_kit.files import Damaged

STAGE_FILES = ("pseudo_cot.jsonl", "description.jsonl", "chain.jsonl")
RESULTS = (*STAGE_FILES, "kept.jsonl", "dropped.jsonl", "summary.json", "settings.json")
ROOMS = split_rooms(2, "train", 3)
ROWS = make_rows(ROOMS, "vsi-100k", types=("object_abs_distance", "object_counting"), max_per_type=3)
CLIPS = {room.name: np.full((2, 28, 28, 3), i, np.uint8) for i, room in enumerate(ROOMS)}
BY_NAME = {room.name: room for room in ROOMS}


class Scripted:
    """A writer that answers by a function of the prompt, keeps what it was asked, and may break off."""

    paid = False

    def __init__(self, answer, stops_after=10**6):
        self.answer, self.asked, self.stops_after = answer, [], stops_after

    def identity(self):
        return {"writer": "scripted"}

    def write(self, messages, images=None):
        return ""

    def write_many(self, prompts, cache=None, ledger=None):
        for prompt in prompts:
            if len(self.asked) >= self.stops_after:
                raise KeyboardInterrupt
            self.asked.append(prompt)
            made = self.answer(prompt)
            yield made if isinstance(made, Written) else Written(made)


def right_chain(prompt):
    """The truth of a row, which a scripted reasoner happens to know."""
    truth = next(row["ground_truth"] for row in ROWS if row["id"] == prompt.row["id"])
    return f"<think>It is {truth}.</think> <answer>{truth}</answer>"


def seen_room(prompt):
    return f"{prompt.stage} of {prompt.row['id']}"


def results(folder: Path) -> dict[str, bytes]:
    return {name: (folder / name).read_bytes() for name in RESULTS}


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_each_stage_sees_what_the_paper_gives_it_and_no_more(tmp_path):
    describer, reasoner = Scripted(seen_room), Scripted(right_chain)
    bridge(ROWS, CLIPS, tmp_path, describer=describer, reasoner=reasoner, rooms=BY_NAME, seen={ROOMS[0].name: (1,)})
    half = len(ROWS)
    first, second = describer.asked[:half], describer.asked[half:]
    for row, prompt in zip(ROWS, first, strict=True):
        said = prompt.messages[0]["content"]
        assert said[0] == {"type": "video"} and f"Answer: {row['ground_truth']}" in said[1]["text"]
        assert (prompt.frames_FHW3 == CLIPS[row["scene_name"]]).all() and prompt.room.name == row["scene_name"]
        assert prompt.seen == ((1,) if row["scene_name"] == ROOMS[0].name else None)
    for row, prompt in zip(ROWS, second, strict=True):
        assert f"Notes: pseudo_cot of {row['id']}" in prompt.messages[0]["content"][1]["text"]
        assert "Answer:" not in prompt.messages[0]["content"][1]["text"]
    for row, prompt in zip(ROWS, reasoner.asked, strict=True):
        (only,) = prompt.messages[0]["content"]
        assert f"description of {row['id']}" in only["text"] and row["question"] in only["text"]
        assert prompt.frames_FHW3 is None and prompt.room is None and prompt.seen is None
    assert all("ground_truth" not in prompt.row for prompt in describer.asked + reasoner.asked)


def test_kept_rows_are_rows_with_a_completion_in_the_modes_tags(tmp_path):
    done = bridge(ROWS, CLIPS, tmp_path, describer=Scripted(seen_room), reasoner=Scripted(right_chain), mode="observe")
    assert done.kept.total() == len(ROWS) and not done.dropped and done.unfinished == 0 and done.stopped is None
    truth = ROWS[0]["ground_truth"]
    targets = chains_of(tmp_path)
    assert targets[ROWS[0]["id"]] == f"<observe>It is {truth}.</observe> <answer>{truth}</answer>"
    assert list(targets) == [row["id"] for row in ROWS]
    assert [row["id"] for row in read_rows(tmp_path / "kept.jsonl")] == [row["id"] for row in ROWS]


def test_dropped_rows_say_stage_rule_and_text_and_are_not_asked_on(tmp_path):
    ids = [row["id"] for row in ROWS]

    def describe(prompt):
        place = ids.index(prompt.row["id"])
        if prompt.stage == "pseudo_cot" and place == 0:
            return Written("half a", "length")
        return "a room <|im_end|>" if prompt.stage == "description" and place == 1 else "a room"

    def reason(prompt):
        return "<think>It is 99.</think> <answer>99</answer>" if prompt.row["id"] == ids[2] else right_chain(prompt)

    describer, reasoner = Scripted(describe), Scripted(reason)
    done = bridge(ROWS, CLIPS, tmp_path, describer=describer, reasoner=reasoner)
    assert len(describer.asked) == 2 * len(ROWS) - 1 and len(reasoner.asked) == len(ROWS) - 2
    told = [(line["id"], line["stage"], line["reason"], line["text"]) for line in lines(tmp_path / "dropped.jsonl")]
    assert told[:2] == [
        (ids[0], "pseudo_cot", "truncated", "half a"),
        (ids[1], "description", "control text", "a room <|im_end|>"),
    ]
    assert told[2][:3] == (ids[2], "chain", "wrong answer")
    assert done.dropped == {"truncated": 1, "control text": 1, "wrong answer": 1}
    summary = json.loads((tmp_path / "summary.json").read_text())
    assert summary["dropped"] == done.dropped and summary["kept"] == len(ROWS) - 3 and summary["rows"] == len(ROWS)
    assert sum(kind["kept"] for kind in summary["by type"].values()) == len(ROWS) - 3
    assert not any("\x1b" in line for line in done.told())


def test_another_tolerance_sorts_anew_and_asks_nothing(tmp_path):
    def near(prompt):
        truth = float(next(row["ground_truth"] for row in ROWS if row["id"] == prompt.row["id"]))
        return f"<think>It is {truth * 1.2:.3f}.</think> <answer>{truth * 1.2:.3f}</answer>"

    one = bridge(ROWS, CLIPS, tmp_path, describer=Scripted(seen_room), reasoner=Scripted(near))
    describer, reasoner = Scripted(seen_room), Scripted(near)
    other = bridge(ROWS, CLIPS, tmp_path, describer=describer, reasoner=reasoner, tolerance=0.3)
    assert one.kept.total() == 0 and other.kept.total() == len(ROWS) and not describer.asked + reasoner.asked


@pytest.mark.parametrize("stops_after", range(0, 3 * len(ROWS), 2))
def test_stopped_anywhere_it_goes_on_to_the_same_bytes(tmp_path, stops_after, monkeypatch):
    monkeypatch.setattr("vsr_kit.bridging.pipeline.ROWS_AT_ONCE", 3)
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    bridge(ROWS, CLIPS, whole, describer=Scripted(seen_room), reasoner=Scripted(right_chain))
    both = Scripted(lambda p: right_chain(p) if p.stage == "chain" else seen_room(p), stops_after)
    with pytest.raises(KeyboardInterrupt):
        bridge(ROWS, CLIPS, cut, describer=both, reasoner=both)
    assert sum(len(lines(cut / name)) for name in STAGE_FILES if (cut / name).exists()) == stops_after
    rest = Scripted(both.answer)
    bridge(ROWS, CLIPS, cut, describer=rest, reasoner=rest)
    assert len(rest.asked) == 3 * len(ROWS) - stops_after
    assert results(cut) == results(whole)


@pytest.mark.parametrize("name", STAGE_FILES)
def test_a_line_that_a_kill_tore_is_written_again(tmp_path, name):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    made = {"describer": Scripted(seen_room), "reasoner": Scripted(right_chain)}
    bridge(ROWS, CLIPS, whole, **made)
    shutil.copytree(whole, cut)
    later = STAGE_FILES[STAGE_FILES.index(name) + 1 :]
    for other in (*later, "kept.jsonl", "dropped.jsonl", "summary.json"):
        (cut / other).unlink()
    data = (cut / name).read_bytes()
    (cut / name).write_bytes(data[: len(data) - len(data) // 3])
    bridge(ROWS, CLIPS, cut, **made)
    assert results(cut) == results(whole)


CHILD = """
import sys, time
from tests.test_bridging_pipeline import CLIPS, ROWS, BY_NAME
from vsr_kit.bridging import Rules, Style, bridge
class Slow(Rules):
    def write_many(self, prompts, cache=None, ledger=None):
        for written in super().write_many(prompts):
            time.sleep(0.03)
            yield written
kind = Slow if sys.argv[2] == "slow" else Rules
print("begins", flush=True)
bridge(ROWS, CLIPS, sys.argv[1], describer=kind(Style(checks=0.5, restarts=0.5)), rooms=BY_NAME)
"""


def child(folder: Path, how: str) -> subprocess.Popen:
    top = Path(__file__).resolve().parent.parent
    environment = {**os.environ, "PYTHONPATH": str(top)}
    return subprocess.Popen([sys.executable, "-c", CHILD, str(folder), how], cwd=top, env=environment, stdout=-1)


@pytest.mark.slow
def test_killed_without_warning_it_goes_on_to_the_same_bytes(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert child(whole, "fast").wait() == 0
    for pause_s in (0.1, 0.35, 0.6):
        process = child(cut, "slow")
        process.stdout.readline()
        time.sleep(pause_s)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert child(cut, "fast").wait() == 0
    assert results(cut) == results(whole)


def test_damage_is_told_with_its_line_and_nothing_is_overwritten(tmp_path):
    made = {"describer": Scripted(seen_room), "reasoner": Scripted(right_chain)}
    bridge(ROWS, CLIPS, tmp_path, **made)
    path = tmp_path / "description.jsonl"
    before = path.read_text()
    first, second, *rest = before.splitlines(keepends=True)
    for harmed in (second + first + "".join(rest), before + first, before.replace('"stop"', '"done"', 1)):
        path.write_text(harmed)
        with pytest.raises(Damaged, match=r"description\.jsonl, line \d+"):
            bridge(ROWS, CLIPS, tmp_path, **made)
        assert path.read_text() == harmed
    path.write_text(before)
    (tmp_path / "settings.json").unlink()
    with pytest.raises(Damaged, match=r"settings\.json is missing"):
        bridge(ROWS, CLIPS, tmp_path, **made)


def test_a_folder_is_not_gone_on_with_as_something_else(tmp_path):
    bridge(ROWS, None, tmp_path, rooms=BY_NAME)
    for other in (
        {"describer": Rules(Style(checks=0.5)), "rooms": BY_NAME},
        {"describer": Rules(seed=1), "rooms": BY_NAME},
        {"rooms": dict.fromkeys(BY_NAME, ROOMS[0])},
        {"rooms": BY_NAME, "seen": {ROOMS[0].name: (0, 1)}},
    ):
        with pytest.raises(ValueError, match="was begun otherwise"):
            bridge(ROWS, None, tmp_path, **other)
    with pytest.raises(ValueError, match="was begun otherwise: rows was"):
        bridge(ROWS[1:], None, tmp_path, rooms=BY_NAME)


@pytest.mark.parametrize(
    "rows, how, told",
    [
        ([], {"rooms": BY_NAME}, "0 rows"),
        ([*ROWS, ROWS[0]], {"rooms": BY_NAME}, "2 rows have the id"),
        (ROWS, {}, "has no room"),
        (ROWS, {"describer": Scripted(seen_room)}, "no reasoner"),
        (ROWS, {"describer": Scripted(seen_room), "reasoner": Rules()}, "has no clip"),
        (ROWS, {"rooms": BY_NAME, "mode": "dream"}, "no prompt for mode"),
        (ROWS, {"rooms": BY_NAME, "tolerance": -1}, "tolerance is -1"),
        (ROWS, {"rooms": BY_NAME, "reasoner": Endpoint("http://a/v1", "m"), "budget": Budget(money=1)}, "needs prices"),
    ],
)
def test_what_cannot_be_bridged_is_told_before_there_is_a_folder(tmp_path, rows, how, told):
    with pytest.raises(ValueError, match=told):
        bridge(rows, None, tmp_path / "out", **how)
    assert not (tmp_path / "out").exists()


def test_rules_need_nothing_and_their_chains_follow_from_row_and_seed_alone(tmp_path):
    style = Style(checks=0.5, detours=0.5, restarts=0.5)
    one = bridge(ROWS, None, tmp_path / "a", describer=Rules(style), rooms=BY_NAME)
    assert one.kept.total() >= 0.8 * len(ROWS) and not (tmp_path / "a" / "calls.jsonl").exists()
    back = list(reversed(ROWS))
    bridge(back, None, tmp_path / "b", describer=Rules(style), rooms=BY_NAME)
    bridge(ROWS, None, tmp_path / "c", describer=Rules(style, seed=1), rooms=BY_NAME)
    first, reverse, other = (
        {line["id"]: line["text"] for line in lines(tmp_path / name / "chain.jsonl")} for name in "abc"
    )
    assert first == reverse != other
    again = ["wait, again" in text for id_, text in first.items() if "abs_distance" in id_]
    assert any(again) and not all(again), "rows draw on their own"


def test_rules_describe_what_the_clip_shows(tmp_path):
    bridge(ROWS, None, tmp_path, rooms=BY_NAME, seen=dict.fromkeys(BY_NAME, ()))
    for line in lines(tmp_path / "description.jsonl"):
        assert line["text"].startswith("The room is") and line["text"].count(".") == 3
    assert {line["reason"] for line in lines(tmp_path / "dropped.jsonl")} == {"refused"}


@pytest.mark.slow
def test_chains_are_what_sft_takes(tmp_path):
    from vsr_kit.training.methods import SFT
    from vsr_kit.training.profiles import get_profile

    bridge(ROWS, None, tmp_path, rooms=BY_NAME)
    SFT("think", targets=chains_of(tmp_path)).check(get_profile("mini"), ROWS)


def test_chains_of_says_what_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError, match="vsr bridge"):
        chains_of(tmp_path)
    (tmp_path / "kept.jsonl").write_text("")
    with pytest.raises(ValueError, match="holds no chain"):
        chains_of(tmp_path)
    (tmp_path / "kept.jsonl").write_text('{"id": 1, "completion": "a"}\n{"id": 1, "completion": "b"}\n')
    with pytest.raises(ValueError, match="two rows have the id 1"):
        chains_of(tmp_path)


# -- with an endpoint --------------------------------------------------------------------------------------------------


@pytest.fixture
def server():
    with chat_server() as running:
        running.answer = said
        yield running


def said(body) -> str:
    text = text_of(body)
    if "Thinking" in text or "<think>" in text:
        row = next(row for row in ROWS if row["question"] in text)
        return f"<think>It is {row['ground_truth']}.</think> <answer>{row['ground_truth']}</answer>"
    return f"seen {len(images_of(body))}"


def asked(server, folder, **how):
    describer = Endpoint(server.url, "sees", price=Price(1, 2), max_tokens=50, **how.pop("endpoint", {}))
    reasoner = Endpoint(server.url, "reasons", price=Price(1, 2), max_tokens=50)
    return bridge(ROWS, CLIPS, folder, describer=describer, reasoner=reasoner, **how)


def test_an_endpoint_writes_all_stages_and_a_second_run_asks_nothing(server, tmp_path):
    done = asked(server, tmp_path / "a")
    assert server.calls == 3 * len(ROWS) == done.spent.calls
    assert [len(images_of(body)) for body in server.requests if body["model"] == "reasons"] == [0] * len(ROWS)
    assert [len(images_of(body)) for body in server.requests if body["model"] == "sees"] == [2] * 2 * len(ROWS)
    again = asked(server, tmp_path / "a")
    asked(server, tmp_path / "b", cache=tmp_path / "a" / "answers", confirm=lambda cost: cost.calls == 0)
    assert server.calls == 3 * len(ROWS) and again.kept == done.kept
    assert results(tmp_path / "a") == results(tmp_path / "b")


def test_the_cost_is_shown_before_anything_is_asked_and_can_be_declined(server, tmp_path, capsys):
    shown = []
    done = asked(server, tmp_path, confirm=lambda cost: bool(shown.append(cost)))
    assert server.calls == 0 and done.unfinished == len(ROWS) and done.stopped == "nothing was asked"
    (cost,) = shown
    assert cost.calls == 3 * len(ROWS) and 0 < cost.money < cost.most_money
    server.plan = [404]
    with pytest.raises(ValueError):
        asked(server, tmp_path)
    assert f"at most {3 * len(ROWS)} calls" in capsys.readouterr().err
    done = asked(server, tmp_path)
    assert 0 < done.spent.money <= cost.most_money
    capsys.readouterr()
    asked(server, tmp_path, confirm=lambda cost: shown.append(cost) or True)
    assert shown[-1].calls == 0 and "cost 0" in shown[-1].told()


def test_a_spent_budget_stops_cleanly_and_a_larger_one_goes_on(server, tmp_path):
    whole = tmp_path / "whole"
    asked(server, whole)
    server.requests.clear()
    folder = tmp_path / "stopped"
    done = asked(server, folder, budget=Budget(calls=17))
    assert server.calls == 17 and "budget of 17 calls" in done.stopped and "larger one goes on" in done.stopped
    assert done.unfinished + done.kept.total() == len(ROWS) and (folder / "summary.json").exists()
    asked(server, folder, budget=Budget(calls=17))
    assert server.calls == 17
    done = asked(server, folder, budget=Budget(calls=1000))
    assert server.calls == 3 * len(ROWS) and done.stopped is None
    assert results(folder) == results(whole)


def test_a_server_that_fails_for_good_leaves_what_was_answered(server, tmp_path):
    server.plan = [None] * 5 + [401] * 100
    with pytest.raises(ValueError, match="401"):
        asked(server, tmp_path / "cut", endpoint={"concurrency": 1})
    server.plan = []
    before = server.calls
    done = asked(server, tmp_path / "cut", endpoint={"concurrency": 1})
    assert done.stopped is None and server.calls - before == 3 * len(ROWS) - 5


def test_a_row_that_is_refused_is_dropped_but_not_every_row(server, tmp_path):
    server.plan = [None, 400]
    done = asked(server, tmp_path / "a", endpoint={"concurrency": 1})
    assert done.dropped == {"refused": 1} and done.kept.total() == len(ROWS) - 1
    server.plan = [400] * 100
    server.requests.clear()
    server.seconds = 0.05
    with pytest.raises(ValueError, match="refuses each of the first 3 rows") as caught:
        asked(server, tmp_path / "b", endpoint={"concurrency": 1})
    time.sleep(0.4)
    assert "\x1b" not in str(caught.value) and server.calls <= 5 < len(ROWS), "the rest is not asked"
    server.seconds = 0
    server.plan = []
    assert asked(server, tmp_path / "b").kept.total() == len(ROWS)


def test_rules_describe_for_an_endpoint_that_reasons(server, tmp_path):
    done = bridge(ROWS, None, tmp_path, rooms=BY_NAME, reasoner=Endpoint(server.url, "reasons"))
    assert server.calls == len(ROWS) and done.kept.total() == len(ROWS)
    assert all("The room is" in text_of(body) for body in server.requests)


def test_keys_tell_writers_and_prompts_apart(tmp_path):
    from vsr_kit.bridging import Prompt

    ask = [{"role": "user", "content": "a"}]
    one, other = Endpoint("http://a/v1", "m"), Endpoint("http://a/v1", "m", temperature=1.0)
    keys = {
        prompt_key(one, Prompt(ask)),
        prompt_key(other, Prompt(ask)),
        prompt_key(one, Prompt(ask, CLIPS[ROOMS[0].name])),
    }
    assert len(keys) == 3 and prompt_key(one, Prompt(ask)) == prompt_key(
        Endpoint("http://a/v1/", "m", "K"), Prompt(ask)
    )
    assert AnswerCache(tmp_path).get("ab" * 32) is None
