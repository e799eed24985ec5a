"""VUS is easy to get almost right: hold it against the implementations that people report."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aster_cli.evaluation.vus import Definition, volume_under_surface

Case = tuple[np.ndarray, np.ndarray]

# Name, longest buffer, VUS-ROC, VUS-PR: vus 0.0.6 (`metricor.RangeAUC_volume_opt`, 250 thresholds);
# its `RangeAUC_volume_opt_mem` and TSB-AD 1.5 give the same digits.
CURRENT = [
    ("plain", 40, 0.9080058641793882, 0.6714752131540959),
    ("crowded", 30, 0.9024804034820981, 0.6724811739196511),
    ("edges", 25, 0.9715992517455677, 0.8794874557631712),
    ("ties", 20, 0.8445757477112886, 0.5735755302130633),
    ("short", 10, 0.9158995865741860, 0.7707696494618393),
    ("points", 9, 0.9988421287018483, 0.5047619047619047),
]
# aeon 1.6.0 (`range_roc_vus_score`, `range_pr_vus_score`); vus 0.0.3, the code of the paper and of
# TAB, gives the same digits.
PVLDB_2022 = [
    ("plain", 40, 0.8633915763968979, 0.6032850573250582),
    ("crowded", 30, 0.8403828740877590, 0.5797149912396974),
    ("edges", 25, 0.9416736480066366, 0.8126093789454047),
    ("ties", 20, 0.8261299463397672, 0.6075643757388663),
    ("short", 10, 0.8797211645679845, 0.7161168102606674),
    ("points", 9, 0.8721011596235441, 0.4241616630244902),
]
PUBLISHED = [("current", *row) for row in CURRENT] + [("pvldb-2022", *row) for row in PVLDB_2022]


@pytest.mark.parametrize(("definition", "name", "max_buffer", "roc", "pr"), PUBLISHED)
def test_published_numbers(
    reference_case: Callable[[str], Case],
    definition: Definition,
    name: str,
    max_buffer: int,
    roc: float,
    pr: float,
) -> None:
    """Same thresholds, same definition: only rounding may differ."""
    labels, scores = reference_case(name)
    found = volume_under_surface(
        labels, scores, np.array([0, len(labels)]), max_buffer=max_buffer, definition=definition
    )
    assert found.roc == pytest.approx(roc, abs=1e-12)
    assert found.pr == pytest.approx(pr, abs=1e-12)


def slow_volume(
    labels: np.ndarray, scores: np.ndarray, max_buffer: int, n_thresholds: int
) -> tuple[float, float]:
    """Follow the definition word by word, one threshold and one buffer at a time."""
    n_rows = len(labels)
    edges = np.flatnonzero(np.diff(np.concatenate(([0], labels, [0]))))
    events = list(zip(edges[::2], edges[1::2], strict=True))
    thresholds = np.sort(scores)[::-1][np.linspace(0, n_rows - 1, n_thresholds).astype(int)]
    rocs, prs = [], []
    for buffer in range(max_buffer + 1):
        reach = buffer // 2
        weights = labels.astype(np.float64)
        widened: list[list[int]] = []
        for start, stop in events:
            for distance in range(1, reach + 1):
                for row in (start - distance, stop - 1 + distance):
                    if 0 <= row < n_rows:
                        weights[row] += np.sqrt(1 - distance / buffer)
            if widened and widened[-1][1] > start - reach:
                widened[-1][1] = stop + reach
            else:
                widened.append([max(start - reach, 0), stop + reach])
        weights = np.minimum(weights, 1.0)
        recalls, false_rates, precisions = [0.0], [0.0], [1.0]
        for threshold in thresholds:
            flags = scores >= threshold
            n_found = weights[flags].sum()
            n_positive = labels.sum() + weights[flags & ~labels].sum() / 2
            hit = np.mean([flags[start:stop].any() for start, stop in widened])
            recalls.append(min(n_found / n_positive, 1.0) * hit)
            false_rates.append((flags.sum() - n_found) / (n_rows - n_positive))
            precisions.append(n_found / flags.sum())
        prs.append(np.diff(recalls) @ np.array(precisions[1:]))
        rocs.append(np.trapezoid([*recalls, 1.0], [*false_rates, 1.0]))
    return float(np.mean(rocs)), float(np.mean(prs))


@settings(deadline=None)
@given(
    rows=st.lists(st.tuples(st.booleans(), st.integers(0, 9)), min_size=2, max_size=50),
    max_buffer=st.integers(0, 14),
    n_thresholds=st.integers(2, 60),
)
def test_fast_equals_word_by_word(
    rows: list[tuple[bool, int]], max_buffer: int, n_thresholds: int
) -> None:
    """Histograms replace loops; crowded events, ties and series ends must survive that."""
    labels = np.array([label for label, _ in rows], dtype=np.bool_)
    labels[0], labels[-1] = True, False
    scores = np.array([score for _, score in rows], dtype=np.float64)
    found = volume_under_surface(
        labels,
        scores,
        np.array([0, len(labels)]),
        max_buffer=max_buffer,
        n_thresholds=n_thresholds,
    )
    assert found == pytest.approx(slow_volume(labels, scores, max_buffer, n_thresholds), abs=1e-12)


def test_perfect_scores_without_a_buffer_give_one() -> None:
    """Every metric here must agree on what perfect is; a buffer alone costs the exact detector."""
    labels = np.zeros(200, dtype=np.bool_)
    labels[50:70] = labels[120:140] = True
    found = volume_under_surface(
        labels, labels.astype(np.float64), np.array([0, 200]), max_buffer=0
    )
    assert found == pytest.approx((1.0, 1.0))


def test_buffers_end_with_their_machine() -> None:
    """An event on the last row of one machine must not excuse flags on the next machine."""
    labels = np.zeros(100, dtype=np.bool_)
    labels[40:50] = True
    late, apart = np.zeros(100), np.zeros(100)
    late[[*range(40, 50), *range(50, 55)]] = 1.0
    apart[[*range(40, 50), *range(80, 85)]] = 1.0
    split = np.array([0, 50, 100])

    def volume(scores: np.ndarray, bounds: np.ndarray) -> tuple[float, float]:
        return volume_under_surface(labels, scores, bounds, max_buffer=10)

    assert volume(late, split) == pytest.approx(volume(apart, split), abs=1e-12)
    assert volume(late, np.array([0, 100])) > volume(apart, np.array([0, 100]))


@pytest.mark.parametrize("definition", ["current", "pvldb-2022"])
def test_the_order_of_machines_does_not_matter(definition: Definition) -> None:
    """Machines are pooled: events that only happen to be neighbours in memory never join."""
    rng = np.random.default_rng(0)
    labels, scores = rng.random(120) < 0.1, rng.random(120)
    labels[39:42] = True
    swapped = np.concatenate((np.arange(40, 120), np.arange(40)))

    def volume(order: np.ndarray, first_rows: int) -> tuple[float, float]:
        bounds = np.array([0, first_rows, 120])
        return volume_under_surface(
            labels[order], scores[order], bounds, max_buffer=8, definition=definition
        )

    assert volume(np.arange(120), 40) == pytest.approx(volume(swapped, 80), abs=1e-12)
