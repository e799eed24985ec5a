"""From residuals to novelty: how far a window is from what was expected, in units of what is usual.

A residual is measured in Mahalanobis lengths (Mahalanobis, 1936), under the second moments of the
residuals that normal windows have *from other stretches of time*. There are three of them, and in training
their geometric mean counts (in the score, see `NormalWindows.familiarity`):

* *row by row*, whitened among the sensors, so that those which always move together count as one;
* the sensors *together*, whitened in the same way and then each over the rows of a window. What drifts
  is off by much the same in all rows of a normal window, so such an offset counts little; a course
  that no normal window takes counts much;
* every sensor *alone*, whitened over rows only.

A sensor that has shown no more than two values is a state or a command. It says in which regime the
others are, and how often it is switched is no measure of how new that is: it counts less.
"""

from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor, nn

DIAGONAL, ISOTROPIC = 0.02, 0.3
"""How much of the sensors' covariance is its diagonal, and of its mean variance is added to that."""

ROW_SHARE, LEVEL_SHARE = 0.1, 0.1
"""How much of a sensor's mean variance, and of that of all sensors, is added over rows."""

STATE_WEIGHT = 0.35
"""Of the whitened residual of a sensor that has shown two values at most."""

SMALLEST_SQUARE = 1e-4
"""Of residuals, in squared scaled units: sensors at rest give none of their own."""


class Novelty(NamedTuple):
    """Whitened residuals of windows, up to about 1 in root mean square where windows are normal.

    Shrinkage keeps it below 1 where residuals are much alike: offsets that drift, one loud sensor.
    """

    by_row: Float[Tensor, "batch time sensor"]
    together: Float[Tensor, "batch time sensor"]
    alone: Float[Tensor, "batch time sensor"]

    def squares(self) -> Float[Tensor, "length batch"]:
        """A window's mean square in each of the three lengths."""
        squares = [part.square().mean(dim=(1, 2)).clamp_min(SMALLEST_SQUARE) for part in self]
        return torch.stack(squares)

    def square(self) -> Float[Tensor, " batch"]:
        """A window's mean square: the geometric mean of the three lengths' own."""
        return self.squares().log().mean(dim=0).exp()


class Whitening(nn.Module):
    """Symmetric roots of inverse covariances, which leave every value at its sensor and row.

    Args:
        sensors: Among sensors.
        together: Of each sensor over rows, after `sensors`.
        alone: Of each sensor over rows, and nothing before.
        weight: Of each sensor, in all three lengths.
    """

    sensors: Tensor
    together: Tensor
    alone: Tensor
    weight: Tensor

    def __init__(
        self,
        sensors: Float[Tensor, "sensor sensor"],
        together: Float[Tensor, "sensor time time"],
        alone: Float[Tensor, "sensor time time"],
        weight: Float[Tensor, " sensor"],
    ) -> None:
        super().__init__()
        self.register_buffer("sensors", sensors.contiguous())
        self.register_buffer("together", together.contiguous())
        self.register_buffer("alone", alone.contiguous())
        self.register_buffer("weight", weight.contiguous())

    @classmethod
    def plain(cls, size: int, n_sensors: int) -> "Whitening":
        """Residuals as they are."""
        rows = torch.eye(size).expand(n_sensors, -1, -1)
        return cls(torch.eye(n_sensors), rows, rows, torch.ones(n_sensors))

    @classmethod
    def fit(
        cls,
        residuals: Float[Tensor, "window time sensor"],
        states: NDArray[np.bool_] | None = None,
    ) -> "Whitening":
        """Learn what is usual from the residuals of normal windows.

        Args:
            residuals: From what other stretches of time expect.
            states: ``(sensor,)`` those that have shown two values at most; None where none has.
        """
        sensors = _among_sensors(residuals)
        gain = float(sensors.square().sum(dim=0).mean())
        weight = torch.ones(residuals.shape[2])
        if states is not None:
            weight[torch.from_numpy(states)] = STATE_WEIGHT
        return cls(
            sensors,
            _over_rows(residuals @ sensors, SMALLEST_SQUARE * gain),
            _over_rows(residuals, SMALLEST_SQUARE),
            weight,
        )

    def forward(self, residual: Float[Tensor, "batch time sensor"]) -> Novelty:
        """Whiten residuals."""
        by_row = residual @ self.sensors
        return Novelty(
            by_row * self.weight,
            torch.einsum("btc,cts->bsc", by_row, self.together) * self.weight,
            self.each_alone(residual),
        )

    def each_alone(
        self, residual: Float[Tensor, "batch time sensor"]
    ) -> Float[Tensor, "batch time sensor"]:
        """Whiten every sensor over rows, whatever the others do."""
        return torch.einsum("btc,cts->bsc", residual, self.alone) * self.weight

    def without(self, absent: NDArray[np.int64]) -> "Whitening":
        """The same for logs that lack some sensors: the others' marginal, at the same mean square.

        Over rows each of the others keeps the course that it had beside the absent ones.
        """
        n_sensors = len(self.sensors)
        present = torch.from_numpy(np.setdiff1d(np.arange(n_sensors), absent))
        full = self.sensors.double()
        shrunk = torch.linalg.inv(full @ full)
        marginal = _inverse_root(shrunk[present][:, present])
        # bound to absent ones, a sensor had less of its own before than it has now
        second = _unshrunk(shrunk)
        before = (full @ second @ full).diagonal()[present]
        now = (marginal.double() @ second[present][:, present] @ marginal.double()).diagonal()
        sensors = torch.zeros_like(self.sensors)
        sensors[present.unsqueeze(1), present] = (
            marginal * (before / now.clamp_min(1e-12)).sqrt().float()
        )
        weight = torch.zeros(n_sensors)
        weight[present] = self.weight[present]
        weight *= self.weight.norm() / weight.norm()
        return Whitening(sensors, self.together, self.alone, weight)


def _among_sensors(
    residuals: Float[Tensor, "window time sensor"],
) -> Float[Tensor, "sensor sensor"]:
    """Whiten rows of residuals, their covariance shrunk to its diagonal and to one variance for all.

    Shrinkage as in Ledoit and Wolf (2004), with fixed shares: `DIAGONAL` and `ISOTROPIC`.
    """
    rows = residuals.flatten(0, 1)
    second = (rows.T @ rows).double() / len(rows)
    variances = second.diagonal()
    ridge = DIAGONAL * variances + ISOTROPIC * variances.mean().clamp_min(SMALLEST_SQUARE)
    return _inverse_root((1.0 - DIAGONAL) * second + torch.diag(ridge))


def _unshrunk(shrunk: Float[Tensor, "sensor sensor"]) -> Float[Tensor, "sensor sensor"]:
    """The covariance that `_among_sensors` shrank."""
    variances = shrunk.diagonal()
    own = (variances - ISOTROPIC / (1.0 + ISOTROPIC) * variances.mean()).clamp_min(0.0)
    second = shrunk / (1.0 - DIAGONAL)
    return second - torch.diag(second.diagonal()) + torch.diag(own)


def _over_rows(
    residuals: Float[Tensor, "window time sensor"], smallest: float
) -> Float[Tensor, "sensor time time"]:
    """Whiten every sensor's rows of a window, shrunk by `ROW_SHARE` and `LEVEL_SHARE`.

    `smallest` is the least mean square that all sensors are taken to have.
    """
    second = torch.einsum("wtc,wsc->cts", residuals, residuals).double() / len(residuals)
    variances = second.diagonal(dim1=1, dim2=2).mean(dim=1)
    level = variances.mean().clamp_min(smallest)
    ridge = ROW_SHARE * variances + LEVEL_SHARE * level
    return _inverse_root(second + ridge.view(-1, 1, 1) * torch.eye(residuals.shape[1]))


def _inverse_root(second: Float[Tensor, "... n n"]) -> Float[Tensor, "... n n"]:
    """The symmetric root of the inverse, in single precision."""
    values, vectors = torch.linalg.eigh(second)
    root: Tensor = (vectors / values.sqrt().unsqueeze(-2)) @ vectors.mT
    return root.float()
