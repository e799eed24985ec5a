"""From sensor units to scaled units, machine by machine.

A scaled value is ``knee · asinh(u / knee)`` of ``u = (value - centre) / scale``: standard deviations
up to about the knee, logarithmic beyond. A sensor that drifted within the training log is expected to
drift on, so its knee is low; one that kept its level counts in full for longer. Compression keeps one
drifting sensor from hiding all others, and unlike clipping it never forgets which of two huge
deviations is the larger.
"""

import sys
from collections.abc import Iterable, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from aster_cli.results import FloatArray, MachineId

FEW_ROWS = 200
"""A machine with fewer training rows is scaled by the pooled table."""

_CONSTANT = 1e-8  # a standard deviation below this share of the level counts as none
_CONSTANT_SCALE = 0.1  # of the level: what one scaled unit means for a sensor that never moved
KNEES = (0.5, 3.0)
"""Range of the knee, in standard deviations."""

_BLOCKS = 5  # stretches of training time whose means tell a drift
_DRIFT = 0.32  # a sensor whose block means spread by this share of its deviation has a knee of 1
_FARTHEST = 1e300  # in scales: a cell with the largest float in it must not become infinite
_FARTHEST_ARCSINH = 690.0  # of a number that is as large


class ScalingTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Centre and scale of every sensor in its own units, and its knee in scales."""

    centre: tuple[float, ...]
    scale: tuple[float, ...]
    knee: tuple[float, ...]


class SensorScaling:
    """Scaling tables by machine, with a pooled one for machines that training hardly knew."""

    def __init__(
        self, pooled: ScalingTable, machines: Mapping[MachineId, ScalingTable] | None = None
    ) -> None:
        self.pooled = pooled
        self.machines = dict(machines or {})

    @classmethod
    def fit(cls, parts: Iterable[tuple[MachineId, FloatArray]]) -> "SensorScaling":
        """Fit on training rows: ``(row, sensor)`` without missing cells, in parts by machine.

        The parts of a machine are in the order of time.
        """
        by_machine: dict[MachineId, list[FloatArray]] = {}
        for machine, values in parts:
            by_machine.setdefault(machine, []).append(values)
        rows = {machine: np.concatenate(values) for machine, values in by_machine.items()}
        pooled = _table(np.concatenate(list(rows.values())))
        if len(rows) == 1:
            return cls(pooled)
        return cls(pooled, {m: _table(v) for m, v in rows.items() if len(v) >= FEW_ROWS})

    def knows(self, machine: MachineId) -> bool:
        """Whether the machine has a table of its own (or is the only one)."""
        return machine in self.machines or not self.machines

    def usual(self, machine: MachineId) -> FloatArray:
        """The machine's mean values in training, ``(sensor,)`` in sensor units."""
        return np.array(self.machines.get(machine, self.pooled).centre)

    def spread(self, machine: MachineId) -> FloatArray:
        """The machine's standard deviations in training, ``(sensor,)`` in sensor units."""
        return np.array(self.machines.get(machine, self.pooled).scale)

    def knee(self, machine: MachineId) -> NDArray[np.float32]:
        """Where the machine's sensors are compressed, ``(sensor,)`` in standard deviations."""
        return np.array(self.machines.get(machine, self.pooled).knee, dtype=np.float32)

    def scale(self, values: FloatArray, machine: MachineId) -> NDArray[np.float32]:
        """Sensor units to scaled units."""
        table = self.machines.get(machine, self.pooled)
        with np.errstate(over="ignore"):
            deviations = (values - np.array(table.centre)) / np.array(table.scale)
        near = np.clip(deviations, -_FARTHEST, _FARTHEST)
        knee = np.array(table.knee)
        scaled: NDArray[np.float32] = (knee * np.arcsinh(near / knee)).astype(np.float32)
        return scaled

    def unscale(self, scaled: NDArray[np.float32], machine: MachineId) -> FloatArray:
        """Scaled units back to sensor units."""
        table = self.machines.get(machine, self.pooled)
        knee = np.array(table.knee)
        near = np.clip(scaled / knee, -_FARTHEST_ARCSINH, _FARTHEST_ARCSINH)
        with np.errstate(over="ignore"):
            values: FloatArray = np.array(table.centre) + np.array(table.scale) * knee * np.sinh(
                near
            )
        return np.clip(values, -sys.float_info.max, sys.float_info.max)


def _table(rows: FloatArray) -> ScalingTable:
    """Mean, standard deviation and knee; a constant sensor gets a scale that cannot give NaN."""
    level = np.abs(rows).max(axis=0)
    unit = np.where(level > 0, level, 1.0)
    # in units of its own level no sensor's square is too large for a float
    relative = rows / unit
    centre, deviation = relative.mean(axis=0), relative.std(axis=0)
    scale = np.where(deviation > _CONSTANT, deviation, _CONSTANT_SCALE)
    blocks = np.array_split(relative, min(_BLOCKS, len(rows)))
    drift = np.std([block.mean(axis=0) for block in blocks], axis=0) / scale
    lowest, highest = KNEES
    knee = np.clip((_DRIFT / np.maximum(drift, _DRIFT / highest)) ** 2, lowest, highest)
    return ScalingTable(
        tuple((unit * centre).tolist()), tuple((unit * scale).tolist()), tuple(knee.tolist())
    )
