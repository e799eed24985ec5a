"""A detector's scores and those of simple peers, judged on the same rows by the same metrics."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from aster_cli.config import TimeConfig
from aster_cli.errors import DataError, UsageError
from aster_cli.evaluation.baselines import BASELINES
from aster_cli.evaluation.metrics import Metrics, evaluate
from aster_cli.logs import SCORE_DTYPES, Log, is_scores_file, read_scores
from aster_cli.logs.cells import parse_leniently
from aster_cli.logs.clock import to_instants
from aster_cli.logs.schema import listed
from aster_cli.preparation import collect, sampling_period, segments_of
from aster_cli.results import MachineId, Segment
from aster_cli.scaling import SensorScaling


@dataclass(frozen=True, slots=True)
class Truth:
    """What is known of a log's rows, in the input's order.

    Attributes:
        labels: ``(row,)`` 0 or 1.
        machines: ``(row,)`` int64, equal for rows of one machine.
        timestamps: The log's own.
        alias: ``(row,)`` the row of the sorted or merged log that stands for it; None if unsorted.
    """

    labels: NDArray[np.generic]
    machines: NDArray[np.int64]
    timestamps: pl.Series
    alias: NDArray[np.int64] | None = None

    @property
    def in_time(self) -> NDArray[np.int64]:
        """The rows in the order of time, ``(row,)``."""
        if self.alias is None:
            return np.arange(len(self.labels))
        return np.argsort(self.alias, kind="stable")

    def judge(
        self,
        scores: NDArray[np.float64],
        threshold: NDArray[np.float64] | None = None,
        *,
        point_adjusted: bool = False,
    ) -> Metrics:
        """The metrics of scores of these rows, taken in the order of time."""
        order = self.in_time
        return evaluate(
            self.labels[order],
            scores[order],
            threshold=None if threshold is None else threshold[order],
            groups=self.machines[order],
            point_adjusted=point_adjusted,
        )


def truth_of(log: Log) -> Truth:
    """Read a log's labels.

    Raises:
        DataError: The log has no label column, or one with other values than 0 and 1.
    """
    labels, machines, timestamps = [], [], []
    numbers: dict[MachineId, int] = {}
    for batch in log.batches():
        if batch.labels is None:
            raise DataError("has no label column", where=log.name, hint="name it with --label-col")
        labels.append(batch.labels)
        known = [numbers.setdefault(machine, len(numbers)) for machine in batch.machines]
        machines.append(np.array(known, dtype=np.int64)[batch.machine_codes])
        timestamps.append(batch.keys["timestamp"])
    rows = slice(None) if log.alias is None else log.alias
    stamps = pl.concat(timestamps) if log.input_keys is None else log.input_keys["timestamp"]
    return Truth(np.concatenate(labels)[rows], np.concatenate(machines)[rows], stamps, log.alias)


def scores_with_labels(paths: Sequence[str], label_col: str) -> tuple[Truth, pl.DataFrame]:
    """Read a scores file that has a label column of its own.

    Raises:
        LogFormatError: It is no scores file.
        DataError: It has no such column.
    """
    if len(paths) != 1:
        raise UsageError("several files need scores", hint="name them with --scores, or a --model")
    if not is_scores_file(paths[0]):
        raise UsageError(
            "is no scores file", where=paths[0], hint="name a --model, or its --scores"
        )
    table = read_scores(paths[0])
    if label_col not in table.columns:
        raise DataError(
            f"has no column {label_col!r}",
            where=paths[0],
            hint="give the labelled log and --scores, or name the column with --label-col",
        )
    ids = [name for name in table.columns if name not in (*SCORE_DTYPES, "timestamp", label_col)]
    machines = np.zeros(len(table), dtype=np.int64)
    if ids:
        machines = (
            table.select(pl.struct(ids).rank("dense")).to_series().to_numpy().astype(np.int64)
        )
    labels = _numbers(table[label_col], paths[0])
    return Truth(labels, machines, table["timestamp"]), table


def _numbers(labels: pl.Series, where: str) -> NDArray[np.generic]:
    """Labels as numbers; in CSV they are text."""
    if labels.dtype != pl.String:
        return labels.to_numpy()
    truths = parse_leniently(labels, pl.Boolean()).cast(pl.Float64)
    numbers = parse_leniently(labels, pl.Float64()).fill_null(truths)
    if numbers.null_count():
        row = int(numbers.is_null().arg_true()[0])
        raise DataError(
            f"label {labels[row]!r} in column {labels.name!r} is neither 0 nor 1",
            where=f"{where}, row {row + 1}",
        )
    return numbers.to_numpy()


def compare(truth: Truth, scores: pl.DataFrame, *, point_adjusted: bool = False) -> Metrics:
    """The metrics of a scores table, row for row with the labels.

    Raises:
        DataError: The table is not of these rows.
    """
    if len(scores) != len(truth.labels):
        raise DataError(
            f"has {len(scores):,} rows, and the labelled log {len(truth.labels):,}",
            where="the scores",
            hint="score this very log",
        )
    same = _comparable(scores["timestamp"]) == _comparable(truth.timestamps)
    if not same.all():
        row = int((~same).arg_true()[0])
        raise DataError(
            f"row {row + 1} is of {scores['timestamp'][row]}, "
            f"and the labelled log's of {truth.timestamps[row]}",
            where="the scores",
            hint="score this very log",
        )
    return truth.judge(
        scores["score"].to_numpy(),
        scores["threshold"].to_numpy(),
        point_adjusted=point_adjusted,
    )


def in_order_of(log: Log, scores: pl.DataFrame) -> pl.DataFrame:
    """Give every row of a log its scores, from a table that is in another order.

    Raises:
        DataError: A row has none, or machines are told apart by other columns.
    """
    keys = log.input_keys
    if keys is None:
        keys = pl.concat([batch.keys for batch in log.batches()])
    ids = [name for name in scores.columns if name not in (*SCORE_DTYPES, "timestamp")]
    if sorted(ids) != sorted(keys.columns[1:]):
        raise DataError(
            f"its machines are told apart by {listed(ids) or 'nothing'}, those of the labelled log "
            f"by {listed(keys.columns[1:]) or 'nothing'}",
            where="the scores",
            hint="name the columns with --id-col",
        )

    def instants(table: pl.DataFrame) -> pl.DataFrame:
        text = [pl.col(name).cast(pl.String).alias(f"id {name}") for name in ids]
        return table.select(_comparable(table["timestamp"]).alias("instant"), *text)

    wanted = instants(keys)
    found = wanted.join(
        pl.concat((instants(scores), scores), how="horizontal"),
        on=wanted.columns,
        how="left",
        maintain_order="left",
    ).select(scores.columns)
    if found["status"].null_count():
        row = int(found["status"].is_null().arg_true()[0])
        raise DataError(
            f"has no score of row {row + 1}, {keys['timestamp'][row]}",
            where="the scores",
            hint="score this very log",
        )
    return found


def _comparable(times: pl.Series) -> pl.Series:
    """Times that are equal where the instants are, whatever unit a file keeps them in."""
    if times.dtype in (pl.Datetime, pl.Date):
        return to_instants(times, "datetime", None)
    return times.cast(pl.String)


def baseline_scores(
    name: str, truth: Truth, normal: list[Segment], live: list[Segment], seed: int
) -> NDArray[np.float64]:
    """The scores that a simple peer, fitted on normal segments, gives to the labelled rows.

    Args:
        name: One of `BASELINES`.
        truth: The labels.
        normal: Segments to learn from.
        live: Segments of the labelled log, sorted and merged as the labels' log was.
        seed: For those that draw.

    Returns:
        ``(row,)`` NaN where a row has none.
    """
    scaling = SensorScaling.fit((segment.machine, segment.values) for segment in normal)
    peer = BASELINES[name](seed)
    peer.fit([scaling.scale(segment.values, segment.machine) for segment in normal])
    found = peer.score([scaling.scale(segment.values, segment.machine) for segment in live])
    scores = np.full(len(truth.labels), np.nan)  # a merged log has no more rows than the labels
    for segment, values in zip(live, found, strict=True):
        scores[segment.numbers] = values
    return scores if truth.alias is None else scores[truth.alias]


def random_scores(truth: Truth, seed: int) -> NDArray[np.float64]:
    """Scores that know nothing, ``(row,)``."""
    return np.random.default_rng(seed).random(len(truth.labels))


def segments(log: Log, time: TimeConfig | None = None) -> list[Segment]:
    """A log's segments.

    Args:
        log: Its rows are read.
        time: The rules for gaps and missing cells, those of a model; the defaults if None.
    """
    time = time or TimeConfig()
    series, _ = collect(log.batches())
    period = sampling_period(series, log.schema, time) * log.schema.units_per_second
    longest = time.max_gap * period
    return [s for one in series for s in segments_of(one, longest, time.missing)]
