"""The window score: the residual from the nearest normal windows, and what is learnt from it."""

from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from aster_cli.model import neighbours
from aster_cli.model.forecast import Forecast, fit_forecasts
from aster_cli.model.neighbours import (
    LEAST_SPREAD,
    NEIGHBOURS,
    REMOTENESS_SHARE,
    TOP,
    NormalWindows,
    without_forecast,
)
from aster_cli.model.whitening import Whitening
from aster_cli.windows import TrainingWindows
from tests.tiny_network import N_SENSORS, WINDOW_SIZE, tiny_windows

PLAIN = Whitening.plain(WINDOW_SIZE, N_SENSORS)


def log(values: Any) -> TrainingWindows:
    return TrainingWindows([np.asarray(values, dtype=np.float32)], WINDOW_SIZE)


def noise(n_rows: int, deviations: tuple[float, ...], seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(0.0, deviations, (n_rows, len(deviations)))


def length(normal: NormalWindows, windows: Tensor) -> Tensor:
    """How new each window is: about 1 for normal ones."""
    return normal.novelty(windows).square().sqrt()


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


def test_the_allowance_is_a_power_of_the_nearest_ones_remoteness() -> None:
    """By hand: of two groups far apart each window meets its own, whose geometric mean is 4 and 1."""
    near = torch.zeros(NEIGHBOURS, WINDOW_SIZE, N_SENSORS)
    remoteness = torch.tensor([2.0, 8.0] * (NEIGHBOURS // 2) + [1.0] * NEIGHBOURS)
    normal = NormalWindows(torch.cat((near, near + 10.0)), PLAIN, remoteness)
    allowance = normal.depart(torch.cat((near[:1] + 1.0, near[:1] + 9.0))).allowance
    torch.testing.assert_close(allowance, torch.tensor([4.0**REMOTENESS_SHARE, 1.0]))


def test_distances_are_mean_squares_to_the_nearest() -> None:
    """By hand: every element is two away."""
    stored = torch.zeros(NEIGHBOURS, WINDOW_SIZE, N_SENSORS)
    found = NormalWindows(torch.cat((stored, stored + 50.0)), PLAIN).depart(stored[:1] + 2.0)
    assert found.distance.item() == pytest.approx(4.0 * WINDOW_SIZE * N_SENSORS)


def test_familiarity_by_hand() -> None:
    """The four squared lengths, each by its share; what is allowed counts in full."""
    stored, asked = tiny_windows(60, seed=1), tiny_windows(5, seed=2)
    forecast = Forecast(torch.zeros(4 * N_SENSORS + 1, N_SENSORS), torch.full((N_SENSORS,), 2.0))
    shares = torch.tensor([0.1, 0.2, 0.3, 0.4])
    normal = NormalWindows(stored, PLAIN, forecast=forecast, shares=shares)
    novelty, allowance = normal.novelty(asked), torch.full((5,), 3.0)
    lengths = torch.cat((novelty.squares(), forecast.square(asked)[None]))
    expected = 3.0 / (lengths ** shares.unsqueeze(1)).prod(dim=0)
    torch.testing.assert_close(normal.familiarity(asked, novelty, allowance), expected)


def test_without_a_forecast_the_three_lengths_keep_their_proportions() -> None:
    """So it is where a log lacks sensors, and where a log was too short to foretell."""
    torch.testing.assert_close(
        without_forecast(torch.tensor([0.1, 0.1, 0.2, 0.6])), torch.tensor([0.25, 0.25, 0.5, 0.0])
    )
    stored, asked = tiny_windows(60, seed=1), tiny_windows(5, seed=2)
    normal = NormalWindows(stored, PLAIN)
    novelty = normal.novelty(asked)
    found = normal.familiarity(asked, novelty, torch.ones(5))
    torch.testing.assert_close(found, 1.0 / novelty.square())


def test_lengths_count_by_how_far_they_reach_in_normal_windows() -> None:
    """Against NumPy, from blocks that each is expected and foretold by the others."""
    rows = noise(600, (0.1, 0.5, 2.0)) * (1.0 + np.abs(np.sin(np.arange(600) / 40.0)))[:, None]
    windows = log(rows)
    normal = NormalWindows.fit(windows)
    spread = []
    for part in range(4):
        logs = []
        for (inside, outside), one in zip(
            windows.blocks(neighbours.BLOCKS), normal.blocks(windows), strict=True
        ):
            asked = torch.from_numpy(windows.take(inside))
            others = NormalWindows(torch.from_numpy(windows.take(outside)), normal.whitening)
            lengths = others.novelty(asked).squares()
            logs.append(lengths[part] if part < 3 else one.others.forecast.square(asked))
        values = torch.cat(logs).log().numpy()
        spread.append(max(np.quantile(values, TOP) - np.median(values), LEAST_SPREAD))
    np.testing.assert_allclose(normal.shares, np.array(spread) / sum(spread), rtol=1e-3)


def test_what_was_held_out_helps_to_learn_the_shares() -> None:
    """It is one more block: here one in which the forecast is off by far more than neighbours are."""
    windows = log(noise(600, (0.1, 0.1, 0.1)))
    jumps = noise(200, (0.1, 0.1, 0.1), 1)
    jumps[::40] += 5.0
    plain, taught = NormalWindows.fit(windows), NormalWindows.fit(windows, held_out=log(jumps))
    assert not torch.equal(plain.shares, taught.shares)
    lengths = [
        torch.cat((one.others.novelty(asked).squares(), one.others.forecast.square(asked)[None]))
        for one in taught.blocks(windows)
        for asked in (torch.from_numpy(windows.take(one.inside)),)
    ]
    asked = torch.from_numpy(log(jumps).evenly(neighbours.BLOCK_WINDOWS))
    lengths.append(
        torch.cat((taught.novelty(asked).squares(), taught.forecast.square(asked)[None]))
    )
    logs = torch.cat(lengths, dim=1).log().numpy()
    spread = np.quantile(logs, TOP, axis=1) - np.median(logs, axis=1)
    np.testing.assert_allclose(taught.shares, spread / spread.sum(), rtol=1e-3)


def test_shares_that_were_learnt_before_are_kept() -> None:
    """The whole log is scored by those that it was calibrated with."""
    shares = torch.tensor([0.1, 0.2, 0.3, 0.4])
    normal = NormalWindows.fit(log(noise(600, (0.1, 0.1, 0.1))), shares=shares)
    assert torch.equal(normal.shares, shares)


def test_a_restless_regime_is_more_remote_than_a_calm_one() -> None:
    """Every block has both, so it is the regime that sets them apart: what it repeats badly in other
    times, a residual says less of. The median window is 1 away."""
    rows = noise(600, (0.1, 0.1, 0.1))
    restless = np.arange(600) % 60 < 30
    rows[restless] = 5.0 + 10.0 * rows[restless]
    windows = log(rows)
    normal = NormalWindows.fit(windows)
    starts = np.arange(len(windows)) % 60
    inside = starts < 30 - WINDOW_SIZE, (starts >= 30) & (starts < 60 - WINDOW_SIZE)
    remote, close = (normal.remoteness[torch.from_numpy(mask)] for mask in inside)
    assert remote.min() > close.max()
    assert normal.remoteness.median().item() == pytest.approx(1.0)


def test_a_log_that_repeats_to_the_bit_leaves_no_window_more_remote_than_others() -> None:
    """Nothing is far from anything: a division by it would call every window infinitely new."""
    windows = log(np.tile(noise(20, (1.0, 1.0, 1.0)), (30, 1)))
    least, most = NormalWindows.fit(windows).remoteness.aminmax()
    assert most < 1.1 * least  # but for rounding


def test_what_follows_from_windows_is_not_kept() -> None:
    """Norms do; stored twice they could disagree."""
    kept = set(NormalWindows(tiny_windows(4), PLAIN).state_dict())
    parts = {"whitening": PLAIN, "forecast": Forecast.none(WINDOW_SIZE, N_SENSORS)}
    named = {f"{name}.{part}" for name, own in parts.items() for part in own.state_dict()}
    assert kept == {"windows", "remoteness", "shares", *named}


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


def test_a_drift_counts_less_than_a_course() -> None:
    """A sensor that stands elsewhere in every stretch of time is off by an offset in its normal
    windows, and never goes up and down within one."""
    resting = noise(400, (0.1, 0.1, 0.1))
    resting[:, 2] += np.repeat([-1.0, 1.0, -2.0, 2.0, 0.0], 80)
    normal = NormalWindows.fit(log(resting))
    offset, alternation, step = torch.zeros(3, 1, WINDOW_SIZE, N_SENSORS)
    offset[:, :, 2], alternation[:, :, 2], step[:, :, 2] = 1.0, 1.0, 1.0
    alternation[:, ::2] *= -1.0
    step[:, : WINDOW_SIZE // 2] *= -1.0
    drifted, *courses = (normal.whitening(seen).square() for seen in (offset, alternation, step))
    for course in courses:
        assert course > 4.0 * drifted


def test_very_wide_logs_give_fewer_windows_of_a_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """A thousand windows of a thousand sensors would fill the memory; one at least is asked."""
    asked: list[int] = []
    fit = Whitening.fit

    def counted(residuals: Tensor, states: NDArray[np.bool_] | None) -> Whitening:
        asked.append(len(residuals))
        return fit(residuals, states)

    monkeypatch.setattr(Whitening, "fit", counted)
    windows = log(noise(400, (1.0, 1.0, 1.0)))
    for cells in (7 * WINDOW_SIZE * N_SENSORS, 1):
        monkeypatch.setattr(neighbours, "BLOCK_CELLS", cells)
        NormalWindows.fit(windows)
    assert asked == [7 * neighbours.BLOCKS, neighbours.BLOCKS]


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
    """Windows of its own time would show the classifier no drift. At most so many are kept, each as
    remote as it is in the whole log, and the length is that of the whole log."""
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
        for window, remote in zip(block.others.windows, block.others.remoteness, strict=True):
            (same,) = torch.nonzero((normal.windows == window).all(dim=1)).flatten()
            assert remote == normal.remoteness[same]
        assert block.others.whitening is normal.whitening
        assert torch.equal(block.others.shares, normal.shares)
    _, apart = fit_forecasts(windows, [block.inside for block in blocks])
    for block, forecast in zip(blocks, apart, strict=True):
        assert torch.equal(block.others.forecast.coefficients, forecast.coefficients)


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
        normal = NormalWindows.fit(windows)
        for name, value in normal.whitening.state_dict().items():
            assert torch.equal(value, PLAIN.state_dict()[name])
        assert torch.equal(normal.shares, without_forecast())


def test_a_machine_too_short_for_blocks_does_not_change_what_is_normal() -> None:
    """Expected from another machine it would be a surprise that no time explains."""
    long = noise(600, (1.0, 1.0, 1.0)).astype(np.float32)
    short = (5.0 + noise(2 * WINDOW_SIZE, (1.0, 1.0, 1.0), 1)).astype(np.float32)
    alone = NormalWindows.fit(log(long)).whitening.state_dict()
    both = TrainingWindows([long, short], WINDOW_SIZE, [("long",), ("short",)])
    for inside, _ in both.blocks(neighbours.BLOCKS):
        assert set(both.machines(inside)) == {("long",)}
    for name, value in NormalWindows.fit(both).whitening.state_dict().items():
        torch.testing.assert_close(value, alone[name], rtol=0.1, atol=0.05)
