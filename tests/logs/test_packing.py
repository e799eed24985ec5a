"""What a file may turn out to hold is bounded, whatever it says of itself."""

import gzip
import json
import struct
import tracemalloc
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.ipc
import pyarrow.parquet
import pytest

from aster_cli.config import ColumnConfig, TimeConfig
from aster_cli.errors import DataError, LogFormatError
from aster_cli.logs import open_log, packing
from aster_cli.logs.json_lines import DEEPEST
from aster_cli.logs.kept import parquet_table
from aster_cli.logs.packing import BLOCK_BYTES, LARGEST_FOOTER, MOST_COLUMNS
from aster_cli.logs.readers import HEAD_ROWS, CsvReader, open_reader
from aster_cli.logs.sources import find_sources

ROWS = 1 << 21


def read_all(path: Path) -> int:
    """Everything that a command does with a file before it works on rows, and the rows."""
    reader = open_reader(find_sources([str(path)])[0])
    reader.head()
    return sum(frame.height for frame in reader.frames(reader.stored, rows=HEAD_ROWS))


def refused(path: Path) -> str:
    with pytest.raises(LogFormatError) as caught:
        read_all(path)
    assert len(str(caught.value)) < 2000
    return str(caught.value)


def zeros(rows: int = ROWS) -> pa.RecordBatch:
    return pa.RecordBatch.from_arrays([pa.array(np.zeros(rows))], names=["a"])


def write_arrow(path: Path, *, stream: bool, rows: int = ROWS) -> None:
    batch = zeros(rows)
    options = pa.ipc.IpcWriteOptions(compression="zstd")
    open_ = pa.ipc.new_stream if stream else pa.ipc.new_file
    with open_(str(path), batch.schema, options=options) as sink:
        sink.write_batch(batch)


BOMBS = ["bomb.csv.gz", "bomb.csv.zst", "bomb.ndjson.gz", "bomb.parquet", "bomb.arrow", "bomb.ipc"]


@pytest.fixture
def bomb(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / str(request.param)
    text = b"a\n" + b"1\n" * (1 << 23)
    match request.param:
        case "bomb.csv.gz":
            path.write_bytes(gzip.compress(text))
        case "bomb.csv.zst":
            path.write_bytes(pa.Codec("zstd").compress(text, asbytes=True))
        case "bomb.ndjson.gz":
            path.write_bytes(gzip.compress(b'{"a":1}\n' * (1 << 20)))
        case "bomb.parquet":
            pa.parquet.write_table(pa.Table.from_batches([zeros()]), path)
        case "bomb.arrow":
            write_arrow(path, stream=False)
        case "bomb.ipc":
            write_arrow(path, stream=True)
    return path


@pytest.mark.parametrize("bomb", BOMBS, indirect=True)
def test_a_bomb_is_refused(bomb: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A small file must not hold a machine up for hours; the bound is lowered to keep this short."""
    monkeypatch.setattr(packing, "FREE_BYTES", 1 << 10)
    assert "unpacks to more than 250 times its size" in refused(bomb)


@pytest.mark.parametrize("bomb", ["bomb.parquet", "bomb.arrow", "bomb.ipc"], indirect=True)
def test_what_is_free_is_read_however_well_it_is_packed(bomb: Path) -> None:
    """A quiet sensor is packed as well as any bomb."""
    assert read_all(bomb) == ROWS


@pytest.mark.parametrize("stream", [False, True])
def test_a_forged_length_is_found_before_it_is_believed(stream: bool, tmp_path: Path) -> None:
    """Arrow reserves what a compressed buffer says that it will need."""
    path = tmp_path / "log.arrow"
    write_arrow(path, stream=stream, rows=1000)
    data, true = path.read_bytes(), struct.pack("<q", 8000)
    assert data.count(true) >= 1
    path.write_bytes(data.replace(true, struct.pack("<q", 1 << 45)))
    assert "unpacks to more" in refused(path)


@pytest.mark.parametrize("stream", [False, True])
def test_a_column_of_nothing_is_not_endless(stream: bool, tmp_path: Path) -> None:
    """Cells without a byte take time all the same."""
    batch = pa.RecordBatch.from_arrays([pa.nulls(1 << 29)], names=["a"])
    path = tmp_path / "log.arrow"
    open_ = pa.ipc.new_stream if stream else pa.ipc.new_file
    with open_(str(path), batch.schema) as sink:
        sink.write_batch(batch)
    assert path.stat().st_size < 2000
    assert "unpacks to more" in refused(path)


@pytest.mark.parametrize("name", ["log.csv", "log.ndjson", "log.parquet", "log.arrow"])
def test_too_many_columns_are_refused(name: str, tmp_path: Path) -> None:
    """Each column costs memory before its first cell."""
    # a CSV's could be values, and no header: the many are refused before any is looked at
    path, names = tmp_path / name, [str(i) for i in range(MOST_COLUMNS + 1)]
    table = pa.table({column: [1.0] for column in names})
    match path.suffix:
        case ".csv":
            path.write_text(",".join(names) + "\n")
        case ".ndjson":
            path.write_text(json.dumps(dict.fromkeys(names, 1)) + "\n")
        case ".parquet":
            pa.parquet.write_table(table, path)
        case ".arrow":
            with pa.ipc.new_file(str(path), table.schema) as sink:
                sink.write_table(table)
    assert "has more than 10,000 columns" in refused(path)


@pytest.mark.parametrize(
    "text",
    [
        b"a" * (3 * BLOCK_BYTES),
        b"a,b\n1," + b"7" * (3 * BLOCK_BYTES),
        b"a,b\n" + b"1,2\n" * BLOCK_BYTES + b"7" * (3 * BLOCK_BYTES),
    ],
    ids=["header", "first row", "later row"],
)
@pytest.mark.parametrize("name", ["log.csv", "log.ndjson", "log.csv.gz"])
def test_an_endless_line_is_refused(name: str, text: bytes, tmp_path: Path) -> None:
    """A line without an end must not be gathered in memory."""
    if name.endswith("ndjson"):
        text = text.replace(b"a,b\n", b"").replace(b"1,2\n", b'{"a":2}\n')
    path = tmp_path / name
    path.write_bytes(gzip.compress(text, 1) if name.endswith("gz") else text)
    assert "a line is longer than 1 MiB" in refused(path)


def test_deep_nesting_is_refused_and_brackets_in_text_are_none(tmp_path: Path) -> None:
    """PyArrow's parser, and Polars after it, crash the process where nesting is deep."""
    path = tmp_path / "log.ndjson"
    fine = {"a": 1, "b": "[{" * 1000, "c": '"[' * 100, "d": [[1]] * 100}
    path.write_text(json.dumps(fine) + "\n" + '{"a": 2}\n')
    assert read_all(path) == 2
    for deep in ("[" * 100_000, '{"a":' * 100_000, '"\\"", "b": ' + "[" * (DEEPEST + 1)):
        path.write_text('{"a": 1}\n{"a": NaN}\n{"b": ' + deep + "\n")
        assert f"nested more than {DEEPEST} deep" in refused(path)


def test_lines_without_a_name_in_common_are_refused(tmp_path: Path) -> None:
    """Every line would have a cell for every other line's name."""
    path = tmp_path / "log.ndjson"
    path.write_text("".join(f'{{"c{i}":1}}\n' for i in range(MOST_COLUMNS)))
    assert "hardly a name in common" in refused(path)


def test_a_long_footer_is_refused(tmp_path: Path) -> None:
    """It is read whole before anything is known of the file."""
    path = tmp_path / "log.parquet"
    pa.parquet.write_table(pa.table({"a": [1.0]}), path)
    data = path.read_bytes()
    path.write_bytes(data[:-8] + struct.pack("<I", LARGEST_FOOTER + 1) + b"PAR1")
    assert "its footer is longer" in refused(path)


def test_metadata_that_is_no_text_does_no_harm(tmp_path: Path) -> None:
    """Found by fuzzing: Polars panicked on a field's metadata that is no UTF-8, in logs and in models."""
    path = tmp_path / "log.parquet"
    field = pa.field("a", pa.float64(), metadata={b"\xff\xfe": b"\xff"})
    schema = pa.schema([field], metadata={b"\xc3": b"\xff"})
    pa.parquet.write_table(pa.table([[1.0, 2.0]], schema=schema), path)
    assert read_all(path) == 2
    assert parquet_table(path.read_bytes())["a"].to_list() == [1.0, 2.0]


def test_a_year_that_python_does_not_have_is_named(tmp_path: Path) -> None:
    """Found by fuzzing: the message itself could not be made."""
    path = tmp_path / "log.arrow"
    times = pa.array([0, 1_500_000_000_000_000_000], pa.timestamp("us"))
    table = pa.table({"time": times, "a": [1.0, 2.0]})
    with pa.ipc.new_file(str(path), table.schema) as sink:
        sink.write_table(table)
    with (
        open_log([str(path)], ColumnConfig(), TimeConfig()) as log,
        pytest.raises(DataError, match=r"row 2: .* out of range"),
    ):
        list(log.batches())


@pytest.mark.parametrize("name", ["log.csv", "log.csv.gz"])
def test_the_line_of_a_row_is_looked_for_in_bounded_memory(name: str, tmp_path: Path) -> None:
    """A line without an end may come after a row that has too many cells."""
    path = tmp_path / name
    text = b"a,b\n1,2\n" + b"x" * (64 * BLOCK_BYTES)
    packed = gzip.compress if path.suffix == ".gz" else bytes
    path.write_bytes(packed(text[:8]))
    reader = open_reader(find_sources([str(path)])[0])
    path.write_bytes(packed(text))
    assert isinstance(reader, CsvReader)
    tracemalloc.start()
    try:
        assert reader._line_of(2, "in no line") == 2
        assert tracemalloc.get_traced_memory()[1] < 16 * BLOCK_BYTES
    finally:
        tracemalloc.stop()
