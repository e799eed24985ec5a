"""What a score means: thresholds that keep their budget, severities that keep the order."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aster_cli.calibration import (
    ENOUGH_ROWS,
    SMALLEST_SPREAD,
    Calibration,
    ReadingScale,
    ScoreTable,
    evidence,
    join_readings,
)

BUDGET = 0.005
WINDOW = 8


def normal_scores(n: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(size=n)


def held_out_scores() -> st.SearchStrategy[Any]:
    """Scores of every kind: few, many, equal, tied, far from zero."""
    value = st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1.0, 7.5])
    return st.lists(value, min_size=1, max_size=60).map(np.array)


def test_the_quantile_stands_where_rows_are_many() -> None:
    """With enough rows nothing but the user's budget decides."""
    scores = normal_scores(ENOUGH_ROWS * WINDOW)
    table = ScoreTable(scores, WINDOW, BUDGET)
    assert table.threshold == np.quantile(scores, 1.0 - BUDGET)


def test_few_rows_widen_the_margin() -> None:
    """A quantile of a handful of rows is luck; the less is known, the later the alarm."""
    quantile_like = normal_scores(8000)
    thresholds = [
        ScoreTable(quantile_like, window, BUDGET).threshold for window in (8, 16, 80, 800)
    ]
    assert thresholds == sorted(thresholds)
    assert len(set(thresholds)) == len(thresholds)


def test_the_margin_covers_what_few_rows_cannot_show() -> None:
    """Of thresholds learnt on 100 rows, far most must keep their budget on new rows; the bare
    quantile keeps it in about half of the cases."""
    new = normal_scores(20_000, seed=1)
    kept = [
        (new > ScoreTable(normal_scores(100, seed), 1, BUDGET).threshold).mean() <= BUDGET
        for seed in range(2, 102)
    ]
    assert np.mean(kept) > 0.8


@given(held_out_scores(), st.floats(1e-4, 0.49), st.integers(1, 64))
def test_the_budget_is_never_overdrawn_on_held_out_rows(
    scores: Any, budget: float, window: int
) -> None:
    """The one promise that a threshold makes, to the whole row, kept where it can be checked."""
    table = ScoreTable(scores, window, budget)
    assert math.isfinite(table.threshold)
    assert table.threshold >= np.quantile(scores, 1.0 - budget)
    assert (scores > table.threshold).sum() <= math.ceil(budget * len(scores))


@given(held_out_scores(), st.lists(st.floats(-1e9, 1e9), min_size=2, max_size=30))
@example(np.array([0.0, 1.0, 1.0, -9.69527769503704e-68]), [0.0, -2.5738134267363125e-136])
def test_severity_keeps_the_order_and_its_range(scores: Any, judged: list[float]) -> None:
    """Severity compares machines; it must never contradict the score within one."""
    severity = ScoreTable(scores, WINDOW, BUDGET).severity(np.sort(judged))
    assert (np.diff(severity) >= 0).all()
    assert severity.min() >= 0.0
    assert severity.max() <= 100.0


@given(held_out_scores())
def test_severity_is_ninety_at_the_highest_held_out_score(scores: Any) -> None:
    """Nothing seen on normal rows may reach the band that is kept for the unseen."""
    severity = ScoreTable(scores, WINDOW, BUDGET).severity(scores)
    assert severity.max() == 90.0


def test_no_two_alarms_are_equally_severe() -> None:
    """At the top, where the worst must be found, there are no ties: not in float64 up to a billion
    tail scales, nor in the float32 that is written up to a hundred thousand."""
    table = ScoreTable(normal_scores(500), WINDOW, BUDGET)
    above = table.held_out[-1] + table.tail_scale * np.geomspace(1e-3, 1e9, 100)
    severity = table.severity(above)
    assert (np.diff(severity) > 0).all()
    assert severity[0] > 90.0
    assert severity[-1] < 100.0
    written = severity[above < table.held_out[-1] + 1e5 * table.tail_scale].astype(np.float32)
    assert (np.diff(written) > 0).all()


def test_constant_scores_can_be_calibrated() -> None:
    """A log that replays itself gives them; every rise above must still be told apart."""
    table = ScoreTable(np.full(300, 2.0), WINDOW, BUDGET)
    assert table.threshold >= 2.0
    low, high = table.severity(np.array([2.5, 3.0]))
    assert 90.0 < low < high < 100.0


def test_a_reading_is_in_spreads_above_its_centre() -> None:
    """Readings in units of their own can only be summed on one scale."""
    held_out = np.arange(101.0)
    scale = ReadingScale.fit(held_out)
    assert scale.apply(np.array([50.0, 99.0, 1.0])).tolist() == pytest.approx([0.0, 1.0, -1.0])


def test_a_constant_reading_has_a_spread() -> None:
    """Otherwise its first move would divide by zero."""
    for level in (0.0, -4.0, 1e6):
        scale = ReadingScale.fit(np.full(50, level))
        assert np.isfinite(scale.apply(np.array([level, level + 1.0]))).all()


def test_scores_rise_with_the_window_and_never_fall_with_the_classifier() -> None:
    """Whichever part of the network sees something, the row gets worse, never better."""
    scales = {"classifier": ReadingScale(0.0, 1.0), "window": ReadingScale(5.0, 0.1)}
    values = np.array([-100.0, -1.0, 0.0, 0.5, 3.0, 1e9])
    steady = np.full(len(values), 2.0)
    rarer = np.geomspace(1e4, 1e-30, len(values))
    assert (np.diff(join_readings({"classifier": steady, "window": rarer}, scales)) > 0).all()
    joined = join_readings({"classifier": values, "window": steady}, scales)
    assert (np.diff(joined)[:2] == 0).all()  # below its usual level it has no say
    assert (np.diff(joined)[2:] > 0).all()


def test_the_score_formula() -> None:
    """The pencil case: a novelty of e³ is one spread above the centre, the classifier's 7 are three,
    and a tenth of log(1 + 3) is a fifth of log 2; then a classifier that sees nothing."""
    scales = {name: ReadingScale(1.0, 2.0) for name in ("classifier", "window")}
    familiar = np.exp([-6.0])
    seen = {"classifier": np.array([7.0]), "window": familiar}
    unseen = {"classifier": np.array([-9.0]), "window": familiar}
    assert join_readings(seen, scales).tolist() == pytest.approx([1.0 + 0.2 * math.log(2.0)])
    assert join_readings(unseen, scales).tolist() == pytest.approx([1.0])


def test_the_evidence_of_a_window_is_the_logarithm_of_its_novelty() -> None:
    """By hand: novelties of 1, 2 and 1/2 have familiarities of 1, 1/4 and 4. The classifier's logit
    is a logarithm of odds already."""
    readings = {"window": np.array([1.0, 0.25, 4.0]), "classifier": np.array([-2.0, 0.0, 5.0])}
    found = evidence(readings)
    assert found["window"].tolist() == pytest.approx([0.0, math.log(2.0), -math.log(2.0)])
    assert found["classifier"].tolist() == [-2.0, 0.0, 5.0]
    assert readings["window"].tolist() == [1.0, 0.25, 4.0]


def test_one_familiar_window_of_four_holds_a_row_down() -> None:
    """A row that some window knows is no anomaly, however odd its neighbours are: otherwise an
    anomaly would spread by a window to either side. Three windows of novelty 100 and one of 1."""
    novelties = np.array([100.0, 100.0, 100.0, 1.0])
    all_odd, but_one = (np.mean(own**-2.0) for own in (np.full(4, 100.0), novelties))
    odd, held = evidence({"window": np.array([all_odd, but_one])})["window"]
    assert odd == pytest.approx(math.log(100.0))
    assert 0.0 < held < math.log(2.0) < np.log(novelties).mean()


@given(st.floats(1e-6, 1e4), st.integers(1, 8))
def test_windows_of_one_mind_say_what_each_of_them_says(familiar: float, n: int) -> None:
    """How many windows cover a row depends on where it lies, and must not move its score."""
    mean = np.mean(np.full(n, familiar))
    one, several = evidence({"window": np.array([familiar, mean])})["window"]
    assert several == pytest.approx(one, abs=1e-12)


def test_unknown_machines_get_the_pooled_table() -> None:
    """A new pump must not be judged by one particular old one."""
    pooled, own = (ScoreTable(normal_scores(50), WINDOW, BUDGET) for _ in range(2))
    calibration = Calibration({}, pooled, {("a",): own})
    assert calibration.table(("a",)) is own
    assert calibration.table(("b",)) is pooled


def test_rows_all_alike_do_not_make_every_other_one_extreme() -> None:
    """The held-out end of a short log may be one window, whose rows share one reading."""
    scale = ReadingScale.fit(np.full(8, 1.3))
    assert scale.apply(np.array([1.4])).tolist() == pytest.approx([0.1 / SMALLEST_SPREAD])
