"""One trunk, two uses: reconstruct what is normal, displace it into what is not."""

import torch

from aster_cli.model.decoder import LatentDecoder, SensorHead

WIDTH, LATENT, TOKENS = 16, 4, 5


@torch.no_grad()
def test_the_two_uses_differ() -> None:
    """If they shared their last layer, the generator could only repeat the normal."""
    decoder = LatentDecoder(WIDTH, LATENT, TOKENS).eval()
    code = torch.randn(2, TOKENS, LATENT)
    normal, displaced = decoder(code, "reconstruct"), decoder(code, "displace")
    assert normal.shape == displaced.shape == (2, TOKENS, WIDTH)
    assert not torch.allclose(normal, displaced, atol=1e-2)


def test_each_use_trains_its_own_tokens_and_head_and_the_trunk() -> None:
    """The adversarial gradient may not reach the layer that reconstruction ends with."""
    decoder = LatentDecoder(WIDTH, LATENT, TOKENS)
    torch.autograd.backward(decoder(torch.randn(2, TOKENS, LATENT), "displace").square().sum())
    touched = {name for name, p in decoder.named_parameters() if p.grad is not None}
    assert not any("reconstruct" in name for name in touched)
    assert {"tokens.displace", "heads.displace.1.weight", "code.weight"} <= touched


@torch.no_grad()
def test_the_learnable_tokens_and_the_code_both_count() -> None:
    """Tokens without a code would decode every window alike, codes without tokens lose place."""
    decoder = LatentDecoder(WIDTH, LATENT, TOKENS).eval()
    code = torch.randn(1, TOKENS, LATENT)
    before = decoder(code, "reconstruct")
    assert not torch.equal(decoder(2.0 * code, "reconstruct"), before)
    decoder.tokens["reconstruct"] += 1.0 + torch.arange(WIDTH)
    assert not torch.equal(decoder(code, "reconstruct"), before)


@torch.no_grad()
def test_rows_and_sensors_come_back_in_their_order() -> None:
    """The head must undo the patches: row by row, sensor by sensor."""
    n_sensors, patch = 3, 2
    head = SensorHead(n_sensors, patch, WIDTH)
    head.linear.weight.zero_()
    head.linear.bias.copy_(torch.arange(float(patch * n_sensors)))
    window = head(torch.randn(1, TOKENS, WIDTH))
    assert window.shape == (1, patch * TOKENS, n_sensors)
    assert window[0].tolist() == [[0.0, 1.0, 2.0], [3.0, 4.0, 5.0]] * TOKENS


@torch.no_grad()
def test_a_displacement_is_what_the_head_makes_of_it_anywhere() -> None:
    """Pseudo-anomalies are added to true windows: the normal level may not come in a second time,
    and one twice as far must be the same one twice as large."""
    head = SensorHead(3, 2, WIDTH)
    hidden, delta = torch.randn(2, 4, TOKENS, WIDTH)
    displacement = head.displacement(delta)
    torch.testing.assert_close(displacement, head(hidden + delta) - head(hidden))
    torch.testing.assert_close(head.displacement(2.0 * delta), 2.0 * displacement)
    assert (head.displacement(torch.zeros_like(delta)) == 0).all()


def test_a_displacement_teaches_whoever_made_it_but_not_the_head() -> None:
    """The adversary must move its displacement, not redefine what a hidden state means."""
    head = SensorHead(3, 2, WIDTH)
    delta = torch.randn(4, TOKENS, WIDTH, requires_grad=True)
    torch.autograd.backward(head.displacement(delta).square().sum())
    assert all(weight.grad is None for weight in head.parameters())
    assert delta.grad is not None
    assert delta.grad.abs().max() > 0
