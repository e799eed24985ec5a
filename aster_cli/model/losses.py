"""The terms of the joint loss, each a number with a name."""

from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor


@dataclass(frozen=True, slots=True)
class LossTerms:
    """The terms of one batch; `total` weighs them.

    Attributes:
        window_reconstruction: How far the expected values are from the window, in scaled units.
        hidden_reconstruction: How far the decoded hidden state is from the true one, per spread.
        kl: Kullback-Leibler divergence of the posterior from the unit Gaussian, per latent unit.
        classification: Cross-entropy of real against generated tokens.
    """

    window_reconstruction: Tensor
    hidden_reconstruction: Tensor
    kl: Tensor
    classification: Tensor

    def total(self, beta: float) -> Tensor:
        """The ELBO's terms (β-VAE, Higgins et al., 2017) and the classification loss, summed."""
        elbo = self.window_reconstruction + self.hidden_reconstruction + beta * self.kl
        return elbo + self.classification

    def detached(self) -> dict[str, float]:
        """The terms by name, as plain numbers."""
        return {field.name: float(getattr(self, field.name).detach()) for field in fields(self)}


def kl_to_unit_gaussian(
    mean: Float[Tensor, "batch n z"], log_variance: Float[Tensor, "batch n z"]
) -> Float[Tensor, ""]:
    """KL divergence in closed form (Kingma and Welling, 2014, appendix B), mean per latent unit."""
    return 0.5 * (mean.square() + log_variance.exp() - 1.0 - log_variance).mean()


def real_against_generated(
    real: Float[Tensor, "batch n"],
    generated: Float[Tensor, "batch n"],
    displaced: Bool[Tensor, "batch n"],
) -> Float[Tensor, ""]:
    """Binary cross-entropy, real and generated windows weighing the same.

    A generated window keeps its undisplaced tokens' label: normal.
    """
    return 0.5 * (
        F.binary_cross_entropy_with_logits(real, torch.zeros_like(real))
        + F.binary_cross_entropy_with_logits(generated, displaced.to(generated.dtype))
    )
