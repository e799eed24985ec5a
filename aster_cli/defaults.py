"""What a detector derives from its training log where the user does not say: one rule for all.

No rule here sees a label, a test row or the name of a dataset. The evidence for each is in
``docs/lab-notes.md``.
"""

import math

import msgspec

from aster_cli.config import DetectorConfig

LARGEST_WINDOW = 32
SMALLEST_WINDOW = 8
WINDOWS_OVER_ROW = 4
"""Windows that a row lies in when it is scored: the stride is so much of a window."""

ROWS_PER_WINDOW = 12
"""A window is at most this fraction of a machine's rows, so that held-out parts hold some."""


def resolve(config: DetectorConfig, longest_series: int, n_sensors: int) -> DetectorConfig:
    """Fill in what the configuration leaves open.

    Args:
        config: As the user gave it.
        longest_series: Rows of the machine with the most rows.
        n_sensors: Sensors of a row.
    """
    model = config.model
    patch = model.patch_size
    size = model.window_size
    if size is None:
        fitting = min(LARGEST_WINDOW, longest_series // ROWS_PER_WINDOW)
        size = max(fitting // patch, math.ceil(SMALLEST_WINDOW / patch), 2) * patch
    resolved = msgspec.structs.replace(
        model,
        window_size=size,
        stride=model.stride or max(1, size // WINDOWS_OVER_ROW),
        latent_width=model.latent_width or min(32, max(8, n_sensors // 2)),
    )
    return msgspec.structs.replace(config, model=resolved)


def training_steps(n_windows: int) -> int:
    """Optimiser steps: more windows deserve more, but few are best.

    What longer training adds is knowledge of the training log, not of anomalies.
    """
    return min(400, max(80, n_windows // 300))
