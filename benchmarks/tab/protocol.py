"""TAB's score protocol: train without labels, score every row after that, judge the scores alone.

AUC-ROC, AUC-PR and both VUS, no threshold and no point adjustment. VUS follows the paper's form,
"pvldb-2022", as TAB does; its longest buffer is the median event length, as the paper advises and
TAB's code computes before it puts 100 in its place (see :mod:`aster_cli.evaluation.vus`).
"""

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
import numpy as np

from aster_cli import DetectorConfig, __version__
from aster_cli.evaluation.metrics import Metrics, evaluate
from aster_cli.evaluation.runs import BoolArray, find_runs
from aster_cli.results import FloatArray
from benchmarks.tab.files import TabFile, read_split
from benchmarks.tab.published import published
from benchmarks.tab.results import Result


class Detection(NamedTuple):
    """The scores of a test, ``(row,)`` and NaN where a row has none, and what they took."""

    scores: FloatArray
    train_seconds: float
    score_seconds: float


Detect = Callable[[Path, Path, int], Detection]
"""Takes the training log, the log to score and the seed."""


def aster(train: Path, test: Path, seed: int, *, config: DetectorConfig | None = None) -> Detection:
    """Detect with the detector under test: its defaults, but for the seed.

    Args:
        train: The training log.
        test: The log to score.
        seed: Stands in for the configuration's own.
        config: Smaller ones are for tests.
    """
    from aster_cli import Detector  # brings torch: not before the files are found

    config = config or DetectorConfig()
    training = msgspec.structs.replace(config.training, seed=seed)
    start = time.perf_counter()
    detector = Detector.fit(train, msgspec.structs.replace(config, training=training))
    trained = time.perf_counter()
    scores = detector.score(test)["score"].to_numpy()
    return Detection(scores, trained - start, time.perf_counter() - trained)


def run(file: TabFile, seeds: Iterable[int], detect: Detect) -> Iterator[Result]:
    """Read a file once; train, score and judge with each seed.

    Raises:
        StorageError: The file cannot be read.
        DataError: It does not fit.
    """
    split = read_split(file)
    with tempfile.TemporaryDirectory() as folder:
        train, test = Path(folder, "train.parquet"), Path(folder, "test.parquet")
        split.train.write_parquet(train)
        split.test.write_parquet(test)
        for seed in seeds:
            detection = detect(train, test, seed)
            metrics = judge(split.labels, detection.scores)
            yield Result(
                file=file.name,
                seed=seed,
                sensors=split.test.width,
                train_rows=len(split.train),
                test_rows=len(split.test),
                unscored_rows=metrics.n_unscored,
                auc_roc=metrics.auc_roc,
                auc_pr=metrics.auc_pr,
                vus_roc=metrics.vus_roc,
                vus_pr=metrics.vus_pr,
                vus_buffer=metrics.vus_buffer,
                published=published(file.name),
                train_seconds=round(detection.train_seconds, 1),
                score_seconds=round(detection.score_seconds, 1),
                aster_version=__version__,
            )


def judge(labels: BoolArray, scores: FloatArray) -> Metrics:
    """Judge the scores of a test by its labels, of both classes."""
    events = find_runs(labels, np.array([0, len(labels)]))
    return evaluate(
        labels,
        scores,
        vus_buffer=int(np.median(events.lengths)),
        vus_definition="pvldb-2022",
    )
