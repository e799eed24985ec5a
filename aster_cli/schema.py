"""What describes a log, without its rows: light, so that a model's card can be read without tables."""

from typing import Literal

import msgspec

MachineId = tuple[str, ...]
"""The id columns' values as text; ``()`` where a log has one machine only."""

TimeKind = Literal["datetime", "date", "epoch", "counter", "row"]


class LogSchema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The parts that a log's columns play."""

    sensors: tuple[str, ...]  # in the order of `LogBatch.values`
    sensor_dtypes: tuple[str, ...]  # as the log has them
    time_col: str | None  # None: rows are counted
    time_kind: TimeKind
    time_dtype: str
    seconds_per_unit: float | None  # of `LogBatch.time`; None: it counts, it does not measure
    id_cols: tuple[str, ...]
    id_from_path: bool
    label_col: str | None

    @property
    def units_per_second(self) -> float:
        """Units of the clock in a second; 1 for counters, whose unit is their own."""
        return 1.0 if self.seconds_per_unit is None else round(1.0 / self.seconds_per_unit)
