"""One step ahead: what the rows before foretell, and how far off it is."""

from typing import Any

import numpy as np
import pytest
import torch

from aster_cli.model import forecast
from aster_cli.model.forecast import LEVEL_SHARE, RIDGE, Forecast, fit_forecasts, n_lags
from aster_cli.windows import TrainingWindows

SIZE = 16
MATRIX = np.array([[0.6, 0.3, 0.0], [-0.3, 0.6, 0.0], [0.0, 0.5, 0.3]])


def course(n_rows: int, matrix: Any = MATRIX, seed: int = 0) -> Any:
    """Rows of which each is the one before times a matrix, and noise of deviation 1."""
    draw = np.random.default_rng(seed)
    rows = np.zeros((n_rows, 3))
    for row in range(1, n_rows):
        rows[row] = matrix @ rows[row - 1] + draw.normal(size=3)
    return rows.astype(np.float32)


def windows_of(rows: Any) -> TrainingWindows:
    return TrainingWindows([rows.astype(np.float32)], SIZE)


def fitted(rows: Any, states: Any = None) -> tuple[Forecast, list[Forecast]]:
    windows = windows_of(rows)
    return fit_forecasts(windows, [inside for inside, _ in windows.blocks(5)], states)


def squares(one: Forecast, rows: Any) -> Any:
    windows = windows_of(rows)
    return one.square(torch.from_numpy(windows.take(np.arange(0, len(windows), SIZE)))).numpy()


def test_errors_by_hand() -> None:
    """Row by row: the change that the rows before foretell, the latest of them first."""
    draw = np.random.default_rng(1)
    coefficients, scale = draw.normal(size=(2 * 3 + 1, 3)), np.array([1.0, 0.0, 3.0])
    window = draw.normal(size=(SIZE, 3))
    expected = [
        (window[row] - window[row - 1] - np.r_[window[row - 1], window[row - 2], 1] @ coefficients)
        * scale
        for row in range(2, SIZE)
    ]
    one = Forecast(torch.from_numpy(coefficients), torch.from_numpy(scale))
    asked = torch.from_numpy(window[None])
    np.testing.assert_allclose(one(asked)[0], expected)
    # two of the three sensors are foretold
    assert one.square(asked).item() == pytest.approx(np.square(expected).mean() * 3 / 2)


def test_coefficients_are_those_of_a_ridge_regression() -> None:
    """Against NumPy's least squares, with the ridge as rows of its own."""
    windows = windows_of(course(300))
    blocks = [inside for inside, _ in windows.blocks(5)]
    found, _ = fit_forecasts(windows, blocks)
    seen = [window for block in blocks for window in windows.take(block).astype(np.float64)]
    inputs = np.array(
        [
            np.r_[w[row - 1], w[row - 2], w[row - 3], w[row - 4], 1]
            for w in seen
            for row in range(4, 16)
        ]
    )
    changes = np.concatenate([np.diff(w[3:], axis=0) for w in seen])
    ridge = np.sqrt(RIDGE * np.square(inputs).sum(axis=0).mean())
    expected, *_ = np.linalg.lstsq(
        np.vstack((inputs, ridge * np.eye(13))), np.vstack((changes, np.zeros((13, 3)))), rcond=None
    )
    np.testing.assert_allclose(found.coefficients, expected, atol=1e-4)


def test_normal_rows_are_off_by_about_one() -> None:
    """Noise is what nobody can foretell, so its variance, and the share of all, is the unit."""
    one, _ = fitted(course(2000))
    unit = 1.0 / (1.0 + LEVEL_SHARE)
    assert squares(one, course(2000, seed=1)).mean() == pytest.approx(unit, rel=0.05)


def test_where_levels_wander_a_new_one_is_a_surprise_once() -> None:
    """Neighbours would call it new for good, wherever it stands."""
    walk = np.cumsum(np.random.default_rng(1).normal(size=(2400, 3)), axis=0) / 10.0
    one, _ = fitted(walk[:2000])
    live = walk[2000:]
    live[200:] += 10.0
    found = squares(one, live)
    assert found.argmax() == 200 // SIZE
    assert np.delete(found, 200 // SIZE).max() < 0.1 * found.max()


def test_a_sensor_that_no_longer_follows_the_others_is_a_surprise_all_along() -> None:
    """Its values are those that it always had."""
    one, _ = fitted(course(2000))
    loose = course(400, seed=1)
    loose[:, 2] = course(400, seed=2)[:, 2]
    follows, lost = (squares(one, rows)[1:] for rows in (course(400, seed=1), loose))
    assert np.median(lost) > 1.1 * np.median(follows)


def test_states_help_to_foretell_and_are_not_foretold() -> None:
    """A valve that opens at random moves the level in the next row."""
    draw = np.random.default_rng(2)
    valve = np.repeat(draw.integers(0, 2, 1000), 3)
    level = np.r_[0.0, valve[:-1]] + draw.normal(0.0, 0.1, 3000)
    states = np.array([True, False])
    seeing, _ = fitted(np.stack((valve, level), axis=1), states)
    blind, _ = fitted(np.stack((0 * valve, level), axis=1), states)
    assert seeing.scale[0] == blind.scale[0] == 0.0
    assert seeing.scale[1] > 2.0 * blind.scale[1]  # its usual errors are so much smaller


def test_a_block_is_foretold_by_what_never_saw_it() -> None:
    """In the third of five blocks the sensors move otherwise: only the whole log's forecast knows."""
    rows = course(2000)
    rows[800:1200] = course(400, -MATRIX, seed=3)
    whole, apart = fitted(rows)
    assert len(apart) == 5
    known, unknown = (squares(one, rows[800:1200]).mean() for one in (whole, apart[2]))
    assert unknown > 1.1 * known
    assert all(torch.equal(one.scale, whole.scale) for one in apart)


@pytest.mark.parametrize(
    ("size", "n_sensors", "lags"), [(32, 3, 4), (8, 3, 4), (4, 3, 2), (32, 400, 2), (32, 5000, 1)]
)
def test_fewer_rows_foretell_in_short_windows_and_on_wide_logs(
    size: int, n_sensors: int, lags: int
) -> None:
    """A window keeps rows to foretell, and a matrix stays one that can be solved."""
    assert n_lags(size, n_sensors) == lags
    assert len(Forecast.none(size, n_sensors).coefficients) == lags * n_sensors + 1


def test_long_logs_are_read_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """A million rows foretell no better than forty thousand."""
    asked: list[int] = []
    some = TrainingWindows.some

    def counted(windows: TrainingWindows, numbers: Any, most: int) -> Any:
        taken = some(windows, numbers, most)
        asked.append(len(taken))
        return taken

    monkeypatch.setattr(TrainingWindows, "some", counted)
    monkeypatch.setattr(forecast, "FIT_ROWS", 600)
    fitted(course(2000))
    assert set(asked) == {600 // (5 * (SIZE - 4))}


def test_a_single_sensor_foretells_itself() -> None:
    """A wave goes on as it began."""
    wave = np.sin(np.arange(400) / 5.0)[:, None]
    one, _ = fitted(wave)
    assert squares(one, wave).mean() < 1.0 < 20.0 < squares(one, wave[::3]).mean()


def test_sensors_that_never_move_do_no_harm() -> None:
    """Nothing is foretold of nothing, and one that starts to move is off by what it moves."""
    one, _ = fitted(np.zeros((400, 2)))
    assert torch.isfinite(one.scale).all()
    assert torch.isfinite(one.coefficients).all()
    moves = np.zeros((64, 2))
    moves[:, 1] = np.arange(64) % 2
    assert squares(one, moves).min() > 100.0
