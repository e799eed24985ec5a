"""Rows above the threshold into alarms and events, by rules that a pencil can check."""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aster_cli.alerts import OPENS, QUIET, AlarmStream, raise_alarms
from aster_cli.config import AlertRule
from aster_cli.errors import UsageError
from tests.ragged_logs import cuts_of

SECOND = 10**9


def drawn(
    marks: str, *, gap_before: int | None = None, merge_rows: int = 0, **rule: Any
) -> tuple[str, list[int]]:
    """Apply a rule to a drawing of rows a second apart, # is above; draw alarms, and list events.

    Lengths of the rule are in seconds.
    """
    time = np.arange(len(marks)) * SECOND
    if gap_before is not None:
        time[gap_before:] += 3600 * SECOND
    for name in ("merge_gap", "min_duration", "suppress"):
        if name in rule:
            rule[name] *= float(SECOND)
    above = np.array([mark == "#" for mark in marks], dtype=bool)
    firsts, _ = raise_alarms(
        above, time, AlertRule(**rule), longest_step=5.0 * SECOND, merge_rows=merge_rows
    )
    return "".join(".#"[first >= 0] for first in firsts.tolist()), sorted(
        set(firsts[firsts >= 0].tolist())
    )


def test_without_a_rule_every_row_above_is_an_alarm() -> None:
    """And with no rows between two runs merged, every run is an event."""
    assert drawn("##.#..#") == ("##.#..#", [0, 3, 6])


@pytest.mark.parametrize(
    ("marks", "rule", "is_open"),
    [
        ("##", {}, True),
        ("##..", {}, True),  # two rows may still be bridged
        ("##...", {}, False),
        ("....", {}, False),
        ("...#", {"k": 2, "n": 3}, False),  # above, but no alarm
        ("####..#", {"min_duration": 2.0}, True),
        ("####....#", {"min_duration": 2.0}, False),  # what may go on is no event yet
        ("##....#", {"suppress": 60.0}, False),  # nor is what is kept quiet
    ],
)
def test_an_event_is_open_while_the_next_row_could_be_of_it(
    marks: str, rule: dict[str, Any], is_open: bool
) -> None:
    """Who reads the summary of a log that ends in a fault must see that it has not ended."""
    lengths = {name: value * (1 if name in "kn" else SECOND) for name, value in rule.items()}
    above = np.array([mark == "#" for mark in marks], dtype=bool)
    time = np.arange(len(marks)) * SECOND
    alarms = raise_alarms(
        above, time, AlertRule(**lengths), longest_step=5.0 * SECOND, merge_rows=2
    )
    assert alarms.open is is_open


@pytest.mark.parametrize(
    ("marks", "alarms"),
    [
        ("#.#.#", "....#"),  # the third within five
        ("#...##", "......"),  # of the last five rows only two
        ("###", "..#"),
        ("##", ".."),
        ("#####", "..###"),
        ("##.##..", "...##.."),
    ],
)
def test_k_of_n_waits_for_k(marks: str, alarms: str) -> None:
    """One high row of a noisy sensor is no incident; a row below the threshold never alarms."""
    assert drawn(marks, k=3, n=5)[0] == alarms


def test_k_of_n_starts_anew_behind_a_gap() -> None:
    """Rows from before a stop do not vouch for rows after it."""
    assert drawn("##.##", gap_before=3, k=3, n=5)[0] == "....."
    assert drawn("##.##", gap_before=3, k=2, n=5)[0] == ".#..#"


def test_a_merge_gap_in_rows_counts_the_rows_between() -> None:
    """As `aster score` has it."""
    assert drawn("#..#...#", merge_rows=2)[1] == [0, 7]


def test_a_merge_gap_in_time_goes_from_alarm_to_alarm() -> None:
    """Three seconds from the one to the other may be merged, four not; neighbours always are."""
    assert drawn("#..#...#", merge_gap=3)[1] == [0, 7]
    assert drawn("##.#", merge_gap=0)[1] == [0, 3]


def test_no_event_crosses_a_gap() -> None:
    """However long the merge gap."""
    assert drawn("####", gap_before=2, merge_gap=1e6)[1] == [0, 2]
    assert drawn("####", gap_before=2, merge_rows=9)[1] == [0, 2]


def test_short_events_are_dropped_whole() -> None:
    """From the first row to the last: three rows are two seconds."""
    assert drawn("#..##..###", min_duration=2) == (".......###", [7])
    # merged first, so that a flickering incident is one
    assert drawn("#.#...#", merge_gap=2, min_duration=2) == ("#.#....", [0])


def test_after_an_event_it_is_quiet() -> None:
    """Rows within the time give no alarm; what goes on beyond it opens an event there."""
    assert drawn("##..#...#", suppress=4) == ("##......#", [0, 8])
    assert drawn("##..######", suppress=4) == ("##...#####", [0, 5])


def test_an_event_that_was_not_heard_silences_nothing() -> None:
    """Otherwise a flickering sensor could keep itself quiet for ever, and others with it."""
    assert drawn("#..#..#..#", suppress=6) == ("#.....#...", [0, 6])


def test_suppression_outlasts_a_gap() -> None:
    """It is about whoever is called, not about the log."""
    assert drawn("#..#", gap_before=2, suppress=7200)[0] == "#..."
    assert drawn("#..#", gap_before=2, suppress=60)[0] == "#..#"


@pytest.mark.parametrize("marks", ["", ".", "#", "....", "####"])
def test_none_all_and_one(marks: str) -> None:
    """The ends of what a file can hold."""
    assert drawn(marks) == (marks, [0] if "#" in marks else [])


@given(
    marks=st.text("#.", max_size=40),
    k=st.integers(1, 4),
    more=st.integers(0, 4),
    merge_gap=st.none() | st.integers(0, 9),
    min_duration=st.integers(0, 9),
    suppress=st.integers(0, 9),
    gap=st.none() | st.integers(0, 40),
)
def test_rules_only_take_alarms_away(
    marks: str,
    k: int,
    more: int,
    merge_gap: int | None,
    min_duration: int,
    suppress: int,
    gap: int | None,
) -> None:
    """So whatever share of false alarms a threshold promises holds under every rule."""
    rule = {} if merge_gap is None else {"merge_gap": merge_gap}
    alarms, _ = drawn(
        marks,
        k=k,
        n=k + more,
        min_duration=min_duration,
        suppress=suppress,
        gap_before=gap,
        **rule,
    )
    assert all(mark == "#" for mark, alarm in zip(marks, alarms, strict=True) if alarm == "#")


@given(
    data=st.data(),
    above=st.lists(st.booleans(), max_size=40),
    k=st.integers(1, 4),
    more=st.integers(0, 4),
    merge_gap=st.none() | st.integers(0, 9),
    suppress=st.integers(0, 12),
)
def test_alarms_are_the_same_however_rows_arrive(
    data: st.DataObject,
    above: list[bool],
    k: int,
    more: int,
    merge_gap: int | None,
    suppress: int,
) -> None:
    """One at a time over many runs, or all at once: the rules that look back only."""
    steps = data.draw(st.lists(st.sampled_from([1, 1, 1, 2, 9]), min_size=len(above), max_size=40))
    time = np.cumsum(steps[: len(above)])
    rule = AlertRule(
        k=k,
        n=k + more,
        merge_gap=None if merge_gap is None else float(merge_gap),
        suppress=float(suppress),
    )
    marked = np.array(above, dtype=bool)
    whole, _ = raise_alarms(marked, time, rule, longest_step=5.0, merge_rows=2)
    stream = AlarmStream(rule, longest_step=5.0, merge_rows=2)
    firsts = np.full(len(above), -1)
    first = -1
    cuts = data.draw(cuts_of(len(above)))
    for start, stop in pairwise([0, *cuts, len(above)]):
        went_on = AlarmStream(rule, longest_step=5.0, merge_rows=2)
        went_on.restore(stream.snapshot())
        stream = went_on
        rows = np.flatnonzero(marked[start:stop]) + start
        for row, mark in zip(
            rows.tolist(), stream.follow(marked[start:stop], time[start:stop]), strict=True
        ):
            first = row if mark == OPENS else first
            firsts[row] = -1 if mark == QUIET else first
    np.testing.assert_array_equal(firsts, whole)


@pytest.mark.parametrize(
    ("rule", "named"),
    [
        ({"alert_budget": 0.0}, "--alert-budget"),
        ({"method": "conformal", "fdr": 1.0}, "--fdr"),
        ({"method": "fixed"}, "--threshold"),
        ({"method": "fixed", "threshold": float("nan")}, "--threshold"),
        ({"threshold": 1.0}, "--threshold"),
        ({"k": 0, "n": 0}, "--k-of-n"),
        ({"k": 4, "n": 3}, "--k-of-n"),
        ({"suppress": -1.0}, "--suppress"),
        ({"merge_gap": float("inf")}, "--merge-gap"),
    ],
)
def test_rules_that_mean_nothing_are_refused(rule: dict[str, Any], named: str) -> None:
    """The flag is named, so that the line can be corrected."""
    with pytest.raises(UsageError, match=f"^{named}: "):
        AlertRule(**rule)
