"""Citations: every shipped verdict has its three examples or a reason, they resolve, and the rule alone chose them."""

import re
from functools import partial
from urllib.parse import parse_qs

import pytest

from tests.test_rollout_page import held
from vsr_kit.claims import REPRODUCED, Claim
from vsr_kit.claims.measures import Compared, all_of, compared_by, minus
from vsr_kit.pages import gallery, verdicts
from vsr_kit.pages.browser import write_browser
from vsr_kit.recipes import all_claims, claim
from vsr_kit.study import Condition
from vsr_kit.study.answers import condition_answers, run_folder
from vsr_kit.study.citations import AGAINST, ALONG, CLEAR, EXAMPLES, RULES, Citations, Cited, cited
from vsr_kit.study.judge import verdicts as judged

WITHOUT = {"small-model-beats-gpt-4o", "seven-billion-near-72b", "seven-billion-on-mathematics"}
WITHOUT |= {"centre-labels-cap-distance"}
WITHOUT |= {"sparc-fusing-helps", "sparc-second-highest"}  # scores: nobody answered
WITHOUT |= {"training-reaches-what-the-base-misses"}  # what many draws hold
WITHOUT |= {"online-beats-offline-on-orders"}  # its orders earn by pairs; no benchmark's score says they are right
WITHOUT |= {"thinking-finds-rooms", "own-thoughts-are-used"}  # curves of runs that sample nothing
FEWER = {"lr2-partial-credit-pays": 2}  # no question of its first runs goes against it by half a score


@pytest.fixture(scope="module")
def citations():
    return verdicts.all_citations()


@pytest.fixture(scope="module")
def found():
    return judged()


@pytest.mark.parametrize("name", [known.name for known in all_claims()])
def test_every_verdict_has_three_examples_or_says_why_not(citations, found, name):
    own = citations[name]
    without = name in WITHOUT or name not in found
    assert len(own.examples) == (0 if without else FEWER.get(name, EXAMPLES))
    assert bool(own.none) == without and bool(own.rule) != bool(own.none)
    assert (own.none == "Its runs are not there yet.") == (name not in found)
    assert own.rule in ("", *RULES)


@pytest.mark.parametrize("name", [known.name for known in all_claims()])
def test_every_citation_is_what_the_study_kept(citations, name):
    for example in citations[name].examples:
        for one in example.answers:
            assert one.id == str(example.row["id"])
            if one.step is not None:
                kept = run_folder(one.run, None).read_rollouts()
                same = [row for row in kept if (row["step"], str(row["id"])) == (one.step, one.id)]
                assert one.text in [row["completion"] for row in same]
            else:
                condition = next(c for c in citations[name].conditions if _is_of(one, c))
                row = {str(row["id"]): row for row in condition_answers(condition, None)}[one.id]
                assert row["prediction"] == one.text and row["question"] == example.row["question"]


def _is_of(one: Cited, condition: Condition) -> bool:
    asked = condition.mode + condition.asked_otherwise
    return (one.run, one.mode, one.clip) == (condition.model, asked, condition.clip)


def test_examples_go_the_way_they_say_and_are_clear(citations, found):
    for name, own in citations.items():
        if own.rule != "answers":
            continue
        band = next(iter(found[name].found.values()))
        sign = 1 if band.mean >= 0 else -1
        for example in own.examples:
            after, before = (one.score for one in example.answers)
            assert sign * (after - before) * (1 if example.shows == ALONG else -1) >= CLEAR, name
        shows = [example.shows for example in own.examples]
        sure = found[name].verdict == REPRODUCED and not band.low <= 0 <= band.high
        wanted = [ALONG] * 3 if sure else [ALONG, ALONG, AGAINST]
        assert shows == wanted[: FEWER.get(name, EXAMPLES)], name


def test_no_earlier_question_of_the_kind_would_have_done(citations):
    own = citations["grpo-lifts"]
    after, before = ({r["id"]: r for r in condition_answers(c, None)} for c in own.conditions)
    from vsr_kit.evaluation import score

    values = [
        {row["id"]: s.value for row, s in zip(side.values(), score(list(side.values()), "lenient").scores, strict=True)}
        for side in (after, before)
    ]
    first = next(i for i in sorted(after) if values[0][i] - values[1][i] >= CLEAR)
    assert own.examples[0].row["id"] == first
    assert len({example.row["question_type"] for example in own.examples}) == EXAMPLES


def test_a_claim_about_one_task_cites_that_task(citations):
    for name, task in (("closest-labels-help", "object_abs_distance"), ("chains-win-on-direction", "object_rel_dir")):
        assert all(example.row["question_type"].startswith(task) for example in citations[name].examples)


def test_what_a_measure_compares_is_the_first_of_several():
    assert compared_by(minus("x", "a", "b", "room_size_estimation")) == Compared(task="room_size_estimation")
    assert compared_by(all_of(minus("x", "a", "b", "trained"), minus("y", "c", "d"))).task == "trained"
    assert compared_by(claim("cot-prompts-do-not-help").measure) == Compared(0, -1, "trained")
    assert compared_by(lambda evidence: {}) == Compared()


def test_of_looking_the_two_clips_are_compared(citations):
    assert [condition.clip for condition in citations["grpo-teaches-looking"].conditions] == ["own", "wrong"]


def test_a_claim_nobody_knows_is_refused():
    with pytest.raises(ValueError, match="no-such-claim"):
        cited("no-such-claim")


# -- pages -------------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory, citations, found):
    """The gallery, without pictures, and the verdicts' page of the shipped study."""
    out = tmp_path_factory.mktemp("pages")
    patch = pytest.MonkeyPatch()
    patch.setattr(gallery, "write_browser", partial(write_browser, rooms=lambda scene: None))  # rooms take a minute
    gallery.write_gallery(out, citations)
    verdicts.write_verdicts(out, found, citations, links={"Gallery": gallery.PAGE})
    patch.undo()
    return out


@pytest.mark.slow
def test_every_citation_s_link_leads_to_its_answer_in_the_gallery(folder, citations):
    page = (folder / verdicts.PAGE).read_text()
    data = held(folder / gallery.PAGE)
    runs = {run["name"]: run for run in data["runs"]}
    for own in citations.values():
        for example in own.examples:
            for one in example.answers:
                address = gallery.link(own, one)
                assert address.replace("&", "&amp;") in page
                said = {name: values[0] for name, values in parse_qs(address.split("#")[1]).items()}
                assert one.text in texts_at(runs[said["run"]], data, said)


def texts_at(run, data, said):
    """Texts of the group that a link opens."""
    columns = run["rows"]
    return [
        run["lists"]["text"][columns["text"][row]]
        for row in range(len(columns["text"]))
        if data["questions"][columns["question"][row]]["id"] == said["id"]
        and str(columns["step"][row]) == said.get("step", "None")
    ]


@pytest.mark.slow
def test_the_gallery_is_small_and_shows_every_way_of_training_that_kept_rollouts(folder):
    assert (folder / gallery.PAGE).stat().st_size < 15_000_000
    names = [run["name"] for run in held(folder / gallery.PAGE)["runs"]]
    assert {"grpo-vanilla-seed1", "grpo-think-seed1", "kl-0-long-seed1", "vr1-full-seed1"} <= set(names)
    assert {f"claim {known.name}" for known in all_claims() if known.name == "grpo-lifts"} <= set(names)


@pytest.mark.slow
def test_the_verdicts_page_has_every_claim_with_its_words_and_rules(folder, found):
    page = (folder / verdicts.PAGE).read_text()
    assert re.findall(r'<section id="([\w-]+)">', page) == [known.name for known in all_claims()]
    assert all(f'href="#{known.name}"' in page for known in all_claims())
    assert page.count("<strong class=") == len(all_claims())
    assert f"Of all {len(all_claims())} claims" in page
    waiting = {known.name for known in all_claims()} - found.keys()
    assert page.count("No answers are cited.") == len(WITHOUT | waiting)


def test_what_models_wrote_is_escaped_on_the_verdicts_page(tmp_path, found):
    hostile = "<script>alert(1)</script>"
    row = {"id": 1, "question": hostile, "ground_truth": hostile, "options": [hostile], "question_type": hostile}
    from vsr_kit.study.citations import Example

    one = Cited("base", 0, "vanilla", "own", "1", hostile, 0.5, hostile)
    own = Citations("grpo-lifts", (Example(row, (one,), ALONG),), "answers")
    every = {known.name: Citations(known.name, none="left out here") for known in all_claims()} | {"grpo-lifts": own}
    page = verdicts.write_verdicts(tmp_path, found, every).read_text()
    assert "<script>" not in page and page.count("&lt;script&gt;alert(1)") == 5


def test_a_claim_that_cannot_be_judged_says_why(tmp_path):
    every = {known.name: Citations(known.name, none="left out here") for known in all_claims()}
    page = verdicts.write_verdicts(tmp_path, {}, every, {"grpo-lifts": "answers are cut"}).read_text()
    assert "Not judged: answers are cut." in page and isinstance(all_claims()[0], Claim)
