"""How far training is: a bar on a terminal, a line now and then elsewhere."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import Progress, TextColumn, TimeRemainingColumn

from aster_cli.checkpoint import EpochRecord, OnEpoch
from aster_cli.plain import plain
from aster_cli.render.layout import QUIET
from aster_cli.render.progress import bar
from aster_cli.results import MachineId
from aster_cli.wording import number

EVERY = 4
"""Epochs from one plain line to the next."""

PHASES = {"fit": "learning", "refit": "finishing"}


@contextmanager
def training_progress(console: Console) -> Iterator[OnEpoch]:
    """Show how training goes; yields what is to be told of every epoch."""
    if console.quiet:
        yield lambda record, steps: None
    elif console.is_terminal:
        with _Bars(console) as bars:
            yield bars.tell
    else:
        yield lambda record, steps: _print_line(console, record, steps)


def machine_progress(console: Console) -> Callable[[MachineId, int, int], None]:
    """What is to be told of every machine that gets a detector of its own: a line each."""

    def tell(machine: MachineId, number: int, total: int) -> None:
        name = plain("/".join(machine))
        console.print(f"machine {number:,} of {total:,}: {name}", soft_wrap=True)

    return tell


def epoch_line(record: EpochRecord, steps: int) -> str:
    """An epoch in one line."""
    return f"{_phase(record)}: step {record.step:,} of {steps:,}, {_standing(record)}"


def _print_line(console: Console, record: EpochRecord, steps: int) -> None:
    if record.epoch % EVERY == 1 or record.step >= steps:
        console.print(epoch_line(record, steps), soft_wrap=True)


def _phase(record: EpochRecord) -> str:
    return PHASES.get(record.phase, record.phase)


def _standing(record: EpochRecord) -> str:
    """What training has come to: how well windows are rebuilt and anomalies told from them."""
    parts = []
    if "window_reconstruction" in record.losses:
        parts.append(f"reconstruction {number(record.losses['window_reconstruction'], 3)}")
    if record.separation is not None:
        parts.append(f"separation {record.separation:.2f}")
    return ", ".join(parts)


class _Bars:
    """A bar for each phase, and where training stands."""

    def __init__(self, console: Console) -> None:
        self._progress = Progress(
            TextColumn("{task.description}"),
            bar(16),
            TextColumn("{task.fields[steps]}"),
            TextColumn("{task.fields[standing]}", style=QUIET),
            TimeRemainingColumn(compact=True),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task("reading the log", total=None, steps="", standing="")
        self._phase = ""

    def __enter__(self) -> "_Bars":
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def tell(self, record: EpochRecord, steps: int) -> None:
        """Move on to where the epoch has ended."""
        if record.phase != self._phase:
            # an early stop leaves the phase before short of its steps
            self._progress.remove_task(self._task)
            self._phase = record.phase
            self._task = self._progress.add_task(_phase(record), total=steps, steps="", standing="")
        steps_so_far = f"step {record.step:,} of {steps:,}"
        self._progress.update(
            self._task, completed=record.step, steps=steps_so_far, standing=_standing(record)
        )
