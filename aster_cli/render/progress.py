"""How far reading or scoring is, on a terminal; elsewhere nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskProgressColumn,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from aster_cli.logs import Log
from aster_cli.render.layout import QUIET

Advance = Callable[[int], None]


class _Rate(ProgressColumn):
    """Rows a second over the last half minute; nothing until there is a rate."""

    def render(self, task: Task) -> Text:
        """Show it."""
        rate = task.finished_speed or task.speed
        return Text(f"{rate:,.0f} rows/s" if rate else "", style=QUIET)


@contextmanager
def row_progress(console: Console, log: Log, doing: str) -> Iterator[Advance]:
    """Show a bar while a log's rows go by; yields what is to be told of every batch's rows.

    Args:
        console: Where.
        log: Whose rows.
        doing: In a word: reading, scoring.
    """
    if not console.is_terminal or console.quiet:
        yield lambda rows: None
        return
    way = (
        TaskProgressColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} rows"),
        _Rate(),
        TimeRemainingColumn(compact=True),
    )
    parts = log.n_rows > log.batch_rows  # of a single batch there is no part of the way to tell
    known = way if parts else (TextColumn(f"{log.n_rows:,} rows"),)
    columns = (TextColumn(doing), bar(16), *known)
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=log.n_rows if parts else None)
        yield lambda rows: progress.advance(task, rows)


def bar(width: int) -> BarColumn:
    """A progress bar in the terminal's own colours."""
    return BarColumn(
        width, style=QUIET, complete_style="cyan", finished_style="cyan", pulse_style="cyan"
    )
