"""From windows to tokens: every row in its token, every token with sight of all others."""

import pytest
import torch

from aster_cli.model.encoder import LocalEncoder, PatchEmbedding, TransformerStack

SENSORS, PATCH, WIDTH, TOKENS = 3, 4, 16, 5


def window() -> torch.Tensor:
    return torch.randn(2, PATCH * TOKENS, SENSORS)


@torch.no_grad()
def test_a_token_embeds_its_own_rows_only() -> None:
    """Rows that leaked into a neighbour's patch would blur where an anomaly is."""
    embed = PatchEmbedding(SENSORS, PATCH, WIDTH)
    rows = window()
    before = embed(rows)
    rows[:, PATCH : 2 * PATCH] += 1.0
    changed = (embed(rows) != before).any(dim=2)
    assert changed.tolist() == [[False, True, False, False, False]] * 2


@torch.no_grad()
def test_an_embedding_is_linear_in_magnitude() -> None:
    """It is the skip that tells the classifier how large a deviation is."""
    embed = PatchEmbedding(SENSORS, PATCH, WIDTH)
    rows = window()
    torch.testing.assert_close(
        embed(3.0 * rows) - embed.linear.bias, 3.0 * (embed(rows) - embed.linear.bias)
    )


@torch.no_grad()
def test_every_token_sees_all_others() -> None:
    """An anomaly may only show in the relation of distant rows, before or after."""
    encode = LocalEncoder(SENSORS, PATCH, WIDTH, TOKENS).eval()
    rows = window()
    before = encode(rows)
    rows[:, -1] += 1.0
    assert (encode(rows) != before).any(dim=2).all()


@torch.no_grad()
def test_windows_of_a_batch_do_not_mix() -> None:
    """A row's score may not depend on which other windows shared its batch."""
    encode = LocalEncoder(SENSORS, PATCH, WIDTH, TOKENS).eval()
    rows = window()
    before = encode(rows)
    rows[1] += 1.0
    after = encode(rows)
    torch.testing.assert_close(after[0], before[0], rtol=0.0, atol=0.0)
    assert not torch.equal(after[1], before[1])


@torch.no_grad()
def test_the_order_of_tokens_matters() -> None:
    """Without positions a window would be a bag of patches."""
    stack = TransformerStack(WIDTH, TOKENS, n_layers=1).eval()
    tokens = torch.randn(1, TOKENS, WIDTH)
    turned = stack(tokens.flip(1)).flip(1)
    assert not torch.allclose(turned, stack(tokens), atol=1e-4)


def test_shapes_are_checked_here() -> None:
    """The tests' own net: were the import hook gone, wrong shapes would pass unseen."""
    with pytest.raises(Exception, match="batch time sensor"):
        PatchEmbedding(SENSORS, PATCH, WIDTH)(torch.zeros(8, SENSORS))
