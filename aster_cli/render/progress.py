"""How far scoring is, on a terminal; elsewhere nothing."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

from aster_cli.logs import Log
from aster_cli.render.layout import bar

Advance = Callable[[int], None]


@contextmanager
def scoring_progress(console: Console, log: Log) -> Iterator[Advance]:
    """Show a bar while a log is scored; yields what is to be told of every table's rows."""
    if not console.is_terminal or console.quiet:
        yield lambda rows: None
        return
    columns = (
        TextColumn("scoring"),
        bar(24),
        TaskProgressColumn(),
        TextColumn("{task.completed:,.0f} of {task.total:,.0f} rows"),
        TimeRemainingColumn(compact=True),
    )
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=log.n_rows)
        yield lambda rows: progress.advance(task, rows)
