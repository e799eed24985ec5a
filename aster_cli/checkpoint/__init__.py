"""The model directory: everything that scoring needs, in JSON, TOML, Parquet and safetensors.

It is written beside its target and renamed, so it is there whole or not at all. Every file's
SHA-256 is in the manifest and checked when the file is read. Reading needs no torch.
"""

from aster_cli.card import (
    FORMAT,
    EpochRecord,
    MachineThreshold,
    Manifest,
    ModelCard,
    ModelSchema,
    OnEpoch,
    Scoring,
    SensorRange,
    TrainingRecord,
    hardness,
    is_model,
    limits,
    read_card,
)
from aster_cli.card.reference import sensor_ranges
from aster_cli.checkpoint.machines import MachineDetectors, folder_of, machine_of
from aster_cli.checkpoint.partial import PartialTraining
from aster_cli.checkpoint.reading import (
    detectors_of,
    load_machine,
    load_model,
    read_calibration,
    read_measures,
)
from aster_cli.checkpoint.values import Adapter, Arrays, Checkpoint
from aster_cli.checkpoint.writing import identify, require_free, save_model, versions

__all__ = [
    "FORMAT",
    "Adapter",
    "Arrays",
    "Checkpoint",
    "EpochRecord",
    "MachineDetectors",
    "MachineThreshold",
    "Manifest",
    "ModelCard",
    "ModelSchema",
    "OnEpoch",
    "PartialTraining",
    "Scoring",
    "SensorRange",
    "TrainingRecord",
    "detectors_of",
    "folder_of",
    "hardness",
    "identify",
    "is_model",
    "limits",
    "load_machine",
    "load_model",
    "machine_of",
    "read_calibration",
    "read_card",
    "read_measures",
    "require_free",
    "save_model",
    "sensor_ranges",
    "versions",
]
