"""Whether the parts of a card belong together; see `aster_cli.checkpoint.checking` for the rest of a model.

Every failure is a `ValueError` that says what does not fit.
"""

import math

from aster_cli.card.values import ModelSchema, Scoring, TrainingRecord
from aster_cli.config import ModelConfig

MOST_BATCH_WINDOWS, MOST_THREADS = 4096, 4096


def require_schema(schema: ModelSchema, model: ModelConfig, scoring: Scoring) -> None:
    """The schema is possible, and its sizes are the configuration's."""
    log = schema.log
    require(
        len(set(log.sensors)) == len(log.sensors) > 0, "its sensors are none, or twice the same"
    )
    require(
        len(log.sensor_dtypes) == len(log.sensors), "its sensors and their dtypes are not as many"
    )
    require((log.time_col is None) == (log.time_kind == "row"), "its time is none of a log's")
    require(log.seconds_per_unit is None or 0 < log.seconds_per_unit <= 1, "its clock has no unit")
    require(0 < schema.period < math.inf, "its period is none")
    require(1 <= schema.max_gap < math.inf, "its longest gap is none")
    sizes = (schema.window_size, schema.stride)
    require(sizes == (model.window_size, model.stride), "its windows are not the configuration's")
    require(model.latent_width is not None, "the configuration leaves a width open")
    require(1 <= scoring.batch_windows <= MOST_BATCH_WINDOWS, "no batch has so many windows")
    require(1 <= scoring.threads <= MOST_THREADS, "no machine has so many threads")


def require_training(training: TrainingRecord, schema: ModelSchema) -> None:
    """There is something to tell of the training, and of every sensor or of none."""
    require(len(training.epochs) > 0, "it has no epoch")
    described = tuple(one.sensor for one in training.ranges)
    require(described in ((), schema.log.sensors), "it describes other sensors")


def require(holds: bool, otherwise: str) -> None:
    """Raise a `ValueError` with these words, unless `holds`."""
    if not holds:
        raise ValueError(otherwise)
