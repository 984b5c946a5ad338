"""Settings and fixtures every test shares: one thread, no network, one tiny checkpoint per session."""

import os
import re

# before torch is imported: OpenMP threads that wait for a core spin, and a shared machine then crawls
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("MKL_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("ACCELERATE_USE_CPU", "true")
os.environ["VSR_CACHE"] = "off"  # nothing in the user's own folder; tests of the cache name one

import pytest
from hypothesis import settings

# A test file that imports one of these loads a model or trains: `make check` leaves it out, `make test` does not.
_PARTS = r"models|generation|sharing|kl|losses|miniature|training\.(?!collapse|profiles)"
_MODELS = rf"^\s*(from|import) (torch|transformers|trl|vsr_kit\.({_PARTS}))|import .*\b(load_model|vsr)\b"
LOADS_MODELS = re.compile(_MODELS + r"|tests\.(tiny|harm)|\btiny_path\b", re.MULTILINE)


def pytest_collection_modifyitems(items):
    """Mark the tests of files that load models."""
    loads = {path: bool(LOADS_MODELS.search(path.read_text("utf-8"))) for path in {item.path for item in items}}
    for item in items:
        if loads[item.path]:
            item.add_marker(pytest.mark.model)


settings.register_profile("untimed", deadline=None)  # no test fails because the machine is busy
settings.load_profile("untimed")


@pytest.fixture(scope="session")
def tiny_path(tmp_path_factory):
    """Folder of a random tiny Qwen2-VL (read only: tests that write make their own)."""
    from tests.tiny import tiny_checkpoint

    return tiny_checkpoint(tmp_path_factory.mktemp("tiny") / "tiny-qwen2-vl")


@pytest.fixture(scope="session")
def made(tmp_path_factory):
    """Folder of a checkpoint, an adapter and a trainer's checkpoint (read only: tests that break one copy it)."""
    from tests.harm import make_all

    return make_all(tmp_path_factory.mktemp("made"))


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread():
    """Only where torch is loaded already or will be: importing it here would slow down the tests that need none."""
    import sys

    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture
def rewards_that_differ(monkeypatch):
    """A random model answers nothing right; groups of equal rewards would train nothing."""

    def length_reward(completions, **columns):
        return [len(c[0]["content"]) % 7 / 7 for c in completions]

    monkeypatch.setattr("vsr_kit.training.methods.make_reward_funcs", lambda mode, numeric, extra: [length_reward])
