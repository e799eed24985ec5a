"""Where an alarm starts: each method keeps its promise, also where rows are few or all alike."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from aster_cli.calibration import ScoreTable
from aster_cli.thresholds import (
    benjamini_hochberg,
    budget_threshold,
    conformal_threshold,
    p_values,
    pot_threshold,
)

BUDGET = 0.01


def table_of(scores: Any, window: int = 1) -> ScoreTable:
    return ScoreTable(np.asarray(scores, dtype=np.float64), window, BUDGET)


def drawn(kind: str, n: int, seed: int) -> Any:
    """Scores whose tail is light, exponential or heavy."""
    draw = np.random.default_rng(seed)
    if kind == "normal":
        return draw.normal(size=n)
    return draw.exponential(size=n) if kind == "exponential" else draw.standard_t(4, size=n)


def in_stretches(n: int, length: int, seed: int) -> Any:
    """Scores that stay where they are for `length` rows, as those that share a window nearly do."""
    return np.repeat(np.random.default_rng(seed).normal(size=n // length), length)


def scores_of_every_kind() -> st.SearchStrategy[Any]:
    value = st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0, 7.5])
    return st.lists(value, min_size=1, max_size=60).map(np.array)


@pytest.mark.parametrize("kind", ["normal", "exponential", "heavy"])
@pytest.mark.parametrize(("n", "budget"), [(100, 0.01), (400, 0.005), (400, 0.0005)])
def test_pot_keeps_a_budget_that_few_rows_cannot_show(kind: str, n: int, budget: float) -> None:
    """Of 400 rows none shows what one of 2,000 looks like: the tail has to be modelled, carefully."""
    new = drawn(kind, 400_000, 1)
    kept = [
        (new > pot_threshold(table_of(drawn(kind, n, seed)), budget)).mean() <= budget
        for seed in range(2, 62)
    ]
    assert np.mean(kept) > 0.8


def test_no_tail_is_taken_for_lighter_than_exponential() -> None:
    """Rows that end sharply have not shown where scores end: the next fault-free week may go on."""
    table = table_of(np.random.default_rng(0).uniform(size=10_000))
    exponential = table.tail_start + table.tail_scale * math.log(0.1 / 0.001)
    assert pot_threshold(table, 0.001) > exponential


def test_pot_reaches_the_budget_where_rows_are_many() -> None:
    """A margin that never ends would be an alarm that never rings."""
    table = table_of(drawn("exponential", 200_000, 0))
    found = (drawn("exponential", 400_000, 1) > pot_threshold(table, 0.001)).mean()
    assert 0.0006 < found <= 0.001


def test_pot_counts_rows_that_share_a_window_once() -> None:
    """The same scores in longer windows are less evidence."""
    scores = drawn("normal", 8000, 0)
    thresholds = [pot_threshold(table_of(scores, window), BUDGET) for window in (1, 8, 80)]
    assert thresholds == sorted(set(thresholds))


@given(scores_of_every_kind(), st.floats(1e-4, 0.49), st.integers(1, 64))
def test_no_budget_is_overdrawn_on_held_out_rows(scores: Any, budget: float, window: int) -> None:
    """Few rows, equal ones and ties too: finite, and as few rows above as asked for."""
    table = table_of(scores, window)
    for threshold in (pot_threshold(table, budget), budget_threshold(table, budget)):
        assert math.isfinite(threshold)
        assert (scores > threshold).sum() <= math.ceil(budget * len(scores))


def test_a_budget_has_no_margin() -> None:
    """It says how much is to be looked at, not how sure one wants to be."""
    assert budget_threshold(table_of(np.arange(1001), 500), 0.01) == 990.0


def test_a_p_value_counts_the_rows_that_are_as_high() -> None:
    """A pencil checks it: of 4 rows, those at 2 or more; the row itself is one more of each."""
    table = table_of([1, 2, 2, 3])
    found = p_values(table, np.array([0.0, 2.0, 2.5, 3.0, 9.0]))
    assert found.tolist() == [1.0, 0.8, 0.4, 0.4, 0.2]


def test_a_p_value_is_no_smaller_than_independent_rows_allow() -> None:
    """400 rows of 40 windows cannot say "one in 401"."""
    scores = np.arange(400.0)
    assert p_values(table_of(scores, 10), np.array([1e9])) == pytest.approx(1 / 41)
    assert p_values(table_of(scores, 10), np.array([200.0])) == pytest.approx(21 / 41)


def test_benjamini_and_hochberg_by_hand() -> None:
    """Ranks 1 to 4 of 4 may have p up to .05, .1, .15, .2; the third saves the second."""
    assert benjamini_hochberg(np.array([0.12, 0.03, 0.14, 0.9]), 0.2) == 0.14
    assert benjamini_hochberg(np.array([0.06, 0.11, 0.16, 0.9]), 0.2) == 0.0
    assert benjamini_hochberg(np.array([0.01]), 0.2) == 0.01
    assert benjamini_hochberg(np.zeros(0), 0.2) == 0.0


@given(scores_of_every_kind(), scores_of_every_kind(), st.floats(0.0, 0.99), st.integers(1, 64))
def test_the_conformal_threshold_flags_what_its_p_values_do(
    held_out: Any, judged: Any, highest_p: float, window: int
) -> None:
    """The file says ``score > threshold``, and that must mean ``p <= highest_p``."""
    table = table_of(held_out, window)
    threshold = conformal_threshold(table, highest_p, judged.max())
    flagged = p_values(table, judged) <= highest_p
    assert (judged > threshold).tolist() == flagged.tolist()


def test_few_alarms_of_conformal_are_false() -> None:
    """One row of twenty is anomalous: of the alarms at most a tenth may be normal, on average."""
    length, q = 8, 0.1
    shares, found = [], []
    for seed in range(40):
        table = table_of(in_stretches(4000, length, seed), length)
        judged = in_stretches(2000, length, 1000 + seed)
        anomalous = np.arange(2000) < 100
        judged[anomalous] += 8.0
        flagged = p_values(table, judged) <= benjamini_hochberg(p_values(table, judged), q)
        shares.append((flagged & ~anomalous).sum() / max(flagged.sum(), 1))
        found.append(flagged[anomalous].mean())
    assert np.mean(found) > 0.9
    assert np.mean(shares) <= q


def test_conformal_seldom_alarms_on_a_normal_file() -> None:
    """Where nothing is anomalous every alarm is false: at most one file in ten may have any, though
    neighbouring rows are high together."""
    length, q = 8, 0.1
    any_alarm = [
        benjamini_hochberg(
            p_values(
                table_of(in_stretches(2000, length, seed), length),
                in_stretches(2000, length, 1000 + seed),
            ),
            q,
        )
        > 0.0
        for seed in range(100)
    ]
    assert np.mean(any_alarm) <= q
