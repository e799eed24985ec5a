"""The window score against the plainest possible search."""

import torch

from aster_cli.model.neighbours import NormalWindows
from tests.tiny_network import tiny_windows


def test_distances_equal_brute_force() -> None:
    """The fast way squares before it subtracts; it must not cost the answer."""
    stored, asked = tiny_windows(60, seed=1), 2.0 * tiny_windows(7, seed=2)
    differences = asked[:, None].double() - stored[None].double()
    distances = differences.square().mean(dim=(2, 3)).sqrt().sort(dim=1).values
    expected = distances[:, :5].mean(dim=1).float()
    torch.testing.assert_close(NormalWindows(stored, k=5)(asked), expected, rtol=1e-4, atol=1e-4)


def test_a_stored_window_is_at_home() -> None:
    """Rounding may turn a squared distance of zero negative, and its root into NaN."""
    stored = 100.0 + tiny_windows(30)
    distances = NormalWindows(stored, k=1)(stored)
    assert distances.isfinite().all()
    assert distances.max() < 0.1


def test_fewer_windows_than_neighbours() -> None:
    """A short log stores only a few."""
    stored = tiny_windows(2)
    assert NormalWindows(stored, k=5)(tiny_windows(3, seed=1)).shape == (3,)


def test_the_unit_is_one_scaled_unit() -> None:
    """A window shifted by two in every element is two away, whatever its size."""
    stored = torch.zeros(5, 16, 3)
    assert NormalWindows(stored)(torch.full((1, 16, 3), 2.0)).item() == 2.0


def test_only_the_windows_are_kept() -> None:
    """Norms follow from them; stored twice they could disagree."""
    assert set(NormalWindows(tiny_windows(4)).state_dict()) == {"windows"}
