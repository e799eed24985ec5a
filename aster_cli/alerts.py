"""From rows above the threshold to alarms and events, by rules that only ever take alarms away.

In this order: k of n, merge gap, minimum duration, suppression. So a rule never costs more false
alarms than the threshold promises.
"""

import numpy as np
from numpy.typing import NDArray

from aster_cli.config import AlertRule
from aster_cli.results import Clock


def raise_alarms(
    above: NDArray[np.bool_], time: Clock, rule: AlertRule, *, longest_step: float, merge_rows: int
) -> NDArray[np.int64]:
    """Draw alarms and events from one machine's rows.

    Args:
        above: ``(row,)`` whether the row's score lies above the threshold; not without a score.
        time: ``(row,)`` rising.
        rule: What becomes of them.
        longest_step: The longest step of the clock that is no gap.
        merge_rows: The most rows within an event that are not anomalous, where the rule has no
            merge gap.

    Returns:
        ``(row,)`` the place of the first row of the row's event; -1 where there is no alarm.
    """
    gaps = np.diff(time, prepend=time[:1]) > longest_step
    stretch = np.cumsum(gaps)
    rows = np.flatnonzero(_k_of_n(above, gaps, rule))
    firsts = np.full(len(above), -1, dtype=np.int64)
    if not len(rows):
        return firsts
    between = np.diff(rows) - 1
    if rule.merge_gap is None:
        near = between <= merge_rows
    else:
        near = (between == 0) | (np.diff(time[rows]) <= rule.merge_gap)
    opens = np.flatnonzero(~near | (np.diff(stretch[rows]) > 0)) + 1
    last = None
    for event in np.split(rows, opens):
        if time[event[-1]] - time[event[0]] < rule.min_duration:
            continue
        # what goes on beyond the quiet time opens an event there
        heard = event if last is None else event[time[event] - time[last] >= rule.suppress]
        if len(heard):
            firsts[heard] = heard[0]
            last = heard[-1]
    return firsts


def _k_of_n(
    above: NDArray[np.bool_], gaps: NDArray[np.bool_], rule: AlertRule
) -> NDArray[np.bool_]:
    """Keep a row that is, with itself, one of `k` above among the last `n` since a gap."""
    place = np.arange(len(above))
    first = np.maximum(np.maximum.accumulate(np.where(gaps, place, 0)), place - rule.n + 1)
    before = np.concatenate(([0], np.cumsum(above)))
    kept: NDArray[np.bool_] = above & (before[1:] - before[first] >= rule.k)
    return kept
