"""Every format gives the same rows, in bounded pieces; every broken file says what is broken."""

import json
import subprocess
import sys

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from aster_cli.errors import LogFormatError, StorageError
from aster_cli.logs.packing import BLOCK_BYTES
from aster_cli.logs.readers import HEAD_ROWS, LogReader, open_reader
from aster_cli.logs.sources import find_sources

FORMATS = [
    *("log.csv", "log.tsv", "log.txt", "log.csv.gz", "log.csv.zst", "log.parquet", "log.pq"),
    *("log.ndjson", "log.jsonl", "log.jsonl.gz", "log.ndjson.zst"),
    *("log.arrow", "log.feather", "log.ipc"),
]


def reader_of(path: str) -> LogReader:
    return open_reader(find_sources([path])[0])


def read(path: str, rows: int = HEAD_ROWS, **dtypes: pl.DataType) -> pl.DataFrame:
    reader = reader_of(path)
    _, head = reader.head()
    wanted = {name: dtypes.get(name, dtype) for name, dtype in head.schema.items()}
    return pl.concat(reader.frames(wanted, rows=rows))


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_same_rows(save, pump, name):
    # A log must mean the same however it is stored.
    path = save(pump, name)
    assert read(path, rows=3).with_columns(pl.col("time").dt.cast_time_unit("us")).equals(pump)
    assert reader_of(path).count_rows() == len(pump)


@pytest.mark.parametrize("name", FORMATS)
def test_frames_are_bounded_in_rows(save, name):
    # Memory must not grow with the log: no frame holds more than was asked for.
    many = pl.DataFrame({"step": range(30_000), "flow": [0.1] * 30_000})
    reader = reader_of(save(many, name))
    heights = [frame.height for frame in reader.frames({"flow": pl.Float64()}, rows=1000)]
    assert max(heights) <= 1000
    assert sum(heights) == len(many)
    assert reader.head()[0].height <= HEAD_ROWS


@pytest.mark.parametrize("group", [1 << 16, 1 << 20], ids=["many groups", "one group"])
def test_memory_holds_a_part_of_a_parquet_file(tmp_path, group):
    # A file has any number of row groups, of any length: neither all nor one has to fit.
    path = tmp_path / "log.parquet"
    noise = pl.DataFrame({"flow": np.random.default_rng(0).normal(size=1 << 20)})
    noise.write_parquet(path, row_group_size=group)
    before = pa.total_allocated_bytes()
    held = [
        pa.total_allocated_bytes() - before
        for _ in reader_of(str(path)).frames({"flow": pl.Float64()}, rows=1 << 16)
    ]
    assert max(held) < path.stat().st_size / 2


@pytest.mark.parametrize("name", FORMATS)
def test_columns_are_read_by_choice_and_in_the_order_asked(save, pump, name):
    # Wide logs are common, and most of their columns may be of no interest.
    (frame,) = reader_of(save(pump, name)).frames(
        {"temp": pl.Float64(), "flow": pl.Float64()}, rows=100
    )
    assert frame.equals(pump.select("temp", "flow"))


@pytest.mark.parametrize("name", FORMATS)
def test_a_log_without_rows_is_refused(save, pump, name):
    # Nothing can be learned or scored, and a truncated export should not pass for a quiet day.
    if ".ndjson" not in name and ".jsonl" not in name:
        with pytest.raises(LogFormatError, match=rf"{name}: has no rows"):
            reader_of(save(pump.clear(), name)).head()
    with pytest.raises(LogFormatError, match=rf"{name}: has no rows"):
        reader_of(save(b"", name)).head()


@pytest.mark.parametrize("name", [name for name in FORMATS if not name.startswith("log.csv")])
def test_garbage_is_refused_in_one_line(save, name):
    # PyArrow's messages run over several lines, and name no file.
    with pytest.raises(LogFormatError) as caught:
        read(save(b'{"\xff\x00 neither this nor that\n\n' * 9, name))
    assert name in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_vanished_file_is_a_storage_error(save, pump):
    # Log rotation may take a file away between two readings.
    path = save(pump, "log.csv")
    reader = reader_of(path)
    reader.source.path.unlink()
    with pytest.raises(StorageError, match=r"log\.csv: cannot be read \(.*No such file"):
        list(reader.frames({"flow": pl.Float64()}, rows=10))


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_read_from_the_header(save, delimiter):
    # Spreadsheets write semicolons in half of Europe.
    rows = [["a", '"b, c; d"'], ["1", "2"]]
    text = "\n".join(delimiter.join(row) for row in rows)
    assert read(save(text, "log.csv")).to_dict(as_series=False) == {"a": [1], "b, c; d": [2]}


def test_windows_text_is_read(save):
    # Byte order mark, carriage returns, blank lines, no newline at the end.
    assert read(save(b"\xef\xbb\xbfa,b\r\n\r\n1,2\r\n3,4", "log.csv")).rows() == [(1, 2), (3, 4)]


def test_late_surprises_in_numbers_do_not_fail(save):
    # A sensor that is whole and complete for a whole block may still be a fraction, or missing.
    rows = BLOCK_BYTES // 4
    path = save("a,b\n" + "1,2\n" * rows + "1.5,NA\n", "log.csv")
    assert read(path, a=pl.Float64(), b=pl.Float64()).row(-1) == (1.5, None)
    lines = '{"a":1}\n' * rows + '{"a":1.5,"late":"x"}\n{}\n'
    last = read(save(lines, "log.ndjson"), a=pl.Float64())[-2:]
    assert last["a"].to_list() == [1.5, None]


def test_a_late_unreadable_cell_is_named_by_row(save):
    # Rows are counted over blocks.
    rows = BLOCK_BYTES // 4
    path = save("a,b\n" + "1,2\n" * rows + "1,off\n", "log.csv")
    with pytest.raises(LogFormatError, match=rf"log\.csv, row {rows + 1}: 'off' in column 'b'"):
        read(path)
    path = save('{"a":1}\n' * rows + '{"a":"off"}\n', "log.ndjson")
    with pytest.raises(LogFormatError, match=rf"log\.ndjson, row {rows + 1}: .*/a"):
        read(path)


def test_a_ragged_row_is_named_by_line(save):
    # A crash in mid-write leaves such a row.
    for name in ("log.csv", "log.csv.gz"):
        with pytest.raises(LogFormatError, match=rf"{name}, line 11: has 1 cells .* 2: '1'"):
            read(save("a,b\n" + "1,2\n" * 9 + "1\n", name))


def test_the_line_of_a_ragged_row_counts_every_line(save):
    # Editors count empty lines and those within a cell, PyArrow does not.
    for text in ('a,b\n\n"1\n1",2\n1,2,3\n', "a,b\n3\n", 'a,b\n1,2\n\n"x\ny",5,6\n'):
        line = {"a,b\n3\n": 2}.get(text, 4 if text.endswith("6\n") else 5)
        with pytest.raises(LogFormatError, match=rf"log\.csv, line {line}: has \d cells"):
            read(save(text, "log.csv"))
    wide = "a,b\n1,2\n\n" + "9" * 2000 + ",5,6\n"
    with pytest.raises(
        LogFormatError, match=r"log\.csv, line 4: has 3 cells .*'9+\.\.\."
    ) as caught:
        read(save(wide, "log.csv"))
    assert len(str(caught.value)) < 200


BROKEN_CSV = {
    "ragged at once": b"a,b\n1,2\n1,2,3\n",
    "ragged late": b"a,b\n" + b"1,2\n" * (BLOCK_BYTES // 2) + b"1,2,3\n",
    "doubled column": b"a,b,a\n" + b"1,2,3\n" * (BLOCK_BYTES // 2),
    "no header": b"1,2\n" * (BLOCK_BYTES // 2),
    "binary": bytes(range(1, 256)) * 10_000,
    "binary below a header": b"a,b\n" + bytes(range(1, 256)) * 10_000,
}
OPEN_AND_FAIL = """
import sys
from aster_cli.errors import LogFormatError
from aster_cli.logs.readers import open_reader
from aster_cli.logs.sources import find_sources

for _ in range(3):
    try:
        reader = open_reader(find_sources(sys.argv[1:])[0])
        list(reader.frames(reader.stored, rows=100_000))
    except LogFormatError as error:
        print(error)
sys.exit(4)
"""


@pytest.mark.parametrize("content", BROKEN_CSV.values(), ids=BROKEN_CSV)
def test_a_broken_file_does_not_abort_the_process(save, content):
    # PyArrow reads ahead in threads; one that was left running aborted most processes at their end.
    path = save(content, "log.csv")
    command = [sys.executable, "-c", OPEN_AND_FAIL, path]
    runs = [subprocess.Popen(command, stdout=-1, stderr=-1, text=True) for _ in range(5)]
    for run in runs:
        out, errors = run.communicate(timeout=60)
        assert (run.returncode, errors) == (4, "")
        assert out.count("log.csv") == 3


@pytest.mark.parametrize("name", ["log.csv.gz", "log.ndjson.gz"])
def test_a_truncated_file_is_refused(save, pump, tmp_path, name):
    # An interrupted upload must not be scored as a shorter log.
    path = save(pump, name)
    whole = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(whole[:-12])
    with pytest.raises(LogFormatError, match=rf"{name}: cannot be read as"):
        read(path)


def test_text_that_is_not_utf8_is_refused(save):
    # In the header and in the cells, which fail in different places.
    for data in ("a,b\n1,2".encode("utf-16"), b"\xff,b\n1,2\n", b"a,b\n\xff,2\n"):
        with pytest.raises(LogFormatError, match=r"log\.csv: is not UTF-8"):
            read(save(data, "log.csv"))


@pytest.mark.parametrize(
    ("header", "first"),
    [
        ("0.25,0.5", r"0\.25"),
        ("1,2", "1"),
        ("-3,1e5", "-3"),
        ("2025-01-01,2.5", "2025-01-01"),
        ("2025-01-01 10:00:00,2.5", "2025-01-01 10:00:00"),
        ("2025-01-01T10:00:00Z,nan", "2025-01-01T10:00:00Z"),
    ],
)
def test_a_missing_header_is_noticed(save, header, first):
    # Otherwise the first row would silently name the sensors.
    with pytest.raises(LogFormatError, match=rf"log\.txt: has no header.* '{first}'") as caught:
        read(save(f"{header}\n0.3,0.6\n", "log.txt"))
    assert "add a header line" in (caught.value.hint or "")


@pytest.mark.parametrize("header", [",0,1", "2024,flow", "a,1", "1st,2nd", "true,false"])
def test_names_that_hold_numbers_are_a_header(save, header):
    # pandas numbers columns without names, but leaves its index unnamed; pivots name years.
    cells = ",".join("7" * len(header.split(",")))
    assert read(save(f"{header}\n{cells}\n", "log.csv")).columns == header.split(",")


def test_two_columns_of_one_name_are_refused(save):
    # Neither could be told from the other.
    with pytest.raises(LogFormatError, match="two columns named 'a'"):
        read(save("a,b,a\n1,2,3\n", "log.csv"))


def test_text_times_are_read_in_typed_formats(save, pump):
    # NDJSON has no times, and Parquet is often written with text ones.
    text = pump.with_columns(pl.col("time").dt.to_string("%Y-%m-%dT%H:%M:%S"))
    for name in ("log.parquet", "log.ndjson", "log.arrow"):
        assert read(save(text, name))["time"].equals(pump["time"].dt.cast_time_unit("ns"))


@pytest.mark.parametrize("dtype", [pl.Categorical(), pl.Enum(["low", "high"])])
@pytest.mark.parametrize("name", ["log.arrow", "log.ipc", "log.parquet"])
def test_categories_are_read_as_text(save, name, dtype):
    # Arrow stores them as dictionaries, and Polars writes kinds that PyArrow has no converter for.
    modes = pl.Series("mode", ["low", None, "high"] * 20_000, dtype=dtype)
    frame = pl.DataFrame({"mode": modes, "x": [1.0] * len(modes)})
    reader = reader_of(save(frame, name))
    assert reader.stored == {"mode": pl.String(), "x": pl.Float64()}
    assert read(str(reader.source.path)).equals(frame.cast({"mode": pl.String()}))


def test_nested_columns_do_no_harm(save):
    # JSON logs carry them beside the numbers.
    lines = [{"a": 1, "tags": {"x": [1, 2]}, "b": [{"y": None}]}, {"a": 2}]
    path = save("\n".join(map(json.dumps, lines)), "log.ndjson")
    (frame,) = reader_of(path).frames({"a": pl.Float64()}, rows=10)
    assert frame["a"].to_list() == [1.0, 2.0]


def test_json_columns_may_change_type_on_request(save):
    # A column without any value in the first block has no type of its own.
    path = save('{"a":null,"b":null}\n{"a":1,"b":"x"}\n' * 3, "log.ndjson")
    frame = read(path, a=pl.Float64(), b=pl.String())
    assert frame["b"].to_list() == [None, "x"] * 3


def test_pandas_index_without_a_name_is_a_column(save):
    # `DataFrame.to_csv` writes it by default.
    assert read(save(",a\n0,1\n1,2\n", "log.csv"))[""].to_list() == [0, 1]
