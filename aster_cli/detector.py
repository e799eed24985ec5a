"""The detector: `fit` and `score`, the two walks through the house, each on one page.

detector = Detector.fit("normal.parquet")
scores = detector.score("live.csv")
detector.save("pumps.aster")

Logs are paths or Polars frames; see ``docs/api.md``.
"""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
import polars as pl
import torch

from aster_cli.alerts import AlarmStream
from aster_cli.assembly import Blueprint, configured_backbone, require_fitting
from aster_cli.calibrating import open_stream
from aster_cli.checkpoint import (
    Checkpoint,
    MachineDetectors,
    Manifest,
    ModelSchema,
    OnEpoch,
    PartialTraining,
    detectors_of,
    identify,
    load_model,
    save_model,
)
from aster_cli.config import AlertRule, DetectorConfig
from aster_cli.defaults import resolve
from aster_cli.drift import MachineWatch
from aster_cli.errors import UsageError
from aster_cli.events import EventTracker
from aster_cli.explaining import OnExplained
from aster_cli.fitting import TrainingLog, fit_detector
from aster_cli.incremental import IncrementalScorer
from aster_cli.inspection import event_table
from aster_cli.judges import DetectorJudges
from aster_cli.logs import Log, LogSchema, open_frame, open_log, read_incidents
from aster_cli.model.device import find_device
from aster_cli.per_id import OnMachine, Trainings, fit_machines, in_turn
from aster_cli.preparation import (
    collect,
    drop_empty_sensors,
    sampling_period,
    skip_incidents,
)
from aster_cli.reference import Reference
from aster_cli.results import MachineId, Snapshot
from aster_cli.scoring import LogScorer
from aster_cli.timing import FOREVER, TimeLimit

Logs = str | Path | Sequence[str | Path] | pl.DataFrame | pl.LazyFrame | Log


class Detector:
    """A fitted ASTER detector.

    Attributes:
        checkpoint: Everything that makes it.
        model_id: Twelve hexadecimal digits that name what decides its scores.
        detectors: Those of single machines, where they have their own.
    """

    def __init__(
        self, checkpoint: Checkpoint, model_id: str, detectors: MachineDetectors | None = None
    ) -> None:
        self.checkpoint = checkpoint
        self.model_id = model_id
        self.detectors = detectors

    @classmethod
    def fit(
        cls,
        logs: Logs,
        config: DetectorConfig | None = None,
        *,
        exclude: str | Path | None = None,
        on_epoch: OnEpoch | None = None,
        partial: PartialTraining | None = None,
        per_id: bool = False,
        on_machine: OnMachine | None = None,
        limit: TimeLimit = FOREVER,
        trainings: Trainings = in_turn,
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
            per_id: Whether each machine gets a detector of its own, beside the pooled one. They are
                kept in `partial` until the whole is saved.
            on_machine: Told of every machine before its detector is trained.
            limit: When training ends with the best weights so far.
            trainings: Runs the trainings of single machines.
            settings: The same, by name: ``id_cols="pump"``; see `DetectorConfig.changed`.

        Raises:
            UsageError: There is no such setting, or no id column or no `partial` with `per_id`.
            StorageError: A log cannot be read.
            DataError: The log does not fit: no usable sensor, too few rows, times not rising.
            BackboneError: The language model is not at hand.
        """
        config = (config or DetectorConfig()).changed(**settings)
        if per_id and partial is None:
            raise UsageError("per_id keeps detectors in a partial training", hint="give partial")
        backbone = configured_backbone(config.model)
        with _opened(logs, config) as log:
            incidents = [] if exclude is None else read_incidents(str(exclude), log.schema)
            series, span = collect(log.batches())
        if per_id and not log.schema.id_cols:
            raise UsageError(
                "there is one machine only", where="--per-id", hint="name the ids with --id-col"
            )
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
        notes = (*log.notes, *left_out, *skipped)
        known = TrainingLog(config, schema, backbone, log.name, notes, span, excluded, per_id)
        pooled = limit.part(1 / (1 + len(series))) if per_id else limit
        checkpoint = fit_detector(series, known, on_epoch, partial, pooled)
        if partial is None or not per_id:
            return cls(checkpoint, identify(checkpoint))
        checkpoint, detectors = fit_machines(
            checkpoint, series, known, partial, on_machine, limit, trainings
        )
        return cls(checkpoint, identify(checkpoint, detectors), detectors)

    def score(self, logs: Logs) -> pl.DataFrame:
        """Score a log: one row for every row of it, in its order.

        Args:
            logs: A path, several, a Polars frame, or a log already open.

        Returns:
            Columns ``timestamp``, those of the ids, ``score``, ``severity``, ``threshold``,
            ``is_anomaly``, ``status``, ``event_id``, ``top_sensors``, ``evidence`` and ``model_id``.

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
            counters), ``n_rows``, ``peak_time``, ``peak_score``, ``severity``, ``top_sensors`` and ``open``.
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

    def explain(self, logs: Logs) -> pl.DataFrame:
        """Score a log, and say what was expected of each sensor in every row that has a score.

        Args:
            logs: A path, several, a Polars frame, or a log already open.

        Returns:
            A row for every such row and sensor: ``timestamp``, the ids, ``sensor``, and in its own
            units ``actual``, ``expected`` and the normal band's ends ``low`` and ``high``; machine by
            machine where rows of several are mixed, each in the order of time.

        Raises:
            StorageError: A log cannot be read.
            SchemaMismatchError: It lacks a sensor that the model needs.
        """
        tables: list[pl.DataFrame] = []
        with _opened(logs, self.checkpoint.config, self.checkpoint.schema.log) as log:
            for _ in self.scorer(log, on_explained=tables.append).tables():
                pass
        return pl.concat(tables)

    def scorer(
        self,
        log: Log,
        device: str = "auto",
        *,
        rule: AlertRule | None = None,
        on_explained: OnExplained | None = None,
        compile: bool = False,
    ) -> LogScorer:
        """A scorer of an open log, whose tables stream in bounded memory.

        Args:
            log: What is scored.
            device: What to score on.
            rule: When a score becomes an alarm; the model's own if unset. Neither `conformal` nor a
                minimum duration: they need rows to come.
            on_explained: See `LogScorer`.
            compile: Whether torch.compile makes kernels first, which pays on long logs.

        Raises:
            UsageError: There is no such device, or torch.compile does not work there.
        """
        parts = self._scoring_parts(log, device, rule, compiled=compile)
        return LogScorer(log, on_explained=on_explained, **parts)

    def incremental_scorer(
        self,
        log: Log,
        lanes: list[Snapshot],
        *,
        delay: float = 0.0,
        device: str = "auto",
        rule: AlertRule | None = None,
        on_explained: OnExplained | None = None,
    ) -> IncrementalScorer:
        """A scorer of what is new in an open log.

        Args:
            log: The log as it is now.
            lanes: The machines as the last run left them.
            delay: How far a row may come after a later one, in seconds, or in units of a counter.
            device: See `scorer`.
            rule: See `scorer`; the same in every run.
            on_explained: See `LogScorer`.
        """
        parts = self._scoring_parts(log, device, rule)
        return IncrementalScorer(log, delay=delay, lanes=lanes, on_explained=on_explained, **parts)

    def _scoring_parts(
        self, log: Log, device: str, given: AlertRule | None, *, compiled: bool = False
    ) -> dict[str, Any]:
        """What a scorer is made of, beside the log."""
        made = self.checkpoint
        rule = given or AlertRule(alert_budget=made.config.alert.alert_budget)
        schema, sensors = made.schema, made.schema.log.sensors
        blueprint = Blueprint(
            made.config.model,
            len(sensors),
            made.backbone,
            made.scoring,
            find_device(device),
            compiled,
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

        judges = DetectorJudges(made, self.detectors, blueprint, absent)
        return {
            "judges": judges,
            "rule": rule,
            "open_stream": lambda machine: open_stream(
                machine, judges.scaling(machine), schema, made.config
            ),
            "open_tracker": open_tracker,
            "open_watch": open_watch,
            "sensors": sensors,
            "model_id": self.model_id,
        }

    def save(self, target: str | Path, *, force: bool = False) -> Manifest:
        """Write the model directory, whole or not at all; `detectors` are then those in it.

        Raises:
            StorageError: The target exists and `force` is not given, or cannot be written.
        """
        target = Path(target)
        manifest = save_model(self.checkpoint, target, detectors=self.detectors, force=force)
        if self.detectors is not None:
            self.detectors = detectors_of(target)
        return manifest

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read a model directory.

        Raises:
            ModelDirectoryError: It is missing, of another format, truncated or altered.
        """
        checkpoint, model_id = load_model(Path(path))
        require_fitting(checkpoint, str(path))
        return cls(checkpoint, model_id, detectors_of(Path(path)))


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
