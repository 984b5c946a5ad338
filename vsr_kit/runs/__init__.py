"""Run folders: everything that a training or evaluation writes, in one folder that survives a kill.

folder.py writes a run and reading.py reads one. attempts.py lists its starts, resumes and finishes, identity.py checks
that a resumed run is the same run, checkpoints.py checks that a trainer's checkpoint is complete, interrupts.py ends
long work on Ctrl-C, stopping.py asks a run to stop from outside, watching.py says where a run stands while it is
written, seeds.py which runs are seeds of one training, and provenance.py records packages, hardware and commit.
Left out: what is trained or asked in a run.
"""

from vsr_kit.runs.folder import JOURNALS, SEALED, RunFolder, check_name, git_at_start, newest_run, run_folders, runs_root
from vsr_kit.runs.stopping import ask_to_stop

__all__ = [
    "JOURNALS",
    "SEALED",
    "RunFolder",
    "ask_to_stop",
    "check_name",
    "git_at_start",
    "newest_run",
    "run_folders",
    "runs_root",
]
