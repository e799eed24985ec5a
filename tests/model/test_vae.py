"""The VAE encoder and the two ways to draw codes."""

import math

import torch

from aster_cli.model.vae import VaeEncoder, sample_posterior, sample_relaxed_prior


@torch.no_grad()
def test_the_log_variance_is_bounded() -> None:
    """Its exponential enters the loss: one wild window must not make it infinite."""
    encode = VaeEncoder(8, 3)
    encode.log_variance.weight.normal_(std=1e6)
    mean, log_variance = encode(1e6 * torch.randn(4, 5, 8))
    assert mean.shape == log_variance.shape == (4, 5, 3)
    assert log_variance.exp().isfinite().all()
    assert (log_variance.exp() > 0).all()


@torch.no_grad()
def test_a_new_posterior_is_narrow() -> None:
    """Reconstruction learns nothing from codes drowned in noise."""
    _, log_variance = VaeEncoder(8, 3)(torch.randn(2, 5, 8))
    assert (log_variance == -4.0).all()


def test_posterior_codes_have_the_posteriors_moments() -> None:
    """A missing square root would train another distribution than the KL term measures."""
    mean, log_variance = torch.full((100, 50, 2), 3.0), torch.full((100, 50, 2), math.log(0.25))
    codes = sample_posterior(mean, log_variance)
    assert abs(codes.mean().item() - 3.0) < 0.02
    assert abs(codes.std().item() - 0.5) < 0.02


def test_gradients_reach_mean_and_log_variance() -> None:
    """The reparameterisation trick is what makes the encoder trainable at all."""
    mean, log_variance = torch.zeros(3, 4, 2), torch.zeros(3, 4, 2)
    mean.requires_grad_()
    log_variance.requires_grad_()
    torch.autograd.backward(sample_posterior(mean, log_variance).square().sum())
    for parameter in (mean, log_variance):
        assert parameter.grad is not None
        assert parameter.grad.abs().min() > 0


def test_relaxed_codes_are_as_wide_as_the_prior_or_wider() -> None:
    """Narrow codes gave pseudo-anomalies of one kind; endless ones would be noise."""
    mean = torch.zeros(400, 50, 4)
    spread = sample_relaxed_prior(mean, widest=3.0).std(dim=(1, 2))
    assert spread.min() > 0.85
    assert spread.max() < 3.45
    assert (spread > 1.8).float().mean() > 0.3


def test_half_of_the_windows_start_elsewhere() -> None:
    """Directions must not depend on the window that they displace."""
    mean = 1000.0 * torch.arange(400.0).view(400, 1, 1).expand(400, 3, 2)
    source = (sample_relaxed_prior(mean) / 1000.0).mean(dim=(1, 2)).round()
    own = (source == torch.arange(400.0)).float().mean().item()
    assert 0.4 < own < 0.6
    assert set(source.tolist()) <= set(range(400))
