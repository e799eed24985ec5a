"""An ASTER network small enough for any test, and windows for it, normal ones among them."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

from aster_cli.config import ModelConfig
from aster_cli.model.aster import AsterNetwork, build_network
from aster_cli.model.forecast import Forecast
from aster_cli.model.neighbours import NormalWindows
from aster_cli.model.whitening import Whitening

N_SENSORS = 3
WINDOW_SIZE = 16
PATCH_SIZE = 4
N_TOKENS = WINDOW_SIZE // PATCH_SIZE
NETWORK_WIDTH = 16
KNEES = np.ones(N_SENSORS, dtype=np.float32)
LATENT_WIDTH = 4


def tiny_config(**changes: Any) -> ModelConfig:
    """A resolved configuration of a few thousand weights, without an LLM."""
    sizes = {
        "window_size": WINDOW_SIZE,
        "stride": PATCH_SIZE,
        "patch_size": PATCH_SIZE,
        "width": NETWORK_WIDTH,
        "latent_width": LATENT_WIDTH,
        "backbone": "none",
    }
    return ModelConfig(**{**sizes, **changes})


def tiny_network(**changes: Any) -> AsterNetwork:
    """The network of `tiny_config`, the same weights every time."""
    torch.manual_seed(0)
    return build_network(tiny_config(**changes), N_SENSORS, None)


def tiny_windows(n: int, seed: int = 0) -> Tensor:
    """Scaled windows of three sensors that move together: ``(n, 16, 3)``."""
    draw = torch.Generator().manual_seed(seed)
    phase = 6.3 * torch.rand(n, 1, 1, generator=draw)
    wave = torch.sin(phase + 0.4 * torch.arange(WINDOW_SIZE)[:, None])
    noise = 0.1 * torch.randn(n, WINDOW_SIZE, N_SENSORS, generator=draw)
    return wave * torch.tensor([1.0, -0.5, 2.0]) + noise


def tiny_residuals(n: int = 300, seed: int = 8) -> Tensor:
    """Two sensors move together and the third is quiet; half of all is an offset: ``(n, 16, 3)``."""
    draw = torch.Generator().manual_seed(seed)
    covariance = torch.tensor([[0.5, 0.3, 0.0], [0.3, 1.0, 0.0], [0.0, 0.0, 0.1]])
    offset = torch.randn(n, 1, N_SENSORS, generator=draw)
    noise = torch.randn(n, WINDOW_SIZE, N_SENSORS, generator=draw)
    residuals: Tensor = 0.5**0.5 * (offset + noise) @ torch.linalg.cholesky(covariance).T
    return residuals


def tiny_normal() -> NormalWindows:
    """Stored windows, what is usual of their residuals, and what foretells their rows."""
    draw = torch.Generator().manual_seed(9)
    inputs = 4 * N_SENSORS + 1
    return NormalWindows(
        tiny_windows(40, seed=7),
        Whitening.fit(tiny_residuals()),
        forecast=Forecast(
            0.1 * torch.randn(inputs, N_SENSORS, generator=draw), torch.tensor([1.0, 2.0, 0.5])
        ),
        shares=torch.tensor([0.3, 0.2, 0.1, 0.4]),
    )
