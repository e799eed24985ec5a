"""`aster score --state` on a fleet, round after round, as cron runs it: what one round costs."""

import sys
from datetime import timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from benchmarks.speed.calls import Used, call
from benchmarks.speed.logs import START, waves, write_log

SENSORS = 8
_TRAINING_ROWS = 4000
_ASTER = ("-m", "aster_cli")


def measure_rounds(machines: int, rows: int, rounds: int, backbone: str) -> list[str]:
    """Score so many rounds of so many rows of each machine; return a table in Markdown.

    A machine has a row a second, and the rows of all lie in one file a round, in the order of time.
    """
    lines = [
        "| round | processor seconds | µs a row | peak memory | state |",
        "|---|---|---|---|---|",
    ]
    with TemporaryDirectory() as name:
        folder = Path(name)
        train = write_log(folder / "train.parquet", _TRAINING_ROWS, SENSORS)
        model, state = folder / "m.aster", folder / "state"
        call(*_ASTER, "train", train, "-o", model, "--backbone", backbone, "--steps", 20, "-q")
        for number in range(rounds):
            log = _write_round(folder / "round.parquet", number, machines, rows)
            used: Used = call(
                *(*_ASTER, "score", log, "-m", model, "--id-col", "unit", "-q"),
                *("--state", state, "-o", folder / "scores"),
            )
            kept = sum(file.stat().st_size for file in state.iterdir())
            written = (folder / "scores" / f"part-{number + 1:08}.parquet").stat().st_size
            lines.append(
                f"| {number + 1} | {used.seconds:.1f} | {1e6 * used.seconds / machines / rows:.1f} "
                f"| {used.peak:,.0f} MB | {kept / 1e6:.1f} MB | {written / machines / rows:.1f} bytes a row |"
            )
            sys.stderr.write(f"{lines[-1]}\n")
    return lines


def _write_round(path: Path, number: int, machines: int, rows: int) -> Path:
    """Rows of all machines for so many seconds, a Parquet file."""
    draw = np.random.default_rng(number)
    first = number * rows
    seconds = np.repeat(np.arange(first, first + rows), machines)
    values = waves(seconds, SENSORS, draw)
    times = pl.Series("time", seconds) * timedelta(seconds=1) + START
    units = pl.Series("unit", np.tile(np.arange(machines), rows)).cast(pl.String)
    pl.DataFrame(
        [times, units, *(pl.Series(f"s{place}", values[:, place]) for place in range(SENSORS))]
    ).write_parquet(path)
    return path
