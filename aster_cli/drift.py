"""Whether the rows that are scored still are what the model was trained on.

A machine's rows are watched in *stretches*, one after the other, each a thirtieth of its training
rows. Of a stretch only counts are kept. What the fixed numbers below rest on is measured by
``python -m benchmarks.drift`` and told in ``docs/drift.md``.
"""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.reference import Reference, SensorReference, run_lengths
from aster_cli.results import Clock, FloatArray, MachineId, Snapshot

STRETCHES = 30
"""Into so many stretches the training rows of a machine would be cut."""

SHORTEST_STRETCH = 100  # rows

HIGHEST_KS = 0.95
HIGHEST_PSI = 8.0
"""A sensor whose distance or index over a stretch is larger has drifted."""

FAR_SHARE = 0.5
"""A scale has jumped if more of the values lie farther outside the training range than it is wide."""

LONGEST_RUN = 3.0
"""A sensor is frozen if it keeps a value for so many times its longest run in training, and a window."""

PERIODS = (2 / 3, 3 / 2)
"""The sampling period is another if the median step leaves this range, in periods of the model."""

_STEPS = 2.0 ** (np.arange(-128, 129) / 16)  # edges, in periods: the median is known to 4 %

Kind = Literal["scale", "frozen", "period", "drift"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One way in which a log is not what the model was trained on.

    Attributes:
        kind: What has changed.
        machine: Whose rows these are.
        sensor: Which; None for the sampling period.
        start: The log's own timestamp of the first row concerned.
        end: The same of the last one.
        rows: Rows that this rests on.
        value: The share of values that are far outside (``scale``), the length of the run
            (``frozen``), the median step in periods of the model (``period``), or the distance of
            Kolmogorov and Smirnov (``drift``).
        psi: The population stability index, of ``drift`` only.
    """

    kind: Kind
    machine: MachineId
    sensor: str | None
    start: object
    end: object
    rows: int
    value: float
    psi: float | None = None


@dataclass(frozen=True, slots=True)
class SensorDistance:
    """How far a sensor's values lie from those of training, over the machine's last whole stretch.

    Attributes:
        machine: Whose rows these are.
        sensor: Which.
        start: The log's own timestamp of the stretch's first row.
        end: The same of the last one.
        rows: Its values that are not missing.
        ks: The distance of Kolmogorov and Smirnov.
        psi: The population stability index.
    """

    machine: MachineId
    sensor: str
    start: object
    end: object
    rows: int
    ks: float
    psi: float


class _Stretch:
    """What is counted of a stretch so far."""

    def __init__(self, references: Sequence[SensorReference | None]) -> None:
        n = len(references)
        self.rows = 0
        self.start: object = None
        self.end: object = None
        self.counts = [np.zeros(ref.n_cells if ref else 0, dtype=np.int64) for ref in references]
        self.far = np.zeros(n, dtype=np.int64)
        self.longest = np.zeros(n, dtype=np.int64)  # runs that end in the stretch, or go on
        self.longest_from: list[object] = [None] * n
        self.longest_to: list[object] = [None] * n
        self.steps = np.zeros(len(_STEPS) + 1, dtype=np.int64)  # by their length
        self.step = np.zeros(len(_STEPS) + 1)  # the first of each, to name one that there was


class MachineWatch:
    """Watches one machine's rows go by, batch after batch.

    Args:
        machine: Whose rows these are.
        sensors: Their names.
        reference: What training saw.
        period: Of the sampling, in units of the clock.
        window_size: Fewer rows than that say nothing.
    """

    def __init__(
        self,
        machine: MachineId,
        *,
        sensors: Sequence[str],
        reference: Reference,
        period: float,
        window_size: int,
    ) -> None:
        self._machine, self._sensors = machine, sensors
        self._references = reference.sensors(machine) or [None] * len(sensors)
        self._length = max(SHORTEST_STRETCH, window_size, reference.rows(machine) // STRETCHES)
        self._period, self._window_size = period, window_size
        self._last_time: int | float | None = None
        self._value = np.full(len(sensors), np.nan)  # every sensor's last one,
        self._run = np.zeros(len(sensors), dtype=np.int64)  # how often it came in a row,
        self._since: list[object] = [None] * len(sensors)  # and from when on
        self._open = _Stretch(self._references)
        self._found: list[Finding] = []
        self._standing: list[Finding] = []  # of the last whole stretch
        self._distances: list[SensorDistance] = []

    def push(self, time: Clock, timestamps: pl.Series, values: FloatArray) -> None:
        """Take the machine's next rows.

        Args:
            time: ``(row,)`` rising.
            timestamps: The log's own.
            values: ``(row, sensor)`` in the sensors' own units, NaN where a cell is missing.
        """
        start = 0
        while start < len(time):
            stop = min(len(time), start + self._length - self._open.rows)
            self._count(time[start:stop], timestamps[start:stop], values[start:stop])
            if self._open.rows == self._length:
                self._close()
            start = stop

    @property
    def newest(self) -> int | float | None:
        """The clock of the last row."""
        return self._last_time

    @property
    def distances(self) -> list[SensorDistance]:
        """Of the last whole stretch; none before its end, and none without a reference."""
        return self._distances

    def findings(self) -> list[Finding]:
        """What was found in stretches that ended since the start, and what holds at the end."""
        current = self._open.rows >= self._window_size
        holding = [one for one in self._standing if one.kind == "drift" or not current]
        now = self._judge(whole=False) if current else []
        return merged([*self._found, *holding, *now])

    def snapshot(self) -> Snapshot:
        """What it takes to go on from here; what was found before is not part of it."""
        stretch = self._open
        return {
            "last_time": self._last_time,
            "value": self._value.copy(),
            "run": self._run.copy(),
            "since": list(self._since),
            "standing": [asdict(one) for one in self._standing],
            "distances": [asdict(one) for one in self._distances],
            "stretch": {
                "rows": stretch.rows,
                "start": stretch.start,
                "end": stretch.end,
                "counts": np.concatenate([np.zeros(0, dtype=np.int64), *stretch.counts]),
                "far": stretch.far.copy(),
                "longest": stretch.longest.copy(),
                "longest_from": list(stretch.longest_from),
                "longest_to": list(stretch.longest_to),
                "steps": stretch.steps.copy(),
                "step": stretch.step.copy(),
            },
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot of a watch that was opened alike."""
        self._last_time = snapshot["last_time"]
        self._value, self._run = snapshot["value"], snapshot["run"]
        self._since = list(snapshot["since"])
        own: dict[str, Any] = {"machine": self._machine}
        self._standing = [Finding(**{**one, **own}) for one in snapshot["standing"]]
        self._distances = [SensorDistance(**{**one, **own}) for one in snapshot["distances"]]
        stretch = _Stretch(self._references)
        ends = np.cumsum([len(counts) for counts in stretch.counts])
        for name, value in snapshot["stretch"].items():
            setattr(stretch, name, value)
        stretch.counts = np.split(snapshot["stretch"]["counts"], ends[:-1])
        self._open = stretch

    def _count(self, time: Clock, timestamps: pl.Series, values: FloatArray) -> None:
        stretch = self._open
        if not stretch.rows:
            stretch.start = timestamps[0]
        stretch.rows += len(time)
        stretch.end = timestamps[-1]
        before = time[:1] if self._last_time is None else np.array([self._last_time])
        steps = np.diff(np.concatenate((before, time)))
        steps = steps[1:] if self._last_time is None else steps
        steps = steps / self._period
        places = np.searchsorted(_STEPS, steps)
        kinds, first = np.unique(places, return_index=True)
        stretch.step[kinds] = np.where(stretch.steps[kinds], stretch.step[kinds], steps[first])
        stretch.steps += np.bincount(places, minlength=len(stretch.steps))
        self._last_time = time[-1].item()
        for sensor, reference in enumerate(self._references):
            rows = np.flatnonzero(~np.isnan(values[:, sensor]))
            if reference is None or not len(rows):
                continue
            known = values[rows, sensor]
            stretch.counts[sensor] += reference.count(known)
            stretch.far[sensor] += reference.far(known)
            self._count_runs(sensor, known, rows, timestamps)

    def _count_runs(
        self, sensor: int, known: FloatArray, rows: NDArray[np.int64], timestamps: pl.Series
    ) -> None:
        """Follow how long a sensor has one value; `rows` says where the known ones are."""
        stretch = self._open
        runs = run_lengths(known)
        ends = np.cumsum(runs)
        goes_on = bool(known[0] == self._value[sensor])
        if goes_on:
            runs[0] += self._run[sensor]
        longest = int(runs.argmax())
        if runs[longest] > stretch.longest[sensor]:
            own = longest == 0 and goes_on
            first = rows[ends[longest - 1] if longest else 0]
            stretch.longest[sensor] = runs[longest]
            stretch.longest_from[sensor] = self._since[sensor] if own else timestamps[int(first)]
            stretch.longest_to[sensor] = timestamps[int(rows[ends[longest] - 1])]
        if len(runs) > 1 or not goes_on:
            self._since[sensor] = timestamps[int(rows[ends[-2] if len(runs) > 1 else 0])]
        self._value[sensor], self._run[sensor] = known[-1], runs[-1]

    def _close(self) -> None:
        """A stretch is whole: judge it, and begin the next one."""
        self._standing = self._judge(whole=True)
        self._found += self._standing
        self._distances = self._measure()
        self._open = _Stretch(self._references)

    def _measure(self) -> list[SensorDistance]:
        stretch = self._open
        return [
            SensorDistance(
                self._machine,
                self._sensors[sensor],
                stretch.start,
                stretch.end,
                int(counts.sum()),
                reference.ks(counts),
                reference.psi(counts),
            )
            for sensor, (reference, counts) in enumerate(
                zip(self._references, stretch.counts, strict=True)
            )
            if reference is not None and counts.sum() >= self._window_size
        ]

    def _judge(self, *, whole: bool) -> list[Finding]:
        """What the open stretch shows; drift only if it is whole."""
        stretch = self._open
        found = self._judge_steps()
        for sensor, reference in enumerate(self._references):
            n = int(stretch.counts[sensor].sum())
            if reference is None or n < self._window_size:
                continue
            name, run = self._sensors[sensor], int(stretch.longest[sensor])
            share = float(stretch.far[sensor] / n)
            if reference.high > reference.low and share > FAR_SHARE:
                found.append(self._finding("scale", name, n, share))
            usual = max(LONGEST_RUN * reference.longest_run, self._window_size)
            if reference.high > reference.low and run > usual:
                begin, end = stretch.longest_from[sensor], stretch.longest_to[sensor]
                frozen = self._finding("frozen", name, run, float(run))
                found.append(replace(frozen, start=begin, end=end))
        if whole:
            found += [
                replace(self._finding("drift", one.sensor, one.rows, one.ks), psi=one.psi)
                for one in self._measure()
                if one.ks > HIGHEST_KS or one.psi > HIGHEST_PSI
            ]
        return found

    def _judge_steps(self) -> list[Finding]:
        counts = self._open.steps
        n = int(counts.sum())
        if n < self._window_size:
            return []
        place = int(np.searchsorted(np.cumsum(counts), (n + 1) // 2))
        median = float(self._open.step[place])
        if PERIODS[0] <= median <= PERIODS[1]:
            return []
        return [self._finding("period", None, n, median)]

    def _finding(self, kind: Kind, sensor: str | None, rows: int, value: float) -> Finding:
        return Finding(kind, self._machine, sensor, self._open.start, self._open.end, rows, value)


def merged(findings: Iterable[Finding]) -> list[Finding]:
    """One finding for each kind, machine and sensor: from the first start on, with the last values."""
    one_of: dict[tuple[Kind, MachineId, str | None], Finding] = {}
    for finding in findings:
        key = (finding.kind, finding.machine, finding.sensor)
        start = one_of[key].start if key in one_of else finding.start
        one_of[key] = replace(finding, start=start)
    return list(one_of.values())
