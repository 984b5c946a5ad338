"""vsr-kit: teach a small video-language model to reason about space, on real rooms, in minutes or at the paper's scale.

The story runs downward: rooms -> videos -> questions -> data -> prompts -> rewards, detectors -> evaluation, labels ->
models, vision -> grpo -> trainers, methods, training -> recipes -> claims -> plots -> widgets -> checks -> study ->
results, and `vsr` (cli) on top. A module imports only from those before it.

Names carry axes and units. A trailing capital names an axis of an array, in order:

    B  prompts in a batch             rewards_BG[2, 5]: the reward of the sixth rollout of the third prompt
    G  rollouts of one prompt         (TRL's num_generations)
    T  tokens of a completion
    L  tokens of a prompt, or of a packed sequence
    V  video tokens of one clip, after the tower's 2 x 2 merge
    F  frames of a clip
    H  pixel rows      W  pixel columns      3  red, green, blue (uint8), or x, y, z
    D  hidden width of a model

A trailing unit says what a number is measured in: `_m` metres, `_m2` square metres, `_cm` centimetres, `_deg` degrees,
`_px` pixels, `_s` seconds. `camera_height_m`, `yaw_deg_F`, `frames_FHW3`.

Left out here: everything. `import vsr_kit` loads no torch, no transformers and no plotting; import the module you mean.
What it does is keep the libraries below quiet, before any of them is imported: the kit works without a network, so none
of them sends or asks anything that nobody asked for. Trainers of TRL would report every training to the hub, and ask it
for a list; HF_HUB_DISABLE_TELEMETRY=0 lets them. On processors with AVX512-BF16, bitsandbytes would load native code
from the hub where the package `kernels` is installed, and advise installing it where it is not; a program that wants
that package imports it before the kit.
"""

import logging
import os
import sys

_ASKED = ("HF_HUB_DISABLE_TELEMETRY", "DISABLE_TELEMETRY", "DO_NOT_TRACK")  # whoever set one of them has chosen

__version__ = "0.1.0"


def _without_kernel_advice(record: logging.LogRecord) -> bool:
    return "gemm_4bit_forward from kernels-community" not in record.getMessage()


if not any(name in os.environ for name in _ASKED):
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    if "huggingface_hub.constants" in sys.modules:  # imported before the kit: it has read its settings already
        sys.modules["huggingface_hub.constants"].HF_HUB_DISABLE_TELEMETRY = True
sys.modules.setdefault("kernels", None)  # `import kernels` is an ImportError from here on
logging.getLogger("bitsandbytes.backends.cpu.ops").addFilter(_without_kernel_advice)
