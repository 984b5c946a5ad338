"""`vsr bridge`: who writes by which options, what is asked before it costs, and what is printed."""

import json
import sys

import pytest
from typer.testing import CliRunner

from tests.chat_server import chat_server, text_of
from vsr_kit.bridging import Endpoint, LocalModel, Rules, chains_of
from vsr_kit.cli import app, main
from vsr_kit.cli.bridging import STOPPED, _writers, material_of

GIVEN = dict.fromkeys(
    "endpoint model reasoner key_env price_in price_out local local_reasoner concurrency max_tokens seed".split()
) | {"concurrency": 2, "max_tokens": 60, "seed": 0}
SMALL = ["--rooms", 2, "--per-room", 1, "--frames", 2, "--size", 28]


def vsr(*words, **how):
    return CliRunner().invoke(app, [str(word) for word in words], **how)


@pytest.fixture
def server():
    with chat_server() as running:
        running.answer = lambda body: (
            "<think>It is 3.</think> <answer>3</answer>" if "</think>" in text_of(body) else "a"
        )
        yield running


def test_rules_write_by_default_and_ask_nothing(tmp_path):
    done = vsr("bridge", *SMALL, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    assert "cost 0" in done.output and "kept" in done.output
    assert len(chains_of(tmp_path / "out")) > 3
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.is_file()}
    assert vsr("bridge", *SMALL, "--out", tmp_path / "out").exit_code == 0
    assert before == {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir() if path.is_file()}


def test_a_built_folder_is_bridged_in_its_own_words_by_what_its_frames_show(tmp_path):
    assert vsr("build", "--rooms", 2, "--out", tmp_path / "built", "--video", "--rules", "study").exit_code == 0
    done = vsr("bridge", "--rooms", tmp_path / "built", "--frames", 4, "--out", tmp_path / "out")
    assert done.exit_code == 0, done.output
    built = material_of(str(tmp_path / "built"), "train", "vsi-100k", 2, 4, 112, 0)
    assert built["seen"].keys() == built["rooms"].keys() and {row["phrasing"] for row in built["rows"]} == {"vsi-bench"}
    assert all(seen and max(seen) < len(built["rooms"][name].boxes) for name, seen in built["seen"].items())
    kinds = [(row["scene_name"], row["question_type"]) for row in built["rows"]]
    assert max(kinds.count(kind) for kind in kinds) <= 2


def test_an_endpoint_is_asked_only_after_its_cost_was_agreed_to(server, tmp_path):
    words = ["bridge", *SMALL, "--out", tmp_path / "out", "--endpoint", server.url, "--model", "m", "--reasoner", "r"]
    words += ["--price-in", 1, "--price-out", 2]
    done = vsr(*words, input="n\n")
    assert server.calls == 0 and "calls" in done.output and "in money" in done.output and done.exit_code == STOPPED
    done = vsr(*words, "--calls", 5, "--yes")
    assert server.calls == 5 and "larger one goes on" in done.output and done.exit_code == STOPPED
    done = vsr(*words, input="y\n")
    assert done.exit_code == 0 and {body["model"] for body in server.requests} == {"m", "r"}
    calls = server.calls
    assert vsr(*words).exit_code == 0 and server.calls == calls, "nothing left to ask, so nothing to agree to"


def test_nothing_of_a_models_or_servers_text_reaches_the_terminal_as_a_command(server, tmp_path, monkeypatch, capsys):
    server.answer = lambda body: "\x1b[2J\u202e evil"
    words = ["bridge", *SMALL, "--out", tmp_path / "out", "--endpoint", server.url, "--model", "m", "--yes"]
    done = vsr(*words)
    assert done.exit_code == 0 and "control text" in done.output and "evil" not in done.output
    server.plan = [401]
    words[words.index("m")] = "another"
    words[words.index(tmp_path / "out")] = tmp_path / "other"
    monkeypatch.setattr(sys, "argv", ["vsr", *map(str, words)])
    monkeypatch.setattr(sys, "stdout", sys.stdout), monkeypatch.setattr(sys, "stderr", sys.stderr)
    with pytest.raises(SystemExit) as caught:
        main()
    told = capsys.readouterr().err
    assert caught.value.code == 2 and "answers 401" in told and "\x1b" not in told


@pytest.mark.parametrize(
    "given, told",
    [
        ({"model": "m"}, "--model belongs to an endpoint"),
        ({"price_in": 1.0}, "--price-in belongs to an endpoint"),
        ({"endpoint": "http://a/v1"}, "needs a model"),
        ({"endpoint": "http://a/v1", "model": "m", "price_in": 1.0}, "needs both parts"),
        ({"endpoint": "http://a/v1", "model": "m", "local": "mini"}, "say both who writes"),
    ],
)
def test_options_that_say_too_little_or_too_much_are_told(given, told):
    with pytest.raises(ValueError, match=told):
        _writers(GIVEN | given, {})


def test_who_is_not_named_is_replaced_by_rules_as_far_as_they_can():
    def kinds(**given):
        return [(type(writer), getattr(writer, "model", None)) for writer in _writers(GIVEN | given, {"checks": 0.5})]

    url = "http://a/v1"
    assert kinds() == [(Rules, None)] * 2
    assert kinds(endpoint=url, model="m") == [(Endpoint, "m")] * 2
    assert kinds(endpoint=url, model="m", reasoner="r") == [(Endpoint, "m"), (Endpoint, "r")]
    assert kinds(endpoint=url, reasoner="r") == [(Rules, None), (Endpoint, "r")]
    assert [type(writer) for writer in _writers(GIVEN | {"local": "mini"}, {})] == [LocalModel] * 2
    rules, local = _writers(GIVEN | {"local_reasoner": "mini"}, {})
    assert (type(rules), type(local)) == (Rules, LocalModel) and rules.style.checks == 0.0


def test_a_wrong_knob_is_told(tmp_path):
    done = vsr("bridge", *SMALL, "--out", tmp_path / "out", "--checks", 2)
    assert "checks is 2.0" in str(done.exception) and not (tmp_path / "out").exists()


def test_the_summary_counts_what_was_printed(tmp_path):
    done = vsr("bridge", *SMALL, "--out", tmp_path / "out", "--tolerance", 0)
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert f"kept {summary['kept']} of {summary['rows']}" in done.output and summary["tolerance"] == 0
