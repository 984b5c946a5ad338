"""`bridge`: rows and clips go in, chains of thought come out; three stages leave all that they wrote in a folder.

    settings.json                                      what the texts hang on
    pseudo_cot.jsonl, description.jsonl, chain.jsonl   what each stage wrote, one line a row (stage_files.py)
    kept.jsonl                                         rows with `chain`, `answer` and `completion`
    dropped.jsonl                                      rows with the stage, the rules broken and by what
    summary.json                                       how many, by question type and by rule
    calls.jsonl, answers/                              what paid writers cost, and their answers

Rows go through all stages a few at a time, so that a run that is stopped has whole chains to show. Killed anywhere, the
same call goes on; the files end up byte for byte the same, if the writers are deterministic or their answers cached.
Kept and dropped rows follow from the journals and are written anew each time, so that another tolerance asks nothing.
Left out: several chains a row, and stages that check each other.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from vsr_kit.bridging import stage_prompts
from vsr_kit.bridging.answer_cache import AnswerCache
from vsr_kit.bridging.asking import REFUSED, Prompt, Written
from vsr_kit.bridging.costs import Budget, BudgetSpent, Estimate, Ledger, Spent
from vsr_kit.bridging.filters import TOLERANCE, Finished, faults, stage_fault
from vsr_kit.bridging.stage_files import StageFiles, row_key, same_settings
from vsr_kit.bridging.stage_prompts import STAGES, stage_messages
from vsr_kit.bridging.writers import Rules, Writer, prompt_key
from vsr_kit.files import plain, read_lines, replace, write_json
from vsr_kit.locks import Lock
from vsr_kit.prompts import target_completion
from vsr_kit.rooms import Room
from vsr_kit.runs.identity import clips_identity, rows_identity
from vsr_kit.validation import one_line, real

ROWS_AT_ONCE = 64
HOPELESS = 3  # a stage whose first rows are all refused is not asked about the rest
CALLS, ANSWERS = "calls.jsonl", "answers"


@dataclass
class Bridged:
    """What a folder holds after `bridge`.

    Attributes:
        folder: where.
        kept: rows with a chain, by question type.
        dropped: rows without, by the first rule that they break.
        unfinished: rows that have not been through all stages.
        stopped: why it ended before all were; None where it did not.
        spent: what paid writers have cost this folder, in all.
    """

    folder: Path
    kept: Counter = field(default_factory=Counter)
    dropped: Counter = field(default_factory=Counter)
    unfinished: int = 0
    stopped: str | None = None
    spent: Spent = field(default_factory=Spent)

    def told(self) -> list[str]:
        """Lines for whoever ran it."""
        kept, dropped = self.kept.total(), self.dropped.total()
        lines = [f"kept {kept} of {kept + dropped} chains" + (f": {_counts(self.kept)}" if kept else "")]
        if dropped:
            lines.append(f"dropped {dropped}: {_counts(self.dropped)}")
        if self.spent.calls:
            lines.append(f"paid writers: {self.spent.calls} requests, {self.spent.money:.4g} in money, in all")
        if self.stopped:
            lines.append(f"stopped: {self.stopped}; {self.unfinished} rows are not through")
        return lines


def _counts(counter: Counter) -> str:
    return ", ".join(f"{count} {name}" for name, count in counter.items())


@dataclass(frozen=True)
class _Work:
    """What the stages are given."""

    rows: Sequence[dict]
    clips: Mapping[str, np.ndarray] | None
    rooms: Mapping[str, Room]
    seen: Mapping[str, Any]
    describer: Writer
    reasoner: Writer

    def writer(self, stage: str) -> Writer:
        return self.reasoner if stage == "chain" else self.describer

    def prompt(self, stage: str, row: dict, given: str) -> Prompt:
        """What is asked about a row; the true answer is in the first stage's text alone."""
        asked = {name: value for name, value in row.items() if name != "ground_truth"}
        messages = stage_messages(stage, row, given)
        if not stage_prompts.sees_clip(stage):
            return Prompt(messages, None, stage, asked, given)
        scene = row["scene_name"]
        frames = None if isinstance(self.describer, Rules) or self.clips is None else self.clips[scene]
        return Prompt(messages, frames, stage, asked, given, self.rooms.get(scene), self.seen.get(scene))

    def identity(self) -> dict:
        names = sorted({row["scene_name"] for row in self.rows})
        shown = None if isinstance(self.describer, Rules) else self.clips
        geometry = repr([(name, self.rooms.get(name), self.seen.get(name)) for name in names])
        worded = json.dumps(stage_prompts.PROMPTS, sort_keys=True)
        return {
            **rows_identity(self.rows),
            **clips_identity(shown, names),
            "rooms sha256": hashlib.sha256(geometry.encode("utf-8", "replace")).hexdigest(),
            "prompts sha256": hashlib.sha256(worded.encode()).hexdigest(),
            "describer": self.describer.identity(),
            "reasoner": self.reasoner.identity(),
        }


def bridge(
    rows: Sequence[dict],
    clips: Mapping[str, np.ndarray] | None,
    out_folder: str | Path,
    *,
    describer: Writer | None = None,
    reasoner: Writer | None = None,
    rooms: Mapping[str, Room] | None = None,
    seen: Mapping[str, Any] | None = None,
    mode: str = "think",
    tolerance: float = TOLERANCE,
    budget: Budget | None = None,
    cache: str | Path | None = None,
    confirm: Callable[[Estimate], bool] | None = None,
    progress: bool = False,
) -> Bridged:
    """Write a chain of thought for every row, or go on where a killed call stood.

    Args:
        rows: with VSI-Bench's fields and ids of their own.
        clips: by scene_name, uint8 frames (F, H, W, 3); None only where the describer is `Rules`.
        out_folder: made, or gone on with.
        describer: writes pseudo-CoT and description, and sees the clip; `Rules` by default.
        reasoner: writes the chain, and sees the description alone; by default the describer where that is `Rules`.
        rooms: by scene_name, for `Rules`.
        seen: by scene_name, what a clip shows of its room, as `bridging.description.describe` takes it.
        mode: whose tags a completion has, `think` or `observe`.
        tolerance: how far a number may be from the truth, as a share of it.
        budget: over all that this folder ever asks of paid writers.
        cache: folder of answers to share with other runs; `answers` in out_folder by default.
        confirm: is shown the estimate before anything is asked; False asks nothing. By default it is printed.
        progress: show a bar.

    Returns:
        What was kept and dropped; `stopped` says why where it is not all.

    Raises:
        ValueError: rows that share an id, a missing clip, a folder that was begun otherwise, a budget in money without
            prices, or a writer that cannot be asked (`Endpoint.write`). What was written before is kept.
        OSError: an endpoint that fails after all retries; likewise.
    """
    work = _work(rows, clips, rooms, seen, describer, reasoner)
    real("tolerance", tolerance)
    target_completion(mode, "train", "", "")  # complains of a mode before anything is asked
    limits = budget or Budget()
    _check_budget(work, limits)
    folder = Path(out_folder)
    folder.mkdir(parents=True, exist_ok=True)
    lock = Lock(folder)
    try:
        same_settings(folder, work.identity())
        files = StageFiles(folder, work.rows)
        answers, ledger = AnswerCache(cache or folder / ANSWERS), Ledger(folder / CALLS, limits)
        stopped = None
        try:
            if _agreed(estimate(work, files, answers), confirm):
                _write_all(work, files, answers, ledger, progress)
            else:
                stopped = "nothing was asked"
        except BudgetSpent:
            stopped = _spent(limits, ledger)
        finally:
            done = _settle(work.rows, files, mode, tolerance)
        done.stopped, done.spent = stopped, ledger.spent
        return done
    finally:
        lock.release()


def _work(rows, clips, rooms, seen, describer, reasoner) -> _Work:
    describer = describer or Rules()
    if reasoner is None:
        if not isinstance(describer, Rules):
            raise ValueError("no reasoner: rules read no free descriptions, so give a writer of chains")
        reasoner = describer
    work = _Work(list(rows), clips, rooms or {}, seen or {}, describer, reasoner)
    if not work.rows:
        raise ValueError("0 rows: there is nothing to write chains for; give more rooms, or other types")
    twice = Counter(row_key(row) for row in work.rows).most_common(1)[0]
    if twice[1] > 1:
        raise ValueError(f"{twice[1]} rows have the id {twice[0][1]!r}: chains are known by it, give each its own")
    by_rules = isinstance(describer, Rules)
    there = work.rooms if by_rules else (clips or {})
    for row in work.rows:
        if row["scene_name"] not in there:
            needed = "room in `rooms`, which Rules describe" if by_rules else "clip in `clips`"
            raise ValueError(f"row {row['id']!r}: scene {row['scene_name']!r} has no {needed}")
    return work


def _check_budget(work: _Work, budget: Budget) -> None:
    paid = [writer for writer in (work.describer, work.reasoner) if writer.paid]
    if budget.money is not None and any(getattr(writer, "price", None) is None for writer in paid):
        raise ValueError(
            f"a budget of {budget.money:g} in money needs prices: give each endpoint a Price, or limit the calls"
        )


def _spent(budget: Budget, ledger: Ledger) -> str:
    limits = [] if budget.money is None else [f"{budget.money:g} in money"]
    limits += [] if budget.calls is None else [f"{budget.calls} calls"]
    used = f"{ledger.spent.money:.4g} in money and {ledger.spent.calls} calls are spent"
    return f"the budget of {' and '.join(limits)} allows no more ({used}); the same command with a larger one goes on"


def _agreed(cost: Estimate, confirm: Callable[[Estimate], bool] | None) -> bool:
    if confirm is not None:
        return confirm(cost)
    if cost.calls:
        print(cost.told(), file=sys.stderr)
    return True


def estimate(work: _Work, files: StageFiles, answers: AnswerCache) -> Estimate:
    """What is still to be asked of paid writers, and what it may cost; nothing is asked."""
    found = Estimate()
    for row in work.rows:
        given, cap = row["ground_truth"], 0
        for stage in STAGES:
            writer = work.writer(stage)
            written = files.written[stage].get(row_key(row))
            if written is None and writer.paid:
                prompt = work.prompt(stage, row, given)
                written = None if cap else answers.get(prompt_key(writer, prompt))
                if written is None:
                    (asked, said), (most_asked, most_said) = writer.tokens(prompt)  # type: ignore[attr-defined]
                    likely, most = (asked + cap / 2, said), (most_asked + cap, most_said)
                    found.add(likely, most, writer.price)  # type: ignore[attr-defined]
            if written is not None and stage_fault(written):
                break
            given, cap = ("", getattr(writer, "max_tokens", 0)) if written is None else (written.text, 0)
    return found


def _write_all(work: _Work, files: StageFiles, answers: AnswerCache, ledger: Ledger, progress: bool) -> None:
    """Take all rows through all stages, a few at a time."""
    with tqdm(total=len(work.rows), desc="bridging", unit="row", disable=not progress) as bar:
        for start in range(0, len(work.rows), ROWS_AT_ONCE):
            part = alive = list(work.rows[start : start + ROWS_AT_ONCE])
            given = {row_key(row): str(row["ground_truth"]) for row in part}
            for stage in STAGES:
                missing = [row for row in alive if row_key(row) not in files.written[stage]]
                prompts = [work.prompt(stage, row, given[row_key(row)]) for row in missing]
                begun = bool(files.written[stage]) or not work.writer(stage).paid
                with closing(work.writer(stage).write_many(prompts, answers, ledger)) as texts:  # an error ends it now
                    for row, written in _hopeful(stage, missing, texts, begun):
                        files.append(stage, row, written)
                found = files.written[stage]
                alive = [row for row in alive if stage_fault(found[row_key(row)]) is None]
                given = {row_key(row): found[row_key(row)].text for row in alive}
            bar.update(len(part))


def _hopeful(stage: str, rows: Sequence[dict], texts: Iterator[Written], begun: bool) -> Iterator[tuple[dict, Written]]:
    """Rows and their texts; ValueError, with nothing given out, where the first ones of a stage are all refused."""
    held: list[tuple[dict, Written]] = []
    for row, written in zip(rows, texts, strict=True):
        if begun or written.finish != REFUSED:
            begun = True
            yield from held
            held = []
            yield row, written
            continue
        held.append((row, written))
        if len(held) >= HOPELESS:
            _complain(stage, held)
    if held and not begun:
        _complain(stage, held)


def _complain(stage: str, held: Sequence[tuple[dict, Written]]) -> None:
    why = one_line(held[0][1].detail)
    raise ValueError(f"the writer of stage {stage!r} refuses each of the first {len(held)} rows: {why}")


def _settle(rows: Sequence[dict], files: StageFiles, mode: str, tolerance: float) -> Bridged:
    """Sort all rows that are through into kept and dropped, and write both with a summary."""
    done, kept, dropped = Bridged(files.folder), [], []
    lost: dict[str, Counter] = {}
    for row in rows:
        stage, broken = _verdict(row, files, tolerance)
        if stage is None:
            done.unfinished += 1
        elif broken:
            reason = next(iter(broken))
            told = {"stage": stage, "reason": reason, "reasons": broken, "text": _text(row, stage, files)}
            dropped.append({**row, **told})
            done.dropped[reason] += 1
            lost.setdefault(row["question_type"], Counter())[reason] += 1
        else:
            one = Finished(row, files.written["chain"][row_key(row)], tolerance)
            answer = one.answer or ""
            completion = target_completion(mode, "train", one.chain, answer)
            kept.append({**row, "mode": mode, "chain": one.chain, "answer": answer, "completion": completion})
            done.kept[row["question_type"]] += 1
    _write_lines(files.folder / "kept.jsonl", kept)
    _write_lines(files.folder / "dropped.jsonl", dropped)
    kinds = dict.fromkeys(row["question_type"] for row in rows)
    by_type = {kind: {"kept": done.kept[kind], "dropped": dict(lost.get(kind, {}))} for kind in kinds}
    totals = {"rows": len(rows), "kept": len(kept), "dropped": dict(done.dropped), "unfinished": done.unfinished}
    write_json(files.folder / "summary.json", totals | {"tolerance": tolerance, "mode": mode, "by type": by_type})
    return done


def _verdict(row: dict, files: StageFiles, tolerance: float) -> tuple[str | None, dict[str, str]]:
    """(the stage at which a row ended, the rules it breaks there); (None, {}) for one that is not through."""
    for stage in STAGES[:-1]:
        written = files.written[stage].get(row_key(row))
        if written is None:
            return None, {}
        if fault := stage_fault(written):
            return stage, dict([fault])
    written = files.written["chain"].get(row_key(row))
    return (None, {}) if written is None else ("chain", faults(row, written, tolerance))


def _text(row: dict, stage: str, files: StageFiles) -> str:
    return files.written[stage][row_key(row)].text


def _write_lines(path: Path, records: Sequence[Mapping]) -> None:
    text = "".join(json.dumps(record, ensure_ascii=False, default=plain) + "\n" for record in records)
    replace(path, lambda beside: beside.write_text(text, encoding="utf-8"))


def chains_of(folder: str | Path) -> dict[Any, str]:
    """Completions of the kept rows by the rows' `id`, as `training.SFT(mode, targets=…)` takes them.

    Args:
        folder: as `bridge` left it. Train in the mode it was made for (`summary.json` names it).

    Raises:
        FileNotFoundError: nothing was bridged there.
        ValueError: a damaged line, two kept rows of one id, or no row at all.
    """
    path = Path(folder) / "kept.jsonl"
    if not path.is_file():
        raise FileNotFoundError(f"no file {path}: make one with vsr bridge --out {folder}, or bridge(…)")
    found: dict[Any, str] = {}
    for line in read_lines(path, {"id": (str, int), "completion": str}):
        if line["id"] in found:
            raise ValueError(f"{path}: two rows have the id {line['id']!r}: give rows ids of their own")
        found[line["id"]] = line["completion"]
    if not found:
        raise ValueError(f"{path} holds no chain: {Path(folder) / 'dropped.jsonl'} says why rows were dropped")
    return found
