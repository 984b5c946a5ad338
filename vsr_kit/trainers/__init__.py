"""TRL's trainers for video questions: GRPO, SFT and DPO on the same rows, all of which see the clip.

The story: clips.py gives a trainer clips and their features, grpo.py and answers.py what each trainer does with them.
All private methods of TRL that the kit overrides are in this package; a test holds their signatures.
Left out: a second training loop. Losses, schedules, logging and callbacks are TRL's.
"""

from vsr_kit.trainers.answers import VideoDPOTrainer, VideoSFTTrainer, answer_rows
from vsr_kit.trainers.clips import MetricsRecorder, SeesClips, training_rows
from vsr_kit.trainers.grpo import VideoGRPOTrainer

__all__ = [
    "MetricsRecorder",
    "SeesClips",
    "VideoDPOTrainer",
    "VideoGRPOTrainer",
    "VideoSFTTrainer",
    "answer_rows",
    "training_rows",
]
