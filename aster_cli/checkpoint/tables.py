"""``scaling.json`` and ``bands.json``: one table for each machine, and a pooled one."""

import msgspec

from aster_cli.bands import Band
from aster_cli.calibration import ReadingScale
from aster_cli.scaling import ScalingTable


class MachineTable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One machine's scaling."""

    machine: tuple[str, ...] | None  # None: the pooled table
    table: ScalingTable


class Scales(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``scaling.json``: of sensors, and of the network's readings."""

    sensors: tuple[MachineTable, ...]
    readings: dict[str, ReadingScale]


class MachineBand(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One machine's band."""

    machine: tuple[str, ...] | None  # None: the pooled one
    band: Band


class Bands(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """``bands.json``."""

    bands: tuple[MachineBand, ...]
