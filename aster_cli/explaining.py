"""Expected beside actual: what each sensor of a scored row measured, and where it should have been.

All in the sensor's own units, long: a row for every scored row and sensor.
"""

from collections.abc import Callable, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.bands import Band
from aster_cli.errors import DataError
from aster_cli.logs import EXPLAINED, SENSOR
from aster_cli.results import FloatArray, MachineId
from aster_cli.scaling import SensorScaling

OnExplained = Callable[[pl.DataFrame], None]
"""Is given the table of some rows of one machine, which are in the order of time."""

_DIGITS = 6  # of a standard deviation that are kept of values, which went through single precision


def explain(
    actual: NDArray[np.float32],
    expected: NDArray[np.float32],
    machine: MachineId,
    scaling: SensorScaling,
    band: Band,
) -> FloatArray:
    """The values of `EXPLAINED`, ``(value, row, sensor)`` in the sensors' own units.

    Args:
        actual: ``(row, sensor)`` in scaled units.
        expected: The same.
        machine: Whose rows they are.
        scaling: Of the machine's detector.
        band: The machine's.
    """
    low, high = (np.array(end, dtype=np.float32) for end in (band.low, band.high))
    parts = (actual, expected, expected + low, expected + high)
    values = np.stack([scaling.unscale(part, machine) for part in parts])
    return _rounded(values, scaling.spread(machine))


def _rounded(values: FloatArray, spread: FloatArray) -> FloatArray:
    """Values without the digits that are none of theirs."""
    decimals = _DIGITS - 1 - np.floor(np.log10(spread))
    with np.errstate(over="ignore", invalid="ignore"):
        shift = 10.0**decimals
        near = np.round(values * shift) / shift
    return np.where(np.isfinite(near), near, values) + 0.0  # no minus zero


def explained_table(keys: pl.DataFrame, sensors: Sequence[str], values: FloatArray) -> pl.DataFrame:
    """Rows as a long table.

    Args:
        keys: Timestamp and ids, ``row`` rows.
        sensors: Names.
        values: As `explain` gives them.

    Raises:
        DataError: An id column is called like one of the others.
    """
    for name in (SENSOR, *EXPLAINED):
        if name in keys.columns:
            raise DataError(
                f"id column {name!r} is called like a column of the explanation",
                hint="rename it, or leave --explain out",
            )
    n, n_sensors = len(keys), len(sensors)
    names = pl.Series(SENSOR, sensors, dtype=pl.String)
    return keys[np.repeat(np.arange(n), n_sensors)].with_columns(
        names.gather(np.tile(np.arange(n_sensors), n)),
        *(pl.Series(name, part.ravel()) for name, part in zip(EXPLAINED, values, strict=True)),
    )
