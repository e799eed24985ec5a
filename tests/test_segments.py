"""The clock alone says where a segment ends and how far a value carries."""

from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aster_cli.config import MissingPolicy
from aster_cli.segments import Segmenter, median_step
from tests.ragged_logs import cuts_of, prepare, ragged_logs

NAN = np.nan
POLICIES: tuple[MissingPolicy, ...] = get_args(MissingPolicy)


def test_a_step_of_exactly_max_gap_is_no_gap() -> None:
    """The documented rule is *longer than*; one period less would cut regular logs to pieces."""
    rows = prepare([0.0, 1.0, 6.0, 11.5, 12.0], np.ones(5), longest=5.0, policy="previous")
    assert rows.opens.tolist() == [True, False, False, True, False]


def test_tenths_add_up() -> None:
    """Floats of a counter err in the last digit, which must not make a gap."""
    rows = prepare(np.arange(50) * 0.1, np.ones(50), longest=0.1, policy="drop")
    assert rows.opens.tolist() == [True] + [False] * 49


@pytest.mark.parametrize(("excess", "is_gap"), [(0, False), (1, True)])
def test_nanoseconds_are_exact(excess: int, is_gap: bool) -> None:
    """Epochs in nanoseconds have more digits than a float64: a naive cast is off by hundreds."""
    start = 1_700_000_000_123_456_789
    period = 1_000_003
    time = np.array([start, start + period, start + 6 * period + excess], dtype=np.int64)
    rows = prepare(time, [1.0, 2.0, NAN], longest=5.0 * period, policy="previous")
    assert rows.missing.tolist() == ([2] if is_gap else [])
    rows = prepare(time, [1.0, 2.0, 3.0], longest=5.0 * period, policy="previous")
    assert rows.opens.tolist() == [True, False, is_gap]


def test_a_value_carries_for_max_gap_and_no_longer() -> None:
    """A dead sensor would otherwise look perfectly steady for ever."""
    values = [7.0, NAN, NAN, NAN, NAN, 8.0]
    rows = prepare([0.0, 1.0, 2.5, 3.0, 3.5, 4.0], values, longest=3.0, policy="previous")
    assert rows.numbers.tolist() == [0, 1, 2, 3, 5]
    assert rows.values[:, 0].tolist() == [7.0, 7.0, 7.0, 7.0, 8.0]
    assert rows.missing.tolist() == [4]


def test_interpolation_follows_the_clock() -> None:
    """A line over row numbers would bend wherever sampling is uneven."""
    rows = prepare([0.0, 1.0, 4.0], [0.0, NAN, 8.0], longest=3.0, policy="interpolate")
    assert rows.values[:, 0].tolist() == [0.0, 2.0, 8.0]


def test_interpolation_needs_both_neighbours_near() -> None:
    """One-sided estimates are extrapolation, and far ones are invention."""
    late = prepare([0.0, 1.0, 4.5], [0.0, NAN, 8.0], longest=3.0, policy="interpolate")
    early = prepare([0.0, 3.5, 4.0], [0.0, NAN, 8.0], longest=3.0, policy="interpolate")
    first = prepare([0.0, 1.0], [NAN, 8.0], longest=3.0, policy="interpolate")
    last = prepare([0.0, 1.0], [8.0, NAN], longest=3.0, policy="interpolate")
    assert [rows.missing.tolist() for rows in (late, early, first, last)] == [[1], [1], [0], [1]]


def test_interpolation_waits_no_longer_than_max_gap() -> None:
    """A stream's delay is bounded by what the user was promised."""
    segmenter = Segmenter(1, 3.0, "interpolate")
    decided = [
        segmenter.push(np.array([row]), np.array([float(row)]), np.ones((1, 1))).numbers.tolist()
        for row in range(6)
    ]
    assert decided == [[], [], [], [], [0], [1]]
    assert segmenter.finish().numbers.tolist() == [2, 3, 4, 5]


def test_drop_leaves_incomplete_rows_out() -> None:
    """Under this policy no invented value may reach the network."""
    values = [[1.0, 2.0], [NAN, 2.0], [3.0, NAN], [4.0, 5.0]]
    rows = prepare([0.0, 1.0, 2.0, 3.0], values, longest=3.0, policy="drop")
    assert rows.values.tolist() == [[1.0, 2.0], [4.0, 5.0]]
    assert rows.missing.tolist() == [1, 2]
    assert rows.opens.tolist() == [True, False]


def test_rows_left_out_can_make_a_gap() -> None:
    """Windows must not join rows across a stretch that nobody measured."""
    values = [1.0, NAN, NAN, NAN, NAN, 2.0]
    rows = prepare(np.arange(6.0), values, longest=4.0, policy="drop")
    assert rows.opens.tolist() == [True, True]


def test_a_sensor_without_a_value_leaves_every_row_out() -> None:
    """There is nothing to fill from, and zero would be a lie."""
    values = [[1.0, NAN], [2.0, NAN]]
    for policy in POLICIES:
        rows = prepare([0.0, 1.0], values, longest=5.0, policy=policy)
        assert rows.missing.tolist() == [0, 1]


@pytest.mark.parametrize("policy", POLICIES)
@given(data=st.data(), log=ragged_logs())
def test_batches_do_not_matter(policy: MissingPolicy, data: st.DataObject, log: Any) -> None:
    """The same log must give the same bits from a file, a pipe and a tail."""
    time, values = log
    whole = prepare(time, values, longest=3.0, policy=policy)
    cuts = data.draw(cuts_of(len(time)))
    parted = prepare(time, values, longest=3.0, policy=policy, cuts=cuts)
    for name in ("numbers", "values", "opens", "missing"):
        np.testing.assert_array_equal(getattr(parted, name), getattr(whole, name))


@pytest.mark.parametrize(
    ("policy", "ahead"), [("previous", 0.0), ("drop", 0.0), ("interpolate", 3.0)]
)
@given(log=ragged_logs())
def test_no_row_knows_what_comes_later(policy: MissingPolicy, ahead: float, log: Any) -> None:
    """A score that changed with the future could never be called final."""
    time, values = log
    whole = prepare(time, values, longest=3.0, policy=policy)
    for stop in range(1, len(time)):
        part = prepare(time[:stop], values[:stop], longest=3.0, policy=policy)
        settled = int(np.searchsorted(time, time[stop] - ahead))  # rows that see no further
        mine, theirs = part.numbers < settled, whole.numbers < settled
        np.testing.assert_array_equal(part.numbers[mine], whole.numbers[theirs])
        np.testing.assert_array_equal(part.values[mine], whole.values[theirs])


@pytest.mark.parametrize("policy", POLICIES)
@given(log=ragged_logs())
def test_every_row_is_prepared_or_missing_and_known_cells_stay(
    policy: MissingPolicy, log: Any
) -> None:
    """No row may vanish, and filling may never touch what was measured."""
    time, values = log
    rows = prepare(time, values, longest=3.0, policy=policy)
    assert sorted([*rows.numbers, *rows.missing]) == list(range(len(time)))
    assert not np.isnan(rows.values).any()
    measured = values[rows.numbers]
    known = ~np.isnan(measured)
    np.testing.assert_array_equal(rows.values[known], measured[known])
    for number in rows.missing:
        assert np.isnan(values[number]).any()


def test_the_median_step_pools_machines_and_ignores_repeats() -> None:
    """Repeated times are duplicates, not a sampling period of zero."""
    clocks: list[Any] = [np.array([0, 0, 0, 0, 10, 20]), np.array([5, 25]), np.array([7])]
    assert median_step(clocks) == 10.0
    assert median_step([np.array([7]), np.zeros(0)]) is None
