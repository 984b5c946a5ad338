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
"""

__version__ = "0.1.0"
