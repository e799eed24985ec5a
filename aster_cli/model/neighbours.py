"""The window score: how far a whole window lies from what its nearest normal windows expect.

Sub-sequence k-nearest neighbours (the strongest simple peer on server logs), with two changes. The
mean of the nearest windows is the *expected* window, and what counts is the residual from it. And the
residual is measured in a Mahalanobis length (Mahalanobis, 1936) under the covariance of residuals
that normal windows have *from other stretches of time*: sensors that are never well expected count
less, sensors that always move together count as one, and drift within training is part of normal.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from aster_cli.windows import TrainingWindows

STORED_WINDOWS = 4000
"""At most so many normal windows are kept."""

NEIGHBOURS = 10
BLOCKS = 5
"""Stretches of training time, each expected from the others only."""

BLOCK_WINDOWS = 1000
"""At most so many windows of a block give residuals."""

OTHER_WINDOWS = 1000
"""At most so many windows outside a block are what it is expected from in training."""

DIAGONAL, ISOTROPIC = 0.02, 0.3
"""How much of the covariance is its diagonal, and how much of its mean variance is added to that."""

SMALLEST_VARIANCE = 1e-4
"""Of residuals, in squared scaled units: sensors at rest give none of their own."""


class NormalWindows(nn.Module):
    """Stored normal windows, and the length of a window's residual from them.

    Windows are stored flat. Squared distances come from one matrix product, so scoring a batch
    against thousands of stored windows costs less than the networks do.

    Args:
        windows: What is normal, in scaled units.
        whitening: Turns a row of residuals into one whose covariance is near the unit matrix.
    """

    windows: Tensor
    whitening: Tensor
    squared_norms: Tensor

    def __init__(
        self,
        windows: Float[Tensor, "stored time sensor"],
        whitening: Float[Tensor, "sensor sensor"],
    ) -> None:
        super().__init__()
        flat = windows.flatten(1).contiguous()
        self.register_buffer("windows", flat)
        self.register_buffer("whitening", whitening.contiguous())
        self.register_buffer("squared_norms", flat.square().sum(dim=1), persistent=False)

    @classmethod
    def fit(cls, windows: TrainingWindows) -> "NormalWindows":
        """Store windows spread evenly over the log, and learn the residuals of its blocks."""
        stored = torch.from_numpy(windows.evenly(STORED_WINDOWS))
        plain = torch.eye(stored.shape[2])
        second_moment = torch.zeros_like(plain, dtype=torch.float64)
        n_rows = 0
        for inside, outside in windows.blocks(BLOCKS):
            others = cls(torch.from_numpy(windows.some(outside, STORED_WINDOWS)), plain)
            asked = torch.from_numpy(windows.some(inside, BLOCK_WINDOWS))
            rows = others.residual(asked).flatten(0, 1).double()
            second_moment += rows.T @ rows
            n_rows += len(rows)
        # a log too short for blocks tells nothing of residuals: they count as they are
        return cls(stored, whitening_of(second_moment / n_rows) if n_rows else plain)

    def blocks(self, windows: TrainingWindows) -> list["Block"]:
        """The log's blocks, each with what the others expect; one of all, where it is too short."""
        return [
            Block(inside, NormalWindows(torch.from_numpy(others), self.whitening))
            for inside, outside in windows.blocks(BLOCKS)
            for others in [windows.some(outside, OTHER_WINDOWS)]
        ] or [Block(np.arange(len(windows)), self)]

    def residual(
        self, window: Float[Tensor, "batch time sensor"]
    ) -> Float[Tensor, "batch time sensor"]:
        """Return the window less the mean of its nearest stored ones, in scaled units."""
        flat = window.flatten(1)
        squared = self.squared_norms - 2.0 * (flat @ self.windows.T)
        k = min(NEIGHBOURS, len(self.windows))
        nearest = squared.topk(k, dim=1, largest=False).indices
        return (flat - self.windows[nearest].mean(dim=1)).view_as(window)

    def novelty(
        self, window: Float[Tensor, "batch time sensor"]
    ) -> Float[Tensor, "batch time sensor"]:
        """Return the whitened residual: about 1 where a window is as new as normal ones are."""
        return self.residual(window) @ self.whitening


class Block(NamedTuple):
    """A stretch of training time, and the stored windows that lie well outside it.

    Attributes:
        inside: ``(window,)`` numbers of its windows.
        others: What they are expected from.
    """

    inside: NDArray[np.int64]
    others: NormalWindows


def familiarity(novelty: Float[Tensor, "batch time sensor"]) -> Float[Tensor, " batch"]:
    """The inverse of a window's mean square novelty."""
    return novelty.square().mean(dim=(1, 2)).clamp_min(SMALLEST_VARIANCE).reciprocal()


def whitening_without(
    whitening: Float[Tensor, "sensor sensor"], absent: NDArray[np.int64]
) -> Float[Tensor, "sensor sensor"]:
    """The same for logs that lack some sensors: the others' marginal, at the same mean square."""
    present = torch.from_numpy(np.setdiff1d(np.arange(len(whitening)), absent))
    covariance = torch.linalg.inv(whitening.double() @ whitening.double().T)
    precision = torch.linalg.inv(covariance[present][:, present])
    reduced = torch.zeros_like(whitening)
    root = torch.linalg.cholesky(precision) * (len(whitening) / len(present)) ** 0.5
    reduced[present.unsqueeze(1), present] = root.float()
    return reduced


def whitening_of(
    covariance: Float[Tensor, "sensor sensor"],
) -> Float[Tensor, "sensor sensor"]:
    """A root of the inverse covariance, shrunk to its diagonal and to a multiple of the unit matrix.

    Shrinkage as in Ledoit and Wolf (2004), with fixed shares: `DIAGONAL` and `ISOTROPIC`.
    """
    variances = covariance.diagonal()
    level = variances.mean().clamp_min(SMALLEST_VARIANCE)
    shrunk = (1.0 - DIAGONAL) * covariance + torch.diag(DIAGONAL * variances + ISOTROPIC * level)
    root: Tensor = torch.linalg.cholesky(torch.linalg.inv(shrunk))
    return root.float()
