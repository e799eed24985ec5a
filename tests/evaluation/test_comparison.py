"""Scores against labels, row for row: which rows belong together, and in which order."""

from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from aster_cli.config import ColumnConfig, TimeConfig
from aster_cli.errors import DataError, LogFormatError, UsageError
from aster_cli.evaluation.comparison import (
    Truth,
    baseline_scores,
    compare,
    random_scores,
    scores_with_labels,
    segments,
    truth_of,
)
from aster_cli.logs import SCORE_DTYPES, Log, open_log

START = datetime(2024, 3, 1)
LABELS = [0, 0, 0, 1, 1, 0, 0, 0, 1, 0]


def log_of(
    path: Path, frame: pl.DataFrame, *, sort: bool = False, ids: tuple[str, ...] = ()
) -> Log:
    frame.write_parquet(path)
    return open_log([str(path)], ColumnConfig(id_cols=ids), TimeConfig(sort=sort))


def labelled(labels: list[int] | None = None) -> pl.DataFrame:
    labels = LABELS if labels is None else labels
    times = [START + timedelta(minutes=row) for row in range(len(labels))]
    level = [float(row % 3 + 50 * label) for row, label in enumerate(labels)]
    return pl.DataFrame({"time": times, "level": level, "label": labels})


def scores_of(log: pl.DataFrame, score: list[float | None]) -> pl.DataFrame:
    """A scores table with these scores and a threshold of a half."""
    table = pl.DataFrame({"timestamp": log["time"], "score": score, "threshold": 0.5})
    empty = {name: pl.lit(None, dtype) for name, dtype in SCORE_DTYPES.items() if name not in table}
    return table.with_columns(**empty)


PERFECT: list[float | None] = [float(label) for label in LABELS]


def test_labels_are_read_off_the_log_machine_by_machine(tmp_path: Path) -> None:
    """Rows of two machines in turn are two stories, not one that jumps."""
    frame = labelled().with_columns(unit=pl.Series(["a", "b"] * 5))
    truth = truth_of(log_of(tmp_path / "log.parquet", frame, ids=("unit",)))
    assert truth.labels.tolist() == LABELS
    assert truth.machines.tolist() == [0, 1] * 5
    assert truth.timestamps.to_list() == frame["time"].to_list()


def test_a_log_without_labels_is_refused(tmp_path: Path) -> None:
    """All rows normal would be an answer to a question nobody asked."""
    log = log_of(tmp_path / "log.parquet", labelled().drop("label"))
    with pytest.raises(DataError, match="no label column"):
        truth_of(log)


def test_perfect_scores_are_perfect(tmp_path: Path) -> None:
    """The pencil's case: every metric that can be one is one."""
    truth = truth_of(log_of(tmp_path / "log.parquet", labelled()))
    found = compare(truth, scores_of(labelled(), PERFECT))
    assert (found.auc_roc, found.auc_pr, found.f1, found.event_f1) == (1.0, 1.0, 1.0, 1.0)
    assert (found.n_rows, found.n_anomalous, found.n_events) == (10, 3, 2)


def test_rows_without_a_score_are_counted_and_left_out(tmp_path: Path) -> None:
    """A detector that scores nothing hard must not look good without saying so."""
    truth = truth_of(log_of(tmp_path / "log.parquet", labelled()))
    found = compare(truth, scores_of(labelled(), [None, None, *PERFECT[2:]]))
    assert (found.n_rows, found.n_unscored) == (8, 2)


@pytest.mark.parametrize("rows", [[*range(9)], [*range(10), 9], [1, 0, *range(2, 10)]])
def test_scores_of_other_rows_are_refused(rows: list[int], tmp_path: Path) -> None:
    """One row off, and every metric is of something else."""
    truth = truth_of(log_of(tmp_path / "log.parquet", labelled()))
    with pytest.raises(DataError, match="score this very log"):
        compare(truth, scores_of(labelled(), PERFECT)[rows])


def test_times_may_have_gone_through_csv(tmp_path: Path) -> None:
    """A scores file in text has its times in another unit, and they are the same times."""
    truth = truth_of(log_of(tmp_path / "log.parquet", labelled()))
    scores = scores_of(labelled(), PERFECT)
    for dtype in (pl.Datetime("ms"), pl.Datetime("ns"), pl.Datetime("ns", "UTC")):
        assert compare(truth, scores.cast({"timestamp": dtype})) == compare(truth, scores)


def test_the_order_of_rows_in_the_file_does_not_matter(tmp_path: Path) -> None:
    """Events are runs in time: a log that had to be sorted has the events of the sorted log."""
    frame, score = labelled(), [0.1, 0.2, 0.9, 0.8, 0.3, 0.1, 0.7, 0.2, 0.4, 0.6]
    shuffle = np.random.default_rng(0).permutation(10).tolist()
    ordered = truth_of(log_of(tmp_path / "log.parquet", frame))
    expected = compare(ordered, scores_of(frame, list(score)), point_adjusted=True)
    truth = truth_of(log_of(tmp_path / "shuffled.parquet", frame[shuffle], sort=True))
    found = compare(truth, scores_of(frame, list(score))[shuffle], point_adjusted=True)
    assert truth.labels.tolist() == [LABELS[row] for row in shuffle]
    assert found == expected
    assert 0.0 < (found.event_f1 or 0.0) < 1.0


def test_a_baseline_is_judged_on_its_own_rows(tmp_path: Path) -> None:
    """In a log that had to be sorted, the peer's scores must meet the labels of their rows."""
    rng = np.random.default_rng(0)
    labels = [int(40 <= row < 44) for row in range(60)]
    frame = labelled(labels).with_columns(noise=pl.Series(rng.normal(size=60)))
    normal = segments(
        log_of(tmp_path / "normal.parquet", labelled([0] * 60).with_columns(noise=0.1))
    )
    found = []
    for rows in (list(range(60)), rng.permutation(60).tolist()):
        log = log_of(tmp_path / "log.parquet", frame[rows], sort=True)
        truth = truth_of(log)
        scores = baseline_scores("mahalanobis", truth, normal, segments(log), 0)
        found.append(truth.judge(scores))
    assert found[0] == found[1]
    assert found[0].auc_roc is not None
    assert found[0].auc_roc > 0.7


def test_random_scores_know_nothing_and_repeat(tmp_path: Path) -> None:
    """The row that shows what a metric gives for nothing must not itself be luck."""
    labels = [int(row % 10 == 0) for row in range(2000)]
    truth = truth_of(log_of(tmp_path / "log.parquet", labelled(labels)))
    scores = random_scores(truth, 0)
    assert (scores == random_scores(truth, 0)).all()
    assert (scores != random_scores(truth, 1)).any()
    found = truth.judge(scores)
    assert found.auc_roc == pytest.approx(0.5, abs=0.06)


def joined(path: Path, **columns: pl.Series) -> str:
    scores_of(labelled(), PERFECT).with_columns(**columns).write_parquet(path)
    return str(path)


@pytest.mark.parametrize("dtype", [pl.Int64, pl.Float32, pl.Boolean, pl.String])
def test_a_scores_file_may_bring_its_labels(dtype: type[pl.DataType], tmp_path: Path) -> None:
    """However a label is spelled, it is 0 or 1."""
    label = pl.Series(LABELS).cast(dtype)
    truth, scores = scores_with_labels([joined(tmp_path / "s.parquet", label=label)], "label")
    assert truth.labels.astype(float).tolist() == LABELS
    assert compare(truth, scores).auc_roc == 1.0


def test_id_columns_of_a_scores_file_tell_machines_apart(tmp_path: Path) -> None:
    """Whatever is neither a score nor a time nor the label names the machine."""
    ids = {"plant": pl.Series(["x"] * 10), "unit": pl.Series([7] * 5 + [8] * 5)}
    path = joined(tmp_path / "s.parquet", label=pl.Series(LABELS), **ids)
    truth, _ = scores_with_labels([path], "label")
    assert len(set(truth.machines[:5])) == len(set(truth.machines[5:])) == 1
    assert truth.machines[0] != truth.machines[9]


def test_what_cannot_be_compared_is_refused_by_its_name(tmp_path: Path) -> None:
    """Each misuse has its own cure."""
    path = joined(tmp_path / "s.parquet", label=pl.Series(["0"] * 9 + ["maybe"]))
    with pytest.raises(DataError, match="'maybe' in column 'label' is neither 0 nor 1"):
        scores_with_labels([path], "label")
    with pytest.raises(DataError, match="no column 'fault'"):
        scores_with_labels([path], "fault")
    with pytest.raises(UsageError, match="several files"):
        scores_with_labels([path, path], "label")
    labelled().write_parquet(tmp_path / "log.parquet")
    with pytest.raises(UsageError, match="no scores file"):
        scores_with_labels([str(tmp_path / "log.parquet")], "label")
    (tmp_path / "x.parquet").write_text("no parquet")
    with pytest.raises(LogFormatError):
        scores_with_labels([str(tmp_path / "x.parquet")], "label")


def test_labels_other_than_0_and_1_are_refused() -> None:
    """A label of 2 would count as more anomalous than anomalous."""
    times = labelled()["time"]
    truth = Truth(np.array([*LABELS[:-1], 2]), np.zeros(10, dtype=np.int64), times)
    with pytest.raises(DataError, match="neither 0 nor 1"):
        compare(truth, scores_of(labelled(), PERFECT))
