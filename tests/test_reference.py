"""Distances from training: what a pencil can check, and what holds for all values."""

from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aster_cli.reference import (
    LEVELS,
    REFERENCE_COLUMNS,
    Reference,
    SensorReference,
    reference_table,
    run_lengths,
)
from aster_cli.results import Series

NAN = float("nan")


def series_of(values: Any, machine: tuple[str, ...] = ()) -> Series:
    values = np.asarray(values, dtype=np.float64)
    numbers = np.arange(len(values))
    return Series(machine, numbers, numbers, values)


def reference_of(values: Any) -> SensorReference:
    values = np.asarray(values, dtype=np.float64)
    return SensorReference(np.quantile(values, LEVELS), int(run_lengths(values).max()))


def distances(reference: SensorReference, values: Any) -> tuple[float, float]:
    counts = reference.count(np.asarray(values, dtype=np.float64))
    return reference.ks(counts), reference.psi(counts)


def test_the_table_tells_every_sensors_distribution() -> None:
    """Drift is measured against it, in the sensor's own units, machine by machine."""
    values = np.column_stack((np.arange(101.0), np.full(101, NAN)))
    values[0, 0], values[4:7, 0] = NAN, 4.0
    table = reference_table([series_of(values, machine=("a", "b"))], ("x", "y"))
    assert table.columns == list(REFERENCE_COLUMNS)
    assert table["machine"].to_list() == [["a", "b"]] * 2
    assert table["rows"].to_list() == [101, 101]
    assert table["missing"].to_list() == [1, 101]
    assert table["longest_run"].to_list() == [3, 0]
    percentiles = table["percentiles"][0]
    assert len(percentiles) == 101
    assert (percentiles[0], percentiles[50], percentiles[100]) == (1.0, 50.5, 100.0)
    assert table["percentiles"][1] is None


def test_the_table_is_found_again_by_machine_and_sensor() -> None:
    """Columns of a model are in an order of their own; a machine never seen has no reference."""
    table = reference_table([series_of([[1.0, NAN], [3.0, NAN]], ("a",))], ("x", "y"))
    reference = Reference.of(table, ("y", "x"))
    assert reference.rows(("a",)) == 2
    assert reference.sensors(("b",)) is None
    assert reference.rows(("b",)) == 0
    found = reference.sensors(("a",))
    assert found is not None
    none, x = found
    assert none is None
    assert x is not None
    assert (x.low, x.high) == (1.0, 3.0)


def test_distances_that_a_pencil_can_check() -> None:
    """Of 0 to 100, all below, all above, the lower half, and one value in the middle."""
    reference = reference_of(np.arange(101.0))
    assert distances(reference, [-1.0])[0] == pytest.approx(1.0)
    assert distances(reference, [101.0, 200.0])[0] == pytest.approx(1.0)
    assert distances(reference, np.arange(0.0, 50.0, 0.01))[0] == pytest.approx(0.5, abs=0.001)
    assert distances(reference, [50.0])[0] == pytest.approx(0.5)
    # all in one of ten groups: 0.9 ln 10 there, and 0.099 ln 100 in each of the nine others
    found = distances(reference, np.linspace(21.0, 29.0, 40))[1]
    assert found == pytest.approx(0.9 * np.log(10.0) + 9 * 0.099 * np.log(100.0), abs=1e-6)
    # all above, where training had nothing, which counts as a thousandth
    found = distances(reference, [101.0])[1]
    assert found == pytest.approx(0.999 * np.log(1000.0) + 10 * 0.099 * np.log(100.0), abs=1e-6)


def test_a_switch_is_compared_by_its_values() -> None:
    """On a third of the time in training and never now: a third, and never more."""
    reference = reference_of([0.0, 0.0, 1.0] * 200)
    assert distances(reference, [0.0, 0.0, 1.0])[0] == pytest.approx(0.0, abs=0.011)
    assert distances(reference, [0.0, 0.0, 1.0])[1] < 0.05  # a hundredth lies between
    assert distances(reference, [0.0])[0] == pytest.approx(1 / 3, abs=0.011)
    assert distances(reference, [0.5])[0] == pytest.approx(2 / 3, abs=0.011)


@settings(max_examples=60)
@given(
    values=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60),
    others=st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=60),
    discrete=st.booleans(),
)
def test_the_distance_is_that_of_the_distribution_functions(
    values: list[float], others: list[float], discrete: bool
) -> None:
    """Cells and counts are only a way to stream it; percentiles know shares to a hundredth."""
    if discrete:
        values, others = [round(v / 4e5) for v in values], [round(v / 4e5) for v in others]
    percentiles = np.quantile(np.asarray(values, dtype=np.float64), LEVELS)
    ks, psi = distances(SensorReference(percentiles, 1), others)
    at = np.concatenate((percentiles, others))
    for side in ("left", "right"):
        mine = np.searchsorted(percentiles, at, side=side) / len(percentiles)
        theirs = np.searchsorted(np.sort(others), at, side=side) / len(others)
        difference = np.abs(mine - theirs).max()
        assert difference <= ks + 0.011
    assert 0.0 <= ks <= 1.0
    assert psi >= 0.0


@given(
    values=st.lists(st.integers(-5, 5), min_size=1, max_size=50),
    others=st.lists(st.integers(-7, 7), min_size=1, max_size=50),
    cut=st.integers(0, 50),
)
def test_counts_add_up_however_values_are_cut(
    values: list[int], others: list[int], cut: int
) -> None:
    """Or a batch's size would show."""
    reference = reference_of(values)
    new = np.asarray(others, dtype=np.float64)
    parts = reference.count(new[:cut]) + reference.count(new[cut:])
    np.testing.assert_array_equal(parts, reference.count(new))
    assert parts.sum() == len(new)


def test_far_is_farther_outside_than_the_range_is_wide() -> None:
    """Bar to kilopascal and Celsius to Fahrenheit are far; a busy day is not."""
    celsius = reference_of(np.linspace(20.0, 30.0, 50))
    assert celsius.far(np.array([20.0, 39.9, 10.1])) == 0
    assert celsius.far(np.array([40.1, 9.9, 86.0])) == 3


def test_runs_are_counted() -> None:
    """The longest of them in training is what a frozen sensor is told by."""
    assert run_lengths(np.array([1.0, 1.0, 2.0, 2.0, 2.0, 1.0])).tolist() == [2, 3, 1]
    assert run_lengths(np.zeros(0)).tolist() == []
    assert reference_table([series_of(np.zeros((4, 1)))], ("x",))["longest_run"][0] == 4


def test_a_table_with_a_machine_of_no_id() -> None:
    """A log of one machine has no id columns, and a list without a member names it."""
    table = reference_table([series_of([[1.0]])], ("x",))
    assert table.schema["machine"] == pl.List(pl.String)
    assert Reference.of(table, ("x",)).rows(()) == 1
