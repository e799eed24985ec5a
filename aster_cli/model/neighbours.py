"""The window score: how far a whole window lies from what its nearest normal windows expect.

Sub-sequence k-nearest neighbours (the strongest simple peer on server logs), with two changes. The
mean of the nearest windows is the *expected* window, and what counts is the residual from it. And the
residual is measured by what residuals normal windows have *from other stretches of time*, so that
drift within training is part of normal; see `aster_cli.model.whitening`.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from aster_cli.model.whitening import Novelty, Whitening
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

BLOCK_CELLS = 1 << 24
"""At most so many cells of a block do: on very wide logs that is fewer windows."""


class NormalWindows(nn.Module):
    """Stored normal windows, and the length of a window's residual from them.

    Windows are stored flat. Squared distances come from one matrix product, so scoring a batch
    against thousands of stored windows costs less than the networks do.

    Args:
        windows: What is normal, in scaled units.
        whitening: Turns residuals into novelty.
    """

    windows: Tensor
    squared_norms: Tensor

    def __init__(self, windows: Float[Tensor, "stored time sensor"], whitening: Whitening) -> None:
        super().__init__()
        flat = windows.flatten(1).contiguous()
        self.register_buffer("windows", flat)
        self.register_buffer("squared_norms", flat.square().sum(dim=1), persistent=False)
        self.whitening = whitening

    @classmethod
    def fit(
        cls, windows: TrainingWindows, two_valued: NDArray[np.bool_] | None = None
    ) -> "NormalWindows":
        """Store windows spread evenly over the log, and learn the residuals of its blocks.

        Args:
            windows: Of the log.
            two_valued: See `Whitening.fit`.
        """
        stored = torch.from_numpy(windows.evenly(STORED_WINDOWS))
        _, size, n_sensors = stored.shape
        plain = Whitening.plain(size, n_sensors)
        n_asked = min(BLOCK_WINDOWS, max(1, BLOCK_CELLS // (size * n_sensors)))
        residuals = []
        for inside, outside in windows.blocks(BLOCKS):
            others = cls(torch.from_numpy(windows.some(outside, STORED_WINDOWS)), plain)
            residuals.append(others.residual(torch.from_numpy(windows.some(inside, n_asked))))
        # a log too short for blocks tells nothing of residuals: they count as they are
        whitening = Whitening.fit(torch.cat(residuals), two_valued) if residuals else plain
        return cls(stored, whitening)

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

    def novelty(self, window: Float[Tensor, "batch time sensor"]) -> Novelty:
        """Return the whitened residual: in units of how new normal windows are."""
        novelty: Novelty = self.whitening(self.residual(window))
        return novelty


class Block(NamedTuple):
    """A stretch of training time, and the stored windows that lie well outside it.

    Attributes:
        inside: ``(window,)`` numbers of its windows.
        others: What they are expected from.
    """

    inside: NDArray[np.int64]
    others: NormalWindows
