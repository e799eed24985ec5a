"""A sparkline must not hide what it is there to show."""

import sys

from hypothesis import given
from hypothesis import strategies as st

from aster_cli.sparklines import LEVELS, MISSING, fit, mean, sparkline


def test_a_drawing() -> None:
    """The pencil case: extremes at both ends, holes as dots."""
    assert sparkline([0.0, 1.0, None, 7.0], 4) == "▁▂·█"
    assert sparkline([5.0, 5.0], 2) == "▁▁"
    assert sparkline([None, None], 2) == "··"
    assert sparkline([50.0], 1, low=0.0, high=100.0) == "▅"


def test_the_mean_of_a_stretch_with_holes_is_that_of_what_is_there() -> None:
    """A hole pulls nothing towards zero."""
    assert fit([2.0, None, 4.0, None], 2, mean) == [2.0, 4.0]
    assert fit([2.0, 4.0, None, None], 2, mean) == [3.0, None]


def test_huge_values_have_a_mean() -> None:
    """A broken sensor may write the largest float there is; its line must still be drawn."""
    huge = 8.98846567431158e307
    assert mean([huge, huge]) == huge
    assert mean([sys.float_info.max] * 7) == sys.float_info.max
    assert sparkline([None] * 4 + [huge, huge, None, 0.0], 4) == "··█▁"


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=80))
def test_a_mean_lies_between_its_values(values: list[float]) -> None:
    """From the smallest floats to the largest; an infinite one could not be drawn."""
    assert min(values) <= mean(values) <= max(values)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=80), st.integers(1, 80))
def test_no_maximum_vanishes(series: list[float], width: int) -> None:
    """However narrow the screen, the highest value is on it."""
    assert max(v for v in fit(series, width, max) if v is not None) == max(series)


@given(
    st.lists(st.none() | st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=80),
    st.integers(1, 80),
)
def test_every_series_is_drawn(series: list[float | None], width: int) -> None:
    """Any finite values give one character each."""
    drawn = sparkline(series, width)
    assert len(drawn) == min(len(series), width)
    assert set(drawn) <= {*LEVELS, MISSING}
