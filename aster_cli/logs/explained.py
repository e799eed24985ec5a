"""Explanations: what stands beside each other for every scored row and sensor."""

from collections.abc import Sequence

from aster_cli.config import ColumnConfig, TimeConfig
from aster_cli.errors import DataError
from aster_cli.logs.log import Log
from aster_cli.logs.opening import open_log
from aster_cli.logs.schema import TIMESTAMP

SENSOR = "sensor"
EXPLAINED = ("actual", "expected", "low", "high")
"""What an explanation has beside ``timestamp``, the id columns and the sensor's name, as Float64."""


def open_explained(path: str, id_cols: Sequence[str], time: TimeConfig) -> Log:
    """Open an explanation as a log whose machines are a machine and a sensor, in this order.

    Its values are those of `EXPLAINED`.

    Raises:
        StorageError: There is no such file.
        EmptyLogError: It has no rows.
        LogFormatError: It is not of its format.
        DataError: It is no explanation of these machines.
    """
    columns = ColumnConfig(
        time_col=TIMESTAMP, id_cols=(*id_cols, SENSOR), sensors=EXPLAINED, label_col=""
    )
    log = open_log([path], columns, time)
    lacking = [name for name in EXPLAINED if name not in log.schema.sensors]
    if lacking:
        raise DataError(f"is no explanation: it lacks {lacking[0]!r}", where=log.name)
    return log
