"""The README says what the kit does: its numbers are computed, its commands exist, its links lead somewhere."""

import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from vsr_kit.cli import app
from vsr_kit.results.sharing import sharing_summary
from vsr_kit.results.summary import study_summary

TOP = Path(__file__).resolve().parent.parent
README = (TOP / "README.md").read_text(encoding="utf-8")
COMMANDS = sorted({words.split()[0] for words in re.findall(r"^vsr (.+)$", README, re.M)})


def test_its_results_are_the_shipped_studys():
    assert study_summary() in README


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
