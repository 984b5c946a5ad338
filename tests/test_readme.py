"""The README says what the kit does: its numbers are computed, its commands exist, its links lead somewhere."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vsr_kit.claims.recipe import SEEDS, Condition
from vsr_kit.cli import app
from vsr_kit.evaluation import difference, score
from vsr_kit.study import grpo_table, ledger, read_answers, study_summary, trained_answers
from vsr_kit.study.comparisons import gains, seed_gains
from vsr_kit.study.controls import EXPLAINS, NOT_MAIN
from vsr_kit.study.real_rooms import ceilings, gain_travels, real_rooms_summary, travels
from vsr_kit.study.summary import sharing_summary
from vsr_kit.study.travel import findings, tried

TOP = Path(__file__).resolve().parent.parent
README = (TOP / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted({words.split()[0] for words in re.findall(r"^vsr (.+)$", README, re.M)})


@pytest.mark.slow
def test_its_results_are_the_shipped_studys():
    assert study_summary() in README
    assert ledger() in README


def test_what_it_says_moves_moves_and_what_not_does_not():
    table = grpo_table()
    for task in ("object_abs_distance", "object_size_estimation", "room_size_estimation"):
        assert table.change[task].low > 0
        assert f"({table.before[task].mean:.1f} to {table.after[task].mean:.1f}" in README
    for task in ("object_counting", "object_rel_distance", "object_rel_direction"):
        assert table.change[task].low <= 0 <= table.change[task].high


def test_what_it_says_of_the_official_reader_is_so():
    answers = trained_answers()
    gain = difference(answers.own, answers.base, "official", task="trained")
    assert f"the gain is {gain.mean:+.1f} points ({gain.low:+.1f} to {gain.high:+.1f})" in README
    offered = [[row for row in rows if row["options"]] for rows in (answers.base, *answers.own)]
    before, *after = (score(rows, "official").parse_rate for rows in offered)
    assert "no longer give a bare letter" in README and before > 0.99 and sum(rate < 0.95 for rate in after) > 1


def test_what_it_says_of_dpos_rates_is_so():
    low = gains(["dpo-lower-rate"])["dpo-lower-rate"]["overall"]
    assert f"at the grid's second best its gain is {low.mean:+.1f} points ({low.low:+.1f} to {low.high:+.1f})" in README
    assert sum(gain < -3 for gain in seed_gains("dpo-corrupted")) >= 3


def test_its_real_rooms_are_the_shipped_answers():
    base, wrong, *runs = (
        read_answers(Condition("arkitscenes-vsi-bench", model, clip=clip))
        for model, clip in [("base", "own"), ("base", "wrong"), *((f"grpo-vanilla-seed{s}", "own") for s in SEEDS)]
    )
    own, other, trained = (
        100 * score(base).trained,
        100 * score(wrong).trained,
        difference(runs, [base], task="trained"),
    )
    count = [score(rows).percent()["object_counting"] for rows in (base, *runs)]
    assert f"the base reaches {own:.1f}, another room's clip {other:.1f}, GRPO {own + trained.mean:.1f}" in README
    assert f"(+{trained.mean:.1f}, 95 % {trained.low:.1f} to {trained.high:.1f})" in README
    assert f"from {count[0]:.1f} to {sum(count[1:]) / len(SEEDS):.1f}" in README


@pytest.mark.slow
def test_its_real_rooms_are_computed_and_told_as_they_came_out():
    assert real_rooms_summary() in README
    sentences = travels()
    assert len(sentences) == 3 and "88 other real rooms" in sentences[-1]
    assert "-6.9 points (95 % -9.4 to -4.3)" in sentences[-1]
    assert all(sentence in README for sentence in sentences)
    assert ("**The gain does not travel to all real rooms.**" in README) == (not gain_travels())
    for dataset, name in (("arkitscenes", "ARKitScenes"), ("scannetpp", "ScanNet++")):
        assert f"{ceilings()[dataset].mean:.1f} % on {name}" in README


@pytest.mark.slow
def test_it_tells_what_the_controls_said():
    assert all(sentence in README for sentence in findings())
    found = tried()
    words, things = found["procedural-unknown-words"], found["scannetpp-known-things"]
    assert words.reading == things.reading == words.by_student == things.by_student == EXPLAINS
    assert f"turn the gain of {words.plain.mean:+.1f} into {words.gain.mean:+.1f}" in README
    assert f"turn {things.plain.mean:+.1f} into {things.gain.mean:+.1f}" in README
    for name in ("procedural-real-sizes", "scannetpp-made-sizes", "procedural-real-truths", "procedural-rescaled"):
        assert found[name].reading == NOT_MAIN


def test_every_headline_names_its_model_and_rooms():
    part = README[README.index("## What it found") : README.index("### The ledger")]
    assert part.split("\n\n")[1].startswith("The study on the miniature") and "procedural test rooms" in part
    for line in ledger().split("\n")[2:]:
        last = line.replace("**", "").split(" | ")[-1]
        assert re.search(r"on (the miniature|geometry alone).*(procedural|ARKitScenes) rooms", last), line


def test_its_acceptance_is_the_model_cards():
    card = (TOP / "data_samples" / "mini-qwen2-vl" / "README.md").read_text(encoding="utf-8")
    sight, headroom = (re.search(rf"^- {rule}: ([\d.]+)", card, re.M)[1] for rule in ("sight", "headroom"))
    assert f"worth {sight} points" in README and f"only {headroom} points better" in README


def test_its_speed_is_the_shipped_benchmarks():
    assert sharing_summary() in README


def test_it_names_commands():
    assert {"build", "eval", "score", "train", "report"} <= set(COMMANDS)


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help(command):
    assert CliRunner().invoke(app, [command, "--help"]).exit_code == 0


@pytest.mark.parametrize("line", re.findall(r"^vsr .+$", README, re.M))
def test_each_option_it_shows_is_known(line):
    command = line.split()[1]
    known = CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).output
    for option in re.findall(r"--[a-z-]+", line.split("#")[0]):
        assert option in known, f"{option} is no option of vsr {command}"


def test_each_make_target_exists():
    targets = (TOP / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"`?make ([a-z]+)", README)):
        assert re.search(rf"^(\w+ )*{target}( \w+)*:", targets, re.M), target


def test_each_link_to_a_file_leads_somewhere():
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if not link.startswith("http")]
    assert links
    for link in links:
        assert (TOP / link).exists(), link
