"""What is derived from the log must always be something that a network can have."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aster_cli.config import DetectorConfig, ModelConfig
from aster_cli.defaults import LARGEST_WINDOW, ROWS_PER_WINDOW, resolve, training_steps
from aster_cli.errors import UsageError


@given(st.integers(0, 100_000), st.integers(1, 500), st.integers(1, 64))
def test_every_log_gets_a_possible_network(n_rows: int, n_sensors: int, patch: int) -> None:
    """A log of any shape must meet the rules that a user's own values meet."""
    resolved = resolve(DetectorConfig(model=ModelConfig(patch_size=patch)), n_rows, n_sensors)
    model = resolved.model
    assert model.window_size is not None
    assert model.stride is not None
    assert model.latent_width is not None
    assert model.window_size % patch == 0
    assert model.window_size >= 2 * patch
    assert 1 <= model.stride <= model.window_size
    assert resolve(resolved, 7, 7) == resolved


def test_a_window_is_a_small_part_of_the_log() -> None:
    """Held-out parts need windows of their own; long logs need no longer ones."""
    sizes = {n: resolve(DetectorConfig(), n, 5).model.window_size for n in (200, 300, 10_000)}
    assert sizes == {200: 16, 300: 24, 10_000: LARGEST_WINDOW}
    assert all(size and size <= max(n // ROWS_PER_WINDOW, 8) for n, size in sizes.items())


def test_what_the_user_says_stands() -> None:
    """A default that overruled a flag would be a silent substitute."""
    model = ModelConfig(window_size=40, stride=3, latent_width=5)
    assert resolve(DetectorConfig(model=model), 10_000, 50).model == model


def test_a_stride_is_checked_against_the_derived_window() -> None:
    """The user could not know the window, so the message names it."""
    with pytest.raises(UsageError, match="at most the window's 8 rows"):
        resolve(DetectorConfig(model=ModelConfig(stride=20)), 50, 3)


@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_more_windows_never_train_less(one: int, other: int) -> None:
    """Nor does any log train too little to tell a pseudo-anomaly, or for hours."""
    few, many = sorted((one, other))
    assert 80 <= training_steps(few) <= training_steps(many) <= 400


def test_steps_between_the_bounds_grow_with_the_log() -> None:
    """By hand, a step for 300 windows: where one bound held for all, the rule would be a constant."""
    assert [training_steps(n) for n in (0, 24_000, 60_000, 120_000, 10**6)] == [
        80, 80, 200, 400, 400,
    ]  # fmt: skip
