"""What is wrong with a log's clock, its gaps and its machines."""

from collections.abc import Iterator, Sequence

import numpy as np
import polars as pl

from aster_cli.inspection.roles import is_id_name
from aster_cli.inspection.steps import Steps
from aster_cli.inspection.values import Finding, MachineRows
from aster_cli.logs import Log
from aster_cli.logs.clock import epoch_unit, to_instants
from aster_cli.logs.machines import code_machines
from aster_cli.results import Clock

LEAST_ROWS = 64
"""Rows of one machine that training needs, without a gap."""

_UNEVEN_SHARE = 0.2  # of the steps
_GAP_SHARE = 0.01  # of the steps: segments of a hundred rows
_HOLE_SHARE = 0.5  # of the span, in a single gap
_MOST_MACHINES = 1000
_HOUR = 3600.0


def describe_clock(
    log: Log, steps: Steps, span: float, per_second: float, machine_column: str | None
) -> Iterator[Finding]:
    """What keeps the log's time from being a steady clock.

    Args:
        log: The log.
        steps: Its steps.
        span: Seconds, or counts.
        per_second: Units of the clock.
        machine_column: See `find_machine_column`.
    """
    if steps.disorder is not None:
        what = _disorder(log, steps, per_second)
        if machine_column is not None:
            rising = f"but rises for each value of {machine_column!r} by itself"
            yield Finding("machines", f"{what}, {rising}")
        else:
            yield Finding("clock", what)
    if steps.total and steps.uneven > _UNEVEN_SHARE * steps.total:
        part = f"{100 * steps.uneven / steps.total:.0f} % of the steps"
        yield Finding("clock", f"{part} are not one period long: rows count as if they were")
    if steps.longest and span > 0 and steps.longest[0].length > _HOLE_SHARE * span:
        gap = steps.longest[0]
        part = f"{100 * gap.length / span:.0f} %"
        yield Finding("clock", f"jumps from {gap.start} to {gap.end}, {part} of the whole span")


def _disorder(log: Log, steps: Steps, per_second: float) -> str:
    """How time fails to rise, and where first."""
    counts = [f"falls {_times(steps.falls)}"] if steps.falls else []
    counts += [f"stands still {_times(steps.repeats)}"] if steps.repeats else []
    row, when = steps.disorder or (0, "")
    said = f"time {' and '.join(counts)}, first at {when} ({log.place(row)})"
    hour = _HOUR * per_second
    if log.schema.seconds_per_unit and 0 <= hour - steps.farthest_fall <= 2 * (steps.period or 0):
        return f"{said}; by an hour, as when summer time ends: write UTC"
    return said


def describe_gaps(steps: Steps) -> Iterator[Finding]:
    """Gaps so frequent that windows hardly fit between them."""
    if steps.total and steps.gaps > max(1.0, _GAP_SHARE * steps.total):
        every = (steps.total + 1) / (steps.gaps + 1)
        yield Finding("gaps", f"{steps.gaps:,} gaps, one every {every:,.0f} rows")


def describe_length(machines: Sequence[MachineRows]) -> Iterator[Finding]:
    """A log that nothing can be learnt from."""
    most = max(machine.rows for machine in machines)
    if most < LEAST_ROWS:
        whose = "no machine has more than " if len(machines) > 1 else ""
        yield Finding("too short", f"{whose}{most:,} row{'' if most == 1 else 's'}")


def find_machine_column(log: Log) -> str | None:
    """The column that tells machines apart whose rows are mixed, judged by the first rows.

    It makes time rise within each of its values where it does not rise over all rows.
    """
    schema = log.schema
    if schema.id_cols or schema.time_col is None:
        return None
    head = log.head()
    unit = epoch_unit(head[schema.time_col]) if schema.time_kind == "epoch" else None
    time = to_instants(head[schema.time_col], schema.time_kind, unit)
    known = time.is_not_null()
    head, instants = head.filter(known), time.filter(known).to_numpy()
    if bool((np.diff(instants) > 0).all()):
        return None
    named = [name for name in head.columns if name not in (schema.time_col, schema.label_col)]
    fitting = [name for name in named if _tells_apart(head[name], instants)]
    return min(fitting, key=lambda name: not is_id_name(name), default=None)


def _tells_apart(cells: pl.Series, time: Clock) -> bool:
    if cells.dtype.is_float() or cells.dtype.is_temporal():
        return False
    if not 1 < cells.n_unique() <= min(_MOST_MACHINES, len(cells) // 2) or cells.null_count():
        return False
    _, codes = code_machines(cells.to_frame(), len(cells))
    order = np.argsort(codes, kind="stable")
    same = np.diff(codes[order]) == 0
    return bool((np.diff(time[order])[same] > 0).all())


def _times(n: int) -> str:
    return "once" if n == 1 else f"{n:,} times"
