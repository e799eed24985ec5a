"""What sensors are ranked by: evidence of every row and sensor, and how an event's rows are pooled."""

from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor

from aster_cli import Detector
from aster_cli.attribution import Attribution, attribute
from aster_cli.logs import Log
from aster_cli.reading import WindowReader
from aster_cli.results import FloatArray
from aster_cli.windows import sliding, window_starts

_AT_ONCE = 64  # windows

Evidence = dict[str, FloatArray]
"""By name, ``(row, sensor)``, larger for more to blame, never negative."""

POOLS: dict[str, Callable[[FloatArray], FloatArray]] = {
    "shares": lambda rows: (rows / np.maximum(rows.sum(axis=1, keepdims=True), 1e-30)).mean(axis=0),
    "mean": lambda rows: rows.mean(axis=0),
    "root": lambda rows: np.sqrt(rows).mean(axis=0),
    "squares": lambda rows: np.square(rows).mean(axis=0),
    "largest": lambda rows: rows.max(axis=0),
}
"""From an event's rows to one importance a sensor; aster's events add squares up."""

OURS = "aster"
SIMPLE = ("z-score", "PCA residual")
"""Rankings that anyone would try first; that at random is the third."""

CANDIDATES = (
    "VAE residual",
    "neighbours' residual",
    "novelty, alone",
    "novelty, together",
    "gradient times residual",
)
"""Other ways to read the same model."""


def simple_evidence(normal: FloatArray, log: FloatArray) -> Evidence:
    """Squared deviations by z-score, and squared errors after the main directions of training.

    Args:
        normal: ``(row, sensor)`` of training, in the sensors' units.
        log: The same of the log.
    """
    centre, spread = normal.mean(axis=0), normal.std(axis=0)
    spread = np.where(spread > 0, spread, 1.0)
    known, z = (normal - centre) / spread, (log - centre) / spread
    variances, directions = np.linalg.eigh(known.T @ known / len(known))
    shares = np.cumsum(variances[::-1]) / variances.sum()
    kept = directions[:, ::-1][:, : int(np.searchsorted(shares, 0.95)) + 1]
    return dict(zip(SIMPLE, (z**2, (z - z @ kept @ kept.T) ** 2), strict=True))


def own_evidence(detector: Detector, log: Path) -> FloatArray:
    """What aster attributes rows by, caught on its way through a scoring."""
    parts: list[FloatArray] = []

    def caught(evidence: FloatArray, *values: FloatArray) -> Attribution:
        parts.append(evidence)
        return attribute(evidence, *values)

    with patch("aster_cli.scoring.attribute", caught):
        detector.score(log)
    return np.concatenate(parts)


def candidate_evidence(detector: Detector, log: Log, values: FloatArray) -> Evidence:
    """Evidence that aster does not use, means over the windows that cover a row.

    Args:
        detector: Of one machine.
        log: Open, without gaps or missing cells.
        values: Its ``(row, sensor)`` values.
    """
    reader = detector.scorer(log)._judges.reader(())
    scaled = detector.checkpoint.scaling.scale(values, ())
    size, stride = detector.checkpoint.schema.window_size, detector.checkpoint.schema.stride
    starts = np.append(window_starts(len(scaled), size, stride), len(scaled) - size)
    windows, counts = sliding(scaled, size), np.zeros((len(scaled), 1))
    sums = {name: np.zeros(values.shape) for name in CANDIDATES}
    for batch in np.array_split(starts, len(starts) // _AT_ONCE + 1):
        found = _candidates(reader, torch.from_numpy(windows[batch]))
        for place, start in enumerate(batch.tolist()):
            counts[start : start + size] += 1
            for name in CANDIDATES:
                sums[name][start : start + size] += found[name][place].numpy()
    return {name: total / counts for name, total in sums.items()}


def _candidates(reader: WindowReader, windows: Tensor) -> dict[str, Tensor]:
    network, normal = reader._network, reader._normal
    asked = windows.clone().requires_grad_()
    novelty = normal.novelty(asked)
    hidden = network.hidden(asked)
    mean, _ = network.vae(hidden)
    rebuilt = network.sensors(network.decoder(mean, "reconstruct"))
    logits = network.judge(hidden, novelty.together)
    (gradient,) = torch.autograd.grad(logits.sum(), asked)
    residual = normal.residual(windows)
    values = (
        (windows - rebuilt.detach()).square(),
        residual.square(),
        novelty.alone.detach().square(),
        novelty.together.detach().square(),
        (gradient * residual).clamp_min(0.0),
    )
    return dict(zip(CANDIDATES, values, strict=True))
