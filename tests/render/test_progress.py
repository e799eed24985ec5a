"""Progress is for people at a terminal; logs get a line now and then, quiet runs nothing."""

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

from aster_cli.checkpoint import ModelCard
from aster_cli.config import ColumnConfig, TimeConfig
from aster_cli.logs import open_log
from aster_cli.render.console import stderr_console
from aster_cli.render.progress import row_progress
from aster_cli.render.training import training_progress


class Terminal(io.StringIO):
    """A stream that says that it is a terminal."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


Stderr = Callable[[], io.StringIO]


@pytest.fixture(params=[False, True], ids=["stream", "terminal"])
def stderr(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Stderr:
    """Return what puts a stream in the place of stderr; to be called in the test itself."""

    def replace() -> io.StringIO:
        monkeypatch.setenv("TERM", "xterm-256color")
        stream = Terminal() if request.param else io.StringIO()
        monkeypatch.setattr(sys, "stderr", stream)
        return stream

    return replace


def test_training(stderr: Stderr, card: ModelCard) -> None:
    """Twelve epochs are a few lines in a file, and one moving line on a terminal."""
    stream = stderr()
    with training_progress(stderr_console()) as on_epoch:
        for record in card.training.epochs:
            on_epoch(record, 150)
    shown = stream.getvalue()
    if stream.isatty():
        assert "learning" in shown
        assert re.search(r"step \d+ of 150", shown)
        assert "\x1b" in shown
    else:
        assert shown.splitlines() == [
            "learning: step 25 of 150, reconstruction 1.00, separation 0.70",
            "learning: step 125 of 150, reconstruction 0.200, separation 0.86",
            "learning: step 150 of 150, reconstruction 0.167, separation 0.87",
            "finishing: step 25 of 150, reconstruction 1.00",
        ]


@pytest.mark.parametrize("batch_rows", [4, 10])
def test_scoring(stderr: Stderr, tmp_path: Path, batch_rows: int) -> None:
    """A bar of rows on a terminal, nothing in a file; of a single batch no share, which would be 0 %
    to the end."""
    stream = stderr()
    path = tmp_path / "log.parquet"
    pl.DataFrame({"step": range(10), "x": [1.0] * 10}).write_parquet(path)
    with open_log([str(path)], ColumnConfig(), TimeConfig()) as log:
        log.batch_rows = batch_rows
        with row_progress(stderr_console(), log, "scoring") as advance:
            advance(4)
            advance(6)
    shown = stream.getvalue()
    if batch_rows == 10:
        assert ("10 rows" in shown) == stream.isatty()
        assert "%" not in shown
        return
    assert ("10 of 10 rows" in shown) == stream.isatty()
    assert ("rows/s" in shown) == stream.isatty()
    assert stream.isatty() or shown == ""


def test_quiet(stderr: Stderr, tmp_path: Path, card: ModelCard) -> None:
    """-q is for cron."""
    stream = stderr()
    path = tmp_path / "log.parquet"
    pl.DataFrame({"step": range(10), "x": [1.0] * 10}).write_parquet(path)
    console = stderr_console(quiet=True)
    with training_progress(console) as on_epoch:
        on_epoch(card.training.epochs[0], 150)
    with (
        open_log([str(path)], ColumnConfig(), TimeConfig()) as log,
        row_progress(console, log, "scoring") as advance,
    ):
        advance(10)
    assert stream.getvalue() == ""
