"""Many machines in one log: what a training and a scoring of them take in memory, at the most."""

import os
import sys
from itertools import chain
from pathlib import Path

from aster_cli.checkpoint import (
    MachineDetectors,
    detectors_of,
    folder_of,
    load_model,
    read_card,
    save_model,
)
from aster_cli.results import MachineId
from benchmarks.reliability.scenes import Row, log_row, require, write_rows
from tests.tiny_backbone import write_tiny_backbone

TRAIN = (
    "--id-col", "unit", "--backbone", "llm", "--backbone-layers", 2, "--window-size", 8,
    "--precision", "fp32", "-q",
)  # fmt: skip
DRAWN = 20
"""Machines with values of their own; the others repeat them under other names."""


def run(folder: Path, *, machines: int, rows: int, trained: int, seed: int) -> dict[str, object]:
    """Train and score so many machines, and again with four times the rows.

    Args:
        folder: Where to work.
        machines: In the log.
        rows: Of each.
        trained: Machines that get a detector of their own in a training that is measured. In the scoring
            that is measured all have one: these, under the names of the others, too.
        seed: Of nothing; every command here has one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_tiny_backbone(folder / "llm")
    names = [f"m{number:05}" for number in range(machines)]
    write_rows(folder / "log.csv", _rows(names, 0, rows))
    write_rows(folder / "some.csv", _rows(names[:trained], 0, rows))
    write_rows(folder / "half.csv", _rows(names[: trained // 2], 0, rows))
    write_rows(folder / "live.csv", _rows(names, rows, 2 * rows))
    write_rows(folder / "long.csv", _rows(names, rows, 5 * rows))
    found = {
        "train, pooled": _megabytes(
            folder, "train", "log.csv", "-o", "m.aster", *TRAIN, "--steps", 12
        ),
        "score, pooled": _megabytes(folder, "score", "live.csv", "-m", "m.aster", *_to("a")),
        "score, pooled, 4 times the rows": _megabytes(
            folder, "score", "long.csv", "-m", "m.aster", *_to("b")
        ),
        f"train --per-id, {trained // 2} machines": _megabytes(
            folder, "train", "half.csv", "-o", "h.aster", *TRAIN, "--steps", 1, "--per-id"
        ),
        f"train --per-id, {trained} machines": _megabytes(
            folder, "train", "some.csv", "-o", "s.aster", *TRAIN, "--steps", 1, "--per-id"
        ),
    }
    _give_all(folder, names)
    found |= {
        "score, a detector each": _megabytes(
            folder, "score", "live.csv", "-m", "all.aster", *_to("c")
        ),
        "score, a detector each, 4 times the rows": _megabytes(
            folder, "score", "long.csv", "-m", "all.aster", *_to("d")
        ),
        "score --state, a detector each": _megabytes(
            folder, "score", "live.csv", "-m", "all.aster", "--state", "state", "-o", "scores", "-q"
        ),
    }
    return {"peak_mb": found}


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


def _give_all(folder: Path, names: list[str]) -> None:
    """A model in which every machine has a detector: those that were trained, under all names."""
    source = folder / "s.aster"
    detectors, checkpoint = detectors_of(source), load_model(source)[0]
    own = [] if detectors is None else [detectors.path(machine) for machine in detectors]
    require(bool(own), "no machine has a detector of its own")
    gathered = folder / "gathered"
    gathered.mkdir()
    models: dict[MachineId, str] = {}
    for number, name in enumerate(names):
        path = own[number % len(own)]
        (gathered / folder_of((name,))).symlink_to(path.resolve())
        models[(name,)] = read_card(path).manifest.model_id
    save_model(checkpoint, folder / "all.aster", detectors=MachineDetectors(gathered, models))


def _megabytes(folder: Path, *arguments: object) -> int:
    """The most memory that a command held."""
    command = [sys.executable, "-m", "aster_cli", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    pid = os.fork()
    if not pid:
        os.chdir(folder)
        os.execve(sys.executable, command, environment)
    _, status, usage = os.wait4(pid, 0)
    require(status == 0, f"{' '.join(command)} ended with {os.waitstatus_to_exitcode(status)}")
    peak = round(usage.ru_maxrss / 1024)
    sys.stderr.write(f"{peak:,} MB, {usage.ru_utime:.0f} s: aster {' '.join(command[3:])}\n")
    return peak
