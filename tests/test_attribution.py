"""Which sensors an alarm names: the right ones, in the right order, with the right sign."""

import numpy as np
import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from aster_cli.attribution import TOP, attribute, top_sensors_column

NAMES = tuple("abcdefgh")


def test_the_planted_sensor_comes_first() -> None:
    """An engineer looks where the alarm points."""
    residual = np.full((2, 8), 0.1, dtype=np.float32)
    residual[0, 6], residual[1, 2] = 3.0, -3.0
    found = attribute(residual)
    assert found.sensors[:, 0].tolist() == [6, 2]
    assert found.directions[:, 0].tolist() == [1, -1]
    assert (found.shares[:, 0] > 0.95).all()


def test_shares_are_of_squared_residuals() -> None:
    """The pencil case: 9 : 16 : 0, with a sensor that is just as expected."""
    found = attribute(np.array([[3.0, -4.0, 0.0]], dtype=np.float32))
    assert found.sensors.tolist() == [[1, 0, 2]]
    np.testing.assert_allclose(found.shares, [[0.64, 0.36, 0.0]], rtol=1e-6)
    assert found.directions.tolist() == [[-1, 1, 0]]


@given(
    st.integers(1, 8).flatmap(
        lambda n: st.lists(
            st.lists(st.floats(-(2.0**50), 2.0**50, width=32), min_size=n, max_size=n),
            min_size=1,
            max_size=4,
        )
    )
)
def test_shares_fall_and_sum_to_one(rows: list[list[float]]) -> None:
    """Documented, and what a reader of a percentage takes for granted; also where all is zero."""
    residual = np.array(rows, dtype=np.float32)
    found = attribute(residual)
    assert found.sensors.shape == (len(rows), min(TOP, residual.shape[1]))
    np.testing.assert_allclose(found.shares.sum(axis=1), 1.0, rtol=1e-5)
    assert (np.diff(found.shares, axis=1) <= 0).all()
    leading = np.abs(np.take_along_axis(residual, found.sensors.astype(np.int64), axis=1))
    assert (leading[:, 0] == np.abs(residual).max(axis=1)).all()


def test_no_rows_have_no_sensors() -> None:
    """Most batches hold no anomaly at all."""
    assert attribute(np.zeros((0, 3), dtype=np.float32)).shares.shape == (0, 3)


def test_only_anomalous_rows_name_sensors() -> None:
    """The column is null elsewhere: an attribution of a normal row would be read as a finding."""
    found = attribute(np.array([[0.0, 2.0], [-1.0, 0.0]], dtype=np.float32))
    column = top_sensors_column(found, np.array([1, 3]), 4, ("speed", "load"))
    assert column.is_null().to_list() == [True, False, True, False]
    assert column.name == "top_sensors"
    assert column[1].to_list() == [
        {"sensor": "load", "share": 1.0, "direction": 1},
        {"sensor": "speed", "share": 0.0, "direction": 0},
    ]
    assert column[3].struct.field("direction").to_list() == [-1, 0]
    assert isinstance(column.dtype, pl.List)
