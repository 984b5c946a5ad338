"""What a change of the house must not change, written down before it and compared after it.

    python tests/oracle.py record before            # in the checkout as it was: a JSON file for each part, in before/
    python tests/oracle.py record after             # in the checkout as it is
    python tests/oracle.py compare before after     # names every part that differs; exit status 1 if one does

Everything goes through the command line, `python -m vsr_kit.cli`, so that the names of modules and functions may change
underneath. The parts: the ledger of claims with the texts of their rules, the tables of README and docs, a built data
set, an evaluation, and one short training of each method by its adapter, its log and its rollouts, byte for byte but
for what a clock or a meter said. `--notebooks` adds what all notebooks print when executed (a quarter of an hour).

Left out: figures (their texts are in the notebooks' outputs, their drawing in tests/test_plots.py), and speed.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
# Keys of a log or of a summary that a clock or a meter fills in.
MEASURED = re.compile(
    r"(_s$|second|minute|^time|_time$|runtime|memory|bytes|gib|cost|started|ended|stamp|^git|commit|version)",
    re.IGNORECASE,
)
METERS = re.compile(r"[\d.,]+ ?(s|seconds?|min|minutes?|ms|MB|MiB|GiB|x|×)\b")
TRAININGS = {
    "grpo": ("--method", "grpo"),
    "grpo-think": ("--method", "grpo", "--mode", "think"),
    "sft": ("--method", "sft"),
    "dpo-corrupted": ("--method", "dpo-corrupted"),
    "dpo-rollouts": ("--method", "dpo-rollouts"),
}


def vsr(*arguments: str, runs: str = "") -> str:
    """The standard output of one `vsr` command, run in this checkout with one thread; run folders go into `runs`."""
    known = {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "COLUMNS": "200"}
    known |= {"VSR_RUNS": runs} if runs else {}
    command = [sys.executable, "-m", "vsr_kit.cli", *arguments]
    done = subprocess.run(command, cwd=ROOT, env=os.environ | known, capture_output=True, text=True)
    if done.returncode:
        said = done.stdout[-2000:] + done.stderr[-4000:]
        raise SystemExit(f"vsr {' '.join(arguments)} ended with {done.returncode}:\n{said}")
    return done.stdout


def digest(data: bytes) -> str:
    """The first 16 hexadecimal digits of SHA-256."""
    return hashlib.sha256(data).hexdigest()[:16]


def timeless(value):
    """A JSON value without the entries whose key names a time, a memory or a cost."""
    if isinstance(value, dict):
        return {key: timeless(entry) for key, entry in value.items() if not MEASURED.search(key)}
    return [timeless(entry) for entry in value] if isinstance(value, list) else value


def claims() -> dict:
    """Every claim with its texts, its numbers and its verdict."""
    return json.loads(vsr("claims", "--json"))


def tables() -> dict:
    """The table rows of README.md and docs/, whichever of them holds them."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    rows = [line for page in pages for line in page.read_text(encoding="utf-8").splitlines() if line.startswith("|")]
    return dict.fromkeys(rows, 1)


def build() -> dict:
    """The files of a small data set, by both sets of rules."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for rules in ("benchmark", "study"):
            out = Path(folder) / rules
            vsr("build", "--rooms", "3", "--rules", rules, "--video", "--out", str(out))
            files = (path for path in sorted(out.rglob("*")) if path.is_file() and path.name != "build.json")
            found |= {f"{rules}/{path.relative_to(out)}": digest(path.read_bytes()) for path in files}
    return found


def run_of(command: list[str]) -> dict:
    """The lasting files of the run folder that a command leaves: tables as text, other files by digest."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        vsr(*command, runs=folder)
        (run,) = (path for path in Path(folder).iterdir() if not path.name.startswith("."))
        for path in sorted(run.rglob("*")):
            name = str(path.relative_to(run))
            if path.suffix == ".jsonl" and path.name != "attempts.jsonl":
                lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
                found[name] = timeless(lines)
            elif path.suffix == ".parquet":
                import pandas as pd

                found[name] = timeless(json.loads(pd.read_parquet(path).to_json(orient="records")))
            elif path.name in ("config.json", "summary.json"):
                found[name] = timeless(json.loads(path.read_text(encoding="utf-8")))
            elif path.suffix == ".safetensors" and "checkpoint" not in name:
                found[name] = digest(path.read_bytes())
    return found


def evaluation() -> dict:
    """Ten rooms, two prompts: what the miniature answered and how it scored."""
    modes = ("vanilla", "think")
    return {mode: run_of(["eval", "--rooms", "10", "--mode", mode]) for mode in modes}


def trainings() -> dict:
    """A few steps of every method at one seed."""
    size = ["--rooms", "6", "--steps", "3", "--seed", "3"]
    return {name: run_of(["train", *how, *size]) for name, how in TRAININGS.items()}


def notebooks() -> dict:
    """What the notebooks print when they are executed, numbers of seconds and of megabytes taken out."""
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        vsr("course", "--out", folder)
        for path in sorted(Path(folder).rglob("*.ipynb")):
            cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
            for number, cell in enumerate(cells):
                text = "".join(map(printed, cell.get("outputs", [])))
                found[f"{path.stem}/{number}"] = METERS.sub(r"# \1", text)
    return found


def printed(output: dict) -> str:
    """The text of one output of a cell."""
    if output["output_type"] == "stream":
        return "".join(output["text"])
    return "".join(output.get("data", {}).get("text/plain", [])) + "\n"


PARTS: dict[str, Callable[[], dict]] = {
    "claims": claims, "tables": tables, "build": build, "evaluation": evaluation, "trainings": trainings,
}  # fmt: skip


def differences(before, after, where: str = "") -> list[str]:
    """The places in which two JSON values differ, each with both values."""
    if isinstance(before, dict) and isinstance(after, dict):
        keys = list(before) + [key for key in after if key not in before]
        return [line for key in keys for line in differences(before.get(key), after.get(key), f"{where}/{key}")]
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [line for place, (old, new) in pairs for line in differences(old, new, f"{where}/{place}")]
    return [] if before == after else [f"{where}: {str(before)[:300]!r} -> {str(after)[:300]!r}"]


def main() -> int:
    """`record FOLDER [--notebooks] [--only PART]` or `compare BEFORE AFTER`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("do", choices=["record", "compare"])
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--notebooks", action="store_true", help="execute all notebooks, too")
    parser.add_argument("--only", choices=[*PARTS, "notebooks"], action="append", help="only this part")
    asked = parser.parse_args()
    if asked.do == "record":
        parts = PARTS | ({"notebooks": notebooks} if asked.notebooks or "notebooks" in (asked.only or []) else {})
        asked.folders[0].mkdir(parents=True, exist_ok=True)
        for name in asked.only or parts:
            text = json.dumps(parts[name](), indent=1, ensure_ascii=False, sort_keys=True)
            (asked.folders[0] / f"{name}.json").write_text(text + "\n", encoding="utf-8")
            print(f"{name}: {len(text):,} characters")
        return 0
    before, after = asked.folders
    found = []
    for path in sorted(before.glob("*.json")):
        if not (other := after / path.name).exists():
            print(f"{path.stem}: not recorded in {after}")
            continue
        lines = differences(json.loads(path.read_text("utf-8")), json.loads(other.read_text("utf-8")), path.stem)
        print(f"{path.stem}: {'the same' if not lines else f'{len(lines)} differences'}")
        found += lines
    print(*found, sep="\n")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
