"""Windows to readings: the trained network and the stored normal windows, in batches of one shape."""

import math

import numpy as np
import torch
from jaxtyping import Float
from numpy.typing import NDArray
from torch import Tensor

from aster_cli.model.aster import AsterNetwork
from aster_cli.model.device import halved, to_device
from aster_cli.model.neighbours import NormalWindows
from aster_cli.streams import WindowReadings

READINGS = ("classifier", "window")
"""What is read off every window; see `aster_cli.calibration.join_readings`."""

FARTHEST = 30.0
"""In scaled units over the knee: beyond it no sensor departs farther, lest squares become infinite."""

STANDING = 0.1
"""Of a sensor's mean departure in a window: so much of it counts as if it swung."""

REACH = 0.25
"""Of a window: so many rows away a departure counts for a factor e less."""


class WindowReader:
    """The trained network and the stored normal windows, reading windows in batches of one shape.

    Args:
        network: In evaluation mode, on `device`.
        normal: The stored normal windows, on `device`.
        device: Where both live.
        batch_windows: Windows of a batch: equal windows in batches of equal shape give equal bits.

    Attributes:
        batch_windows: The same, or fewer since the device's memory did not hold so many.
    """

    def __init__(
        self,
        network: AsterNetwork,
        normal: NormalWindows,
        device: torch.device,
        batch_windows: int,
    ) -> None:
        self._network = network
        self._normal = normal
        self._device = device
        self.batch_windows = batch_windows

    def against(self, normal: NormalWindows) -> "WindowReader":
        """The same network with other stored windows."""
        return WindowReader(
            self._network, normal.to(self._device), self._device, self.batch_windows
        )

    def read(self, windows: NDArray[np.float32], knees: NDArray[np.float32]) -> WindowReadings:
        """Read windows.

        Args:
            windows: ``(window, size, sensor)`` in scaled units.
            knees: Where their machines' sensors are compressed, ``(window, sensor)``, or ``(sensor,)``
                where all are of one machine.

        Raises:
            UsageError: The device's memory does not hold a single window.
        """
        n, _, n_sensors = windows.shape
        knees = np.broadcast_to(knees, (n, n_sensors))
        parts: list[WindowReadings] = []
        start = 0
        while start < n:
            batch = slice(start, start + self.batch_windows)
            try:
                parts.append(self._read_batch(windows[batch], knees[batch]))
            except torch.OutOfMemoryError:
                self.batch_windows = halved(self.batch_windows, self._device)
            else:
                start = batch.stop
        if not parts:
            return no_readings(windows)
        return WindowReadings(
            {name: np.concatenate([part.rows[name] for part in parts]) for name in READINGS},
            np.concatenate([part.expected for part in parts]),
            np.concatenate([part.departures for part in parts]),
        )

    @torch.inference_mode()
    def _read_batch(
        self, windows: NDArray[np.float32], knees: NDArray[np.float32]
    ) -> WindowReadings:
        n, size, n_sensors = windows.shape
        padded = np.zeros((self.batch_windows, size, n_sensors), dtype=np.float32)
        padded[:n] = windows
        knee = np.ones((self.batch_windows, 1, n_sensors), dtype=np.float32)
        knee[:n, 0] = knees
        batch, bends = to_device(padded, self._device), to_device(knee, self._device)
        residual, allowance, _ = self._normal.depart(batch)
        novelty = self._normal.whitening(residual)
        familiarity = self._normal.familiarity(batch, novelty, allowance)
        expected = batch - residual
        logits = self._network(batch, novelty.together)
        # rows are too small a unit, so the whole window speaks; a token may only say less
        whole = logits.mean(dim=1, keepdim=True)
        tokens = torch.minimum(logits, whole)
        rows = {
            "classifier": tokens.repeat_interleave(size // tokens.shape[1], dim=1),
            "window": familiarity.unsqueeze(1).expand(-1, size),
        }
        return WindowReadings(
            {name: _numpy(values[:n]) for name, values in rows.items()},
            _numpy(expected[:n]),
            _numpy(self._departures(batch, expected, bends)[:n]),
        )

    def _departures(
        self,
        actual: Float[Tensor, "batch time sensor"],
        expected: Float[Tensor, "batch time sensor"],
        knee: Float[Tensor, "batch 1 sensor"],
    ) -> Float[Tensor, "batch time sensor"]:
        """How far each sensor departs from what is expected, near each row: squares of deviations.

        In standard deviations, since the logarithmic part of scaled units makes the loudest sensor
        look like the others. Three parts of four are whitened over rows, in units of what is usual of
        the sensor, since an offset that drifts is little of a cause; the fourth is how far it swings
        in the window. Rows are too small a unit: the farthest departure around counts.
        """
        deviation = _standard(actual, knee) - _standard(expected, knee)
        unusual = self._normal.whitening.each_alone(deviation).abs()
        swing = (deviation - (1.0 - STANDING) * deviation.mean(dim=1, keepdim=True)).abs()
        return _carried(unusual * (unusual * swing).sqrt())


def _carried(departures: Float[Tensor, "batch time sensor"]) -> Float[Tensor, "batch time sensor"]:
    """The largest departure around each row, less of it the farther away it is; see `REACH`.

    By steps of 1, 2, 4 and so on rows, which together reach any row.
    """
    carried, size = departures.clone(), departures.shape[1]
    step = 1
    while step < size:
        kept = math.exp(-step / (REACH * size))
        before, after = carried[:, :-step], carried[:, step:]
        torch.maximum(after, kept * before, out=after)
        torch.maximum(before, kept * after, out=before)
        step *= 2
    return carried


def _standard(
    scaled: Float[Tensor, "batch time sensor"], knee: Float[Tensor, "batch 1 sensor"]
) -> Float[Tensor, "batch time sensor"]:
    """Scaled units back to standard deviations."""
    return knee * torch.sinh((scaled / knee).clamp(-FARTHEST, FARTHEST))


def _numpy(values: Tensor) -> NDArray[np.float32]:
    array: NDArray[np.float32] = values.float().cpu().numpy()
    return array


def no_readings(windows: NDArray[np.float32]) -> WindowReadings:
    """What there is to read of no windows."""
    empty = np.zeros(windows.shape[:2], dtype=np.float32)
    return WindowReadings(dict.fromkeys(READINGS, empty), windows, windows)
