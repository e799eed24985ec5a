"""One step ahead: how far the rows of a window lie from what the few rows before each foretell.

A vector autoregression (Lütkepohl, *New Introduction to Multiple Time Series Analysis*, 2005, section
2.1) of the change from row to row, fitted by ridge regression. It is another view than that of the
nearest windows. Where levels wander, one that never was is no surprise once it stands; the jump to it
is one, and noise, or a sensor that no longer follows the others, is one in every row.

States and commands help to foretell the other sensors, and are not foretold.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

from aster_cli.model.whitening import SMALLEST_SQUARE
from aster_cli.windows import TrainingWindows

MOST_LAGS = 4
"""Rows that foretell the next one, where windows are at least twice as long."""

MOST_INPUTS = 1024
"""Values that foretell the next row, unless one row has more: on wide logs fewer rows do."""

FIT_ROWS = 40_000
"""About so many rows of the log fit a forecast."""

RIDGE = 0.01
"""Added to the inputs' second moments, in units of their mean."""

LEVEL_SHARE = 0.1
"""How much of the mean variance of all sensors' errors is added to each one's own."""


class Forecast(nn.Module):
    """Foretells the rows of a window, but for its first ones, each from those just before it.

    Args:
        coefficients: Of the rows before, the latest first, and of 1, for the change to the next row.
        scale: What a sensor's error is multiplied by: the inverse of a usual one, 0 if it is not
            foretold.
    """

    coefficients: Tensor
    scale: Tensor

    def __init__(
        self, coefficients: Float[Tensor, "input sensor"], scale: Float[Tensor, " sensor"]
    ) -> None:
        super().__init__()
        self.register_buffer("coefficients", coefficients.contiguous())
        self.register_buffer("scale", scale.contiguous())

    @classmethod
    def none(cls, size: int, n_sensors: int) -> "Forecast":
        """That every row is as the one before, with an error of 1."""
        inputs = n_lags(size, n_sensors) * n_sensors + 1
        return cls(torch.zeros(inputs, n_sensors), torch.ones(n_sensors))

    def forward(
        self, window: Float[Tensor, "batch time sensor"]
    ) -> Float[Tensor, "batch foretold sensor"]:
        """Errors of the forecasts, in units of usual ones."""
        lags = (len(self.coefficients) - 1) // len(self.scale)
        inputs, changes = _lagged(window, lags)
        errors: Tensor = (changes - inputs @ self.coefficients) * self.scale
        return errors

    def square(self, window: Float[Tensor, "batch time sensor"]) -> Float[Tensor, " batch"]:
        """The mean square of a window's errors, over the sensors that are foretold."""
        n_foretold = (self.scale > 0).sum().clamp_min(1)
        squares: Tensor = self(window).square().mean(dim=1).sum(dim=1) / n_foretold
        return squares.clamp_min(SMALLEST_SQUARE)


def n_lags(size: int, n_sensors: int) -> int:
    """How many rows foretell the next one."""
    return max(1, min(MOST_LAGS, size // 2, MOST_INPUTS // n_sensors))


def fit_forecasts(
    windows: TrainingWindows,
    blocks: list[NDArray[np.int64]],
    states: NDArray[np.bool_] | None = None,
) -> tuple[Forecast, list[Forecast]]:
    """Fit a forecast on all blocks of a log's time, and for each block one on the others' windows.

    What a usual error is, is learnt from blocks foretold by the others. Windows that lie across the edges
    of a block share rows with it, so on logs of a few hundred rows errors come out a little too small.

    Args:
        windows: Of the log.
        blocks: The numbers of the windows inside each, two blocks or more.
        states: ``(sensor,)`` those that are not foretold; None where all are.
    """
    size, n_sensors = windows.size, windows.n_sensors
    lags = n_lags(size, n_sensors)
    most = max(1, FIT_ROWS // (len(blocks) * (size - lags)))

    def read(block: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
        inputs, changes = _lagged(torch.from_numpy(windows.some(block, most)), lags)
        return inputs.flatten(0, 1), changes.flatten(0, 1)

    total = _Moments.none(lags * n_sensors + 1, n_sensors)
    for block in blocks:
        total = total.plus(_Moments.of(*read(block)))
    apart: list[Tensor] = []
    squares = torch.zeros(n_sensors, dtype=torch.float64)
    for block in blocks:
        inputs, changes = read(block)
        apart.append(total.plus(_Moments.of(inputs, changes), -1).solved())
        squares += (changes - inputs @ apart[-1]).double().square().mean(dim=0) / len(blocks)
    level = squares.mean().clamp_min(SMALLEST_SQUARE)
    scale = (squares + LEVEL_SHARE * level).rsqrt().float()
    if states is not None:
        scale[torch.from_numpy(states)] = 0.0
    return Forecast(total.solved(), scale), [Forecast(own, scale) for own in apart]


class _Moments(NamedTuple):
    """All that a regression needs to know of rows: sums over them."""

    inputs: Float[Tensor, "input input"]
    products: Float[Tensor, "input sensor"]
    n_rows: int

    @classmethod
    def none(cls, n_inputs: int, n_sensors: int) -> "_Moments":
        double = torch.float64
        return cls(
            torch.zeros(n_inputs, n_inputs, dtype=double),
            torch.zeros(n_inputs, n_sensors, dtype=double),
            0,
        )

    @classmethod
    def of(
        cls, inputs: Float[Tensor, "row input"], changes: Float[Tensor, "row sensor"]
    ) -> "_Moments":
        return cls((inputs.T @ inputs).double(), (inputs.T @ changes).double(), len(inputs))

    def plus(self, other: "_Moments", sign: int = 1) -> "_Moments":
        return _Moments(
            self.inputs + sign * other.inputs,
            self.products + sign * other.products,
            self.n_rows + sign * other.n_rows,
        )

    def solved(self) -> Float[Tensor, "input sensor"]:
        """The coefficients of a ridge regression."""
        ridge = RIDGE * self.inputs.diagonal().mean().clamp_min(self.n_rows * SMALLEST_SQUARE)
        eye = torch.eye(len(self.inputs), dtype=torch.float64)
        solved: Tensor = torch.linalg.solve(self.inputs + ridge * eye, self.products)
        return solved.float()


def _lagged(
    window: Float[Tensor, "batch time sensor"], lags: int
) -> tuple[Float[Tensor, "batch foretold input"], Float[Tensor, "batch foretold sensor"]]:
    """What foretells each row but the first ones, and how it differs from the one before."""
    n = window.shape[1] - lags
    before = [window[:, lags - lag : lags - lag + n] for lag in range(1, lags + 1)]
    ones = torch.ones_like(window[:, :n, :1])
    return torch.cat((*before, ones), dim=2), window[:, lags:] - before[0]
