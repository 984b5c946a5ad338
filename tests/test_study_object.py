"""`Study`: one object over a study folder gives what the functions behind it give, and one table of all answers."""

import numpy as np
import pytest

from vsr_kit.claims.recipe import BENCH_SET, Condition
from vsr_kit.evaluation import difference, intervals, score
from vsr_kit.rewards import accuracy_reward
from vsr_kit.study import Study, answers, comparisons, verdict
from vsr_kit.study.evidence import COLUMNS, Evidence


@pytest.fixture(scope="module")
def shipped():
    return Study()


def test_scores_and_differences_are_those_of_the_answers(shipped):
    own = answers.variant_answers("sft")
    assert shipped.scores("sft")["sft"] == answers.drop_repeated_mean(intervals(own))
    base = answers.condition_answers(Condition(BENCH_SET), None)
    assert shipped.difference("sft") == difference(own, base, task="trained")
    other = difference(answers.variant_answers("grpo-vanilla"), own, task="trained")
    assert shipped.difference("grpo-vanilla", "sft") == other
    assert shipped.verdict("grpo-beats-sft") == verdict("grpo-beats-sft")
    assert list(shipped.scores(["base", "sft"])) == ["base", "sft"]


def test_claims_read_tables_and_people_rows_of_the_same_answers(shipped):
    rows, table = shipped.base("think"), Evidence().base("think")
    assert table == score(rows, "lenient") and rows[0]["prediction"]
    assert len(shipped.trained("sft")) == len(Evidence().trained("sft")) == 5


def test_curves_are_there_for_runs_that_were_not_asked(tmp_path):
    import shutil

    kept = answers.study_folder(None) / "sft-seed1"
    shutil.copytree(kept, tmp_path / "sft-seed1")
    study = Study(tmp_path)
    assert study.runs("sft") == () and not study.has("sft")
    (rows,) = study.curves("sft")
    assert rows == Study().curves("sft")[0]
    with pytest.raises(FileNotFoundError, match="holds no runs of grpo-think; vsr reproduce makes them"):
        study.curves("grpo-think")


@pytest.mark.slow
def test_all_answers_are_one_table(shipped):
    frame = shipped.answers
    assert tuple(frame.columns) == COLUMNS
    sft = frame.query(
        "variant == 'sft' and questions == @BENCH_SET and mode == 'vanilla' and clip == 'own' and draw == -1"
    )
    assert sorted(sft["seed"].unique()) == [1, 2, 3, 4, 5] and len(sft) == 5 * 1563
    by_type = sft.groupby(["seed", "question_type"])["score"].mean()
    table = score(answers.variant_answers("sft")[0], "lenient")
    assert {kind: by_type[1, kind] for kind in table.types} == pytest.approx(
        {k: t.mean for k, t in table.types.items()}
    )
    base = frame.query("variant == 'base' and draw >= 0 and mode == 'think'")
    assert sorted(base["draw"].unique()) == list(range(8)) and set(base["seed"]) == {0}
    assert frame["score"].between(0, 1).all()


def test_what_a_study_tells_is_what_the_functions_tell(shipped):
    assert shipped.prompt_scores() == answers.cot_table()
    assert shipped.lines_to_beat() == answers.lines_to_beat()
    assert shipped.seed_gains("sft") == comparisons.seed_gains("sft")
    assert shipped.run_costs(["sft"]) == comparisons.run_costs(["sft"])
    assert shipped.gains(["sft", "kl-0"]).keys() == {"sft", "kl-0"}
    assert shipped.first_and_last_groups("grpo-think") == answers.first_and_last_groups(None, of="grpo-think")
    assert shipped.settings("kl-0").profile.beta == 1e-12


def test_a_folder_without_real_rooms_has_none_and_no_controls(shipped, tmp_path):
    from vsr_kit.study import real_rooms

    empty = Study(tmp_path)
    assert (empty.real_rooms(), empty.controls(), empty.centre_ceilings()) == ({}, {}, {})
    assert shipped.centre_ceilings() == real_rooms.ceilings() != {}


def test_answers_before_and_after_a_training_are_one_table(shipped):
    table = shipped.answer_table("grpo-vanilla")
    base, (run, *_) = shipped.base(), shipped.answers_of("grpo-vanilla")
    assert table.labels == ["base", "grpo-vanilla"] and len(table) == len(base) + len(run)
    assert list(table.frame["completion"]) == [row["prediction"] for row in [*base, *run]]
    paid = [[accuracy_reward(row["prediction"], row) for row in rows] for rows in (base, run)]
    pairs = list(zip(*paid, strict=True))
    counts = table.facet("change", np.arange(len(table)))
    assert counts["became right"] == sum(a < 1 == b for a, b in pairs) > 50
    assert counts["no longer right"] == sum(b < 1 == a for a, b in pairs) > 20
    assert table.mode == "vanilla" and table.name == "base and grpo-vanilla-seed1"
    with pytest.raises(ValueError, match="before is 'sft', the variant itself"):
        shipped.answer_table("sft", "sft")


def test_claims_are_told_with_their_verdicts_or_as_not_run(tmp_path):
    told = Study().told("grpo-lifts", "small-model-beats-gpt-4o")
    assert told.startswith(
        "GRPO with vanilla prompts lifts Qwen2-VL-2B by 12.1 points on VSI-Bench.\ngrpo minus base: +"
    )
    assert "grpo-lifts: REPRODUCED on the miniature" in told and "\n\nvsGRPO-2B outperforms GPT-4o" in told
    assert (
        Study(tmp_path)
        .told("grpo-lifts")
        .endswith("\ngrpo-lifts: NOT RUN YET on the miniature (3.3M parameters), procedural rooms")
    )


def test_curves_are_those_of_the_variants_that_have_runs(tmp_path):
    found = Study().curves_of("kl-0", "sft")
    assert found.keys() == {"kl-0", "sft"} and [len(runs) for runs in found.values()] == [3, 5]
    assert Study(tmp_path).curves_of("kl-0") == {}
