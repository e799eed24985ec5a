"""Sorting and merging must be traceable: every input row has one arranged row to stand for it."""

from itertools import groupby
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from aster_cli.config import ColumnConfig, TimeConfig
from aster_cli.errors import DataError
from aster_cli.logs import Log, open_log

ROWS = pl.DataFrame(
    {
        "unit": ["a", "a", "b", "a", "a"],
        "t": [1, 2, 2, 2, 3],
        "x": [1.0, 2.0, 9.0, 4.0, 5.0],
        "y": [1.0, None, 9.0, 4.0, 5.0],
        "label": [0, 1, 0, 0, 0],
    }
)


def opened(path: str, **time: Any) -> Log:
    return open_log([path], ColumnConfig(time_col="t", id_cols=("unit",)), TimeConfig(**time))


@pytest.mark.parametrize(
    ("policy", "x", "y"),
    [("first", 2.0, None), ("last", 4.0, 4.0), ("mean", 3.0, 4.0)],
)
def test_repeated_times_are_merged(save, policy, x, y):
    # By hand: machine a has the time 2 twice, machine b's is its own.
    log = opened(save(ROWS, "log.csv"), duplicates=policy)
    (batch,) = log.batches()
    assert batch.time.tolist() == [1, 2, 2, 3]
    assert [batch.machines[code] for code in batch.machine_codes] == [
        ("a",),
        ("a",),
        ("b",),
        ("a",),
    ]
    np.testing.assert_array_equal(
        batch.values, [[1.0, 1.0], [x, np.nan if y is None else y], [9.0, 9.0], [5.0, 5.0]]
    )
    assert batch.labels is not None
    assert batch.labels.tolist() == [0, 1, 0, 0]
    assert log.alias is not None
    assert log.alias.tolist() == [0, 1, 2, 1, 3]
    assert log.input_keys is not None
    assert log.input_keys.equals(ROWS.select(timestamp="t", unit="unit"))
    assert (log.n_rows, log.last_rows) == (4, {("a",): 3, ("b",): 2})


def test_rows_are_sorted_by_time(save):
    # Stably: machines with the same time keep their order.
    shuffled = ROWS.filter(pl.int_range(pl.len()) != 3)[[3, 2, 0, 1]]
    log = opened(save(shuffled, "log.parquet"), sort=True)
    (batch,) = log.batches()
    assert batch.time.tolist() == [1, 2, 2, 3]
    assert batch.values[:, 0].tolist() == [1.0, 9.0, 2.0, 5.0]
    assert log.alias is not None
    assert log.alias.tolist() == [3, 1, 0, 2]


def test_arranged_batches_are_cut_like_others(save):
    # The rest of the program need not know that rows were arranged.
    batches = list(opened(save(ROWS, "log.csv"), duplicates="first").batches(rows=3))
    assert [(batch.first_row, len(batch)) for batch in batches] == [(0, 3), (3, 1)]
    assert [batch.machines for batch in batches] == [(("a",), ("b",)), (("a",),)]
    assert batches[1].keys.rows() == [(3, "a")]


def test_disorder_is_still_an_error(save):
    # Merging does not sort, and sorting does not merge.
    fallen = ROWS.with_columns(pl.Series("t", [1, 2, 2, 1, 3]))
    with pytest.raises(DataError, match=r"row 4: time 1 of machine 'a' .*--sort"):
        list(opened(save(fallen, "log.csv"), duplicates="mean").batches())
    with pytest.raises(DataError, match=r"log\.csv, row 4: time 2 occurs twice; .*--duplicates"):
        list(opened(save(ROWS, "log.csv"), sort=True).batches())


def test_a_log_without_time_is_left_alone(save):
    # Row numbers rise by themselves.
    path = save(pl.DataFrame({"x": [2.0, 1.0]}), "log.csv")
    log = open_log([path], ColumnConfig(), TimeConfig(sort=True, duplicates="first"))
    assert log.alias is None
    assert next(iter(log.batches())).values[:, 0].tolist() == [2.0, 1.0]


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(st.sampled_from("ab"), st.integers(0, 4), st.integers(0, 99)),
        min_size=1,
        max_size=20,
    )
)
def test_sorting_and_merging_agree_with_plain_python(save, rows):
    # The vectorised work against a dictionary and a loop.
    frame = pl.DataFrame(rows, schema=["unit", "t", "x"], orient="row")
    log = opened(
        save(frame.with_columns(pl.col("x").cast(pl.Float64)), "log.arrow"),
        sort=True,
        duplicates="mean",
    )
    (batch,) = log.batches()
    arranged = [
        (batch.machines[code][0], time, value)
        for code, time, value in zip(
            batch.machine_codes, batch.time.tolist(), batch.values[:, 0], strict=True
        )
    ]
    in_order = sorted(rows, key=lambda row: row[1])
    keys = list(dict.fromkeys((unit, time) for unit, time, _ in in_order))
    means = {
        key: np.mean([row[2] for row in group])
        for key, group in groupby(sorted(rows, key=lambda row: row[:2]), key=lambda row: row[:2])
    }
    assert [row[:2] for row in arranged] == keys
    assert [row[2] for row in arranged] == pytest.approx([means[key] for key in keys])
    assert log.alias is not None
    assert [keys[place] for place in log.alias] == [row[:2] for row in rows]
