"""A logit a token, from the hidden state, what the VAE missed of it, and how new its rows are."""

from typing import get_args

import pytest
import torch
from torch import Tensor

from aster_cli.config import ClassifierKind
from aster_cli.model.classifier import AnomalyClassifier

WIDTH, TOKENS, PATCH, SENSORS = 16, 5, 2, 3
KINDS: tuple[ClassifierKind, ...] = get_args(ClassifierKind)


def classifier(kind: ClassifierKind) -> AnomalyClassifier:
    return AnomalyClassifier(kind, WIDTH, TOKENS, PATCH, SENSORS)


def inputs(n: int) -> tuple[Tensor, Tensor, Tensor]:
    """Hidden states, residuals and novelties of `n` windows."""
    hidden, residual = torch.randn(2, n, TOKENS, WIDTH)
    return hidden, residual, torch.randn(n, TOKENS * PATCH, SENSORS)


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_gives_a_logit_a_token(kind: ClassifierKind) -> None:
    """Users choose among them, so each must fit the same place."""
    assert classifier(kind)(*inputs(3)).shape == (3, TOKENS)


@pytest.mark.parametrize("kind", KINDS)
def test_hidden_state_residual_and_novelty_all_count(kind: ClassifierKind) -> None:
    """On the hidden state alone it would learn the generator's fingerprint."""
    parts = [part.requires_grad_() for part in inputs(2)]
    torch.autograd.backward(classifier(kind)(*parts).sum())
    for part in parts:
        assert part.grad is not None
        assert (part.grad != 0).all()


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_residual_and_novelty_count_by_their_direction_too(kind: ClassifierKind) -> None:
    """Sizes alone, which are given beside them, would not say what is wrong."""
    hidden, residual, novelty = inputs(2)
    classify = classifier(kind).eval()
    before = classify(hidden, residual, novelty)
    assert not torch.allclose(classify(hidden, -residual, novelty), before, atol=1e-3)
    assert not torch.allclose(classify(hidden, residual, -novelty), before, atol=1e-3)


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_expected_to_the_last_digit_is_no_infinity(kind: ClassifierKind) -> None:
    """The logarithms of a residual and of a novelty of zero, and their gradients, stay finite."""
    parts = [torch.zeros_like(part).requires_grad_() for part in inputs(1)]
    logits = classifier(kind)(*parts)
    torch.autograd.backward(logits.sum())
    assert logits.isfinite().all()
    for part in parts:
        assert part.grad is not None
        assert part.grad.isfinite().all()


@torch.no_grad()
def test_only_the_transformer_joins_tokens() -> None:
    """The ablation rows are told apart by exactly this."""
    hidden, residual, novelty = inputs(1)
    moved = hidden.clone()
    moved[:, 0] += 1.0
    for kind in KINDS:
        classify = classifier(kind).eval()
        changed = classify(moved, residual, novelty) != classify(hidden, residual, novelty)
        assert changed[0, 1:].any().item() == (kind == "transformer")


@pytest.mark.parametrize("kind", KINDS)
@torch.no_grad()
def test_the_novelty_of_the_whole_window_reaches_every_token(kind: ClassifierKind) -> None:
    """Rows are too small a unit to judge how new a window is, whatever the classifier."""
    hidden, residual, novelty = inputs(1)
    classify = classifier(kind).eval()
    before = classify(hidden, residual, novelty)
    novelty[:, :PATCH] *= 3.0
    assert (classify(hidden, residual, novelty) != before).all()


@pytest.mark.parametrize("kind", ["mlp", "linear"])
@torch.no_grad()
def test_rows_tell_their_own_token_how_new_they_are(kind: ClassifierKind) -> None:
    """Tokens alike but for their rows: turning the rows' patches round turns the logits round."""
    hidden, residual, novelty = inputs(1)
    alike = hidden[:, :1].expand_as(hidden), residual[:, :1].expand_as(residual)
    turned = novelty.view(1, TOKENS, PATCH, SENSORS).flip(1).view_as(novelty)
    classify = classifier(kind)
    before = classify(*alike, novelty)
    assert before.std() > 1e-3
    torch.testing.assert_close(classify(*alike, turned), before.flip(1))
