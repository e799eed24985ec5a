"""Whether the parts of a model directory belong together, before anything is built of them.

Hashes tell a damaged model; they do not tell one that was made to do damage, for whoever makes it makes
its hashes too. So sizes have to be possible, and the same wherever they are said. Every failure is a
`ValueError` that says what does not fit.
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import polars as pl

from aster_cli.bands import Band
from aster_cli.card.checking import require
from aster_cli.checkpoint.values import Adapter, Arrays
from aster_cli.config import ModelConfig
from aster_cli.scaling import ScalingTable

MOST_LAYERS, MOST_PARTS = 256, 1024
"""Of a language model; each is an object in memory before any weight is."""

READINGS = {"classifier", "window"}
_REACHING_OUT = (
    "auto_map",
    "implementation",
    "kernel",
    "quantization",
    "backbone",
    "_name_or_path",
)
"""Parts of names in a transformers configuration whose values make it load something else."""


def require_scaling(tables: Iterable[ScalingTable], n_sensors: int) -> None:
    """A centre, a scale and a knee for every sensor."""
    for table in tables:
        parts = [np.array(part) for part in (table.centre, table.scale, table.knee)]
        require(
            all(part.shape == (n_sensors,) for part in parts), "it has not one for every sensor"
        )
        require(all(bool(np.isfinite(part).all()) for part in parts), "it holds no numbers")
        require(bool((parts[1] > 0).all() and (parts[2] > 0).all()), "a scale is not above zero")


def require_bands(bands: Iterable[Band], n_sensors: int) -> None:
    """A lowest and a highest residual for every sensor, and 0 between them."""
    for band in bands:
        low, high = np.array(band.low), np.array(band.high)
        require(low.shape == high.shape == (n_sensors,), "it has not one for every sensor")
        require(bool(np.isfinite([low, high]).all()), "it holds no numbers")
        require(bool((low <= 0).all() and (high >= 0).all()), "a band does not hold 0")


SLACK = 1e-3
"""Of what adds up to 1 but for rounding."""


def require_readings(readings: dict[str, tuple[float, float]]) -> None:
    """A centre and a spread for each of `READINGS`."""
    require(set(readings) == READINGS, f"its readings are not {' and '.join(sorted(READINGS))}")
    for centre, spread in readings.values():
        require(math.isfinite(centre) and 0 < spread < math.inf, "a reading has no spread")


def require_held_out(held_out: pl.DataFrame) -> None:
    """Scores of normal rows, some of them of no machine alone."""
    expected = {"machine": pl.List(pl.String), "score": pl.Float64}
    require(dict(held_out.schema) == expected, "its columns are others")
    scores = held_out["score"]
    require(scores.null_count() == 0 and bool(scores.is_finite().all()), "it holds no numbers")
    require(held_out["machine"].null_count() > 0, "it has no pooled scores")


def require_windows(weights: Arrays, model: ModelConfig, n_sensors: int) -> None:
    """What is stored of normal windows has the schema's sizes; the network's are checked where it is.

    See `aster_cli.assembly.require_fitting`.
    """
    size = model.window_size
    shapes = {
        "normal.whitening.sensors": (n_sensors, n_sensors),
        "normal.whitening.alone": (n_sensors, size, size),
        "normal.whitening.together": (n_sensors, size, size),
        "normal.whitening.weight": (n_sensors,),
        "normal.forecast.scale": (n_sensors,),
        "normal.shares": (4,),
    }
    stored = len(weights.get("normal.windows", ()))
    require(stored > 0, "it has no stored windows")
    coefficients = weights.get("normal.forecast.coefficients")
    inputs = 0 if coefficients is None or not coefficients.ndim else len(coefficients)
    lags, rest = divmod(inputs - 1, n_sensors)
    require(rest == 0 and lags in range(1, size or 0), "its forecast fits no window")
    shapes |= {"normal.forecast.coefficients": (inputs, n_sensors)}
    shapes |= {"normal.windows": (stored, size, n_sensors), "normal.remoteness": (stored,)}
    for name, shape in shapes.items():
        require(name in weights and weights[name].shape == shape, f"{name!r} has another shape")
    require_numbers(weights, "float32")
    require(bool((weights["normal.remoteness"] > 0).all()), "a remoteness is not above zero")
    shares = weights["normal.shares"]
    whole = bool((shares >= 0).all()) and abs(float(shares.sum(dtype=np.float64)) - 1.0) < SLACK
    require(whole and bool(shares[:3].any()), "the lengths have no shares")
    require(bool((weights["normal.forecast.scale"] >= 0).all()), "a usual error is below zero")


def require_numbers(arrays: Arrays, dtype: str) -> None:
    """Finite numbers of one kind."""
    for name, array in arrays.items():
        require(array.dtype == dtype, f"{name!r} is {array.dtype}, not {dtype}")
        require(bool(np.isfinite(array).all()), f"{name!r} holds what is no number")


def require_backbone(config: dict[str, Any], embedding_norm: float) -> None:
    """The language model is one of transformers' own, and names nothing to fetch or to run.

    Nothing is said of its sizes here; see `aster_cli.assembly.require_fitting`.
    """
    require(isinstance(config.get("model_type"), str), "its language model has no type")
    require(config.get("vocab_size") == 1, "its language model has a vocabulary")
    for name, value in _named(config):
        reaches_out = any(part in name for part in _REACHING_OUT) and value not in (None, False)
        require(not reaches_out, f"{name!r} could lead out of the directory")
        if isinstance(value, int) and name in ("num_hidden_layers", "n_layer", "num_layers"):
            require(value <= MOST_LAYERS, "its language model has too many layers")
        if isinstance(value, int) and name.startswith("num_"):
            require(value <= MOST_PARTS, f"{name!r} is too large")
    require(0 < embedding_norm < math.inf, "its embeddings have no norm")


def require_adapter(adapter: Adapter, layers: Arrays) -> None:
    """Every update has the shape of the layer that it is for: a product of two thin matrices is large."""
    rank, alpha = adapter.config.get("r"), adapter.config.get("lora_alpha")
    transposed = adapter.config.get("fan_in_fan_out")
    require(isinstance(rank, int) and rank > 0, "its rank is none")
    require(isinstance(alpha, int | float) and math.isfinite(alpha), "its alpha is none")
    for name in adapter.weights:
        layer, part, _ = name.removeprefix("base_model.model.").rpartition(".lora_")
        require(
            bool(part) and name.endswith(("lora_A.weight", "lora_B.weight")), f"{name!r} is none"
        )
        pair = [adapter.weights.get(f"base_model.model.{layer}.lora_{p}.weight") for p in "AB"]
        down, up = pair
        known = layers.get(f"{layer}.weight")
        if down is None or up is None or known is None:
            raise ValueError(f"{name!r} has no counterpart")
        shape = known.shape[::-1] if transposed else known.shape
        fits = down.ndim == up.ndim == 2 and (len(up), down.shape[1]) == shape
        require(fits and len(down) == up.shape[1] == rank, f"{name!r} has another shape")
    require_numbers(adapter.weights, "float32")


def _named(config: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every setting with its name, those within others too."""
    for name, value in config.items():
        yield name, value
        if isinstance(value, dict):
            yield from _named(value)
