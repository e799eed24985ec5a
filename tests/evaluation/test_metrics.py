"""Metrics decide which detector is called better: invariants first, then pencil cases."""

import subprocess
import sys
from dataclasses import FrozenInstanceError, asdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aster_cli.errors import DataError
from aster_cli.evaluation.metrics import Metrics, evaluate

RANK_METRICS = ("auc_roc", "auc_pr", "vus_roc", "vus_pr", "f1_oracle", "affiliation_f1_oracle")
ROWS = st.lists(
    st.tuples(st.booleans(), st.integers(-8, 8), st.integers(0, 2)), min_size=4, max_size=60
)


def marks(text: str) -> np.ndarray:
    """Read rows from a drawing: # is a marked row."""
    return np.array([mark == "#" for mark in text], dtype=np.int64)


def drawn(labels: str, flags: str, **options: object) -> Metrics:
    """Evaluate two drawings, flags at threshold 0.5."""
    scores = marks(flags).astype(np.float64)
    return evaluate(marks(labels), scores, threshold=0.5, **options)  # type: ignore[arg-type]


def columns(rows: list[tuple[bool, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn drawn rows into labels, scores and groups, with both classes present."""
    labels = np.array([label for label, _, _ in rows], dtype=np.int64)
    labels[:2] = 0, 1
    scores = np.array([score for _, score, _ in rows], dtype=np.float64)
    return labels, scores, np.array([group for _, _, group in rows])


def random_log(n_rows: int = 4000, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return labels with events of 20 rows, 10 % of all, and scores that know nothing."""
    labels = (np.arange(n_rows) % 200 < 20).astype(np.int64)
    return labels, np.random.default_rng(seed).random(n_rows)


def test_perfect_scores_reach_one() -> None:
    """A metric that the perfect detector does not top cannot rank detectors."""
    found = drawn("..###.....##..", "..###.....##..", vus_buffer=0, point_adjusted=True)
    for name, value in found.to_dict().items():
        if name[0].isupper():
            assert value == pytest.approx(0.0 if name == "False-Alarm-Rate" else 1.0), name


def test_random_scores_reach_the_base_rate() -> None:
    """Knowing nothing must look like knowing nothing: 0.5 for ROC, the base rate for PR."""
    labels, scores = random_log(20_000)
    found = evaluate(labels, scores)
    assert found.auc_roc == pytest.approx(0.5, abs=0.03)
    assert found.auc_pr == pytest.approx(0.1, abs=0.02)


def test_point_adjustment_inflates_random_scores() -> None:
    """This is why PA-F1 never stands alone: noise gets a number to be proud of."""
    labels, scores = random_log()
    found = evaluate(labels, scores, threshold=0.9, point_adjusted=True)
    assert found.f1 is not None
    assert found.pa_f1_inflated is not None
    assert found.f1 < 0.2
    assert found.pa_f1_inflated > 0.6


@settings(deadline=None)
@given(rows=ROWS, threshold=st.integers(-8, 8))
def test_every_metric_is_a_share(rows: list[tuple[bool, int, int]], threshold: int) -> None:
    """No NaN, nothing outside 0 to 1, PA-F1 never below F1, oracle never below fixed."""
    labels, scores, groups = columns(rows)
    found = evaluate(labels, scores, threshold=threshold, groups=groups, point_adjusted=True)
    for name, value in found.to_dict().items():
        if name[0].isupper() and value is not None:
            assert 0.0 <= value <= 1.0 + 1e-12, name
    assert found.f1 is not None
    assert found.pa_f1_inflated is not None
    assert found.f1_oracle is not None
    assert found.pa_f1_inflated >= found.f1
    assert found.f1_oracle >= found.f1


@settings(deadline=None)
@given(rows=ROWS)
def test_rank_metrics_see_the_order_only(rows: list[tuple[bool, int, int]]) -> None:
    """Calibrating scores is monotone, so it must not look like a better detector."""
    labels, scores, groups = columns(rows)
    plain = evaluate(labels, scores, groups=groups)
    bent = evaluate(labels, np.exp(scores) - 5.0, groups=groups)
    for name in RANK_METRICS:
        assert getattr(plain, name) == pytest.approx(getattr(bent, name), abs=1e-12), name


@settings(deadline=None)
@given(rows=ROWS, threshold=st.integers(-8, 8), unscored=st.sets(st.integers(2, 59)))
def test_unscored_rows_never_count(
    rows: list[tuple[bool, int, int]], threshold: int, unscored: set[int]
) -> None:
    """A row without a score is neither a hit nor a miss: deleting it changes nothing."""
    labels, scores, groups = columns(rows)
    groups[:2] = 0
    is_kept = np.array([row not in unscored for row in range(len(rows))])
    with_holes = evaluate(
        labels, np.where(is_kept, scores, np.nan), threshold=threshold, groups=groups
    )
    deleted = evaluate(
        labels[is_kept], scores[is_kept], threshold=threshold, groups=groups[is_kept]
    )
    assert with_holes.n_unscored == int((~is_kept).sum())
    assert asdict(with_holes) | {"n_unscored": 0} == asdict(deleted)


@settings(deadline=None)
@given(rows=ROWS, threshold=st.integers(-8, 8))
def test_machines_may_come_interleaved(rows: list[tuple[bool, int, int]], threshold: int) -> None:
    """Scores files run in order of time, machine by machine or mixed: same rows, same metrics."""
    labels, scores, groups = columns(rows)
    order = np.argsort(groups, kind="stable")
    mixed = evaluate(labels, scores, threshold=threshold, groups=groups)
    sorted_ = evaluate(labels[order], scores[order], threshold=threshold, groups=groups[order])
    assert asdict(mixed) == asdict(sorted_)


@settings(deadline=None)
@given(rows=ROWS)
def test_oracle_threshold_gives_the_oracle_f1(rows: list[tuple[bool, int, int]]) -> None:
    """The reported threshold must reproduce the reported F1 under the rule score > threshold."""
    labels, scores, _ = columns(rows)
    found = evaluate(labels, scores)
    again = evaluate(labels, scores, threshold=found.oracle_threshold)
    assert again.f1 == found.f1_oracle
    best = max(evaluate(labels, scores, threshold=cut).f1 or 0.0 for cut in scores - 0.5)
    assert found.f1_oracle == pytest.approx(best)


def test_constant_scores_know_nothing() -> None:
    """A dead detector must neither crash the evaluation nor shine in it."""
    labels, scores = random_log()
    found = evaluate(labels, np.zeros_like(scores), threshold=0.0)
    assert found.auc_roc == pytest.approx(0.5)
    assert found.auc_pr == pytest.approx(0.1)
    assert found.f1 == found.event_f1 == found.affiliation_f1 == 0.0
    assert found.precision is None
    assert found.event_precision is None
    assert found.false_alarm_rate == 0.0


@pytest.mark.parametrize("label", [0, 1])
def test_one_class_is_undefined(label: int) -> None:
    """A log without anomalies has no AUC: neither 0, nor 1, nor NaN may be averaged in."""
    found = evaluate(np.full(5, label), np.arange(5.0), threshold=2.5, point_adjusted=True)
    named = found.to_dict()
    assert "PA-F1 (inflated)" not in named
    for name in ("AUC-ROC", "AUC-PR", "VUS-ROC", "VUS-PR", "Standard-F1 (oracle)"):
        assert named[name] is None
    for name in ("Standard-F1 (fixed)", "Event-F1", "Affiliation-F1", "Affiliation-F1 (oracle)"):
        assert named[name] is None
    assert found.false_alarm_rate == (None if label else pytest.approx(0.4))
    assert found.event_recall == (1.0 if label else None)


def test_no_scored_row_is_undefined() -> None:
    """A log shorter than one window has rows but no scores; that is no reason to fail."""
    found = evaluate(np.array([0, 1, 1]), np.full(3, np.nan), threshold=1.0)
    assert (found.n_rows, found.n_unscored, found.n_events, found.n_machines) == (0, 3, 0, 0)
    assert found.auc_roc is None
    assert found.false_alarm_rate is None


def test_without_a_threshold_nothing_is_flagged_or_guessed() -> None:
    """The fixed threshold is the caller's; none may be invented from the labels."""
    found = evaluate(*random_log())
    assert found.auc_roc is not None
    assert found.f1_oracle is not None
    for name in ("f1", "precision", "recall", "event_f1", "affiliation_f1", "false_alarm_rate"):
        assert getattr(found, name) is None


def test_event_metrics_by_pencil() -> None:
    """Three events, two hit; four predicted events, of which three overlap a label event."""
    found = drawn("..####...##....##....", "..#.#..#..##.........")
    assert found.n_events == 3
    assert found.event_recall == pytest.approx(2 / 3)
    assert found.event_precision == pytest.approx(3 / 4)
    assert found.event_f1 == pytest.approx(2 * (2 / 3) * (3 / 4) / (2 / 3 + 3 / 4))
    assert found.recall == pytest.approx(3 / 8)
    assert found.precision == pytest.approx(3 / 5)
    assert found.f1 == pytest.approx(2 * 3 / (8 + 5))
    assert found.false_alarm_rate == pytest.approx(2 / 13)


def test_point_adjusted_f1_by_pencil() -> None:
    """One row found counts for its whole event; false alarms stay what they are."""
    found = drawn("..####...##....", "...#....#......", point_adjusted=True)
    assert found.pa_f1_inflated == pytest.approx(2 * 4 / (6 + 5))


def test_vus_buffer_is_the_median_event() -> None:
    """The default follows the authors' advice, and the caller can set another."""
    labels = "#..###....#####.." + "##..."
    assert drawn(labels, labels).vus_buffer == 2
    assert drawn(labels, labels, vus_buffer=7).vus_buffer == 7


def test_no_metric_crosses_a_machine_boundary() -> None:
    """Side by side in memory, machines 1 and 2 would share one event and one alert."""
    labels, flags = "...##" + "##...", "....#" + "....#"
    groups = np.repeat([1, 2], 5)
    joined, split = drawn(labels, flags), drawn(labels, flags, groups=groups, point_adjusted=True)
    assert (joined.n_events, joined.event_recall) == (1, 1.0)
    assert (split.n_events, split.event_recall) == (2, 0.5)
    assert split.n_machines == 2
    assert split.pa_f1_inflated == pytest.approx(2 * 2 / (4 + 3))
    assert split.vus_buffer == 2
    predicted = drawn("#...." + ".....", "....#" + "#....", groups=groups)
    assert predicted.event_precision == 0.0
    assert predicted.affiliation_f1 is not None
    # The alert on machine 2 has no event to be near to; only the one on machine 1 counts.
    alone = drawn("#....", "....#")
    assert predicted.affiliation_f1 == pytest.approx(alone.affiliation_f1)


def test_machines_may_have_their_own_threshold() -> None:
    """Calibration is by machine, so the fixed threshold is a column, not a number."""
    labels, scores = np.array([0, 1, 0, 1]), np.array([1.0, 2.0, 10.0, 20.0])
    found = evaluate(
        labels, scores, threshold=np.array([1.5, 1.5, 15.0, 15.0]), groups=np.array([0, 0, 1, 1])
    )
    assert found.f1 == 1.0


def test_flagged_means_above_the_threshold() -> None:
    """On the threshold is normal, as in the scores file."""
    found = evaluate(np.array([0, 1, 1]), np.array([0.0, 1.0, 2.0]), threshold=1.0)
    assert found.recall == 0.5


def test_names_say_fixed_oracle_and_inflated() -> None:
    """A table reader must see which number no user can reach."""
    named = drawn("..##..", "..##..", point_adjusted=True).to_dict()
    assert [name for name in named if "F1" in name] == [
        "Standard-F1 (fixed)",
        "Standard-F1 (oracle)",
        "Event-F1",
        "Affiliation-F1",
        "Affiliation-F1 (oracle)",
        "PA-F1 (inflated)",
    ]
    assert not any("PA" in name for name in drawn("..##..", "..##..").to_dict())


def test_metrics_are_frozen() -> None:
    """Numbers that are reported are not edited afterwards."""
    with pytest.raises(FrozenInstanceError):
        drawn(".#", ".#").auc_roc = 1.0  # type: ignore[misc]


@pytest.mark.parametrize("labels", [[0, 2], [0, -1], [0.0, np.nan], [0.5, 1.0]])
def test_other_labels_are_refused(labels: list[float]) -> None:
    """A column of classes or of missing labels is not a verdict; the row is named."""
    with pytest.raises(DataError, match="neither 0 nor 1") as caught:
        evaluate(np.array(labels), np.zeros(2))
    assert caught.value.where in {"label of row 0", "label of row 1"}
    assert caught.value.hint


@pytest.mark.parametrize("dtype", [np.bool_, np.int8, np.int64, np.float64])
def test_labels_of_any_dtype(dtype: type) -> None:
    """CSV, Parquet and NumPy store the same labels differently."""
    assert evaluate(np.array([0, 1, 0], dtype=dtype), np.array([0.0, 1.0, 0.5])).auc_roc == 1.0


def test_infinite_scores_are_refused() -> None:
    """Infinity is a broken score, not a very certain one."""
    with pytest.raises(DataError, match="infinite"):
        evaluate(np.array([0, 1]), np.array([0.0, np.inf]))


@pytest.mark.parametrize(
    "options",
    [
        {"labels": np.zeros(3)},
        {"groups": np.zeros(3, dtype=np.int64)},
        {"groups": np.zeros(2)},
        {"threshold": np.zeros(3)},
        {"threshold": np.nan},
        {"vus_buffer": -1},
        {"vus_thresholds": 1},
        {"scores": np.zeros((2, 1))},
    ],
)
def test_bad_arguments_are_refused(options: dict[str, object]) -> None:
    """Arrays that do not fit together would be compared row by wrong row."""
    arguments = {"labels": np.array([0, 1]), "scores": np.zeros(2)} | options
    with pytest.raises(ValueError, match=r"shape|dimensions|integers|NaN|below"):
        evaluate(**arguments)  # type: ignore[arg-type]


def test_importing_is_light() -> None:
    """Every command's start would pay for scikit-learn, though only `eval` uses it."""
    code = (
        "import sys, aster_cli.evaluation.metrics, aster_cli.evaluation.baselines;"
        "sys.exit('sklearn' in sys.modules or 'torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
