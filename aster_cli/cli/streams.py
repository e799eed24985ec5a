"""The standard streams, made such that losing one never loses the work.

What goes to stderr is said beside the work: where nobody can read it any more, the work goes on.
What goes to stdout is the result, so that its errors stay errors.
"""

import os
import select
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO, cast


@contextmanager
def steady_streams() -> Iterator[None]:
    """Within it there are three standard streams, and writing to stderr never raises."""
    before = sys.stdin, sys.stdout, sys.stderr
    with ExitStack() as opened:
        # A stream that was closed before the start is None in Python.
        if before[0] is None:
            sys.stdin = opened.enter_context(Path(os.devnull).open(encoding="utf-8"))
        if before[1] is None:
            sys.stdout = opened.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        stderr = before[2] or opened.enter_context(Path(os.devnull).open("w", encoding="utf-8"))
        sys.stderr = cast("TextIO", _Unfailing(stderr))
        try:
            yield
        finally:
            sys.stderr.flush()
            sys.stdin, sys.stdout, sys.stderr = before


def is_closed_pipe(stream: TextIO) -> bool:
    """Tell whether nobody reads the stream any more."""
    if not hasattr(select, "poll"):  # Windows; there a broken pipe can only be taken as this one
        return True
    try:
        poll = select.poll()
        poll.register(stream.fileno(), 0)  # errors and hang-ups are always told
        return bool(poll.poll(0))
    except (OSError, ValueError):
        return False


def silence(stream: TextIO) -> None:
    """Send the rest nowhere, what is held back too: it would fail again at the very end."""
    with suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)


class _Unfailing:
    """A text stream that swallows what cannot be written."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        try:
            self._stream.write(text)
        except (OSError, ValueError):
            silence(self._stream)
        return len(text)

    def writelines(self, lines: list[str]) -> None:
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        try:
            self._stream.flush()
        except (OSError, ValueError):
            silence(self._stream)

    def isatty(self) -> bool:
        try:
            return self._stream.isatty()
        except (OSError, ValueError):
            return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)
