"""Gradient reversal: the identity on the way forward, -λ times the gradient on the way back.

Ganin and Lempitsky, *Unsupervised Domain Adaptation by Backpropagation*, ICML 2015.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor


class _Reversal(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return x.view_as(x)

    @staticmethod
    def backward(ctx: Any, *gradients: Any) -> tuple[Tensor, None]:
        return -ctx.strength * gradients[0], None


def reverse_gradient(x: Float[Tensor, "*shape"], strength: float) -> Float[Tensor, "*shape"]:
    """Return `x`; its gradient arrives upstream multiplied by ``-strength``."""
    reversed_: Float[Tensor, "*shape"] = _Reversal.apply(x, strength)  # type: ignore[no-untyped-call]
    return reversed_


def reversal_schedule(progress: float, strength: float) -> float:
    """Strength at `progress` (0 to 1) of the training: from 0 smoothly up to `strength`.

    The schedule of Ganin and Lempitsky (section 5.1): ``2 / (1 + exp(-10 p)) - 1``.
    """
    return strength * (2.0 / (1.0 + math.exp(-10.0 * progress)) - 1.0)
