"""README and docs/ say what the kit does: their numbers are computed, their commands exist.

That computed blocks are fresh and links lead somewhere, tests/test_docs.py holds.
"""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vsr_kit.claims.recipe import SEEDS, Condition
from vsr_kit.cli import app
from vsr_kit.evaluation import difference, score
from vsr_kit.study import grpo_table, ledger, read_answers, study_summary, trained_answers, verdict
from vsr_kit.study.comparisons import gains, seed_gains
from vsr_kit.study.controls import EXPLAINS, NOT_MAIN
from vsr_kit.study.real_rooms import ceilings, gain_travels, real_rooms, real_rooms_summary, travels
from vsr_kit.study.summary import headlines, sharing_lines, sharing_summary
from vsr_kit.study.systems import system_table
from vsr_kit.study.travel import findings, tried

TOP = Path(__file__).resolve().parent.parent
README, LEDGER, REAL_ROOMS, SHARING = (
    (TOP / name).read_text(encoding="utf-8")
    for name in ("README.md", "docs/ledger.md", "docs/real_rooms.md", "docs/sharing.md")
)
COMMANDS = sorted({words.split()[0] for words in re.findall(r"^vsr (.+)$", README, re.M)})


@pytest.mark.slow
def test_its_results_are_the_shipped_studys():
    assert study_summary() in README and headlines() in README
    assert ledger() in LEDGER and system_table() in README


def test_it_is_short():
    """Without the tree and the table of systems, which are looked up: a newcomer reads it in five minutes."""
    text = re.sub(r"<!-- computed: (tree|systems).*?<!-- end -->|!\[.*?\]\(.*?\)", "", README, flags=re.S)
    words = [word for word in re.sub(r"\]\([^)]*\)", "]", text).split() if re.search(r"\w", word)]
    assert len(words) < 1300


def test_what_it_says_moves_moves_and_what_not_does_not():
    table = grpo_table()
    for task in ("object_abs_distance", "object_size_estimation", "room_size_estimation"):
        assert table.change[task].low > 0
        assert f"({table.before[task].mean:.1f} to {table.after[task].mean:.1f}" in LEDGER
    for task in ("object_counting", "object_rel_distance", "object_rel_direction"):
        assert table.change[task].low <= 0 <= table.change[task].high


def test_what_it_says_of_the_official_reader_is_so():
    answers = trained_answers()
    gain = difference(answers.own, answers.base, "official", task="trained")
    assert f"the gain is {gain.mean:+.1f} points ({gain.low:+.1f} to {gain.high:+.1f})" in LEDGER
    offered = [[row for row in rows if row["options"]] for rows in (answers.base, *answers.own)]
    before, *after = (score(rows, "official").parse_rate for rows in offered)
    assert "no longer give a bare letter" in LEDGER and before > 0.99 and sum(rate < 0.95 for rate in after) > 1


def test_what_it_says_of_dpos_rates_is_so():
    low = gains(["dpo-lower-rate"])["dpo-lower-rate"]["overall"]
    assert f"at the grid's second best its gain is {low.mean:+.1f} points ({low.low:+.1f} to {low.high:+.1f})" in LEDGER
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
    assert f"the base reaches {own:.1f}, another room's clip {other:.1f}, GRPO {own + trained.mean:.1f}" in REAL_ROOMS
    assert f"(+{trained.mean:.1f}, 95 % {trained.low:.1f} to {trained.high:.1f})" in REAL_ROOMS
    assert f"from {count[0]:.1f} to {sum(count[1:]) / len(SEEDS):.1f}" in REAL_ROOMS


@pytest.mark.slow
def test_its_real_rooms_are_computed_and_told_as_they_came_out():
    assert real_rooms_summary() in REAL_ROOMS
    sentences = travels()
    assert len(sentences) == 3 and "88 other real rooms" in sentences[-1]
    assert "-6.9 points (95 % -9.4 to -4.3)" in sentences[-1]
    assert all(sentence in REAL_ROOMS for sentence in sentences)
    told = "**The gain does not travel to all real rooms.**"
    assert (told in REAL_ROOMS) == (told in README) == (not gain_travels())
    found = {name: one.table.change["overall"].mean for name, one in real_rooms().items()}
    gains_on = {
        name: next(mean for of, mean in found.items() if of.startswith(name)) for name in ("arkit", "scannetpp")
    }
    assert f"ARKitScenes it is {gains_on['arkit']:+.1f} points" in README
    assert f"ScanNet++ {gains_on['scannetpp']:+.1f}, where the interval holds zero" in README
    for dataset, name in (("arkitscenes", "ARKitScenes"), ("scannetpp", "ScanNet++")):
        assert f"{ceilings()[dataset].mean:.1f} % on {name}" in REAL_ROOMS


@pytest.mark.slow
def test_it_tells_what_the_controls_said():
    assert all(sentence in REAL_ROOMS for sentence in findings())
    found = tried()
    words, things = found["procedural-unknown-words"], found["scannetpp-known-things"]
    assert words.reading == things.reading == words.by_student == things.by_student == EXPLAINS
    assert f"turn the gain of {words.plain.mean:+.1f} into {words.gain.mean:+.1f}" in REAL_ROOMS
    assert f"turn {things.plain.mean:+.1f} into {things.gain.mean:+.1f}" in REAL_ROOMS
    for name in ("procedural-real-sizes", "scannetpp-made-sizes", "procedural-real-truths", "procedural-rescaled"):
        assert found[name].reading == NOT_MAIN


def test_every_headline_names_its_model_and_rooms():
    assert "vsGRPO, measured on the miniature (3.3M parameters), 120 procedural rooms:" in headlines()
    for line in ledger().split("\n")[2:]:
        last = line.replace("**", "").split(" | ")[-1]
        assert re.search(r"on (the miniature|geometry alone).*(procedural|ARKitScenes) rooms", last), line


@pytest.mark.parametrize("name", ["ptst-beats-fixed-long-cap", "cold-start-is-needed"])
def test_a_headline_shows_the_interval_that_decides_it(name):
    """Student's where the rule looks at that, though the bootstrap's stands beside it in the ledger."""
    (band,) = verdict(name).found.values()
    assert band.student is not None and "Student's" in verdict(name).claim.rule
    assert f"points ({band.student[0]:+.1f} to {band.student[1]:+.1f})" in headlines()


def test_later_scores_stand_beside_the_papers():
    papers, vst, cambrian = (
        re.search(rf"^\| {name}.*\| ([\d., ]+) \|.*arXiv", LEDGER, re.M)[1]
        for name in ("vsGRPO-2B", "VST-3B", "Cambrian")
    )
    assert (
        (papers, vst, cambrian) == ("35.4", "57.9, 57.7", "73.7")
        and "reached 35.4" in README
        and "up to 73.7" in README
    )


def test_its_acceptance_is_the_model_cards():
    card = (TOP / "data_samples" / "mini-qwen2-vl" / "README.md").read_text(encoding="utf-8")
    sight, headroom = (re.search(rf"^- {rule}: ([\d.]+)", card, re.M)[1] for rule in ("sight", "headroom"))
    assert f"worth {sight} points" in LEDGER and f"only {headroom} points better" in LEDGER


def test_its_speed_is_the_shipped_benchmarks():
    assert sharing_summary() in SHARING and sharing_lines() in README


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
    for target in set(re.findall(r"(?:^|`)make ([a-z]+)", README, re.M)):
        assert re.search(rf"^([\w-]+ )*{target}( [\w-]+)*:", targets, re.M), target
