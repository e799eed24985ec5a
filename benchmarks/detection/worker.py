"""One process: a method trained once, and every log that shares the training scored and judged.

Its standard input is a `Task` in JSON. It has a process of its own so that its peak memory is its
own, and so that a time limit can end it.
"""

import os
import resource
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import msgspec
import polars as pl

from aster_cli.config import ColumnConfig, TimeConfig
from aster_cli.evaluation.comparison import Truth, truth_of
from aster_cli.logs import open_log
from benchmarks.detection.contract import Method, RowScores
from benchmarks.detection.entities import Entity
from benchmarks.detection.methods import ALL_METHODS
from benchmarks.detection.results import METRICS, Result, write_result

LIBRARIES = ("aster-cli", "numpy", "polars", "pyod", "scikit-learn", "torch", "transformers")


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A training and the logs to score with it."""

    method: str
    seed: int
    threads: int
    entities: tuple[Entity, ...]  # their training logs are identical
    results: str  # the folder

    def blank(self, entity: Entity, code: str) -> Result:
        """The entity's result, but for its figures."""
        return Result(
            method=self.method,
            dataset=entity.dataset,
            entity=entity.name,
            seed=self.seed,
            core=entity.core,
            code=code,
            versions=library_versions(),
            cpu_count=os.cpu_count() or 1,
            threads=self.threads,
            trained_for=tuple(entity.key for entity in self.entities),
        )


def perform(task: Task, method: Method, code: str) -> None:
    """Train, score every log, and only then judge: judging must not count as the method's memory."""
    baseline = peak_memory()
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log.parquet"
        _copy_without_label(task.entities[0].train, log)
        start = time.perf_counter()
        method.fit(log)
        train_seconds = time.perf_counter() - start
        scored = []
        for entity in task.entities:
            _copy_without_label(entity.test, log)
            start = time.perf_counter()
            scores = method.score(log)
            seconds, memory = time.perf_counter() - start, peak_memory()
            parts = {part: RowScores(values, None) for part, values in method.parts(log).items()}
            scored.append((entity, scores, parts, seconds, memory))
    for entity, scores, parts, seconds, memory in scored:
        truth = _truth(entity)
        blank = msgspec.structs.replace(
            task.blank(entity, code),
            train_seconds=round(train_seconds, 2),
            score_seconds=round(seconds, 2),
            peak_memory_mb=round(memory, 1),
            baseline_memory_mb=round(baseline, 1),
        )
        for part, own in parts.items():
            alone = msgspec.structs.replace(blank, method=f"{task.method}-{part}-alone")
            write_result(Path(task.results), _judged(alone, truth, own))
        write_result(Path(task.results), _judged(blank, truth, scores))


def peak_memory() -> float:
    """The most memory that was ever resident, in MB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if sys.platform == "darwin" else 1e3)  # bytes there, kilobytes elsewhere


def library_versions() -> dict[str, str]:
    """The libraries that are installed, and Python."""
    found = {"python": ".".join(map(str, sys.version_info[:3]))}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _copy_without_label(log: Path, target: Path) -> None:
    pl.read_parquet(log).drop(ColumnConfig().label_col, strict=False).write_parquet(target)


def _truth(entity: Entity) -> Truth:
    with open_log([str(entity.test)], ColumnConfig(), TimeConfig()) as log:
        return truth_of(log)


def _judged(result: Result, truth: Truth, scores: RowScores) -> Result:
    metrics = truth.judge(scores.values, scores.threshold)
    named = metrics.to_dict()
    return msgspec.structs.replace(
        result,
        metrics={name: _rounded(named[name], 6) for name in METRICS},
        unscored_rows=metrics.n_unscored,
    )


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None else round(value, digits)


if __name__ == "__main__":
    TASK = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    METHOD = ALL_METHODS[TASK.method]
    CODE = METHOD.code_hash()  # now, for the code is about to be loaded
    perform(TASK, METHOD.make(TASK.seed), CODE)
