"""Kernels that torch.compile makes of the network: a minute first, and then faster steps and batches.

What is drawn at random stays outside of them, so training draws the same numbers with and without.
"""

import random
from functools import cache

import torch

from aster_cli.errors import UsageError
from aster_cli.model.aster import AsterNetwork


def compile_network(network: AsterNetwork, device: torch.device) -> None:
    """Replace what takes most of the time by kernels, which are made when they are first called.

    A network of the same shape later on has the same ones.

    Args:
        network: On `device`; its weights keep their names.
        device: Where it computes.

    Raises:
        UsageError: torch.compile does not work for the device here.
    """
    _require_compiler(device)
    network.hidden = torch.compile(network.hidden, dynamic=False)  # type: ignore[method-assign]
    network.judge = torch.compile(network.judge, dynamic=False)  # type: ignore[method-assign]


@cache
def _require_compiler(device: torch.device) -> None:
    """Make a small kernel; one of another number than before, for made ones are kept on disk."""
    scale = random.random()
    try:
        torch.compile(lambda x: scale * x)(torch.ones(8, device=device))
    except (RuntimeError, OSError, ImportError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise UsageError(
            f"torch.compile does not work here ({reason})",
            where="--compile",
            hint="leave it out, or install what is missing: g++ for a processor",
        ) from error
