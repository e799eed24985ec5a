"""How often scoring reports a change where there is none, and finds one that there is.

    python -m benchmarks.drift

On the normal part of every real log. *In turn*: the log is cut into stretches; every second one
is the reference, the others are judged, each by itself. Both see the same drift, so what is reported is
false. *Later*: the first 60 % are the reference, the rest is judged; what is reported may be true. The
second table changes the stretches judged in turn, one sensor after the other.
"""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import polars as pl

from aster_cli.config import ColumnConfig, TimeConfig
from aster_cli.drift import SHORTEST_STRETCH, STRETCHES, Finding, Kind, MachineWatch
from aster_cli.logs import open_log
from aster_cli.preparation import collect, fingerprint
from aster_cli.reference import Reference, reference_table
from aster_cli.results import FloatArray, Series
from benchmarks.detection.entities import DATA, find_entities

WINDOW = 32
MOST_STRETCHES = 40  # of a log, for time's sake
KINDS: tuple[Kind, ...] = ("scale", "frozen", "period", "drift")

Change = Callable[[FloatArray], FloatArray]


def _frozen(values: FloatArray) -> FloatArray:
    held = values.copy()
    held[len(held) // 4 :] = held[len(held) // 4]
    return held


CHANGES: dict[str, tuple[Kind, Change]] = {
    "times 1,000": ("scale", lambda values: 1000.0 * values),
    "a thousandth": ("scale", lambda values: values / 1000.0),
    "Celsius to Fahrenheit": ("scale", lambda values: 1.8 * values + 32.0),
    "three quarters frozen": ("frozen", _frozen),
}
SHIFTS = (1.0, 2.0, 4.0)  # standard deviations of the reference


@dataclass(frozen=True, slots=True)
class Judging:
    """A reference and the stretches that are compared with it."""

    name: str
    table: pl.DataFrame
    reference: Reference
    sensors: tuple[str, ...]
    period: float
    spreads: FloatArray
    stretches: list[Series]

    def findings(self, stretch: Series) -> list[Finding]:
        """What is found in a stretch."""
        watch = MachineWatch(
            (),
            sensors=self.sensors,
            reference=self.reference,
            period=self.period,
            window_size=WINDOW,
        )
        watch.push(stretch.time, pl.Series(stretch.numbers), stretch.values)
        return watch.findings()

    def measuring(self) -> list[int]:
        """Sensors that measure: half of their percentiles in the reference differ, at least."""
        levels = enumerate(self.table["percentiles"])
        return [i for i, known in levels if known is not None and known.n_unique() > 50]


def main() -> None:
    """Print the tables."""
    if not DATA.is_dir():
        sys.exit(f"no logs to run on: {DATA} is not there")
    logs = list(_logs())
    in_turn = [judging for log in logs for judging in _in_turn(*log)]
    later = [judging for log in logs for judging in _later(*log)]
    lines = [f"{len(logs)} logs", "", "| | " + " | ".join(KINDS) + " | any |", "|---" * 6 + "|"]
    for name, judgings in (("in turn", in_turn), ("later", later)):
        lines += _false_reports(name, judgings)
    lines += ["", "| change in one sensor | found as such | as anything |", "|---|---|---|"]
    lines += _true_reports(in_turn)
    sys.stdout.write("\n".join(lines) + "\n")


def _logs() -> Iterator[tuple[str, Series, tuple[str, ...]]]:
    """The normal part of every log, each once."""
    seen = set()
    for entity in find_entities(DATA):
        with open_log([str(entity.train)], ColumnConfig(), TimeConfig()) as log:
            (series,), _ = collect(log.batches())
            sensors = log.schema.sensors
        if (print_ := fingerprint([series])) not in seen:
            seen.add(print_)
            yield entity.key, series, sensors


def _judging(
    name: str, reference: Series, sensors: tuple[str, ...], stretches: list[Series]
) -> Judging:
    table = reference_table([reference], sensors)
    return Judging(
        name,
        table,
        Reference.of(table, sensors),
        sensors,
        float(np.median(np.diff(reference.time))),
        np.nanstd(reference.values, axis=0),
        stretches[:MOST_STRETCHES],
    )


def _in_turn(name: str, series: Series, sensors: tuple[str, ...]) -> Iterator[Judging]:
    length = max(SHORTEST_STRETCH, len(series) // (2 * STRETCHES))
    cut = [series.rows(at, at + length) for at in range(0, len(series) - length + 1, length)]
    if len(cut) < 4:
        return
    known = cut[::2]
    reference = Series(
        (),
        np.concatenate([one.numbers for one in known]),
        np.concatenate([one.time for one in known]),
        np.concatenate([one.values for one in known]),
    )
    yield _judging(name, reference, sensors, cut[1::2])


def _later(name: str, series: Series, sensors: tuple[str, ...]) -> Iterator[Judging]:
    known = round(0.6 * len(series))
    length = max(SHORTEST_STRETCH, known // STRETCHES)
    starts = range(known, len(series) - length + 1, length)
    if starts:
        stretches = [series.rows(at, at + length) for at in starts]
        yield _judging(name, series.rows(0, known), sensors, stretches)


def _false_reports(name: str, judgings: list[Judging]) -> Iterator[str]:
    """Two rows: of a sensor's stretches, and of stretches of all sensors together."""
    found = [
        (len(judging.sensors), judging.findings(stretch))
        for judging in judgings
        for stretch in judging.stretches
    ]
    stretches, sensors = len(found), sum(n for n, _ in found)
    counts = [sum(sum(one.kind == kind for one in some) for _, some in found) for kind in KINDS]
    whole = [sum(any(one.kind == kind for one in some) for _, some in found) for kind in KINDS]
    of_sensors = [
        _share(n, stretches if kind == "period" else sensors)
        for n, kind in zip(counts, KINDS, strict=True)
    ]
    yield f"| {name}, of {sensors:,} stretches of a sensor | {' | '.join(of_sensors)} | |"
    anything = _share(sum(bool(some) for _, some in found), stretches)
    of_all = " | ".join(_share(n, stretches) for n in whole)
    yield f"| {name}, of {stretches:,} stretches of all sensors | {of_all} | {anything} |"


def _true_reports(judgings: list[Judging]) -> Iterator[str]:
    changes: dict[str, tuple[Kind, Change | float]] = dict(CHANGES)
    changes |= {
        f"{shift:g} standard deviation{'s' * (shift > 1)} more": ("drift", shift)
        for shift in SHIFTS
    }
    for label, (kind, change) in changes.items():
        as_such = as_any = n = 0
        for judging in judgings:
            for stretch in judging.stretches[::4]:
                for sensor in judging.measuring():
                    values = stretch.values.copy()
                    own = values[:, sensor]
                    values[:, sensor] = (
                        own + change * judging.spreads[sensor]
                        if isinstance(change, float)
                        else change(own)
                    )
                    changed = Series((), stretch.numbers, stretch.time, values)
                    of_it = [
                        one.kind
                        for one in judging.findings(changed)
                        if one.sensor == judging.sensors[sensor]
                    ]
                    n += 1
                    as_such += kind in of_it
                    as_any += bool(of_it)
        yield f"| {label} | {_share(as_such, n)} | {_share(as_any, n)} |"


def _share(part: int, whole: int) -> str:
    return f"{100 * part / max(whole, 1):.2f} %"


if __name__ == "__main__":
    main()
