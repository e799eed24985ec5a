"""All that makes a detector, as values; none of them knows files or torch."""

from dataclasses import dataclass
from typing import Any

import polars as pl
from numpy.typing import NDArray

from aster_cli.backbones import Backbone
from aster_cli.bands import NormalBands
from aster_cli.calibration import Calibration
from aster_cli.card.values import ModelSchema, Scoring, TrainingRecord
from aster_cli.config import DetectorConfig
from aster_cli.scaling import SensorScaling

Arrays = dict[str, NDArray[Any]]


@dataclass(frozen=True, slots=True)
class Adapter:
    """LoRA in PEFT's own layout."""

    config: dict[str, Any]
    weights: Arrays


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """Everything that makes a detector."""

    config: DetectorConfig
    schema: ModelSchema
    training: TrainingRecord
    reference: pl.DataFrame
    scaling: SensorScaling
    calibration: Calibration
    bands: NormalBands
    backbone: Backbone | None
    adapter: Adapter | None
    weights: Arrays
    scoring: Scoring
    log_name: str
    fingerprint: str
