"""A peer on the same data as aster: filled, cut at gaps and scaled."""

from pathlib import Path

import numpy as np

from aster_cli.config import ColumnConfig, TimeConfig
from aster_cli.evaluation.comparison import segments
from aster_cli.logs import open_log
from aster_cli.results import FloatArray, Segment
from aster_cli.scaling import SensorScaling
from benchmarks.detection.contract import RowScores
from benchmarks.detection.peers import Peer
from benchmarks.detection.windows import Rows


class OnScaledLog:
    """A peer behind the same door as aster.

    Missing cells are filled and gaps cut as aster does by default; the scaling is aster's own,
    fitted on the whole training log.
    """

    def __init__(self, peer: Peer) -> None:
        self._peer = peer

    def fit(self, log: Path) -> None:
        """Learn from every row that has no missing cell left."""
        with open_log([str(log)], ColumnConfig(), TimeConfig()) as opened:
            self._schema = opened.schema
            read = segments(opened)
        self._scaling = SensorScaling.fit((segment.machine, segment.values) for segment in read)
        self._peer.fit(self._scaled(read))

    def score(self, log: Path) -> RowScores:
        """Score the log; rows with a missing cell get NaN."""
        with open_log([str(log)], ColumnConfig(), TimeConfig(), expected=self._schema) as opened:
            scores = np.full(opened.n_rows, np.nan)
            read = segments(opened)
        for segment, found in zip(read, self._peer.score(self._scaled(read)), strict=True):
            scores[segment.numbers] = found
        return RowScores(scores, None)

    def parts(self, log: Path) -> dict[str, FloatArray]:
        """A peer has none."""
        return {}

    def _scaled(self, read: list[Segment]) -> list[Rows]:
        return [self._scaling.scale(segment.values, segment.machine) for segment in read]
