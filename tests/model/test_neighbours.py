"""The window score: the residual from the nearest normal windows, and the length it is given."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from aster_cli.model import neighbours
from aster_cli.model.neighbours import NEIGHBOURS, NormalWindows, familiarity, whitening_of
from aster_cli.windows import TrainingWindows
from tests.tiny_network import N_SENSORS, WINDOW_SIZE, tiny_windows

PLAIN = torch.eye(N_SENSORS)


def log(values: Any) -> TrainingWindows:
    return TrainingWindows([np.asarray(values, dtype=np.float32)], WINDOW_SIZE)


def noise(n_rows: int, deviations: tuple[float, ...], seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(0.0, deviations, (n_rows, len(deviations)))


def length(normal: NormalWindows, windows: Tensor) -> Tensor:
    """The root mean square novelty of each window, from its familiarity."""
    return familiarity(normal.novelty(windows)).rsqrt()


def test_residuals_equal_brute_force() -> None:
    """The fast way squares before it subtracts; it must not cost the answer."""
    stored, asked = tiny_windows(60, seed=1), 2.0 * tiny_windows(7, seed=2)
    distances = (asked[:, None] - stored[None]).double().square().sum(dim=(2, 3))
    nearest = distances.argsort(dim=1)[:, :NEIGHBOURS]
    expected = torch.stack([stored[own].mean(dim=0) for own in nearest])
    torch.testing.assert_close(NormalWindows(stored, PLAIN).residual(asked), asked - expected)


def test_fewer_windows_than_neighbours() -> None:
    """A short log stores only a few."""
    stored = tiny_windows(2)
    residual = NormalWindows(stored, PLAIN).residual(stored)
    torch.testing.assert_close(residual, stored - stored.mean(dim=0))


def test_without_whitening_the_unit_is_one_scaled_unit() -> None:
    """A window shifted by two in every element is two away, whatever its size."""
    stored = torch.zeros(5, WINDOW_SIZE, N_SENSORS)
    assert length(NormalWindows(stored, PLAIN), stored[:1] + 2.0).item() == 2.0


def test_familiarity_is_the_inverse_of_the_mean_square() -> None:
    """By hand: half of the elements 3 and half 1 have a mean square of 5."""
    novelty = torch.ones(1, WINDOW_SIZE, N_SENSORS)
    novelty[:, ::2] = -3.0
    assert familiarity(novelty).tolist() == pytest.approx([0.2])


def test_a_window_met_before_is_no_infinity() -> None:
    """A log that replays itself has no novelty; one window of it must not drown all others' mean."""
    replayed = familiarity(torch.zeros(1, WINDOW_SIZE, N_SENSORS)).item()
    assert replayed == pytest.approx(1.0 / neighbours.SMALLEST_VARIANCE)


def test_whitening_has_one_layout() -> None:
    """A root of a matrix comes in columns and is read from a file in rows; a product of the one may
    differ from a product of the other in its last bit, and so may scores before and after saving."""
    by_columns = torch.randn(N_SENSORS, N_SENSORS).T
    assert not by_columns.is_contiguous()
    kept = NormalWindows(tiny_windows(4), by_columns).whitening
    assert kept.is_contiguous()
    assert torch.equal(kept, by_columns)


def test_only_windows_and_whitening_are_kept() -> None:
    """Norms follow from them; stored twice they could disagree."""
    assert set(NormalWindows(tiny_windows(4), PLAIN).state_dict()) == {"windows", "whitening"}


def test_a_sensor_that_is_never_well_expected_counts_less() -> None:
    """The same deviation is news from a quiet sensor and none from a restless one."""
    normal = NormalWindows.fit(log(noise(400, (0.1, 0.1, 2.0))))
    quiet, restless = torch.zeros(2, 1, WINDOW_SIZE, N_SENSORS)
    quiet[:, :, 0], restless[:, :, 2] = 1.0, 1.0
    assert length(normal, quiet) > 1.5 * length(normal, restless)


def test_sensors_that_break_their_bond_count_more() -> None:
    """Two sensors that always move together, one up and one down: neither alone is far out."""
    common = noise(400, (1.0,))
    normal = NormalWindows.fit(log(common * [1.0, 1.0, 0.1] + noise(400, (0.05, 0.05, 0.1), 1)))
    together, apart = torch.zeros(2, 1, WINDOW_SIZE, N_SENSORS)
    together[:, :, :2], apart[:, :, :2] = 1.0, torch.tensor([1.0, -1.0])
    assert length(normal, apart) > 1.5 * length(normal, together)


def test_a_drift_within_the_log_is_part_of_normal() -> None:
    """Expected from its own stretch of time a drifting sensor looks quiet; blocks must be apart."""
    drifting = noise(400, (0.1, 0.1, 0.1))
    drifting[:, 2] += np.linspace(-3.0, 3.0, 400)
    normal = NormalWindows.fit(log(drifting))
    end = torch.zeros(1, WINDOW_SIZE, N_SENSORS)
    end[:, :, 2] = 3.0
    steady, drifted = end.clone(), end.clone()
    steady[:, :, 0] += 1.0
    drifted[:, :, 2] += 1.0
    assert length(normal, steady) > 1.5 * length(normal, drifted)


def test_whitening_makes_normal_residuals_unit() -> None:
    """But for the shrinkage, which is checked by hand: variances 4 and 1 become 4.75 and 1.75."""
    whitening = whitening_of(torch.diag(torch.tensor([4.0, 1.0], dtype=torch.float64)))
    precision = whitening @ whitening.T
    assert precision.diagonal().tolist() == pytest.approx([1 / 4.75, 1 / 1.75])


def test_a_log_at_rest_has_a_length_too() -> None:
    """No residual at all in training must not make any later one infinite."""
    normal = NormalWindows.fit(log(np.zeros((300, N_SENSORS))))
    assert length(normal, torch.ones(1, WINDOW_SIZE, N_SENSORS)).isfinite().all()


def test_a_log_too_short_for_blocks_still_gets_a_length() -> None:
    """Nothing lies a window away from any block: there are no residuals to learn from."""
    windows = log(noise(WINDOW_SIZE + 4, (1.0, 1.0, 1.0)))
    assert not list(windows.blocks(neighbours.BLOCKS))
    assert length(NormalWindows.fit(windows), tiny_windows(3)).isfinite().all()


def test_a_log_too_short_for_blocks_is_one_block() -> None:
    """It trains too: on all its windows, judged against all that is stored."""
    windows = log(noise(WINDOW_SIZE + 4, (1.0, 1.0, 1.0)))
    normal = NormalWindows.fit(windows)
    (block,) = normal.blocks(windows)
    assert block.inside.tolist() == list(range(len(windows)))
    assert block.others is normal


def test_a_block_is_expected_from_windows_outside_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of its own time would show the classifier no drift. At most so many are kept, and
    the length is that of the whole log."""
    monkeypatch.setattr(neighbours, "OTHER_WINDOWS", 7)
    windows = log(noise(400, (1.0, 1.0, 1.0)))
    normal = NormalWindows.fit(windows)
    blocks = normal.blocks(windows)
    inside = [number for block in blocks for number in block.inside.tolist()]
    assert inside == list(range(len(windows)))
    for block in blocks:
        own = {*windows.take(block.inside).ravel().tolist()}
        assert not own & {*block.others.windows.ravel().tolist()}
        assert len(block.others.windows) == 7
        assert torch.equal(block.others.whitening, normal.whitening)


@pytest.mark.parametrize("deviation", [0.1, 10.0])
def test_normal_windows_of_another_time_have_a_novelty_of_about_one(deviation: float) -> None:
    """Radii of pseudo-anomalies are counted in it, whatever a sensor's own unit is."""
    windows = log(noise(600, (deviation, 2.0 * deviation, deviation)))
    for block in NormalWindows.fit(windows).blocks(windows):
        lengths = length(block.others, torch.from_numpy(windows.take(block.inside)))
        assert lengths.mean().item() == pytest.approx(1.0, abs=0.2)


def test_a_log_that_gives_no_residuals_counts_them_as_they_are() -> None:
    """Whitened by the inverse of nothing, every window would be hundreds of deviations out, and a
    pseudo-anomaly of a given novelty too small to see."""
    gappy = [noise(WINDOW_SIZE, (1.0, 1.0, 1.0), seed).astype(np.float32) for seed in range(30)]
    for windows in (
        log(noise(WINDOW_SIZE + 4, (1.0, 1.0, 1.0))),
        TrainingWindows(gappy, WINDOW_SIZE),
    ):
        assert not list(windows.blocks(neighbours.BLOCKS))
        assert torch.equal(NormalWindows.fit(windows).whitening, PLAIN)


def test_a_machine_too_short_for_blocks_does_not_change_what_is_normal() -> None:
    """Expected from another machine it would be a surprise that no time explains."""
    long = noise(600, (1.0, 1.0, 1.0)).astype(np.float32)
    short = (5.0 + noise(2 * WINDOW_SIZE, (1.0, 1.0, 1.0), 1)).astype(np.float32)
    alone = NormalWindows.fit(log(long)).whitening
    both = TrainingWindows([long, short], WINDOW_SIZE, [("long",), ("short",)])
    for inside, _ in both.blocks(neighbours.BLOCKS):
        assert set(both.machines(inside)) == {("long",)}
    torch.testing.assert_close(NormalWindows.fit(both).whitening, alone, rtol=0.1, atol=0.05)


def test_absent_sensors_leave_the_marginal_of_the_others() -> None:
    """By hand: of covariance [[1, .9], [.9, 1]] the first sensor alone has variance 1, not the 0.19
    that it has once the second is known; and the mean is over one sensor, not two."""
    covariance = torch.tensor([[1.0, 0.9], [0.9, 1.0]], dtype=torch.float64)
    whitening = torch.linalg.cholesky(torch.linalg.inv(covariance)).float()
    reduced = neighbours.whitening_without(whitening, np.array([1]))
    torch.testing.assert_close(reduced, torch.tensor([[2.0**0.5, 0.0], [0.0, 0.0]]))
