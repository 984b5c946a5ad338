"""A guard between the commands and the terminal: control characters in printed text are written as escapes.

Names of scenes, runs and files, and messages of libraries, reach the terminal through `echo`, `print`, warnings,
logging and progress bars. `guard` wraps standard output and error so that control characters appear as escapes. Line
breaks and carriage returns pass, since progress bars need them. rich, which draws the tables and the help, writes past
the guard with colours of its own, so its text goes through `printable` first. `bars` says whether bars are drawn, and
`paragraphs` makes a command's help of its docstring.
Left out: processes that the commands start, which write for themselves.
"""

from __future__ import annotations

import inspect
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


def bars() -> bool:
    """Whether progress bars are drawn: on a terminal. In a file each step of one would be a line."""
    return bool(getattr(sys.stderr, "isatty", bool)())


def paragraphs(docstring: str) -> str:
    """A docstring as help: the lines of a paragraph in one, which the terminal breaks; a command keeps its own line."""
    joined = [re.sub(r"\n(?!vsr )", " ", part) for part in inspect.cleandoc(docstring).split("\n\n")]
    return "\n\n".join(joined)


def guard() -> None:
    """Put a `Guarded` before standard output and standard error of this process."""
    sys.stdout, sys.stderr = (
        stream if stream is None or isinstance(stream, Guarded) else Guarded(stream)
        for stream in (sys.stdout, sys.stderr)
    )
