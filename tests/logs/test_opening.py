"""Files must agree before they are one log, and fit the model before they are scored."""

import subprocess
import sys
from datetime import datetime, timedelta

import numpy as np
import polars as pl
import pytest

from aster_cli.config import ColumnConfig, TimeConfig
from aster_cli.errors import DataError, LogFormatError, SchemaMismatchError, StorageError
from aster_cli.logs import open_log

START = datetime(2024, 3, 1)


def test_hive_folders_name_machines(save, tmp_path, opened, whole, hours):
    # All keys with --id-from-path, or those that --id-col names.
    for site in "AB":
        save(hours(0, 1, x=[1.0, 2.0]), f"site={site}/year=2024/log.parquet")
    assert opened(str(tmp_path), id_from_path=True).schema.id_cols == ("site", "year")
    log = opened(str(tmp_path), id_cols=("site",))
    assert set(whole(log)["machines"]) == {("A",), ("B",)}
    again = opened(str(tmp_path), expected=log.schema)
    assert again.schema.id_cols == ("site",)


def test_labels_that_some_files_lack_are_none(save, opened, hours):
    # Half-labelled rows cannot be evaluated.
    first = hours(0, x=[1.0]).with_columns(label=0)
    log = opened(save(first, "a.parquet"), save(hours(1, x=[1.0]), "b.parquet"))
    assert log.schema.label_col is None


def test_files_must_have_the_same_sensors(save, opened, hours):
    # The offending file is named, with what it lacks and what it adds.
    paths = [save(hours(0, x=[1.0]), "a.csv"), save(hours(1, y=[1.0]), "b.csv")]
    with pytest.raises(SchemaMismatchError, match=r"b\.csv: .*a\.csv: lacks 'x', adds 'y'"):
        opened(*paths)


def test_files_must_tell_machines_alike(save, opened, hours):
    # One of them would have machines without a name.
    paths = [save(hours(0, x=[1.0]), "site=A/log.csv"), save(hours(1, x=[1.0]), "log.csv")]
    with pytest.raises(SchemaMismatchError, match=r"by 'machine', those of .* by 'site'"):
        opened(*paths, id_from_path=True)


def test_files_must_tell_time_alike(save, opened, hours):
    # In column, kind, unit and zone.
    first = save(hours(0, x=[1.0]), "a.parquet")
    zoned = hours(1, x=[1.0]).with_columns(pl.col("time").dt.replace_time_zone("UTC"))
    with pytest.raises(DataError, match=r"b\.parquet: its times are .*UTC.*those of .*a\.parquet"):
        opened(first, save(zoned, "b.parquet"))
    renamed = hours(1, x=[1.0]).rename({"time": "at"})
    with pytest.raises(SchemaMismatchError, match=r"b\.parquet: .*'at'.*a\.parquet .*'time'"):
        opened(first, save(renamed, "b.parquet"))
    seconds, millis = pl.DataFrame({"t": [1709251200], "x": [1.0]}), 1000
    paths = [
        save(seconds, "s.parquet"),
        save(seconds.with_columns(pl.col("t") * millis), "ms.parquet"),
    ]
    with pytest.raises(SchemaMismatchError, match=r"epoch in s .* epoch in ms|in ms .* in s"):
        opened(*paths)


def test_files_may_differ_in_the_unit_of_time(save, opened, whole, hours):
    # Writers choose it; the finest is kept.
    coarse = hours(0, x=[1.0]).with_columns(pl.col("time").dt.cast_time_unit("ms"))
    fine = hours(1, x=[1.0]).with_columns(pl.col("time").dt.cast_time_unit("ns"))
    paths = [save(coarse, "a.pq"), save(fine, "b.pq")]
    keys = whole(opened(*paths))["keys"]
    assert keys.schema["timestamp"] == pl.Datetime("ns")
    assert keys["timestamp"].to_list() == [START, START + timedelta(hours=1)]


def test_offsets_become_utc_and_that_is_said(save, opened, whole):
    # CSV cannot keep a zone per column.
    path = save("time,x\n2024-03-01T08:00:00+02:00,1\n2024-03-01T07:00:00Z,2\n", "log.csv")
    log = opened(path)
    assert any("UTC" in note for note in log.notes)
    assert whole(log)["keys"].schema["timestamp"] == pl.Datetime("ns", "UTC")
    with pytest.raises(LogFormatError, match=r"log\.csv, row 3: '2024-03-01 09:00:00'"):
        whole(
            opened(
                save(
                    "time,x\n2024-03-01T08:00:00Z,1\n2024-03-01T08:01:00Z,1\n"
                    "2024-03-01 09:00:00,2\n",
                    "log.csv",
                )
            )
        )


def test_day_first_dates_are_said(save, opened):
    # 03/04 is March in America.
    log = opened(save("time,x\n03/04/2024 08:00,1\n04/04/2024 08:00,2\n", "log.csv"))
    (note,) = log.notes
    assert "day first" in note
    assert "2024-04-03" in note


def test_a_column_left_out_may_hold_anything(save, opened, whole):
    # The hint of the error above must work.
    path = save("t,x,y\n1,1,1\n2,2,off\n3,3,3\n", "log.csv")
    assert opened(path, exclude_cols=("y",)).schema.sensors == ("x",)
    assert len(whole(opened(path, exclude_cols=("y",)))["time"]) == 3


def test_scoring_reads_the_model_s_sensors_in_its_order(save, pump, opened, whole):
    # From another format, in another order, with a stranger among them.
    trained = opened(save(pump, "train.parquet")).schema
    shuffled = pump.select("temp", pl.lit("x").alias("note"), "time", "flow")
    log = opened(save(shuffled, "score.csv"), expected=trained)
    assert log.schema.sensors == ("flow", "temp")
    assert log.notes == ("ignored, not known to the model: 'note'",)
    np.testing.assert_array_equal(
        whole(log)["values"], pump.select("flow", "temp").fill_null(np.nan).to_numpy()
    )
    with pytest.raises(SchemaMismatchError, match=r"score\.csv: .*lacks 'temp'"):
        opened(save(shuffled.drop("temp"), "score.csv"), expected=trained)


def test_sensors_may_be_missing_if_that_is_allowed(save, pump, opened, whole):
    # They count as missing cells.
    trained = opened(save(pump, "train.parquet")).schema
    log = open_log(
        [save(pump.drop("temp"), "score.csv")],
        ColumnConfig(),
        TimeConfig(),
        expected=trained,
        allow_missing_sensors=True,
    )
    values = whole(log)["values"]
    assert np.isnan(values[:, 1]).all()
    assert np.isfinite(values[:, 0]).all()


def test_machines_from_the_path_are_found_again(save, opened, whole, hours):
    # Scoring must not need the flags of training once more.
    trained = opened(save(hours(0, x=[1.0]), "m1.csv"), id_from_path=True).schema
    log = opened(save(hours(0, x=[1.0]), "m2.csv"), expected=trained)
    assert whole(log)["machines"] == [("m2",)]


def test_a_given_format_reads_any_name(save, pump, opened):
    # Files without a telling suffix are common.
    path = save(pump.write_csv(), "plant.log")
    assert opened(path, input_format="csv").n_rows == 10
    with pytest.raises(StorageError, match="suffix"):
        opened(path)


def test_the_door_does_not_load_torch():
    # Importing it takes a second, and many commands do without.
    code = "import sys, aster_cli.logs; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
