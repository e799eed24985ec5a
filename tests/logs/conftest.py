"""Small logs as files, in every format that can be read."""

import gzip
import io
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from aster_cli.config import ColumnConfig, LogFormat, TimeConfig
from aster_cli.logs import Log, LogSchema, open_log

Save = Callable[..., str]


@pytest.fixture
def save(tmp_path: Path) -> Save:
    """Write a frame, or raw text or bytes, under a name in a fresh folder; return its path."""

    def write(content: pl.DataFrame | str | bytes, name: str) -> str:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        packed = path.suffix in (".gz", ".zst")
        kind = (Path(path.stem) if packed else path).suffix
        data = _encoded(content, kind) if isinstance(content, pl.DataFrame) else content
        if isinstance(data, str):
            data = data.encode()
        if path.suffix == ".gz":
            data = gzip.compress(data)
        elif path.suffix == ".zst":
            data = pa.Codec("zstd").compress(data, asbytes=True)
        path.write_bytes(data)
        return str(path)

    return write


def _encoded(frame: pl.DataFrame, kind: str) -> bytes:
    buffer = io.BytesIO()
    if kind in (".csv", ".txt"):
        frame.write_csv(buffer, datetime_format="%Y-%m-%d %H:%M:%S%.f")
    elif kind == ".tsv":
        frame.write_csv(buffer, separator="\t", datetime_format="%Y-%m-%dT%H:%M:%S%.f")
    elif kind in (".parquet", ".pq"):
        frame.write_parquet(buffer)
    elif kind in (".ndjson", ".jsonl"):
        frame.write_ndjson(buffer)
    elif kind == ".ipc":
        frame.write_ipc_stream(buffer)
    else:
        frame.write_ipc(buffer)
    return buffer.getvalue()


@pytest.fixture
def pump() -> pl.DataFrame:
    """Ten minutes of two sensors, with one missing cell."""
    start = datetime(2024, 3, 1, 8)
    return pl.DataFrame(
        {
            "time": [start + timedelta(minutes=minute) for minute in range(10)],
            "flow": [minute / 7 for minute in range(10)],
            "temp": [20.0, 20.5, None, 21.5, 22.0, 22.5, 23.0, 23.5, 24.0, 24.5],
        }
    )


@pytest.fixture
def opened() -> Callable[..., Log]:
    """Open paths as a log, with the fields of `ColumnConfig` as keywords."""

    def open_(
        *paths: str,
        expected: LogSchema | None = None,
        time: TimeConfig | None = None,
        input_format: LogFormat | None = None,
        **columns: Any,
    ) -> Log:
        return open_log(
            paths,
            ColumnConfig(**columns),
            time or TimeConfig(),
            expected=expected,
            input_format=input_format,
        )

    return open_


@pytest.fixture
def whole() -> Callable[..., dict[str, Any]]:
    """Read a log and put its batches together."""

    def read(log: Log, rows: int = 8192) -> dict[str, Any]:
        batches = list(log.batches(rows))
        return {
            "keys": pl.concat([batch.keys for batch in batches]),
            "time": np.concatenate([batch.time for batch in batches]),
            "values": np.concatenate([batch.values for batch in batches]),
            "machines": [batch.machines[code] for batch in batches for code in batch.machine_codes],
            "first_rows": [batch.first_row for batch in batches],
        }

    return read


@pytest.fixture
def hours() -> Callable[..., pl.DataFrame]:
    """Make a log with rows at these hours."""

    def log(*numbers: int, **columns: list[float]) -> pl.DataFrame:
        start = datetime(2024, 3, 1)
        return pl.DataFrame(
            {"time": [start + timedelta(hours=hour) for hour in numbers], **columns}
        )

    return log
