"""Between the commands and the terminal: whatever is printed, by whomever, holds nothing that a terminal obeys.

The story: names of scenes, runs and files, and messages of libraries, reach the terminal through `echo`, `print`,
warnings, logging and progress bars. `guard` puts a stream in front of standard output and error that writes control
characters as escapes. Line breaks and carriage returns pass, as progress bars need them; rich, which draws the tables
and the help, writes past the guard with colours of its own, so what it is given goes through `printable` before.

Left out: processes that the commands start; each writes for itself.
"""

from __future__ import annotations

import re
import sys

from vsr_kit.validation import printable

_UP = re.compile(r"(?:\x1b\[A)+")  # tqdm, on its way back from a bar below another


class Guarded:
    """A text stream whose writes hold nothing that a terminal obeys; everything else is the stream's own."""

    def __init__(self, stream) -> None:
        self._stream = stream

    def __getattr__(self, name: str):
        return getattr(self._stream, name)

    @property
    def rich_proxied_file(self):
        """Where rich writes instead."""
        return self._stream

    def write(self, text: str) -> int:
        """Write `text`, control characters as escapes."""
        if not isinstance(text, str):
            raise TypeError(f"a text stream takes str, not {type(text).__name__}")
        self._stream.write(text if _UP.fullmatch(text) else printable(text, keep="\n\r\t"))
        return len(text)

    def writelines(self, lines) -> None:
        """Write one after another."""
        for line in lines:
            self.write(line)


def guard() -> None:
    """Put a `Guarded` before standard output and standard error of this process."""
    sys.stdout, sys.stderr = (
        stream if stream is None or isinstance(stream, Guarded) else Guarded(stream)
        for stream in (sys.stdout, sys.stderr)
    )
