"""Scaled units: comparable between sensors, finite whatever a sensor does, and reversible."""

from typing import Any

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aster_cli.scaling import FEW_ROWS, KNEES, ScalingTable, SensorScaling

MACHINE = ("pump",)
levels = st.floats(-1e12, 1e12, allow_subnormal=False)


def normal_rows(n: int = 500, *, centre: float = 20.0, spread: float = 3.0) -> Any:
    return np.random.default_rng(0).normal(centre, spread, (n, 2))


def test_normal_rows_come_out_in_standard_deviations() -> None:
    """Near the normal level scaled units must read as the field reads them."""
    scaled = SensorScaling.fit([((), normal_rows())]).scale(np.array([[20.0, 20.3]]), ())
    np.testing.assert_allclose(scaled, [[0.0, 0.1]], atol=0.15)


@pytest.mark.parametrize("level", [0.0, 1.0, -273.15, 1e-30, 1e30])
def test_a_constant_sensor_stays_finite_and_still_moves(level: float) -> None:
    """A sensor that never moved in training is the one whose first move matters."""
    scaling = SensorScaling.fit([((), np.full((300, 1), level))])
    moved = 1.5 * level if level else 1.0
    scaled = scaling.scale(np.array([[level], [moved]]), ())
    assert abs(scaled[0, 0]) < 1e-3
    assert 1.0 < abs(scaled[1, 0]) < 10.0


def test_the_largest_numbers_stay_finite() -> None:
    """Loggers write the largest float where they mean *no value*; one such cell must not become
    NaN in the network, whether training or scoring meets it."""
    largest = np.finfo(np.float64).max
    rows = normal_rows()
    rows[[3, 4, 5], 0] = largest, -largest, largest
    for fitted_on in (rows, normal_rows(spread=1e-3)):
        scaling = SensorScaling.fit([((), fitted_on)])
        assert np.isfinite(scaling.pooled.centre + scaling.pooled.scale).all()
        assert np.isfinite(scaling.scale(rows, ())).all()


@given(st.lists(levels, min_size=2, max_size=20), st.floats(1e-6, 1e6), levels)
def test_scaling_keeps_the_order(values: list[float], scale: float, centre: float) -> None:
    """Unlike clipping, it may never forget which of two huge deviations is the larger."""
    scaling = SensorScaling(ScalingTable((centre,), (scale,), (1.0,)))
    scaled = scaling.scale(np.sort(values)[:, None], ())
    assert (np.diff(scaled[:, 0]) >= 0).all()


def test_huge_deviations_stay_apart() -> None:
    """float32 must still hold the difference that order alone does not show."""
    scaling = SensorScaling(ScalingTable((0.0,), (1.0,), (1.0,)))
    scaled = scaling.scale(np.array([[1e3], [1.01e3], [1e9], [1.01e9]]), ())
    assert (np.diff(scaled[:, 0]) > 0).all()


def test_machines_have_their_own_units() -> None:
    """Two pumps of different size are normal at different levels."""
    small, large = ("small",), ("large",)
    scaling = SensorScaling.fit(
        [(small, normal_rows(centre=1.0, spread=0.1)), (large, normal_rows(centre=100.0))]
    )
    assert np.abs(scaling.scale(np.array([[1.0, 1.0]]), small)).max() < 0.2
    assert np.abs(scaling.scale(np.array([[100.0, 100.0]]), large)).max() < 0.2


def test_strangers_are_scaled_by_the_pooled_table() -> None:
    """Machines unseen in training, or hardly seen, must still be scored."""
    parts = [
        (("a",), normal_rows(FEW_ROWS)),
        (("b",), normal_rows(FEW_ROWS - 1, centre=80.0)),
    ]
    scaling = SensorScaling.fit(parts)
    row = np.array([[30.0, 40.0]])
    assert scaling.knows(("a",))
    for stranger in (("b",), ("never seen",)):
        assert not scaling.knows(stranger)
        pooled = SensorScaling(scaling.pooled)
        np.testing.assert_array_equal(scaling.scale(row, stranger), pooled.scale(row, ()))


def test_a_log_of_one_machine_needs_no_second_table() -> None:
    """However it is named later, there is nobody to mistake it for."""
    scaling = SensorScaling.fit([(MACHINE, normal_rows(5)), (MACHINE, normal_rows(7))])
    assert scaling.machines == {}
    assert scaling.knows(("renamed",))


def test_a_sensor_that_drifted_is_compressed_and_a_steady_one_is_not() -> None:
    """A drift goes on: beyond the training log it may not drown what all other sensors say."""
    rows = normal_rows(1000)
    rows[:, 1] += np.linspace(0.0, 30.0, len(rows))
    scaling = SensorScaling.fit([((), rows)])
    lowest, highest = KNEES
    assert scaling.pooled.knee == (highest, lowest)
    away = np.array(scaling.pooled.centre) + 20.0 * np.array(scaling.pooled.scale)
    steady, drifting = scaling.scale(away[None], ())[0].tolist()
    assert steady == pytest.approx(3.0 * np.arcsinh(20.0 / 3.0))
    assert drifting == pytest.approx(0.5 * np.arcsinh(40.0))


def test_the_knee_lies_between_for_a_sensor_that_wanders_a_little() -> None:
    """Five blocks at -0.5, 0.5, -0.5, 0.5 and 0 deviations: by hand, their means spread by 0.447 of
    a sensor whose own deviation is the root of 1.2, and (0.32 / 0.408)² is 0.614."""
    block = np.tile([-1.0, 1.0], 50)
    rows = np.concatenate([block + shift for shift in (-0.5, 0.5, -0.5, 0.5, 0.0)])[:, None]
    knee = SensorScaling.fit([((), rows)]).pooled.knee[0]
    assert knee == pytest.approx(0.614, abs=1e-3)


def test_tables_survive_json() -> None:
    """The model directory keeps them as text, and scores must not change by it."""
    table = SensorScaling.fit([((), normal_rows())]).pooled
    assert msgspec.json.decode(msgspec.json.encode(table), type=ScalingTable) == table


@given(st.floats(-1e12, 1e12), st.sampled_from(("a", "b", "new")))
def test_scaled_units_go_back_to_the_sensors_own(value: float, machine: str) -> None:
    """What an alarm says of a sensor is read by somebody who looks at its gauge."""
    scaling = SensorScaling(
        ScalingTable((3.0,), (2.0,), (0.5,)),
        {
            ("a",): ScalingTable((-7.0,), (0.25,), (3.0,)),
            ("b",): ScalingTable((0.0,), (1.0,), (1.0,)),
        },
    )
    scaled = scaling.scale(np.array([[value]]), (machine,))
    back = scaling.unscale(scaled, (machine,)).item()
    assert back == pytest.approx(value, rel=1e-4, abs=1e-5)


def test_no_scaled_value_becomes_infinite() -> None:
    """A broken cell of 1e308 comes back as a huge number that can be written and compared."""
    scaling = SensorScaling(ScalingTable((0.0,), (1e9,), (3.0,)))
    huge = scaling.scale(np.array([[1.7e308]]), ())
    assert np.isfinite(scaling.unscale(huge, ())).all()
    assert np.isfinite(scaling.unscale(np.array([[1e30]], dtype=np.float32), ())).all()
