"""The one trick that makes the generator an adversary."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from aster_cli.model.gradient_reversal import reversal_schedule, reverse_gradient

shares = st.floats(0.0, 1.0)
strengths = st.floats(0.0, 10.0)


@pytest.mark.parametrize("strength", [0.0, 0.3, 2.0])
def test_identity_forward_and_minus_lambda_backward(strength: float) -> None:
    """Any change forward would alter the pseudo-anomalies; the sign backward makes the game."""
    x = torch.randn(4, 3, requires_grad=True)
    weights = torch.randn(4, 3)
    y = reverse_gradient(x, strength)
    assert torch.equal(y, x)
    torch.autograd.backward((weights * y).sum())
    assert x.grad is not None
    torch.testing.assert_close(x.grad, -strength * weights)


def test_reversing_twice_undoes_itself() -> None:
    """Through the reversal itself, not beside it: the gradient must pass the graph's own node."""
    x = torch.randn(5, requires_grad=True)
    torch.autograd.backward(reverse_gradient(reverse_gradient(x, 0.5), 2.0).sum())
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.ones(5))


@given(shares, shares, strengths)
def test_the_schedule_rises_from_zero_to_lambda(one: float, other: float, strength: float) -> None:
    """A full-strength adversary at the start would wreck a generator that knows nothing."""
    early, late = sorted((one, other))
    assert (
        0.0 <= reversal_schedule(early, strength) <= reversal_schedule(late, strength) <= strength
    )
    assert reversal_schedule(0.0, strength) == 0.0
    assert reversal_schedule(1.0, strength) == pytest.approx(strength, rel=1e-3)
