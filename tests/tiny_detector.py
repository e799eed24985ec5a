"""Small logs, and a small detector that most tests share: trained once per process, in seconds."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import cache
from pathlib import Path

import numpy as np
import polars as pl

from aster_cli import Detector
from aster_cli.config import ColumnConfig, DetectorConfig, ModelConfig, TimeConfig, TrainingConfig
from tests.tiny_backbone import write_tiny_backbone

WINDOW = 8
SENSORS = ("s0", "s1", "s2")
START = datetime(2024, 3, 1)
SPIKE = slice(100, 106)
"""Rows where `wave` can be made to leave its normal range."""


def wave(rows: int = 200, *, seed: int = 0, spike: bool = False, unit: str = "") -> pl.DataFrame:
    """Three noisy sines, a row a minute; with an id column where `unit` names the machine."""
    noise = np.random.default_rng(seed).normal(0.0, 0.05, (rows, len(SENSORS)))
    values = np.sin(np.arange(rows)[:, None] / 7.0 + np.arange(len(SENSORS))) + noise
    if spike:
        values[SPIKE] += 6.0
    log = pl.DataFrame({"time": [START + timedelta(minutes=row) for row in range(rows)]})
    log = log.with_columns(pl.Series(sensor, values[:, i]) for i, sensor in enumerate(SENSORS))
    return log.with_columns(unit=pl.lit(unit)) if unit else log


def interleaved(*logs: pl.DataFrame) -> pl.DataFrame:
    """The rows of several machines by time, as a plant writes them."""
    return pl.concat(logs).sort("time", maintain_order=True)


def tiny_config(
    backbone: str = "none", *, id_cols: Sequence[str] = (), seed: int = 0, **model: object
) -> DetectorConfig:
    """A configuration that trains in a second; float32, so that no processor differs."""
    settings = {"window_size": WINDOW, "backbone": backbone, "backbone_layers": 2, **model}
    return DetectorConfig(
        columns=ColumnConfig(id_cols=tuple(id_cols)),
        time=TimeConfig(),
        model=ModelConfig(**settings),  # type: ignore[arg-type]
        training=TrainingConfig(steps=4, seed=seed, precision="fp32"),
    )


@cache
def tiny_model(base: Path) -> Path:
    """A model directory with a language model and an adapter; copy it before altering it."""
    folder = base / "tiny-model"
    write_tiny_backbone(folder / "llm")
    wave(300).write_parquet(folder / "normal.parquet")
    detector = Detector.fit(folder / "normal.parquet", tiny_config(str(folder / "llm")))
    detector.save(folder / "tiny.aster")
    return folder / "tiny.aster"


@cache
def tiny_fleet_model(base: Path) -> Path:
    """A model of two machines that the column ``unit`` tells apart, without a language model."""
    folder = base / "tiny-fleet"
    folder.mkdir()
    both = interleaved(wave(250, unit="a"), wave(250, seed=1, unit="b"))
    both.write_parquet(folder / "fleet.parquet")
    detector = Detector.fit(folder / "fleet.parquet", tiny_config(id_cols=("unit",)))
    detector.save(folder / "fleet.aster")
    return folder / "fleet.aster"
