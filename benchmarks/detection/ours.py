"""Aster as a method of the benchmark."""

from collections.abc import Callable, Mapping
from pathlib import Path
from unittest.mock import patch

import msgspec

from aster_cli import Detector, DetectorConfig
from aster_cli.calibration import ReadingScale, evidence
from aster_cli.results import FloatArray
from benchmarks.detection.contract import READINGS, RowScores


class Aster:
    """The project's detector with some configuration, its defaults but for the seed if none.

    Args:
        config: Its configuration.
        seed: Of its training.
        change: Alters the code itself, for the rest of the process; an ablation's way.
    """

    def __init__(
        self, config: DetectorConfig, seed: int, change: Callable[[], None] | None = None
    ) -> None:
        training = msgspec.structs.replace(config.training, seed=seed)
        self._config = msgspec.structs.replace(config, training=training)
        if change is not None:
            change()

    def fit(self, log: Path) -> None:
        """Fit a detector."""
        self._detector = Detector.fit(log, self._config)

    def score(self, log: Path) -> RowScores:
        """Its scores and the threshold that it set itself."""
        table = self._detector.score(log)
        return RowScores(
            table["score"].cast(float).to_numpy(), table["threshold"].cast(float).to_numpy()
        )

    def parts(self, log: Path) -> dict[str, FloatArray]:
        """Its two readings, each alone."""
        return {reading: self._alone(log, reading) for reading in READINGS}

    def _alone(self, log: Path, reading: str) -> FloatArray:
        def only(
            readings: Mapping[str, FloatArray], scales: Mapping[str, ReadingScale]
        ) -> FloatArray:
            return scales[reading].apply(evidence(readings)[reading])

        with patch("aster_cli.scoring.join_readings", only):
            return self.score(log).values
