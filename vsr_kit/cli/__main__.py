"""`python -m vsr_kit.cli` runs `vsr` where the script is not on the path."""

from vsr_kit.cli import main

main()
