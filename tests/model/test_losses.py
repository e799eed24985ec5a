"""Every term has a name, a zero where it should, and a say in the total."""

import math

import pytest
import torch

from aster_cli.model.losses import LossTerms, kl_to_unit_gaussian, real_against_generated

SHAPE = (4, 5, 3)


def test_kl_is_zero_at_the_unit_gaussian_only() -> None:
    """It pulls the posterior to the prior that codes are drawn from, and must stop there."""
    zero = torch.zeros(SHAPE)
    assert kl_to_unit_gaussian(zero, zero).item() == 0.0
    for mean, log_variance in ((zero + 0.1, zero), (zero, zero + 0.1), (zero, zero - 0.1)):
        assert kl_to_unit_gaussian(mean, log_variance).item() > 0.0


def test_kl_is_the_divergence_of_two_gaussians() -> None:
    """Against torch's own: a factor lost here would shift the balance of the terms."""
    mean, log_variance = torch.randn(SHAPE), torch.randn(SHAPE)
    ours = kl_to_unit_gaussian(mean, log_variance)
    posterior = torch.distributions.Normal(mean, torch.exp(0.5 * log_variance))
    prior = torch.distributions.Normal(torch.zeros(SHAPE), torch.ones(SHAPE))
    theirs = torch.distributions.kl_divergence(posterior, prior).mean()
    torch.testing.assert_close(ours, theirs)


def test_undisplaced_tokens_of_generated_windows_are_normal() -> None:
    """Labelled anomalous, they would teach the classifier to suspect everything."""
    displaced = torch.tensor([[True, False]])
    right = torch.tensor([[20.0, -20.0]])
    real = torch.full((1, 2), -20.0)
    assert real_against_generated(real, right, displaced).item() < 1e-6
    assert real_against_generated(real, -right, displaced).item() > 5.0
    assert real_against_generated(-real, right, displaced).item() > 5.0


def test_real_and_generated_windows_weigh_the_same() -> None:
    """A classifier that knows nothing pays ln 2, however many tokens are displaced."""
    nothing = torch.zeros(2, 4)
    for n_displaced in range(5):
        displaced = (torch.arange(4) < n_displaced).expand(2, 4)
        loss = real_against_generated(nothing, nothing, displaced)
        assert loss.item() == pytest.approx(math.log(2.0))
    assert real_against_generated(nothing + 3.0, nothing, displaced).item() == pytest.approx(
        0.5 * math.log1p(math.exp(3.0)) + 0.5 * math.log(2.0)
    )


def test_the_total_weighs_only_the_kl_term() -> None:
    """The documented sum, and the names that users see during training."""
    terms = LossTerms(*(torch.tensor(value, requires_grad=True) for value in (1.0, 2.0, 40.0, 8.0)))
    assert terms.total(beta=0.1).item() == pytest.approx(15.0)
    assert terms.detached() == {
        "window_reconstruction": 1.0,
        "hidden_reconstruction": 2.0,
        "kl": 40.0,
        "classification": 8.0,
    }
