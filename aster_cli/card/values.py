"""What a model directory says of itself, as values; none of them knows files."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from aster_cli.config import DetectorConfig
from aster_cli.schema import LogSchema, MachineId


class ModelSchema(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a log must look like to be scored, and how its rows become windows."""

    log: LogSchema
    period: float  # sampling period in seconds, or in units of a counter
    max_gap: float  # periods
    window_size: int  # rows
    stride: int  # rows

    @property
    def longest_step(self) -> float:
        """The longest step that is no gap, in units of `LogBatch.time`."""
        return self.max_gap * self.period * self.log.units_per_second


class Scoring(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The terms under which equal rows give equal bits."""

    batch_windows: int
    precision: Literal["fp32", "bf16"]
    threads: int
    device: Literal["cpu", "cuda"] = "cpu"

    def __str__(self) -> str:
        """The terms in words."""
        windows, threads = self.batch_windows, self.threads
        return (
            f"{self.precision} on {self.device}, {windows} window{'s' * (windows != 1)} a batch, "
            f"{threads} thread{'s' * (threads != 1)}"
        )


class EpochRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One epoch; see `aster_cli.results.EpochResult`."""

    phase: str  # "fit": on the first stretch of time; "refit": on the whole log
    epoch: int
    step: int
    reversal_strength: float
    losses: dict[str, float]
    held_out: dict[str, float]
    separation: float | None
    at_once: int | None = None  # unknown of older models


OnEpoch = Callable[[EpochRecord, int], None]
"""Told after every epoch: its record, and the steps of its phase in all."""


class MachineThreshold(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The threshold of a machine that has one of its own."""

    machine: MachineId
    threshold: float


class SensorRange(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a sensor was like in training, over all machines; None where it had no value."""

    sensor: str
    missing_share: float
    lowest: float | None
    medians: tuple[float, float] | None  # the lowest machine's, and the highest one's
    highest: float | None
    spread: float | None  # half of what lies between the 16th and the 84th percentile
    stood_still: bool  # on every machine


class TrainingRecord(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What training saw and how it went."""

    rows: int
    missing_cells: int
    machines: int
    windows: dict[str, int]  # by what they serve: train, early_stopping, refit
    start: str  # the log's first timestamp, as text
    end: str
    notes: tuple[str, ...]
    epochs: tuple[EpochRecord, ...]
    calibration_rows: int  # held-out rows, and rows of training blocks expected from the others
    effective_rows: int  # calibration rows over the window size
    margin: bool  # whether the threshold takes the margin for few rows
    threshold: float  # the pooled one
    thresholds: tuple[MachineThreshold, ...]
    excluded_rows: int = 0  # of known incidents; not among `rows`
    ranges: tuple[SensorRange, ...] = ()  # by sensor, in the schema's order; none in older models


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the directory holds."""

    format: int
    model_id: str
    created: str
    seed: int
    backbone: str
    log: str  # name of the training log
    fingerprint: str  # SHA-256 over the training rows
    versions: dict[str, str]
    scoring: Scoring
    files: dict[str, str]  # SHA-256 by path
    detectors: dict[str, str] = {}  # of single machines: `model_id` by folder
    seal: str = ""  # SHA-256 of all the above


@dataclass(frozen=True, slots=True)
class ModelCard:
    """What a model directory says of itself, without its weights."""

    manifest: Manifest
    config: DetectorConfig
    schema: ModelSchema
    training: TrainingRecord

    def to_dict(self) -> dict[str, Any]:
        """Plain values, for JSON."""
        parts = ("manifest", "config", "schema", "training")
        return {part: msgspec.to_builtins(getattr(self, part)) for part in parts}
