"""The band that a normal value lies in, around what is expected of its row.

It holds `COVERAGE` of the residuals that normal rows had, sensor by sensor and with tails of equal
weight, in scaled units: so it is as narrow as a sensor is well expected, and skewed where the sensor is.
"""

from collections.abc import Iterable, Mapping

import msgspec
import numpy as np
from numpy.typing import NDArray

from aster_cli.results import FloatArray, MachineId

COVERAGE = 0.99
"""The share of normal residuals inside a band."""

FEW_RESIDUALS = 1000
"""A machine with fewer has the band of all machines together."""

Residuals = Iterable[tuple[MachineId, NDArray[np.float32]]]
"""``(row, sensor)`` residuals in scaled units, in parts by machine."""


class Band(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How far every sensor may lie below and above what is expected, in scaled units."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def around(cls, kinds: list[NDArray[np.float32]]) -> "Band":
        """The band that holds its share of each kind of residuals, ``(row, sensor)``."""
        tail = (1.0 - COVERAGE) / 2.0
        ends = [np.quantile(one, (tail, 1.0 - tail), axis=0) for one in kinds if len(one)]
        low = np.min([low for low, _ in ends], axis=0)
        high = np.max([high for _, high in ends], axis=0)
        # what is expected is never outside its own band
        return cls(tuple(np.minimum(low, 0.0).tolist()), tuple(np.maximum(high, 0.0).tolist()))


class SensorBands:
    """Bands by machine, with a pooled one for machines that training hardly knew."""

    def __init__(self, pooled: Band, machines: Mapping[MachineId, Band] | None = None) -> None:
        self.pooled = pooled
        self.machines = dict(machines or {})

    @classmethod
    def fit(cls, *kinds: Residuals) -> "SensorBands":
        """Fit on residuals of normal rows, of each kind apart: a band is as wide as the widest."""
        by_machine: dict[MachineId, list[list[NDArray[np.float32]]]] = {}
        for kind, parts in enumerate(kinds):
            for machine, residuals in parts:
                by_machine.setdefault(machine, [[] for _ in kinds])[kind].append(residuals)
        own = {
            machine: [np.concatenate(parts) for parts in found if parts]
            for machine, found in by_machine.items()
        }
        pooled = [
            np.concatenate(together)
            for kind in range(len(kinds))
            if (together := [part for found in by_machine.values() for part in found[kind]])
        ]
        enough = FEW_RESIDUALS if len(own) > 1 else np.inf
        return cls(
            Band.around(pooled),
            {m: Band.around(found) for m, found in own.items() if sum(map(len, found)) >= enough},
        )

    def of(self, machine: MachineId) -> tuple[FloatArray, FloatArray]:
        """How far a machine's sensors may lie below and above: two of ``(sensor,)``."""
        band = self.machines.get(machine, self.pooled)
        return np.array(band.low), np.array(band.high)
