"""`python -m vsr_kit.cli` is `vsr`, for where scripts are not on the path. It leaves out nothing."""

from vsr_kit.cli import main

main()
