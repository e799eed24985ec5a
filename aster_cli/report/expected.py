"""What was expected of sensors, on the page's axis, from an explanation of the scores."""

from collections.abc import Sequence

import numpy as np

from aster_cli.errors import DataError
from aster_cli.logs import Log
from aster_cli.logs.formulas import rearmed
from aster_cli.report.bins import Bins, CurveBins, Float32Array
from aster_cli.report.rows import ReportRows
from aster_cli.results import FloatArray, MachineId

_BATCH_ROWS = 1 << 16
_CURVES = 4  # of a sensor: expected, the band's ends, and how far values lie outside


class ExpectedBins:
    """What was expected of some sensors in each bin, and the band around it.

    Args:
        rows: What the bins are of.
        bins: Them.
        sensors: Whose panels are drawn.
        explained: As `aster_cli.logs.open_explained` opens it; it is read once.

    Raises:
        DataError: No row of the explanation is one of the scores.
    """

    def __init__(
        self, rows: ReportRows, bins: Bins, sensors: Sequence[str], explained: Log
    ) -> None:
        self._curves = CurveBins(rows, bins, _CURVES * len(sensors))
        places = {sensor: place for place, sensor in enumerate(sensors)}
        text = rearmed if explained.sources[0].format == "csv" else str
        for batch in explained.batches(_BATCH_ROWS):
            time = rows.clock.distances(batch.keys["timestamp"])
            for key, own in batch.by_machine():
                *machine, sensor = map(text, key)
                if sensor in places:
                    self._take(tuple(machine), time[own], batch.values[own], places[sensor])
        if not self._curves.matched:
            raise DataError(
                "none of its rows is one of the scores",
                where=explained.name,
                hint="name their explanation",
            )

    def expected(self, place: int) -> tuple[Float32Array, Float32Array]:
        """The lowest and the highest value that was expected of a sensor, ``(bin,)`` each."""
        return self._curves.low[:, _CURVES * place], self._curves.high[:, _CURVES * place]

    def band(self, place: int) -> tuple[Float32Array, Float32Array]:
        """Where its band starts and ends, ``(bin,)`` each; the bands of all rows of a bin lie in it."""
        first = _CURVES * place
        return self._curves.low[:, first + 1], self._curves.high[:, first + 2]

    def outside(self, place: int) -> Float32Array:
        """How far, at most, a row's value lies outside the row's own band, in widths of it, ``(bin,)``.

        0 where all lie inside: what a bin's band hides is told here.
        """
        return self._curves.high[:, _CURVES * place + 3]

    def _take(self, machine: MachineId, time: FloatArray, values: FloatArray, place: int) -> None:
        actual, expected, low, high = values.T
        beyond = np.maximum(np.maximum(actual - high, low - actual), 0.0)
        width = np.maximum(high - low, np.finfo(np.float64).tiny)
        with np.errstate(over="ignore"):
            outside = np.minimum(beyond / width, 1.0)
        curves = np.stack((expected, low, high, outside), axis=1)
        self._curves.take(machine, time, curves, first=_CURVES * place)
