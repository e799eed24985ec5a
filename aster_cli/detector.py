"""The detector: `fit` and `score`, the two walks through the house, each on one page.

detector = Detector.fit("normal.parquet")
scores = detector.score("live.csv")
detector.save("pumps.aster")

Logs are paths or Polars frames; see ``docs/api.md``.
"""

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import msgspec
import numpy as np
import polars as pl
import torch

from aster_cli.alerts import AlarmStream
from aster_cli.assembly import Blueprint, Trained, configured_backbone, keep
from aster_cli.attribution import SensorRanges
from aster_cli.calibrating import calibrate, open_stream, read_blocks, read_held_out
from aster_cli.calibration import (
    ENOUGH_ROWS,
    Calibration,
)
from aster_cli.checkpoint import (
    Checkpoint,
    EpochRecord,
    Manifest,
    ModelSchema,
    OnEpoch,
    PartialTraining,
    Scoring,
    TrainingRecord,
    identify,
    load_model,
    save_model,
    versions,
)
from aster_cli.config import AlertRule, DetectorConfig
from aster_cli.defaults import resolve, training_steps
from aster_cli.drift import MachineWatch
from aster_cli.errors import DataError, UsageError
from aster_cli.events import EventTracker
from aster_cli.incremental import IncrementalScorer
from aster_cli.inspection import event_table
from aster_cli.logs import Log, LogSchema, open_frame, open_log, read_incidents
from aster_cli.model.device import find_device, resolve_precision
from aster_cli.model.neighbours import NormalWindows
from aster_cli.preparation import (
    Split,
    collect,
    drop_empty_sensors,
    fingerprint,
    sampling_period,
    segments_of,
    skip_incidents,
    split_time,
    two_valued_sensors,
)
from aster_cli.reference import Reference, reference_table
from aster_cli.results import MachineId, Segment, Series, Snapshot
from aster_cli.scaling import SensorScaling
from aster_cli.scoring import BATCH_WINDOWS, LogScorer
from aster_cli.training import Schedule, train
from aster_cli.windows import TrainingWindows

Logs = str | Path | Sequence[str | Path] | pl.DataFrame | pl.LazyFrame | Log

REFIT = 0.4
"""Share of steps and of the learning rate that the second training gets."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """Windows by what they serve; scaling knows the first only."""

    train: TrainingWindows
    early_stopping: TrainingWindows
    everything: TrainingWindows


class Detector:
    """A fitted ASTER detector.

    Attributes:
        checkpoint: Everything that makes it.
        model_id: Twelve hexadecimal digits that name what decides its scores.
    """

    def __init__(self, checkpoint: Checkpoint, model_id: str) -> None:
        self.checkpoint = checkpoint
        self.model_id = model_id

    @classmethod
    def fit(
        cls,
        logs: Logs,
        config: DetectorConfig | None = None,
        *,
        exclude: str | Path | None = None,
        on_epoch: OnEpoch | None = None,
        partial: PartialTraining | None = None,
        **settings: object,
    ) -> Self:
        """Fit a detector on a mostly normal log.

        Args:
            logs: A path, several, a Polars frame, or a log already open.
            config: What the defaults do not fit.
            exclude: A table of known incidents, whose rows are skipped; see `read_incidents`.
            on_epoch: Told how training goes.
            partial: Keeps how far it is, and is held by the caller. Going on with what an interrupted
                training left there ends at the weights that it would have come to.
            settings: The same, by name: ``id_cols="pump"``; see `DetectorConfig.changed`.

        Raises:
            UsageError: There is no such setting.
            StorageError: A log cannot be read.
            DataError: The log does not fit: no usable sensor, too few rows, times not rising.
            BackboneError: The language model is not at hand.
        """
        config = (config or DetectorConfig()).changed(**settings)
        backbone = configured_backbone(config.model)
        with _opened(logs, config) as log:
            incidents = [] if exclude is None else read_incidents(str(exclude), log.schema)
            series, span = collect(log.batches())
        period = sampling_period(series, log.schema, config.time)
        gap = 2.0 * config.time.max_gap * period * log.schema.units_per_second
        series, excluded, skipped = skip_incidents(series, incidents, log.schema.id_cols, gap=gap)
        source, series, left_out = drop_empty_sensors(log.schema, series)
        config = resolve(config, max(map(len, series)), len(source.sensors))
        schema = ModelSchema(
            log=source,
            period=period,
            max_gap=config.time.max_gap,
            window_size=config.model.window_size or 0,
            stride=config.model.stride or 0,
        )
        splits = [split_time(one, schema.window_size) for one in series]
        scaling, parts = _prepare(series, splits, schema, config, log.name)
        device = find_device(config.training.device)
        scoring = Scoring(
            batch_windows=BATCH_WINDOWS,
            precision=resolve_precision(config.training.precision, device),
            threads=torch.get_num_threads(),
        )
        blueprint = Blueprint(config.model, len(source.sensors), backbone, scoring, device)
        torch.manual_seed(config.training.seed)
        network = blueprint.untrained()
        epochs: list[EpochRecord] = []
        if partial is not None:
            partial.begin(
                {
                    "log": fingerprint(series),
                    "schema": msgspec.to_builtins(schema),
                    "configuration": msgspec.to_builtins(config),
                    "scoring": msgspec.to_builtins(scoring),
                    "device": str(device),
                    "versions": versions(),
                }
            )

        def run(
            phase: str, windows: TrainingWindows, normal: NormalWindows, watched: TrainingWindows
        ) -> Trained:
            schedule = _schedule(phase, config, len(windows))
            since = None if partial is None else partial.read(phase)
            own = [] if since is None else [EpochRecord(**record) for record in since["epochs"]]
            position = None if since is None else since["position"]
            for result, snapshot in train(
                network, windows, normal, watched, schedule, device, position
            ):
                own.append(EpochRecord(phase=phase, **asdict(result)))
                if partial is not None:
                    kept = {"epochs": msgspec.to_builtins(own), "position": snapshot()}
                    partial.write(phase, kept)
                if on_epoch is not None:
                    on_epoch(own[-1], schedule.steps)
            epochs.extend(own)
            return keep(network, normal)

        # calibrated before the network sees the rows that it is calibrated on
        states = two_valued_sensors(series)
        early = NormalWindows.fit(parts.train, states).to(device)
        reader = blueprint.reader(run("fit", parts.train, early, parts.early_stopping))
        held_out = read_held_out(splits, reader, scaling, schema, config, log.name)
        blocks = read_blocks(reader, early, parts.train, schema.stride)
        calibration = calibrate(held_out, blocks, schema, config)
        whole = NormalWindows.fit(parts.everything, states).to(device)
        trained = run("refit", parts.everything, whole, parts.everything.none())
        checkpoint = Checkpoint(
            config=config,
            schema=schema,
            training=_record(
                series,
                excluded,
                span,
                parts,
                calibration,
                epochs,
                (*log.notes, *left_out, *skipped),
            ),
            reference=reference_table(series, source.sensors),
            scaling=scaling,
            calibration=calibration,
            backbone=backbone,
            adapter=trained.adapter,
            weights=trained.weights,
            scoring=scoring,
            log_name=log.name,
            fingerprint=fingerprint(series),
        )
        return cls(checkpoint, identify(checkpoint))

    def score(self, logs: Logs) -> pl.DataFrame:
        """Score a log: one row for every row of it, in its order.

        Args:
            logs: A path, several, a Polars frame, or a log already open.

        Returns:
            Columns ``timestamp``, those of the ids, ``score``, ``severity``, ``threshold``,
            ``is_anomaly``, ``status``, ``event_id``, ``top_sensors`` and ``model_id``.

        Raises:
            StorageError: A log cannot be read.
            SchemaMismatchError: It lacks a sensor that the model needs.
        """
        with _opened(logs, self.checkpoint.config, self.checkpoint.schema.log) as log:
            return pl.concat(self.scorer(log).tables())

    def events(self, scores: pl.DataFrame) -> pl.DataFrame:
        """The events of scores, one row each, the most severe first.

        Args:
            scores: From `score`, or from a scores file.

        Returns:
            Columns ``event_id``, those of the ids, ``start``, ``end``, ``duration_s`` (null for
            counters), ``n_rows``, ``peak_time``, ``peak_score``, ``severity`` and ``top_sensors``.
        """
        return event_table(scores, self.checkpoint.schema.log.id_cols)

    @property
    def sensors(self) -> tuple[str, ...]:
        """The sensors that a log has to have."""
        return self.checkpoint.schema.log.sensors

    def __repr__(self) -> str:
        schema = self.checkpoint.schema
        window = f"windows of {schema.window_size} rows"
        return f"Detector({self.model_id}, {len(self.sensors)} sensors, {window})"

    def scorer(self, log: Log, device: str = "auto", *, rule: AlertRule | None = None) -> LogScorer:
        """A scorer of an open log, whose tables stream in bounded memory.

        Args:
            log: What is scored.
            device: What to score on.
            rule: When a score becomes an alarm; the model's own if unset. Neither `conformal` nor a
                minimum duration: they need rows to come.
        """
        return LogScorer(log, **self._scoring_parts(log, device, rule))

    def incremental_scorer(
        self,
        log: Log,
        lanes: list[Snapshot],
        *,
        delay: float = 0.0,
        device: str = "auto",
        rule: AlertRule | None = None,
    ) -> IncrementalScorer:
        """A scorer of what is new in an open log.

        Args:
            log: The log as it is now.
            lanes: The machines as the last run left them.
            delay: How far a row may come after a later one, in seconds, or in units of a counter.
            device: See `scorer`.
            rule: See `scorer`; the same in every run.
        """
        parts = self._scoring_parts(log, device, rule)
        return IncrementalScorer(log, delay=delay, lanes=lanes, **parts)

    def _scoring_parts(self, log: Log, device: str, given: AlertRule | None) -> dict[str, Any]:
        """What a scorer is made of, beside the log."""
        made = self.checkpoint
        rule = given or AlertRule(alert_budget=made.config.alert.alert_budget)
        schema, sensors = made.schema, made.schema.log.sensors
        blueprint = Blueprint(
            made.config.model, len(sensors), made.backbone, made.scoring, find_device(device)
        )
        absent = np.flatnonzero(np.isin(sensors, log.absent_sensors))
        reference = Reference.of(made.reference, sensors)
        torch.set_num_threads(min(made.scoring.threads, os.cpu_count() or 1))

        def open_tracker(machine: MachineId) -> EventTracker:
            return EventTracker(
                machine,
                model_id=self.model_id,
                alarms=AlarmStream(
                    rule, longest_step=schema.longest_step, merge_rows=schema.window_size // 2
                ),
                seconds_per_unit=schema.log.seconds_per_unit,
                sensors=sensors,
            )

        def open_watch(machine: MachineId) -> MachineWatch:
            return MachineWatch(
                machine,
                sensors=sensors,
                reference=reference,
                period=schema.period * schema.log.units_per_second,
                window_size=schema.window_size,
            )

        return {
            "reader": blueprint.reader(Trained(made.adapter, made.weights), absent=absent),
            "calibration": made.calibration,
            "rule": rule,
            "open_stream": lambda machine: open_stream(machine, made.scaling, schema, made.config),
            "open_tracker": open_tracker,
            "open_watch": open_watch,
            "scaling": made.scaling,
            "ranges": SensorRanges(made.reference, sensors, made.scaling),
            "sensors": sensors,
            "model_id": self.model_id,
        }

    def save(self, target: str | Path, *, force: bool = False) -> Manifest:
        """Write the model directory, whole or not at all.

        Raises:
            StorageError: The target exists and `force` is not given, or cannot be written.
        """
        return save_model(self.checkpoint, Path(target), force=force)

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a model directory.

        Raises:
            ModelDirectoryError: It is missing, written by a newer version, truncated or altered.
        """
        return cls(*load_model(Path(path)))


def _opened(logs: Logs, config: DetectorConfig, expected: LogSchema | None = None) -> Log:
    """The log, opened where it is not yet."""
    if isinstance(logs, Log):
        return logs
    if isinstance(logs, pl.DataFrame | pl.LazyFrame):
        return open_frame(logs, config.columns, config.time, expected=expected)
    if not isinstance(logs, str | Path | Sequence):
        raise UsageError(
            f"a {type(logs).__name__} is no log",
            hint="give a path, several, or a Polars frame; pl.from_pandas makes one",
        )
    paths = [logs] if isinstance(logs, str | Path) else logs
    return open_log([str(path) for path in paths], config.columns, config.time, expected=expected)


def _prepare(
    series: list[Series],
    splits: list[Split],
    schema: ModelSchema,
    config: DetectorConfig,
    name: str,
) -> tuple[SensorScaling, _Parts]:
    """Scaling from the train part alone, and the windows of every part."""

    def segments(stretch: list[Series]) -> list[Segment]:
        missing = config.time.missing
        cut = [segments_of(one, schema.longest_step, missing) for one in stretch]
        return [segment for machine in cut for segment in machine]

    fitting = segments([split.train for split in splits])
    if not any(len(segment.numbers) >= schema.window_size for segment in fitting):
        raise DataError(
            f"has no {schema.window_size} rows in a row without a gap or a missing cell",
            where=name,
            hint="give more rows, leave out sparse sensors with --exclude-cols, "
            "or take a smaller --window-size",
        )
    scaling = SensorScaling.fit((segment.machine, segment.values) for segment in fitting)

    def windows(stretch: list[Segment]) -> TrainingWindows:
        scaled = [scaling.scale(segment.values, segment.machine) for segment in stretch]
        owners = [segment.machine for segment in stretch]
        return TrainingWindows(scaled, schema.window_size, owners)

    return scaling, _Parts(
        windows(fitting),
        windows(segments([split.early_stopping for split in splits])),
        windows(segments(series)),
    )


def _schedule(phase: str, config: DetectorConfig, n_windows: int) -> Schedule:
    """The first training in full; the second, over the whole log, shorter and from where it was."""
    steps = config.training.steps or training_steps(n_windows)
    again = phase == "refit"
    return Schedule(
        steps=max(1, round(steps * REFIT)) if again else steps,
        batch_size=config.training.batch_size,
        learning_rate=config.training.learning_rate * (REFIT if again else 1.0),
        reversal_strength=config.model.reversal_strength,
        reversal_from=1.0 if again else 0.0,
        seed=config.training.seed,
    )


def _record(
    series: list[Series],
    excluded: int,
    span: pl.Series,
    parts: _Parts,
    calibration: Calibration,
    epochs: list[EpochRecord],
    notes: tuple[str, ...],
) -> TrainingRecord:
    """What training saw and how it went."""
    tables = {"*": calibration.pooled} | {"/".join(m): t for m, t in calibration.machines.items()}
    return TrainingRecord(
        rows=sum(map(len, series)),
        missing_cells=int(sum(np.isnan(one.values).sum() for one in series)),
        machines=len(series),
        windows={
            "train": len(parts.train),
            "early_stopping": len(parts.early_stopping),
            "refit": len(parts.everything),
        },
        start=str(span[0]),
        end=str(span[1]),
        notes=notes,
        epochs=tuple(epochs),
        calibration_rows=len(calibration.pooled.held_out),
        effective_rows=calibration.pooled.effective_rows,
        margin=calibration.pooled.effective_rows < ENOUGH_ROWS,
        thresholds={name: table.threshold for name, table in tables.items()},
        excluded_rows=excluded,
    )
