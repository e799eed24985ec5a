"""From a log to parts that do not know of each other."""

import itertools
from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aster_cli.config import TimeConfig
from aster_cli.errors import DataError
from aster_cli.logs import Incident, LogSchema
from aster_cli.preparation import (
    FEWEST_WINDOWS,
    collect,
    drop_empty_sensors,
    sampling_period,
    segments_of,
    skip_incidents,
    split_time,
    state_sensors,
)
from aster_cli.results import LogBatch, Series
from tests.ragged_logs import prepare, ragged_logs

NAN = np.nan
SCHEMA = LogSchema(
    sensors=("speed", "load"),
    sensor_dtypes=("Float64", "Int64"),
    time_col="time",
    time_kind="datetime",
    time_dtype="Datetime",
    seconds_per_unit=1e-9,
    id_cols=("pump",),
    id_from_path=False,
    label_col=None,
)
START = datetime(2026, 1, 1)


def series_of(values: Any, *, time: Any = None, machine: tuple[str, ...] = ()) -> Series:
    cells = np.asarray(values, dtype=np.float64)
    numbers = np.arange(len(cells))
    clock = numbers * 10**9 if time is None else time
    return Series(machine, numbers, clock, cells[:, None] if cells.ndim == 1 else cells)


def test_states_and_commands_are_told_by_two_values_at_most() -> None:
    """Over all machines, and a missing cell is no third value. What never moved is a state too: a
    switch that nobody threw."""
    first = series_of([[0.0, 1.5, 7.0, 0.0], [1.0, 2.5, 7.0, NAN], [NAN, 3.5, 7.0, 0.0]])
    second = series_of([[1.0, 1.5, 7.0, 4.0], [0.0, 1.5, 7.0, 4.0]], machine=("b",))
    assert state_sensors([first]).tolist() == [True, False, True, True]
    assert state_sensors([first, second]).tolist() == [True, False, True, True]


def test_where_only_states_move_they_are_what_is_measured() -> None:
    """Marked down, all would be marked down alike; nothing else is there to speak."""
    log = series_of([[0.0, 5.0, 1.0], [1.0, 5.0, 1.0], [0.0, 5.0, 2.0]])
    assert not state_sensors([log]).any()


def test_a_log_is_collected_by_machine_in_its_order() -> None:
    """Batches interleave machines as they please; row numbers lead back to the log."""
    codes = [[0, 1, 0], [1, 1], [0, 1]]
    batches = []
    first = 0
    for part in codes:
        n = len(part)
        numbers = np.arange(first, first + n)
        stamps = [START + timedelta(seconds=int(number)) for number in numbers]
        batches.append(
            LogBatch(
                first_row=first,
                keys=pl.DataFrame({"timestamp": stamps}),
                time=numbers * 10**9,
                machines=(("a",), ("b",)),
                machine_codes=np.array(part, dtype=np.int32),
                values=numbers[:, None].astype(np.float64),
                labels=None,
            )
        )
        first += n
    series, span = collect(batches)
    rows = {one.machine: one.numbers.tolist() for one in series}
    assert rows == {("a",): [0, 2, 5], ("b",): [1, 3, 4, 6]}
    for one in series:
        np.testing.assert_array_equal(one.values[:, 0], one.numbers)
        np.testing.assert_array_equal(one.time, one.numbers * 10**9)
    assert span.to_list() == [START, START + timedelta(seconds=6)]


def test_a_sensor_without_a_value_is_left_out_and_named() -> None:
    """It is empty only if it is empty on every machine."""
    empty = series_of([[1.0, NAN], [2.0, NAN]], machine=("a",))
    partly = series_of([[1.0, NAN], [2.0, 5.0]], machine=("b",))
    schema, kept, notes = drop_empty_sensors(SCHEMA, [empty, partly])
    assert (schema, notes) == (SCHEMA, ())
    assert len(kept) == 2
    for values, name, dtype in (
        ([[1.0, NAN], [2.0, NAN]], "speed", "Float64"),
        ([[NAN, 1.0], [NAN, 2.0]], "load", "Int64"),
    ):
        schema, (one,), (note,) = drop_empty_sensors(SCHEMA, [series_of(values)])
        assert (schema.sensors, schema.sensor_dtypes) == ((name,), (dtype,))
        assert one.values.tolist() == [[1.0], [2.0]]
        assert repr(name) not in note
        assert "no value" in note


def test_a_log_without_a_single_value_is_refused() -> None:
    """There is nothing that a detector could learn."""
    with pytest.raises(DataError, match="every sensor is missing"):
        drop_empty_sensors(SCHEMA, [series_of([[NAN, NAN]])])


def test_the_period_is_the_median_step_in_seconds() -> None:
    """Users read and write seconds, whatever unit the clock counts in; a counter has its own."""
    jittered = series_of(np.ones(4), time=np.array([0, 2, 4, 9], dtype=np.int64) * 10**9)
    assert sampling_period([jittered], SCHEMA, TimeConfig()) == 2.0
    counter = msgspec.structs.replace(SCHEMA, seconds_per_unit=None)
    assert sampling_period([jittered], counter, TimeConfig()) == 2e9
    assert sampling_period([jittered], SCHEMA, TimeConfig(period=0.5)) == 0.5
    with pytest.raises(DataError, match="one row only"):
        sampling_period([series_of([1.0])], SCHEMA, TimeConfig())


@given(st.integers(2, 40), st.integers(0, 3000))
def test_parts_of_time_are_ordered_long_enough_and_a_window_apart(size: int, more: int) -> None:
    """A window that saw two parts would carry training rows into what judges the training."""
    n = FEWEST_WINDOWS * size + more
    split = split_time(series_of(np.zeros(n)), size)
    parts = (split.train, split.early_stopping, split.calibration)
    assert all(len(part) >= size for part in parts)
    assert (split.train.numbers[0], split.calibration.numbers[-1]) == (0, n - 1)
    for earlier, later in itertools.pairwise(parts):
        assert later.numbers[0] - earlier.numbers[-1] - 1 == size


def test_long_logs_are_split_as_documented() -> None:
    """Seventy, ten and twenty in a hundred."""
    split = split_time(series_of(np.zeros(10_040)), 20)
    lengths = [len(part) for part in (split.train, split.early_stopping, split.calibration)]
    assert lengths == [7000, 1000, 2000]


@given(st.integers(2, 40), st.data())
def test_a_short_machine_is_not_split(size: int, data: st.DataObject) -> None:
    """Its few windows teach more than they could judge."""
    n = data.draw(st.integers(0, FEWEST_WINDOWS * size - 1))
    split = split_time(series_of(np.zeros(n)), size)
    assert [len(part) for part in (split.train, split.early_stopping, split.calibration)] == [
        n,
        0,
        0,
    ]


@given(log=ragged_logs(), policy=st.sampled_from(["previous", "interpolate", "drop"]))
def test_training_and_scoring_cut_the_same_segments(log: Any, policy: Any) -> None:
    """A detector must learn from windows cut as those that it will judge."""
    time, values = log
    segments = segments_of(series_of(values, time=time, machine=("a",)), 3.0, policy)
    rows = prepare(time, values, longest=3.0, policy=policy)
    assert len(segments) == rows.opens.sum()
    assert all(len(one.numbers) == len(one.values) > 0 for one in segments)
    joined = [number for one in segments for number in one.numbers.tolist()]
    assert joined == rows.numbers.tolist()
    firsts = [int(one.numbers[0]) for one in segments]
    assert firsts == rows.numbers[rows.opens].tolist()
    if segments:
        np.testing.assert_array_equal(np.concatenate([s.values for s in segments]), rows.values)


SECOND = 10**9
LONGEST = 5.0 * SECOND


def skip(series: list[Series], *incidents: Incident) -> tuple[list[Series], int, tuple[str, ...]]:
    return skip_incidents(series, list(incidents), ("pump",), gap=2.0 * LONGEST)


@pytest.mark.parametrize("policy", ["previous", "interpolate"])
def test_no_segment_and_no_fill_reaches_across_an_incident(policy: Any) -> None:
    """One bad second leaves a gap: neither a window nor a filled cell may bridge it."""
    values = np.arange(20.0)
    values[[9, 11]] = NAN
    (left,), rows, _ = skip(
        [series_of(values, machine=("a",))], Incident({}, 10 * SECOND, 10 * SECOND)
    )
    assert rows == 1
    cut = segments_of(left, LONGEST, policy)
    assert [segment.numbers.tolist() for segment in cut] == (
        [list(range(10)), list(range(12, 20))]
        if policy == "previous"
        else [list(range(9)), list(range(12, 20))]
    )


def test_incidents_of_one_machine_leave_others_alone() -> None:
    """Overlapping ones count their rows once; both ends are inside; times in floats too."""
    time = np.arange(10) * 0.5
    a, b = (series_of(np.zeros(10), time=time, machine=(name,)) for name in "ab")
    incidents = [
        Incident({"pump": "a"}, 1.0, 2.0),
        Incident({"pump": "a"}, 1.5, 2.5),
        Incident({"pump": "c"}, 0.0, 9.0),
    ]
    (first, second), rows, notes = skip([a, b], *incidents)
    assert rows == 4
    assert notes == (
        "4 rows lie in known incidents and are skipped; of the 3 incidents 1 met no row",
    )
    assert first.numbers.tolist() == [0, 1, 6, 7, 8, 9]
    assert (first.time[:2] == time[:2]).all()
    assert (np.diff(first.time[2:]) == 0.5).all()
    assert second.time.tolist() == time.tolist()


def test_a_machine_may_be_left_out_but_not_all() -> None:
    """A pump that was broken all along teaches nothing."""
    a, b = (series_of(np.zeros(9), machine=(name,)) for name in "ab")
    left, rows, _ = skip([a, b], Incident({"pump": "a"}, 0, 99 * SECOND))
    assert [one.machine for one in left] == [("b",)]
    assert rows == 9
    with pytest.raises(DataError, match="every row lies in a known incident"):
        skip([a, b], Incident({}, 0, 99 * SECOND))


def test_without_incidents_the_log_is_as_it_was() -> None:
    """To the clock."""
    one = series_of(np.zeros(9), machine=("a",))
    (left,), rows, notes = skip([one])
    assert (rows, notes) == (0, ())
    assert left.time.tolist() == one.time.tolist()
