"""Which sensors an alarm names: the right ones, in the right order, with the right sign."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from aster_cli.attribution import (
    TOP,
    SensorRanges,
    attribute,
    attribution_columns,
    event_shares,
    weigh,
)
from aster_cli.scaling import ScalingTable, SensorScaling

NAMES = tuple("abcdefgh")


def test_the_planted_sensor_comes_first() -> None:
    """An engineer looks where the alarm points."""
    residual = np.full((2, 8), 0.1, dtype=np.float64)
    residual[0, 6], residual[1, 2] = 3.0, -3.0
    found = attribute(np.square(residual), residual, np.zeros(residual.shape))
    assert found.sensors[:, 0].tolist() == [6, 2]
    assert found.directions[:, 0].tolist() == [1, -1]
    assert (found.shares[:, 0] > 0.95).all()


def test_shares_are_of_the_evidence() -> None:
    """The pencil case: 9 : 16 : 0, with a sensor that is just as expected. The largest residual does
    not lead: what is usual of its sensor has been taken into account already."""
    actual, expected = np.array([[50.0, 1.0, 7.0]]), np.array([[20.0, 5.0, 7.0]])
    found = attribute(np.array([[9.0, 16.0, 0.0]]), actual, expected)
    assert found.sensors.tolist() == [[1, 0, 2]]
    np.testing.assert_allclose(found.shares, [[0.64, 0.36, 0.0]], rtol=1e-6)
    assert found.directions.tolist() == [[-1, 1, 0]]
    assert found.actual.tolist() == [[1.0, 50.0, 7.0]]
    assert found.expected.tolist() == [[5.0, 20.0, 7.0]]


@given(
    st.integers(1, 8).flatmap(
        lambda n: st.lists(
            st.lists(st.floats(0.0, 2.0**100), min_size=n, max_size=n),
            min_size=1,
            max_size=4,
        )
    )
)
def test_shares_fall_and_sum_to_one(rows: list[list[float]]) -> None:
    """Documented, and what a reader of a percentage takes for granted; also where all is zero."""
    evidence = np.array(rows)
    found = attribute(evidence, np.zeros(evidence.shape), np.zeros(evidence.shape))
    assert found.sensors.shape == (len(rows), min(TOP, evidence.shape[1]))
    np.testing.assert_allclose(found.shares.sum(axis=1), 1.0, rtol=1e-5)
    assert (np.diff(found.shares, axis=1) <= 0).all()
    leading = np.take_along_axis(evidence, found.sensors.astype(np.int64), axis=1)
    assert (leading[:, 0] == evidence.max(axis=1)).all()


def test_a_departure_counts_less_where_the_sensor_ranges_far() -> None:
    """By hand: 16 to the power of 1.25 is 32, and 64 over it is 2."""
    assert weigh(np.array([[64.0, 5.0]]), np.array([16.0, 1.0])).tolist() == [[2.0, 5.0]]


def test_an_events_shares_are_roots_of_squares() -> None:
    """By hand: 9 and 1 are 3 and 1. One row's shares are its event's, and no evidence is even."""
    assert event_shares(np.array([9.0, 1.0])).tolist() == [0.75, 0.25]
    assert event_shares(np.zeros(4)).tolist() == [0.25] * 4


def reference(**percentiles: dict[str, list[float] | None]) -> pl.DataFrame:
    """A reference table: by machine and sensor, percentiles."""
    rows = [
        ([machine], sensor, values)
        for machine, sensors in percentiles.items()
        for sensor, values in sensors.items()
    ]
    names, texts = ["machine", "sensor", "percentiles"], pl.List(pl.String)
    overrides = {"machine": texts, "percentiles": pl.List(pl.Float64)}
    return pl.DataFrame(rows, names, schema_overrides=overrides, orient="row")


def test_ranges_are_the_machines_own_in_its_standard_deviations() -> None:
    """By hand: 30 is 15 deviations of 2 on one machine, and 5 of 6 on the other. Both together, as a
    machine that training never saw is taken, span 40, that is 10 of the pooled 4."""
    table = reference(a={"s": [0.0, 9.0, 30.0]}, b={"s": [10.0, 11.0, 40.0]})
    scaling = SensorScaling(
        ScalingTable((0.0,), (4.0,), (1.0,)),
        {(m,): ScalingTable((0.0,), (s,), (1.0,)) for m, s in {"a": 2.0, "b": 6.0}.items()},
    )
    ranges = SensorRanges(table, ("s",), scaling)
    assert [ranges.of((m,)).tolist() for m in ("a", "b", "new")] == [[15.0], [5.0], [10.0]]


def test_a_sensor_that_never_moved_has_a_range_nonetheless() -> None:
    """Without one its evidence would be infinite or none at all; so would that of one without any
    value on a machine. And the order is that of the sensors, whatever the table's."""
    table = reference(a={"flat": [7.0, 7.0], "none": None, "wide": [0.0, 50.0]})
    scaling = SensorScaling(ScalingTable((0.0,) * 3, (10.0,) * 3, (1.0,) * 3))
    ranges = SensorRanges(table, ("wide", "flat", "none"), scaling)
    assert ranges.of(("a",)).tolist() == [5.0, 1.0, 1.0]


def test_no_rows_have_no_sensors() -> None:
    """Most batches hold no anomaly at all."""
    assert attribute(*np.zeros((3, 0, 3))).shares.shape == (0, 3)


def test_only_anomalous_rows_name_sensors() -> None:
    """The column is null elsewhere: an attribution of a normal row would be read as a finding."""
    residual = np.array([[0.0, 2.0], [-1.0, 0.0]], dtype=np.float64)
    found = attribute(np.square(residual), residual, np.zeros(residual.shape))
    column, evidence = attribution_columns(found, np.array([1, 3]), 4, ("speed", "load"))
    assert (evidence.name, evidence.to_list()) == ("evidence", [None, 4.0, None, 1.0])
    assert column.is_null().to_list() == [True, False, True, False]
    assert column.name == "top_sensors"
    assert column[1].to_list() == [
        {"sensor": "load", "share": 1.0, "direction": 1, "actual": 2.0, "expected": 0.0},
        {"sensor": "speed", "share": 0.0, "direction": 0, "actual": 0.0, "expected": 0.0},
    ]
    assert column[3].struct.field("direction").to_list() == [-1, 0]
    assert isinstance(column.dtype, pl.List)
