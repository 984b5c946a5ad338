"""`vsr`: every command explains itself, says what it did, and errors are one line with exit code 2."""

import json
import subprocess
import sys

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook
from typer.testing import CliRunner

from vsr_kit import __version__
from vsr_kit.cli import app, main
from vsr_kit.runs import RunFolder

COMMANDS = ["build", "score", "ask", "pretrain", "bridge", "eval", "train", "report", "reproduce", "claims"]
COMMANDS += ["run", "course", "test", "lab", "stop", "preflight", "fetch", "doctor", "plan"]
COMMANDS += ["merge", "push", "export", "explain-gap"]


def vsr(*words):
    return CliRunner().invoke(app, [str(word) for word in words])


def fails(monkeypatch, capsys, *words) -> str:
    """The line on stderr of a command that must fail with exit code 2."""
    monkeypatch.setattr(sys, "argv", ["vsr", *map(str, words)])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    return capsys.readouterr().err


def test_every_command_is_there():
    named = {command.name or command.callback.__name__ for command in app.registered_commands}
    assert named | {group.name for group in app.registered_groups} == set(COMMANDS)


@pytest.mark.parametrize("command", [*COMMANDS])
def test_help_says_what_a_command_does_and_what_every_option_means(command):
    done = vsr(*command.split(), "--help")
    assert done.exit_code == 0
    assert len(done.output.split()) > 20
    import typer

    (found,) = [c for c in _walk(typer.main.get_command(app), ()) if c[0] == tuple(command.split())]
    assert found[1].help
    assert [option.name for option in found[1].params if not getattr(option, "help", None)] == []


def _walk(command, path):
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from _walk(inner, (*path, name))


def test_claims_are_judged_from_the_shipped_answers(tmp_path, monkeypatch, capsys):
    """The same differences that scoring the answers by hand gives; verdicts follow from them."""
    from vsr_kit.claims.recipe import SEEDS, Condition
    from vsr_kit.evaluation import difference
    from vsr_kit.study import read_answers

    told = json.loads(vsr("claims", "--json").output)
    base = read_answers(Condition("test-vsi-bench"))
    runs = [read_answers(Condition("test-vsi-bench", f"grpo-vanilla-seed{seed}")) for seed in SEEDS]
    by_hand = difference(runs, [base], task="trained")
    found = told["grpo-lifts"]["found"]["grpo_minus_base"]
    assert (found["mean"], found["low"], found["n"]) == pytest.approx((by_hand.mean, by_hand.low, by_hand.n))
    assert told["grpo-lifts"]["verdict"] == ("reproduced" if by_hand.low > 0 else "not reproduced")
    text = vsr("claims").output
    assert all(
        f"{name}: {claim['verdict'].upper()}" in text and claim["caveat"] in text for name, claim in told.items()
    )
    assert "holds the answers of no claim" in fails(monkeypatch, capsys, "claims", "--study", tmp_path)
    assert "no folder nowhere" in fails(monkeypatch, capsys, "claims", "--study", "nowhere")


def test_claims_by_their_own_or_their_recipes_name(monkeypatch, capsys):
    from vsr_kit.recipes import all_claims, recipes

    own = [known.name for r in recipes() if r.name == "sparc" for known in r.claims]
    assert list(json.loads(vsr("claims", "sparc", "--json").output)) == own
    told = vsr("claims", own[1], own[1]).output
    assert told.startswith(f"{own[1]}: ") and own[0] not in told
    both = json.loads(vsr("claims", "sparc", all_claims()[0].name, "--json").output)
    assert list(both) == [all_claims()[0].name, *own], "in the ledger's order, each once"
    said = fails(monkeypatch, capsys, "claims", "sparce")
    assert "'sparce'" in said and "did you mean sparc" in said
    assert "did you mean sparc" in fails(monkeypatch, capsys, "claims", "SPARC")
    assert "did you mean mm-eureka?" in fails(monkeypatch, capsys, "claims", "eureka-filter")
    assert "give a recipe (vsgrpo" in fails(monkeypatch, capsys, "claims", "xyz")


def test_the_version_is_told():
    assert vsr("--version").output.strip() == f"vsr-kit {__version__}"


def test_build_writes_rows_and_says_what(tmp_path):
    done = vsr("build", "--rooms", 2, "--out", tmp_path / "set", "--phrasing", "vsi-100k", "--seed", 4)
    assert done.exit_code == 0, done.output
    rows = [json.loads(line) for line in (tmp_path / "set" / "questions.jsonl").read_text().splitlines()]
    assert {row["phrasing"] for row in rows} == {"vsi-100k"}
    assert f"{len(rows)} questions about 2 rooms" in done.output
    again = vsr("build", "--rooms", 2, "--out", tmp_path / "again", "--phrasing", "vsi-100k", "--seed", 4)
    assert again.exit_code == 0
    same = [(tmp_path / name / "questions.jsonl").read_bytes() for name in ("set", "again")]
    assert same[0] == same[1]


def test_build_films_when_asked(tmp_path):
    done = vsr("build", "--rooms", 1, "--out", tmp_path / "set", "--video")
    assert done.exit_code == 0, done.output
    assert len(list((tmp_path / "set").rglob("*.mp4"))) == 1
    assert "1 clips" in done.output


def test_a_file_that_is_not_there_is_one_line_and_exit_code_2(monkeypatch, capsys, tmp_path):
    told = fails(monkeypatch, capsys, "build", "--rooms", tmp_path / "none.json", "--out", tmp_path / "x")
    assert told.startswith("error: ")
    assert "none.json" in told
    assert len(told.splitlines()) == 1


def test_debug_shows_where_an_error_came_from(monkeypatch, tmp_path):
    words = ["vsr", "--debug", "build", "--rooms", str(tmp_path / "none.json"), "--out", str(tmp_path / "x")]
    monkeypatch.setattr(sys, "argv", words)
    with pytest.raises(ValueError, match=r"none\.json"):
        main()


def test_an_unknown_choice_is_named(monkeypatch, capsys, tmp_path):
    told = fails(monkeypatch, capsys, "build", "--rooms", 1, "--out", tmp_path / "x", "--phrasing", "vsi-1k")
    assert "vsi-1k" in told


@pytest.fixture
def course(monkeypatch, tmp_path):
    """A course of two notebooks of our own: 00 records a run, 04 asserts what it is told to."""
    folder = tmp_path / "notebooks"
    folder.mkdir()
    live = "from vsr_kit.runs import RunFolder\nrun = RunFolder.create('live')\nrun.summarise(headline={'reward': 0.5})"
    for name, code in (("00_a", live), ("04_b", "from vsr_kit.paths import smoke\nassert smoke(), 'full budget'")):
        nbformat.write(new_notebook(cells=[new_code_cell(code)]), folder / f"{name}.ipynb")
    monkeypatch.setattr("vsr_kit.pages.site.notebooks_folder", lambda: folder)
    monkeypatch.setattr("vsr_kit.pages.site.MAIN_JOB", ("00",))
    monkeypatch.setattr("vsr_kit.pages.site._write_study", lambda out: {})  # it takes a minute
    return tmp_path / "site"


def test_run_executes_the_main_job_and_says_where_to_look_and_what_it_measured(course):
    done = vsr("run", "--out", course)
    assert done.exit_code == 0, done.output
    assert "00_a: ran, 1 code cells" in done.output
    assert "04_b" not in done.output
    assert "live: reward: 0.50" in done.output
    assert str(course / "index.html") in done.output
    assert (course / "notebooks" / "00_a.html").exists()


def test_course_executes_everything_and_exits_1_where_a_notebook_fails(course):
    assert vsr("course", "--out", course, "--smoke").exit_code == 0
    done = vsr("course", "--out", course)
    assert done.exit_code == 1
    assert "04_b: FAILED" in done.output
    assert "full budget" in done.output


def test_report_takes_the_newest_run_or_those_named(monkeypatch, tmp_path):
    monkeypatch.setenv("VSR_RUNS", str(tmp_path))
    first = RunFolder.create("first", {"beta": 0})
    second = RunFolder.create("second", {"beta": 1})
    assert "first" not in second.path.name
    done = vsr("report")
    assert done.exit_code == 0, done.output
    assert (second.path / "report.html").exists()
    page = tmp_path / "both.html"
    assert vsr("report", first.path, second.path, "--out", page).exit_code == 0
    assert "Settings that differ" in page.read_text()


def test_a_report_without_runs_says_how_to_make_one(monkeypatch, capsys, tmp_path):
    monkeypatch.setenv("VSR_RUNS", str(tmp_path))
    assert "vsr eval or vsr train" in fails(monkeypatch, capsys, "report")


def test_help_is_quick_because_nothing_heavy_is_imported():
    code = "import sys; from vsr_kit.cli import main\ntry:\n    main()\nexcept SystemExit:\n    print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code, "--help"], capture_output=True, text=True)
    loaded = {name.split(".")[0] for name in done.stdout.splitlines()[-1].split()}
    assert "typer" in loaded
    assert not {"torch", "transformers", "numpy", "plotly", "pandas", "nbclient"} & loaded


def test_test_passes_its_arguments_on_to_pytest(monkeypatch):
    seen = []
    five = subprocess.CompletedProcess([], 5)
    monkeypatch.setattr(subprocess, "run", lambda words, cwd: seen.append(words) or five)
    assert vsr("test", "-k", "rooms", "--maxfail=1").exit_code == 5
    assert seen[0][1:] == ["-m", "pytest", "-n", "auto", "--dist", "worksteal", "-k", "rooms", "--maxfail=1"]
