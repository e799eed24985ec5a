"""``reference.parquet``: percentiles of every sensor and machine, and what the card says of them.

It takes tables to read it, so `read_card` imports this for older models only.
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

import polars as pl

from aster_cli.card.checking import require
from aster_cli.card.reading import read_file
from aster_cli.card.values import Manifest, ModelSchema, SensorRange
from aster_cli.logs.kept import parquet_table
from aster_cli.reference import REFERENCE_COLUMNS

LEVELS = 101
"""Percentiles of a sensor."""


def read_reference(path: Path, manifest: Manifest, schema: ModelSchema) -> pl.DataFrame:
    """Read the table; see `aster_cli.reference.reference_table`.

    Raises:
        ModelDirectoryError: It is missing, truncated or altered.
    """

    def reference_of(data: bytes) -> pl.DataFrame:
        table = parquet_table(data)
        require(
            table.columns == list(REFERENCE_COLUMNS), f"its columns are {', '.join(table.columns)}"
        )
        _require_reference(table, schema.log.sensors)
        return table

    return read_file(path, manifest, "reference.parquet", reference_of)


def sensor_ranges(reference: pl.DataFrame, sensors: Sequence[str]) -> tuple[SensorRange, ...]:
    """What each sensor was like, over all machines; see `aster_cli.reference.reference_table`."""
    return tuple(_range(name, reference.filter(pl.col("sensor") == name)) for name in sensors)


def _range(sensor: str, machines: pl.DataFrame) -> SensorRange:
    missing_share = int(machines["missing"].sum()) / max(int(machines["rows"].sum()), 1)
    known = machines["percentiles"].drop_nulls().to_list()
    if not known:
        return SensorRange(
            sensor=sensor,
            missing_share=missing_share,
            lowest=None,
            medians=None,
            highest=None,
            spread=None,
            stood_still=False,
        )
    medians = [levels[50] for levels in known]
    return SensorRange(
        sensor=sensor,
        missing_share=missing_share,
        lowest=min(levels[0] for levels in known),
        medians=(min(medians), max(medians)),
        highest=max(levels[100] for levels in known),
        spread=(max(levels[84] for levels in known) - min(levels[16] for levels in known)) / 2,
        stood_still=all(levels[0] == levels[100] for levels in known),
    )


def _require_reference(reference: pl.DataFrame, sensors: Iterable[str]) -> None:
    """Every row is of a sensor, and has all percentiles, or none."""
    listed = pl.List(pl.String), pl.List(pl.Float64)
    kinds = (reference.schema["machine"], reference.schema["percentiles"])
    require(kinds == listed and reference.null_count()["machine"][0] == 0, "its columns are others")
    require(set(reference["sensor"].to_list()) == set(sensors), "it has other sensors")
    known = reference["percentiles"].drop_nulls()
    numbers = known.explode() if len(known) else pl.Series([], dtype=pl.Float64)
    require(bool((known.list.len() == LEVELS).all()), "its percentiles are not 101")
    require(numbers.null_count() == 0 and bool(numbers.is_finite().all()), "it holds no numbers")
