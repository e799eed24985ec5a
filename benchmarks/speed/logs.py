"""Logs of any length: noisy sines, a row a second, drawn and written in pieces."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
from numpy.typing import NDArray

START = datetime(2024, 1, 1)
_PIECE = 100_000  # rows in memory at a time


def waves(rows: NDArray[np.int64], sensors: int, draw: np.random.Generator) -> NDArray[np.float32]:
    """The values of so many sensors in these rows, ``(row, sensor)``."""
    periods = 20.0 + 7.0 * (np.arange(sensors) % 16)
    noise = draw.normal(0.0, 0.1, (len(rows), sensors))
    return (np.sin(rows[:, None] / periods) + noise).astype(np.float32)


def write_log(path: Path, rows: int, sensors: int, seed: int = 0) -> Path:
    """Write a log in Parquet; return its path."""
    draw = np.random.default_rng(seed)
    pieces = (
        _piece(first, min(_PIECE, rows - first), sensors, draw).to_arrow()
        for first in range(0, rows, _PIECE)
    )
    table = next(pieces)
    with pq.ParquetWriter(path, table.schema) as writer:
        writer.write_table(table)
        for table in pieces:
            writer.write_table(table)
    return path


def _piece(first: int, rows: int, sensors: int, draw: np.random.Generator) -> pl.DataFrame:
    values = waves(np.arange(first, first + rows), sensors, draw)
    start = START + timedelta(seconds=first)
    seconds = pl.datetime_range(start, start + timedelta(seconds=rows - 1), "1s", eager=True)
    return pl.DataFrame({f"s{place}": values[:, place] for place in range(sensors)}).insert_column(
        0, seconds.alias("time")
    )
