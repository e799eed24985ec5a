"""What the faults are put into: a small model with a two-layer backbone, and a log that grows."""

import csv
import hashlib
import json
import math
import random
import shutil
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from pathlib import Path

from benchmarks.reliability.processes import aster
from tests.tiny_backbone import write_tiny_backbone

MACHINES = ("a", "b")
ROWS = (90, 150, 220, 300)
"""Rows of the log, machine by machine, when a step of the scoring begins; the third compacts."""

TRAIN = (
    "train", "log.csv", "-o", "m.aster", "--backbone", "llm", "--backbone-layers", 2, "--steps", 6,
    "--window-size", 8, "--precision", "fp32", "--id-col", "unit", "--force", "--resume", "-q",
)  # fmt: skip

Row = list[object]


class DamagedError(AssertionError):
    """A fault was not survived; the message says how."""


def require(holds: bool, what: str) -> None:
    """Raise `DamagedError` unless `holds`."""
    if not holds:
        raise DamagedError(what)


def write_log(path: Path, rows: int, *, machines: tuple[str, ...] = MACHINES) -> None:
    """A noisy wave in three sensors, a row a minute, the same for the same row whenever asked."""
    write_rows(path, [log_row(row, machine) for row in range(rows) for machine in machines])


def write_rows(path: Path, rows: Iterable[Sequence[object]], *, more: bool = False) -> None:
    """Rows as a CSV, or more of them at its end."""
    with path.open("a" if more else "w", newline="") as file:
        out = csv.writer(file)
        if not more:
            out.writerow(["time", "unit", "s0", "s1", "s2"])
        out.writerows(rows)


def log_row(row: int, machine: str) -> Row:
    """One row; now and then something is wrong with it."""
    draw = random.Random(f"{row} {machine}")
    odd = 6.0 if row % 97 in range(60, 64) else 0.0
    values = [math.sin(row / 7.0 + i) + draw.gauss(0.0, 0.05) + odd for i in range(3)]
    time = datetime(2025, 1, 1) + timedelta(minutes=row)
    return [time.isoformat(" "), machine, *(f"{value:.6f}" for value in values)]


def score_step(step: int) -> tuple[object, ...]:
    """The arguments of a step."""
    more = ("--compact",) if step == 2 else ()
    return (
        "score", f"log{step}.csv", "-m", "m.aster", "--state", "state", "-o", "scores", "-q", *more,
    )  # fmt: skip


def set_up(base: Path) -> Path:
    """A folder with a training log, a backbone, a model, and the log as every step finds it."""
    base.mkdir(parents=True)
    write_tiny_backbone(base / "llm")
    write_log(base / "log.csv", 200)
    for step, rows in enumerate(ROWS):
        write_log(base / f"log{step}.csv", rows)
    require(aster(base, *TRAIN).code == 0, "the model of the scene was not trained")
    return base


def files_of(folder: Path) -> dict[str, str]:
    """A hash of every file below a folder; of a manifest without date and seal."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            data = path.read_bytes()
            if path.name == "manifest.json":
                manifest = json.loads(data)
                del manifest["created"], manifest["seal"]
                data = json.dumps(manifest).encode()
            found[str(path.relative_to(folder))] = hashlib.sha256(data).hexdigest()
    return found


def parts_in(folder: Path) -> dict[str, str]:
    """A hash of every part, and of nothing else."""
    if not folder.is_dir():
        return {}
    found = files_of(folder)
    return {name: found[name] for name in found if name.startswith("part-")}


def copied(source: Path, target: Path) -> Path:
    """A folder as another, whatever was there before."""
    shutil.rmtree(target, ignore_errors=True)
    shutil.copytree(source, target)
    return target
