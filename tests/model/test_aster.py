"""The network as a whole: what pseudo-anomalies are, and who learns from whom."""

import numpy as np
import pytest
import torch
from torch import Tensor

from aster_cli.backbones import Backbone, load_backbone
from aster_cli.model.aster import RADII, AsterNetwork, build_network, random_segments
from aster_cli.model.losses import real_against_generated
from aster_cli.model.neighbours import NormalWindows
from tests.tiny_backbone import WIDTH, write_tiny_backbone
from tests.tiny_network import (
    N_SENSORS,
    N_TOKENS,
    NETWORK_WIDTH,
    PATCH_SIZE,
    WINDOW_SIZE,
    tiny_config,
    tiny_network,
    tiny_normal,
    tiny_windows,
)

NORMAL = tiny_normal()


@pytest.fixture(scope="module")
def backbone(tmp_path_factory: pytest.TempPathFactory) -> Backbone:
    """A language model of two layers."""
    return load_backbone(str(write_tiny_backbone(tmp_path_factory.mktemp("llm"))), 2)


@pytest.fixture
def network() -> AsterNetwork:
    return tiny_network()


def generate(network: AsterNetwork, windows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Pseudo-anomalies, which of their tokens are displaced, and which of their rows."""
    generated, displaced = network.generate(windows, network.hidden(windows), NORMAL, 1.0)
    return generated, displaced, displaced.repeat_interleave(PATCH_SIZE, dim=1)


def generator_gradients(network: AsterNetwork, strength: float) -> dict[str, Tensor]:
    """What the classification loss tells the layers that only the generator has."""
    network.zero_grad()
    torch.manual_seed(1)
    torch.autograd.backward(network.compare(tiny_windows(6), NORMAL, strength).terms.classification)
    return {
        name: weight.grad.clone()
        for name, weight in network.decoder.named_parameters()
        if "displace" in name and weight.grad is not None
    }


@torch.no_grad()
def test_segments_are_contiguous_and_never_empty() -> None:
    """An empty one would be a normal window called generated; a torn one two anomalies."""
    marks = random_segments(2000, 5, torch.device("cpu")).int()
    rises = (marks.diff(dim=1, prepend=torch.zeros(2000, 1, dtype=torch.int32)) == 1).sum(dim=1)
    assert (rises == 1).all()
    assert set(marks.sum(dim=1).tolist()) == {1, 2, 3, 4, 5}
    # every length at every place: 5 + 4 + 3 + 2 + 1
    assert len({tuple(window) for window in marks.tolist()}) == 15


@torch.no_grad()
def test_undisplaced_rows_are_untouched(network: AsterNetwork) -> None:
    """Their tokens are labelled normal, so they must be exactly what normal rows are."""
    windows = tiny_windows(40)
    generated, _, rows = generate(network, windows)
    assert torch.equal(generated[~rows], windows[~rows])
    assert (generated != windows).any(dim=2)[rows].all()


@torch.no_grad()
def test_the_radius_is_as_drawn(network: AsterNetwork) -> None:
    """Within the documented range, log-uniform, and as long as novelty is: the root mean square over
    a segment, whitened in all three ways. In plain units a pseudo-anomaly could hide in a sensor
    that wanders anyway."""
    windows = tiny_windows(2000)
    generated, _, rows = generate(network, windows)
    squares = [
        part.square().mean(dim=2).sum(dim=1) / rows.sum(dim=1)
        for part in NORMAL.whitening(generated - windows)
    ]
    radius = torch.stack(squares).log().mean(dim=0) / 2.0
    low, high = RADII
    place = (radius - np.log(low)) / np.log(high / low)
    torch.testing.assert_close(place.sort().values, torch.linspace(0, 1, 2000), rtol=0, atol=0.05)
    assert place.min() > -0.001
    assert place.max() < 1.001


@torch.no_grad()
def test_pseudo_anomalies_come_in_by_the_door_of_real_ones(
    network: AsterNetwork, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Encoded anew, and with a novelty of their own: else the classifier would learn to tell them
    by what a real anomaly never has."""
    windows = tiny_windows(6)
    generated, displaced, _ = generate(network, windows)
    monkeypatch.setattr(network, "generate", lambda *_: (generated, displaced))
    real, false = (network(seen, NORMAL.novelty(seen).together) for seen in (windows, generated))
    torch.testing.assert_close(
        network.compare(windows, NORMAL, 1.0).terms.classification,
        real_against_generated(real, false, displaced),
    )


def test_the_generator_gets_the_gradient_reversed(network: AsterNetwork) -> None:
    """It must climb the loss that the classifier descends, as hard as the strength says."""
    with_help, against, harder = (generator_gradients(network, s) for s in (-1.0, 1.0, 3.0))
    assert with_help
    for name, gradient in with_help.items():
        assert gradient.abs().max() > 0, name
        torch.testing.assert_close(against[name], -gradient)
        torch.testing.assert_close(harder[name], -3.0 * gradient)


def test_without_reversal_the_generator_learns_nothing(network: AsterNetwork) -> None:
    """λ = 0 is the ablation: a random generator, not a helpful one."""
    gradients = generator_gradients(network, 0.0)
    assert gradients
    assert all((gradient == 0).all() for gradient in gradients.values())


def test_the_generator_teaches_the_decoder_only(network: AsterNetwork) -> None:
    """Its reversed gradient must not spoil what reconstruction rests on: neither the codes of the
    VAE, nor what the sensor head makes of a hidden state."""
    torch.autograd.backward(generate(network, tiny_windows(6))[0].square().sum())
    taught = {name for name, weight in network.named_parameters() if weight.grad is not None}
    assert taught
    assert all(name.startswith("decoder.") for name in taught)


def test_the_elbo_does_not_reach_the_generator(network: AsterNetwork) -> None:
    """Reconstruction would pull displacements back to the normal manifold."""
    terms = network.compare(tiny_windows(6), NORMAL, 1.0).terms
    torch.autograd.backward(terms.window_reconstruction + terms.hidden_reconstruction + terms.kl)
    own = [p.grad for name, p in network.decoder.named_parameters() if "displace" in name]
    assert own
    assert all(gradient is None or (gradient == 0).all() for gradient in own)


def test_every_part_learns_something(network: AsterNetwork) -> None:
    """A part cut off from every loss stays random, and nobody would notice."""
    torch.autograd.backward(network.compare(tiny_windows(6), NORMAL, 1.0).terms.total(0.01))
    untouched = [
        name
        for name, weight in network.named_parameters()
        if weight.grad is None or not weight.grad.abs().max() > 0
    ]
    assert untouched == []


def test_losses_are_finite_from_the_first_batch_on() -> None:
    """Also on windows that are all alike: a log of sensors at rest must not divide by zero."""
    for windows in (tiny_windows(4), torch.zeros(4, WINDOW_SIZE, N_SENSORS), 700 * tiny_windows(4)):
        network, normal = tiny_network(), NormalWindows(windows, NORMAL.whitening)
        terms = network.compare(windows, normal, 1.0).terms
        assert all(torch.tensor(value).isfinite() for value in terms.detached().values())
        torch.autograd.backward(terms.total(0.01))
        for name, weight in network.named_parameters():
            assert weight.grad is not None
            assert weight.grad.isfinite().all(), name


@torch.no_grad()
def test_the_spread_follows_training_only() -> None:
    """The unit of a loss must not change by looking at held-out windows."""
    network = tiny_network().eval()
    hidden = 3.0 * torch.randn(500, N_TOKENS, NETWORK_WIDTH)
    network.track_spread(hidden)
    assert network.spread == 0
    network.train()
    network.track_spread(hidden)
    assert network.spread.item() == pytest.approx(3.0, rel=0.02)
    network.track_spread(torch.zeros_like(hidden))
    assert network.spread.item() == pytest.approx(0.95 * 3.0, rel=0.02)


@torch.no_grad()
def test_scoring_is_judging_without_displacing(network: AsterNetwork) -> None:
    """The logits of `forward` are those that training taught, a token each."""
    windows = tiny_windows(5)
    novelty = NORMAL.novelty(windows).together
    logits = network.eval()(windows, novelty)
    torch.testing.assert_close(logits, network.judge(network.hidden(windows), novelty))
    assert logits.shape == (5, N_TOKENS)


@torch.no_grad()
def test_scores_draw_no_random_numbers(network: AsterNetwork) -> None:
    """Same rows, same bits: the latent's mean is read, never a sample."""
    windows = tiny_windows(5)
    novelty = NORMAL.novelty(windows).together
    network.eval()
    assert torch.equal(network(windows, novelty), network(windows, novelty))


@torch.no_grad()
def test_the_llm_is_fed_at_its_own_scale(backbone: Backbone) -> None:
    """Patches ten times too long or short would meet layers that know no such input."""
    network = build_network(tiny_config(), N_SENSORS, backbone)
    context = network.context
    assert context is not None
    fed: list[Tensor] = []
    context.backbone.register_forward_pre_hook(lambda _module, inputs: fed.append(inputs[0]))
    network.hidden(5.0 * tiny_windows(3))
    assert fed[0].shape == (3, N_TOKENS, WIDTH)
    torch.testing.assert_close(
        fed[0].norm(dim=2), torch.full((3, N_TOKENS), backbone.embedding_norm)
    )


@torch.no_grad()
def test_the_llm_enriches_and_does_not_replace(backbone: Backbone) -> None:
    """With the gate shut, what remains is the network without an LLM."""
    network = build_network(tiny_config(), N_SENSORS, backbone).eval()
    assert network.context is not None
    windows = tiny_windows(3)
    open_gate = network.hidden(windows)
    network.context.gate.zero_()
    shut_gate = network.hidden(windows)
    torch.testing.assert_close(shut_gate, network.local(windows) + network.skip(windows))
    assert not torch.allclose(open_gate, shut_gate, atol=1e-3)


def test_the_gradient_passes_through_the_frozen_llm(backbone: Backbone) -> None:
    """Its layers stand still, but the patches before them and LoRA within them learn."""
    network = build_network(tiny_config(), N_SENSORS, backbone)
    assert network.context is not None
    network.context.backbone.add_lora(2)
    torch.autograd.backward(network.compare(tiny_windows(3), NORMAL, 1.0).terms.total(0.01))
    patches = network.context.patches.linear.weight.grad
    assert patches is not None
    assert patches.abs().max() > 0
    for name, weight in network.context.backbone.named_parameters():
        assert (weight.grad is not None) == ("lora_" in name), name


def test_folded_weights_take_the_backbones_place(backbone: Backbone) -> None:
    """Scoring builds the same network around other layers."""
    folded = {name: 2.0 * torch.from_numpy(w).float() for name, w in backbone.weights.items()}
    network = build_network(tiny_config(), N_SENSORS, backbone, llm_weights=folded)
    assert network.context is not None
    kept = network.context.backbone.llm.state_dict()
    for name, weight in folded.items():
        torch.testing.assert_close(kept[name], weight)


@pytest.mark.parametrize("missing", ["window_size", "latent_width"])
def test_an_unresolved_configuration_builds_nothing(missing: str) -> None:
    """Sizes are derived in one place only."""
    with pytest.raises(ValueError, match="must be set"):
        build_network(tiny_config(**{missing: None}), N_SENSORS, None)
