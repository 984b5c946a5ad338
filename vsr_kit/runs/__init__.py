"""Run folders: everything a run leaves behind, in one place that survives a kill and can be compared with another.

folder.py writes a run, reading.py reads one, attempts.py says which start, resume and finish it had, identity.py
whether a resumed run is the same run, checkpoints.py whether a trainer's checkpoint is whole; interrupts.py ends long
work on Ctrl-C, provenance.py says what made a number.
Left out: what is trained or asked in a run.
"""

from vsr_kit.runs.folder import JOURNALS, RunFolder, SEALED, check_name, git_at_start, newest_run, run_folders, runs_root

__all__ = ["JOURNALS", "RunFolder", "SEALED", "check_name", "git_at_start", "newest_run", "run_folders", "runs_root"]
