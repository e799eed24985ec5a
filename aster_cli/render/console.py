"""The two consoles: calm on a terminal, plain everywhere else.

Off a terminal nothing but text goes out: no colour, no bold, no bars, no control codes. ``NO_COLOR``
and ``--no-color`` take the colours from a terminal too. Markup, emoji codes and highlighting are
off, and control characters are spelled out, so text can be printed as it is. What is laid out has
to be `plain` before, or its width is another.
"""

import sys
from collections.abc import Iterable
from typing import IO, TextIO, cast

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from aster_cli.plain import plain_lines

NARROWEST, WIDEST = 80, 200
"""Columns that tables are laid out for; a narrower terminal is taken as it is."""

_LOOKALIKES = str.maketrans("▁▂▃▄▅▆▇█·…↑↓µ━╸╺\N{EN DASH}", "_.:-=+*#.~^vu----")
"""What stands for a character where the stream's encoding does not have it."""


def stdout_console(*, no_color: bool = False, quiet: bool = False) -> Console:
    """The console for results."""
    return _console(sys.stdout, no_color=no_color, quiet=quiet)


def stderr_console(*, no_color: bool = False, quiet: bool = False) -> Console:
    """The console for everything else: notes, progress, summaries beside data."""
    return _console(sys.stderr, no_color=no_color, quiet=quiet)


def _console(stream: TextIO, *, no_color: bool, quiet: bool) -> Console:
    is_terminal = stream.isatty()
    console = _Console(
        file=cast("IO[str]", _Spelled(stream)),
        force_terminal=is_terminal,
        force_interactive=None if is_terminal else False,
        color_system="auto" if is_terminal else None,
        no_color=True if no_color else None,
        quiet=quiet,
        markup=False,
        emoji=False,
        highlight=False,
    )
    if console.width > WIDEST:
        console.width = WIDEST
    return console


class _Console(Console):
    """Leaves it to the caller what a closed pipe means; Rich would exit with 1."""

    def on_broken_pipe(self) -> None:
        raise

    def render(
        self, renderable: RenderableType, options: ConsoleOptions | None = None
    ) -> Iterable[Segment]:
        """Spell out what no text may do to a terminal; Rich's own controls are no text."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=plain_lines(segment.text))


class _Spelled:
    """A text stream that writes look-alikes for characters that its encoding does not have."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self.encoding = stream.encoding or "utf-8"

    def write(self, text: str) -> int:
        try:
            text.encode(self.encoding)
        except UnicodeEncodeError:
            text = "".join(map(self._spell, text))
        return self._stream.write(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()

    def _spell(self, character: str) -> str:
        for candidate in (character, character.translate(_LOOKALIKES)):
            try:
                candidate.encode(self.encoding)
            except UnicodeEncodeError:
                continue
            return candidate
        return "?"
