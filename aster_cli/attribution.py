"""Which sensors an anomalous row owes its score to, from what the model expected of each.

A sensor's evidence is its *departure* (see `aster_cli.reading.WindowReader`) over a power of its range
in training. The departure alone is in units of what is usual of the sensor's residuals, and a sensor
that is nearly always at rest gets the most of it for a small move; its range in training says how large
the move is.

An event's rows count by their evidence: its many rows in which little happens say little.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.logs import TOP_SENSORS
from aster_cli.results import FloatArray, MachineId
from aster_cli.scaling import SensorScaling

TOP = 5

SMALLEST_RANGE = 1.0
"""In standard deviations: a sensor that never moved in training has no range of its own."""

RANGE_POWER = 1.25
"""Of the range that a departure is divided by."""

_DIGITS = 9  # that are kept of values: they went through single precision, as standard scores


@dataclass(frozen=True, slots=True)
class Attribution:
    """The leading sensors of every row, most responsible first.

    Attributes:
        sensors: ``(row, top)`` int32 sensor numbers.
        evidence: ``(row, top)`` float64, never negative.
        directions: ``(row, top)`` int8: +1 above what was expected, -1 below, 0 neither.
        actual: ``(row, top)`` float64, what they measured, in their own units, to nine digits.
        expected: ``(row, top)`` float64, what was expected of them.
    """

    sensors: NDArray[np.int32]
    evidence: FloatArray
    directions: NDArray[np.int8]
    actual: FloatArray
    expected: FloatArray

    @classmethod
    def blank(cls, n_rows: int, n_sensors: int) -> "Attribution":
        """Rows of which nothing is known."""
        dtypes = (np.int32, np.float64, np.int8, np.float64, np.float64)
        return cls(*(np.zeros((n_rows, min(TOP, n_sensors)), dtype) for dtype in dtypes))

    @property
    def shares(self) -> NDArray[np.float32]:
        """The sensors' shares of the row's evidence, ``(row, top)``: each row's sum is 1."""
        return _shares(self.evidence).astype(np.float32)

    def parts(self) -> tuple[NDArray[Any], ...]:
        """All of it, in the order of the attributes."""
        return self.sensors, self.evidence, self.directions, self.actual, self.expected

    def of(self, rows: NDArray[np.int64] | slice) -> "Attribution":
        """Some of the rows."""
        return Attribution(*(part[rows] for part in self.parts()))

    def and_next(self, other: "Attribution") -> "Attribution":
        """These rows and the next ones."""
        pairs = zip(self.parts(), other.parts(), strict=True)
        return Attribution(*(np.concatenate(pair) for pair in pairs))

    def write(self, rows: NDArray[np.int64], what: "Attribution") -> None:
        """Put other rows in the place of these."""
        for part, new in zip(self.parts(), what.parts(), strict=True):
            part[rows] = new


class SensorRanges:
    """How far every sensor ranged in training, in its standard deviations, machine by machine.

    Args:
        reference: As `aster_cli.reference.reference_table` makes it.
        sensors: Sensor names.
        scaling: Holds the standard deviations.
    """

    def __init__(
        self, reference: pl.DataFrame, sensors: tuple[str, ...], scaling: SensorScaling
    ) -> None:
        ends = reference.select(
            "machine",
            "sensor",
            lowest=pl.col("percentiles").list.first(),
            highest=pl.col("percentiles").list.last(),
        )
        self._own = {
            tuple(machine): _ranges(rows, sensors, scaling.spread(tuple(machine)))
            for (machine,), rows in ends.group_by("machine", maintain_order=True)
        }
        self._pooled = _ranges(ends, sensors, scaling.spread(()))

    def of(self, machine: MachineId) -> FloatArray:
        """A machine's ranges, ``(sensor,)``; those of all together for one that training never saw."""
        return self._own.get(machine, self._pooled)


def _ranges(ends: pl.DataFrame, sensors: tuple[str, ...], spread: FloatArray) -> FloatArray:
    rows = ends.group_by("sensor").agg(pl.col("lowest").min(), pl.col("highest").max())
    known = {name: (lowest, highest) for name, lowest, highest in rows.iter_rows()}
    lowest, highest = np.array([known[name] for name in sensors], dtype=np.float64).T
    # a sensor without a value on this machine has no range there either
    ranges: FloatArray = np.fmax((highest - lowest) / spread, SMALLEST_RANGE)
    return ranges


def weigh(departures: FloatArray, ranges: FloatArray) -> FloatArray:
    """Evidence of departures, ``(row, sensor)``.

    Args:
        departures: The same, as `aster_cli.reading.WindowReader` measures them.
        ranges: ``(sensor,)`` in training.
    """
    evidence: FloatArray = departures / ranges**RANGE_POWER
    return evidence


def attribute(evidence: FloatArray, actual: FloatArray, expected: FloatArray) -> Attribution:
    """Share a row among its sensors by evidence.

    Args:
        evidence: ``(row, sensor)``, never negative.
        actual: ``(row, sensor)`` in the sensors' own units.
        expected: The same, as expected.
    """
    top = np.argsort(-evidence, axis=1, kind="stable")[:, :TOP]
    leading, *values = (
        np.take_along_axis(part, top, axis=1) for part in (evidence, actual, expected)
    )
    return Attribution(
        top.astype(np.int32),
        leading.astype(np.float64),
        np.sign(values[0] - values[1]).astype(np.int8),
        *map(_rounded, values),
    )


def event_shares(squares: FloatArray) -> FloatArray:
    """Sensors' shares of an event, ``(sensor,)``: they sum to 1.

    Args:
        squares: Each one's squared evidence, summed over the event's rows.
    """
    return _shares(np.sqrt(squares))


def _rounded(values: FloatArray) -> FloatArray:
    flat = pl.Series(values.ravel(), dtype=pl.Float64)
    return flat.round_sig_figs(_DIGITS).to_numpy().reshape(values.shape)


def _shares(evidence: FloatArray) -> FloatArray:
    """Parts of the sum over the last axis, even ones where that is 0."""
    total = evidence.sum(axis=-1, keepdims=True)
    even = np.full_like(evidence, 1.0 / max(evidence.shape[-1], 1))
    shares: FloatArray = np.divide(evidence, total, out=even, where=total > 0)
    return shares


def attribution_columns(
    attribution: Attribution, rows: NDArray[np.int64], n_rows: int, names: tuple[str, ...]
) -> tuple[pl.Series, pl.Series]:
    """The output columns ``top_sensors`` and ``evidence``: null but for `rows`, the attribution's."""
    evidence = np.full(n_rows, np.nan)
    evidence[rows] = attribution.evidence.sum(axis=1)
    place = np.full(n_rows, -1)
    place[rows] = np.arange(len(rows))
    parts = {
        "sensor": pl.Series(names, dtype=pl.String).gather(attribution.sensors.ravel()),
        "share": attribution.shares.ravel(),
        "direction": attribution.directions.ravel(),
        "actual": attribution.actual.ravel(),
        "expected": attribution.expected.ravel(),
    }
    leading = pl.DataFrame(parts).to_struct().reshape(attribution.sensors.shape).arr.to_list()
    return (
        leading.gather(pl.Series(place).replace(-1, None)).cast(TOP_SENSORS).alias("top_sensors"),
        pl.Series("evidence", evidence, dtype=pl.Float64, nan_to_null=True),
    )
