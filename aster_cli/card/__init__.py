"""A model's card: what a model directory says of itself, read without torch and without tables.

Importing this package imports neither Polars nor NumPy, so `aster inspect MODEL` starts at once.
"""

from aster_cli.card.encoding import FORMAT
from aster_cli.card.limits import hardness, limits
from aster_cli.card.reading import is_model, read_card
from aster_cli.card.values import (
    EpochRecord,
    MachineThreshold,
    Manifest,
    ModelCard,
    ModelSchema,
    OnEpoch,
    Scoring,
    SensorRange,
    TrainingRecord,
)

__all__ = [
    "FORMAT",
    "EpochRecord",
    "MachineThreshold",
    "Manifest",
    "ModelCard",
    "ModelSchema",
    "OnEpoch",
    "Scoring",
    "SensorRange",
    "TrainingRecord",
    "hardness",
    "is_model",
    "limits",
    "read_card",
]
