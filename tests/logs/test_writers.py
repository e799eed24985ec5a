"""What is written is whole and right, or the old file is still there."""

import io
import json
import os
import sys
from datetime import datetime, timedelta
from pathlib import Path

import polars as pl
import pyarrow.parquet
import pytest

from aster_cli.errors import StorageError, UsageError
from aster_cli.logs import TOP_SENSORS, open_writer
from aster_cli.logs.writers import GROUP_ROWS

START = datetime(2024, 3, 1, 8)
TOP = {"sensor": 'a "b", c', "share": 0.4, "direction": -1, "actual": 12.25, "expected": 30.0}
SCORES = pl.DataFrame(
    {
        "timestamp": [START, START + timedelta(milliseconds=1500)],
        "score": [0.1 + 0.2, None],
        "share": pl.Series([0.1, 1e-7], dtype=pl.Float32),
        "is_anomaly": [True, None],
        "top_sensors": pl.Series([[TOP], None], dtype=TOP_SENSORS),
    }
)
READ = {
    "s.parquet": pl.read_parquet,
    "s.arrow": pl.read_ipc,
    "s.feather": pl.read_ipc,
}


@pytest.mark.parametrize("name", list(READ))
def test_typed_formats_keep_every_dtype(tmp_path, name):
    # Nested columns too, and an empty first frame.
    with open_writer(str(tmp_path / name)) as writer:
        for frame in (SCORES.clear(), SCORES, SCORES):
            writer.write(frame)
    assert READ[name](tmp_path / name).equals(pl.concat([SCORES, SCORES]))


def test_csv_is_text_that_reads_back(tmp_path):
    # Letter by letter: ISO times, shortest floats, lower-case truth, JSON in a cell.
    with open_writer(str(tmp_path / "s.csv")) as writer:
        writer.write(SCORES.clear())
        writer.write(SCORES)
    assert (tmp_path / "s.csv").read_text().splitlines() == [
        "timestamp,score,share,is_anomaly,top_sensors",
        "2024-03-01 08:00:00,0.30000000000000004,0.1,true,"
        '"[{""sensor"":""a \\""b\\"", c"",""share"":0.4,""direction"":-1,'
        '""actual"":12.25,""expected"":30.0}]"',
        "2024-03-01 08:00:01.500,,1e-7,,",
    ]


def test_csv_keeps_the_offset_of_zoned_times(tmp_path):
    # Without it the instant would be lost.
    zoned = SCORES.select(pl.col("timestamp").dt.replace_time_zone("Asia/Tokyo"))
    with open_writer(str(tmp_path / "s.csv")) as writer:
        writer.write(zoned)
    assert "2024-03-01 08:00:00+09:00" in (tmp_path / "s.csv").read_text()


def test_ndjson_is_one_object_a_line(tmp_path):
    # Nested columns are native there.
    with open_writer(str(tmp_path / "s.jsonl")) as writer:
        writer.write(SCORES)
    first, second = map(json.loads, (tmp_path / "s.jsonl").read_text().splitlines())
    assert first["top_sensors"] == [TOP]
    assert second["top_sensors"] is None


def test_small_frames_are_gathered(tmp_path):
    # A Parquet file of thousands of tiny groups is slow to read, and large.
    frame = pl.DataFrame({"a": range(GROUP_ROWS // 4)})
    with open_writer(str(tmp_path / "s.parquet")) as writer:
        for _ in range(9):
            writer.write(frame)
    with pyarrow.parquet.ParquetFile(tmp_path / "s.parquet") as file:
        groups = [file.metadata.row_group(number).num_rows for number in range(3)]
    assert groups == [GROUP_ROWS, GROUP_ROWS, frame.height]


def listing(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("name", ["s.csv", "s.parquet", "s.arrow", "s.ndjson"])
@pytest.mark.parametrize("problem", [RuntimeError, KeyboardInterrupt])
def test_after_an_error_the_old_file_is_still_there(tmp_path, name, problem):
    # An interrupted run must not leave half a file, nor a hidden one.
    (tmp_path / name).write_text("old")

    def interrupted() -> None:
        with open_writer(str(tmp_path / name)) as writer:
            writer.write(SCORES)
            raise problem

    with pytest.raises(problem):
        interrupted()
    assert (tmp_path / name).read_text() == "old"
    assert listing(tmp_path) == [name]


@pytest.mark.parametrize("name", ["s.parquet", "s.arrow"])
def test_a_half_written_file_is_abandoned(tmp_path, name):
    # The encoder has begun the file by then, and must not be left to end it later.
    def interrupted() -> None:
        with open_writer(str(tmp_path / name)) as writer:
            writer.write(pl.DataFrame({"a": range(GROUP_ROWS)}))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert listing(tmp_path) == []


def test_errors_of_the_caller_are_not_called_storage_errors(tmp_path):
    # A network failure while scoring is not the fault of the output.
    def failing() -> None:
        with open_writer(str(tmp_path / "s.csv")):
            raise ConnectionResetError("gone")

    with pytest.raises(ConnectionResetError):
        failing()
    assert listing(tmp_path) == []


def test_the_target_changes_only_at_the_end(tmp_path):
    # Readers never see half a file.
    target = tmp_path / "s.csv"
    target.write_text("old")
    target.chmod(0o640)
    with open_writer(str(target)) as writer:
        writer.write(SCORES)
        assert target.read_text() == "old"
        (hidden,) = set(listing(tmp_path)) - {"s.csv"}
        assert hidden.startswith(".s.csv.")
    assert target.read_text() != "old"
    assert target.stat().st_mode & 0o777 == 0o640
    assert listing(tmp_path) == ["s.csv"]


def test_a_link_keeps_being_a_link(tmp_path):
    # `latest.csv` may point elsewhere.
    (tmp_path / "real.csv").write_text("old")
    (tmp_path / "latest.csv").symlink_to("real.csv")
    with open_writer(str(tmp_path / "latest.csv")) as writer:
        writer.write(SCORES)
    assert (tmp_path / "latest.csv").is_symlink()
    assert (tmp_path / "real.csv").read_text() != "old"


def test_an_unwritable_target_fails_before_any_work(tmp_path):
    # Hours of scoring must not end in a typo.
    (tmp_path / "folder.csv").mkdir()
    for target in ("nowhere/s.csv", "folder.csv"):
        with pytest.raises(StorageError, match=rf"{target}.*cannot be written"):
            open_writer(str(tmp_path / target)).__enter__()


def test_a_write_protected_target_is_respected(tmp_path, monkeypatch):
    # Renaming over it would work, and would not be what its owner wants.
    (tmp_path / "s.csv").write_text("old")
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(StorageError, match=r"s\.csv.*write-protected"):
        open_writer(str(tmp_path / "s.csv")).__enter__()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("output_format", ["csv", "parquet", "ndjson", "arrow"])
def test_a_full_disk_is_told_and_devices_stay_devices(output_format):
    # `-o /dev/null` must not replace the device by a file.
    def fill() -> None:
        with open_writer("/dev/full", output_format=output_format) as writer:
            writer.write(SCORES)

    with pytest.raises(StorageError, match=r"/dev/full.*No space left"):
        fill()
    assert Path("/dev/full").is_char_device()


def test_an_unknown_suffix_lists_the_choices():
    # Compressed text is read, but not written.
    for target in ("s.xlsx", "s", "s.csv.gz"):
        with pytest.raises(UsageError, match=rf"{target}.*\.csv \.parquet"):
            open_writer(target)


def test_standard_output_is_csv_unless_told_otherwise(monkeypatch):
    # And stays open for others.
    stdout = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stdout))
    with open_writer("-") as writer:
        writer.write(SCORES.select("score", "is_anomaly"))
    assert stdout.getvalue() == b"score,is_anomaly\n0.30000000000000004,true\n,\n"
    stdout.truncate(0)
    stdout.seek(0)
    with open_writer("-", output_format="parquet") as writer:
        writer.write(SCORES)
    assert pl.read_parquet(stdout.getvalue()).equals(SCORES)


@pytest.mark.parametrize("output_format", ["csv", "parquet", "ndjson", "arrow"])
def test_a_closed_pipe_reaches_the_caller(monkeypatch, output_format):
    # `| head` ends quietly, which only the command line can decide.
    class Closed(io.RawIOBase):
        def writable(self):
            return True

        def write(self, _data):
            raise BrokenPipeError(32, "Broken pipe")

    class Stdout:
        buffer = Closed()

    monkeypatch.setattr(sys, "stdout", Stdout())

    def pour() -> None:
        with open_writer("-", output_format=output_format) as writer:
            writer.write(SCORES)

    with pytest.raises(BrokenPipeError):
        pour()


HOSTILE = pl.DataFrame(
    {"=unit": ["=1+1", "\x1b]0;owned\x07", "\u202eevil"], "score": [-1.0, 2.0, None]}
)


def test_csv_holds_no_formulas_unless_asked(tmp_path):
    # A log's cells must not calculate in the spreadsheet of whoever looks at its scores.
    for raw, start in ((False, "'=unit,score\n'=1+1,-1.0\n"), (True, "=unit,score\n=1+1,-1.0\n")):
        with open_writer(str(tmp_path / "s.csv"), raw_csv=raw) as writer:
            writer.write(HOSTILE)
        assert (tmp_path / "s.csv").read_text().startswith(start)


class Terminal(io.BytesIO):
    def isatty(self):
        return True


@pytest.mark.parametrize("output_format", ["csv", "ndjson"])
def test_a_terminal_gets_no_control_codes_from_a_log(monkeypatch, output_format):
    # `-o -` shows cells as they come; a pipe gets them as they are.
    for stdout, clean in ((Terminal(), True), (io.BytesIO(), False)):
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stdout))
        with open_writer("-", output_format=output_format) as writer:
            writer.write(HOSTILE)
        text = stdout.getvalue().decode()
        assert text.count("\n") == 3 + (output_format == "csv")
        assert all(c.isprintable() for c in text.replace("\n", "")) == clean


@pytest.mark.parametrize("output_format", ["parquet", "arrow"])
def test_a_terminal_gets_no_binary(monkeypatch, output_format):
    # It would be control codes by chance.
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(stdout := Terminal()))
    with (
        pytest.raises(UsageError, match="a terminal shows no"),
        open_writer("-", output_format=output_format),
    ):
        pass
    assert stdout.getvalue() == b""


def test_what_a_killed_process_left_is_removed_and_what_a_living_one_writes_is_not(tmp_path):
    # A file half as large as the disk, hidden, after every power cut: nobody would find it.
    target = tmp_path / "s[1].csv"
    left = tmp_path / ".s[1].csv.89abcdef.tmp"
    left.touch()
    other = tmp_path / ".s1.csv.01234567.tmp"  # of another target
    other.touch()
    with open_writer(str(target)) as alive:
        alive.write(SCORES)
        assert not left.exists()
        with open_writer(str(target)) as second:
            second.write(SCORES[:1])
        assert len(list(tmp_path.iterdir())) == 3
    assert {path.name for path in tmp_path.iterdir()} == {other.name, target.name}
    assert target.read_text().count("\n") == 3
