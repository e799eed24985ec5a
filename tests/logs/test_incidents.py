"""Known incidents must be read as they are meant, or be refused with their row."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import polars as pl
import pytest

from aster_cli.errors import AsterError, DataError, LogFormatError, StorageError
from aster_cli.logs import LogSchema, read_incidents

SCHEMA = LogSchema(
    sensors=("speed",),
    sensor_dtypes=("Float64",),
    time_col="time",
    time_kind="datetime",
    time_dtype="Datetime(time_unit='us', time_zone=None)",
    seconds_per_unit=1e-9,
    id_cols=("site", "pump"),
    id_from_path=False,
    label_col=None,
)
COUNTER = msgspec.structs.replace(
    SCHEMA, time_kind="counter", time_dtype="Int64", seconds_per_unit=None
)
EPOCH = msgspec.structs.replace(SCHEMA, time_kind="epoch", time_dtype="Int64")


def nanoseconds(year: int, month: int, day: int, hour: int = 0) -> int:
    return int(datetime(year, month, day, hour, tzinfo=UTC).timestamp()) * 10**9


def written(tmp_path: Path, text: str) -> str:
    (tmp_path / "incidents.csv").write_text(text)
    return str(tmp_path / "incidents.csv")


def test_times_are_on_the_logs_clock(tmp_path: Path) -> None:
    """Both ends count, other columns do not."""
    path = written(tmp_path, "why,end,start\nleak,2024-03-01 10:00,2024-03-01T09:00:00\n")
    (one,) = read_incidents(path, SCHEMA)
    assert (one.start, one.end) == (nanoseconds(2024, 3, 1, 9), nanoseconds(2024, 3, 1, 10))
    assert one.concerns(("a", "7"), SCHEMA.id_cols)


def test_a_date_is_its_whole_day(tmp_path: Path) -> None:
    """Nobody who writes "from the 1st to the 2nd" means the midnight between them."""
    (one,) = read_incidents(written(tmp_path, "start,end\n2024-03-01,2024-03-02\n"), SCHEMA)
    assert (one.start, one.end) == (nanoseconds(2024, 3, 1), nanoseconds(2024, 3, 3) - 1)


@pytest.mark.parametrize(
    ("schema", "row", "span"),
    [
        (COUNTER, "3,9", (3, 9)),
        (COUNTER, "5,5", (5, 5)),
        (EPOCH, "1700000000,1700000060", (1700000000 * 10**9, 1700000060 * 10**9)),
    ],
)
def test_numbers_count(schema: LogSchema, row: str, span: tuple[int, int], tmp_path: Path) -> None:
    """Logs have other clocks than dates."""
    (one,) = read_incidents(written(tmp_path, f"start,end\n{row}\n"), schema)
    assert (one.start, one.end) == span


def test_disarmed_ids_are_the_logs_own(tmp_path: Path) -> None:
    """Written by aster as CSV, an id that a spreadsheet would calculate has an apostrophe before it;
    read so, the incident would be nobody's, and its anomaly would be learnt from."""
    path = written(tmp_path, "pump,start,end\n'=A1,2024-03-01,2024-03-02\n")
    (one,) = read_incidents(path, SCHEMA)
    assert one.concerns(("a", "=A1"), SCHEMA.id_cols)


def test_ids_narrow_an_incident_down(tmp_path: Path) -> None:
    """One of two id columns is enough; ids are text, as everywhere."""
    path = written(tmp_path, "pump,start,end\n007,2024-03-01,2024-03-02\n")
    (one,) = read_incidents(path, SCHEMA)
    assert one.concerns(("any", "007"), SCHEMA.id_cols)
    assert not one.concerns(("any", "7"), SCHEMA.id_cols)


@pytest.mark.parametrize("suffix", ["parquet", "ndjson"])
def test_other_formats_are_read_alike(suffix: str, tmp_path: Path) -> None:
    """Whatever a log can be."""
    table = pl.DataFrame({"start": [datetime(2024, 3, 1)], "end": [datetime(2024, 3, 2)]})
    path = tmp_path / f"incidents.{suffix}"
    getattr(table, f"write_{suffix}")(path)
    (one,) = read_incidents(str(path), SCHEMA)
    assert (one.start, one.end) == (nanoseconds(2024, 3, 1), nanoseconds(2024, 3, 2))


GOOD = "start,end\n2024-03-01 09:00,2024-03-01 10:00\n"


@pytest.mark.parametrize(
    ("text", "kind", "said"),
    [
        ("", LogFormatError, "has no rows"),
        ("start,end\n", LogFormatError, "has no rows"),
        ("from,end\n1,2\n", LogFormatError, "has no column 'start'"),
        (GOOD + "soon,2024-03-01 10:00\n", LogFormatError, r"row 2: 'soon' in column 'start'"),
        (GOOD + ",2024-03-01 10:00\n", DataError, r"row 2: column 'start' is empty"),
        (GOOD + "2024-03-01 10:00,\n", DataError, r"row 2: column 'end' is empty"),
        (GOOD + "2024-03-01 10:00,2024-03-01 09:00\n", DataError, r"row 2: .* is none; its end"),
        ("start,end\n1,2\n", DataError, "'start', with values such as '1', is not on the log's"),
        ("start,end\n2024-03-01T09:00Z,2024-03-01T10:00Z\n", DataError, "without an offset"),
        (
            "pump" + GOOD.replace("\n2", "\n,2", 1).replace("start", ",start", 1),
            DataError,
            "'pump'",
        ),
    ],
)
def test_what_is_no_incident_is_named(
    text: str, kind: type[AsterError], said: str, tmp_path: Path
) -> None:
    """A typo would otherwise train the incident in."""
    with pytest.raises(kind, match=said):
        read_incidents(written(tmp_path, text), SCHEMA)


@pytest.mark.parametrize("schema", [COUNTER, EPOCH])
def test_dates_are_on_no_counters_clock(schema: Any, tmp_path: Path) -> None:
    """And a log with offsets needs incidents with offsets."""
    with pytest.raises(DataError, match="is not on the log's clock"):
        read_incidents(written(tmp_path, GOOD), schema)
    zoned = msgspec.structs.replace(SCHEMA, time_dtype="Datetime(time_unit='us', time_zone='UTC')")
    with pytest.raises(DataError, match="a datetime with an offset"):
        read_incidents(written(tmp_path, GOOD), zoned)


def test_no_file_is_no_file(tmp_path: Path) -> None:
    """Exit 2, as for a log."""
    with pytest.raises(StorageError, match="no such file"):
        read_incidents(str(tmp_path / "incidents.csv"), SCHEMA)
