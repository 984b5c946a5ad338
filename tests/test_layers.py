"""The laws of the house, read from the source: imports go downward, heavy ones stay out, code stays short."""

import ast
import statistics
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parent.parent / "vsr_kit"

# A line imports from the lines above it and from the names to its left, among packages as inside one.
LAYERS = """
paths
validation
failures
files
locks
rooms: geometry generator arranging furnished files
videos: files frame_limits rendering filming light for_people
questions: types held_out geometric own_types multi_step puzzles wordings
prompts: markup number_words frame_tags templates numbers wording candidates judge_worker judging mathematics \\
 parsing
data: checking forms scans frame_cache clips pictures rows picture_records picture_rows own_questions vsi_100k \\
 sources benchmark archives fetching datasets
rewards: orders terms cheats trl_functions hard in_form matched detectors consistency mixed waste
models: adapters families checkpoint_files dequantized processors vision feature_cache loading new_checkpoint
runs: attempts identity checkpoints interrupts provenance reading seeds stopping folder watching
sharing: meter packing reference shared_cache attention prefill rollouts sampled_logps scoring compare
generation
losses
kl
evaluation: scorers small_samples intervals run_scores baselines passk readings taught shown_clips presets \\
 puzzle_scores multi_label presence draws predictions evaluate preflight token_texts token_measures rationale_judge
bridging: chains description reasoner rationales quality stated stage_prompts asking costs answer_cache writers \\
 endpoint local filters stage_files pipeline
training: collapse profiles shapes memory asking_memory knobs launching machine spending joints video_mixin \\
 callbacks token_records mismatch grpo_trainer references stages joint_trainer answer_likelihood supervised_trainers \\
 own_rollouts starting methods care resuming out_of_memory run background phases entropy_bounds
retrieval: queries embedding retrieval_trainer method
claims: rules recipe measures chain_measures training_measures level_measures factor_measures
recipes: filmed vsgrpo_table vsgrpo kit_questions kl_elsewhere ptst vision_r1 lr2bench sparc crossthink mammoth_vl \\
 levels seed_bench_r1 shifts vlaa openvlthinker all_roads openvlthinker_v2 t1 mm_eureka srpo nvlm o1_embedder
inspection: outcomes columns table tokens sources
publishing: origin card merging hub formats sides gap
diagnosis: rules findings adapter_files run_folder environment probe model
plots: style marks svg canvas rooms large_frames scores sharing training curves sketch overlay steps answer_marks \\
 comparisons knobs tables token_colours draws
widgets: view player stop live answer_sources inspector token_colours browser knob guesses monitor compare \\
 room_choice playground
exercises: cases course recipe_cases
miniature: folder sight lessons copying recipe batches stages training text_lessons cold_start __main__
study: labels question_sets object_scores conditions chains answers reward_analysis controls staleness comparisons \\
 evidence reach training_runs travel real_rooms runner judge citations summary systems acceptance \\
 cold_start_acceptance study thinking
pages: html filling rooms packing browser report gallery verdicts furnished moving_picture cited landing site
cli: terminal flags loading resume course data clips fetch held_out training bridging recipes evaluating models \\
 planning pretraining preflight doctor stopping asking study publishing __init__ __main__
"""


def ordered(layers: str) -> list[str]:
    """The modules of a table of layers, lowest first; a package's face stands after its modules unless named."""
    found = []
    for line in layers.replace("\\\n", "").split("\n"):
        package, _, modules = line.partition(":")
        inside = modules.split()
        found += [f"{package}.{name}" for name in inside]
        found += [package] if "__init__" not in inside else []
    return [name.removesuffix(".__init__") for name in found if name]


ORDER = {name: place for place, name in enumerate(ordered(LAYERS))}
HEAVY = {"torch", "transformers", "trl", "peft", "bitsandbytes", "accelerate", "datasets", "plotly", "ipywidgets", "av"}
HEAVY |= {"nbclient", "nbconvert", "jupyter_client", "pandas", "pyarrow", "matplotlib", "IPython"}
# These import without torch, and without anything else that takes its time.
LIGHT = ["paths", "validation", "failures", "files", "locks", "rooms", "videos", "questions", "data", "prompts"]
LIGHT += ["rewards", "runs", "evaluation", "training.collapse", "training.profiles", "training.methods"]
LIGHT += ["training.launching", "training.memory", "training.machine", "training.out_of_memory", "claims", "recipes"]
LIGHT += ["study", "bridging", "diagnosis", "pages.site", "cli"]
BESIDE = PACKAGE.parent / "benchmarks"  # imports the package; nothing imports it

FILES = sorted(PACKAGE.rglob("*.py"))
TREES = {path: ast.parse(path.read_text(encoding="utf-8")) for path in FILES}


def module_of(path: Path) -> str:
    """The dotted name inside the package: rooms.geometry for rooms/geometry.py, rooms for its face, "" for the top."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(parts).removesuffix("__init__").removesuffix(".")


def imported(tree: ast.Module) -> set[str]:
    """Modules of the package that a file imports anywhere, inside functions too; of a face, the face."""
    found = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "relative imports hide the layer; write vsr_kit.…"
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= {name if name.removeprefix("vsr_kit.") in ORDER else node.module for name in inside}
    return {name.removeprefix("vsr_kit.") for name in found if name.startswith("vsr_kit.")}


def violations(trees: dict[Path, ast.Module]) -> list[str]:
    wrong = []
    for path, tree in trees.items():
        here = module_of(path)
        for there in sorted(imported(tree) - {here}):
            if there not in ORDER:
                wrong.append(f"{here} imports vsr_kit.{there}, which has no layer")
            elif here == "" or ORDER[there] > ORDER.get(here, -1):
                wrong.append(f"{here or '__init__'} imports {there}, which is above it")
    return wrong


def test_every_module_has_a_layer():
    unknown = {module_of(path) for path in FILES} - {""} - ORDER.keys()
    assert not unknown, f"name the layer of {sorted(unknown)} in LAYERS"
    assert ORDER.keys() == {module_of(path) for path in FILES} - {""}, "a layer names a module that is gone"


def test_imports_go_downward():
    assert violations(TREES) == []


def test_nothing_in_the_package_imports_the_benchmarks():
    tops = {name.split(".")[0] for tree in TREES.values() for node in ast.walk(tree) for name in _names(node)}
    assert BESIDE.is_dir() and "vsr_kit" in tops and not tops & {"benchmarks", "tests"}


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    return [node.module or ""] if isinstance(node, ast.ImportFrom) else []


@pytest.mark.parametrize(
    "module, line, wrong",
    [
        ("rooms/files", "from vsr_kit.videos import render", True),
        ("rooms/files", "def late():\n    import vsr_kit.cli", True),
        ("rooms/files", "from vsr_kit import evaluation", True),
        ("rooms/geometry", "from vsr_kit.rooms.files import load_rooms", True),
        ("rooms/files", "from vsr_kit.rooms.geometry import Room", False),
        ("rooms/files", "from vsr_kit.rooms import Room", True),
        ("videos/files", "from vsr_kit.rooms import Room", False),
        ("cli/course", "from vsr_kit import data, __version__", False),
        ("models/vision", "import vsr_kit.nonsense", True),
    ],
)
def test_the_law_of_imports_tells_right_from_wrong(module, line, wrong):
    assert bool(violations({PACKAGE / f"{module}.py": ast.parse(line)})) is wrong


def loaded_by(module: str) -> set[str]:
    """Top-level packages in a fresh interpreter after importing the module."""
    code = f"import sys, {module}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return set(done.stdout.split())


@pytest.mark.parametrize("module", ["vsr_kit", *(f"vsr_kit.{name}" for name in LIGHT)])
def test_a_light_module_loads_nothing_heavy(module):
    assert loaded_by(module) & HEAVY == set()


def test_the_heavy_are_seen_when_they_are_there():
    assert "pandas" in loaded_by("pandas") & HEAVY


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_a_module_opens_with_its_story_and_stays_short(path):
    text = path.read_text(encoding="utf-8")
    story = ast.get_docstring(TREES[path]) or ""
    assert len(story.split()) >= 10, "the docstring tells what the module is for"
    assert len(text.splitlines()) <= 400


def functions() -> list[tuple[str, int]]:
    """(where, lines without the docstring) of every function."""
    found = []
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
                has_docstring = ast.get_docstring(node, clean=False) is not None
                doc = node.body[0].end_lineno - node.body[0].lineno + 1 if has_docstring else 0
                found.append((f"{path.name}:{node.lineno} {node.name}", node.end_lineno - node.lineno + 1 - doc))
    return found


def test_functions_are_short():
    lengths = functions()
    assert [where for where, lines in lengths if lines > 60] == []
    assert statistics.median(lines for _, lines in lengths) <= 10


def test_public_functions_and_classes_are_documented():
    silent = [
        f"{path.name}:{node.lineno} {node.name}"
        for path, tree in TREES.items()
        for node in tree.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
        and not node.name.startswith("_")
        and ast.get_docstring(node) is None
    ]
    assert silent == []


def test_no_module_is_called_utils():
    assert [path.name for path in FILES if path.stem in {"utils", "util", "helpers", "misc", "common"}] == []


def test_weights_are_never_trusted_to_run_code():
    """trust_remote_code is never set to anything but False; torch.load and pickle are not used."""
    wrong = []
    for path, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.keyword) and node.arg == "trust_remote_code":
                trusted = not (isinstance(node.value, ast.Constant) and node.value.value is False)
                wrong += [f"{path.name}:{node.lineno}"] if trusted else []
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                names = [getattr(node, "module", None), *(alias.name for alias in node.names)]
                wrong += [f"{path.name}:{node.lineno} pickle"] if "pickle" in names else []
    assert wrong == []
