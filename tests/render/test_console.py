"""Off a terminal there is text and nothing else; on one, colours only where they are welcome."""

import io
import re
import sys

import pytest
from rich.text import Text

from aster_cli.render.console import stderr_console, stdout_console
from aster_cli.render.layout import Column, table
from aster_cli.sparklines import LEVELS


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


SHOWN = Text.assemble(("severe", "bold red"), " 12 ", ("dim", "dim"))


@pytest.fixture(autouse=True)
def _no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TERM", "xterm-256color")


@pytest.mark.parametrize("forced", [False, True])
def test_no_codes_off_a_terminal(monkeypatch: pytest.MonkeyPatch, forced: bool) -> None:
    """Pipes and files get plain text, whatever CI systems set to force colours."""
    if forced:
        monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", stream := io.StringIO())
    stdout_console().print(SHOWN)
    assert stream.getvalue() == "severe 12 dim\n"


def test_colours_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only the terminal's own named colours: readers choose what they look like."""
    monkeypatch.setattr(sys, "stderr", stream := Terminal())
    stderr_console().print(SHOWN)
    assert "\x1b[1;31msevere\x1b[0m" in stream.getvalue()


@pytest.mark.parametrize("by_flag", [False, True])
def test_colours_can_be_declined(monkeypatch: pytest.MonkeyPatch, by_flag: bool) -> None:
    """NO_COLOR and --no-color take the colour and leave the text."""
    if not by_flag:
        monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setattr(sys, "stdout", stream := Terminal())
    stdout_console(no_color=by_flag).print(SHOWN)
    assert "\x1b[1;31m" not in stream.getvalue()
    assert "31" not in stream.getvalue()
    assert "severe" in stream.getvalue()


def test_quiet_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Errors do not go through these consoles; everything else can be silenced."""
    monkeypatch.setattr(sys, "stderr", stream := io.StringIO())
    stderr_console(quiet=True).print("hello")
    assert stream.getvalue() == ""


def test_markup_is_text(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sensor called [red] is called [red]."""
    monkeypatch.setattr(sys, "stdout", stream := io.StringIO())
    stdout_console().print("[red]x[/red] :warning:")
    assert stream.getvalue() == "[red]x[/red] :warning:\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_look_alikes_where_the_encoding_is_poor(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    """A terminal without UTF-8 gets a rougher picture, never an error or shifted columns."""
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", stream := io.TextIOWrapper(raw, encoding=encoding))
    stdout_console().print(table([Column("a"), Column("b")], [(LEVELS, "x ↑"), ("温度", "y")]))
    stream.flush()
    lines = raw.getvalue().decode(encoding).splitlines()
    assert lines == ["a         b", "_.:-=+*#  x ^", "??      y"]


def test_a_huge_terminal_is_not_filled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines of 400 characters are hard to follow."""
    monkeypatch.setenv("COLUMNS", "400")
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    assert stdout_console().width == 200


def test_text_that_was_forgotten_is_spelled_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every name from a log is made plain where it is laid out; this holds where one was missed."""
    hostile = "a\x1b[2J\x1b]0;owned\x07\u202eb\nc"
    for stream in (Terminal(), io.StringIO()):
        monkeypatch.setattr(sys, "stdout", stream)
        stdout_console().print(Text(hostile), table([Column(hostile)], [[hostile]]))
        stdout_console().print(f"note: {hostile}", style="dim", soft_wrap=True)
        text = re.sub("\x1b\\[\\d?m", "", stream.getvalue())
        assert "\\x1b[2J" in text
        assert all(c.isprintable() for c in text.replace("\n", ""))
