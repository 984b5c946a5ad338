"""Training an adapter: GRPO, SFT or DPO by TRL's trainers, which here see the video and share what they read.

run.py has `train`, the one door; profiles.py the sizes, methods.py what is trained how; grpo_trainer.py and
supervised_trainers.py the trainers, video_mixin.py what they have in common; callbacks.py ends a run early, resuming.py
goes on with one, collapse.py tells whether a curve collapsed. All private methods of TRL that the kit overrides are in
these trainers; a test holds their signatures.
Left out: a second training loop. Losses, schedules, logging and callbacks are TRL's. Import the module you mean:
`vsr_kit.training.profiles` and `methods` load no torch.
"""
