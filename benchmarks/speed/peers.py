"""Every method on logs of growing length, width and window: seconds, memory, and how they grow."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.speed.calls import call
from benchmarks.speed.logs import write_log
from benchmarks.speed.worker import METHODS

ROWS, SENSORS, WINDOW = 2000, 8, 32
LENGTHS = (4000, 8000, 16_000)
"""Rows of logs, scored by one detector."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What methods are measured on, beside the length of logs."""

    sensors: int = SENSORS
    window: int = WINDOW


BASE, WIDER, LONGER = Setting(), Setting(sensors=4 * SENSORS), Setting(window=2 * WINDOW)


@dataclass(frozen=True, slots=True)
class Cost:
    """What a method took.

    Attributes:
        trained: Seconds of the processor.
        scored: The same, by rows of the log, without what a log of two windows takes.
        peak: Megabytes.
    """

    trained: float
    scored: dict[int, float]
    peak: float


def measure_peers(folder: Path) -> dict[str, dict[Setting, Cost]]:
    """Measure every method in every setting, the base first."""
    costs: dict[str, dict[Setting, Cost]] = {name: {} for name in METHODS}
    for setting in (BASE, WIDER, LONGER):
        lengths = LENGTHS if setting == BASE else LENGTHS[:1]
        train = write_log(folder / "train.parquet", ROWS, setting.sensors)
        few, *logs = [
            write_log(folder / f"{rows}.parquet", rows, setting.sensors, seed=1)
            for rows in (2 * setting.window, *lengths)
        ]
        for name in METHODS:
            found = call("-m", "benchmarks.speed.worker", name, setting.window, train, few, *logs)
            start, *scored = found.said["scored"]
            by_rows = {rows: seconds - start for rows, seconds in zip(lengths, scored, strict=True)}
            cost = costs[name][setting] = Cost(found.said["trained"], by_rows, found.said["peak"])
            sys.stderr.write(f"{name}, {setting}: {cost}\n")
    return costs


def slope(sizes: Sequence[float], values: Sequence[float]) -> float:
    """Of the line through the logarithms: 1 where twice the size takes twice as much."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def peers_table(costs: dict[str, dict[Setting, Cost]]) -> list[str]:
    """What every method took in the base setting, in Markdown."""
    most = LENGTHS[-1]
    own = costs["aster"][BASE].scored[most]
    lines = [
        "| method | rows scored a second | aster's rate in its rates | training | peak memory |",
        "|---|---|---|---|---|",
    ]
    for name, by_setting in costs.items():
        cost = by_setting[BASE]
        seconds = cost.scored[most]
        lines.append(
            f"| {name} | {most / seconds:,.0f} | {seconds / own:.2f} "
            f"| {cost.trained:.1f} s | {cost.peak:.0f} MB |"
        )
    return lines


def growth_table(costs: dict[str, dict[Setting, Cost]]) -> list[str]:
    """The slopes in logarithms of scoring and training seconds and of memory, in Markdown."""
    lines = [
        "| method | scoring in rows | in sensors | in window size "
        "| training in sensors | in window size | memory in sensors | in window size |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for name, by_setting in costs.items():
        base, wider, longer = (by_setting[setting] for setting in (BASE, WIDER, LONGER))
        least = LENGTHS[0]
        sizes = (((SENSORS, WIDER.sensors), wider), ((WINDOW, LONGER.window), longer))
        found = [slope(list(base.scored), list(base.scored.values()))]
        found += [slope(size, (base.scored[least], more.scored[least])) for size, more in sizes]
        found += [slope(size, (base.trained, more.trained)) for size, more in sizes]
        found += [slope(size, (base.peak, more.peak)) for size, more in sizes]
        lines.append(f"| {name} | {' | '.join(f'{value:z.2f}' for value in found)} |")
    return lines
