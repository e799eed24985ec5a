"""Every cell of a row must arrive as it is meant, or be named."""

from datetime import date, datetime

import numpy as np
import polars as pl
import pytest

from aster_cli.errors import DataError, LogFormatError

START = datetime(2024, 3, 1)


@pytest.mark.parametrize("name", ["log.csv", "log.parquet", "log.ndjson.gz", "log.arrow"])
def test_a_batch_says_all_about_its_rows(save, pump, name, opened):
    # One log by hand: keys as stored, time in nanoseconds, NaN for what is missing.
    labelled = pump.with_columns(pl.Series("label", [0] * 9 + [1]))
    with opened(save(labelled, name)) as log:
        first, second = log.batches(rows=6)
        assert log.name == "log"
        assert log.n_rows == 10
        assert log.last_rows == {(): 9}
        assert (log.alias, log.input_keys) == (None, None)
    assert (first.first_row, second.first_row) == (0, 6)
    assert (len(first), len(second)) == (6, 4)
    assert first.keys.columns == ["timestamp"]
    assert first.keys["timestamp"].to_list() == pump["time"][:6].to_list()
    assert first.time.dtype == np.int64
    assert np.diff(first.time).tolist() == [60 * 10**9] * 5
    assert first.machines == ((),)
    assert np.argwhere(np.isnan(first.values)).tolist() == [[2, 1]]
    assert first.values.flags.c_contiguous
    assert first.values[:, 0].tolist() == pump["flow"][:6].to_list()
    assert second.labels is not None
    assert second.labels.tolist() == [0, 0, 0, 1]


def test_no_number_is_infinite(save, opened, whole):
    # Infinities would travel through every mean; they count as missing.
    path = save("a,b\n1,inf\n2,-inf\n3,nan\n4,5\n", "log.csv")
    values = whole(opened(path))["values"]
    assert np.isnan(values[:3, 1]).all()
    assert values[3, 1] == 5


def test_the_dtype_of_the_timestamp_is_the_log_s(save, pump, opened, whole):
    # Users join scores with their logs by it.
    zoned = pump.with_columns(
        pl.col("time").dt.cast_time_unit("ms").dt.replace_time_zone("Asia/Tokyo")
    )
    for column in (
        zoned["time"],
        pl.Series("time", [date(2024, 3, 1 + day) for day in range(10)]),
        pl.Series("time", range(10), dtype=pl.Int32),
        pl.Series("time", [1709251200 + second for second in range(10)], dtype=pl.UInt32),
    ):
        path = save(pump.with_columns(column), "log.parquet")
        log = opened(path)
        assert whole(log)["keys"]["timestamp"].equals(column)
        assert log.schema.time_dtype == str(column.dtype)


@pytest.mark.parametrize("unit", ["ms", "us", "ns"])
@pytest.mark.parametrize("time", [2**62, -(2**62), 10**18])
def test_a_time_that_nobody_has_is_told(time, unit, save, opened, whole):
    # Of some of them Python has no year, and at others Polars panics when asked for them.
    times = pl.Series("time", [0, 1, time], dtype=pl.Int64).cast(pl.Datetime(unit))
    path = save(pl.DataFrame([times, pl.Series("flow", [1.0, 2.0, 3.0])]), "log.arrow")
    with opened(path) as log:
        if unit == "ns":  # those are all times
            assert log.n_rows == 3
            return
        with pytest.raises(DataError, match=rf"row 3: column 'time' has the time {time}, which is"):
            whole(log)


def test_ids_stay_as_they_are_written(save, opened, whole):
    # 007 is not 7; typed ids keep their dtype.
    text = save("unit,t,x\n007,1,1\n007,2,1\n7,1,1\n", "log.csv")
    assert set(whole(opened(text, id_cols=("unit",)))["machines"]) == {("007",), ("7",)}
    frame = pl.DataFrame({"unit": [7, 7], "kind": ["p", "q"], "t": [1, 2], "x": [1.0, 2.0]})
    frame = frame.with_columns(pl.col("kind").cast(pl.Categorical))
    read = whole(opened(save(frame, "log.parquet"), id_cols=("unit", "kind")))
    assert read["machines"] == [("7", "p"), ("7", "q")]
    assert read["keys"].dtypes[1:] == [pl.Int64, pl.String]


def test_an_empty_id_is_refused(save, opened, whole):
    # It would be a machine of its own, silently.
    for content, name in [("unit,t,x\na,1,1\n,2,1\n", "l.csv")]:
        with pytest.raises(DataError, match=r"l\.csv, row 2: id column 'unit' is empty"):
            whole(opened(save(content, name), id_cols=("unit",)))


def test_a_row_without_time_is_named(save, opened, whole, hours):
    # Such a row has no place in any window.
    path = save("t,x\n1,1\n,2\n3,3\n", "log.csv")
    with pytest.raises(DataError, match=r"log\.csv, row 2: column 't' has no time"):
        whole(opened(path))
    with pytest.raises(DataError, match=r"log\.csv, row 1: column 't' has no time"):
        opened(save("t,x\n,1\n2,2\n3,3\n", "log.csv"))
    far = hours(0, 1, x=[1.0, 2.0]).with_columns(
        time=pl.Series([START, datetime(9999, 1, 1)], dtype=pl.Datetime("us"))
    )
    with pytest.raises(DataError, match=r"row 2: .*9999-01-01 00:00:00, which is out of range"):
        whole(opened(save(far, "log.parquet")))


@pytest.mark.parametrize(
    ("labels", "offender"),
    [
        ("0 1 2", "'2'"),
        ("0 1 0.5", "'0.5'"),
        ("0 1 ", "None"),
        ("0 1 yes", "'yes'"),
    ],
)
def test_labels_are_zero_or_one(save, labels, offender, opened, whole):
    # Anything else would bend every metric.
    rows = [f"{t},{t},{label}" for t, label in enumerate(labels.split(" "))]
    path = save("\n".join(["t,x,label", *rows]), "log.csv")
    with pytest.raises(DataError, match=rf"log\.csv, row 3: label {offender} .*'label'"):
        whole(opened(path))


@pytest.mark.parametrize(
    "labels", [[0, 1], [0.0, 1.0], [False, True], ["0", "1.0"], ["false", "True"]]
)
def test_labels_come_in_many_spellings(save, labels, opened):
    # Bool, whole, fraction or text: they mean the same.
    frame = pl.DataFrame({"x": [1.0, 2.0], "fault": labels})
    for name in ("log.csv", "log.parquet"):
        (batch,) = opened(save(frame, name), label_col="fault").batches()
        assert batch.labels is not None
        assert batch.labels.tolist() == [0, 1]
        assert batch.labels.dtype == np.int8


def test_an_unreadable_cell_is_found_in_any_batch(save, opened, whole):
    # Opening looks at the first rows only; reading looks at all of them.
    rows = "".join(f"{row},{row}\n" for row in range(20_000))
    path = save(f"t,x\n{rows}20000,off\n", "log.csv")
    with pytest.raises(LogFormatError, match=r"log\.csv, row 20001: 'off' in column 'x'"):
        whole(opened(path))
