"""Training a LoRA adapter with GRPO, SFT or DPO by TRL's trainers, extended to see the video and to share prefixes.

run.py has `train`, through which every training goes, background.py the same in a thread; profiles.py has the sizes,
methods.py the methods. grpo_trainer.py and supervised_trainers.py have the trainers, video_mixin.py their common part.
joints.py has what a method may replace (advantages, the choice of rows, which groups count, the reference),
joint_trainer.py the trainer that does it, stages.py settings that switch inside one run, references.py the KL term's
reference, starting.py a start from an adapter. token_records.py writes down what the tokens of a few rollouts were
worth. entropy_bounds.py holds entropy between two bounds, callbacks.py stops a run early, collapse.py says whether a
curve collapsed, resuming.py continues a run. All private methods of TRL that the kit overrides are in these trainers; a
test checks their signatures. Import the module you need: `vsr_kit.training.profiles` and `methods` load no torch.
care.py has GRPO-CARE, whose reward is told by answer_likelihood.py how likely an answer is after its chain.
Left out: a training loop of the kit's own. Losses, schedules, logging and callbacks are TRL's.
"""
