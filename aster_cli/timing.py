"""How long something may take, on a clock that tests can turn."""

import time
from collections.abc import Callable

Clock = Callable[[], float]


class TimeLimit:
    """So many seconds from now.

    Args:
        seconds: How many; infinitely many never end.
        clock: Tells the seconds since some moment.
    """

    def __init__(self, seconds: float, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._end = clock() + seconds

    def is_over(self) -> bool:
        """Whether they have passed."""
        return not self.left

    @property
    def left(self) -> float:
        """Seconds that are left of them."""
        return max(self._end - self._clock(), 0.0)

    def part(self, share: float) -> "TimeLimit":
        """The first share of what is left of them."""
        return TimeLimit(share * self.left, self._clock)


FOREVER = TimeLimit(float("inf"))
"""A limit that is never over."""
