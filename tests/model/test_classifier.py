"""A logit a token, from the hidden state and from what the VAE missed of it."""

from typing import get_args

import pytest
import torch

from aster_cli.config import ClassifierKind
from aster_cli.model.classifier import AnomalyClassifier

WIDTH, TOKENS = 16, 5
KINDS: tuple[ClassifierKind, ...] = get_args(ClassifierKind)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_a_logit_a_token(kind: ClassifierKind) -> None:
    """Users choose among them, so each must fit the same place."""
    classify = AnomalyClassifier(kind, WIDTH, TOKENS)
    logits = classify(torch.randn(3, TOKENS, WIDTH), torch.randn(3, TOKENS, WIDTH))
    assert logits.shape == (3, TOKENS)


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_state_and_residual_both_count(kind: ClassifierKind) -> None:
    """On the hidden state alone it would learn the generator's fingerprint."""
    classify = AnomalyClassifier(kind, WIDTH, TOKENS)
    hidden, residual = (torch.randn(2, TOKENS, WIDTH, requires_grad=True) for _ in range(2))
    torch.autograd.backward(classify(hidden, residual).sum())
    for part in (hidden, residual):
        assert part.grad is not None
        assert part.grad.abs().max() > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_perfect_reconstruction_is_no_infinity(kind: ClassifierKind) -> None:
    """The logarithm of a residual of zero, and its gradient, must stay finite."""
    classify = AnomalyClassifier(kind, WIDTH, TOKENS)
    residual = torch.zeros(1, TOKENS, WIDTH, requires_grad=True)
    logits = classify(torch.zeros(1, TOKENS, WIDTH), residual)
    torch.autograd.backward(logits.sum())
    assert logits.isfinite().all()
    assert residual.grad is not None
    assert residual.grad.isfinite().all()


@torch.no_grad()
def test_only_the_transformer_joins_tokens() -> None:
    """The ablation rows are told apart by exactly this."""
    hidden, residual = torch.randn(1, TOKENS, WIDTH), torch.randn(1, TOKENS, WIDTH)
    moved = hidden.clone()
    moved[:, 0] += 1.0
    for kind in KINDS:
        classify = AnomalyClassifier(kind, WIDTH, TOKENS).eval()
        changed = classify(moved, residual) != classify(hidden, residual)
        assert changed[0, 1:].any().item() == (kind == "transformer")
