"""From normal series to a trained and calibrated detector: the walk of training."""

from dataclasses import asdict, dataclass

import msgspec
import numpy as np
import polars as pl
import torch

from aster_cli.assembly import Blueprint, Trained, keep
from aster_cli.backbones import Backbone
from aster_cli.bands import NormalBands
from aster_cli.calibrating import calibrate, read_blocks, read_held_out
from aster_cli.calibration import ENOUGH_ROWS, Calibration
from aster_cli.checkpoint import (
    Checkpoint,
    EpochRecord,
    MachineThreshold,
    ModelSchema,
    OnEpoch,
    PartialTraining,
    Scoring,
    SensorRange,
    TrainingRecord,
    sensor_ranges,
    versions,
)
from aster_cli.config import DetectorConfig
from aster_cli.defaults import training_steps
from aster_cli.errors import DataError
from aster_cli.model import ranks
from aster_cli.model.compiling import compile_network
from aster_cli.model.device import batch_windows, find_device, resolve_precision
from aster_cli.model.neighbours import NormalWindows
from aster_cli.preparation import (
    Split,
    fingerprint,
    segments_of,
    split_time,
    state_sensors,
)
from aster_cli.reference import reference_table
from aster_cli.results import Segment, Series
from aster_cli.scaling import SensorScaling
from aster_cli.timing import FOREVER, TimeLimit
from aster_cli.training import Schedule, train
from aster_cli.windows import TrainingWindows

REFIT = 0.4
"""Share of steps and of the learning rate that the second training gets."""

FIT_SHARE, REFIT_SHARE = 0.6, 0.8
"""Of the time that is left, what each training gets: then come calibration, and writing."""


@dataclass(frozen=True, slots=True)
class _Parts:
    """Windows by what they serve; scaling knows the first only."""

    train: TrainingWindows
    early_stopping: TrainingWindows
    held_out: TrainingWindows
    everything: TrainingWindows


@dataclass(frozen=True, slots=True)
class TrainingLog:
    """What is known of a log, beside its series.

    Attributes:
        config: With nothing left open.
        schema: What a log must look like to be scored.
        backbone: The LLM's layers; None without that branch.
        name: What the log is called.
        notes: What was found out about it.
        span: Its first and its last timestamp.
        excluded: Rows of known incidents.
        per_id: Whether each machine is to have a detector of its own.
    """

    config: DetectorConfig
    schema: ModelSchema
    backbone: Backbone | None
    name: str
    notes: tuple[str, ...]
    span: pl.Series
    excluded: int
    per_id: bool


def fit_detector(
    series: list[Series],
    log: TrainingLog,
    on_epoch: OnEpoch | None = None,
    partial: PartialTraining | None = None,
    limit: TimeLimit = FOREVER,
) -> Checkpoint:
    """Train on series, calibrate before the network sees what it is calibrated on, and train on.

    Raises:
        DataError: There are too few rows.
        UsageError: What is asked for is not there, or training does not converge.
        StateError: What `partial` holds was begun with something else.
    """
    config, schema = log.config, log.schema
    splits = [split_time(one, schema.window_size) for one in series]
    scaling, parts = _prepare(series, splits, schema, config, log.name)
    device = find_device(config.training.device)
    scoring = Scoring(
        batch_windows=batch_windows(
            device, schema.window_size // config.model.patch_size, per_id=log.per_id
        ),
        precision=resolve_precision(config.training.precision, device),
        threads=torch.get_num_threads(),
        device="cuda" if device.type == "cuda" else "cpu",
    )
    blueprint = Blueprint(config.model, len(schema.log.sensors), log.backbone, scoring, device)
    torch.manual_seed(config.training.seed)
    network = blueprint.untrained()
    if config.training.compile:
        compile_network(network, device)
    epochs: list[EpochRecord] = []
    cut_short: list[str] = []
    if partial is not None:
        partial.begin(
            {
                "log": fingerprint(series),
                "schema": msgspec.to_builtins(schema),
                "configuration": msgspec.to_builtins(config),
                "scoring": msgspec.to_builtins(scoring),
                "device": str(device),
                "processes": ranks.count(),
                "versions": versions(),
            }
        )

    def run(
        phase: str,
        windows: TrainingWindows,
        normal: NormalWindows,
        watched: TrainingWindows,
        limit: TimeLimit,
    ) -> Trained:
        schedule = _schedule(phase, config, len(windows))
        since = ranks.from_first(None if partial is None else partial.read(phase))
        own = [] if since is None else [EpochRecord(**record) for record in since["epochs"]]
        position = None if since is None else since["position"]
        for result, snapshot in train(
            network, windows, normal, watched, schedule, device, position, limit
        ):
            own.append(EpochRecord(phase=phase, **asdict(result)))
            if partial is not None:
                kept = {"epochs": msgspec.to_builtins(own), "position": snapshot()}
                partial.write(phase, kept)
            if on_epoch is not None:
                on_epoch(own[-1], schedule.steps)
        epochs.extend(own)
        if limit.is_over() and own[-1].step < schedule.steps:
            cut_short.append(f"{phase} at step {own[-1].step:,} of {schedule.steps:,}")
        return keep(network, normal)

    # calibrated before the network sees the rows that it is calibrated on
    states = state_sensors(series)
    early = NormalWindows.fit(parts.train, states, held_out=parts.held_out).to(device)
    fitted = run("fit", parts.train, early, parts.early_stopping, limit.part(FIT_SHARE))
    reader = blueprint.reader(fitted)
    held_out = read_held_out(splits, reader, scaling, schema, config, log.name)
    blocks = read_blocks(reader, early, parts.train, schema.stride)
    calibration = calibrate(held_out.readings, blocks.readings, schema, config)
    whole = NormalWindows.fit(parts.everything, states, shares=early.shares.cpu()).to(device)
    none = parts.everything.none()
    trained = run("refit", parts.everything, whole, none, limit.part(REFIT_SHARE))
    reference = reference_table(series, schema.log.sensors)
    return Checkpoint(
        config=config,
        schema=schema,
        training=_record(
            series,
            log.excluded,
            log.span,
            parts,
            calibration,
            epochs,
            (
                *log.notes,
                *_shared_out(),
                *_compiled(config),
                *_short_memory(config.training.batch_size, epochs, device),
                *_short_time(cut_short),
            ),
            sensor_ranges(reference, schema.log.sensors),
        ),
        reference=reference,
        scaling=scaling,
        calibration=calibration,
        bands=NormalBands.fit((held_out.residuals, blocks.residuals)),
        backbone=log.backbone,
        adapter=trained.adapter,
        weights=trained.weights,
        scoring=msgspec.structs.replace(scoring, batch_windows=reader.batch_windows),
        log_name=log.name,
        fingerprint=fingerprint(series),
    )


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
        windows(segments([split.calibration for split in splits])),
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


def _shared_out() -> list[str]:
    """Say that several processes have trained, if they have."""
    count = ranks.count()
    return [f"{count} processes shared out the windows of every step"] if count > 1 else []


def _compiled(config: DetectorConfig) -> list[str]:
    """Say that training was compiled, if it was."""
    return ["trained in kernels of torch.compile"] if config.training.compile else []


def _short_memory(batch: int, epochs: list[EpochRecord], device: torch.device) -> list[str]:
    """Say that batches were learnt from piece by piece, if they were."""
    fewest = min(one.at_once or batch for one in epochs)
    if fewest == batch:
        return []
    return [
        f"the memory of {device} does not hold the {batch} windows of a step: they were taken "
        f"{fewest} at a time"
    ]


def _short_time(phases: list[str]) -> list[str]:
    """Say where training ended since its time was over, if it did."""
    if not phases:
        return []
    return [f"time was over in {' and '.join(phases)}: the best weights so far are kept"]


def _record(
    series: list[Series],
    excluded: int,
    span: pl.Series,
    parts: _Parts,
    calibration: Calibration,
    epochs: list[EpochRecord],
    notes: tuple[str, ...],
    ranges: tuple[SensorRange, ...],
) -> TrainingRecord:
    """What training saw and how it went."""
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
        threshold=calibration.pooled.threshold,
        thresholds=tuple(
            MachineThreshold(machine, table.threshold)
            for machine, table in calibration.machines.items()
        ),
        excluded_rows=excluded,
        ranges=ranges,
    )
