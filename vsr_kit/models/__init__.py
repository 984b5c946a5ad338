"""Models: checkpoints loaded completely or refused, clips turned into features and tokens, and a feature cache.

loading.py has `load_model`, through which every model is loaded; vision.py goes from frames to Qwen2-VL's inputs
without torchvision; feature_cache.py keeps the frozen vision tower's output for each clip; checkpoint_files.py and
adapters.py refuse incomplete files; dequantized.py spares a CPU to dequantize small models in every pass;
new_checkpoint.py makes a Qwen2-VL of any size with random weights.
Left out: remote code, and weights in any format but safetensors.
"""

from vsr_kit.models.loading import (
    LORA_TARGETS,
    MINI,
    QUANTIZATIONS,
    Loaded,
    choose_threads,
    describe,
    load_model,
    lora_config,
    mini_path,
    nf4_config,
    packed,
    pick_device,
    pick_dtype,
    without_renaming_warnings,
)
from vsr_kit.paths import SHIPPED

__all__ = [
    "LORA_TARGETS",
    "MINI",
    "QUANTIZATIONS",
    "SHIPPED",
    "Loaded",
    "choose_threads",
    "describe",
    "load_model",
    "lora_config",
    "mini_path",
    "nf4_config",
    "packed",
    "pick_device",
    "pick_dtype",
    "without_renaming_warnings",
]
