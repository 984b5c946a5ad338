"""`python -m vsr_kit.pretrain OUT`, and the same under torchrun for several processes."""

import sys

from vsr_kit.pretrain import pretrain

if __name__ == "__main__":
    pretrain(sys.argv[1])
