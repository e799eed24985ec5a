"""From latent codes back: the latent decoder with its two uses, and the sensor head."""

from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from aster_cli.model.encoder import TransformerStack

Use = Literal["reconstruct", "displace"]


class LatentDecoder(nn.Module):
    """Latent codes joined by learnable tokens, through a Transformer, to hidden states.

    One trunk serves both uses; each has its own learnable tokens and its own last layer:
    *reconstruct* gives the hidden state that the codes stand for, *displace* the direction in
    which a pseudo-anomaly leaves the normal manifold.
    """

    def __init__(self, width: int, latent_width: int, n_tokens: int, n_layers: int = 2) -> None:
        super().__init__()
        self.code = nn.Linear(latent_width, width)
        self.tokens = nn.ParameterDict(
            {use: nn.Parameter(0.02 * torch.randn(n_tokens, width)) for use in _USES}
        )
        self.stack = TransformerStack(width, n_tokens, n_layers)
        self.heads = nn.ModuleDict(
            {use: nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width)) for use in _USES}
        )

    def forward(self, code: Float[Tensor, "batch n z"], use: Use) -> Float[Tensor, "batch n d"]:
        """Decode for one of the two uses."""
        decoded: Tensor = self.heads[use](self.stack(self.code(code) + self.tokens[use]))
        return decoded


class SensorHead(nn.Module):
    """Hidden state to the window in scaled units."""

    def __init__(self, n_sensors: int, patch_size: int, width: int) -> None:
        super().__init__()
        self.n_sensors = n_sensors
        self.linear = nn.Linear(width, patch_size * n_sensors)

    def forward(self, hidden: Float[Tensor, "batch n d"]) -> Float[Tensor, "batch time sensor"]:
        """Return the expected values of every sensor at every row."""
        return self._rows(self.linear(hidden))

    def displacement(self, delta: Float[Tensor, "batch n d"]) -> Float[Tensor, "batch time sensor"]:
        """Return what a displacement of the hidden state does to the sensors.

        Nothing is learnt by this way: reconstruction alone says what a hidden state means.
        """
        return self._rows(F.linear(delta, self.linear.weight.detach()))

    def _rows(self, patches: Tensor) -> Tensor:
        return patches.reshape(len(patches), -1, self.n_sensors)


_USES: tuple[Use, ...] = ("reconstruct", "displace")
