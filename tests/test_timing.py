"""Time limits, on a clock that the test turns."""

from aster_cli.timing import FOREVER, TimeLimit


def test_a_part_is_of_what_is_left() -> None:
    """Each stage of training gets its share of the time, whatever the earlier ones took."""
    now = 100.0
    whole = TimeLimit(10.0, lambda: now)
    now = 104.0
    half = whole.part(0.5)
    assert not half.is_over()
    now = 107.0
    assert half.is_over()
    assert not whole.is_over()
    now = 111.0
    assert whole.is_over()
    assert whole.part(0.5).is_over()


def test_without_a_limit_no_part_is_ever_over() -> None:
    """The default trains as if there were no clock."""
    assert not FOREVER.is_over()
    assert not FOREVER.part(0.1).is_over()
