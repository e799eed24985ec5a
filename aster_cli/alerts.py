"""From rows above the threshold to alarms and events, by rules that only ever take alarms away.

In this order: k of n, merge gap, minimum duration, suppression. So a rule never costs more false
alarms than the threshold promises. All but the minimum duration know of a row from the rows before
it: an `AlarmStream` applies them while rows go by, and `raise_alarms` all four to rows at hand.
"""

from collections import deque
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from aster_cli.config import AlertRule
from aster_cli.results import Clock, Snapshot

QUIET, GOES_ON, OPENS = 0, 1, 2
"""What becomes of a row above the threshold: no alarm, one of the event before it, or of a new one."""


class AlarmStream:
    """Turns one machine's rows above the threshold into alarms and events, batch after batch.

    Args:
        rule: What becomes of them; its minimum duration, which needs the rows after, is left out.
        longest_step: The longest step of the clock that is no gap.
        merge_rows: The most rows within an event that are not anomalous, where the rule has no
            merge gap.
    """

    def __init__(self, rule: AlertRule, *, longest_step: float, merge_rows: int) -> None:
        self._rule, self._longest_step, self._merge_rows = rule, longest_step, merge_rows
        # of the last rows above, k of them: place, and gaps before it
        self._above: deque[tuple[int, int]] = deque(maxlen=rule.k)
        self._rows_seen = 0
        self._last_time: int | float | None = None
        self._gaps_seen = 0
        # of the last alarm, which suppression may have kept quiet
        self._alarm: tuple[int, int | float, int] | None = None  # place, time, gaps before it
        self._heard = False  # whether its event is
        self._ended: int | float | None = None  # when the last heard event before it was last heard

    def follow(self, above: NDArray[np.bool_], time: Clock) -> NDArray[np.int8]:
        """Take the machine's next rows; tell what becomes of each that is above the threshold.

        Args:
            above: ``(row,)`` whether the row's score lies above it; not without a score.
            time: ``(row,)`` rising.

        Returns:
            `QUIET`, `GOES_ON` or `OPENS`, a value for each row above.
        """
        first = time[:1] if self._last_time is None else np.array([self._last_time])
        gaps = np.diff(np.concatenate((first, time))) > self._longest_step
        stretches = self._gaps_seen + np.cumsum(gaps)
        rows = np.flatnonzero(above)
        marks = np.full(len(rows), QUIET, dtype=np.int8)
        for i, (row, now, stretch) in enumerate(
            zip(rows.tolist(), time[rows].tolist(), stretches[rows].tolist(), strict=True)
        ):
            marks[i] = self._mark(row + self._rows_seen, now, stretch)
        if len(time):
            self._rows_seen += len(time)
            self._last_time, self._gaps_seen = time[-1].item(), int(stretches[-1])
        return marks

    @property
    def may_go_on(self) -> bool:
        """Whether the next row may be of the event that was heard last."""
        if self._alarm is None or not self._heard or self._last_time is None:
            return False
        place, time, _ = self._alarm
        return self._near(self._rows_seen - 1 - place, self._last_time - time)

    def snapshot(self) -> Snapshot:
        """What it takes to go on from here."""
        return {
            "above": [list(one) for one in self._above],
            "rows_seen": self._rows_seen,
            "last_time": self._last_time,
            "gaps_seen": self._gaps_seen,
            "alarm": None if self._alarm is None else list(self._alarm),
            "heard": self._heard,
            "ended": self._ended,
        }

    def restore(self, snapshot: Snapshot) -> None:
        """Go on from a snapshot of a stream of the same rule."""
        self._above = deque(map(tuple, snapshot["above"]), maxlen=self._rule.k)
        self._rows_seen, self._last_time = snapshot["rows_seen"], snapshot["last_time"]
        self._gaps_seen, self._heard = snapshot["gaps_seen"], snapshot["heard"]
        alarm, self._ended = snapshot["alarm"], snapshot["ended"]
        self._alarm = None if alarm is None else (alarm[0], alarm[1], alarm[2])

    def _mark(self, place: int, now: int | float, stretch: int) -> int:
        if not self._is_kept(place, stretch):
            return QUIET
        last, self._alarm = self._alarm, (place, now, stretch)
        if last is None or stretch != last[2] or not self._near(place - last[0] - 1, now - last[1]):
            if last is not None and self._heard:
                self._ended = last[1]
            self._heard = False
        if self._heard:
            return GOES_ON
        # what goes on beyond the quiet time opens an event there
        self._heard = self._ended is None or now - self._ended >= self._rule.suppress
        return OPENS if self._heard else QUIET

    def _is_kept(self, place: int, stretch: int) -> bool:
        """Whether the row is, with itself, one of `k` above among the last `n` since a gap."""
        self._above.append((place, stretch))
        first, its_stretch = self._above[0]
        enough = len(self._above) == self._rule.k
        return enough and first > place - self._rule.n and its_stretch == stretch

    def _near(self, between: int, later: int | float) -> bool:
        """Whether two alarms with so many rows and so much time between them are one event's."""
        if self._rule.merge_gap is None:
            return between <= self._merge_rows
        return between == 0 or later <= self._rule.merge_gap


class Alarms(NamedTuple):
    """What one machine's rows came to.

    Attributes:
        firsts: ``(row,)`` the place of the first row of the row's event; -1 where there is no alarm.
        open: Whether the next row could be of the last of these events.
    """

    firsts: NDArray[np.int64]
    open: bool


def raise_alarms(
    above: NDArray[np.bool_], time: Clock, rule: AlertRule, *, longest_step: float, merge_rows: int
) -> Alarms:
    """Draw alarms and events from one machine's rows, by all four rules.

    Args:
        above: See `AlarmStream.follow`.
        time: ``(row,)`` rising.
        rule: What becomes of them.
        longest_step: See `AlarmStream`.
        merge_rows: See `AlarmStream`.
    """
    # suppression comes after the minimum duration
    loud = msgspec.structs.replace(rule, min_duration=0.0, suppress=0.0)
    stream = AlarmStream(loud, longest_step=longest_step, merge_rows=merge_rows)
    marks = stream.follow(above, time)
    firsts = np.full(len(above), -1, dtype=np.int64)
    rows, marks = np.flatnonzero(above)[marks > QUIET], marks[marks > QUIET]
    if not len(rows):
        return Alarms(firsts, open=False)
    last = None
    for event in np.split(rows, np.flatnonzero(marks == OPENS)[1:]):
        if time[event[-1]] - time[event[0]] < rule.min_duration:
            continue
        heard = event if last is None else event[time[event] - time[last] >= rule.suppress]
        if len(heard):
            firsts[heard] = heard[0]
            last = heard[-1]
    return Alarms(firsts, open=stream.may_go_on and bool(firsts[rows[-1]] >= 0))
