"""Baselines are what a detector must beat: they must be right, or beating them means nothing."""

import numpy as np
import pytest

from aster_cli.errors import DataError
from aster_cli.evaluation.baselines import BASELINES, Baseline, KnnBaseline, PcaBaseline

NAMES = sorted(BASELINES)
INFORMED = [name for name in NAMES if name != "random"]


def waves(n_rows: int, seed: int = 0) -> np.ndarray:
    """Return four sensors that follow two hidden signals, with a little noise."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(n_rows, 2))
    mixed = hidden @ np.array([[1.0, 0.5, -1.0, 0.2], [0.1, 1.0, 0.4, -0.8]])
    return np.asarray(mixed + 0.05 * rng.normal(size=mixed.shape), dtype=np.float32)


def fitted(name: str, seed: int = 0) -> Baseline:
    """Return a baseline that has seen two normal segments."""
    baseline = BASELINES[name](seed)
    baseline.fit([waves(200, 1), waves(150, 2)])
    return baseline


@pytest.mark.parametrize("name", NAMES)
def test_one_score_per_row(name: str) -> None:
    """Scores are joined to rows by position, for segments of any length."""
    segments = [waves(60, 3), waves(25, 4), waves(1, 5), waves(0, 6)]
    scores = fitted(name).score(segments)
    assert [score.shape for score in scores] == [(60,), (25,), (1,), (0,)]
    assert {score.dtype for score in scores} == {np.dtype(np.float64)}
    assert np.isfinite(np.concatenate(scores[:2])).all()


@pytest.mark.parametrize("name", NAMES)
def test_same_seed_same_scores(name: str) -> None:
    """A comparison that cannot be repeated is no comparison."""
    segments = [waves(60, 3)]
    first, second = fitted(name), fitted(name)
    assert np.array_equal(first.score(segments)[0], second.score(segments)[0])
    assert np.array_equal(first.score(segments)[0], first.score(segments)[0])


@pytest.mark.parametrize("name", ["random", "iforest"])
def test_another_seed_gives_other_scores(name: str) -> None:
    """The seed must reach the generator, or several seeds measure one."""
    segments = [waves(60, 3)]
    assert not np.array_equal(
        fitted(name, 0).score(segments)[0], fitted(name, 1).score(segments)[0]
    )


@pytest.mark.parametrize("name", INFORMED)
def test_a_broken_row_scores_highest(name: str) -> None:
    """Higher is worse, for every baseline, or the metrics would read it upside down."""
    segment = waves(60, 3)
    segment[30] = [5.0, -5.0, 5.0, 5.0]
    scores = fitted(name).score([segment])[0]
    assert abs(int(np.argmax(scores)) - 30) < (20 if name == "knn" else 1)
    assert scores[30] > np.median(scores)


@pytest.mark.parametrize("name", ["knn", "mahalanobis", "pca", "iforest"])
def test_segments_do_not_see_each_other(name: str) -> None:
    """Rows across a gap are not consecutive; scoring segments together changes nothing."""
    baseline, left, right = fitted(name), waves(40, 3), waves(50, 4)
    together = baseline.score([left, right])
    assert together[0] == pytest.approx(baseline.score([left])[0], rel=1e-6)
    assert together[1] == pytest.approx(baseline.score([right])[0], rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_constant_sensors_are_survived(name: str) -> None:
    """Logs hold sensors that never move; the peers must not divide by their spread."""
    segment = np.concatenate([waves(100), np.ones((100, 2), dtype=np.float32)], axis=1)
    baseline = BASELINES[name](0)
    baseline.fit([segment])
    assert np.isfinite(baseline.score([segment])[0]).all()


@pytest.mark.parametrize("name", INFORMED)
def test_too_little_training_is_an_error(name: str) -> None:
    """Better a sentence than a baseline of zeros."""
    with pytest.raises(DataError, match="training"):
        BASELINES[name](0).fit([waves(1)])


@pytest.mark.parametrize("name", INFORMED)
def test_scoring_before_fitting_is_an_error(name: str) -> None:
    """Nothing has a distance to nothing."""
    with pytest.raises(RuntimeError, match="fitted"):
        BASELINES[name](0).score([waves(30)])


def test_mahalanobis_knows_the_correlation() -> None:
    """Two sensors that always agree: disagreeing is worse than both being far out together."""
    common = np.random.default_rng(0).normal(size=(500, 1))
    noise = 0.1 * np.random.default_rng(1).normal(size=(500, 2))
    baseline = BASELINES["mahalanobis"](0)
    baseline.fit([(common + noise).astype(np.float32)])
    agree, disagree = baseline.score([np.array([[2.0, 2.0], [1.0, -1.0]], dtype=np.float32)])[0]
    assert disagree > 2 * agree


def test_pca_error_by_pencil() -> None:
    """Training on a line through the origin: the error is the distance from that line, squared."""
    steps = np.linspace(-1.0, 1.0, 50)
    baseline = PcaBaseline()
    baseline.fit([np.column_stack([steps, steps]).astype(np.float32)])
    scores = baseline.score([np.array([[3.0, 3.0], [1.0, -1.0]], dtype=np.float32)])[0]
    # The second row lies sqrt(2) off the line: squared 2, over two sensors 1.
    assert scores == pytest.approx([0.0, 1.0], abs=1e-6)


def test_pca_of_one_sensor_is_not_rounding_noise() -> None:
    """Keeping the only direction would leave errors of 1e-16 to be ranked."""
    baseline = PcaBaseline()
    baseline.fit([np.array([[-1.0], [1.0]], dtype=np.float32)])
    assert baseline.score([np.array([[0.0], [3.0]], dtype=np.float32)])[0] == pytest.approx(
        [0.0, 9.0]
    )


def test_knn_by_pencil() -> None:
    """Windows of two rows, one neighbour: row scores are means over the covering windows."""
    baseline = KnnBaseline(window_size=2, k=1)
    baseline.fit([np.zeros((3, 1), dtype=np.float32)])
    scores = baseline.score([np.array([[0.0], [0.0], [3.0], [4.0]], dtype=np.float32)])[0]
    # The three windows lie 0, 3 and 5 from the zero window.
    assert scores == pytest.approx([0.0, 1.5, 4.0, 5.0])


def test_knn_equals_brute_force() -> None:
    """Exact means exact: no index, no approximation, batches invisible."""
    train, test = waves(60, 1), waves(40, 2)
    baseline = KnnBaseline(window_size=6, k=3)
    baseline.fit([train])
    stored = np.stack([train[i : i + 6] for i in range(55)]).reshape(55, -1).astype(np.float64)
    asked = np.stack([test[i : i + 6] for i in range(35)]).reshape(35, -1).astype(np.float64)
    # Time and sensor may be flattened either way: the distance is the same.
    distances = np.linalg.norm(asked[:, None] - stored[None, :], axis=2)
    windows = np.sort(distances, axis=1)[:, :3].mean(axis=1)
    expected = [windows[max(0, row - 5) : row + 1].mean() for row in range(40)]
    assert baseline.score([test])[0] == pytest.approx(expected, rel=1e-5)


def test_knn_gives_short_segments_no_score() -> None:
    """A segment without a whole window is unscored, as for the detector itself."""
    scores = fitted("knn").score([waves(19), waves(20)])
    assert np.isnan(scores[0]).all()
    assert np.isfinite(scores[1]).all()


def test_knn_keeps_windows_from_all_segments() -> None:
    """The cap on stored windows must thin the whole log, not cut its end off."""
    early, late = waves(400, 1), waves(400, 2) + np.float32(50.0)
    baseline = KnnBaseline(max_windows=50)
    baseline.fit([early, late])
    scores = baseline.score([early, late, waves(60, 3) + np.float32(25.0)])
    assert max(scores[0].max(), scores[1].max()) < scores[2].min()
