"""Affiliation is a closed-form integral: check it by pencil, by reference and by brute force."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aster_cli.evaluation.affiliation import AffiliationScores, affiliation
from aster_cli.evaluation.runs import find_runs

Case = tuple[np.ndarray, np.ndarray]

# Name, threshold, precision, recall: `affiliation` of vus 0.0.6, which is the authors' module
# (ahstat/affiliation-metrics-py), the same file in TSB-AD 1.5.
PUBLISHED = [
    ("plain", 970.0, 0.7072394946208556, 0.9975990589053254),
    ("crowded", 942.0, 0.7010281676960899, 0.9728709055323678),
    ("edges", 975.0, 0.8745242130687857, 0.9987554034302062),
    ("ties", 6.0, 1.0, 0.9969597802895339),
    ("short", 943.0, 0.8233333333333333, 0.983),
    ("points", 1008.0, 1.0, 1.0),
]


def compare(labels: str, flags: str, bounds: list[int] | None = None) -> AffiliationScores:
    """Compare two drawings, # is a marked row."""
    marked = [np.array([mark == "#" for mark in row], dtype=np.bool_) for row in (labels, flags)]
    limits = np.array(bounds or [0, len(labels)])
    return affiliation(find_runs(marked[0], limits), find_runs(marked[1], limits), limits)


@pytest.mark.parametrize(("name", "threshold", "precision", "recall"), PUBLISHED)
def test_published_numbers(
    reference_case: Callable[[str], Case],
    name: str,
    threshold: float,
    precision: float,
    recall: float,
) -> None:
    """The authors' own module is the definition; only rounding may differ."""
    labels, scores = reference_case(name)
    bounds = np.array([0, len(labels)])
    found = affiliation(find_runs(labels, bounds), find_runs(scores > threshold, bounds), bounds)
    assert found.precision == pytest.approx(precision, abs=1e-12)
    assert found.recall == pytest.approx(recall, abs=1e-12)


def test_pencil_case() -> None:
    """One event, one prediction beside it, integrals small enough for a pencil.

    E = [0, 10], J = [4, 6], I = [6, 7]. Precision: a point of I at distance d is worth
    1 - (2 + 2d) / 10, over d in [0, 1] 0.8 - 0.1 = 0.7. Recall: a point y of J at d = 6 - y has
    2d / 10 of the zone nearer, over y in [4, 6] 2 - 4 / 10 = 1.6, of 2 rows: 0.8.
    """
    found = compare("....##....", "......#...")
    assert found.precision == pytest.approx(0.7)
    assert found.recall == pytest.approx(0.8)
    assert found.f1 == pytest.approx(2 * 0.7 * 0.8 / 1.5)


def test_exact_predictions_are_perfect() -> None:
    """Precision and recall are 1 if and only if the predictions are the events."""
    found = compare("..##..###..#", "..##..###..#")
    assert found == pytest.approx((1.0, 1.0, 1.0))


def test_nothing_predicted_finds_nothing() -> None:
    """Precision of nothing has no value; recall and F1 are 0 as in the authors' module."""
    assert compare("..##....", "........") == AffiliationScores(None, 0.0, 0.0)


def test_zones_stay_on_their_machine() -> None:
    """A prediction right after a boundary must not be taken for a near miss of the last event."""
    joined = compare("....##" + "......", "......" + "#.....")
    split = compare("....##" + "......", "......" + "#.....", [0, 6, 12])
    assert joined.precision is not None
    assert split == AffiliationScores(None, 0.0, 0.0)


def test_machines_count_by_their_events() -> None:
    """Pooling is over label events: two machines alike give what one of them gives."""
    one = compare("..##......#...", ".#........##..")
    two = compare("..##......#..." * 2, ".#........##.." * 2, [0, 14, 28])
    assert two == pytest.approx(one)


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=2, max_size=14))
def test_integrals_equal_brute_force(rows: list[tuple[bool, bool]]) -> None:
    """The closed form must equal the words: the chance that a random point lies farther away."""
    labels = np.array([label for label, _ in rows])
    flags = np.array([flag for _, flag in rows])
    labels[0] = True
    bounds = np.array([0, len(rows)])
    events, predicted = find_runs(labels, bounds), find_runs(flags, bounds)
    found = affiliation(events, predicted, bounds)

    steps = 40
    points = (np.arange(len(rows) * steps) + 0.5) / steps
    middles = (events.stops[:-1] + events.starts[1:]) / 2
    borders = np.concatenate(([0.0], middles, [len(rows)]))
    precisions, recalls = [], []
    for start, stop, left, right in zip(
        events.starts, events.stops, borders[:-1], borders[1:], strict=True
    ):
        zone = points[(points > left) & (points < right)]
        event = points[(points > start) & (points < stop)]
        chosen = zone[flags[zone.astype(np.int64)]]
        if not len(chosen):
            recalls.append(0.0)
            continue

        def to_event(x: np.ndarray, start: int = start, stop: int = stop) -> np.ndarray:
            return np.asarray(np.maximum(np.maximum(start - x, x - stop), 0.0))

        farther = to_event(zone)[None, :] > to_event(chosen)[:, None]
        precisions.append(np.where(to_event(chosen) == 0, 1.0, farther.mean(axis=1)).mean())
        nearest = np.abs(event[:, None] - chosen[None, :]).min(axis=1)
        is_found = nearest < 0.5 / steps
        farther = np.abs(zone[None, :] - event[:, None]) > nearest[:, None]
        recalls.append(np.where(is_found, 1.0, farther.mean(axis=1)).mean())
    assert found.recall == pytest.approx(np.mean(recalls), abs=0.05)
    if precisions:
        assert found.precision == pytest.approx(np.mean(precisions), abs=0.05)
    else:
        assert found.precision is None
