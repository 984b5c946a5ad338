"""`python -m benchmarks sharing`: stock TRL against the shared trainer, one process per side, resumable.

The benchmark writes a folder. The first line of `measured.jsonl` records what is measured; each further line is one
finished repeat of one side of a case, and a second start skips those. `checkpoint/` holds the model that both sides
load. `result.json`, like the returned value, is computed from the lines alone. Each process gets one thread, so that
both sides have the same resources.
Left out: judging whether the machine was quiet. Every repeat is kept, and ratios show their spread over repeats.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.cases import Case, Shape, Target, find_cases, find_shape
from benchmarks.results import summarise
from vsr_kit.files import append_lines, drop_torn_line, plain, read_lines, write_json
from vsr_kit.runs import runs_root

THREADS = 1
_ONE_THREAD = {name: str(THREADS) for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")}


@dataclass(frozen=True)
class Job:
    """What one process is to do; `case` None makes the checkpoint."""

    shape: Shape
    case: Case | None
    side: str
    repeats: tuple[int, ...]
    seed: int
    quantize: str | None
    checkpoint: str
    journal: str

    def text(self) -> str:
        """As JSON, for a command line."""
        return json.dumps(asdict(self))

    @classmethod
    def read(cls, text: str) -> Job:
        """What `text` wrote."""
        given = json.loads(text)
        shape, case = Shape(**given.pop("shape")), given.pop("case")
        if case is not None:
            targets = tuple(Target(**target) for target in case.pop("targets"))
            case = Case(**{**case, "sides": tuple(case["sides"]), "targets": targets})
        return cls(shape, case, **{**given, "repeats": tuple(given["repeats"])})


def bench_sharing(
    model: str = "paper-shape",
    quantize: str | None = None,
    cases: Sequence[str] = (),
    repeats: int = 2,
    seed: int = 0,
    folder: str | Path | None = None,
    tell: Callable[[str], None] = lambda line: None,
) -> dict:
    """Measure what is not measured yet, and return the result.

    Args:
        model: a name of `SHAPES`, or a Qwen2-VL checkpoint (folder or hub id).
        quantize: None, or `nf4` for 4-bit weights in the language model.
        cases: names of `CASES`, all of them if empty.
        repeats: measured steps of every side and case.
        seed: of weights, clips, questions and sampling.
        folder: where the journal and the checkpoint are; `bench-sharing-<model>` among the runs if None.
        tell: gets a line before every process and after it.

    Raises:
        ValueError: an unknown case, no repeat, or a folder that measures something else.
        ChildProcessError: a side failed; its output is in the folder's log.
    """
    if repeats < 1:
        raise ValueError(f"repeats must be at least 1, got {repeats}")
    shape = find_shape(model)
    chosen = [case.within(shape) for case in find_cases(cases)]
    folder = Path(folder or _default_folder(model, quantize))
    folder.mkdir(parents=True, exist_ok=True)
    journal = folder / "measured.jsonl"
    done = _opened(journal, {"shape": asdict(shape), "quantize": quantize, "seed": seed})
    checkpoint = Path(model) if shape.text is None else folder / "checkpoint"
    for job in _missing(shape, chosen, repeats, seed, quantize, checkpoint, journal, done):
        tell(f"{job.case.name}, {job.side}: repeats {', '.join(str(i + 1) for i in job.repeats)}")
        _run(job, folder / "log.txt")
        took = [row["seconds"] for row in read_lines(journal)[-len(job.repeats) :]]
        tell(f"{job.case.name}, {job.side}: {', '.join(f'{s:.2f}' for s in took)} s")
    result = summarise(shape, chosen, repeats, seed, quantize, read_lines(journal)[1:])
    write_json(folder / "result.json", result)
    return result


def _default_folder(model: str, quantize: str | None) -> Path:
    return runs_root() / "-".join(filter(None, ["bench-sharing", Path(model).name, quantize]))


def _opened(journal: Path, about: dict) -> set[tuple[str, str, int]]:
    """What the journal holds already; a new one begins with what it is about."""
    drop_torn_line(journal)
    lines = read_lines(journal)
    about = json.loads(json.dumps(about, default=plain))
    if not lines:
        append_lines(journal, [about])
    elif lines[0] != about:
        differs = [name for name in about if lines[0].get(name) != about[name]]
        raise ValueError(f"{journal} measures another {differs[0]}: name another folder, or remove that one")
    return {(row["case"], row["side"], row["repeat"]) for row in lines[1:]}


def _missing(shape, cases, repeats, seed, quantize, checkpoint: Path, journal: Path, done):
    """Jobs still to do; the first of them is preceded by the making of the checkpoint, where there is none."""
    for case in cases:
        for side in case.sides:
            left = tuple(i for i in range(repeats) if (case.name, side, i) not in done)
            if not left:
                continue
            if shape.text is not None and not checkpoint.exists():
                making = Job(shape, None, "", (), seed, None, str(checkpoint), str(journal))
                _run(making, journal.with_name("log.txt"))
            yield Job(shape, case, side, left, seed, quantize, str(checkpoint), str(journal))


def _run(job: Job, log: Path) -> None:
    root = str(Path(__file__).resolve().parent.parent)  # where `benchmarks` lies, whatever folder this was called from
    known = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, **_ONE_THREAD, "TOKENIZERS_PARALLELISM": "false", "PYTHONPATH": known}
    with log.open("ab") as stream:
        words = [sys.executable, "-m", "benchmarks.worker", job.text()]
        done = subprocess.run(words, env=environment, stdout=stream, stderr=subprocess.STDOUT)
    if done.returncode:
        last = log.read_text(encoding="utf-8", errors="replace").strip().splitlines()[-1:]
        what = "the checkpoint" if job.case is None else f"{job.case.name}, {job.side}"
        raise ChildProcessError(f"{what}: exit code {done.returncode} ({''.join(last)}); all of it is in {log}")
