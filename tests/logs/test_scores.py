"""Scores must come back as they were written, and other files must not pass for scores."""

import os
import random
from datetime import datetime
from pathlib import Path

import polars as pl
import pytest

import aster_cli.logs.sources
from aster_cli.errors import LogFormatError, StorageError
from aster_cli.logs import TOP_SENSORS, ScoresFile, is_scores_file, open_writer, read_scores

TOP = [{"sensor": "a, b", "share": 1.0, "direction": 1, "actual": 0.5, "expected": -1e-7}]
SCORES = pl.DataFrame(
    {
        "timestamp": pl.Series([datetime(2024, 3, 1, 8), datetime(2024, 3, 1, 9)]),
        "machine": ["007", "b"],
        "score": [None, 0.1 + 0.2],
        "severity": pl.Series([None, 90.5], dtype=pl.Float32),
        "threshold": [0.25, 0.25],
        "is_anomaly": [None, True],
        "status": ["gap", "ok"],
        "event_id": [None, "0012ab"],
        "top_sensors": pl.Series([None, TOP], dtype=TOP_SENSORS),
        "evidence": [None, 12.5],
        "model_id": ["012345678901", "012345678901"],
    }
)
NAMES = ["s.csv", "s.parquet", "s.ndjson", "s.jsonl", "s.arrow", "s.feather"]


def written(frame: pl.DataFrame, path: Path) -> str:
    with open_writer(str(path)) as writer:
        writer.write(frame)
    return str(path)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("rows", [slice(0, 2), slice(0, 1)])
def test_scores_come_back_as_written(tmp_path, name, rows):
    # Also where a column is null throughout, so that text formats show no type.
    frame = SCORES[rows]
    path = written(frame, tmp_path / name)
    assert is_scores_file(path)
    read = read_scores(path)
    assert read.with_columns(pl.col("timestamp").dt.cast_time_unit("us")).equals(frame)
    assert read.drop("timestamp").schema == frame.drop("timestamp").schema


@pytest.mark.parametrize("name", NAMES)
def test_counters_come_back_as_numbers(tmp_path, name):
    # Logs without dates have them as timestamps.
    frame = SCORES.with_columns(timestamp=pl.Series([0, 1]))
    assert read_scores(written(frame, tmp_path / name)).equals(frame)


def test_parts_of_a_directory_are_one(tmp_path):
    # Runs that keep a state write one part each, sortable by name.
    for number in (1, 0):
        written(SCORES[number : number + 1], tmp_path / f"part-0000000{number}.parquet")
    assert read_scores(str(tmp_path)).equals(SCORES)
    with ScoresFile(str(tmp_path)) as scores:
        assert scores.name == tmp_path.name  # a part is of one run, and its name says nothing


@pytest.mark.parametrize("ids", [True, False], ids=["machines", "one machine"])
def test_of_rows_that_parts_share_the_last_one_counts(tmp_path, monkeypatch, ids):
    # By key, so a part may reach back into any other; in frames of some rows, which are all that is held.
    monkeypatch.setattr("aster_cli.logs.scores.HEAD_ROWS", 3)
    draw, rows = random.Random(0), []
    for run in range(1, 6):
        for place in sorted(draw.sample(range(20), 12)):
            for machine in draw.sample(["007", "b", None], 2) if ids else ["b"]:
                row = {**SCORES.row(1, named=True), "machine": machine, "score": float(run)}
                rows.append((run, {**row, "timestamp": datetime(2024, 3, 1 + place)}))
    for run in range(1, 6):
        own = pl.DataFrame([row for at, row in rows if at == run], schema=SCORES.schema)
        written(own if ids else own.drop("machine"), tmp_path / f"part-{run:08}.parquet")
    expected = {(row["machine"], row["timestamp"]): row["score"] for _, row in rows}
    read = read_scores(str(tmp_path))
    machines = read["machine"].to_list() if ids else ["b"] * len(read)
    found = zip(machines, read["timestamp"].to_list(), read["score"].to_list(), strict=True)
    assert sorted(map(str, found)) == sorted(map(str, ((*key, x) for key, x in expected.items())))


@pytest.mark.parametrize("name", NAMES)
def test_another_file_is_no_scores_file(tmp_path, name):
    # The first column that is lacking says why.
    path = written(SCORES.drop("threshold"), tmp_path / name)
    assert not is_scores_file(path)
    with pytest.raises(LogFormatError, match=rf"{name}: is no aster scores file.*'threshold'"):
        read_scores(path)


def test_a_column_of_another_type_is_named(tmp_path):
    # A hand-made file may have the names, but not the values.
    path = written(SCORES.with_columns(is_anomaly=pl.lit(1.0)), tmp_path / "s.parquet")
    with pytest.raises(LogFormatError, match="'is_anomaly' is Float64, not Boolean"):
        read_scores(path)
    path = written(SCORES.with_columns(score=pl.lit("high")), tmp_path / "s.csv")
    with pytest.raises(LogFormatError, match=r"s\.csv, row 1: 'high' in column 'score'"):
        read_scores(path)
    path = written(SCORES.with_columns(top_sensors=pl.lit("{")), tmp_path / "s.csv")
    with pytest.raises(LogFormatError, match=r"s\.csv: column 'top_sensors' is not JSON"):
        read_scores(path)


def test_the_format_can_be_given(tmp_path):
    # Without it a file of another suffix is no error: a log may be called what it likes.
    path = Path(written(SCORES, tmp_path / "s.csv")).rename(tmp_path / "s.out")
    assert is_scores_file(str(path), input_format="csv")
    assert not is_scores_file(str(path))


def test_streams_are_left_alone(tmp_path, monkeypatch):
    # They can be read only once, by whoever wants what is in them.
    fifo = tmp_path / "s.csv"
    os.mkfifo(fifo)
    monkeypatch.setattr(aster_cli.logs.sources, "_spool", None)
    assert not is_scores_file("-", input_format="csv")
    assert not is_scores_file(str(fifo))


def test_a_missing_file_is_named(tmp_path):
    # The same message as for logs.
    with pytest.raises(StorageError, match="nowhere"):
        read_scores(str(tmp_path / "nowhere.csv"))


@pytest.mark.parametrize("raw", [False, True])
def test_machines_come_back_as_the_log_has_them(tmp_path, raw):
    # CSV puts an apostrophe before a formula; a machine must not become another one by that.
    units = SCORES.select(pl.lit("=1+1").alias("=unit"), pl.all())
    with open_writer(str(tmp_path / "s.csv"), raw_csv=raw) as writer:
        writer.write(units)
    read = read_scores(str(tmp_path / "s.csv"))
    assert read["=unit"].to_list() == ["=1+1"] * len(SCORES)
    assert read["top_sensors"].equals(SCORES["top_sensors"])


@pytest.mark.parametrize("name", ["s.parquet", "s.csv", "s.ndjson"])
def test_scores_of_an_earlier_version_are_refused(tmp_path: Path, name: str) -> None:
    """Their events would have no values, and a reader would take that for "not known"."""
    earlier = pl.element().struct.field("sensor", "share", "direction")
    stored = SCORES["top_sensors"].list.eval(pl.struct(earlier))
    path = written(SCORES.with_columns(stored), tmp_path / name)
    with pytest.raises(LogFormatError, match=r"earlier aster: .* no 'actual'; score the log again"):
        read_scores(str(path))
