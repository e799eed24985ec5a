"""Many machines on many workers: Ray runs what else runs in one process, with the same results.

`RAY_ADDRESS` names the cluster; without it there is one of this machine's cores, for as long as it is
needed. Workers need the logs and the model under the names that they have here, and a machine's
rows stay on one worker. A worker that is lost costs time only: what it was at is done again.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout, suppress
from dataclasses import dataclass
from functools import lru_cache, reduce
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import polars as pl
import torch
from numpy.typing import NDArray

from aster_cli.checkpoint import PartialTraining
from aster_cli.config import AlertRule
from aster_cli.detector import Detector
from aster_cli.errors import AsterError, ModelDirectoryError, StorageError, UsageError
from aster_cli.events import with_similar
from aster_cli.fitting import TrainingLog
from aster_cli.logs import ROW, Log, LogShare, share_out
from aster_cli.per_id import Left, MachineTraining, OnMachine
from aster_cli.results import MachineId, Series
from aster_cli.scoring import ScoreSummary, require_values
from aster_cli.timing import TimeLimit

SHARES_PER_WORKER = 4
"""Shares that a log is cut into, so that a worker with small ones can go on with others."""

RETRIES = 3
"""How often a task is done again whose worker is lost."""


@dataclass(frozen=True, slots=True)
class _Ended:
    """What a share came to, beside its tables."""

    summary: ScoreSummary
    newest: dict[MachineId, int | float]
    notes: list[str]
    valued: NDArray[np.bool_]


class FleetScorer:
    """Scores a log as `LogScorer` does, its machines shared out among the workers of a cluster.

    Args:
        log: What is scored; its files have to be where workers find them.
        model: The model directory, the same.
        device: What to score on; with ``cuda`` every share gets a GPU.
        rule: When a score becomes an alarm.
    """

    def __init__(self, log: Log, model: Path, device: str, rule: AlertRule) -> None:
        if any(source.temporary for source in log.sources):
            raise UsageError(
                "cannot be read by other workers",
                where=log.sources[0].display_name,
                hint="save it to a file",
            )
        self._log, self._model, self._device, self._rule = log, model.resolve(), device, rule
        self._detector = Detector.load(model)
        self._ended: dict[int, _Ended] = {}
        self._said = ""
        self.summary = ScoreSummary()

    @property
    def newest(self) -> dict[MachineId, int | float]:
        """The clock of every machine's newest row."""
        return reduce(dict.__or__, (share.newest for share in self._shares()), {})

    def notes(self) -> list[str]:
        """Say what was not as when the model was calibrated; all is known when tables have ended."""
        notes = [note for share in self._shares() for note in share.notes]
        said = [f"Ray says: {line}" for line in self._said.splitlines() if line.startswith("(")]
        return list(dict.fromkeys(notes + said))

    def tables(self) -> Iterator[pl.DataFrame]:
        """Yield score rows in the input's order; `summary` is complete when they have ended.

        Raises:
            DataError: At the end of the log: a sensor has had no value in any row.
            StorageError: Workers are lost again and again.
        """
        made = self._detector.checkpoint
        threads = min(made.scoring.threads, os.cpu_count() or 1)
        with _cluster() as (ray, said):
            workers = max(int(ray.cluster_resources().get("CPU", 1)) // threads, 1)
            task = ray.remote(_score).options(
                num_returns="streaming",
                num_cpus=threads,
                num_gpus=1 if self._device.startswith("cuda") else 0,
                max_retries=RETRIES,
            )
            asked = (Path.cwd(), self._model, self._detector.model_id, self._device, self._rule)
            streams = [
                (first_row, self._stream(number, ray, task.remote(share, *asked)))
                for number, (first_row, share) in enumerate(
                    share_out(self._log, SHARES_PER_WORKER * workers)
                )
            ]
            yield from merged(streams)
            self._said = said.getvalue()
        valued = np.any([share.valued for share in self._shares()], axis=0)
        require_values(self._detector.sensors, valued, self._log.name)
        for share in self._shares():
            self._add(share.summary)
        self.summary.events = with_similar(self.summary.events)

    def _shares(self) -> list[_Ended]:
        return [self._ended[number] for number in sorted(self._ended)]

    def _add(self, part: ScoreSummary) -> None:
        whole = self.summary
        for status, rows in part.rows.items():
            whole.rows[status] = whole.rows.get(status, 0) + rows
        whole.anomalies += part.anomalies
        whole.unknown_machines += part.unknown_machines
        whole.events += part.events
        whole.findings += part.findings
        whole.distances += part.distances

    def _stream(self, number: int, ray: ModuleType, results: Any) -> Iterator[pl.DataFrame]:
        """The tables of a share; what it came to is kept."""
        for reference in results:
            with _plainly(ray):
                found = ray.get(reference)
            if isinstance(found, _Ended):
                self._ended[number] = found
            else:
                yield found


def merged(streams: Sequence[tuple[int, Iterator[pl.DataFrame]]]) -> Iterator[pl.DataFrame]:
    """Join tables with the key `ROW` in its order, none of which is asked for before it is due.

    Args:
        streams: Of each, rising, the first row that it has, and its tables, whose rows rise.
    """
    asleep, awake = (
        list(reversed(streams)),
        dict[int, tuple[pl.DataFrame, Iterator[pl.DataFrame]]](),
    )
    while asleep or awake:
        ends = [head[ROW][-1] for head, _ in awake.values()]
        if asleep and (not ends or asleep[-1][0] <= min(ends)):
            first_row, tables = asleep.pop()
            head = next(tables, None)
            if head is not None:
                awake[first_row] = (head, tables)
            continue
        horizon, ready = min(ends), []
        for first_row, (head, tables) in list(awake.items()):
            due = int(head[ROW].search_sorted(horizon, side="right"))
            ready.append(head[:due])
            rest = head[due:] if due < len(head) else next(tables, None)
            if rest is None:
                del awake[first_row]
            else:
                awake[first_row] = (rest, tables)
        yield pl.concat(ready).sort(ROW).drop(ROW)


def train_on_cluster(
    trainings: list[MachineTraining], on_machine: OnMachine, limit: TimeLimit
) -> Iterator[Left | None]:
    """Run trainings of single machines on the workers of a cluster; see `aster_cli.per_id.Trainings`.

    Of the limit each gets as much as if those that run together were one.

    Raises:
        StorageError: Workers are lost again and again, or a detector cannot be written.
    """
    threads = torch.get_num_threads()
    outcomes: dict[int, Left | None] = {}
    with _cluster() as (ray, _):
        workers = max(int(ray.cluster_resources().get("CPU", 1)) // threads, 1)
        on_gpu = trainings[0].log.config.training.device.startswith("cuda")
        task = ray.remote(_train).options(
            num_cpus=threads, num_gpus=1 if on_gpu else 0, max_retries=RETRIES
        )
        log = ray.put(trainings[0].log)  # once for all, with the language model
        running: dict[Any, int] = {}
        for number, one in enumerate(trainings):
            if len(running) == workers:
                _collect(ray, running, outcomes)
            on_machine(one.series.machine, number + 1, len(trainings))
            seconds = limit.part(min(workers / (len(trainings) - number), 1.0)).left
            asked = (Path.cwd(), one.series, log, one.own, seconds, threads)
            running[task.remote(*asked)] = number
        while running:
            _collect(ray, running, outcomes)
    yield from (outcomes[number] for number in range(len(trainings)))


def _collect(ray: ModuleType, running: dict[Any, int], outcomes: dict[int, Left | None]) -> None:
    """Wait for one of the running trainings to end."""
    (done,), _ = ray.wait(list(running))
    with _plainly(ray):
        outcomes[running.pop(done)] = ray.get(done)


def _score(
    share: LogShare, folder: Path, model: Path, model_id: str, device: str, rule: AlertRule
) -> Iterator[pl.DataFrame | _Ended]:
    """On a worker: the share's tables, and at last what it came to."""
    _go_to(folder)
    detector = _loaded(model)
    if detector.model_id != model_id:
        raise ModelDirectoryError("is another one where a worker runs", where=str(model))
    scorer = detector.scorer(share, device, rule=rule)
    yield from scorer.tables()
    yield _Ended(scorer.summary, scorer.newest, scorer.notes(), scorer.valued)


@lru_cache(maxsize=1)
def _loaded(model: Path) -> Detector:
    return Detector.load(model)


def _train(
    folder: Path,
    series: Series,
    log: TrainingLog,
    own: PartialTraining,
    seconds: float,
    threads: int,
) -> Left | None:
    """On a worker: a machine's detector."""
    _go_to(folder)
    torch.set_num_threads(threads)
    return MachineTraining(series, log, own).run(TimeLimit(seconds))


def _go_to(folder: Path) -> None:
    """Stand where the caller stands, so that the same names lead to the same files."""
    with suppress(OSError):  # on another machine, where only whole paths and URLs do
        os.chdir(folder)


@contextmanager
def _cluster() -> Iterator[tuple[ModuleType, StringIO]]:
    """Ray, connected for as long as it is needed, and what it says meanwhile.

    It says on standard output that a worker is lost, where scores may go.

    Raises:
        UsageError: It is not installed.
        StorageError: The cluster cannot be reached.
    """
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # it would report to its makers
    os.environ["RAY_COLOR_PREFIX"] = "0"
    try:
        import ray
    except ImportError as error:
        raise UsageError(
            "Ray is not installed", where="--engine ray", hint="pip install 'aster-cli[ray]'"
        ) from error
    is_ours = not ray.is_initialized()
    try:
        if is_ours:
            ray.init(log_to_driver=False, logging_level="ERROR", include_dashboard=False)
    except (ConnectionError, OSError, RuntimeError, ValueError) as error:
        raise StorageError(
            f"cannot be reached ({error})",
            where=f"the Ray cluster at {os.environ.get('RAY_ADDRESS', 'this machine')}",
        ) from error
    try:
        with redirect_stdout(StringIO()) as said:
            yield ray, said
    finally:
        if is_ours:
            ray.shutdown()


@contextmanager
def _plainly(ray: ModuleType) -> Iterator[None]:
    """Raise what a task has raised, without Ray's wrapping."""
    try:
        yield
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, AsterError):
            raise error.cause from None
        raise
    except ray.exceptions.RayError as error:
        raise StorageError(
            f"workers were lost {RETRIES + 1} times ({type(error).__name__})",
            where="the Ray cluster",
            hint="see its logs: memory is the usual reason",
        ) from error
