"""The VAE encoder: a Gaussian posterior over latent codes, one code a token."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from aster_cli.model.ranks import drawn, gathered


class VaeEncoder(nn.Module):
    """Hidden state to mean and log-variance of the latent code (Kingma and Welling, 2014)."""

    def __init__(self, width: int, latent_width: int) -> None:
        super().__init__()
        self.trunk = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.GELU())
        self.mean = nn.Linear(width, latent_width)
        self.log_variance = nn.Linear(width, latent_width)
        nn.init.zeros_(self.log_variance.weight)
        nn.init.constant_(self.log_variance.bias, -4.0)

    def forward(
        self, hidden: Float[Tensor, "batch n d"]
    ) -> tuple[Float[Tensor, "batch n z"], Float[Tensor, "batch n z"]]:
        """Return mean and log-variance; the latter bounded, so that its exponential is finite."""
        features = self.trunk(hidden)
        return self.mean(features), self.log_variance(features).clamp(-10.0, 4.0)


def sample_posterior(
    mean: Float[Tensor, "batch n z"], log_variance: Float[Tensor, "batch n z"]
) -> Float[Tensor, "batch n z"]:
    """Draw a latent code by the reparameterisation trick."""
    noise = drawn(torch.randn, *mean.shape, device=mean.device)
    return mean + torch.exp(0.5 * log_variance) * noise


def sample_relaxed_prior(
    mean: Float[Tensor, "batch n z"], widest: float = 3.0
) -> Float[Tensor, "batch n z"]:
    """Draw codes around the batch's own, as wide as the prior or up to `widest` times wider.

    Half of the windows start from another window's code, so that generated directions do not
    depend on the window that they displace; the width is drawn log-uniformly for each window.
    """
    batch, device = len(mean), mean.device
    source = torch.where(
        drawn(torch.rand, batch, 1, 1, device=device) < 0.5,
        mean,
        gathered(mean)[drawn(torch.randperm, batch, device=device)],
    )
    relaxation = widest ** drawn(torch.rand, batch, 1, 1, device=device)
    return source + relaxation * drawn(torch.randn, *mean.shape, device=device)
