"""What a residual is worth: roots that whiten what is usual, and the length that comes of them."""

import itertools

import numpy as np
import pytest
import torch
from torch import Tensor

from aster_cli.model.whitening import SMALLEST_SQUARE, STATE_WEIGHT, Novelty, Whitening
from tests.tiny_network import N_SENSORS, WINDOW_SIZE, tiny_residuals

FITTED = Whitening.fit(tiny_residuals())


def noise(*deviations: float, n: int = 500) -> Tensor:
    """Residuals without any order in time: ``(n, 16, sensor)``."""
    return torch.randn(n, WINDOW_SIZE, len(deviations)) * torch.tensor(deviations)


def one_window(*courses: Tensor | float) -> Tensor:
    """A residual with these courses of its sensors: ``(1, 16, sensor)``."""
    return torch.stack([torch.zeros(WINDOW_SIZE) + course for course in courses], dim=1)[None]


def second_moments(roots: Tensor) -> Tensor:
    """What inverse roots were made of."""
    moments: Tensor = torch.linalg.inv(roots.double() @ roots.double())
    return moments


def by_hand(values: list[list[float]]) -> Tensor:
    return torch.tensor(values, dtype=torch.float64)


def test_the_square_is_the_geometric_mean_of_the_three_lengths() -> None:
    """By hand: half of the elements 3 and half 1 have a mean square of 5; with one of 20 and one of
    80, that is 20. No length alone can say that a window is normal or that it is not."""
    five = torch.ones(1, WINDOW_SIZE, N_SENSORS)
    five[:, ::2] = -3.0
    parts = five, torch.full_like(five, 20.0**0.5), torch.full_like(five, 80.0**0.5)
    for order in itertools.permutations(parts):
        assert Novelty(*order).square().tolist() == pytest.approx([20.0])


def test_a_window_met_before_is_no_infinity() -> None:
    """A log that replays itself has no novelty; one window of it must not drown all others' mean,
    nor one length of nothing the other lengths."""
    none, some = torch.zeros(1, WINDOW_SIZE, N_SENSORS), torch.ones(1, WINDOW_SIZE, N_SENSORS)
    assert Novelty(none, none, none).square().item() == pytest.approx(SMALLEST_SQUARE)
    assert Novelty(none, some, some).square().item() == pytest.approx(SMALLEST_SQUARE ** (1 / 3))


def test_plain_is_residuals_as_they_are() -> None:
    """A window that is two off in every element is two away, whatever its size."""
    residual = tiny_residuals(5)
    for part in Whitening.plain(WINDOW_SIZE, N_SENSORS)(residual):
        assert torch.equal(part, residual)


@pytest.mark.parametrize(
    ("rows", "shrunk"),
    [
        # variances 4 and 1, their mean 2.5: 4 + 0.3 · 2.5 and 1 + 0.3 · 2.5
        ([[2.0, 1.0], [2.0, -1.0]], [[4.75, 0.0], [0.0, 1.75]]),
        # variances 2.5 and 2.5, covariance 2: 2.5 · 1.3 and 0.98 · 2
        ([[2.0, 1.0], [1.0, 2.0]], [[3.25, 1.96], [1.96, 3.25]]),
    ],
)
def test_sensors_are_whitened_but_for_the_shrinkage(
    rows: list[list[float]], shrunk: list[list[float]]
) -> None:
    """By hand, on one window of two rows of two sensors."""
    whitening = Whitening.fit(torch.tensor([rows]))
    torch.testing.assert_close(
        second_moments(whitening.sensors), by_hand(shrunk), rtol=1e-5, atol=1e-5
    )


def test_rows_are_whitened_but_for_the_shrinkage() -> None:
    """By hand: two sensors at 2 and at 1 over both rows have variances 4 and 1, their mean is 2.5;
    a tenth of the own and a tenth of the mean are added: 0.65 and 0.35."""
    alone = second_moments(Whitening.fit(torch.tensor([[[2.0, 1.0], [2.0, 1.0]]])).alone)
    expected = [[[4.65, 4.0], [4.0, 4.65]], [[1.35, 1.0], [1.0, 1.35]]]
    torch.testing.assert_close(alone, torch.tensor(expected).double(), rtol=1e-4, atol=1e-4)


def test_second_moments_are_over_all_windows() -> None:
    """A window of 3 and one of 1 in all rows: 5 on average, and neither's mean is taken off."""
    residuals = torch.tensor([3.0, 1.0]).view(2, 1, 1).expand(2, 4, 1)
    expected = torch.full((1, 4, 4), 5.0) + torch.eye(4)  # 0.1 · 5 + 0.1 · 5
    torch.testing.assert_close(
        second_moments(Whitening.fit(residuals).alone), expected.double(), rtol=1e-4, atol=1e-4
    )


def test_together_is_alone_once_sensors_are_whitened() -> None:
    """The order matters: sensors first, then what is left of each over rows."""
    residuals = tiny_residuals()
    white = residuals @ FITTED.sensors
    torch.testing.assert_close(FITTED.together, Whitening.fit(white).alone)
    torch.testing.assert_close(FITTED(residuals).by_row, white)
    second = Whitening(torch.eye(N_SENSORS), FITTED.together, FITTED.together, FITTED.weight)
    torch.testing.assert_close(FITTED(residuals).together, second(white).alone)


def test_a_state_counts_less_in_every_length() -> None:
    """A command is switched now and then; how seldom is no measure of how odd that is. The others
    keep what they count."""
    residuals = tiny_residuals()
    marked = Whitening.fit(residuals, np.array([False, True, False]))(residuals)
    for part, whole in zip(marked, FITTED(residuals), strict=True):
        torch.testing.assert_close(part[:, :, 1], STATE_WEIGHT * whole[:, :, 1])
        torch.testing.assert_close(part[:, :, ::2], whole[:, :, ::2])


@pytest.mark.parametrize("deviation", [0.1, 10.0])
def test_normal_residuals_have_a_novelty_of_about_one(deviation: float) -> None:
    """In any unit. Of sensors and rows that are all alike, 1 over 1 + 0.1 + 0.1 is left, and over
    1 + 0.3 where sensors alone are whitened."""
    residuals = noise(deviation, deviation, deviation)
    by_row, together, alone = Whitening.fit(residuals)(residuals)
    assert by_row.square().mean().item() == pytest.approx(1.0 / 1.3, rel=0.01)
    for part in (together, alone):
        assert part.square().mean().item() == pytest.approx(1.0 / 1.2, rel=0.01)


def test_roots_are_symmetric() -> None:
    """Every value stays at its sensor and row, so that a token hears of its own rows and a change
    of time's direction is no change of novelty. A root of triangles would smear them one way."""
    for name in ("sensors", "together", "alone"):
        root = FITTED.state_dict()[name]
        torch.testing.assert_close(root, root.mT, msg=name)
        assert (torch.linalg.eigvalsh(root) > 0).all(), name


def test_a_value_stays_at_its_sensor_and_row() -> None:
    """One value in a window of zeros: novelty is largest there, and alone in no other sensor."""
    for sensor in range(N_SENSORS):
        for row in range(WINDOW_SIZE):
            residual = torch.zeros(1, WINDOW_SIZE, N_SENSORS)
            residual[0, row, sensor] = 1.0
            novelty = FITTED(residual)
            for part in novelty:
                assert part.abs().argmax() == row * N_SENSORS + sensor
            others = [other for other in range(N_SENSORS) if other != sensor]
            assert (novelty.alone[:, :, others] == 0.0).all()


def test_a_sensor_that_is_never_well_expected_counts_less() -> None:
    """The same deviation is news from a quiet sensor and none from a restless one."""
    whitening = Whitening.fit(noise(0.1, 0.1, 2.0))
    quiet, restless = whitening(one_window(1.0, 0.0, 0.0)), whitening(one_window(0.0, 0.0, 1.0))
    assert quiet.square() > 4.0 * restless.square()
    for news, none in zip(quiet, restless, strict=True):
        assert news.square().sum() > 2.0 * none.square().sum()


def test_sensors_that_break_their_bond_count_more() -> None:
    """Two sensors that always move together, one up and one down: neither alone is far out."""
    common = noise(1.0)
    whitening = Whitening.fit(common * torch.tensor([1.0, 1.0, 0.1]) + noise(0.05, 0.05, 0.1))
    bound, apart = whitening(one_window(1.0, 1.0, 0.0)), whitening(one_window(1.0, -1.0, 0.0))
    torch.testing.assert_close(apart.alone.square(), bound.alone.square())
    assert apart.square() > 2.0 * bound.square()


@pytest.mark.parametrize("bound", [False, True])
def test_an_offset_that_is_usual_counts_less_than_a_course_that_is_not(bound: bool) -> None:
    """Drift is an offset of a whole window. An alternation, or a step inside the window, has the
    same mean square and no normal window makes it. It is so for a sensor on its own and for one
    that moves with the others."""
    offset = torch.randn(500, 1, 1 if bound else N_SENSORS)
    whitening = Whitening.fit(offset + noise(0.1, 0.1, 0.1))
    row = torch.arange(WINDOW_SIZE)
    usual = whitening(one_window(1.0, 0.0, 0.0))
    for course in (1.0 - 2.0 * (row % 2), torch.sign(row - WINDOW_SIZE / 2 + 0.5)):
        news = whitening(one_window(course, 0.0, 0.0))
        assert news.square() > 2.0 * usual.square()
        for name in ("together", "alone"):
            part, usual_part = getattr(news, name), getattr(usual, name)
            assert part.square().sum() > 2.0 * usual_part.square().sum()
        # row by row an offset counts in full: steady faults are offsets too
        torch.testing.assert_close(news.by_row.square().sum(), usual.by_row.square().sum())


def test_a_log_at_rest_has_a_length_too() -> None:
    """No residual at all in training must not make any later one infinite."""
    whitening = Whitening.fit(torch.zeros(20, WINDOW_SIZE, N_SENSORS))
    assert whitening(one_window(1.0, 1.0, 1.0)).square().isfinite().all()


def test_one_window_is_enough_to_fit() -> None:
    """Its second moments are singular; what is added to them is not."""
    residual = tiny_residuals(1)
    assert Whitening.fit(residual)(residual).square().isfinite().all()


def test_arrays_have_one_layout() -> None:
    """A root of a matrix comes in columns and is read from a file in rows; a product of the one may
    differ from a product of the other in its last bit, and so may scores before and after saving."""
    given = {
        "sensors": torch.randn(N_SENSORS, N_SENSORS).mT,
        "alone": torch.randn(N_SENSORS, WINDOW_SIZE, WINDOW_SIZE).mT,
        "together": torch.randn(WINDOW_SIZE, WINDOW_SIZE).expand(N_SENSORS, -1, -1),
        "weight": torch.randn(1).expand(N_SENSORS),
    }
    kept = Whitening(**given).state_dict()
    assert set(kept) == set(given)
    for name, array in given.items():
        assert array.stride() != kept[name].stride()
        assert kept[name].is_contiguous(), name
        assert torch.equal(kept[name], array), name


def test_absent_sensors_leave_the_marginal_of_the_others() -> None:
    """By hand: of covariance [[1, .5], [.5, 1]], [[1.3, .49], [.49, 1.3]] when shrunk, a whitened
    sensor has the mean square (1.5 / 1.79 + 0.5 / 0.81) / 2. It has it without the other one too,
    whatever was bound to that; and the mean is over one sensor, not two."""
    values, vectors = torch.linalg.eigh(by_hand([[1.3, 0.49], [0.49, 1.3]]))
    root = (vectors * values.rsqrt() @ vectors.T).float()
    rows = torch.randn(2, 3, 3)
    reduced = Whitening(root, rows, rows, torch.ones(2)).without(np.array([1]))
    gain = ((1.5 / 1.79 + 0.5 / 0.81) / 2.0) ** 0.5
    torch.testing.assert_close(reduced.sensors, torch.tensor([[gain, 0.0], [0.0, 0.0]]))
    torch.testing.assert_close(reduced.weight, torch.tensor([2.0**0.5, 0.0]))
    assert torch.equal(reduced.alone, rows)


def test_absent_sensors_leave_the_others_their_bond() -> None:
    """Those that remain stay in the order they had, and are whitened as they are without it."""
    reduced = FITTED.without(np.array([0]))
    assert (reduced.sensors[0] == 0.0).all()
    assert (reduced.sensors[:, 0] == 0.0).all()
    values, vectors = torch.linalg.eigh(second_moments(FITTED.sensors)[1:, 1:])
    root = vectors / values.sqrt() @ vectors.T
    gains = reduced.sensors[1:, 1:] / root
    torch.testing.assert_close(gains, gains.mean(dim=0).expand(2, 2), rtol=1e-4, atol=1e-4)


def test_absent_sensors_leave_the_mean_square() -> None:
    """Thresholds were chosen with all sensors there. Where all are off by the same, a log without
    one of them is as new as one with it; what is zero for want of a sensor does not dilute it."""
    whitening = Whitening.fit(noise(1.0, 1.0, 1.0, n=3000))
    residuals = noise(1.0, 1.0, 1.0, n=3000)
    full = whitening(residuals)
    residuals[:, :, 1] = 0.0
    reduced = whitening.without(np.array([1]))(residuals)
    for part, whole in zip(reduced, full, strict=True):
        assert (part[:, :, 1] == 0.0).all()
        assert part.square().mean().item() == pytest.approx(whole.square().mean().item(), rel=0.02)


def test_absent_sensors_were_bound_to_the_others() -> None:
    """Ten sensors share one course: beside the nine others one has little of its own, and alone it
    has all of it. Its rows must not be measured by what it was."""
    residuals = torch.randn(3000, WINDOW_SIZE, 1) + noise(*[0.05] * 10, n=3000)
    whitening = Whitening.fit(residuals)
    full = whitening(residuals)
    residuals[:, :, 1:] = 0.0
    reduced = whitening.without(np.arange(1, 10))(residuals)
    for part, whole in zip(reduced[:2], full[:2], strict=True):
        assert part.square().mean().item() == pytest.approx(whole.square().mean().item(), rel=0.02)


@pytest.mark.parametrize("deviation", [0.0, 1e-4, 1e-2])
def test_quiet_sensors_are_as_quiet_together_as_alone(deviation: float) -> None:
    """What is too small to count is so in scaled units, also of residuals whitened already."""
    whitening = Whitening.fit(noise(deviation, deviation, deviation, n=3000))
    _, together, alone = whitening(torch.ones(1, WINDOW_SIZE, N_SENSORS))
    ratio = together.square().mean() / alone.square().mean()
    assert ratio.item() == pytest.approx(1.0, rel=0.1)
