"""Runs carry every event metric: they must be maximal and stay on one machine."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from aster_cli.evaluation.runs import find_runs, machine_bounds


def marks(text: str) -> np.ndarray:
    """Read rows from a drawing: # is a marked row."""
    return np.array([mark == "#" for mark in text], dtype=np.bool_)


def test_runs_of_a_drawing() -> None:
    """The pencil case: runs at both ends, of one row, and of several."""
    runs = find_runs(marks("##..#.###"), np.array([0, 9]))
    assert runs.starts.tolist() == [0, 4, 6]
    assert runs.stops.tolist() == [2, 5, 9]
    assert runs.lengths.tolist() == [2, 1, 3]
    assert runs.machines.tolist() == [0, 0, 0]


def test_a_machine_boundary_ends_a_run() -> None:
    """Two machines' rows lie side by side in memory only; an event cannot span them."""
    runs = find_runs(marks(".###.#"), np.array([0, 3, 5, 6]))
    assert runs.starts.tolist() == [1, 3, 5]
    assert runs.stops.tolist() == [3, 4, 6]
    assert runs.machines.tolist() == [0, 1, 2]


def test_touching_needs_one_shared_row() -> None:
    """Rows right beside a run do not touch it: off-by-one here would inflate event recall."""
    runs = find_runs(marks(".##..##."), np.array([0, 8]))
    assert runs.touching(marks("#..#....")).tolist() == [False, False]
    assert runs.touching(marks("..#....#")).tolist() == [True, False]


def test_no_rows_have_no_runs() -> None:
    """A log without a single scored row reaches this code too."""
    bounds = machine_bounds(np.array([], dtype=np.int64))
    assert bounds.tolist() == [0]
    assert len(find_runs(marks(""), bounds)) == 0


def test_bounds_follow_the_groups() -> None:
    """Group numbers need not start at 0 nor rise."""
    assert machine_bounds(np.array([7, 7, 2, 9, 9, 9])).tolist() == [0, 2, 3, 6]


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_runs_rebuild_the_mask(rows: list[tuple[bool, bool]]) -> None:
    """Nothing is lost, invented or joined across a boundary, whatever the mask."""
    mask = np.array([is_marked for is_marked, _ in rows], dtype=np.bool_)
    groups = np.cumsum([is_new for _, is_new in rows])
    runs = find_runs(mask, machine_bounds(groups))
    rebuilt = np.zeros(len(mask), dtype=np.int64)
    for start, stop in zip(runs.starts, runs.stops, strict=True):
        rebuilt[start:stop] += 1
        assert len(np.unique(groups[start:stop])) == 1
    assert np.array_equal(rebuilt, mask.astype(np.int64))
    same_machine = runs.machines[1:] == runs.machines[:-1]
    assert (runs.starts[1:] - runs.stops[:-1] >= 1)[same_machine].all()
