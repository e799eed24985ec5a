"""How diverse the generated pseudo-anomalies are: relaxed prior against plain, reversal on and off.

    python -m benchmarks.diversity

For each log a network without the language model is trained as the first training is, for a hundred
steps. Then every one of 512 normal windows gets a displacement, before mask and radius, whitened as
novelty is. Two figures of the 512 directions:

* *spread*: one less the mean absolute cosine between two of them; 0 if all lie on one line,
* *coverage*: their effective rank, the exponential of the entropy of the normalised eigenvalues of
  their second moment (Roy and Vetterli, EUSIPCO 2007). As many directions drawn evenly from the
  sphere are the row to compare with.
"""

import sys
from collections.abc import Callable
from pathlib import Path
from unittest.mock import patch

import numpy as np
import polars as pl
import torch
from torch import Tensor

from aster_cli.config import ModelConfig
from aster_cli.model.aster import build_network
from aster_cli.model.neighbours import NormalWindows
from aster_cli.model.vae import sample_relaxed_prior
from aster_cli.scaling import SensorScaling
from aster_cli.training import Schedule, train
from aster_cli.windows import TrainingWindows
from benchmarks.detection.entities import DATA

LOGS = ("SKAB/valve1-1", "MSL/C-1", "BATADAL/dataset04", "SMD/machine-1-2")
SIZE, STEPS, SAMPLES = 32, 100, 512
CPU = torch.device("cpu")

Prior = Callable[[Tensor], Tensor]


def plain_prior(mean: Tensor) -> Tensor:
    """The unit Gaussian, whatever the windows' codes are."""
    return torch.randn_like(mean)


ROWS: tuple[tuple[str, Prior, float], ...] = (
    ("relaxed prior, reversal on (the default)", sample_relaxed_prior, 1.0),
    ("relaxed prior, reversal off", sample_relaxed_prior, 0.0),
    ("plain prior, reversal on", plain_prior, 1.0),
    ("plain prior, reversal off", plain_prior, 0.0),
)


def main() -> None:
    """Print the table."""
    if not DATA.is_dir():
        sys.exit(f"no logs to run on: {DATA} is not there")
    lines = ["| | " + " | ".join(LOGS) + " |", "|---" * (len(LOGS) + 1) + "|"]
    windows = {log: _windows(DATA / log / "train.parquet") for log in LOGS}
    for label, prior, strength in ROWS:
        found = [_figures(_directions(windows[log], prior, strength)) for log in LOGS]
        lines.append(f"| {label} | {' | '.join(found)} |")
    found = [_figures(_even_directions(windows[log])) for log in LOGS]
    lines.append(f"| drawn evenly from the sphere | {' | '.join(found)} |")
    sys.stdout.write("\n".join(lines) + "\n")


def _windows(log: Path) -> TrainingWindows:
    values = pl.read_parquet(log).drop("timestamp", "step", strict=False).to_numpy().astype(float)
    return TrainingWindows([SensorScaling.fit([((), values)]).scale(values, ())], SIZE)


@torch.no_grad()
def _directions(windows: TrainingWindows, prior: Prior, strength: float) -> Tensor:
    """Unit displacements of a trained generator, ``(sample, time * sensor)``."""
    normal = NormalWindows.fit(windows)
    model = ModelConfig(window_size=SIZE, latent_width=16, backbone="none")
    torch.manual_seed(0)
    network = build_network(model, len(normal.whitening.sensors), None)
    schedule = Schedule(STEPS, 32, 1e-3, strength, 0.0, seed=0)
    with patch("aster_cli.model.aster.sample_relaxed_prior", prior), torch.enable_grad():
        for _ in train(network, windows, normal, windows.none(), schedule, CPU):
            pass
    mean, _ = network.vae(network.hidden(torch.from_numpy(windows.evenly(SAMPLES))))
    delta = network.sensors.displacement(network.decoder(prior(mean), "displace"))
    return torch.nn.functional.normalize(normal.whitening(delta).together.flatten(1), dim=1)


def _even_directions(windows: TrainingWindows) -> Tensor:
    torch.manual_seed(0)
    shape = windows.evenly(SAMPLES).shape
    return torch.nn.functional.normalize(torch.randn(shape).flatten(1), dim=1)


def _figures(directions: Tensor) -> str:
    """Spread and coverage of unit vectors ``(sample, dimension)``."""
    cosines = (directions @ directions.T).abs().numpy()
    n = len(cosines)
    spread = 1.0 - (cosines.sum() - np.trace(cosines)) / (n * (n - 1))
    shares = torch.linalg.svdvals(directions).square().numpy() / n
    shares = shares[shares > 0]
    return f"{spread:.2f}, {np.exp(-(shares * np.log(shares)).sum()):.0f}"


if __name__ == "__main__":
    main()
