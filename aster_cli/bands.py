"""How far sensors stray from what is expected of them on normal rows: learnt once, in training.

A residual is actual less expected, in scaled units: there it is alike where a sensor is high and where
it is low, and one band fits all machines that have too few rows for their own.
"""

from collections.abc import Mapping, Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray

from aster_cli.results import MachineId

Residuals = Mapping[MachineId, NDArray[np.float32]]
"""By machine, ``(row, sensor)``: actual less expected in scaled units."""

LEVEL = 0.99
"""Share of normal values that lie in a band."""

FEW_ROWS = 1000
"""A machine with fewer residuals has the pooled band."""


class Band(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The lowest and the highest residual that are usual, by sensor; 0 lies between them."""

    low: tuple[float, ...]
    high: tuple[float, ...]

    @classmethod
    def fit(cls, parts: Sequence[NDArray[np.float32]]) -> "Band":
        """Quantiles of ``(row, sensor)`` residuals, to which every part contributes the same."""
        rows = np.concatenate(parts)
        weights = np.concatenate([np.full(len(part), 1.0 / len(part)) for part in parts])
        outside = (1.0 - LEVEL) / 2.0
        low, high = np.quantile(
            rows, (outside, 1.0 - outside), axis=0, weights=weights, method="inverted_cdf"
        )
        return cls(tuple(np.minimum(low, 0.0).tolist()), tuple(np.maximum(high, 0.0).tolist()))


class NormalBands:
    """Bands by machine, with a pooled one for machines that training hardly knew."""

    def __init__(self, pooled: Band, machines: Mapping[MachineId, Band] | None = None) -> None:
        self.pooled = pooled
        self.machines = dict(machines or {})

    @classmethod
    def fit(cls, sources: Sequence[Residuals]) -> "NormalBands":
        """Fit on normal rows from several sources, each of which counts the same."""
        known = [source for source in sources if source]
        own: dict[MachineId, list[NDArray[np.float32]]] = {}
        for source in known:
            for machine, rows in source.items():
                own.setdefault(machine, []).append(rows)
        pooled = Band.fit([np.concatenate(list(source.values())) for source in known])
        if len(own) == 1:
            return cls(pooled)
        enough = {m: parts for m, parts in own.items() if sum(map(len, parts)) >= FEW_ROWS}
        return cls(pooled, {machine: Band.fit(parts) for machine, parts in enough.items()})

    def of(self, machine: MachineId) -> Band:
        """The machine's own band, or the pooled one."""
        return self.machines.get(machine, self.pooled)
