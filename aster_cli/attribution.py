"""Which sensors an anomalous row owes its score to, from what the model expected of each."""

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.logs import TOP_SENSORS

TOP = 5


@dataclass(frozen=True, slots=True)
class Attribution:
    """The leading sensors of every row, most responsible first.

    Attributes:
        sensors: ``(row, top)`` int32 sensor numbers.
        shares: ``(row, top)`` float32, each row's sum is 1.
        directions: ``(row, top)`` int8: +1 above what was expected, -1 below, 0 neither.
    """

    sensors: NDArray[np.int32]
    shares: NDArray[np.float32]
    directions: NDArray[np.int8]


def attribute(residual: NDArray[np.float32]) -> Attribution:
    """Share a row among its sensors by squared residual.

    Args:
        residual: ``(row, sensor)`` actual minus expected values in scaled units.
    """
    squared = residual.astype(np.float64) ** 2
    top = np.argsort(-squared, axis=1, kind="stable")[:, :TOP]
    leading = np.take_along_axis(squared, top, axis=1)
    total = leading.sum(axis=1, keepdims=True)
    even = np.full_like(leading, 1.0 / top.shape[1])
    shares = np.divide(leading, total, out=even, where=total > 0)
    return Attribution(
        top.astype(np.int32),
        shares.astype(np.float32),
        np.sign(np.take_along_axis(residual, top, axis=1)).astype(np.int8),
    )


def top_sensors_column(
    attribution: Attribution, rows: NDArray[np.int64], n_rows: int, names: tuple[str, ...]
) -> pl.Series:
    """The output column ``top_sensors``: null but for `rows`, which are the attribution's."""
    cells: list[list[dict[str, object]] | None] = [None] * n_rows
    for place, sensors, shares, directions in zip(
        rows.tolist(),
        attribution.sensors.tolist(),
        attribution.shares.tolist(),
        attribution.directions.tolist(),
        strict=True,
    ):
        cells[place] = [
            {"sensor": names[sensor], "share": share, "direction": direction}
            for sensor, share, direction in zip(sensors, shares, directions, strict=True)
        ]
    return pl.Series("top_sensors", cells, dtype=TOP_SENSORS)
