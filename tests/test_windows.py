"""Where windows start and what they hold: small enough to check with a pencil."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aster_cli.results import MachineId
from aster_cli.windows import TrainingWindows, sliding, window_starts


def rows(n: int, first: float = 0.0) -> Any:
    """Rows that tell their number: ``(n, 2)``."""
    return np.stack((np.arange(n) + first, -np.arange(n) - first), axis=1).astype(np.float32)


def test_sliding_keeps_rows_and_sensors_apart() -> None:
    """A swapped axis would still have a plausible shape."""
    windows = sliding(rows(4), 3)
    assert windows.shape == (2, 3, 2)
    assert windows[1].tolist() == [[1.0, -1.0], [2.0, -2.0], [3.0, -3.0]]


@pytest.mark.parametrize(
    ("n_rows", "starts"), [(0, []), (3, []), (4, [0]), (5, [0]), (6, [0, 2]), (9, [0, 2, 4])]
)
def test_windows_are_anchored_at_the_first_row(n_rows: int, starts: list[int]) -> None:
    """Anchoring at the end would move every window, and so every score, with each new row."""
    assert window_starts(n_rows, size=4, stride=2).tolist() == starts


@given(st.integers(0, 60), st.integers(1, 12), st.integers(1, 12))
def test_more_rows_only_add_windows(n_rows: int, size: int, stride: int) -> None:
    """A stream hands windows out for good: they may not depend on what follows."""
    before = window_starts(n_rows, size, stride)
    after = window_starts(n_rows + 1, size, stride)
    np.testing.assert_array_equal(after[: len(before)], before)
    assert (after + size <= n_rows + 1).all()


@given(st.lists(st.integers(0, 12), max_size=5), st.integers(1, 6))
def test_training_windows_are_all_windows_within_a_segment(lengths: list[int], size: int) -> None:
    """A window across two segments would teach the network a jump that never happened."""
    segments = [rows(n, first=100.0 * i) for i, n in enumerate(lengths)]
    windows = TrainingWindows(segments, size)
    expected = [s[i : i + size] for s in segments for i in range(len(s) - size + 1)]
    assert len(windows) == len(expected)
    if expected:
        np.testing.assert_array_equal(windows.take(np.arange(len(windows))), np.stack(expected))
        assert len(windows.none()) == 0


def test_windows_come_in_the_order_asked_for() -> None:
    """Batches are drawn at random, across segments and with repeats."""
    windows = TrainingWindows([rows(3), rows(4, first=10.0)], 2)
    taken = windows.take(np.array([4, 0, 2, 4]))
    assert taken[:, 0, 0].tolist() == [12.0, 0.0, 10.0, 12.0]


def test_windows_know_whose_they_are() -> None:
    """By hand: two windows of a, none of b, three of c, one more of a. A segment too short for a
    window would otherwise shift every owner after it."""
    owners: list[MachineId] = [("a",), ("b",), ("c",), ("a",)]
    windows = TrainingWindows([rows(n) for n in (3, 1, 4, 2)], 2, owners)
    assert windows.machines(np.arange(6)) == [("a",), ("a",), ("c",), ("c",), ("c",), ("a",)]
    assert windows.machines(np.array([5, 2, 0, 2])) == [("a",), ("c",), ("a",), ("c",)]
    assert TrainingWindows([rows(3)], 2).machines(np.arange(2)) == [(), ()]


@given(st.integers(1, 80), st.integers(1, 80))
def test_evenly_drawn_windows_are_distinct_and_reach_both_ends(n: int, most: int) -> None:
    """Stored normal windows shall stand for the whole log, none of them twice."""
    firsts = TrainingWindows([rows(n)], 1).evenly(most)[:, 0, 0]
    assert len(firsts) == min(n, most)
    assert firsts[0] == 0.0
    assert most == 1 or firsts[-1] == n - 1
    steps = np.diff(firsts)
    assert len(steps) == 0 or (steps.min() >= 1 and steps.max() - steps.min() <= 1)


def test_blocks_cut_time_and_keep_their_distance() -> None:
    """By hand: ten windows of two rows in two blocks. Block one holds 0-4; at start 8 the first
    row lies two rows behind the last row of window 4."""
    blocks = [
        (inside.tolist(), outside.tolist())
        for inside, outside in TrainingWindows([rows(11)], 2).blocks(2)
    ]
    assert blocks == [([0, 1, 2, 3, 4], [8, 9]), ([5, 6, 7, 8, 9], [0, 1])]


def test_blocks_cut_every_machine_in_its_own_time() -> None:
    """A block that held out a whole machine would call its own level a surprise."""
    segments = [rows(40), rows(60, first=100.0), rows(20, first=40.0)]
    windows = TrainingWindows(segments, 2, [("a",), ("b",), ("a",)])
    for inside, outside in windows.blocks(3):
        for numbers in (inside, outside):
            firsts = windows.take(numbers)[:, 0, 0]
            assert (firsts < 100.0).any()
            assert (firsts >= 100.0).any()


@given(st.lists(st.integers(0, 40), min_size=1, max_size=5), st.integers(1, 6), st.integers(1, 5))
def test_blocks_share_no_row_with_what_is_outside(
    lengths: list[int], size: int, count: int
) -> None:
    """A row on both sides would be expected from itself. Every window is inside one block at most."""
    offsets = np.cumsum([0, *lengths])[:-1]
    segments = [rows(n, first=float(o)) for n, o in zip(lengths, offsets, strict=True)]
    windows = TrainingWindows(segments, size)
    seen: list[int] = []
    for inside, outside in windows.blocks(count):
        seen += inside.tolist()
        own = {*windows.take(inside)[:, :, 0].ravel().tolist()}
        others = {*windows.take(outside)[:, :, 0].ravel().tolist()}
        assert not own & others
    assert len(seen) == len(set(seen))
