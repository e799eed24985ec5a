"""The window score: how far a whole window lies from what its nearest normal windows expect.

Sub-sequence k-nearest neighbours (the strongest simple peer on server logs), with two changes. The
mean of the nearest windows is the *expected* window, and what counts is the residual from it. And the
residual is measured by what residuals normal windows have *from other stretches of time*, so that
drift within training is part of normal; see `aster_cli.model.whitening`. Beside its three lengths
stands a fourth, which knows no neighbours: `aster_cli.model.forecast`.

Where the nearest windows are themselves far from all of other times, in a seldom or restless regime,
a residual says less. So novelty is weighed against how remote they are, as the local outlier factor
weighs a distance (Breunig, Kriegel, Ng and Sander, 2000), but for a fraction of it only.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from aster_cli.model.forecast import Forecast, fit_forecasts
from aster_cli.model.whitening import SMALLEST_SQUARE, Novelty, Whitening
from aster_cli.windows import TrainingWindows, thinned

STORED_WINDOWS = 4000
"""At most so many normal windows are kept."""

NEIGHBOURS = 10
BLOCKS = 5
"""Stretches of training time, each expected from the others only."""

BLOCK_WINDOWS = 1000
"""At most so many windows of a block give residuals."""

REMOTENESS_SHARE = 0.35
"""The power of the nearest windows' remoteness that a squared novelty is divided by."""

LEAST_REMOTE = 0.05
"""Added to every stored window's remoteness: of two regimes that repeat to the bit none is closer."""

TOP = 0.99
"""The quantile of normal windows up to which lengths are compared."""

LEAST_SPREAD = 0.1
"""Of the logarithm of a squared length, from its median to `TOP`."""

OTHER_WINDOWS = 1000
"""At most so many stored windows are what a block is expected from in training and calibration."""

BLOCK_CELLS = 1 << 24
"""At most so many cells of a block do: on very wide logs that is fewer windows."""


class Departure(NamedTuple):
    """How windows differ from what the nearest stored ones expect.

    Attributes:
        residual: The window less the mean of its nearest stored ones, in scaled units.
        allowance: What its squared novelty is to be divided by: above 1 where the nearest windows are
            more remote than the median one.
        distance: Mean square distance to the nearest stored windows.
    """

    residual: Float[Tensor, "batch time sensor"]
    allowance: Float[Tensor, " batch"]
    distance: Float[Tensor, " batch"]


class NormalWindows(nn.Module):
    """Stored normal windows, and the length of a window's residual from them.

    Windows are stored flat. Squared distances come from one matrix product, so scoring a batch
    against thousands of stored windows costs less than the networks do.

    Args:
        windows: What is normal, in scaled units.
        whitening: Turns residuals into novelty.
        remoteness: Each one's distance to the nearest of other times, squared, in medians of that;
            all alike if None.
        forecast: Foretells rows; that nothing changes if None.
        shares: Of the three lengths of novelty and of the forecast's in the score; of the three alike
            and nothing of the forecast's if None.
    """

    windows: Tensor
    squared_norms: Tensor
    remoteness: Tensor
    shares: Tensor

    def __init__(
        self,
        windows: Float[Tensor, "stored time sensor"],
        whitening: Whitening,
        remoteness: Float[Tensor, " stored"] | None = None,
        forecast: Forecast | None = None,
        shares: Float[Tensor, " length"] | None = None,
    ) -> None:
        super().__init__()
        flat = windows.flatten(1).contiguous()
        self.register_buffer("windows", flat)
        self.register_buffer("squared_norms", flat.square().sum(dim=1), persistent=False)
        self.register_buffer(
            "remoteness", torch.ones(len(flat)) if remoteness is None else remoteness
        )
        self.register_buffer("shares", without_forecast() if shares is None else shares)
        self.whitening = whitening
        self.forecast = forecast or Forecast.none(*windows.shape[1:])
        self._apart: list[Forecast] = []

    @classmethod
    def fit(
        cls,
        windows: TrainingWindows,
        states: NDArray[np.bool_] | None = None,
        *,
        held_out: TrainingWindows | None = None,
        shares: Float[Tensor, " length"] | None = None,
    ) -> "NormalWindows":
        """Store windows spread evenly over the log, and learn what is usual between its blocks.

        Args:
            windows: Of the log.
            states: See `Whitening.fit`.
            held_out: Normal windows of another time, which help to learn the shares.
            shares: As they were learnt before; learnt here if None. Where these windows are too short
                for blocks the forecast has no share in any case.
        """
        numbers = windows.even_numbers(STORED_WINDOWS)
        stored = torch.from_numpy(windows.take(numbers))
        _, size, n_sensors = stored.shape
        plain = Whitening.plain(size, n_sensors)
        blocks = list(windows.blocks(BLOCKS))
        if len(blocks) < 2:
            # a log too short for blocks tells nothing of residuals: they count as they are
            return cls(stored, plain)
        n_asked = min(BLOCK_WINDOWS, max(1, BLOCK_CELLS // (size * n_sensors)))
        forecast, apart = fit_forecasts(windows, [inside for inside, _ in blocks], states)
        residuals, foretold = [], []
        distances = torch.full((len(stored),), torch.nan)
        for (inside, outside), one in zip(blocks, apart, strict=True):
            others = cls(torch.from_numpy(windows.some(outside, STORED_WINDOWS)), plain)
            asked = torch.from_numpy(windows.some(inside, n_asked))
            residuals.append(others.residual(asked))
            foretold.append(one.square(asked))
            own = np.flatnonzero(np.isin(numbers, inside))
            for part in np.array_split(own, max(1, len(own) // n_asked)):
                distances[part] = others.depart(stored[part]).distance
        whitening = Whitening.fit(torch.cat(residuals), states)
        remoteness = _remoteness(distances, size * n_sensors)
        normal = cls(stored, whitening, remoteness, forecast, shares)
        normal._apart = apart
        if shares is None:
            lengths = [
                _lengths(whitening(own), squares)
                for own, squares in zip(residuals, foretold, strict=True)
            ]
            if held_out is not None and len(held_out):
                asked = torch.from_numpy(held_out.evenly(n_asked))
                lengths.append(_lengths(normal.novelty(asked), forecast.square(asked)))
            normal.shares.copy_(_shares(torch.cat(lengths, dim=1)))
        return normal

    def blocks(self, windows: TrainingWindows) -> list["Block"]:
        """The log's blocks, each with what the others expect; one of all, where it is too short.

        Args:
            windows: Those that these were fitted on.
        """
        if not self._apart:
            return [Block(np.arange(len(windows)), self)]
        numbers, device = windows.even_numbers(STORED_WINDOWS), self.windows.device
        size, n_sensors = self.whitening.alone.shape[1], len(self.whitening.sensors)
        blocks = []
        for (inside, outside), forecast in zip(windows.blocks(BLOCKS), self._apart, strict=True):
            kept = torch.from_numpy(
                thinned(np.flatnonzero(np.isin(numbers, outside)), OTHER_WINDOWS)
            )
            kept = kept.to(device)
            others = NormalWindows(
                self.windows[kept].view(-1, size, n_sensors),
                self.whitening,
                self.remoteness[kept],
                forecast.to(device),
                self.shares,
            )
            blocks.append(Block(inside, others))
        return blocks

    def depart(self, window: Float[Tensor, "batch time sensor"]) -> Departure:
        """Compare windows with their nearest stored ones."""
        flat = window.flatten(1)
        squared = self.squared_norms - 2.0 * (flat @ self.windows.T)
        k = min(NEIGHBOURS, len(self.windows))
        found = squared.topk(k, dim=1, largest=False)
        expected = self.windows[found.indices].mean(dim=1)
        remoteness = self.remoteness[found.indices].log().mean(dim=1).exp()
        distance = (found.values + flat.square().sum(dim=1, keepdim=True)).clamp_min(0.0)
        return Departure(
            (flat - expected).view_as(window), remoteness**REMOTENESS_SHARE, distance.mean(dim=1)
        )

    def residual(
        self, window: Float[Tensor, "batch time sensor"]
    ) -> Float[Tensor, "batch time sensor"]:
        """Return the window less the mean of its nearest stored ones, in scaled units."""
        return self.depart(window).residual

    def novelty(self, window: Float[Tensor, "batch time sensor"]) -> Novelty:
        """Return the whitened residual: in units of how new normal windows are."""
        novelty: Novelty = self.whitening(self.residual(window))
        return novelty

    def familiarity(
        self,
        window: Float[Tensor, "batch time sensor"],
        novelty: Novelty,
        allowance: Float[Tensor, " batch"],
    ) -> Float[Tensor, " batch"]:
        """The allowance over the product of the four squared lengths, each to the power of its share.

        Args:
            window: In scaled units.
            novelty: What `whitening` makes of its residual.
            allowance: See `Departure`.
        """
        lengths = _lengths(novelty, self.forecast.square(window))
        return allowance / (self.shares @ lengths.log()).exp()


def without_forecast(shares: Float[Tensor, " length"] | None = None) -> Float[Tensor, " length"]:
    """The same shares but for the forecast's, which has none; all alike if None."""
    novelty = torch.ones(3) if shares is None else shares[:3]
    return torch.cat((novelty / novelty.sum(), torch.zeros(1)))


def _lengths(novelty: Novelty, foretold: Float[Tensor, " batch"]) -> Float[Tensor, "length batch"]:
    """All four squared lengths of windows; `foretold` is that of their forecasts' errors."""
    return torch.cat((novelty.squares(), foretold.unsqueeze(0)))


def _shares(lengths: Float[Tensor, "length window"]) -> Float[Tensor, " length"]:
    """Each length counts as much as its logarithm spreads among normal windows, from the median up.

    What reaches far in normal windows has a wide scale, on which anomalies stand far out too.
    """
    logs = lengths.log()
    top, middle = logs.quantile(TOP, dim=1), logs.quantile(0.5, dim=1)
    spread = (top - middle).clamp_min(LEAST_SPREAD)
    return spread / spread.sum()


def _remoteness(distances: Float[Tensor, " stored"], cells: int) -> Float[Tensor, " stored"]:
    """Squared distances in medians of them, and `LEAST_REMOTE`; 1 where none is known.

    Args:
        distances: NaN where there is no other time to be far from.
        cells: Of a window.
    """
    unknown = distances.isnan()
    if unknown.all():
        return torch.ones_like(distances)
    median = distances[~unknown].median().clamp_min(SMALLEST_SQUARE * cells)
    relative = (distances / median + LEAST_REMOTE) / (1.0 + LEAST_REMOTE)
    return relative.where(~unknown, 1.0)


class Block(NamedTuple):
    """A stretch of training time, and the stored windows that lie well outside it.

    Attributes:
        inside: ``(window,)`` numbers of its windows.
        others: What they are expected from.
    """

    inside: NDArray[np.int64]
    others: NormalWindows
