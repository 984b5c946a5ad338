"""The moving picture of README and index: `python docs/make_gif.py` writes docs/walk.gif, in a quarter of a minute.

It shows what docs/make_picture.py shows, about the same room with the same answers, which the miniature gives now, with
and without the shipped adapter. `vsr_kit.pages.moving_picture` draws it, and says what it shows.
"""

import sys
from pathlib import Path

DOCS = Path(__file__).resolve().parent
sys.path[:0] = [str(DOCS.parent), str(DOCS)]

from make_picture import asked  # noqa: E402

from vsr_kit.pages.moving_picture import moving_picture  # noqa: E402

GIF = DOCS / "walk.gif"


def main() -> None:
    """Ask, draw, write."""
    words = moving_picture(*asked(), GIF)
    print(f"{GIF.name}: {GIF.stat().st_size / 1000:.0f} kB\n{words}")


if __name__ == "__main__":
    main()
