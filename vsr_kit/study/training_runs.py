"""One run of the study: train a variant with a seed, keep what the course shows of it, and ask it questions.

The kept files are small: configuration, versions, summary, adapter, the metrics that figures draw (rounded to six
digits), and the rollouts of a few steps at the beginning, at the end and in between. Until then the run folder stays in
a scratch folder, so that a killed run continues from its last checkpoint.
Left out: choosing among a run's checkpoints. The last one counts.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from vsr_kit.claims.recipe import Variant
from vsr_kit.files import append_lines, read_json, replace, seal, unseal, write_json, write_parquet
from vsr_kit.paths import checkpoint_of
from vsr_kit.recipes import MINI, model_of
from vsr_kit.runs import RunFolder
from vsr_kit.runs.attempts import INTERRUPTED
from vsr_kit.study.conditions import reference_runs
from vsr_kit.study.question_sets import QuestionSet
from vsr_kit.study.staleness import check_not_stale, check_rows, settings_of
from vsr_kit.training.joints import Start

SAVE_EVERY = 40
ENDS, BETWEEN = 5, 20  # rollouts are kept of so many steps at either end, and of every so many-th
DROPPED = ("completions/", "clip_ratio/", "epoch", "attempt", "logits/")
KEPT = ("completions/mean_length", "completions/clipped_ratio")


def train_variant(variant: Variant, seed: int, questions: QuestionSet, folder: Path, scratch: Path) -> Path:
    """Train, or go on with, a seed of a variant unless `folder` holds the run; returns its folder there.

    Raises:
        ValueError: what is there of the run was made with other settings, another checkpoint or other questions.
    """
    from vsr_kit.training.run import train

    check_not_stale([(variant, seed)], [], folder, scratch)
    check_rows(questions, folder, scratch)
    kept = folder / variant.run_name(seed)
    if (kept / "summary.json").exists():
        for left in scratch.glob(f"*-{kept.name}"):  # by a kill between keeping and removing
            shutil.rmtree(left)
        return kept
    run, resume = _run_folder(variant, seed, questions, scratch)
    trained = train(
        variant.profile,
        variant.trained_by,
        questions,
        run=run,
        seed=seed,
        resume=resume,
        save_every=SAVE_EVERY,
        quiet=True,
        start=_start(variant, seed, folder),
    )
    if trained.stopped == INTERRUPTED:
        raise KeyboardInterrupt  # the run is left as it is, to be gone on with
    rows = run.read_metrics()
    headline = {
        "steps": trained.steps,
        "questions": trained.steps * variant.profile.questions_per_step,
        "training seconds": round(sum_of_seconds(rows), 1),
        "preparation seconds": round(trained.prepared_seconds, 1),
        "tokens": max((row.get("num_tokens", 0) for row in rows), default=0),
        "stopped": trained.stopped,
    }
    run.summarise(headline=headline)
    run.finish(stopped=trained.stopped)
    keep(run, kept)
    shutil.rmtree(run.path)
    return kept


def _start(variant: Variant, seed: int, folder: Path) -> Start | None:
    """The adapter that a variant's seed goes on with: this study's, or the shipped one's of the same name."""
    if not variant.starts_from:
        return None
    name = f"{variant.starts_from}-seed{seed}"
    for place in (folder, reference_runs()):
        if (place / name / "summary.json").exists():
            return Start(place / name / "adapter")
    raise FileNotFoundError(
        f"{variant.name} goes on with {name}, which is neither in {folder} nor among the shipped runs: train it first, "
        f"vsr reproduce --only {variant.starts_from}"
    )


def sum_of_seconds(rows: Sequence[dict]) -> float:
    """Seconds of a run's steps over all its attempts, but for the first step of each, which warms up."""
    last: dict[int, tuple[float, float]] = {}
    for row in rows:
        began, _ = last.get(row["attempt"], (row["elapsed_s"], 0.0))
        last[row["attempt"]] = began, row["elapsed_s"]
    return sum(end - began for began, end in last.values())


def _run_folder(variant: Variant, seed: int, questions: QuestionSet, scratch: Path) -> tuple[RunFolder, bool]:
    """A new run folder, or the one that a killed attempt left."""
    name = variant.run_name(seed)
    for config in sorted(scratch.glob(f"*-{name}/config.json")):
        begins_again = RunFolder.open(config.parent).last_checkpoint() is None
        return RunFolder.resume(config.parent, from_step=0 if begins_again else None), True
    settings = settings_of(variant) | {"rows": len(questions.rows)}
    checkpoint = checkpoint_of(variant.profile.model)
    return RunFolder.create(name, settings, seed=seed, root=scratch, checkpoint=checkpoint), False


def keep(run: RunFolder, kept: Path) -> None:
    """Copy what the course shows of a finished run; the folder appears whole, its summary last.

    The attempts of a run that was resumed go into versions.json, since each may be another commit's. An attempts.jsonl
    would make readers look for superseded rows, which are left out here already.
    """
    kept.mkdir(parents=True, exist_ok=True)
    unseal(kept)
    shutil.copy2(run.path / "config.json", kept / "config.json")
    resumed = any(event["event"] == "resume" for event in run.attempts())
    write_json(kept / "versions.json", run.versions | ({"attempts": run.attempts()} if resumed else {}))
    for before in ("metrics.jsonl", "metrics.jsonl.gz"):
        (kept / before).unlink(missing_ok=True)
    append_lines(kept / "metrics.jsonl", [_small(row) for row in run.read_metrics()])
    if rollouts := run.read_rollouts():
        last = max(row["step"] for row in rollouts)
        shown = [r for r in rollouts if r["step"] <= ENDS or r["step"] > last - ENDS or r["step"] % BETWEEN == 0]
        write_parquet(kept / "rollouts.parquet", shown)
    shutil.copytree(  # the adapter's own README names local paths
        run.adapter, kept / "adapter", ignore=shutil.ignore_patterns("README.md"), dirs_exist_ok=True
    )
    replace(kept / "summary.json", lambda beside: shutil.copy2(run.path / "summary.json", beside))
    seal(kept)


def _small(row: dict) -> dict:
    def wanted(name: str) -> bool:
        return name in KEPT or not name.startswith(DROPPED)

    return {k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in row.items() if wanted(k)}


def load_run(name: str, folder: Path):
    """A run in a study's folder: the checkpoint it recorded with its adapter, nf4 as it was trained."""
    from vsr_kit.models.loading import load_model

    model = read_json(folder / name / "config.json", {"config": dict})["config"].get("model", MINI)
    return load_model(model, quantize="nf4", adapter=folder / name / "adapter", quiet=True)


def load_untrained(name: str):
    """The base, or a shipped checkpoint by its name, as a study asks it: nf4, as the trained ones are."""
    from vsr_kit.models.loading import load_model

    return load_model(model_of(name), quantize="nf4", quiet=True)
