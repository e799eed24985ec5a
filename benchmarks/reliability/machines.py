"""Many machines in one log: what a training and a scoring of them take in memory and time."""

import os
import sys
from itertools import chain
from pathlib import Path

from aster_cli.checkpoint import detectors_of
from aster_cli.logs import read_scores
from benchmarks.reliability.scenes import Row, log_row, require, write_rows
from tests.tiny_backbone import write_tiny_backbone

TRAIN = (
    "--id-col", "unit", "--backbone", "llm", "--backbone-layers", 2, "--window-size", 8,
    "--precision", "fp32", "-q",
)  # fmt: skip
DRAWN = 20
"""Machines with values of their own; the others repeat them under other names."""


def run(folder: Path, *, machines: int, rows: int, seed: int) -> dict[str, object]:
    """Train and score so many machines, pooled and with a detector each, and again with more rows.

    Args:
        folder: Where to work.
        machines: In the log.
        rows: Of each.
        seed: Of nothing; every command here has one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_tiny_backbone(folder / "llm")
    names = [f"m{number:05}" for number in range(machines)]
    few = max(1, machines // 20)
    write_rows(folder / "log.csv", _rows(names, 0, rows))
    write_rows(folder / "few.csv", _rows(names[:few], 0, rows))
    write_rows(folder / "live.csv", _rows(names, rows, 2 * rows))
    write_rows(folder / "long.csv", _rows(names, rows, 5 * rows))
    own = ("--steps", 1, "--per-id")
    state = ("--state", "state", "-o", "scores", "-q")
    calls: dict[str, tuple[object, ...]] = {
        "train, pooled": ("train", "log.csv", "-o", "pooled.aster", *TRAIN, "--steps", 12),
        "score, pooled": ("score", "live.csv", "-m", "pooled.aster", *_to("a")),
        "score, pooled, 4 times the rows": ("score", "long.csv", "-m", "pooled.aster", *_to("b")),
        f"train --per-id, {few} machines": ("train", "few.csv", "-o", "few.aster", *TRAIN, *own),
        f"train --per-id, {machines} machines": (
            "train",
            "log.csv",
            "-o",
            "own.aster",
            *TRAIN,
            *own,
        ),
        "score, a detector each": ("score", "live.csv", "-m", "own.aster", *_to("c")),
        "score, a detector each, 4 times the rows": (
            "score",
            "long.csv",
            "-m",
            "own.aster",
            *_to("d"),
        ),
        "score --state, a detector each": ("score", "live.csv", "-m", "own.aster", *state),
    }
    taken = {what: _taken(folder, *arguments) for what, arguments in calls.items()}
    detectors = detectors_of(folder / "own.aster")
    require(
        detectors is not None and len(detectors) == machines, "a machine has no detector of its own"
    )
    for scores in ("c.parquet", "scores"):
        scored = read_scores(str(folder / scores))
        of_each = scored.group_by("unit").len()["len"]
        require(of_each.to_list() == [rows] * machines, f"{scores} lacks rows of a machine")
    return {
        "peak_mb": {what: peak for what, (peak, _) in taken.items()},
        "cpu_s": {what: seconds for what, (_, seconds) in taken.items()},
    }


def _rows(names: list[str], first: int, last: int) -> list[Row]:
    """As a plant writes them: minute after minute, every machine in each."""
    drawn = [[log_row(row, f"{i}") for i in range(DRAWN)] for row in range(first, last)]
    minutes = (
        [[values[i % DRAWN][0], name, *values[i % DRAWN][2:]] for i, name in enumerate(names)]
        for values in drawn
    )
    return list(chain.from_iterable(minutes))


def _to(name: str) -> tuple[str, ...]:
    return "-o", f"{name}.parquet", "-q"


def _taken(folder: Path, *arguments: object) -> tuple[int, int]:
    """The most memory that a command held, in MB, and the seconds of a processor that it took."""
    command = [sys.executable, "-m", "aster_cli", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pid = os.fork()
    if not pid:
        os.chdir(folder)
        os.execve(sys.executable, command, environment)
    _, status, usage = os.wait4(pid, 0)
    require(status == 0, f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    peak, seconds = round(usage.ru_maxrss / 1024), round(usage.ru_utime + usage.ru_stime)
    sys.stderr.write(f"{peak:,} MB, {seconds:,} s: aster {' '.join(command[3:])}\n")
    return peak, seconds
