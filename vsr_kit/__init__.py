"""vsr-kit: teach a small video-language model spatial reasoning on rooms, in minutes or at the paper's scale.

The packages, in import order; a module imports only from those above it:

    paths, validation, failures               shipped files; checked input; limits of a machine that were met
    files, locks                              files that show damage; locks
    rooms, videos, questions                  boxes in metres; clips rendered from them; questions with ground truths
    prompts, data, rewards                    what a model is asked and how it is read; rows, splits, folders; rewards
    models, runs                              Qwen2-VL checkpoints and clip features; run folders
    sharing, generation                       prefix sharing: prefill, rollouts, log-probabilities; asking a model
    losses, kl, evaluation                    GRPO's and DPO's arithmetic; scores, intervals
    bridging, training                        chains of thought written for rows; TRL's trainers with video
    retrieval                                 rooms found by descriptions, by embeddings of one model
    claims, recipes                           verdict rules; the papers' claims and the kit's own
    inspection                                what models wrote, to be looked through
    publishing                                checkpoints, cards and files for others; two scores compared
    diagnosis                                 what `vsr doctor` finds in an installation, a model, a run
    plots, widgets, exercises                 figures, widgets and checked exercises of the course
    miniature, study                          how the shipped model was made; its training runs and their verdicts
    pages, cli                                HTML pages; the command `vsr`

Names carry axes and units. A trailing capital names an axis of an array, in order:

    B  prompts in a batch             rewards_BG[2, 5]: the reward of the sixth rollout of the third prompt
    G  rollouts of one prompt         (TRL's num_generations)
    N  rows of any kind, such as the B * G completions of a batch
    T  tokens of a completion         P  tokens of a prompt
    L  tokens of a packed sequence    S  those of its tokens that predict a completion's token
    V  video tokens of one clip, after the tower's 2 x 2 merge
    F  frames of a clip
    H  pixel rows      W  pixel columns      3  red, green, blue (uint8), or x, y, z
    D  hidden width of a model               W  behind an axis of rows or tokens: the vocabulary

A trailing unit says what a number is measured in: `_m` metres, `_m2` square metres, `_cm` centimetres, `_deg` degrees,
`_px` pixels, `_s` seconds. `camera_height_m`, `yaw_deg_F`, `frames_FHW3`.

`import vsr_kit as vsr` loads no torch, no transformers and no plotting. `vsr.train`, `vsr.Study` and the other names in
`vsr.__all__`, and the packages themselves (`vsr.plots`), are imported when they are first used. What it does at once is
to silence the libraries below before they are imported, because the kit works without a network. TRL's trainers would
report every training to the Hugging Face hub and ask it for a list; HF_HUB_DISABLE_TELEMETRY=0 allows that. On
processors with AVX512-BF16, bitsandbytes would load native code from the hub if the package `kernels` is installed, and
advise installing it if not; a program that needs `kernels` imports it before the kit.
"""

import logging
import os
import sys

import lazy_loader

_ASKED = ("HF_HUB_DISABLE_TELEMETRY", "DISABLE_TELEMETRY", "DO_NOT_TRACK")  # whoever set one of them has chosen

__version__ = "0.1.0"


def _without_kernel_advice(record: logging.LogRecord) -> bool:
    return "gemm_4bit_forward from kernels-community" not in record.getMessage()


if not any(name in os.environ for name in _ASKED):
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    if "huggingface_hub.constants" in sys.modules:  # imported before the kit: it has read its settings already
        setattr(sys.modules["huggingface_hub.constants"], "HF_HUB_DISABLE_TELEMETRY", True)  # noqa: B010
sys.modules.setdefault("kernels", None)  # type: ignore[arg-type] # `import kernels` is an ImportError from here on
logging.getLogger("bitsandbytes.backends.cpu.ops").addFilter(_without_kernel_advice)

__getattr__, __dir__, __all__ = lazy_loader.attach(
    __name__,
    submodules=(
        "paths validation failures files locks rooms videos questions prompts data rewards models runs sharing "
        "generation losses kl evaluation bridging training retrieval claims recipes inspection publishing diagnosis "
        "plots widgets exercises miniature study pages cli"
    ).split(),
    submod_attrs={
        "paths": ["data_samples", "smoke"],
        "rooms": ["make_room", "read_geometry"],
        "videos": ["film"],
        "data": ["make_rows", "split_rooms"],
        "models": ["load_model"],
        "runs": ["RunFolder"],
        "generation": ["generate"],
        "evaluation": ["load_questions", "predict", "sample_group", "score", "training_questions"],
        "training.methods": ["DPO", "GRPO", "SFT"],
        "training.profiles": ["get_profile"],
        "training.run": ["train"],
        "training.background": ["train_in_background"],
        "recipes": ["variant"],
        "study.judge": ["claim_text"],
        "study.study": ["Study"],
    },
)
