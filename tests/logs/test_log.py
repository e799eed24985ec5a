"""A log is its rows, however they are cut into files, and read."""

import io
import sys
from datetime import datetime
from itertools import pairwise
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aster_cli.config import TimeConfig
from aster_cli.errors import DataError
from aster_cli.logs.readers import LogReader

START = datetime(2024, 3, 1)


def test_every_pass_streams_again(save, pump, opened):
    # Training reads a log more than once.
    with opened(save(pump, "log.csv")) as log:
        assert len(list(log.batches(3))) == len(list(log.batches(3))) == 4


def test_a_log_without_time_counts_its_rows(save, opened, whole):
    # Per machine: rows of other machines in between are no gap.
    path = save(pl.DataFrame({"unit": ["a", "b", "a", "b", "a"], "x": [1.0] * 5}), "log.parquet")
    log = opened(path, id_cols=("unit",))
    rows = whole(log, rows=2)
    assert rows["time"].tolist() == [0, 0, 1, 1, 2]
    assert rows["keys"]["timestamp"].to_list() == [0, 0, 1, 1, 2]
    assert rows["keys"].schema["timestamp"] == pl.Int64
    assert log.last_rows == {("a",): 4, ("b",): 3}
    assert "no time column" in log.notes[0]


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    cuts=st.lists(st.integers(1, 39), max_size=4, unique=True),
    rows=st.integers(1, 50),
    shuffled=st.randoms(use_true_random=False),
    suffix=st.sampled_from([".csv", ".parquet", ".ndjson", ".arrow"]),
)
def test_the_cut_into_files_does_not_matter(
    tmp_path_factory, save, cuts, rows, shuffled, suffix, opened, whole, hours
):
    # Rotated logs must score like the one long log that they are.
    folder = tmp_path_factory.mktemp("cut")
    log = hours(*range(40), x=[row / 3 for row in range(40)])
    edges = [0, *sorted(cuts), 40]
    paths = []
    for number, (start, stop) in enumerate(pairwise(edges)):
        paths.append(save(log[start:stop], str(folder / f"{number}{suffix}")))
    shuffled.shuffle(paths)
    parts = opened(*paths)
    read = whole(parts, rows)
    assert read["keys"]["timestamp"].to_list() == log["time"].to_list()
    assert read["values"][:, 0].tolist() == log["x"].to_list()
    assert read["first_rows"][0] == 0
    assert parts.n_rows == 40
    assert [Path(source.path).stem for source in parts.sources] == [
        str(number) for number in range(len(paths))
    ]
    assert parts.name == Path(paths[0]).stem


def test_files_that_overlap_need_ids(save, opened, whole, hours):
    # Two machines' files read as one would look like one machine in turmoil.
    paths = [save(hours(0, 2, x=[1.0, 2.0]), "a.csv"), save(hours(1, 3, x=[3.0, 4.0]), "b.csv")]
    with pytest.raises(DataError, match=r"b\.csv: .*a\.csv .*--id-col or --id-from-path"):
        whole(opened(*paths))
    log = opened(*paths, id_from_path=True)
    read = whole(log)
    assert read["machines"] == [("a",), ("a",), ("b",), ("b",)]
    assert read["keys"].columns == ["timestamp", "machine"]
    assert log.last_rows == {("a",): 1, ("b",): 3}
    sort = TimeConfig(sort=True)
    assert whole(opened(*paths, time=sort))["values"][:, 0].tolist() == [1.0, 3.0, 2.0, 4.0]


@pytest.mark.parametrize("rows", [1, 2, 8192])
def test_disorder_names_file_row_time_and_machine(save, rows, opened, whole):
    # Within batches and across them; other machines' times do not matter.
    for falling in (1, 0):
        frame = pl.DataFrame(
            {"unit": ["a", "b", "a", "b"], "t": [1, 1, 2, falling], "x": [1.0] * 4}
        )
        log = opened(save(frame, "log.csv"), id_cols=("unit",), time_col="t")
        with pytest.raises(DataError) as caught:
            whole(log, rows)
        for part in ("log.csv, row 4", f"time {falling}", "'b'", "--duplicates", "--sort"):
            assert part in str(caught.value)


def test_standard_input_is_read_and_removed(pump, monkeypatch, tmp_path, opened):
    # Its copy must not outlive the log, also when opening fails.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    data = pump.write_csv().encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    with opened("-") as log:
        assert log.name == "stdin"
        assert len(list(log.batches(3))) == len(list(log.batches(3))) == 4
        assert len(list(tmp_path.iterdir())) == 1
    assert list(tmp_path.iterdir()) == []
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"just,text\na,b\n")))
    with pytest.raises(DataError, match="stdin: no usable sensor"):
        opened("-")
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_is_dropped_removes_its_copy(pump, monkeypatch, tmp_path, opened):
    # Not everyone uses `with`.
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(pump.write_csv().encode())))
    log = opened("-")
    del log
    assert list(tmp_path.iterdir()) == []


def test_rows_are_counted_once(save, pump, opened, monkeypatch):
    # To count the rows of a CSV is to read it whole.
    counted = []
    count_rows = LogReader.count_rows

    def watched(reader: LogReader) -> int:
        counted.append(reader)
        return count_rows(reader)

    monkeypatch.setattr(LogReader, "count_rows", watched)
    with opened(save(pump, "log.csv")) as log:
        assert (log.n_rows, log.last_rows) == (10, {(): 9})
    assert len(counted) == 1
