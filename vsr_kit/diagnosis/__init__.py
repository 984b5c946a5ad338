"""Diagnosis: what `vsr doctor` says of an installation, a model and a run, before and after hours are spent on them.

rules.py is the one table of what is checked, by which thresholds and why; findings.py is what a check says: finding,
evidence, remedy. environment.py looks at packages, device and disk; probe.py asks a model and does one step of GRPO
with it; run_folder.py reads what a run wrote, and adapter_files.py whether an adapter has moved.
Left out: mending anything. A remedy is a sentence for whoever runs the command.
"""

from vsr_kit.diagnosis.environment import check_environment
from vsr_kit.diagnosis.findings import Diagnosis, Finding
from vsr_kit.diagnosis.rules import RULES, Rule
from vsr_kit.diagnosis.run_folder import check_run

__all__ = ["RULES", "Diagnosis", "Finding", "Rule", "check_environment", "check_run"]
