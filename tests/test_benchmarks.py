"""`python -m benchmarks sharing`: both sides do the same work, and a killed one goes on."""

import json
import re
import shutil
from dataclasses import asdict, replace
from statistics import median
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

from benchmarks import CASES, SHAPES, Case, bench_sharing, sharing
from benchmarks.__main__ import bench
from benchmarks.cases import COLD, SHARED, STOCK, WARM, find_cases, find_shape
from benchmarks.results import agreement, summarise_case
from benchmarks.sharing import Job
from benchmarks.weights import bench_weights
from tests.tiny import tiny_checkpoint, tiny_clip, tiny_messages
from vsr_kit.files import append_lines, read_lines

TINY = SHAPES["tiny"]
FOUR = CASES["four-questions"].within(TINY)


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    """One case of the tiny shape through the command line: the result it printed, and its folder."""
    folder = tmp_path_factory.mktemp("bench") / "sharing"
    words = ["sharing", "--model", "tiny", "--case", "four-questions", "--folder", folder, "--json"]
    done = CliRunner().invoke(bench, [*map(str, words), "--out", str(folder.with_name("out.json"))])
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout), folder


@pytest.fixture
def case(measured):
    return measured[0]["cases"]["four-questions"]


def test_the_result_says_what_made_it(measured):
    result, folder = measured
    assert json.loads((folder / "result.json").read_text()) == result
    assert json.loads(folder.with_name("out.json").read_text()) == result
    assert result["shape"]["name"] == "tiny" and result["shape"]["clip_tokens"] == 18
    assert (result["threads"], result["devices"], result["seed"], result["quantize"]) == ([1], ["cpu"], 0, None)
    assert result["versions"]["packages"]["torch"]
    assert result["versions"]["hardware"]["processor"]
    assert result["date"][:2] == "20"


def test_both_sides_read_the_same_and_learn_the_same(case):
    for side in (COLD, WARM):
        agrees = case["agree"][side]
        assert agrees["prompts"] is True
        assert agrees["completions"] == 1.0
        assert agrees["loss"] < 1e-6
        assert agrees["grad_norm"] < 1e-4
    for row in case["sides"][STOCK]["repeats"]:
        assert row["grad_norm"] > 0.1, "a gradient of nothing agrees with anything"
        assert len(set(row["completions"])) > 4, "the rollouts are all the same"
        assert row["prompt_tokens"] % 12 == 0 and row["prompt_tokens"] / 12 > TINY.clip_tokens + TINY.question_tokens
        assert row["completion_tokens"] == 12 * FOUR.answer_tokens
    first, second = case["sides"][STOCK]["repeats"]
    assert first["prompts"] != second["prompts"]


def test_trunk_tokens_are_those_of_the_work(case):
    """Stock: every row reads the prompt and all but the last token, scores prompt and answer, twice."""
    row = case["sides"][STOCK]["repeats"][0]
    answers, prompts = row["completion_tokens"], row["prompt_tokens"]
    expected = {"rollout": prompts + answers - 12, "scoring": prompts + answers, "policy": prompts + answers}
    assert row["trunk_tokens"] == expected
    text = row["weights"]["text"]
    assert row["flop"]["policy"] == row["flop"]["backward"] == 2 * text * (prompts + answers)
    assert text == 2 * (128 * 128 * 2 + 128 * 64 * 2 + 3 * 128 * 128)
    for side in (COLD, WARM):
        shared = case["sides"][side]["repeats"][0]
        assert 0 < sum(shared["trunk_tokens"].values()) < sum(expected.values()) / 2


def test_warm_features_need_no_tower_and_cold_ones_one_pass_a_clip(case):
    patches = {side: [row["vision_patches"] for row in found["repeats"]] for side, found in case["sides"].items()}
    one_clip = 4 * TINY.clip_tokens
    assert patches == {STOCK: [36 * one_clip] * 2, COLD: [one_clip] * 2, WARM: [0, 0]}


def test_phases_are_all_of_the_time(case):
    for found in case["sides"].values():
        for row in found["repeats"]:
            assert sum(row["phases"].values()) == pytest.approx(row["seconds"])
            assert all(row["phases"][phase] > 0 for phase in ("rollout", "scoring", "policy", "backward", "rest"))
            assert row["cpu_seconds"] > 0
            assert row["peak_bytes"] > 5e7


def test_ratios_follow_from_the_lines(measured):
    result, folder = measured
    case = result["cases"]["four-questions"]
    lines = read_lines(folder / "measured.jsonl")[1:]
    assert len(lines) == 6
    of = {side: [row for row in lines if row["side"] == side] for side in (STOCK, COLD, WARM)}

    def ratio(side, value, over=median):
        return over(map(value, of[STOCK])) / over(map(value, of[side]))

    for side in (COLD, WARM):
        found = case["ratios"][side]
        assert found["seconds"] == pytest.approx(ratio(side, lambda row: row["seconds"]))
        assert found["cpu seconds"] == pytest.approx(ratio(side, lambda row: row["cpu_seconds"]))
        assert found["peak memory"] == pytest.approx(ratio(side, lambda row: row["peak_bytes"], max))
        assert found["trunk tokens"] == pytest.approx(ratio(side, lambda row: sum(row["trunk_tokens"].values())))
        assert found["flop floor"] == pytest.approx(ratio(side, lambda row: sum(row["flop"].values())))
        low, high = found["seconds_spread"]
        assert low <= found["seconds"] <= high
    for target in case["targets"]:
        assert target["measured"] == case["ratios"][target["side"]][target["measure"]]
        assert target["met"] == (target["measured"] >= target["at_least"])


def test_done_work_is_not_done_again(measured, tmp_path, monkeypatch):
    """A torn last line and a missing repeat are measured again, and nothing else."""
    _, folder = measured
    lines = (folder / "measured.jsonl").read_text().splitlines(keepends=True)
    (tmp_path / "measured.jsonl").write_text("".join(lines[:-1]) + lines[-1][:50])
    ran = []

    def run(job, log):
        ran.append(job)
        if job.case is not None:
            append_lines(tmp_path / "measured.jsonl", [json.loads(lines[-1])])

    monkeypatch.setattr(sharing, "_run", run)
    result = bench_sharing("tiny", cases=["four-questions"], folder=tmp_path)
    assert [(job.case and job.case.name, job.side, job.repeats) for job in ran] == [
        (None, "", ()),
        ("four-questions", WARM, (1,)),
    ]
    ran.clear()
    again = bench_sharing("tiny", cases=["four-questions"], folder=tmp_path)
    assert ran == []
    assert again["cases"] == result["cases"] == measured[0]["cases"]


def test_a_folder_of_another_benchmark_is_refused(measured):
    _, folder = measured
    with pytest.raises(ValueError, match="another seed"):
        bench_sharing("tiny", seed=1, folder=folder)
    with pytest.raises(ValueError, match="another shape"):
        bench_sharing("paper-shape", folder=folder)


def test_a_side_that_fails_is_named(measured, tmp_path, monkeypatch):
    shutil.copytree(measured[1] / "checkpoint", tmp_path / "checkpoint")
    monkeypatch.setattr(sharing, "find_shape", lambda model: replace(TINY, question_tokens=3))
    with pytest.raises(ChildProcessError, match="four-questions, stock.*question_tokens must be at least"):
        bench_sharing("tiny", cases=["four-questions"], folder=tmp_path)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="repeats must be at least 1, got 0"):
        bench_sharing("tiny", repeats=0)
    with pytest.raises(ValueError, match="no case is called 'dpo'.*four-questions"):
        find_cases(["dpo"])


def test_evaluation_answers_the_same_on_both_sides(tmp_path):
    """In this process: what the command line does with processes is tested above."""
    from benchmarks.worker import main
    from benchmarks.workload import make_checkpoint

    checkpoint, journal = make_checkpoint(tmp_path / "checkpoint", TINY, 0), tmp_path / "measured.jsonl"
    case = CASES["evaluation"].within(TINY)
    for side in case.sides:
        main(Job(TINY, case, side, (0, 1), 0, None, str(checkpoint), str(journal)))
    lines = read_lines(journal)
    assert [(row["side"], row["repeat"]) for row in lines] == [(STOCK, 0), (STOCK, 1), (SHARED, 0), (SHARED, 1)]
    found = summarise_case(case, lines)
    assert found["agree"][SHARED] == {"prompts": None, "completions": 1.0, "loss": None, "grad_norm": None}
    assert len(set(lines[0]["completions"])) > 1
    assert found["ratios"][SHARED]["trunk tokens"] > 1.5


def test_sft_learns_the_same_on_both_sides(tmp_path):
    """Stock TRL's trainer with the pixels in every row, and ours: the same rows, loss and gradient norm."""
    from benchmarks.worker import main
    from benchmarks.workload import make_checkpoint

    checkpoint, journal = make_checkpoint(tmp_path / "checkpoint", TINY, 0), tmp_path / "measured.jsonl"
    case = CASES["sft"].within(TINY)
    for side in case.sides:
        main(Job(TINY, case, side, (0, 1), 0, None, str(checkpoint), str(journal)))
    found = summarise_case(case, read_lines(journal))
    for agreed in found["agree"].values():
        assert agreed["prompts"] and agreed["completions"] == 1
        assert agreed["loss"] < 2e-6 and agreed["grad_norm"] < 1e-5  # a loss of about 9, in fp32
    assert read_lines(journal)[0]["loss"] != read_lines(journal)[1]["loss"]
    assert found["ratios"]["shared warm"]["trunk tokens"] > 1.5


def test_stock_reads_a_clip_as_one_image(tmp_path):
    """The tall image gives the patches of the clip, and the model the same logits."""
    from benchmarks.workload import ClipsAsImages, _tall
    from vsr_kit.models import load_model
    from vsr_kit.models.vision import chat_inputs

    loaded = load_model(tiny_checkpoint(tmp_path), device="cpu", dtype=torch.float32, quiet=True)
    clip, video = tiny_clip(0), tiny_messages("How many?")
    inputs = chat_inputs(loaded.processor, video, clip)
    loaded.processor.image_processor = ClipsAsImages(loaded.processor.video_processor, len(clip))
    text = video[0]["content"][1]
    words = loaded.processor.apply_chat_template(
        [{"role": "user", "content": [{"type": "image"}, text]}], tokenize=False, add_generation_prompt=True
    )
    stock = dict(loaded.processor(text=[words], images=[_tall(clip)], return_tensors="pt"))
    assert torch.equal(stock["pixel_values"], inputs["pixel_values_videos"])
    assert torch.equal(stock["image_grid_thw"], inputs["video_grid_thw"])
    with torch.no_grad():
        assert torch.equal(loaded.model(**stock).logits, loaded.model(**inputs).logits)


@pytest.mark.parametrize("repeat", [0, 1])
def test_questions_have_the_shapes_tokens(tmp_path, repeat):
    from benchmarks.workload import _after_clip, make_checkpoint, make_work
    from vsr_kit.models.vision import load_processor

    processor = load_processor(make_checkpoint(tmp_path / "c", TINY, 0))
    rows, clips = make_work(processor, TINY, FOUR, repeat, 0)
    assert [_after_clip(processor, row, "train") for row in rows] == [TINY.question_tokens] * 4
    assert len({row["question"] for row in rows}) == 4
    assert [clip.shape for clip in clips.values()] == [(4, 84, 84, 3)]


def test_the_papers_shape():
    paper = find_shape("paper-shape")
    assert (paper.num_frames, paper.clip_tokens, paper.question_tokens) == (16, 1024, 60)
    named = {name: (c.questions, c.questions_per_clip, c.num_generations, c.answer_tokens) for name, c in CASES.items()}
    assert named == {
        "four-questions": (4, 4, 14, 16),
        "one-question": (4, 1, 14, 16),
        "long-answers": (4, 4, 8, 256),
        "sft": (4, 4, 1, 16),
        "evaluation": (30, 10, 1, 16),
    }
    other = find_shape("some/checkpoint")
    assert (other.name, other.text, other.clip_tokens) == ("some/checkpoint", None, 1024)


def test_a_job_survives_the_command_line():
    for case in (*CASES.values(), None):
        job = Job(TINY, case, STOCK, (0, 1), 3, "nf4", "a folder", "journal")
        assert Job.read(job.text()) == job
        assert asdict(Job.read(job.text())) == asdict(job)


def test_a_meter_gives_each_phase_its_own_time():
    from vsr_kit.sharing.meter import BACKWARD, POLICY, VISION, Meter, flop_floor

    layer, tower = torch.nn.Identity(), torch.nn.Identity()
    language = SimpleNamespace(layers=[layer])
    core = SimpleNamespace(model=SimpleNamespace(language_model=language, visual=tower), device=torch.device("cpu"))
    meter = Meter(core)
    owner = SimpleNamespace(
        look=lambda: tower(torch.zeros(7, 3)), read=lambda: (owner.look(), layer(torch.zeros(2, 5, 4)))
    )
    meter.wrap(owner, "read", lambda: POLICY)
    meter.take()
    owner.read()
    layer(torch.zeros(1, 3, 4))
    found = meter.take()
    assert found["trunk_tokens"] == {POLICY: 10, "rest": 3}
    assert found["vision_patches"] == 7
    assert found["phases"][VISION] > 0 and found["phases"][POLICY] > 0
    assert sum(found["phases"].values()) == pytest.approx(found["seconds"])
    assert meter.take()["trunk_tokens"] == {}
    assert flop_floor(found, 100, 10) == {POLICY: 2000, "rest": 600, BACKWARD: 2000, VISION: 140}


def test_agreement_tells_apart():
    stock = {"completions": ["a", "b"], "loss": 1.0, "grad_norm": 2.0, "prompts": "p"}
    other = {"completions": ["a", "c"], "loss": 1.5, "grad_norm": 2.2, "prompts": "q"}
    found = agreement([stock], [other])
    assert found == {"prompts": False, "completions": 0.5, "loss": 0.5, "grad_norm": pytest.approx(0.1)}


def test_a_table_fits_and_says_met_and_missed(capsys):
    from benchmarks.__main__ import show_sharing

    target = {"measure": "seconds", "side": WARM, "at_least": 3, "measured": 4.0, "met": True}
    target |= {"at_the_flop_floor": 5.0, "largest_phase": "rollout", "share_of_largest_phase": 0.5}
    missed = {**target, "at_least": 25, "met": False}
    side = {"seconds": 2.0, "cpu_seconds": 2.0, "phases": {"rollout": 1.0, "rest": 1.0}, "trunk_tokens": 1234}
    side |= {"gflop_per_s": 3.0, "peak_bytes": 2e9}
    ratio = {"seconds": 4.0, "trunk tokens": 3.0, "flop floor": 5.0, "peak memory": 1.5}
    agree = {"completions": 0.99, "prompts": False, "loss": 1e-8, "grad_norm": 1e-7}
    case = {"about": Case("x", "grpo", (), 4, 4, 14, 16).describe(), "sides": {STOCK: side, WARM: side}}
    case |= {"ratios": {WARM: ratio}, "targets": [target, missed], "agree": {WARM: agree}}
    show_sharing({"shape": {"name": "[tiny]"}, "devices": ["cpu"], "quantize": None, "dtypes": ["float32"],
                  "threads": [1], "cases": {"x": case}})  # fmt: skip
    told = " ".join(capsys.readouterr().out.split())
    for part in (
        "[tiny] on cpu",
        "1,234",
        "target 3 met",
        "target 25 missed",
        "99 % of the completions",
        "OTHER PROMPTS",
    ):
        assert part in told


def test_bench_measures():
    done = CliRunner().invoke(bench, ["rooms", "--seconds", "0.01", "--frames", "2", "--size", "28", "--json"])
    speeds = json.loads(done.output)
    assert speeds["clips_per_s"] > 0
    assert speeds["questions_per_s"] > 0
    assert (speeds["num_frames"], speeds["size_px"]) == (2, 28)


def test_weights_that_are_kept_are_measured_against_weights_that_are_not():
    done = CliRunner().invoke(
        bench, ["weights", "--model", "mini", "--questions", "6", "--steps", "1", "--repeats", "1"]
    )
    assert done.exit_code == 0, done.output
    assert re.search(r"asking 6 questions.*every pass [\d.]+ s, once [\d.]+ s; ratio [\d.]+\n", done.output)
    assert re.search(r"training 1 steps.*ratio [\d.]+\n", done.output)


@pytest.mark.parametrize("name", ["questions", "steps", "repeats"])
def test_nothing_to_measure_is_refused(name):
    with pytest.raises(ValueError, match=f"{name} is 0"):
        bench_weights("mini", **{name: 0})


def test_sides_that_differ_are_not_compared(monkeypatch):
    said = iter("ab")
    monkeypatch.setattr("benchmarks.weights._ask", lambda *args: [next(said)])
    with pytest.raises(RuntimeError, match="asking: both sides should give the same, and do not"):
        bench_weights("mini", questions=2, steps=1, repeats=1)
