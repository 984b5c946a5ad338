"""Several processes: a step divides among them, the launch configurations are accelerate's, and each says its share."""

import dataclasses
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import yaml

from vsr_kit.training.launching import CONFIGS, alone_by_mistake, config_path, divided, share_of, tell_share
from vsr_kit.training.profiles import PROFILES, Profile


@pytest.mark.parametrize(
    "name, processes, questions, a_pass",
    [
        ("mini", 1, 8, 8),  # as it is
        ("mini", 2, 8, 4),
        ("mini", 3, 9, 3),
        ("t4", 4, 4, 1),
        ("t4", 3, 6, 1),
        ("paper", 8, 16, 1),
    ],
)
def test_a_step_divides_among_processes(name, processes, questions, a_pass, monkeypatch):
    profile = divided(PROFILES[name], processes)
    assert (profile.questions_per_step, profile.groups_per_pass) == (questions, a_pass)
    monkeypatch.setenv("WORLD_SIZE", str(processes))
    profile.check_passes()
    assert divided(PROFILES[name]) == profile, "as the launcher says"


def test_what_shares_a_clip_stays_together(monkeypatch):
    profile = Profile("own", questions_per_step=12, groups_per_pass=6, questions_per_clip=3)
    found = divided(profile, 3)
    assert (found.questions_per_step, found.groups_per_pass) == (18, 6)
    monkeypatch.setenv("WORLD_SIZE", "3")
    found.check_passes()
    with pytest.raises(ValueError, match="groups_per_pass is 1 and questions_per_clip 2"):
        divided(dataclasses.replace(profile, groups_per_pass=1, questions_per_clip=2), 2)
    with pytest.raises(ValueError, match="processes is 0"):
        divided(profile, 0)


def test_a_step_that_does_not_divide_names_the_flag(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ValueError, match="vsr train --divide"):
        PROFILES["mini"].check_passes()


@pytest.mark.parametrize("name", CONFIGS)
def test_accelerate_reads_each_configuration_as_what_it_is_called(name):
    from accelerate.commands.config.config_args import load_config_from_file

    config = load_config_from_file(str(config_path(name)))
    kinds = {"ddp": "MULTI_GPU", "zero2": "DEEPSPEED", "zero3": "DEEPSPEED", "fsdp2": "FSDP"}
    assert config.distributed_type.value == kinds[name] and config.mixed_precision == "no"
    assert config.num_processes == 2 and not config.use_cpu
    if name.startswith("zero"):
        assert config.deepspeed_config["zero_stage"] == int(name[-1])
    if name == "fsdp2":
        from transformers.models.qwen2_vl import modeling_qwen2_vl

        assert config.fsdp_config["fsdp_version"] == 2
        assert hasattr(modeling_qwen2_vl, config.fsdp_config["fsdp_transformer_layer_cls_to_wrap"])


def test_configurations_are_files_of_the_package():
    assert sorted(path.stem for path in config_path("ddp").parent.glob("*.yaml")) == sorted(CONFIGS)
    assert all(isinstance(yaml.safe_load(config_path(name).read_text()), dict) for name in CONFIGS)
    with pytest.raises(ValueError, match="ddp"):
        config_path("fsdp1")


def test_each_process_says_its_share(capsys):
    assert share_of(1, 4, 14, 4, 14) == (
        "process 1 of 4 (0 to 3): 4 of 16 questions a step, 56 completions, in 4 passes"
    )
    told = share_of(0, 2, 8, 1, 8)
    assert told.endswith("1 of 2 questions a step, 8 completions, in 1 passes; its completions are recorded")
    sizes = {"per_device_train_batch_size": 3, "gradient_accumulation_steps": 2}
    tell_share(SimpleNamespace(world_size=1, process_index=0, **sizes))
    assert capsys.readouterr().err == ""
    tell_share(SimpleNamespace(world_size=2, process_index=1, **sizes))
    assert capsys.readouterr().err == "process 1 of 2 (0 to 1): 6 of 12 questions a step, in 2 passes\n"


def test_one_process_where_several_were_asked_for_is_noticed():
    launched = {"ACCELERATE_DYNAMO_BACKEND": "NO", "MASTER_ADDR": "127.0.0.1"}
    assert "torchrun --nproc_per_node 2" in alone_by_mistake(launched)
    for other in ({}, {"MASTER_ADDR": "x"}, {"ACCELERATE_DYNAMO_BACKEND": "NO"}, launched | {"WORLD_SIZE": "2"}):
        assert alone_by_mistake(other) is None


@pytest.mark.slow
@pytest.mark.parametrize("asked, said", [("2", True), ("1", False)])
def test_accelerate_itself_starts_one_on_a_cpu(asked, said, tmp_path):
    script = tmp_path / "say.py"
    script.write_text("from vsr_kit.training.launching import alone_by_mistake\nprint(alone_by_mistake())\n")
    checkout = str(Path(__file__).resolve().parent.parent)
    given = {k: v for k, v in os.environ.items() if not k.startswith(("ACCELERATE_", "MASTER_")) and k != "WORLD_SIZE"}
    words = [sys.executable, "-m", "accelerate.commands.launch", "--cpu", "--num_processes", asked, str(script)]
    done = subprocess.run(
        words,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=given | {"PYTHONPATH": checkout, "HF_HOME": str(tmp_path)},
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1, "one process"
    assert ("accelerate launch started one process" in done.stdout) is said
