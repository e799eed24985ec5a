"""Two autoencoders of windows that no well-kept library has, in their textbook forms.

==================  ======  ======================================================================
peer                window  network
==================  ======  ======================================================================
`lstm-autoencoder`  30      LSTM into one state, LSTM out of it, 64 units each (Srivastava,
                            Mansimov, Salakhutdinov, ICML 2015; without the conditional decoder)
`transformer`       50      Transformer encoder between two linear layers, with the sizes that
                            Time-Series-Library gives it for anomaly detection: 3 layers, width
                            and feed-forward 128, 8 heads, dropout 0.1, sinusoidal positions;
                            windows are half as long as there, which takes a quarter of the time
==================  ======  ======================================================================

Both are trained alike: mean squared error, Adam with a rate of 1e-3, batches of 32 windows, 10
epochs and 1,000 steps at least, so that short logs are learnt too. A long log gives 5,000 windows,
evenly spread, which keeps the slowest under ten minutes on one core. A row's score is its squared
error, averaged over the windows that cover it; all windows are scored.
"""

import math
from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from aster_cli.results import FloatArray
from benchmarks.detection.windows import Rows, mean_over_windows, training_windows, windows_of

_EPOCHS = 10
_FEWEST_STEPS = 1000
_BATCH_SIZE = 32
_LEARNING_RATE = 1e-3
_MOST_WINDOWS = 5000
_SCORE_BATCH = 256


class LstmAutoencoder(nn.Module):
    """A window into one state and out again."""

    def __init__(self, n_sensors: int, width: int = 64) -> None:
        super().__init__()
        self.encoder = nn.LSTM(n_sensors, width, batch_first=True)
        self.decoder = nn.LSTM(width, width, batch_first=True)
        self.output = nn.Linear(width, n_sensors)

    def forward(self, windows: Tensor) -> Tensor:
        """Reconstruct ``(window, row, sensor)``."""
        _, (state, _) = self.encoder(windows)
        repeated = state[-1].unsqueeze(1).expand(-1, windows.shape[1], -1)
        rows: Tensor = self.output(self.decoder(repeated)[0])
        return rows


class TransformerAutoencoder(nn.Module):
    """A window through a Transformer encoder."""

    def __init__(self, n_sensors: int, window_size: int = 50, width: int = 128) -> None:
        super().__init__()
        self.input = nn.Linear(n_sensors, width)
        self.register_buffer("positions", _sinusoids(window_size, width))
        layer = nn.TransformerEncoderLayer(
            width, nhead=8, dim_feedforward=width, dropout=0.1, activation="gelu", batch_first=True
        )
        self.encoder = nn.TransformerEncoder(layer, num_layers=3)
        self.output = nn.Linear(width, n_sensors)

    def forward(self, windows: Tensor) -> Tensor:
        """Reconstruct ``(window, row, sensor)``."""
        rows: Tensor = self.output(self.encoder(self.input(windows) + self.positions))
        return rows


class Reconstruction:
    """A peer that scores rows by what a network fails to reconstruct of them."""

    def __init__(self, seed: int, window_size: int, build: Callable[[int], nn.Module]) -> None:
        self._seed = seed
        self._size = window_size
        self._build = build

    def fit(self, segments: list[Rows]) -> None:
        """Train the network on windows."""
        torch.manual_seed(self._seed)
        windows = torch.from_numpy(training_windows(segments, self._size, _MOST_WINDOWS))
        self._network = self._build(windows.shape[2])
        optimiser = torch.optim.Adam(self._network.parameters(), lr=_LEARNING_RATE)
        per_epoch = math.ceil(len(windows) / _BATCH_SIZE)
        self._network.train()
        for _ in range(max(_EPOCHS, math.ceil(_FEWEST_STEPS / per_epoch))):
            for picked in torch.split(torch.randperm(len(windows)), _BATCH_SIZE):
                batch = windows[picked]
                loss = F.mse_loss(self._network(batch), batch)
                optimiser.zero_grad()
                loss.backward()  # type: ignore[no-untyped-call]
                optimiser.step()

    @torch.inference_mode()
    def score(self, segments: list[Rows]) -> list[FloatArray]:
        """Each row's mean squared error over the windows that cover it."""
        self._network.eval()
        return [self._score(segment) for segment in segments]

    def _score(self, segment: Rows) -> FloatArray:
        windows = windows_of(segment, self._size)
        errors = np.empty((len(windows), self._size))
        for first in range(0, len(windows), _SCORE_BATCH):
            batch = torch.from_numpy(windows[first : first + _SCORE_BATCH].copy())
            lost = torch.square(self._network(batch) - batch).mean(dim=2)
            errors[first : first + _SCORE_BATCH] = lost.numpy()
        return mean_over_windows(errors, self._size, len(segment))


def _sinusoids(n_rows: int, width: int) -> Tensor:
    """Positions as in Vaswani et al., *Attention Is All You Need*, section 3.5."""
    rates = torch.exp(torch.arange(0, width, 2) * (-math.log(10_000.0) / width))
    angles = torch.arange(n_rows).unsqueeze(1) * rates
    return torch.stack((angles.sin(), angles.cos()), dim=2).flatten(1)


DEEP_PEERS: dict[str, Callable[[int], Reconstruction]] = {
    "lstm-autoencoder": lambda seed: Reconstruction(seed, 30, LstmAutoencoder),
    "transformer": lambda seed: Reconstruction(seed, 50, TransformerAutoencoder),
}
"""Both by name, as factories that take a seed."""
