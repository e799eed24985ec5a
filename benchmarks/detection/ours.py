"""Aster as a method of the benchmark."""

from pathlib import Path

import msgspec

from aster_cli import Detector, DetectorConfig
from benchmarks.detection.contract import RowScores


class Aster:
    """The project's detector with some configuration, its defaults but for the seed if none."""

    def __init__(self, config: DetectorConfig, seed: int) -> None:
        training = msgspec.structs.replace(config.training, seed=seed)
        self._config = msgspec.structs.replace(config, training=training)

    def fit(self, log: Path) -> None:
        """Fit a detector."""
        self._detector = Detector.fit(log, self._config)

    def score(self, log: Path) -> RowScores:
        """Its scores and the threshold that it set itself."""
        table = self._detector.score(log)
        return RowScores(
            table["score"].cast(float).to_numpy(), table["threshold"].cast(float).to_numpy()
        )
